package manifest_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	drafts := []manifest.Draft{
		{Values: map[string]any{"repo_url": []string{"https://h/a.git", "https://h/b.git"}, "docker_image": "node:22", "clone_depth": 1, "verify_token": false}},
		{Values: map[string]any{"repo_url": []string{"https://h/c.git"}, "docker_image": "node:22", "clone_depth": 2}, Notes: []string{"left out:\nx"}, IsOff: true},
		{Values: map[string]any{"repo_url": []string{"https://h/d.git"}, "docker_image": "node:22", "clone_depth": 1, "setup_commands": []string{"a\nb"}}},
	}
	assert.Equal(t, `# yaml-language-server: x
# all of it
defaults:
  docker_image: node:22
environments:
  - repo_url:
      - https://h/a.git
      - https://h/b.git
    clone_depth: 1
    verify_token: false
  # left out: x
  # - repo_url: https://h/c.git
  #   clone_depth: 2
  - repo_url: https://h/d.git
    clone_depth: 1
    setup_commands:
      - "a\nb"
`, manifest.Write([]string{"yaml-language-server: x", "all of it"}, keys, drafts))
	assert.Equal(t, "environments: []\n", manifest.Write(nil, keys, nil))
	same := []manifest.Draft{{Values: map[string]any{"repo_url": "x"}}, {Values: map[string]any{"repo_url": "x"}}}
	assert.NotContains(t, manifest.Write(nil, keys, same), "defaults", "what cannot be a default stays")
}

// texts are texts that YAML reads as something else, and that hosts and terminals act
// on.
var oddTexts = []string{
	"on", "123", "~", "null", "", "no", "yes", "true", "1_000", "0x1F", "1e3", ".inf", ".nan", "2027-01-31", "<<", "-", "- a", "?", "? a", ":", "a: b", "a:", "#", "a #b", "&a", "*a", "!a", "!!str", "|", ">",
	"%x", "@a", "`a`", "'", "''", `"`, `\`, `a\`, "{", "{}", "[a]", "]", ",", "a,b", "a  b", " a", "a ", "\ta", "a\tb", "a\nb", "a\n\n  b\n", "\n", "grüße 🦀", "日本", "\u2028", "\u0085", "\u202e", "\x1b[0m", "\ufeff", "::error::x",
	"a\n::error::x", "##[group]x", "##vso[x]", "a ## b", "---", "...", "--- a", "=", "a=b", "${A:?}", "echo \"it's\" && b", "cat <<'E'\nx: y\nE", "0o17", "+1", "1:30", "012", "\u00a0", "a'b\"c", "y", "N", "- ", "# a",
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(15, 1))
	texts := oddTexts
	const letters = "ab1 :#-?&*!|>'\"%@`{}[],\\\n\t~.$<=\u00e9\u2028"
	for range 300 {
		var text strings.Builder
		for range 1 + random.IntN(8) {
			text.WriteRune([]rune(letters)[random.IntN(len([]rune(letters)))])
		}
		texts = append(texts, text.String())
	}
	for _, text := range texts {
		drafts := []manifest.Draft{
			{Values: map[string]any{"description": text, "setup_commands": []string{text, "x", text}, "docker_image": "a"}, Notes: []string{text}},
			{Values: map[string]any{"description": text, "docker_image": "b"}, Notes: []string{text}, IsOff: true},
			{Values: map[string]any{"description": text, "setup_commands": []string{text}}},
		}
		file := manifest.Write([]string{text}, keys, drafts)
		require.NotContains(t, file, "##", file)
		for line := range strings.Lines(file) {
			require.False(t, strings.HasPrefix(strings.TrimSpace(line), "::"), file)
		}
		require.False(t, strings.ContainsAny(file, "\x1b\u202e\u2028\u0085\ufeff"), "%q", file)
		require.Equal(t, []map[string]string{
			{"description": text, "setup_commands": text + "\nx\n" + text, "docker_image": "a"},
			{"description": text, "setup_commands": text},
		}, read(t, file), file)
	}
}
