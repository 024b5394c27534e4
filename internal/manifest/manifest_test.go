package manifest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// keys are a few keys of each kind.
var keys = []manifest.Key{
	{Name: "repo_url", List: true, Own: true},
	{Name: "environment_name", Own: true},
	{Name: "docker_image"},
	{Name: "clone_depth"},
	{Name: "verify_token"},
	{Name: "description"},
	{Name: "setup_commands", List: true},
	{Name: "warp_api_key", Elsewhere: "keep it out of the file"},
}

// read reads a valid file, as the texts of each entry.
func read(t *testing.T, text string) []map[string]string {
	t.Helper()
	m, problems := manifest.Read("oz.yml", text, keys)
	require.Empty(t, problems)
	var entries []map[string]string
	for _, entry := range m.Entries {
		texts := map[string]string{}
		for key, value := range entry.Values {
			assert.False(t, value.Refused)
			texts[key] = value.Text
		}
		entries = append(entries, texts)
	}
	return entries
}

func TestValuesAreTheTextsOfInputs(t *testing.T) {
	t.Parallel()
	type texts = map[string]string
	for _, tt := range []struct {
		name, text string
		want       []map[string]string
	}{
		{"a text", "environments: [{docker_image: node}]", []texts{{"docker_image": "node"}}},
		{"numbers as they are written", "environments:\n- clone_depth: 010\n  description: 1.50\n  docker_image: 0x1F\n  environment_name: 1_000", []texts{{"clone_depth": "010", "description": "1.50", "docker_image": "0x1F", "environment_name": "1_000"}}},
		{"booleans as they are written", "environments:\n- verify_token: TRUE\n  description: no\n  docker_image: False", []texts{{"verify_token": "TRUE", "description": "no", "docker_image": "False"}}},
		{"a date, infinity and no number", "environments:\n- description: 2027-01-31\n  docker_image: .inf\n  clone_depth: .nan", []texts{{"description": "2027-01-31", "docker_image": ".inf", "clone_depth": ".nan"}}},
		{"quotes", "environments:\n- description: 'a''b'\n  docker_image: \"a\\tb\\u00e9\"", []texts{{"description": "a'b", "docker_image": "a\tbé"}}},
		{"a list is a line for each element", "environments:\n- setup_commands: [npm ci, 5, true]\n  repo_url:\n  - a\n  - b", []texts{{"setup_commands": "npm ci\n5\ntrue", "repo_url": "a\nb"}}},
		{"a text where a list may be", "environments:\n- setup_commands: |\n    a\n    b\n", []texts{{"setup_commands": "a\nb\n"}}},
		{"a folded text", "environments:\n- description: >-\n    a\n    b\n", []texts{{"description": "a b"}}},
		{"an element of several lines", "environments:\n- setup_commands:\n  - |-\n    cat <<E\n    x\n    E\n  - make", []texts{{"setup_commands": "cat <<E\nx\nE\nmake"}}},
		{"line ends of Windows", "environments:\r\n- description: a\r\n  setup_commands: |\r\n    b\r\n    c\r\n", []texts{{"description": "a", "setup_commands": "b\nc\n"}}},
		{"defaults", "defaults: {docker_image: node, setup_commands: [a, b]}\nenvironments:\n- {}\n- setup_commands: [c]", []texts{{"docker_image": "node", "setup_commands": "a\nb"}, {"docker_image": "node", "setup_commands": "c"}}},
		{"defaults below", "environments:\n- {}\ndefaults: {docker_image: node}", []texts{{"docker_image": "node"}}},
		{"null takes a default out", "defaults: {docker_image: node, description: ~}\nenvironments:\n- docker_image: null\n- docker_image:\n- docker_image: ~\n  description: a", []texts{{}, {}, {"description": "a"}}},
		{"no defaults", "defaults:\nenvironments: [{description: a}]", []texts{{"description": "a"}}},
		{"an empty text", "defaults: {docker_image: node}\nenvironments: [{docker_image: ''}]", []texts{{"docker_image": ""}}},
		{"an alias", "environments:\n- description: &d a\n- description: *d", []texts{{"description": "a"}, {"description": "a"}}},
		{"the last anchor of a name counts", "environments:\n- description: &d a\n- description: *d\n- description: &d b\n- description: *d", []texts{{"description": "a"}, {"description": "a"}, {"description": "b"}, {"description": "b"}}},
		{"an alias of an element and of a list", "environments:\n- setup_commands: &l [&e a, b]\n- setup_commands: *l\n- setup_commands: [*e]", []texts{{"setup_commands": "a\nb"}, {"setup_commands": "a\nb"}, {"setup_commands": "a"}}},
		{"a merge key", "environments:\n- &one\n  docker_image: node\n  description: a\n- <<: *one\n  description: b", []texts{{"docker_image": "node", "description": "a"}, {"docker_image": "node", "description": "b"}}},
		{"a merge of several, the first counts", "environments:\n- &one {docker_image: node}\n- &two {docker_image: go, description: b}\n- <<: [*one, *two]", []texts{{"docker_image": "node"}, {"docker_image": "go", "description": "b"}, {"docker_image": "node", "description": "b"}}},
		{"a merge of a merge", "environments:\n- &one {docker_image: node}\n- &two\n  <<: *one\n- <<: *two", []texts{{"docker_image": "node"}, {"docker_image": "node"}, {"docker_image": "node"}}},
		{"a merge in defaults", "defaults:\n  <<: {docker_image: node}\nenvironments: [{}]", []texts{{"docker_image": "node"}}},
		{"a merged null takes a default out", "defaults: {docker_image: node}\nenvironments:\n- &one {docker_image: null}\n- <<: *one", []texts{{}, {}}},
		{"tags", "environments:\n- description: !!str 5\n  setup_commands: !!seq [a]\n  clone_depth: !!int 3", []texts{{"description": "5", "setup_commands": "a", "clone_depth": "3"}}},
		{"a directive, a beginning and an end", "%YAML 1.2\n---\nenvironments: [{description: a}]\n...\n", []texts{{"description": "a"}}},
		{"an explicit key", "environments:\n- ? description\n  : a", []texts{{"description": "a"}}},
		{"a key with a tag, an anchor and in quotes", "environments:\n- !!str description: a\n  &k docker_image: b\n  'clone_depth': 1", []texts{{"description": "a", "docker_image": "b", "clone_depth": "1"}}},
		{"a single pair in a list", "environments: [description: a]", []texts{{"description": "a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, read(t, tt.text))
		})
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	m, problems := manifest.Read("oz.yml", "defaults:\n  docker_image: node\nenvironments:\n  - &a\n    description: a\n  -   <<: *a\n      é: 1\n", append(keys, manifest.Key{Name: "é"}))
	require.Empty(t, problems)
	require.Len(t, m.Entries, 2)
	at := func(line, column int) manifest.Position { return manifest.Position{Line: line, Column: column} }
	assert.Equal(t, at(4, 3), m.Entries[0].Position)
	assert.Equal(t, at(6, 3), m.Entries[1].Position)
	assert.Equal(t, at(2, 3), m.Entries[0].Values["docker_image"].Position)
	assert.Equal(t, at(5, 5), m.Entries[1].Values["description"].Position, "where an alias leads")
	assert.Equal(t, at(7, 7), m.Entries[1].Values["é"].Position)
	assert.Equal(t, problem.Place{File: "oz.yml", Line: 6, Column: 3}, m.Place(m.Entries[1].Position))
	assert.Equal(t, "  - &a", m.Lines()[3])
}

// TestMistakes compares the messages about each file in testdata with the golden file
// beside it.
func TestMistakes(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.yml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			_, problems := manifest.Read("oz.yml", string(text), keys)
			var got strings.Builder
			for _, p := range problems {
				fmt.Fprintln(&got, p)
			}
			golden := strings.TrimSuffix(path, ".yml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got.String())
			assert.NotEmpty(t, problems)
		})
	}
}

