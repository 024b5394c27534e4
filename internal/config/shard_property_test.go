package config

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// sharded is an entry of a file that a generator wrote.
type sharded struct {
	name   string // of its environment
	secret string // its owner and name
	text   string
}

// entriesOf makes n entries whose names begin with a word. They share some secrets,
// spell team in several ways, and differ in irrelevant keys.
func entriesOf(r *rand.Rand, word string, n int) []sharded {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	list := make([]sharded, n)
	for i := range list {
		e := &list[i]
		e.name = word + strconv.Itoa(i)
		name, address := "BITBUCKET_API_TOKEN", "https://bitbucket.org/acme/"
		if r.IntN(4) == 0 {
			name, address = "BITBUCKET_TOKEN", "https://git.example.com/scm/PRJ/"
		}
		e.text = "- repo_url: " + address + e.name + ".git\n  environment_name: " + e.name + "\n"
		if r.IntN(3) > 0 {
			name = "S" + strconv.Itoa(r.IntN(6))
		}
		if !strings.HasPrefix(name, "BITBUCKET") || r.IntN(2) == 0 { // the default, given or not
			e.text += "  secret_name: " + name + "\n"
		}
		scope := one("team", "team", "personal")
		e.secret = scope + " " + name
		if scope == "personal" {
			e.text += "  scope: personal\n"
		} else {
			e.text += one("", "  team: Acme\n", "  team: Tm0000000000000000000A\n", "  scope: team\n")
		}
		e.text += one("", "  docker_image: node:22\n", "  description: d\n", "  setup_commands: [make]\n", "  environment_secrets: [S1]\n")
	}
	return list
}

// manifestOf reads oz.yml, and no other file.
func manifestOf(text string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if path != "oz.yml" {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
}

// partsOf is the part of n in which each entry is. It fails when one is in none or in two.
func partsOf(t *testing.T, list []sharded, n int, inputs map[string]string) map[string]int {
	t.Helper()
	file := "environments:\n"
	for _, e := range list {
		file += e.text
	}
	parts := map[string]int{}
	for part := 1; part <= n; part++ {
		values := map[string]string{"manifest": "oz.yml", "mode": "plan", "shard": fmt.Sprintf("%d/%d", part, n), "warp_api_key": "wk-1.0f3c5e7a9b1d2f4c6e8a", "bitbucket_token": "opaque"}
		maps.Copy(values, inputs)
		job, err := Parse(values, manifestOf(file), func(string) string { return "" })
		require.NoError(t, err, file)
		require.Len(t, list, len(job.Entries)+len(job.Others))
		for _, e := range job.Entries {
			require.NotContains(t, parts, e.EnvironmentName, file)
			parts[e.EnvironmentName] = part
		}
	}
	return parts
}

// TestAShardIsAPartOfAPartition: for any file and any number of parts each entry is in one
// part, and all entries of one secret are in the same part. No entry moves when others are
// added, removed or reordered, nor with another mode or a narrowed job.
func TestAShardIsAPartOfAPartition(t *testing.T) {
	t.Parallel()
	for seed := uint64(1); seed <= 64; seed += 3 {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 15))
			n := 1 + int(seed)%8 // parts
			if seed%16 == 0 {
				n = int(seed) // more than entries
			}
			list := entriesOf(r, "e", 1+r.IntN(12))
			parts := partsOf(t, list, n, nil)
			require.Len(t, parts, len(list), "every entry is in a part")
			together := map[string]int{}
			for _, e := range list {
				if part, seen := together[e.secret]; seen {
					require.Equal(t, part, parts[e.name], "%s of %s", e.name, e.secret)
				}
				together[e.secret] = parts[e.name]
			}

			more := append(slices.Clone(list), entriesOf(r, "new", 1+r.IntN(5))...)
			r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
			grown := partsOf(t, more, n, nil)
			require.Len(t, grown, len(more))
			fewer := slices.DeleteFunc(slices.Clone(more), func(e sharded) bool { return r.IntN(2) == 0 })
			if len(fewer) == 0 {
				fewer = more[:1]
			}
			for name, part := range partsOf(t, fewer, n, nil) {
				require.Equal(t, grown[name], part, "%s moved when others went", name)
			}
			for name, part := range parts {
				require.Equal(t, grown[name], part, "%s moved when others came", name)
			}

			mode := []string{"apply", "rotate", "test", "destroy"}[r.IntN(4)]
			require.Equal(t, parts, partsOf(t, list, n, map[string]string{"mode": mode}), mode)

			narrowed, names := map[string]int{}, ""
			for _, e := range list {
				if r.IntN(2) == 0 || names == "" {
					narrowed[e.name], names = parts[e.name], names+e.name+"\n"
				}
			}
			require.Equal(t, narrowed, partsOf(t, list, n, map[string]string{"environment_name": names}))
		})
	}
}

// TestPartsAreOfOneSize: they are about equal when there are many secrets.
func TestPartsAreOfOneSize(t *testing.T) {
	t.Parallel()
	const secrets = 1000
	for n := 1; n <= 64; n++ {
		sizes := make([]int, n+1)
		for i := range secrets {
			sizes[Entry{Scope: warp.TeamOwner, SecretName: fmt.Sprint("SECRET_", i)}.part(n)]++
		}
		assert.Zero(t, sizes[0])
		for part := 1; part <= n; part++ {
			assert.Less(t, sizes[part], 2*secrets/n+12, "part %d of %d", part, n)
			assert.Positive(t, sizes[part], "part %d of %d", part, n)
		}
	}
}

// FuzzShard: whatever the input and the host's variables hold, the result is a valid part
// or a mistake.
func FuzzShard(f *testing.F) {
	f.Add("1/3", "", "")
	f.Add("auto", "1", "3")
	f.Add("auto", "+1", "0x3")
	f.Add("auto", "2147483647", "2147483647")
	f.Add("-1/-1", "0", "1")
	f.Add("1/99999999999999999999", "", "1")
	f.Fuzz(func(t *testing.T, text, part, of string) {
		variables := map[string]string{"CI_NODE_INDEX": part, "CI_NODE_TOTAL": of}
		job, err := Parse(map[string]string{"manifest": "oz.yml", "mode": "plan", "shard": text, "warp_api_key": "wk-1.0f3c5e7a9b1d2f4c6e8a"},
			manifestOf("environments:\n- repo_url: https://bitbucket.org/a/b\n"), func(name string) string { return variables[name] })
		if err == nil && trim(text) != "" {
			assert.Positive(t, job.Shard.Part)
			assert.LessOrEqual(t, job.Shard.Part, job.Shard.Of)
		} else {
			assert.Zero(t, job.Shard)
		}
		assert.LessOrEqual(t, len(job.Entries), 1)
	})
}
