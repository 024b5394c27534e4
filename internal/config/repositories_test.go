package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

func TestRepositoriesAreRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		inputs map[string]string
		want   []string
	}{
		{"one a line", cloud(with("repo_url", cloudURL+"\n\n https://bitbucket.org/acme/web \r\n")), []string{cloudURL, "https://bitbucket.org/acme/web.git"}},
		{"http of bitbucket.org becomes https", cloud(with("repo_url", "http://bitbucket.org/acme/api")), []string{cloudURL}},
		{"user, upper case and slash", cloud(with("repo_url", "HTTPS://jane@BitBucket.org/Acme/API/")), []string{cloudURL}},
		{"http on loopback", server(with("repo_url", "http://127.0.0.1:7990/scm/prj/api.git")), []string{"http://127.0.0.1:7990/scm/prj/api.git"}},
		{"http on localhost", server(with("repo_url", "http://localhost/scm/prj/api.git")), []string{"http://localhost/scm/prj/api.git"}},
		{"http where it is allowed", server(with("repo_url", "http://git.example.com/scm/prj/api.git"), with("allow_http", "true")), []string{"http://git.example.com/scm/prj/api.git"}},
		{"two contexts are two places of one host", server(with("repo_url", "https://git.example.com/a/scm/prj/x.git\nhttps://git.example.com/b/scm/prj/y.git")), []string{"https://git.example.com/a/scm/prj/x.git", "https://git.example.com/b/scm/prj/y.git"}},
		{"flavor datacenter", server(with("flavor", "datacenter")), []string{serverURL}},
		{"flavor server", server(with("flavor", "server")), []string{serverURL}},
		{"flavor cloud", cloud(with("flavor", "cloud")), []string{cloudURL}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var urls []string
			for _, repository := range parse(t, test.inputs).Repositories {
				urls = append(urls, repository.CloneURL())
			}
			assert.Equal(t, test.want, urls)
		})
	}
	assert.Equal(t, bitbucket.DataCenter, parse(t, server(with("flavor", "server"))).Primary().Flavor)
}

func TestRepositoriesAreRefused(t *testing.T) {
	t.Parallel()
	requireRefused(t, []refusal{
		{"SSH", cloud(with("repo_url", "git@bitbucket.org:acme/api.git")), "repo_url: this is an SSH URL, and a token works over HTTPS only; use " + cloudURL},
		{"a page", cloud(with("repo_url", "https://bitbucket.org/acme/api/src/main/")), "repo_url: this is a page of the website, not a clone URL; use " + cloudURL},
		{"another flavor's host", cloud(with("flavor", "datacenter"), with("bitbucket_token", "opaque")), "repo_url: bitbucket.org is Bitbucket Cloud, not Data Center; choose the flavor cloud, and use " + cloudURL},
		{"a foreign password", cloud(with("repo_url", "https://jane:hunter2@bitbucket.org/acme/api.git")), "repo_url: the URL holds a password or token, which would end up in logs and in .git/config; revoke it if it is real, give a new one as the token input, and use " + cloudURL},
		{"clear text", server(with("repo_url", "http://git.example.com/scm/PRJ/api.git")), "repo_url: http://git.example.com/scm/PRJ/api.git would send the token in clear text; use https://, or set allow_http: true"},
		{"a name that looks like loopback", server(with("repo_url", "http://localhost.example.com/scm/PRJ/api.git")), "repo_url: http://localhost.example.com/scm/PRJ/api.git would send the token in clear text; use https://, or set allow_http: true"},
		{"the same twice", cloud(with("repo_url", cloudURL+"\nhttps://bitbucket.org/ACME/api")), "repo_url: " + cloudURL + " is given twice; name it once"},
		{"one directory", cloud(with("repo_url", cloudURL+"\nhttps://bitbucket.org/other/api.git")), "repo_url: acme/api and other/api would both be cloned into api; give them environments of their own"},
		{"one directory but for its case", server(with("repo_url", "https://git.example.com/scm/P/api.git\nhttps://git.example.com/scm/Q/API.git")), "repo_url: P/api and Q/API would both be cloned into API; give them environments of their own"},
		{"two hosts", server(with("repo_url", "https://a.example.com/scm/p/x.git\nhttps://b.example.com/scm/p/y.git\nhttps://c.example.com/scm/p/z.git")), "repo_url: https://a.example.com/scm/p/x.git and https://b.example.com/scm/p/y.git are on different hosts, but a token is for one host; give each host an environment of its own"},
		{"two ports", server(with("repo_url", "https://a.example.com/scm/p/x.git\nhttps://a.example.com:8443/scm/p/y.git")), "repo_url: https://a.example.com/scm/p/x.git and https://a.example.com:8443/scm/p/y.git are on different hosts, but a token is for one host; give each host an environment of its own"},
		{"two flavors", cloud(with("repo_url", cloudURL+"\nhttps://git.example.com/scm/p/x.git")), "repo_url: " + cloudURL + " and https://git.example.com/scm/p/x.git are on different hosts, but a token is for one host; give each host an environment of its own"},
	})
}