// TestWhatNoManifestIs: each bound of a file's shape has its own message.
func TestWhatNoManifestIs(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"a mapping has too many keys":     strings.Repeat("a: b\n", 1001),
		"too many values are empty":       "environments:\n" + strings.Repeat("-\n", 20_002),
		"brackets are nested too deep":    strings.Repeat("[", 101),
		"a list is indented too deep":     strings.Repeat("- ", 51),
		"a value has too many tags":       strings.Repeat("!!str ", 101),
		"it holds more than one document": strings.Repeat("---\n", 11),
		"the file is too large":           strings.Repeat("[]", 500_001),
	} {
		_, problems := manifest.Read("oz.yml", text, keys)
		if assert.Len(t, problems, 1, want) {
			assert.Contains(t, problems[0].Error(), want)
		}
	}
	assert.Len(t, read(t, "environments:\r- description: a\r- description: b\r"), 2, "line ends of an old Mac")
}

// FuzzRead: whatever the file is, reading it ends, and each problem has its place.
func FuzzRead(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yml")
	require.NoError(f, err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Add("defaults: &a {docker_image: node, <<: {}}\nenvironments:\n- <<: [*a, {x: !!str y}]\n  setup_commands: [*a, \"b\\x41\", >-\n  c]\n")
	f.Add("? [a]\n: - |2\n   b\n%TAG ! x\n---\n...\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, problems := manifest.Read("oz.yml", text, keys)
		assert.True(t, len(problems)+len(m.Entries) > 0, "a file without entries and without a problem")
		for _, p := range problems {
			assert.Equal(t, "oz.yml", p.Place.File)
			assert.True(t, 0 < p.Place.Line && p.Place.Line <= len(m.Lines())+1 && p.Place.Column > 0, "%v", p)
			assert.Empty(t, p.Place.Text)
			assert.NotEmpty(t, p.Summary)
		}
		for _, entry := range m.Entries {
			assert.True(t, entry.Line > 0 && entry.Column > 0)
			for key, value := range entry.Values {
				assert.NotEmpty(t, key)
				assert.True(t, value.Line > 0 && value.Column > 0)
				assert.False(t, value.Refused && value.Text != "")
			}
		}
	})
}
