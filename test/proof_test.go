package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// accessToken is an access token of Cloud.
const accessToken = "ATCTT3MARKER-access-31c9=0A1B2C3D"

// requireNothingWritten checks that Oz holds nothing.
func (w *world) requireNothingWritten() {
	w.t.Helper()
	assert.Empty(w.t, w.oz.Secrets())
	assert.Empty(w.t, w.oz.Environments())
	assert.Empty(w.t, w.oz.Runs())
}

// refuses runs a job whose token must not pass, and returns its log.
func (w *world) refuses(inputs map[string]string) string {
	w.t.Helper()
	r := w.run(inputs)
	assert.Equal(w.t, 1, r.code, r.log)
	assert.Empty(w.t, r.outputs["secret_change"])
	assert.Empty(w.t, r.outputs["environment_id"])
	assert.LessOrEqual(w.t, w.bitbucket.FailedLogins(inputs["bitbucket_token"]), 2)
	w.requireNothingWritten()
	return r.log
}

func TestAPublicRepositoryProvesNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		const fine, open = "is public: a clone works without the token\n", "so this does not prove that the token is good"
		tests := []struct {
			name  string
			token bitbucketsim.Token
			says  string
			code  int
			gone  string // an operation whose address Bitbucket has removed
		}{
			{"an API token", bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken}, fine, 0, ""},
			{"a dead API token", bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Expired}, open, 0, ""},
			{"an access token", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken}, fine, 0, ""},
			{"an access token that may do more", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, Write: true}, "scopes that it does not need here: repository:write\n", 0, ""},
			{"a dead access token", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, State: bitbucketsim.Revoked}, "the REST API refused the token: 401", 1, ""},
			{"an access token, where the REST is gone", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, State: bitbucketsim.Revoked}, open + ": 410: CHANGE-2770 - Functionality has been deprecated (announcement_url: https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-2770): the token is not the cause", 0, bitbucketsim.CloudRepository},
			{"a Data Center token", bitbucketsim.Token{Value: dcToken, Kind: bitbucketsim.HTTPAccessToken}, fine, 0, ""},
			{"a dead Data Center token", bitbucketsim.Token{Value: dcToken, Kind: bitbucketsim.HTTPAccessToken, State: bitbucketsim.Revoked}, "the REST API refused the token: 401", 1, ""},
		}
		cloud := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "open", Public: true, Unchecked: true})
		dc := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "~jane", Slug: "open", Public: true, Unchecked: true})
		for _, tt := range tests {
			w.bitbucket.AddToken(tt.token)
			w.bitbucket.Script.Clear()
			if tt.gone != "" {
				w.bitbucket.Script.Add(bitbucketsim.Removed(tt.gone))
			}
			repository := cloud
			if tt.token.Kind == bitbucketsim.HTTPAccessToken {
				repository = dc
			}
			inputs := w.inputs(map[string]string{"repo_url": repository.CloneURL(), "bitbucket_token": tt.token.Value, "mode": "plan"})
			r := w.run(inputs)
			require.Equal(t, tt.code, r.code, "%s: %s", tt.name, r.log)
			assert.Contains(t, r.log, tt.says, tt.name)
			assert.LessOrEqual(t, w.bitbucket.FailedLogins(tt.token.Value), 2, tt.name)
		}
		w.requireNothingWritten()
	})
}

