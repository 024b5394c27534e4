package bitbucket

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// Parse reads an HTTPS clone URL. When the flavor is empty, the host decides:
// bitbucket.org is Cloud, any other is Data Center. Accepted are
//
//	https://bitbucket.org/WORKSPACE/REPO
//	https://HOST[:PORT][/CONTEXT]/scm/KEY/REPO
//	https://HOST[:PORT][/CONTEXT]/scm/~USER/REPO
//
// with or without ".git", a "user@" (dropped), a slash at the end, an upper-case scheme
// or host, the scheme's own port, and "%7E" for "~". On Cloud http becomes https, and
// the path becomes lower case. On Data Center http, key and slug stay as they are.
//
// The error is a *URLError. Common mistakes (an SSH URL, a page of the website, a REST
// URL, a whole command) are refused, and the error names the clone URL to use.
//
// Source: Atlassian Support, "What is a slug?"; Project.getKey in
// https://docs.atlassian.com/bitbucket-server/javadoc/9.6.0/
func Parse(raw string, flavor Flavor) (Repository, error) {
	read := readText(strings.TrimSpace(raw), flavor)
	if read.reason == "" {
		return read.repository, nil
	}
	return Repository{}, &URLError{
		Reason:     read.reason,
		Remedy:     read.remedy(flavor),
		Repository: read.repository,
	}
}

// URLError says why a text is not a clone URL. It never holds the user name,
// password or token of the text.
type URLError struct {
	Reason     string     // what is wrong, lower case, no full stop
	Remedy     string     // what to do; names the clone URL to use when one can be derived
	Repository Repository // the repository that was probably meant; zero when unclear
}

// Error is "reason: remedy".
func (e *URLError) Error() string { return e.Reason + ": " + e.Remedy }

// Reasons to refuse a URL on both flavors.
const (
	isNothing       = "the URL is empty"
	hasSpace        = "the URL has white space in it"
	isCommand       = "this is a whole command, not a clone URL"
	isWrapped       = "the URL has quotes or brackets around it"
	hasSecret       = "the URL holds a password or token, which would end up in logs and in .git/config"
	needsCloud      = "bitbucket.org is Bitbucket Cloud, not Data Center"
	needsDataCenter = "Bitbucket Cloud is only at bitbucket.org"
	isElsewhere     = "the host of this URL is not Bitbucket"
	isSSH           = "this is an SSH URL, and a token works over HTTPS only"
	hasNoHTTPS      = "the URL does not start with https://"
	hasBadHost      = "the URL holds no valid host name"
	hasBadPort      = "the URL holds no valid port"
	hasBadName      = "the path has characters that the name of a workspace, project or repository cannot hold"
	hasGitTwice     = `the URL ends in ".git" twice`
	isPage          = "this is a page of the website, not a clone URL"
	isREST          = "this is a URL of the REST API, not a clone URL"
	hasTail         = "the URL has a query or a fragment"
)

// wrapping is what people paste around a URL.
const wrapping = "\"'`<>()[]“”‘’"

// reading is the result of reading a text.
type reading struct {
	repository Repository // zero when unclear
	reason     string     // why the text is not a clone URL, or ""
}

// remedy says how to fix the reason.
func (r reading) remedy(flavor Flavor) string {
	use := "use the HTTPS URL that the repository's Clone button shows, such as " + example(flavor)
	if r.repository != (Repository{}) {
		use = "use " + r.repository.CloneURL()
	}
	switch r.reason {
	case hasSecret:
		return "revoke it if it is real, give a new one as the token input, and " + use
	case needsCloud:
		return "choose the flavor cloud, and " + use
	case needsDataCenter:
		return "choose the flavor datacenter if this is a server of your own, or use " + example(Cloud)
	}
	return use
}

// example is a clone URL of the flavor.
func example(flavor Flavor) string {
	if flavor == DataCenter {
		return "https://your-server.com/scm/your-project/your-repo.git"
	}
	return "https://bitbucket.org/your-workspace/your-repo.git"
}

// readText reads a text that may be anything.
func readText(text string, flavor Flavor) reading {
	bare := strings.Trim(text, wrapping)
	switch {
	case bare == "":
		return reading{reason: isNothing}
	case strings.ContainsFunc(bare, unicode.IsSpace):
		return readWords(strings.Fields(text), flavor)
	case bare != text:
		read := readText(bare, flavor)
		read.reason = cmp.Or(read.reason, isWrapped)
		return read
	}
	return readURL(text, flavor)
}

// readWords reads several words: a command that clones, or a URL with a space in it.
func readWords(words []string, flavor Flavor) reading {
	if !slices.Contains(words, "clone") {
		return reading{reason: hasSpace}
	}
	for _, word := range words {
		read := readText(word, flavor)
		if read.reason == hasSecret {
			return read
		}
		if read.repository != (Repository{}) {
			return reading{read.repository, isCommand}
		}
	}
	return reading{reason: isCommand}
}

// readURL reads one word. The reason is its most important mistake: a secret first,
// then the flavor.
func readURL(text string, flavor Flavor) reading {
	a := takeApart(text)
	read := a.read(flavor)
	switch {
	case holdsSecret(a.user):
		read.reason = hasSecret
	case read.reason == needsCloud, read.reason == needsDataCenter, read.reason == isElsewhere:
	case a.scheme == "ssh":
		read.reason = isSSH
	case a.scheme != "https" && a.scheme != "http":
		read.reason = hasNoHTTPS
	case a.tail:
		read.reason = cmp.Or(read.reason, hasTail)
	}
	return read
}

// holdsSecret reports whether the user in a URL is more than the plain user name that
// Bitbucket's Clone button puts there.
func holdsSecret(user string) bool {
	return strings.ContainsAny(user, ":/@$") || ForeignKind("", func(prefix string) bool {
		return strings.HasPrefix(user, prefix)
	}) != ""
}
