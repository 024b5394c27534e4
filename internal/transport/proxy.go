package transport

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpproxy"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// proxies is what httpproxy.FromEnvironment would return if environ were the process's
// environment. Where HTTP_PROXY or HTTPS_PROXY is not set, ALL_PROXY counts, as for git.
//
// Source: https://git-scm.com/docs/git-config, http.proxy, and
// https://curl.se/docs/manpage.html, ENVIRONMENT.
func proxies(environ []string) *httpproxy.Config {
	variables := variablesOf(environ)
	return &httpproxy.Config{
		HTTPProxy:  cmp.Or(either(variables, "HTTP_PROXY"), either(variables, "ALL_PROXY")),
		HTTPSProxy: cmp.Or(either(variables, "HTTPS_PROXY"), either(variables, "ALL_PROXY")),
		NoProxy:    either(variables, "NO_PROXY"),
		CGI:        variables["REQUEST_METHOD"] != "",
	}
}

// either is the value of a variable, or of the same name in lower case.
func either(variables map[string]string, name string) string {
	return cmp.Or(variables[name], variables[strings.ToLower(name)])
}

func variablesOf(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		variables[name] = value
	}
	return variables
}

// BadProxy says why a proxy variable cannot be followed. It never holds the
// variable's value.
type BadProxy struct{ Variable, Reason, Remedy string }

// Error is "variable: reason; remedy".
func (b BadProxy) Error() string { return b.Variable + ": " + b.Reason + "; " + b.Remedy }

// BadProxies lists the variables that httpproxy would ignore or read in another way, so
// that requests would go out without the proxy. Both spellings are checked, also the one
// that does not count. ALL_PROXY is checked only where it counts, because it may be meant
// for other programs.
func BadProxies(environ []string) []BadProxy {
	variables := variablesOf(environ)
	names := []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"}
	if either(variables, "HTTPS_PROXY") == "" || either(variables, "HTTP_PROXY") == "" {
		names = append(names, "ALL_PROXY", "all_proxy")
	}
	var bad []BadProxy
	for _, name := range names {
		if value := variables[name]; value != "" {
			if reason := badProxy(value); reason != "" {
				bad = append(bad, BadProxy{name, reason, "give it as http://host:port, with a user and password escaped as in a URL, or unset it"})
			}
		}
	}
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		if slices.ContainsFunc(strings.Split(variables[name], ","), isNoHost) {
			bad = append(bad, BadProxy{name, "holds an entry that is neither a host nor a range of addresses", "give hosts, addresses and ranges such as 10.0.0.0/8, with commas between them"})
		}
	}
	return bad
}

// badProxy is what is wrong with the URL of a proxy, which may lack its scheme.
// It is empty for one that httpproxy reads the same way.
func badProxy(value string) string {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	proxy, err := url.Parse(value)
	if err != nil {
		return "is not the URL of a proxy" // err quotes it
	}
	port, err := strconv.ParseUint(cmp.Or(proxy.Port(), "80"), 10, 16)
	switch {
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme):
		return "has a scheme other than http, https, socks5 and socks5h"
	case proxy.Hostname() == "":
		return "has no host"
	case err != nil || port == 0, strings.HasSuffix(proxy.Host, ":"): // as in http:/host:port
		return "has an impossible port"
	case strings.Contains(proxy.Path+proxy.RawQuery+proxy.Fragment, "@"):
		return "is not the URL of a proxy" // a character of a password has ended the host
	}
	return ""
}

// isNoHost reports whether an element of NO_PROXY can match nothing.
func isNoHost(element string) bool {
	element = strings.TrimSpace(element)
	if strings.Contains(element, "/") {
		_, _, err := net.ParseCIDR(element)
		return err != nil
	}
	return strings.ContainsFunc(element, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// ProxyPasswords are the passwords in the proxy variables, each as written and unescaped.
// Variables that are bad or do not count are read, too.
func ProxyPasswords(environ []string) []sensitive.String {
	var passwords []sensitive.String
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !slices.Contains([]string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"}, strings.ToUpper(name)) {
			continue
		}
		if _, after, hasScheme := strings.Cut(value, "://"); hasScheme {
			value = after
		}
		end := strings.LastIndex(value, "@") // the last one: a bad password may hold another
		_, password, _ := strings.Cut(value[:max(end, 0)], ":")
		if password == "" {
			continue
		}
		passwords = append(passwords, sensitive.New(password))
		if plain, err := url.PathUnescape(password); err == nil && plain != password {
			passwords = append(passwords, sensitive.New(plain))
		}
	}
	return passwords
}
