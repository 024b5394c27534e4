package config

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
)

// Shard is the i-th of n parts of a manifest. The zero value is all of it.
type Shard struct{ Part, Of int } // Part counts from one

// part is the part, from 1 to n, to which an entry belongs. It depends only on the kind of
// owner and the name of the entry's secret. So all entries of one secret are in one part,
// and no entry moves when others are added or removed. The input team has no influence: it
// may be a name, a UID or empty, and only Oz knows which of these are the same team. Two
// parts that write the same secret would undo each other's work. Secrets of one name in
// several teams share a part, which costs only time.
func (e Entry) part(n int) int {
	sum := sha256.Sum256([]byte(Entry{Scope: e.Scope}.owner() + "\x00" + e.secret()))
	return int(binary.BigEndian.Uint64(sum[:])%uint64(n)) + 1
}

// in reports whether an entry belongs to part s.
func (e Entry) in(s Shard) bool { return s.Of == 0 || e.part(s.Of) == s.Part }

// hostShards are the variables in which hosts say which of several equal jobs this is.
//
// Source: https://docs.gitlab.com/ci/variables/predefined_variables/;
// https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/;
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode, which
// has no variable for the number of jobs.
var hostShards = []struct {
	part, of string
	first    int
}{
	{"CI_NODE_INDEX", "CI_NODE_TOTAL", 1},
	{"BITBUCKET_PARALLEL_STEP", "BITBUCKET_PARALLEL_STEP_COUNT", 0},
	{"JOB_COMPLETION_INDEX", "SHARD_TOTAL", 0},
}

// shard reads which part of the manifest the job works on.
func (p *parser) shard() {
	text := p.in.Shard
	switch {
	case text == "":
		return
	case p.many == nil:
		p.add("shard", "give manifest too, or leave it out", "does nothing without manifest")
		return
	case text == "auto":
		p.hostShard()
		return
	}
	part, of, _ := strings.Cut(text, "/")
	if s, ok := shardOf(part, of, 1); ok {
		p.config.Shard = s
		return
	}
	p.add("shard", "give i/n with i from 1 to n, or auto", "is not a part such as 1/3")
}

// hostShard takes the part from the variables of the host.
func (p *parser) hostShard() {
	var names []string
	for _, host := range hostShards {
		part, of := trim(p.variable(host.part)), trim(p.variable(host.of))
		names = append(names, host.part+" and "+host.of)
		if part == "" {
			continue
		}
		if of == "" {
			p.add("shard", "set it to the number of parallel jobs", "is auto, and %s is set without %s", host.part, host.of)
			return
		}
		s, ok := shardOf(part, of, host.first)
		if !ok {
			p.add("shard", "", "is auto, and %s and %s do not hold a part, counted from %d, and the number of parts", host.part, host.of, host.first)
		}
		p.config.Shard = s
		return
	}
	p.add("shard", "give it as 1/3, or run the job in parallel", "is auto, and the host has set none of %s", strings.Join(names, ", "))
}

// shardOf reads the number of a part, counted from first, and the number of parts.
func shardOf(part, of string, first int) (Shard, bool) {
	i, notPart := strconv.ParseInt(part, 10, 32)
	n, notWhole := strconv.ParseInt(of, 10, 32)
	s := Shard{int(i) - first + 1, int(n)}
	if notPart != nil || notWhole != nil || s.Part < 1 || s.Part > s.Of {
		return Shard{}, false
	}
	return s, true
}
