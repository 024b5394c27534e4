package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// stored is an Oz that has only the reads that an import needs.
type stored struct {
	reconcile.Reader // nil: every other call panics
	caller           warp.Caller
	secrets          []warp.Secret
	environments     []warp.Environment
}

func (s stored) GetCaller(context.Context) (warp.Caller, error)     { return s.caller, nil }
func (s stored) ListSecrets(context.Context) ([]warp.Secret, error) { return s.secrets, nil }
func (s stored) GetUploadKeys(context.Context) (warp.UploadKeys, error) {
	keys := warp.UploadKeys{User: "key", Teams: map[string]warp.UploadKey{}}
	for _, team := range s.caller.Teams {
		keys.Teams[team.UID] = "key"
	}
	return keys, nil
}

func (s stored) ListEnvironments(context.Context) ([]warp.EnvironmentListing, error) {
	var list []warp.EnvironmentListing
	for _, e := range s.environments {
		names, _ := e.Model.Secrets()
		list = append(list, warp.EnvironmentListing{UID: e.UID, Name: e.Model.Name(), Owner: e.Owner, SetupCommands: e.Model.SetupCommands(), Secrets: names})
	}
	return list, nil
}

func (s stored) GetEnvironment(_ context.Context, uid string) (warp.Environment, error) {
	for _, e := range s.environments {
		if e.UID == uid {
			return e, nil
		}
	}
	return warp.Environment{}, errors.New("no such environment")
}

func (s stored) GetEnvironments(ctx context.Context, uids []string) []warp.Answer {
	answers := make([]warp.Answer, len(uids))
	for i, uid := range uids {
		answers[i].Environment, answers[i].Err = s.GetEnvironment(ctx, uid)
	}
	return answers
}

// imported returns what import prints, and the UIDs of its entries in the plan over it.
// Every entry must be kept, and each environment has at most one.
func (s stored) imported(t *testing.T) (text string, uids []string) {
	t.Helper()
	asked := config.Import{Job: config.Job{WarpAPIKey: sensitive.New("wk-MARKER-key-5d1c0a7be2"), Entries: make([]config.Entry, 1)}}
	text, err := listOz(t.Context(), asked, slog.New(slog.NewTextHandler(io.Discard, nil)), s)
	require.NoError(t, err)
	if !strings.Contains(text, "\n  - ") {
		return text, nil
	}
	values := map[string]string{"mode": "plan", "manifest": "oz.yml", "warp_api_key": "wk-MARKER-key-5d1c0a7be2"}
	job, err := config.Parse(values, func(string) ([]byte, error) { return []byte(text), nil }, func(string) string { return "" })
	require.Empty(t, problem.All(err), text)
	require.NoError(t, err)
	w, err := reconcile.Survey(t.Context(), s, func(warp.EnvironmentListing) bool { return true })
	require.NoError(t, err)
	var wanted []reconcile.Desired
	for _, entry := range job.Entries {
		wanted = append(wanted, desired(job, entry, preflight.Proof{}))
	}
	plan := reconcile.Diff(reconcile.Provision, wanted, w)
	require.False(t, plan.Changes(), text)
	for i, e := range plan.Environments {
		require.NoError(t, e.Err, text)
		require.Equal(t, reconcile.Keep, e.Change, "entry %d: %v\n%s", i+1, e.Fields, text)
		require.NotContains(t, uids, e.UID, text)
		uids = append(uids, e.UID)
	}
	return text, uids
}

// fleetOf makes environments at random. ours are those that an apply of this program could
// have written; the others were made without it.
type fleetOf struct {
	*rand.Rand
	stored
	ours []string
}

func (f *fleetOf) chance(percent int) bool { return f.IntN(100) < percent }

func pick[T any](f *fleetOf, of ...T) T { return of[f.IntN(len(of))] }

var (
	oddNames = []string{"on", "123", "~", "null", "no", "a: b", "# x", "grüße 🦀", "日本語", "'", `"`, "- x", "a  b", "%", "@x", "{a}", "[b]", "&x", "*x", "!x", "|", "0x1F", "1e3", "true", "a #b", `back\slash`, "::x::", "##[x]", "2027-01-31"}
	badNames = []string{"", " x", "x ", "two\nlines", "tab\tbed", "zero\u200bwidth", "nb\u00a0sp"}

	userCommands = []string{
		"npm ci", "make a && make b", "sleep 1 & make", "echo 'it''s' \"quoted\"; true", "cat > x <<'E'\na: b\n  - c\nE", "test -f a || touch a", "FOO=1 ./run --x=y", "echo $HOME ${PATH}", "echo \\# no comment",
		"git config user.name 'A  B'", "echo 'grüße: 日本'", "printf '%s\\n' \"a::b\"", "echo ##[group]x", "pip install -r requirements.txt",
	}
	foreignCommands = []string{
		"apt-get update", "cd elsewhere && make", "cd ./app && ", "# a comment", "", "  padded  ", "git clone https://github.com/acme/x.git", "two\nlines", "if", "git clone git@bitbucket.org:acme/ssh.git",
		"git clone https://bitbucket.org/acme/public.git", "echo $BITBUCKET_API_TOKEN | wc -c", "cd ./app && # only this", "git config --global credential.https://bitbucket.org.helper '!f() { echo username=jane; echo \"password=$OTHER\"; }; f'",
	}
)

