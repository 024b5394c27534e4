package factory_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/factory"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	secret = "BITBUCKET_API_TOKEN"
	id     = "En00000000000000000001"
)

// commands keeps "npm ci". It replaces a clone by another one, or adds one at the front.
func commands(existing []string) []string {
	const clone = "test -e app || git clone 'https://bitbucket.org/acme/app.git' # ours: new"
	for i, command := range existing {
		if strings.Contains(command, "git clone") {
			list := append([]string{}, existing...)
			list[i] = clone
			return list
		}
	}
	return append([]string{clone}, existing...)
}

// edit makes the edit that the name of a file in testdata asks for.
func edit(name, text string) (factory.Edit, error) {
	if strings.HasPrefix(name, "runner-") {
		return factory.SetCommands(text, commands)
	}
	return factory.Wire(text, secret, id)
}

// TestFiles compares the result for each file in testdata with the golden file beside it:
// the diff, and then the file; or why it is refused.
func TestFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(paths), 20)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			name, text := filepath.Base(path), string(content)
			made, err := edit(name, text)
			got := strings.Join(made.Lines("factory.yaml"), "\n") + "\n=====\n" + made.Text
			if refused := strings.Contains(name, "refused"); err != nil || refused {
				require.Error(t, err)
				require.True(t, refused, err)
				got = err.Error() + "\n"
			} else {
				again, err := edit(name, made.Text)
				require.NoError(t, err)
				assert.Equal(t, factory.Edit{Text: made.Text}, again, "a second edit changes nothing")
				checkLines(t, text, made)
				windows, err := edit(name, strings.ReplaceAll(text, "\n", "\r\n"))
				require.NoError(t, err)
				assert.Equal(t, strings.ReplaceAll(made.Text, "\n", "\r\n"), windows.Text)
				assert.Equal(t, made.Lines("factory.yaml"), windows.Lines("factory.yaml"))
				marked, err := edit(name, "\ufeff"+text)
				require.NoError(t, err)
				assert.Equal(t, "\ufeff"+made.Text, marked.Text)
				cut, err := edit(name, strings.TrimRight(text, "\n"))
				require.NoError(t, err)
				assert.Equal(t, strings.TrimRight(made.Text, "\n"), cut.Text)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
}

// checkLines removes the changed lines from both texts: the rest must be equal.
func checkLines(t *testing.T, before string, made factory.Edit) {
	t.Helper()
	count := map[string]int{}
	for line := range strings.Lines(before) {
		count[strings.TrimRight(line, "\r\n")]--
	}
	for line := range strings.Lines(made.Text) {
		count[strings.TrimRight(line, "\r\n")]++
	}
	for _, change := range made.Changes {
		for _, line := range change.Removed {
			count[line]++
		}
		for _, line := range change.Added {
			count[line]--
		}
	}
	for line, n := range count {
		assert.Zero(t, n, "%q", line)
	}
}

func TestValuesThatYAMLWouldReadOtherwise(t *testing.T) {
	t.Parallel()
	const text = "schemaVersion: v1alpha1\nagentDefaults:\n  model: auto\n"
	for _, tt := range []struct{ secret, id, want string }{
		{"NULL", "12345678901234567890", "schemaVersion: v1alpha1\nsecrets:\n  - 'NULL'\nagentDefaults:\n  model: auto\n  environmentId: '12345678901234567890'\n"},
		{"Y", "12e4567890123456789012", "schemaVersion: v1alpha1\nsecrets:\n  - 'Y'\nagentDefaults:\n  model: auto\n  environmentId: '12e4567890123456789012'\n"},
	} {
		made, err := factory.Wire(text, tt.secret, tt.id)
		require.NoError(t, err)
		assert.Equal(t, tt.want, made.Text)
		again, err := factory.Wire(made.Text, tt.secret, tt.id)
		require.NoError(t, err)
		assert.Empty(t, again.Changes)
	}
}

func TestWithoutAnEnvironmentOnlyTheSecretIsNamed(t *testing.T) {
	t.Parallel()
	made, err := factory.Wire("schemaVersion: v1alpha1\nsecrets: [A]\n", secret, "")
	require.NoError(t, err)
	assert.Equal(t, "schemaVersion: v1alpha1\nsecrets: [A, BITBUCKET_API_TOKEN]\n", made.Text)
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "the file is empty",
		"schemaVersion: v1alpha1\n" + strings.Repeat("#", factory.Longest): "it is larger than 1 MiB",
		"schemaVersion: v1alpha1 # \xff\n":                                 "it is not UTF-8",
		"a: [":                                                             "line 1: the file is not YAML",
		"a: 1\n---\nb: 2\n":                                                "line 3: the file holds more than one document",
		strings.Repeat("[", 10_000):                                        "line 1: the file cannot be",
	} {
		for _, name := range []string{"runner-", ""} {
			_, err := edit(name, text)
			require.ErrorContains(t, err, want)
		}
	}
}

// FuzzEdit: with any file, an edit makes the change, a second one changes nothing, and the
// edit names every line that it adds or removes.
func FuzzEdit(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(strings.HasPrefix(filepath.Base(path), "runner-"), string(content))
	}
	f.Fuzz(func(t *testing.T, runner bool, text string) {
		name := ""
		if runner {
			name = "runner-"
		}
		made, err := edit(name, text)
		if err != nil {
			return
		}
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		checkLines(t, lines.Replace(text), factory.Edit{Text: lines.Replace(made.Text), Changes: made.Changes})
		again, err := edit(name, made.Text)
		require.NoError(t, err)
		assert.Empty(t, again.Changes)
	})
}
