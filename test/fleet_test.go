package test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// manifest writes a manifest and returns the inputs of a job over it.
func (w *world) manifest(text string, changes map[string]string) map[string]string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "oz-environments.yml")
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o600))
	inputs := w.inputs(changes)
	delete(inputs, "repo_url")
	inputs["manifest"] = path
	return inputs
}

// repositories adds private repositories of Cloud, acme/SLUG.
func (w *world) repositories(slugs ...string) {
	w.t.Helper()
	for _, slug := range slugs {
		w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: slug})
	}
}

// entry is an element of the output environments.
type entry struct{ ID, Name, Change, Verdict, Error string }

func (r result) environments(t *testing.T) []entry {
	t.Helper()
	var list []entry
	require.NoError(t, json.Unmarshal([]byte(r.outputs["environments"]), &list), r.outputs["environments"])
	return list
}

// column returns one value of each entry.
func column(list []entry, of func(entry) string) []string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = of(e)
	}
	return texts
}

func changesOf(list []entry) []string { return column(list, func(e entry) string { return e.Change }) }
func namesOf(list []entry) []string   { return column(list, func(e entry) string { return e.Name }) }

const threeEntries = `
defaults:
  docker_image: ubuntu:24.04
environments:
  - repo_url: https://bitbucket.org/acme/web.git
  - repo_url: https://bitbucket.org/acme/api.git
    setup_commands: [test -f README.md]
  - repo_url:
      - https://bitbucket.org/acme/shop.git
      - https://bitbucket.org/acme/web.git
    environment_name: shop
    secret_name: SHOP_TOKEN
    bitbucket_token_variable: SHOP_BITBUCKET_TOKEN
`

// fleet adds the repositories of threeEntries and the token of the third to a world.
func fleet(w *world) {
	w.repositories("web", "api", "shop")
	w.bitbucket.AddToken(bitbucketsim.Token{Value: accessToken, Kind: bitbucketsim.AccessToken})
	w.environ = append(w.environ, "SHOP_BITBUCKET_TOKEN="+accessToken)
}

func TestAFleetIsApplied(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		r := w.must(w.manifest(threeEntries, nil))
		list := r.environments(t)
		assert.Equal(t, []string{"acme-web", "acme-api", "shop"}, namesOf(list))
		assert.Equal(t, []string{"create", "create", "create"}, changesOf(list))
		assert.Equal(t, []string{"passed", "passed", "passed"}, column(list, func(e entry) string { return e.Verdict }))
		assert.Equal(t, "true", r.outputs["changed"])
		assert.Equal(t, "passed", r.outputs["smoke_test"])
		for name, value := range r.outputs {
			if name != "environments" && name != "changed" && name != "smoke_test" {
				assert.Empty(t, value, name)
			}
		}
		require.Len(t, w.oz.Environments(), 3)
		values := map[string]bool{}
		for _, secret := range w.oz.Secrets() {
			values[secret.Name] = secret.Value == cloudToken && secret.Name == "BITBUCKET_API_TOKEN" || secret.Value == accessToken && secret.Name == "SHOP_TOKEN"
		}
		assert.Equal(t, map[string]bool{"BITBUCKET_API_TOKEN": true, "SHOP_TOKEN": true}, values)
		assert.Equal(t, 2, w.oz.Counts()["CreateManagedSecret"], "each secret is written once")
		assert.Contains(t, r.log, "3 to create, 2 secrets to create")

		r = w.must(w.manifest(threeEntries, nil))
		list = r.environments(t)
		assert.Equal(t, []string{"keep", "keep", "keep"}, changesOf(list))
		assert.Equal(t, "false", r.outputs["changed"])
		assert.Equal(t, []string{"passed", "skipped", "passed"}, column(list, func(e entry) string { return e.Verdict }), "one test for each secret that was written")
		require.Len(t, w.oz.Environments(), 3)
		assert.Contains(t, r.log, "3 unchanged, 2 secrets to rotate")
	})
}

