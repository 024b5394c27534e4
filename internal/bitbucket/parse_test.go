package bitbucket_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// onCloud is a repository on bitbucket.org.
func onCloud(owner, slug string) bitbucket.Repository {
	return bitbucket.Repository{
		Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: owner, Slug: slug,
	}
}

// onServer is a repository on a Data Center.
func onServer(host, context, owner, slug string) bitbucket.Repository {
	return bitbucket.Repository{
		Flavor: bitbucket.DataCenter, Scheme: "https", Host: host, Context: context, Owner: owner, Slug: slug,
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	plain := onServer("git.example.com", "", "PROJ", "app")
	insecure := onServer("git.example.com:7990", "", "PROJ", "app")
	insecure.Scheme = "http"

	tests := []struct {
		name, in string
		want     bitbucket.Repository
	}{
		{"Cloud", "https://bitbucket.org/acme/app.git", onCloud("acme", "app")},
		{"Cloud without .git", "https://bitbucket.org/acme/app", onCloud("acme", "app")},
		{"Cloud with a slash at the end", "https://bitbucket.org/acme/app/", onCloud("acme", "app")},
		{"Cloud with .git and a slash", "https://bitbucket.org/acme/app.git/", onCloud("acme", "app")},
		{"Cloud with the Clone button's user", "https://jane@bitbucket.org/acme/app.git", onCloud("acme", "app")},
		{"Cloud with an empty user", "https://@bitbucket.org/acme/app.git", onCloud("acme", "app")},
		{"Cloud in upper case", "HTTPS://BitBucket.ORG/Acme/App.git", onCloud("acme", "app")},
		{"Cloud over http", "http://bitbucket.org/acme/app", onCloud("acme", "app")},
		{"Cloud over http with its port", "http://bitbucket.org:80/acme/app", onCloud("acme", "app")},
		{"Cloud with its own port", "https://bitbucket.org:443/acme/app", onCloud("acme", "app")},
		{"Cloud with white space around it", " \t\r\nhttps://bitbucket.org/acme/app\r\n", onCloud("acme", "app")},
		{"Cloud with odd but legal names", "https://bitbucket.org/a_c-me/.app_1.x-.git", onCloud("a_c-me", ".app_1.x-")},
		{"Cloud with a slug of dashes", "https://bitbucket.org/acme/--", onCloud("acme", "--")},
		{"Cloud with a workspace of digits", "https://bitbucket.org/123/456", onCloud("123", "456")},

		{"Data Center", "https://git.example.com/scm/PROJ/app.git", plain},
		{"Data Center without .git", "https://git.example.com/scm/PROJ/app", plain},
		{"Data Center with a slash at the end", "https://git.example.com/scm/PROJ/app.git/", plain},
		{"Data Center with a user", "https://jane@git.example.com/scm/PROJ/app.git", plain},
		{"Data Center with an upper-case host", "https://Git.Example.COM/scm/PROJ/app.git", plain},
		{"Data Center with the scheme's own port", "https://git.example.com:443/scm/PROJ/app.git", plain},
		{"Data Center keeps case", "https://git.example.com/scm/Proj/App.git", onServer("git.example.com", "", "Proj", "App")},
		{"Data Center with a port", "https://git.example.com:8443/scm/PROJ/app.git", onServer("git.example.com:8443", "", "PROJ", "app")},
		{"Data Center with a port that has zeros", "https://git.example.com:08443/scm/PROJ/app.git", onServer("git.example.com:8443", "", "PROJ", "app")},
		{"Data Center by address", "https://10.1.2.3/scm/PROJ/app.git", onServer("10.1.2.3", "", "PROJ", "app")},
		{"Data Center by short name", "https://bitbucket/scm/PROJ/app.git", onServer("bitbucket", "", "PROJ", "app")},
		{"Data Center over http", "http://git.example.com:7990/scm/PROJ/app.git", insecure},
		{"Data Center with a context", "https://example.com/bitbucket/scm/PROJ/app.git", onServer("example.com", "/bitbucket", "PROJ", "app")},
		{"Data Center with a longer context", "https://example.com/dev/stash/scm/PROJ/app.git", onServer("example.com", "/dev/stash", "PROJ", "app")},
		{"Data Center with the context scm", "https://example.com/scm/scm/PROJ/app.git", onServer("example.com", "/scm", "PROJ", "app")},
		{"Data Center with the project scm", "https://example.com/scm/scm/app.git", onServer("example.com", "", "scm", "app")},
		{"Data Center with everything called scm", "https://example.com/scm/scm/scm/scm.git", onServer("example.com", "/scm", "scm", "scm")},
		{"Data Center with the context projects", "https://example.com/projects/scm/PROJ/app.git", onServer("example.com", "/projects", "PROJ", "app")},
		{"Data Center, personal", "https://git.example.com/scm/~jane.doe/app.git", onServer("git.example.com", "", "~jane.doe", "app")},
		{"Data Center, personal, encoded", "https://git.example.com/scm/%7Ejane/app.git", onServer("git.example.com", "", "~jane", "app")},
		{"Data Center, personal, encoded in lower case", "https://git.example.com/scm/%7ejane/app.git", onServer("git.example.com", "", "~jane", "app")},
		{"a host that only holds the letters", "https://bitbucket.organic.com/scm/P/app.git", onServer("bitbucket.organic.com", "", "P", "app")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			got, err := bitbucket.Parse(tt.in, "")
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)

			got, err = bitbucket.Parse(tt.in, tt.want.Flavor)
			require.NoError(t, err, "with the flavor given")
			assert.Equal(t, tt.want, got)

			again, err := bitbucket.Parse(got.CloneURL(), "")
			require.NoError(t, err)
			assert.Equal(t, got, again, "parse, print, parse")
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const (
		cloud  = "https://bitbucket.org/acme/app.git"
		server = "https://git.example.com/scm/PROJ/app.git"
		none   = "use the HTTPS URL that the repository's Clone button shows"
	)
	tests := []struct {
		name, in   string
		flavor     bitbucket.Flavor
		wantReason string // a part of it
		wantUse    string // a part of the remedy
	}{
		{"nothing", "", "", "empty", none},
		{"only quotes", `""`, "", "empty", none},

		{"Cloud, short SSH", "git@bitbucket.org:acme/app.git", "", "SSH URL", "use " + cloud},
		{"Cloud, short SSH without a user", "bitbucket.org:acme/app.git", "", "SSH URL", "use " + cloud},
		{"Cloud, short SSH, workspace of digits", "git@bitbucket.org:123/app.git", "", "SSH URL", "https://bitbucket.org/123/app.git"},
		{"Cloud, SSH", "ssh://git@bitbucket.org/acme/app.git", "", "SSH URL", "use " + cloud},
		{"Cloud, SSH with a port", "ssh://git@bitbucket.org:22/acme/app.git", "", "SSH URL", "use " + cloud},
		{"Cloud, SSH over 443", "ssh://git@altssh.bitbucket.org:443/acme/app.git", "", "SSH URL", "use " + cloud},
		{"Cloud, git+ssh", "git+ssh://git@bitbucket.org/acme/app.git", "", "SSH URL", "use " + cloud},
		{"Data Center, SSH", "ssh://git@git.example.com:7999/PROJ/app.git", "", "SSH URL", "use " + server},
		{"Data Center, SSH, personal", "ssh://git@git.example.com:7999/~jane/app.git", "", "SSH URL", "use https://git.example.com/scm/~jane/app.git"},
		{"Data Center, short SSH", "git@git.example.com:PROJ/app.git", "", "SSH URL", "use " + server},
		{"Data Center, short SSH with a port", "git@git.example.com:7999/PROJ/app.git", "", "SSH URL", "use " + server},
		{"another flavor's SSH", "git@bitbucket.org:acme/app.git", bitbucket.DataCenter, "is Bitbucket Cloud", "flavor cloud, and use " + cloud},

		{"Cloud, source page", "https://bitbucket.org/acme/app/src/main/docs/?at=x#L3", "", "page", "use " + cloud},
		{"Cloud, other pages", "https://bitbucket.org/acme/app/pull-requests/3", "", "page", "use " + cloud},
		{"Cloud, file with an at sign", "https://bitbucket.org/acme/app/src/main/@scope/x.js", "", "page", "use " + cloud},
		{"Cloud, REST", "https://api.bitbucket.org/2.0/repositories/acme/app", "", "REST", "use " + cloud},
		{"Cloud, REST on the site", "https://bitbucket.org/!api/2.0/repositories/acme/app/refs", "", "REST", "use " + cloud},
		{"Cloud, www", "https://www.bitbucket.org/acme/app", "", "a subdomain of bitbucket.org", "use " + cloud},
		{"Cloud, workspace page", "https://bitbucket.org/acme/workspace/projects/KEY", "", "no repository", none},
		{"Cloud, workspace alone", "https://bitbucket.org/acme/", "", "no repository", none},
		{"Cloud, host alone", "https://bitbucket.org", "", "no repository", none},
		{"Cloud with a Data Center path", "https://bitbucket.org/scm/acme/app.git", "", "that of a Data Center URL", none},
		{"Data Center, page", "https://git.example.com/projects/PROJ/repos/app/browse?at=refs%2Fheads%2Fx", "", "page", "use " + server},
		{"Data Center, page alone", "https://git.example.com/projects/PROJ/repos/app", "", "page", "use " + server},
		{"Data Center, page of a file with a deceiving path", "https://git.example.com/projects/PROJ/repos/app/browse/projects/a/repos/scm/b/c", "", "page", "use " + server},
		{"Data Center, page with an at sign", "https://git.example.com/projects/PROJ/repos/app/browse/@scope/x.js", "", "page", "use " + server},
		{"Data Center, page in a context", "https://example.com/projects/projects/PROJ/repos/app/commits", "", "page", "use https://example.com/projects/scm/PROJ/app.git"},
		{"Data Center, personal page", "https://git.example.com/users/jane/repos/app/browse", "", "page", "use https://git.example.com/scm/~jane/app.git"},
		{"Data Center, personal page by key", "https://git.example.com/projects/~jane/repos/app", "", "page", "use https://git.example.com/scm/~jane/app.git"},
		{"Data Center, REST", "https://example.com/bb/rest/api/1.0/projects/PROJ/repos/app", "", "REST", "use https://example.com/bb/scm/PROJ/app.git"},
		{"Data Center without scm", "https://git.example.com/PROJ/app.git", "", "/scm/", "use " + server},
		{"Data Center, git's own path", "https://git.example.com/scm/PROJ/app.git/info/refs", "", "goes on", "use " + server},
		{"Data Center, project page", "https://git.example.com/projects/PROJ", "", "/scm/", none},
		{"Data Center, project without a repository", "https://git.example.com/scm/PROJ", bitbucket.DataCenter, "/scm/", none},

		{"whole command", "git clone https://jane@bitbucket.org/acme/app.git", "", "whole command", "use " + cloud},
		{"whole command over SSH", "$ git clone git@bitbucket.org:acme/app.git app", "", "whole command", "use " + cloud},
		{"whole documented command", `git clone -c "http.extraHeader=Authorization: Bearer $BITBUCKET_TOKEN" https://git.example.com/scm/PROJ/app.git`, "", "whole command", "use " + server},
		{"command without a URL", "git clone", "", "whole command", none},
		{"angle brackets", "<https://bitbucket.org/acme/app>", "", "brackets", "use " + cloud},
		{"quotes", `"https://bitbucket.org/acme/app.git"`, "", "quotes", "use " + cloud},
		{"quotes around a page", `'https://bitbucket.org/acme/app/src'`, "", "page", "use " + cloud},
		{"GitHub", "https://github.com/acme/app.git", "", "not Bitbucket", "such as https://"},
		{"GitHub over SSH", "git@github.com:acme/app.git", "", "not Bitbucket", "such as https://"},
		{"GitLab", "https://www.gitlab.com/acme/app", bitbucket.DataCenter, "not Bitbucket", "such as https://"},
		{"no scheme", "bitbucket.org/acme/app", "", "https://", "use " + cloud},
		{"no scheme with a port", "git.example.com:8443/scm/PROJ/app.git", "", "https://", "use https://git.example.com:8443/scm/PROJ/app.git"},
		{"another scheme", "git://bitbucket.org/acme/app.git", "", "https://", "use " + cloud},
		{"a bare word", "app", "", "https://", none},

		{"query", "https://bitbucket.org/acme/app?x=1", "", "query", "use " + cloud},
		{"fragment", "https://git.example.com/scm/PROJ/app.git#main", "", "fragment", "use " + server},
		{"query after host", "https://bitbucket.org?x=/acme/app", "", "no repository", none},

		{"Cloud URL for a Data Center", cloud, bitbucket.DataCenter, "is Bitbucket Cloud", "flavor cloud, and use " + cloud},
		{"Data Center URL for Cloud", server, bitbucket.Cloud, "only at bitbucket.org", "flavor datacenter"},
		{"look-alike with a tail", "https://bitbucket.org.evil.example/acme/app.git", "", "looks like", none},
		{"look-alike with a dash", "https://bitbucket.org-evil.example/acme/app.git", bitbucket.Cloud, "looks like", none},
		{"look-alike with a head", "https://evilbitbucket.org/scm/acme/app.git", bitbucket.DataCenter, "looks like", none},
		{"look-alike with a dot at the end", "https://bitbucket.org./acme/app.git", "", "host name", none},
		{"look-alike in Cyrillic", "https://bitbucкet.org/acme/app.git", "", "host name", none},
		{"Cloud with a port", "https://bitbucket.org:8443/acme/app.git", "", "own port", "use " + cloud},
		{"port that is none", "https://git.example.com:0/scm/PROJ/app.git", "", "valid port", none},
		{"port too high", "https://git.example.com:65536/scm/PROJ/app.git", "", "valid port", none},
		{"port in letters", "https://git.example.com:https/scm/PROJ/app.git", "", "valid port", none},
		{"IPv6 literal", "https://[::1]:7990/scm/PROJ/app.git", "", "host name", none},
		{"host with a backslash", `https://git.example.com\evil/scm/PROJ/app.git`, "", "host name", none},
		{"no host", "https:///acme/app.git", "", "host name", none},

		{"blank in the path", "https://bitbucket.org/acme/my app.git", "", "white space", none},
		{"two lines", "https://bitbucket.org/acme/a\nhttps://bitbucket.org/acme/b", "", "white space", none},
		{"control character", "https://bitbucket.org/acme/app\x00", "", "characters", none},
		{"encoded slash", "https://bitbucket.org/acme%2fapp/x", "", "characters", none},
		{"encoded dots", "https://bitbucket.org/acme/%2e%2e", "", "characters", none},
		{"dots", "https://bitbucket.org/acme/..", "", "characters", none},
		{"nothing but .git", "https://bitbucket.org/acme/.git", "", "characters", none},
		{".git twice", "https://bitbucket.org/acme/app.git.git", "", ".git\" twice", none},
		{".git twice on Data Center", "https://git.example.com/scm/PROJ/app.git.git", "", ".git\" twice", none},
		{"empty part", "https://bitbucket.org//acme/app", "", "characters", none},
		{"shell in the path", "https://bitbucket.org/acme/$(id)", "", "characters", none},
		{"UUIDs", "https://bitbucket.org/{0a}/{0b}", "", "characters", none},
		{"project that starts with a digit", "https://git.example.com/scm/1PROJ/app.git", "", "characters", none},
		{"slug that starts with a dot on Data Center", "https://git.example.com/scm/PROJ/.app.git", "", "characters", none},
		{"dots in the context", "https://git.example.com/../scm/PROJ/app.git", "", "characters", none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			got, err := bitbucket.Parse(tt.in, tt.flavor)
			assert.Zero(t, got)
			var refused *bitbucket.URLError
			require.ErrorAs(t, err, &refused)
			assert.Contains(t, refused.Reason, tt.wantReason)
			assert.Contains(t, refused.Remedy, tt.wantUse)
			assert.Equal(t, refused.Reason+": "+refused.Remedy, err.Error())
		})
	}
}

func TestParseKeepsSecretsToItself(t *testing.T) {
	t.Parallel()
	const (
		cloud  = "https://bitbucket.org/acme/app.git"
		server = "https://git.example.com/scm/PROJ/app.git"
		secret = "S3CRET"
	)
	tests := []struct {
		name, in, wantUse string
	}{
		{"user and password", "https://jane:S3CRET@bitbucket.org/acme/app.git", cloud},
		{"static user and token", "https://x-token-auth:ATCTT3xFfGS3CRET=@bitbucket.org/acme/app.git", cloud},
		{"token as the user", "https://ATATT3xFfGS3CRET@bitbucket.org/acme/app", cloud},
		{"token as the user, Data Center", "https://BBDC-S3CRET@git.example.com/scm/PROJ/app.git", server},
		{"raw token with slashes", "https://x-token-auth:BBDC-S3CRET/S3CRET+/S3CRET@git.example.com/scm/PROJ/app.git", server},
		{"raw token with slashes as the user", "https://BBDC-S3CRET/S3CRET@git.example.com/scm/PROJ/app.git", server},
		{"raw token with everything", `https://u:S3CRET%$'"@:?#/S3CRET@git.example.com/scm/PROJ/app.git`, server},
		{"raw token that looks like a port", "https://u:12/S3CRET@bitbucket.org/acme/app", cloud},
		{"variable", "https://x-token-auth:$S3CRET@bitbucket.org/acme/app.git", cloud},
		{"variable as the user", "https://$S3CRET@bitbucket.org/acme/app.git", cloud},
		{"without a scheme", "x-token-auth:S3CRET/x@bitbucket.org/acme/app.git", cloud},
		{"whole command", "git clone https://jane:S3CRET@bitbucket.org/acme/app.git x", cloud},
		{"in quotes", `"https://jane:S3CRET@bitbucket.org/acme/app.git"`, cloud},
		{"page", "https://jane:S3CRET@bitbucket.org/acme/app/src/main", cloud},
		{"SSH", "ssh://git:S3CRET@git.example.com:7999/PROJ/app.git", server},
		{"expanded away", "https://x-token-auth:@bitbucket.org/acme/app.git", cloud},
		{"no repository", "https://jane:S3CRET@bitbucket.org/", "Clone button"},
		{"no path", "https://jane:S3CRET@bitbucket.org", "Clone button"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			_, err := bitbucket.Parse(tt.in, "")
			require.ErrorContains(t, err, "holds a password or token")
			assert.ErrorContains(t, err, tt.wantUse)
			assert.NotContains(t, err.Error(), secret)
		})
	}

	t.Run("header in a command", func(t *testing.T) {
		t.Parallel()
		_, err := bitbucket.Parse(`git clone -c "http.extraHeader=Authorization: Bearer S3CRET" `+server, "")
		require.ErrorContains(t, err, server)
		assert.NotContains(t, err.Error(), secret)
	})
}