func (f *fleetOf) repositories(flavor bitbucket.Flavor) []bitbucket.Repository {
	base := pick(f, "https://git.example.com/", "https://git.example.com:7990/bitbucket/", "http://127.0.0.1:7990/") + "scm/" + pick(f, "PRJ", "~jane", "prj2") + "/"
	if flavor == bitbucket.Cloud {
		base = "https://bitbucket.org/acme/"
	}
	if f.chance(10) {
		base = strings.Replace(base, "https://git", "http://git", 1)
	}
	var list []bitbucket.Repository
	slugs := []string{"app", "lib", "web.js", "a_b", "x-1", "docs"}
	f.Shuffle(len(slugs), func(i, j int) { slugs[i], slugs[j] = slugs[j], slugs[i] })
	for _, slug := range slugs[:1+f.IntN(3)] {
		r, err := bitbucket.Parse(base+slug+".git", "")
		if err != nil {
			panic(err)
		}
		list = append(list, r)
	}
	return list
}

// add adds one environment.
func (f *fleetOf) add() {
	uid := fmt.Sprintf("En%020d", len(f.environments)+1)
	owner := pick(f, warp.Owner{Type: warp.UserOwner, UID: f.caller.UID}, warp.Owner{Type: warp.TeamOwner, UID: f.caller.Teams[0].UID}, warp.Owner{Type: warp.TeamOwner, UID: f.caller.Teams[len(f.caller.Teams)-1].UID})
	flavor := pick(f, bitbucket.Cloud, bitbucket.DataCenter)
	kind, secret := pick(f, flavor.TokenKinds()...), pick(f, config.DefaultSecretName(flavor), "WEB_TOKEN", "_t0")
	auth, depth, branch := pick(f, setup.Helper, setup.Helper, setup.URL), pick(f, 0, 0, 1, 50), pick(f, "", "", "main", "feature/x", "it's")
	bearerOnly := flavor == bitbucket.DataCenter && auth == setup.Helper && f.chance(20)
	repositories := f.repositories(flavor)
	var clones []setup.Clone
	for i, r := range repositories {
		c := setup.Clone{Repository: r, Secret: secret, Kind: kind, Auth: auth, Depth: depth, BearerOnly: bearerOnly}
		if i == 0 {
			c.Branch = branch
		}
		clones = append(clones, c)
	}
	var user []string
	for range f.IntN(4) {
		user = append(user, pick(f, userCommands...))
	}
	commands := setup.Merge(nil, clones, user, true)
	name := repositories[0].EnvironmentName()
	if f.chance(50) {
		name = pick(f, oddNames...)
	}
	m := warp.NewModel(name).With(warp.KeyDockerImage, pick(f, "ubuntu:24.04", reconcile.DefaultImage, "registry.example.com:5000/a/b@sha256:"+strings.Repeat("0a", 32)))
	if f.chance(40) {
		m = m.With(warp.KeyDescription, pick(f, "plain", "two\nlines", "a: b # c", "yes", "\"quoted\"", "–dash–"))
	}
	for _, listed := range slices.Concat([]string{"NPM_TOKEN"}[:f.IntN(2)], []string{secret}, []string{"OTHER"}[:f.IntN(2)]) {
		m = m.WithSecret(listed)
	}
	f.secrets = append(f.secrets, warp.Secret{Name: secret, Owner: owner, Type: warp.RawValue})
	ours := true
	for _, disturb := range []func(){
		func() { m = m.With(warp.KeyName, pick(f, badNames...)) },
		func() {
			m = m.With(warp.KeyDescription, pick(f, " padded ", strings.Repeat("x", 241), "zero\u200bwidth", "\x1b[31m"))
		},
		func() { m = m.With(warp.KeyDockerImage, pick(f, "", "not an image", "UPPER", "a:b:c")) },
		func() { m = m.Without(warp.KeySecrets) },
		func() { m = m.Without(warp.KeySetupCommands) },
		func() { m = m.With(warp.KeySecrets, []map[string]string{{"name": "bad-name"}, {"name": secret}}) },
		func() {
			commands = slices.Insert(slices.Clone(commands), f.IntN(len(commands)+1), pick(f, foreignCommands...))
		},
		func() {
			commands = slices.Insert(slices.Clone(commands), f.IntN(len(commands)+1), pick(f, foreignCommands...))
		},
		func() { commands = append(slices.Clone(commands), pick(f, commands...)) },
		func() { i := f.IntN(len(commands)); commands = slices.Delete(slices.Clone(commands), i, i+1) },
		func() {
			f.Shuffle(len(commands), func(i, j int) { commands[i], commands[j] = commands[j], commands[i] })
		},
		func() { i := f.IntN(len(commands)); commands[i] = strings.ReplaceAll(commands[i], secret, "ANOTHER") },
		func() {
			i := f.IntN(len(commands))
			commands[i] = strings.ReplaceAll(commands[i], "git clone ", "git clone -q --recurse-submodules ")
		},
		func() { i := f.IntN(len(commands)); commands[i] += " && cd app && make" },
		func() {
			f.secrets = slices.Insert(f.secrets, 0, warp.Secret{Name: secret, Owner: owner, Type: "OTHER_TYPE"})
		},
		func() {
			f.secrets = slices.DeleteFunc(f.secrets, func(s warp.Secret) bool { return s.Name == secret && s.Owner == owner })
		},
		func() { owner = warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000Z"} },
	} {
		if f.chance(4) {
			disturb()
			ours = false
		}
	}
	if m.Raw(warp.KeySetupCommands) != nil || len(commands) > 0 {
		m = m.With(warp.KeySetupCommands, commands)
	}
	if ours {
		f.ours = append(f.ours, uid)
	}
	f.environments = append(f.environments, warp.Environment{UID: uid, Owner: owner, Model: m})
}

// of is an environment of team Acme in our helper form, with the given commands added.
func of(t *testing.T, uid, name, url string, more ...string) warp.Environment {
	t.Helper()
	r, err := bitbucket.Parse(url, "")
	require.NoError(t, err)
	secret := config.DefaultSecretName(r.Flavor)
	clone := setup.Clone{Repository: r, Secret: secret, Kind: r.Flavor.TokenKinds()[0], Auth: setup.Helper}
	m := warp.NewModel(name).With(warp.KeyDockerImage, "ubuntu:24.04").WithSecret(secret).With(warp.KeySetupCommands, append(setup.Merge(nil, []setup.Clone{clone}, nil, true), more...))
	return warp.Environment{UID: uid, Owner: warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000A"}, Model: m}
}

func TestWhatIsImported(t *testing.T) {
	t.Parallel()
	const app, server = "https://bitbucket.org/acme/app.git", "https://git.example.com/scm/PRJ/app.git"
	one, two := "En00000000000000000001", "En00000000000000000002"
	trashed := of(t, two, "gone", app)
	trashed.Trashed = true
	elsewhere := of(t, two, "acme-app", app)
	elsewhere.Model = elsewhere.Model.With(warp.KeySetupCommands, []string{"make"})
	for name, tt := range map[string]struct {
		environments []warp.Environment
		live         []string
		want, not    []string
	}{
		"the usual one":                 {[]warp.Environment{of(t, one, "acme-app", app)}, []string{one}, []string{"environments:\n  - repo_url: " + app + "\n    docker_image: ubuntu:24.04\n"}, []string{"defaults", "_name", "_variable", "scope"}},
		"none":                          {nil, nil, []string{"environments: []\n"}, nil},
		"one in the trash":              {[]warp.Environment{of(t, one, "acme-app", app), trashed}, []string{one}, nil, []string{two}},
		"a twin that is no Bitbucket's": {[]warp.Environment{of(t, one, "acme-app", app), elsewhere}, []string{one}, []string{"environment_id: " + one}, []string{two}},
		"two servers":                   {[]warp.Environment{of(t, one, "acme-app", app), of(t, two, "PRJ-app", server)}, []string{one, two}, []string{"_variable: BITBUCKET_API_TOKEN\n", "_variable: OZ_BITBUCKET_TOKEN\n"}, nil},
		"a clone by hand after the login": {[]warp.Environment{of(t, one, "acme-app", app, "git clone https://bitbucket.org/acme/lib.git")}, []string{one},
			[]string{"repo_url: " + app + "\n", "kept as it is, because an entry cannot say it: setup_commands"}, []string{"lib"}},
		"in common": {[]warp.Environment{of(t, one, "acme-app", app), of(t, two, "b", app, "cd ./app && make")}, []string{one, two}, []string{"defaults:\n  docker_image: ubuntu:24.04\nenvironments:\n", "    setup_commands: make\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stored{caller: warp.Caller{UID: "jane", Teams: []warp.Team{{UID: "Tm0000000000000000000A", Name: "Acme"}}}, environments: tt.environments}
			for _, secret := range []string{"BITBUCKET_API_TOKEN", "BITBUCKET_TOKEN"} {
				s.secrets = append(s.secrets, warp.Secret{Name: secret, Owner: warp.Owner{Type: warp.TeamOwner, UID: "Tm0000000000000000000A"}, Type: warp.RawValue})
			}
			text, uids := s.imported(t)
			assert.ElementsMatch(t, tt.live, uids, text)
			for _, want := range tt.want {
				assert.Contains(t, text, want)
			}
			for _, not := range tt.not {
				assert.NotContains(t, text, not)
			}
		})
	}
}
