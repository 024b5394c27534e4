package warpapi

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Values in Oz's answers go into logs, paths, outputs and mutations, so each must have
// the form that the API documents. An error does not quote a value that has not.
//
// Source: schema.graphql and agent-api-openapi.yaml; for users, the values that Warp's
// client gets: a UID of Firebase, with a prefix for a service account.
//
// A regular expression with 128 repetitions takes longer to compile than all that it checks.
func isObjectUID(text string) bool { return holds(text, 22, 22, "") } // of environments, schedules, teams

func isUserUID(text string) bool {
	return holds(strings.TrimPrefix(text, "serviceAccount:"), 1, 128, "_-")
}

func isPlainID(text string) bool { return holds(text, 0, 64, "_-") } // of objects whose IDs are not documented

// holds reports whether a text has from least to most characters, all of them ASCII letters,
// digits or one of others.
func holds(text string, least, most int, others string) bool {
	isOther := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r)
	}
	return len(text) >= least && len(text) <= most && !strings.ContainsFunc(text, isOther)
}

// A plan needs neither of these.
var (
	runUUID = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	})
	plainState = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Z_]{1,64}$`) })
)

// checkUID checks the UID of an environment, a schedule or a team.
func checkUID(of, uid string) error {
	switch {
	case uid == "":
		return fmt.Errorf("%s has no UID", of)
	case !isObjectUID(uid):
		return fmt.Errorf("%s has a UID that is not 22 letters and digits", of)
	}
	return nil
}

// checkSame checks that an answer is about the requested object.
func checkSame(of, asked, answered string) error {
	if answered != asked {
		return fmt.Errorf("the answer is about another %s than the request", of)
	}
	return nil
}

// checkOwner checks an owner. The owner may be empty.
func checkOwner(of string, owner warp.Owner) error {
	fits := isUserUID(owner.UID)
	if owner.Type == warp.TeamOwner {
		fits = isObjectUID(owner.UID)
	}
	if owner.UID != "" && !fits || !isPlainID(string(owner.Type)) {
		return fmt.Errorf("%s has an owner that is neither a team nor a user by its UID", of)
	}
	return nil
}

// checkRun checks the ID of a run.
func checkRun(id string) error {
	if !runUUID().MatchString(id) {
		return errors.New("the answer holds a run ID that is not a UUID")
	}
	return nil
}

// longestLink is the longest link that all browsers and CI hosts support.
const longestLink = 2048

// link is text if it is a link to a page of the server at root, else empty. It must be
// https on root's host or on a host with the same registrable domain, as oz.warp.dev
// and app.warp.dev. A server on this machine may also link to this machine by http.
func link(root *url.URL, text string) string {
	at, err := url.Parse(text)
	if err != nil || len(text) > longestLink || at.User != nil || at.Host == "" {
		return ""
	}
	if strings.ContainsFunc(text+at.Host, func(r rune) bool { return r <= ' ' || r > '~' }) { // a host's %EF%BC%8F becomes a slash in some clients
		return ""
	}
	local := isLoopback(root.Hostname()) && isLoopback(at.Hostname())
	ours := at.Scheme == "https" && (at.Port() == "" || at.Port() == root.Port()) && isKin(root.Hostname(), at.Hostname())
	if !ours && !(local && (at.Scheme == "http" || at.Scheme == "https")) {
		return ""
	}
	return text
}

// isKin reports whether a host is root or has the same registrable domain.
func isKin(root, host string) bool {
	root, host = strings.ToLower(root), strings.ToLower(host)
	if root == host {
		return true
	}
	if _, err := netip.ParseAddr(root); err == nil { // an IP address has no domain
		return false
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(root)
	return err == nil && (host == domain || strings.HasSuffix(host, "."+domain))
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
