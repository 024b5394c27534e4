package bitbucket

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// address is a URL split into its parts, before any check.
type address struct {
	scheme string   // lower case; "ssh" for "git@host:path" too; "" when there is none
	user   string   // text before the host's "@"; may be a secret
	host   string   // lower case, with the port
	path   []string // without the slash at the end, "%7E" decoded
	tail   bool     // a query or a fragment follows
}

// OriginOf is the origin of an http or https URL, "https://host[:port]" in lower case,
// as git and curl read it: without the user, and without the scheme's default port. It
// is empty for any other text. The host is not checked.
func OriginOf(url string) string {
	a := address{}
	scheme, rest, _ := strings.Cut(url, "://")
	if a.scheme = strings.ToLower(scheme); a.scheme != "https" && a.scheme != "http" {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	host, port := strings.ToLower(rest[strings.LastIndex(rest, "@")+1:]), ""
	if colon := strings.LastIndex(host, ":"); colon > strings.LastIndex(host, "]") { // of an IPv6 address
		host, port = host[:colon], a.port(host[colon+1:])
	}
	switch {
	case host == "":
		return ""
	case port != "":
		host += ":" + port
	}
	return a.scheme + "://" + host
}

// takeApart splits a URL. It does not use net/url, whose errors quote what
// they could not read, passwords included.
func takeApart(text string) address {
	scheme, rest, found := strings.Cut(text, "://")
	short := !found && isShortSSH(text)
	switch {
	case short:
		scheme, rest = "ssh", text
	case !found:
		scheme, rest = "", text
	case strings.EqualFold(scheme, "git+ssh"):
		scheme = "ssh"
	}
	a := address{scheme: strings.ToLower(scheme)}
	a.user, rest = cutUser(rest)
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest, a.tail = rest[:end], true
	}
	if short {
		rest = strings.Replace(rest, ":", "/", 1)
	}
	host, path, _ := strings.Cut(rest, "/")
	a.host = strings.ToLower(host)
	path = strings.NewReplacer("%7E", "~", "%7e", "~").Replace(strings.TrimRight(path, "/"))
	if path != "" {
		a.path = strings.Split(path, "/")
	}
	return a
}

// isShortSSH reports whether text without a scheme has git's short SSH form,
// "[user@]host:path". "host:7990/path" is a URL that lost its scheme.
func isShortSSH(text string) bool {
	before, after, found := strings.Cut(text, ":")
	if !found || strings.Contains(before, "/") {
		return false
	}
	first, _, _ := strings.Cut(after, "/")
	return strings.Contains(before, "@") || !isPort(first)
}

// cutUser separates the user from the host. A pasted token may hold "/" and "@", so the
// last "@" before a valid repository counts, or else the last "@" before the path.
func cutUser(rest string) (user, after string) {
	last := strings.LastIndex(rest, "@")
	if last < 0 {
		return "", rest
	}
	if takeApart("https://"+rest[last+1:]).read("").repository != (Repository{}) {
		return rest[:last], rest[last+1:]
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	last = strings.LastIndex(rest[:end], "@")
	if last < 0 {
		return "", rest
	}
	return rest[:last], rest[last+1:]
}

// read finds the repository that the address names, and what is wrong with host and
// path. The caller checks scheme, user and tail.
func (a address) read(flavor Flavor) reading {
	host, port, reason := a.place()
	if reason != "" {
		return reading{reason: reason}
	}
	switch {
	case slices.Contains(others, strings.TrimPrefix(host, "www.")):
		return reading{reason: isElsewhere}
	case isLookAlike(host):
		return reading{reason: isLikeCloud}
	case isOnCloud(host):
		read := a.readCloud(host, port)
		if flavor == DataCenter {
			read.reason = needsCloud
		}
		return read
	}
	read := a.readDataCenter(host, port)
	if flavor == Cloud {
		read.reason = needsDataCenter
	}
	return read
}

// others are well-known git hosts that are not Bitbucket.
var others = []string{"github.com", "ssh.github.com", "gitlab.com", "altssh.gitlab.com", "dev.azure.com", "ssh.dev.azure.com", "codeberg.org", "git.sr.ht"}

// hostName matches a host name or an IPv4 address.
var hostName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
})

// place splits and checks the host. Port is empty for the scheme's default port;
// without a scheme that of https.
func (a address) place() (host, port, reason string) {
	host, port, _ = strings.Cut(a.host, ":")
	if !hostName().MatchString(host) {
		return "", "", hasBadHost
	}
	if port == "" {
		return host, "", ""
	}
	if !isPort(port) {
		return "", "", hasBadPort
	}
	return host, a.port(port), ""
}

// port is a port as in an origin: empty for the scheme's default.
func (a address) port(text string) string {
	own := "443"
	if a.scheme == "http" {
		own = "80"
	}
	if text = strings.TrimLeft(text, "0"); text == own {
		return ""
	}
	return text
}

// isPort reports whether text is the number of a port.
func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0
}