func TestAPlanOfAFleetWritesNothing(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		r := w.must(w.manifest(threeEntries, map[string]string{"mode": "plan"}))
		assert.Equal(t, []string{"create", "create", "create"}, changesOf(r.environments(t)))
		assert.Equal(t, "true", r.outputs["changed"])
		assert.Contains(t, r.log, `environment "acme-web": create`)
		w.requireNothingWritten()
		assert.Equal(t, 4, w.run(w.manifest(threeEntries, map[string]string{"mode": "plan", "detailed_exitcode": "true"})).code)

		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		changed := strings.Replace(threeEntries, "README.md", "main.go", 1)
		r = w.run(w.manifest(changed, map[string]string{"mode": "plan", "detailed_exitcode": "true"}))
		assert.Equal(t, 4, r.code, r.log)
		assert.Equal(t, []string{"keep", "update", "keep"}, changesOf(r.environments(t)))
		assert.Contains(t, r.log, "1 to update, 2 unchanged, 2 secrets to rotate")
		assert.NotContains(t, r.log, `environment "shop"`, "unchanged environments are only counted")
	})
}

// TestAnEntryThatFailsIsItsOwnFailure: its repository does not exist. The others go on.
func TestAnEntryThatFailsIsItsOwnFailure(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		broken := strings.Replace(threeEntries, "acme/api.git", "acme/gone.git", 1)
		r := w.run(w.manifest(broken, nil))
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"acme-web", "acme-gone", "shop"}, namesOf(list))
		assert.Equal(t, []string{"create", "", "create"}, changesOf(list))
		assert.Contains(t, list[1].Error, "acme/gone does not exist, or the token may not see it")
		assert.Empty(t, list[0].Error+list[2].Error)
		assert.Equal(t, []string{"passed", "", "passed"}, column(list, func(e entry) string { return e.Verdict }))
		assert.Contains(t, r.log, "1 of 3 environments failed")
		assert.Len(t, w.oz.Environments(), 2)

		r = w.must(w.manifest(threeEntries, nil))
		assert.Equal(t, []string{"keep", "create", "keep"}, changesOf(r.environments(t)))
	})
}

// TestASecretOfAFleetIsSafe: a token that does not serve a live environment of the file is
// not stored, and no other entry of that secret is written.
func TestASecretOfAFleetIsSafe(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		narrow := bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken, Repositories: []string{"acme/web"}}
		w.bitbucket.AddToken(narrow)
		changed := strings.NewReplacer("ubuntu:24.04", "ubuntu:22.04").Replace(threeEntries)
		r := w.run(w.manifest(changed, map[string]string{"bitbucket_token": nextToken, "smoke_test": "false"}))
		assert.Equal(t, 1, r.code, r.log)
		list := r.environments(t)
		assert.Equal(t, []string{"", "", "update"}, changesOf(list))
		for _, e := range list[:2] {
			assert.Contains(t, e.Error, "acme/api")
		}
		for _, secret := range w.oz.Secrets() {
			if secret.Name == "BITBUCKET_API_TOKEN" {
				assert.True(t, secret.Value == cloudToken, "another value is stored")
			}
		}
	})
}

func TestAFleetIsRotatedTestedAndDestroyed(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		w.must(w.manifest(threeEntries, map[string]string{"smoke_test": "false"}))
		w.bitbucket.AddToken(bitbucketsim.Token{Value: nextToken, Kind: bitbucketsim.APIToken})
		before := w.oz.Counts()["UpdateManagedSecret"]
		r := w.must(w.manifest(threeEntries, map[string]string{"mode": "rotate", "bitbucket_token": nextToken}))
		assert.Equal(t, 2, w.oz.Counts()["UpdateManagedSecret"]-before, "each secret once")
		assert.Equal(t, "false", r.outputs["changed"])
		assert.ElementsMatch(t, []string{"acme-web", "acme-api", "shop"}, namesOf(r.environments(t)))

		r = w.must(w.manifest(threeEntries, map[string]string{"mode": "test", "bitbucket_token": nextToken}))
		assert.Equal(t, []string{"passed", "passed", "passed"}, column(r.environments(t), func(e entry) string { return e.Verdict }))

		r = w.must(w.manifest(threeEntries, map[string]string{"mode": "destroy", "delete_secret": "true", "dry_run": "true"}))
		assert.Len(t, w.oz.Environments(), 3)
		r = w.must(w.manifest(threeEntries, map[string]string{"mode": "destroy", "delete_secret": "true"}))
		assert.Equal(t, []string{"delete", "delete", "delete"}, changesOf(r.environments(t)))
		assert.Empty(t, w.oz.Environments())
		assert.Empty(t, w.oz.Secrets())
	})
}

