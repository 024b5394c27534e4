package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// cloudOrigin is where Bitbucket Cloud is.
const cloudOrigin = "https://bitbucket.org"

// trust reads where credentials may be sent besides the servers of repo_url. When no
// other input tells the flavor, it follows from these origins or from the token.
func (p *parser) trust() {
	c := &p.config
	for _, line := range nonBlankLines(p.in.TrustedHosts) {
		if origin := p.origin(line); origin != "" && !slices.Contains(c.TrustedHosts, origin) {
			c.TrustedHosts = append(c.TrustedHosts, origin)
		}
	}
	if c.Flavor != "" || c.Mode != Rotate && c.Mode != Test {
		return
	}
	if c.Flavor = p.flavorOfToken(); c.Flavor == "" && len(c.TrustedHosts) > 0 && !slices.Contains(c.TrustedHosts, cloudOrigin) {
		c.Flavor = bitbucket.DataCenter
	}
}

// origin reads https://host[:port]. It is empty when text is something else. No problem
// quotes text: it may be a secret, put into the wrong input.
func (p *parser) origin(text string) string {
	at, err := url.Parse(text)
	if err != nil || at.Hostname() == "" || at.User != nil || strings.Trim(at.Path, "/") != "" || at.RawQuery != "" || at.ForceQuery || at.Fragment != "" {
		p.add("trusted_hosts", "give https://host or https://host:port, one a line", "holds a line that is not an origin")
		return ""
	}
	if at.Scheme == "https" || at.Scheme == "http" && (p.config.AllowHTTP || loopback(at.Hostname())) {
		return bitbucket.OriginOf(text)
	}
	p.add("trusted_hosts", "use https://, or set allow_http: true", "holds an origin that would get credentials in clear text")
	return ""
}
