package config

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
)

// Shard is the i-th of n parts of a manifest. The zero value is all of it.
type Shard struct{ Part, Of int } // Part counts from one

// part is the part of n, from one, to which an entry belongs. It depends on the kind of
// owner and the name of its secret alone: all entries of one secret are in one part, and no
// entry moves because another one comes or goes. What team says is left out, for a team goes
// by name, by UID or by nothing, and Oz alone knows which of these are the same. Two parts
// that write one secret would undo each other's work; that secrets of several teams are in
// one part when they have one name costs time and nothing else.
func (e Entry) part(n int) int {
	sum := sha256.Sum256([]byte(Entry{Scope: e.Scope}.owner() + "\x00" + e.secret()))
	return int(binary.BigEndian.Uint64(sum[:])%uint64(n)) + 1
}

// in reports whether an entry belongs to a part.
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

// shard reads which part of the manifest the job is about.
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
	p.add("shard", "give it as 1/3, the first of three parts, or auto", "is no part of a whole")
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
			p.add("shard", "", "is auto, and %s and %s are no part of a whole that counts from %d", host.part, host.of, host.first)
		}
		p.config.Shard = s
		return
	}
	p.add("shard", "give it as 1/3, or run the job in parallel", "is auto, and the host has set none of %s", strings.Join(names, ", "))
}

// shardOf reads the part of a whole, counted from first.
func shardOf(part, of string, first int) (Shard, bool) {
	i, notPart := strconv.ParseInt(part, 10, 32)
	n, notWhole := strconv.ParseInt(of, 10, 32)
	s := Shard{int(i) - first + 1, int(n)}
	if notPart != nil || notWhole != nil || s.Part < 1 || s.Part > s.Of {
		return Shard{}, false
	}
	return s, true
}
