package setup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	clone := func(slug string) setup.Clone {
		return setup.Clone{
			Repository: repository(t, "https://bitbucket.org/acme/"+slug),
			Secret:     "TOKEN", Kind: bitbucket.APIToken, Auth: setup.URL,
		}
	}
	app, lib := clone("app"), clone("lib")
	const (
		newApp  = "git clone https://x-bitbucket-api-token-auth:$TOKEN@bitbucket.org/acme/app.git"
		newLib  = "git clone https://x-bitbucket-api-token-auth:$TOKEN@bitbucket.org/acme/lib.git"
		oldApp  = "git clone https://jane:$OLD@bitbucket.org/acme/app.git"
		oldLib  = "git clone git@bitbucket.org:acme/lib.git"
		foreign = "git clone https://github.com/acme/app.git"
	)
	byHelper, libByHelper := app, lib
	byHelper.Auth, libByHelper.Auth = setup.Helper, setup.Helper
	ofAnother := byHelper
	ofAnother.Secret, ofAnother.Kind = "OTHER", bitbucket.AccessToken
	const handLogin = `git config --global credential.https://bitbucket.org.helper '!f() { echo username=jane; echo "password=$OLD"; }; f'`

	tests := []struct {
		name     string
		existing []string
		clones   []setup.Clone
		user     []string
		given    bool
		want     []string
	}{
		{"a new environment", nil, []setup.Clone{app}, nil, false, []string{newApp}},
		{"a new environment with commands", nil, []setup.Clone{app, lib}, []string{"make a", "make b"}, true,
			[]string{newApp, newLib, "cd ./app && make a", "cd ./app && make b"}},
		{"given commands replace all", []string{"one", oldApp, "two"}, []setup.Clone{app}, []string{"make"}, true,
			[]string{newApp, "cd ./app && make"}},
		{"given but none", []string{"one", oldApp, "two"}, []setup.Clone{app}, nil, true, []string{newApp}},
		{"not given: the list stays", []string{"one", newApp, "two"}, []setup.Clone{app}, []string{"ignored"}, false,
			[]string{"one", newApp, "two"}},
		{"replaced where it stands", []string{"one", oldApp, "two"}, []setup.Clone{app}, nil, false,
			[]string{"one", newApp, "two"}},
		{"duplicates go", []string{oldApp, "one", newApp, oldApp}, []setup.Clone{app}, nil, false,
			[]string{newApp, "one"}},
		{"missing, at the front", []string{"one", "two"}, []setup.Clone{app}, nil, false,
			[]string{newApp, "one", "two"}},
		{"missing, after the one before", []string{"one", oldApp, "two"}, []setup.Clone{app, lib}, nil, false,
			[]string{"one", newApp, newLib, "two"}},
		{"the primary is missing", []string{"one", oldLib, "two"}, []setup.Clone{app, lib}, nil, false,
			[]string{newApp, "one", newLib, "two"}},
		{"both missing", []string{"one"}, []setup.Clone{app, lib}, nil, false, []string{newApp, newLib, "one"}},
		{"in another order", []string{oldLib, "one", oldApp}, []setup.Clone{app, lib}, nil, false,
			[]string{newLib, "one", newApp}},
		{"others stay, equal ones too", []string{foreign, "make", "make"}, []setup.Clone{app}, nil, false,
			[]string{newApp, foreign, "make", "make"}},
		{"from one way to the other", append(byHelper.LogIn(), byHelper.Command(), "one"), []setup.Clone{app}, nil, false,
			[]string{newApp, "one"}},
		{"and back", []string{newApp, "one"}, []setup.Clone{byHelper}, nil, false,
			append(byHelper.LogIn(), byHelper.Command(), "one")},
		{"a new environment by helper", nil, []setup.Clone{byHelper, libByHelper}, []string{"make"}, true,
			append(byHelper.LogIn(), byHelper.Command(), libByHelper.Command(), "cd ./app && make")},
		{"one login stays where it stands", slices.Concat(byHelper.LogIn()[:1], []string{"one"}, byHelper.LogIn()[1:], []string{"two", byHelper.Command()}, byHelper.LogIn()), []setup.Clone{byHelper}, nil, false,
			append(byHelper.LogIn(), "one", "two", byHelper.Command())},
		{"the login of another secret", slices.Concat([]string{"one"}, ofAnother.LogIn(), []string{byHelper.Command()}), []setup.Clone{byHelper}, nil, false,
			slices.Concat([]string{"one"}, byHelper.LogIn(), []string{byHelper.Command()})},
		{"a login by hand", []string{"one", handLogin, "two", "git clone https://bitbucket.org/acme/app.git"}, []setup.Clone{byHelper}, nil, false,
			slices.Concat([]string{"one"}, byHelper.LogIn(), []string{"two", byHelper.Command()})},
		{"before every clone of the server", []string{"one", libByHelper.Command(), "two", byHelper.Command()}, []setup.Clone{byHelper}, nil, false,
			slices.Concat([]string{"one"}, byHelper.LogIn(), []string{libByHelper.Command(), "two", byHelper.Command()})},
		{"a login that another clone needs", slices.Concat(byHelper.LogIn(), []string{byHelper.Command(), "cd x && " + "git clone https://bitbucket.org/acme/lib.git"}), []setup.Clone{app}, nil, false,
			append(byHelper.LogIn(), newApp, "cd x && git clone https://bitbucket.org/acme/lib.git")},
		{"a loop that needs it", slices.Concat(byHelper.LogIn(), []string{byHelper.Command(), "for r in lib; do git clone https://bitbucket.org/acme/$r; done"}), []setup.Clone{app}, nil, false,
			append(byHelper.LogIn(), newApp, "for r in lib; do git clone https://bitbucket.org/acme/$r; done")},
		{"before a loop that needs it", []string{"make", "for r in lib; do git clone https://bitbucket.org/acme/$r; done", newApp}, []setup.Clone{byHelper}, nil, false,
			slices.Concat([]string{"make"}, byHelper.LogIn(), []string{"for r in lib; do git clone https://bitbucket.org/acme/$r; done", byHelper.Command()})},
		{"a clone of two", []string{oldApp + " && " + oldLib}, []setup.Clone{app}, nil, false, []string{newApp, oldApp + " && " + oldLib}},
		{"a clone and a fetch", []string{oldApp + " && git -C other fetch"}, []setup.Clone{app}, nil, false, []string{newApp, oldApp + " && git -C other fetch"}},
		{"an export with a login", []string{"export NODE_ENV=ci && " + handLogin, newApp}, []setup.Clone{app}, nil, false, []string{"export NODE_ENV=ci && " + handLogin, newApp}},
		{"a login of one checkout", []string{newApp, strings.Replace(handLogin, "git config --global", "git -C app config", 1)}, []setup.Clone{app}, nil, false,
			[]string{newApp, strings.Replace(handLogin, "git config --global", "git -C app config", 1)}},
		{"another server's login", []string{`git config --global credential.https://github.com.helper '!gh auth git-credential'`, newApp}, []setup.Clone{app}, nil, false,
			[]string{`git config --global credential.https://github.com.helper '!gh auth git-credential'`, newApp}},
		{"not a login", []string{`git config --global http.https://bitbucket.org/.extraHeader "X-Proxy: 1"`, "git config --global http.https://bitbucket.org.sslVerify true"}, []setup.Clone{app}, nil, false,
			[]string{newApp, `git config --global http.https://bitbucket.org/.extraHeader "X-Proxy: 1"`, "git config --global http.https://bitbucket.org.sslVerify true"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := append([]string(nil), tt.existing...)
			got := setup.Merge(tt.existing, tt.clones, tt.user, tt.given)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, before, tt.existing, "the existing list is not written to")
			assert.Equal(t, tt.want, setup.Merge(got, tt.clones, tt.user, tt.given), "again")
		})
	}
}

