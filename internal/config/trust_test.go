package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

func TestTrustedHosts(t *testing.T) {
	t.Parallel()
	const noOrigin = "trusted_hosts: holds a line that is not an origin; give https://host or https://host:port, one a line"
	const inClear = "trusted_hosts: holds an origin that would get credentials in clear text; use https://, or set allow_http: true"
	requireRefused(t, []refusal{
		{"a host alone", cloud(with("trusted_hosts", "git.example.com")), noOrigin},
		{"a clone URL", cloud(with("trusted_hosts", serverURL)), noOrigin},
		{"a password", cloud(with("trusted_hosts", "https://jane:secret@git.example.com")), noOrigin},
		{"a query", cloud(with("trusted_hosts", "https://git.example.com?x")), noOrigin},
		{"no URL", cloud(with("trusted_hosts", "https://git.example.com:port")), noOrigin},
		{"in clear text", cloud(with("trusted_hosts", "http://git.example.com")), inClear},
		{"another scheme", cloud(with("trusted_hosts", "ftp://git.example.com")), inClear},
	})
	assert.Equal(t, []string{"http://127.0.0.1:7990"}, parse(t, cloud(with("trusted_hosts", "http://127.0.0.1:7990"))).TrustedHosts)
}

func TestWhomAnEntryTrusts(t *testing.T) {
	t.Parallel()
	onCloud := bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "other", Slug: "thing"}
	at := func(host string) bitbucket.Repository {
		return bitbucket.Repository{Flavor: bitbucket.DataCenter, Scheme: "https", Host: host, Owner: "PRJ", Slug: "x"}
	}
	for name, test := range map[string]struct {
		inputs map[string]string
		trusts []bitbucket.Repository
	}{
		"a repository on Cloud":           {cloud(), []bitbucket.Repository{onCloud}},
		"a repository on a server":        {server(), []bitbucket.Repository{at("git.example.com")}},
		"a token of Cloud":                {rotate(), []bitbucket.Repository{onCloud}},
		"a token of Cloud, to test with":  {rotate(with("mode", "test"), with("environment_name", "x")), []bitbucket.Repository{onCloud}},
		"a token of anything":             {rotate(with("bitbucket_token", "opaque"), with("secret_name", "X")), nil},
		"and a flavor":                    {rotate(with("bitbucket_token", "opaque"), with("flavor", "cloud")), []bitbucket.Repository{onCloud}},
		"and a host":                      {rotate(with("bitbucket_token", "opaque"), with("trusted_hosts", "https://git.example.com")), []bitbucket.Repository{at("git.example.com")}},
		"a host with a port":              {rotate(with("bitbucket_token", "opaque"), with("trusted_hosts", "https://git.example.com:8443")), []bitbucket.Repository{at("git.example.com:8443")}},
		"a flavor of servers, and a host": {rotate(with("bitbucket_token", httpToken), with("flavor", "datacenter"), with("trusted_hosts", "https://git.example.com")), []bitbucket.Repository{at("git.example.com")}},
		"the port of https":               {rotate(with("bitbucket_token", "opaque"), with("trusted_hosts", "https://git.example.com:0443/")), []bitbucket.Repository{at("git.example.com")}},
		"no port after the colon":         {rotate(with("bitbucket_token", "opaque"), with("trusted_hosts", "https://GIT.example.com:")), []bitbucket.Repository{at("git.example.com")}},
		"both":                            {rotate(with("bitbucket_token", "opaque"), with("secret_name", "X"), with("trusted_hosts", "https://git.example.com\nhttps://bitbucket.org")), []bitbucket.Repository{onCloud, at("git.example.com")}},
		"both, and a flavor of servers":   {rotate(with("bitbucket_token", "opaque"), with("flavor", "datacenter"), with("trusted_hosts", "https://git.example.com\nhttps://bitbucket.org")), []bitbucket.Repository{at("git.example.com")}},
		"both, and the flavor of Cloud":   {rotate(with("bitbucket_token", "opaque"), with("flavor", "cloud"), with("trusted_hosts", "https://git.example.com\nhttps://bitbucket.org")), []bitbucket.Repository{onCloud}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := parse(t, test.inputs)
			var trusted []bitbucket.Repository
			for _, r := range []bitbucket.Repository{onCloud, at("git.example.com"), at("git.example.com:8443"), at("evil.example.com"), at("bitbucket.org.evil.example.com")} {
				if c.Trusts(r) {
					trusted = append(trusted, r)
				}
			}
			assert.Equal(t, test.trusts, trusted)
		})
	}
	const missing = "trusted_hosts: is missing: the inputs do not say which Data Center may get the credentials; give the server's origin, such as https://bitbucket.example.com, or repo_url"
	requireRefused(t, []refusal{
		{"a rotation on a server", rotate(with("bitbucket_token", httpToken)), missing},
		{"by its flavor", rotate(with("bitbucket_token", "opaque"), with("flavor", "server")), missing},
		{"that makes the token", minting(with("trusted_hosts", "")), missing},
	})
}
