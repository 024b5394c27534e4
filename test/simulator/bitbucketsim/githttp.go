package bitbucketsim

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cgi"
	"path/filepath"
	"strings"
)

// gitCall is a request of git's smart HTTP protocol.
//
// Source: https://git-scm.com/docs/http-protocol
type gitCall struct {
	owner, slug string
	service     string // UploadPack or ReceivePack
	refs        bool   // the advertisement, not the pack
}

// parseGitCall reads /{owner}/{slug}.git/info/refs?service=... and the two POST paths; ".git" is optional, as
// on both products.
func parseGitCall(r *http.Request, path string) (gitCall, bool) {
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	if len(parts) < 3 {
		return gitCall{}, false
	}
	call := gitCall{owner: parts[0], slug: strings.TrimSuffix(parts[1], ".git")}
	program := parts[2]
	switch {
	case r.Method == http.MethodGet && program == "info/refs":
		call.refs = true
		program = r.URL.Query().Get("service")
	case r.Method != http.MethodPost:
		return gitCall{}, false
	}
	switch program {
	case "git-upload-pack":
		call.service = UploadPack
	case "git-receive-pack":
		call.service = ReceivePack
	default:
		return gitCall{}, false // the dumb protocol, LFS, a page
	}
	return call, true
}

func (c gitCall) operation() string {
	switch {
	case !c.refs:
		return c.service
	case c.service == ReceivePack:
		return ReceivePackRefs
	default:
		return UploadPackRefs
	}
}

// contentType returns the type of the answer.
func (c gitCall) contentType() string {
	if c.refs {
		return "application/x-git-" + c.service + "-advertisement"
	}
	return "application/x-git-" + c.service + "-result"
}

// redirected answers a call to a repository that has moved. The repository may be nil.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/change-a-repositorys-name/ and
// https://confluence.atlassian.com/bitbucketserver/moving-a-repository-1063978905.html; both redirect, with
// an undocumented status.
func (r *Repository) redirected(w http.ResponseWriter, request *http.Request, call gitCall) bool {
	if r == nil || r.MovedTo == "" {
		return false
	}
	at := "/git-" + call.service
	if call.refs {
		at = "/info/refs?" + request.URL.RawQuery
	}
	w.Header().Set("Location", r.MovedTo+at)
	w.WriteHeader(http.StatusMovedPermanently)
	return true
}

// serveGit lets git http-backend answer a call that has been allowed.
//
// Source: https://git-scm.com/docs/git-http-backend
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request, call gitCall, repository *Repository) {
	path := "/" + filepath.Base(repository.path) + "/git-" + call.service
	if call.refs {
		path = "/" + filepath.Base(repository.path) + "/info/refs"
	}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = path, ""
	inner.Header.Del("Authorization") // not for a process environment

	environment := append(isolation(s.root),
		"GIT_PROJECT_ROOT="+filepath.Dir(repository.path),
		"GIT_HTTP_EXPORT_ALL=1",
	)
	if repository.Version0 {
		inner.Header.Del("Git-Protocol") // today's git http-backend reads it by itself
	} else {
		environment = append(environment, "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
	}
	if call.service == ReceivePack {
		environment = append(environment, "REMOTE_USER=simulator") // http-backend allows a push only to a named user
	}
	var stderr bytes.Buffer
	backend := &cgi.Handler{Path: s.backend, Env: environment, Logger: s.log, Stderr: &stderr}
	if call.service == ReceivePack && !call.refs {
		repository.changed.Store(true)
	}
	ask := func(w http.ResponseWriter, r *http.Request) {
		repository.create()
		backend.ServeHTTP(w, r)
	}
	switch {
	case repository.kept != nil:
		repository.kept.serve(w, inner, ask)
	case !repository.changed.Load():
		repository.pristine.serve(w, inner, ask)
	default:
		ask(w, inner)
	}
	if stderr.Len() > 0 {
		s.log.Printf("git http-backend: %s", bytes.TrimSpace(stderr.Bytes()))
	}
}

// writeGitError answers 200 with an ERR packet, which git prints as "fatal: remote error: ...". Most of Data
// Center's refusals have this form.
//
// Source: https://github.com/go-git/go-git/issues/552 (status 200 with ERR, versions 6.10 and 8.2) and
// https://git-scm.com/docs/pack-protocol ("error-line")
func writeGitError(w http.ResponseWriter, call gitCall, message string) {
	var body bytes.Buffer
	if call.refs {
		body.WriteString(packet("# service=git-" + call.service + "\n"))
		body.WriteString("0000")
	}
	body.WriteString(packet("ERR " + message))
	w.Header().Set("Cache-Control", "no-cache")
	write(w, http.StatusOK, call.contentType(), body.Bytes())
}

// packet returns a pkt-line: its length in four hex digits, which count too, and the text.
func packet(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