// TestMergeKeepsTheFormThatIsThere: a plan without a token cannot know the form, and a
// repository has several spellings.
func TestMergeKeepsTheFormThatIsThere(t *testing.T) {
	t.Parallel()
	for _, auth := range []setup.Auth{setup.Helper, setup.URL} {
		cloud := setup.Clone{Repository: repository(t, "https://bitbucket.org/acme/app"), Secret: "T", Kind: bitbucket.AccessToken, Auth: auth}
		guess := cloud
		guess.Kind, guess.Guess = bitbucket.APIToken, true
		existing := append(cloud.LogIn(), cloud.Command(), "make")
		assert.Equal(t, existing, setup.Merge(existing, []setup.Clone{guess}, nil, false), "the kind of a guess")
		guess.Guess = false
		assert.NotEqual(t, existing, setup.Merge(existing, []setup.Clone{guess}, nil, false), "the kind of a proof")
		guess.Guess = true
		ssh := []string{"git clone git@bitbucket.org:acme/app.git"}
		assert.Equal(t, append(guess.LogIn(), guess.Command()), setup.Merge(ssh, []setup.Clone{guess}, nil, false), "SSH shows no kind")

		server := setup.Clone{Repository: repository(t, "https://git.example.com/scm/prj/App"), Secret: "T", Kind: bitbucket.HTTPAccessToken, Auth: auth, BearerOnly: true}
		other := server
		other.Repository, other.BearerOnly, other.Guess = repository(t, "https://git.example.com/scm/PRJ/app"), false, true
		existing = append(server.LogIn(), server.Command(), "cd ./App && make")
		assert.Equal(t, existing, setup.Merge(existing, []setup.Clone{other}, nil, false), "Bearer and the spelling")
		assert.Equal(t, existing, setup.Merge(existing, []setup.Clone{other}, []string{"make"}, true), "and the directory goes with it")
		other.Guess = false
		server.BearerOnly = false
		assert.Equal(t, append(server.LogIn(), server.Command(), "cd ./App && make"), setup.Merge(existing, []setup.Clone{other}, nil, false), "a proof is no guess")
	}
}

