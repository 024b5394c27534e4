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

// proxies are what httpproxy.FromEnvironment would find if environ were the
// process's environment, and ALL_PROXY for what is not set, as git follows it.
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

// either is the value of a variable, or of the same in lower case.
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

// BadProxies lists the variables, in both spellings and whether or not the other
// counts, that httpproxy would ignore or take for something else: a request would
// then go out without the proxy. ALL_PROXY is among them only where it counts, for
// it may be meant for other programs.
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
			bad = append(bad, BadProxy{name, "holds what is neither a host nor a range of addresses", "give hosts, addresses and ranges such as 10.0.0.0/8, with commas between them"})
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
		return "has a scheme that is none of http, https, socks5 and socks5h"
	case proxy.Hostname() == "":
		return "names no host"
	case err != nil || port == 0, strings.HasSuffix(proxy.Host, ":"): // as in http:/host:port
		return "has a port that is none"
	case strings.Contains(proxy.Path+proxy.RawQuery+proxy.Fragment, "@"):
		return "is not the URL of a proxy" // a password has ended the host
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

// ProxyPasswords are the passwords in the proxy variables, also in those that are
// bad or do not count: as they are, and unescaped.
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
		end := strings.LastIndex(value, "@") // of a bad one too, whose password holds another
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
