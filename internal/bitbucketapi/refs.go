package bitbucketapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// advertised is what a server answers to git's first request: in version 0 the
// refs themselves, in version 2 its capabilities.
type advertised struct {
	refs     bitbucket.Refs
	version2 *capabilities // nil: version 0
}

// capabilities are those of a server of version 2 that matter here.
type capabilities struct{ objectFormat string }

// readAdvertisement reads the answer to git's first request:
//
//	001e# service=git-upload-pack\n
//	0000
//	HASH HEAD\0capabilities symref=HEAD:refs/heads/main\n
//	HASH refs/heads/main\n
//	HASH refs/tags/v1\n
//	HASH refs/tags/v1^{}\n
//	0000
//
// A server of version 1 says "version 1" before its refs. One of version 2 says
// "version 2" and lists capabilities; it may leave out the first two lines.
//
// Source: https://git-scm.com/docs/gitprotocol-pack ("Reference Discovery") and
// https://git-scm.com/docs/gitprotocol-v2 ("Initial Client Request")
func readAdvertisement(body *bufio.Reader, service bitbucket.Service, wanted string) (advertised, error) {
	first, _, err := readLine(body)
	switch {
	case err == nil && first == version2 && service == bitbucket.UploadPack:
		return readCapabilities(body)
	case err != nil || first != "# service="+string(service):
		return advertised{}, notRefs(err)
	}
	if _, flush, err := readLine(body); err != nil || !flush {
		return advertised{}, notRefs(err)
	}
	found := finding{wanted: wanted}
	for started := false; ; started = true {
		line, flush, err := readLine(body)
		switch {
		case err != nil:
			return advertised{}, notRefs(err)
		case flush:
			return advertised{refs: found.refs}, nil
		case !started && line == version2 && service == bitbucket.UploadPack:
			return readCapabilities(body)
		case !started && line == version1:
			continue
		}
		line, _, _ = strings.Cut(line, "\x00")
		hash, name, _ := strings.Cut(line, " ")
		if name == "" || !isHash(hash) {
			return advertised{}, notRefs(nil)
		}
		if service == bitbucket.ReceivePack {
			return advertised{}, nil
		}
		if found.take(name, hash) {
			return advertised{refs: found.refs}, nil
		}
	}
}

const (
	version1 = "version 1"
	version2 = "version 2"
)

// finding collects refs while a list is read.
type finding struct {
	refs   bitbucket.Refs
	wanted string
}

// take notes a ref, and reports whether everything that is needed is known: HEAD comes
// first when it exists, and the commit of an annotated tag right after the tag.
func (f *finding) take(name, hash string) (enough bool) {
	tagged := f.refs.Tag != ""
	switch name {
	case "HEAD":
		f.refs.Head = hash
	case "refs/heads/" + f.wanted:
		f.refs.Branch = hash
	case "refs/tags/" + f.wanted, "refs/tags/" + f.wanted + "^{}": // the commit of an annotated tag comes second
		f.refs.Tag = hash
	}
	return f.wanted == "" || f.refs.Branch != "" || tagged
}

// readCapabilities reads what follows "version 2":
//
//	000bls-refs\n
//	0017object-format=sha1\n
//	0000
func readCapabilities(body *bufio.Reader) (advertised, error) {
	var can capabilities
	listsRefs := false
	for {
		line, flush, err := readLine(body)
		if err != nil {
			return advertised{}, notRefs(err)
		}
		name, value, _ := strings.Cut(line, "=")
		switch {
		case flush && listsRefs:
			return advertised{version2: &can}, nil
		case flush:
			return advertised{}, notRefs(nil)
		case name == "ls-refs":
			listsRefs = true
		case name == "object-format":
			can.objectFormat = value
		}
	}
}

// lsRefs asks for HEAD and for the wanted branch or tag:
//
//	0014command=ls-refs\n
//	0017object-format=sha1\n
//	0001
//	0009peel\n
//	0014ref-prefix HEAD\n
//	0000
//
// Source: https://git-scm.com/docs/gitprotocol-v2 ("ls-refs")
func lsRefs(can capabilities, wanted string) string {
	command := pktLine("command=ls-refs")
	if can.objectFormat == "sha1" || can.objectFormat == "sha256" {
		command += pktLine("object-format=" + can.objectFormat)
	}
	command += delimiter + pktLine("peel") + pktLine("ref-prefix HEAD")
	if wanted != "" {
		command += pktLine("ref-prefix refs/heads/"+wanted) + pktLine("ref-prefix refs/tags/"+wanted)
	}
	return command + flush
}

// readRefs reads the answer to lsRefs. A server may list more than was asked for.
//
//	HASH HEAD\n
//	HASH refs/heads/main\n
//	HASH refs/tags/v1 peeled:HASH\n
//	0000
func readRefs(body *bufio.Reader, wanted string) (bitbucket.Refs, error) {
	found := finding{wanted: wanted}
	for {
		line, flush, err := readLine(body)
		if err != nil {
			return bitbucket.Refs{}, notRefs(err)
		}
		if flush {
			return found.refs, nil
		}
		words := strings.Split(line, " ")
		if len(words) < 2 || !isHash(words[0]) {
			return bitbucket.Refs{}, notRefs(nil)
		}
		enough := found.take(words[1], words[0])
		for _, attribute := range words[2:] {
			if peeled, ok := strings.CutPrefix(attribute, "peeled:"); ok && isHash(peeled) {
				enough = found.take(words[1]+"^{}", peeled)
			}
		}
		if enough {
			return found.refs, nil
		}
	}
}

// The two special packets, and how a line becomes a packet.
const (
	flush     = "0000"
	delimiter = "0001"
)

func pktLine(text string) string { return fmt.Sprintf("%04x%s\n", len(text)+5, text) }

// readLine reads one pkt-line without its line feed, or a flush, which ends a
// list. A line with which the server refuses ("ERR ...") is a
// *bitbucket.Refusal.
func readLine(body *bufio.Reader) (line string, flush bool, err error) {
	var length [4]byte
	if _, err := io.ReadFull(body, length[:]); err != nil {
		return "", false, err
	}
	n, err := strconv.ParseUint(string(length[:]), 16, 16)
	if err != nil || n > 0 && n < 4 {
		return "", false, errors.New("not a pkt-line")
	}
	if n == 0 {
		return "", true, nil
	}
	content := make([]byte, n-4)
	if _, err := io.ReadFull(body, content); err != nil {
		return "", false, err
	}
	if text, refused := strings.CutPrefix(string(content), "ERR "); refused {
		return "", false, &bitbucket.Refusal{Status: http.StatusOK, Text: text}
	}
	return strings.TrimSuffix(string(content), "\n"), false, nil
}

func isHash(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

// notRefs is the error for an answer that cannot be read as a list of refs. A
// refusal is returned as it is.
func notRefs(err error) error {
	var refused *bitbucket.Refusal
	switch {
	case err == nil:
		return &bitbucket.Refusal{Status: http.StatusOK, NotGit: true, Text: "the answer is not a list of refs"}
	case errors.As(err, &refused):
		return refused
	}
	return fmt.Errorf("read the refs: %w", err)
}