// many returns a manifest of n entries that share a secret.
func (w *world) many(n int) string {
	var text strings.Builder
	text.WriteString("environments:\n")
	for i := range n {
		slug := fmt.Sprintf("many-%03d", i)
		w.repositories(slug)
		fmt.Fprintf(&text, "  - repo_url: https://bitbucket.org/acme/%s.git\n", slug)
	}
	return text.String()
}

// TestAFleetThroughFaults: lost answers, limits and outages in the middle. Nothing is made
// twice or missing.
func TestAFleetThroughFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	text := w.many(12)
	for _, f := range []fault.Fault{
		{Operation: "CreateGenericStringObject", When: fault.After, Status: 502, Times: 3},
		{Operation: "CreateGenericStringObject", When: fault.Before, Status: 429, Times: 2},
		{Operation: "GetCloudEnvironments", When: fault.Before, Status: 503, Times: 1},
	} {
		w.oz.Script.Add(f)
	}
	inputs := w.manifest(text, map[string]string{"smoke_test": "false"})
	r := w.run(inputs)
	for range 3 { // the next run does what failed
		if r.code == 0 {
			break
		}
		r = w.run(inputs)
	}
	require.Zero(t, r.code, r.log)
	assert.Len(t, w.oz.Environments(), 12)
	names := map[string]int{}
	for _, e := range w.oz.Environments() {
		names[e.Owner.UID+model(t, e)["name"].(string)]++
	}
	assert.Len(t, names, 12)
	r = w.must(inputs)
	assert.Equal(t, "false", r.outputs["changed"])
	w.requireClean()
}

// TestPartsMakeAWhole: one part works on each entry, one part writes each secret, and an empty
// part does nothing.
func TestPartsMakeAWhole(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		fleet(w)
		var names []string
		for part := range 4 {
			r := w.must(w.manifest(threeEntries, map[string]string{"shard": fmt.Sprintf("%d/4", part+1), "smoke_test": "false"}))
			list := r.environments(t)
			if len(list) == 0 {
				assert.Contains(t, r.log, "this part of the manifest is empty")
				assert.Equal(t, "false", r.outputs["changed"])
			}
			names = append(names, namesOf(list)...)
		}
		assert.ElementsMatch(t, []string{"acme-web", "acme-api", "shop"}, names)
		assert.Equal(t, 2, w.oz.Counts()["CreateManagedSecret"])
		assert.Zero(t, w.oz.Counts()["UpdateManagedSecret"])
	})
}

// TestAManifestOfOneEntryIsThatEntry: the single outputs are set.
func TestAManifestOfOneEntryIsThatEntry(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		r := w.must(w.manifest("environments:\n  - repo_url: "+w.cloud.CloneURL()+"\n", nil))
		assert.Equal(t, w.onlyEnvironment().UID, r.outputs["environment_id"])
		assert.Equal(t, "create", r.outputs["environment_change"])
		assert.Equal(t, w.cloud.Head(), r.outputs["head_commit"])
		assert.Equal(t, "passed", r.outputs["smoke_test"])

		r = w.must(w.manifest("environments:\n  - repo_url: "+w.cloud.CloneURL()+"\n", nil))
		assert.Equal(t, "keep", r.outputs["environment_change"])
		w.onlyEnvironment()
	})
}