// TestEachRefusalWritesNothing has one row for each class of refusal, in the service's words.
//
// Source: https://confluence.atlassian.com/bbkb/error-403-when-performing-git-operations-1155479141.html
// for Cloud, https://github.com/go-git/go-git/issues/552 for Data Center; the
// simulator names the sources of each answer.
func TestEachRefusalWritesNothing(t *testing.T) {
	t.Parallel()
	const tokenPage = "https://id.atlassian.com/manage-profile/security/api-tokens"
	api := func(state string) bitbucketsim.Token {
		return bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, State: state}
	}
	access := func(state string) bitbucketsim.Token {
		return bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, State: state}
	}
	dc := func(state string) bitbucketsim.Token {
		return bitbucketsim.Token{Value: dcToken, Kind: bitbucketsim.HTTPAccessToken, State: state}
	}
	// answers is a proxy or an outage in front of git.
	answers := func(status int, header map[string]string, body string) *fault.Fault {
		f := fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: status, Body: body, Header: http.Header{}, Times: -1}
		for name, value := range header {
			f.Header.Set(name, value)
		}
		return &f
	}
	gone := bitbucketsim.Removed(bitbucketsim.UploadPackRefs)
	tests := []struct {
		name   string
		token  bitbucketsim.Token
		inputs map[string]string
		fault  *fault.Fault
		failed int // failed logins
		says   []string
	}{
		{"an API token that is expired", api(bitbucketsim.Expired), nil, nil, 1, []string{"401: Invalid credentials", "the token was not accepted: it is expired, revoked, cut off", tokenPage, "read:repository:bitbucket"}},
		{"an API token that is revoked", api(bitbucketsim.Revoked), nil, nil, 1, []string{"revoked", tokenPage}},
		{"an API token made without scopes", api(bitbucketsim.Unscoped), nil, nil, 1, []string{"an API token without scopes, which looks the same", tokenPage}},
		{"a token that is cut off", bitbucketsim.Token{Value: cloudToken + "E4", Kind: bitbucketsim.APIToken}, map[string]string{"bitbucket_token": cloudToken + "E"}, nil, 1, []string{"cut off"}},
		{"a token of no known prefix", bitbucketsim.Token{Value: "MARKER-of-old", Kind: bitbucketsim.APIToken, State: bitbucketsim.Expired}, nil, nil, 2, []string{"presented as Basic with the user x-bitbucket-api-token-auth, then as Basic with the user x-token-auth"}},
		{"an access token that is expired", access(bitbucketsim.Expired), nil, nil, 1, []string{"presented as Basic with the user x-token-auth", "in the settings of acme/sample, Security, Access tokens"}},
		{"a Data Center token that is revoked", dc(bitbucketsim.Revoked), nil, nil, 1, []string{"401: Authentication failed", "presented as Bearer", "the permission Repository read"}},
		{"an API token that lacks the scope", api(bitbucketsim.NoScope), nil, nil, 0, []string{"403: Your credentials lack one or more required privilege scopes", "the scope read:repository:bitbucket (scopes do not imply each other)", tokenPage}},
		{"an access token that lacks the scope", access(bitbucketsim.NoScope), nil, nil, 0, []string{"the scope repository (Repositories: Read)"}},
		{"a Data Center token that lacks the permission", dc(bitbucketsim.NoScope), nil, nil, 0, []string{"Repository not found", "check the name, and that the token has the permission Repository read"}},
		{"a repository that does not exist", api(""), map[string]string{"repo_url": "https://bitbucket.org/acme/smaple"}, nil, 0, []string{"acme/smaple does not exist, or the token may not see it"}},
		{"a repository token of another repository", bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken, Repositories: []string{"acme/other"}}, nil, nil, 0, []string{"a repository's own token works for that repository only"}},
		{"an address that is not on the list", api(bitbucketsim.IPBlocked), nil, nil, 0, []string{"whitelist your IP", "this runner's and those of the agents"}},
		{"two-step verification", api(bitbucketsim.TwoStep), nil, nil, 0, []string{"enable it for the token's owner"}},
		{"CAPTCHA", dc(bitbucketsim.CAPTCHA), nil, nil, 0, []string{"CAPTCHA required", "log in once at http://127.0.0.1:"}},
		{"no licence", dc(bitbucketsim.Unlicensed), nil, nil, 0, []string{"its owner has no Bitbucket licence"}},
		{"an app password", bitbucketsim.Token{Value: "MARKER-app-password", Kind: bitbucketsim.AppPassword}, nil, nil, 0, []string{"410: App passwords", "create an API token with", tokenPage}},
		{"an address that Bitbucket has removed", api(""), nil, &gone, 0, []string{"410: CHANGE-2770 - Functionality has been deprecated (announcement_url:", "the token is not the cause", "look for a newer version"}},
		{"a limit", api(""), nil, answers(http.StatusTooManyRequests, map[string]string{"Retry-After": "0"}, "Rate limit for this resource has been exceeded"), 0, []string{"Rate limit for this resource has been exceeded (Retry-After: 0)", "run again later"}},
		{"a server that is being restarted", dc(""), nil, answers(http.StatusServiceUnavailable, map[string]string{"Retry-After": "0", "Content-Type": "text/html"}, "<html>Starting</html>"), 0, []string{"503: a page of HTML", "the token may be valid; run again later"}},
		{"a certificate that is not trusted", api(""), map[string]string{"ca_certificate": ""}, nil, 0, []string{"certificate signed by unknown authority", "set ca_certificate"}},
		{"a sign-in proxy that redirects", dc(""), nil, answers(http.StatusFound, map[string]string{"Location": "https://sso.example.test/login?next=%2F"}, ""), 0, []string{"302: redirected to https://sso.example.test:", "the token is not sent after a redirect"}},
		{"a sign-in proxy that shows a page", dc(""), nil, answers(http.StatusOK, map[string]string{"Content-Type": "text/html"}, "<html>Log in</html>"), 0, []string{"not from a git server"}},
		{"a proxy that shows a page for Cloud", api(""), nil, answers(http.StatusForbidden, map[string]string{"Content-Type": "text/html"}, "<html>Blocked</html>"), 0, []string{"allow bitbucket.org in the proxy"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.bitbucket.AddToken(tt.token)
				if tt.fault != nil {
					w.bitbucket.Script.Add(*tt.fault)
				}
				inputs := w.inputs(map[string]string{"bitbucket_token": tt.token.Value})
				if tt.token.Kind == bitbucketsim.HTTPAccessToken {
					inputs["repo_url"] = w.dc.CloneURL()
				}
				for name, value := range tt.inputs {
					inputs[name] = value
				}
				log := w.refuses(inputs)
				for _, words := range tt.says {
					assert.Contains(t, log, words)
				}
				assert.Equal(t, tt.failed, w.bitbucket.FailedLogins(inputs["bitbucket_token"]))
			})
		})
	}
}

func TestAWrongContextPathWritesNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		elsewhere := strings.Replace(w.dc.CloneURL(), "/bitbucket/", "/", 1)
		log := w.refuses(w.inputs(map[string]string{"repo_url": elsewhere, "bitbucket_token": dcToken}))
		assert.Contains(t, log, "404: a page of HTML")
		assert.Contains(t, log, "the path in front of /scm/")
	})
}

func TestBearerOnlyIsAWarning(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.bitbucket.SetPolicy(bitbucketsim.DataCenterPolicy{BasicRefused: true})
		r := w.must(w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "mode": "plan"}))
		assert.Contains(t, r.log, "git in the image must be 2.46 or newer (as Basic: 403: Basic Authentication has been disabled on this instance)")
		w.requireNothingWritten()
	})
}

func TestEveryRepositoryThatRefusesIsNamed(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		var urls []string
		for _, slug := range []string{"one", "two", "three"} {
			urls = append(urls, w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: slug}).CloneURL())
		}
		w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/sample", "acme/two"}})
		log := w.refuses(w.inputs(map[string]string{"repo_url": w.cloud.CloneURL() + "\n" + strings.Join(urls, "\n")}))
		one, three := strings.Index(log, "against "+urls[0]), strings.Index(log, "against "+urls[2])
		assert.Positive(t, one, log)
		assert.Greater(t, three, one, log)
		assert.NotContains(t, log, "against "+urls[1])
		assert.NotContains(t, log, "against "+w.cloud.CloneURL())
	})
}

func TestATokenThatHasToPushAndCannotWritesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, token, says string }{
		{"an API token", cloudToken, "the scopes read:repository:bitbucket and write:repository:bitbucket"},
		{"a Data Center token", dcToken, "the permission Repository write"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				inputs := w.inputs(map[string]string{"bitbucket_token": tt.token, "require_write": "true"})
				if tt.token == dcToken {
					inputs["repo_url"] = w.dc.CloneURL()
				}
				log := w.refuses(inputs)
				assert.Contains(t, log, "and require_write asks for it: 403")
				assert.Contains(t, log, tt.says)
			})
		})
	}
}

// TestBothBadCredentialsAreReportedTogether: so that a user can fix both at once.
func TestBothBadCredentialsAreReportedTogether(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, tt := range []struct {
			url, token string
			pages      []string
		}{
			{w.cloud.CloneURL(), "ATATT3MARKER-unknown-0123456789abcdef=1A2B3C4D", []string{"https://id.atlassian.com/manage-profile/security/api-tokens"}},
			{w.cloud.CloneURL(), "ATCTT3xFfGMARKER-unknown-0123456789=1A2B3C4D", []string{
				"https://bitbucket.org/acme/sample/admin/access-tokens", "https://bitbucket.org/acme/workspace/settings/access-tokens",
			}},
			{w.dc.CloneURL(), "BBDC-MARKERunknown0123456789", []string{strings.TrimSuffix(w.dc.CloneURL(), "/scm/PRJ/sample.git") + "/plugins/servlet/access-tokens/manage"}},
		} {
			for _, mode := range []string{"plan", "apply"} {
				r := w.run(w.inputs(map[string]string{"warp_api_key": "wk-MARKER-of-nobody-0123456789", "repo_url": tt.url, "bitbucket_token": tt.token}), mode)
				assert.Equal(t, 1, r.code, r.log)
				assert.Contains(t, r.log, "Oz does not accept warp_api_key")
				assert.Contains(t, r.log, "create one as https://docs.warp.dev/reference/cli/api-keys says")
				assert.Contains(t, r.log, "the token was not accepted")
				for _, page := range tt.pages {
					assert.Contains(t, r.log, page)
				}
				assert.NotContains(t, r.log, "MARKER")
			}
		}
	})
}