// Merging the result again changes nothing. Each repository is cloned once. Commands other
// than clones keep their order.
func FuzzMerge(f *testing.F) {
	f.Add("make\ngit clone https://bitbucket.org/acme/app", "npm ci", false, true)
	f.Add("git clone git@bitbucket.org:acme/lib.git\ngit clone https://bitbucket.org/acme/lib", "a\nb", true, false)
	f.Add(strings.Join(setup.Clone{Repository: repository(f, "https://bitbucket.org/acme/app"), Secret: "OLD", Kind: bitbucket.AccessToken, Auth: setup.Helper}.LogIn(), "\n"), "a & b", false, true)
	f.Fuzz(func(t *testing.T, existing, user string, given, helper bool) {
		var clones []setup.Clone
		for _, slug := range []string{"app", "lib"} {
			c := setup.Clone{Repository: repository(t, "https://bitbucket.org/acme/"+slug), Secret: "T", Kind: bitbucket.APIToken, Auth: setup.URL}
			if helper {
				c.Auth = setup.Helper
			}
			clones = append(clones, c)
		}
		got := setup.Merge(lines(existing), clones, lines(user), given)
		assert.Equal(t, got, setup.Merge(got, clones, lines(user), given))
		assert.Len(t, setup.Words(got), len(got))

		login := clones[0].LogIn()
		if given {
			assert.Len(t, got, len(login)+2+len(lines(user)))
			return
		}
		for _, command := range login {
			assert.Equal(t, 1, count(got, command))
		}
		for _, c := range clones {
			assert.Equal(t, 1, count(got, c.Command()))
		}
		// the remaining commands keep their order
		rest := lines(existing)
		for _, command := range got {
			if at := slices.Index(rest, command); at >= 0 && !slices.Contains(login, command) && !setup.Clones(command, clones[0].Repository) && !setup.Clones(command, clones[1].Repository) {
				rest = rest[at+1:]
			}
		}
		for _, lost := range rest {
			gone := setup.Clones(lost, clones[0].Repository) || setup.Clones(lost, clones[1].Repository) || strings.Contains(lost, "git config --global")
			assert.True(t, gone, lost)
		}
	})
}

// count returns how often a list holds a command.
func count(list []string, command string) int {
	n := 0
	for _, one := range list {
		if one == command {
			n++
		}
	}
	return n
}