// Parse accepts the URL of a repository that it has parsed, and of one that it derived
// from a refused text.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://bitbucket.org/acme/app.git",
		"https://jane:secret@bitbucket.org/acme/app.git",
		"git@bitbucket.org:acme/app.git",
		"https://example.com/bitbucket/scm/~jane/app.git",
		"https://example.com/projects/scm/PROJ/repos/app",
		"https://example.com/projects/scm/repos/x.git",
		"https://example.com/users/jane/repos/app/browse?at=x",
		"https://example.com/rest/api/latest/projects/P/repos/r",
		"ssh://git@example.com:7999/PROJ/app.git",
		"git@example.com:7999/%7Ejane/app.git",
		"git clone 'https://bitbucket.org/acme/app/src/main'",
	} {
		f.Add(seed, "")
		f.Add(seed, "cloud")
		f.Add(seed, "datacenter")
	}
	f.Fuzz(func(t *testing.T, raw, flavor string) {
		got, err := bitbucket.Parse(raw, bitbucket.Flavor(flavor))
		if err != nil {
			assert.Zero(t, got)
			var refused *bitbucket.URLError
			require.ErrorAs(t, err, &refused)
			assert.NotEmpty(t, refused.Reason)
			assert.NotEmpty(t, refused.Remedy)
			got = refused.Repository
		}
		if got == (bitbucket.Repository{}) {
			return
		}
		again, err := bitbucket.Parse(got.CloneURL(), "")
		require.NoError(t, err)
		assert.Equal(t, got, again)
		assert.NotContains(t, []string{"", ".", "..", ".git"}, got.Directory())
		assert.NotContains(t, got.Directory(), "/")
	})
}

// No token in front of the host is shown.
func FuzzParseHidesTokens(f *testing.F) {
	for _, seed := range []string{"S3CRET", "a/b", "p@ss", "x?y#z", "/scm/A/SECRET", "1/projects/A/repos/SECRET/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if token == "" || strings.ContainsFunc(token, unicode.IsSpace) {
			t.Skip("not one word")
		}
		marked := "<" + token + ">" // not part of any message by chance
		for _, url := range []string{"bitbucket.org/acme/app.git", "git.example.com/scm/PROJ/app.git"} {
			_, err := bitbucket.Parse("https://x-token-auth:"+marked+"@"+url, "")
			require.Error(t, err)
			assert.NotContains(t, err.Error(), marked)
			_, err = bitbucket.Parse("https://x-token-auth:"+token+"@"+url, "")
			require.Error(t, err)
			assert.ErrorContains(t, err, "use https://"+url)
		}
	})
}
