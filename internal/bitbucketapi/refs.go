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

// readRefs reads an advertisement of version 0:
//
//	001e# service=git-upload-pack\n
//	0000
//	HASH HEAD\0capabilities symref=HEAD:refs/heads/main\n
//	HASH refs/heads/main\n
//	HASH refs/tags/v1\n
//	HASH refs/tags/v1^{}\n
//	0000
//
// HEAD comes first when it exists, and the commit of an annotated tag right
// after the tag, so there is no need to read on for them.
//
// Source: https://git-scm.com/docs/gitprotocol-pack ("Reference Discovery")
func readRefs(body *bufio.Reader, service bitbucket.Service, wanted string) (bitbucket.Refs, error) {
	if first, _, err := readLine(body); err != nil || first != "# service="+string(service) {
		return bitbucket.Refs{}, notRefs(err)
	}
	if _, flush, err := readLine(body); err != nil || !flush {
		return bitbucket.Refs{}, notRefs(err)
	}
	var refs bitbucket.Refs
	for {
		line, flush, err := readLine(body)
		if err != nil {
			return bitbucket.Refs{}, notRefs(err)
		}
		if flush {
			return refs, nil
		}
		line, _, _ = strings.Cut(line, "\x00")
		hash, name, found := strings.Cut(line, " ")
		if !found || !isHash(hash) {
			return bitbucket.Refs{}, notRefs(nil)
		}
		if service == bitbucket.ReceivePack {
			return bitbucket.Refs{}, nil
		}
		tagged := refs.Tag != ""
		switch name {
		case "HEAD":
			refs.Head = hash
		case "refs/heads/" + wanted:
			refs.Branch = hash
		case "refs/tags/" + wanted, "refs/tags/" + wanted + "^{}": // the commit of an annotated tag comes second
			refs.Tag = hash
		}
		if wanted == "" || refs.Branch != "" || tagged {
			return refs, nil
		}
	}
}

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
// refusal stays what it is.
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
