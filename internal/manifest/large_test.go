//go:build !race

package manifest_test

import (
	"fmt"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

// TestHostileFilesEnd reads files that make a parser slow or its stack deep. Go would
// end a process whose stack is too deep.
func TestHostileFilesEnd(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(16 << 20))
	for _, unit := range []string{
		"[", "{", "- ", "? ", ": ", "a: ", "a:\n", "&a ", "*a ", "!!str ", "!a ", "\"", "|\n", "#\n", "\n", "\t", "---\n", "...\n", "%A b\n",
		"[],", "{a: ", "a,", "- a\n", "- a: b\n", "<<: *a\n", "\x00", "é", "\\", "a: >\n\n", "a: &a [*a]\n", "- - \n", "a:\n- b\n", "a:\n  - b\n", "- a:\n", "-\n", "- - b\n", "-\n - b\n", "- &a\n", "{a,a},", "[a: ],", "- {a}\n", "a: [b]\n", "a: {b: c}\n", "? a\n: b\n", "&a b: c\n", "- !!str\n", "- a: b\n  c: d\n", "- a\n- |\n", "- ''\n", "'': ''\n", "{a: b, ", "- [a, b]\n", "- *a\n", "- &a a\n", "- >\n  a\n\n", "- # c\n  a: b\n",
	} {
		for _, before := range []string{"", "environments:\n", "environments:\n- repo_url: "} {
			text := before + strings.Repeat(unit, manifest.LongestFile/256/len(unit))
			m, problems := manifest.Read("oz.yml", text, keys)
			assert.True(t, len(problems) > 0 || len(m.Entries) == 1, "%q after %q", unit, before)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	entries := func(n int) string { return "environments:\n" + strings.Repeat("- description: a\n", n) }
	var doubled strings.Builder // each list holds the one before twice
	doubled.WriteString("environments:\n- setup_commands: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&doubled, "- setup_commands: &a%d [*a%d, *a%d]\n", i, i-1, i-1)
	}
	long := "environments:\n- description: &long " + strings.Repeat("x", 1<<20) + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"as many entries as there may be", entries(manifest.MostEntries), ""},
		{"one more", entries(manifest.MostEntries + 1), "oz.yml:1:1: environments: has 10001 entries; the limit is 10000; split the file"},
		{"as large as it may be", entries(1) + "#" + strings.Repeat("x", manifest.LongestFile-len(entries(1))-1), ""},
		{"one byte more", entries(1) + "#" + strings.Repeat("x", manifest.LongestFile-len(entries(1))), "oz.yml:1:1: manifest: is larger than 10 MiB; split it into several"},
		{"a hundred thousand laughs", doubled.String(), "oz.yml:3:24: setup_commands: holds an element that is a list; give a text"},
		{"a long text in a list, many times", long + "- setup_commands: [" + strings.Repeat("*long, ", 1000) + "a]", "oz.yml:3:3: manifest: is too large once aliases and defaults are written out; use fewer aliases, or shorter defaults"},
		{"a long text in many entries", long + strings.Repeat("- description: *long\n", 1000), "oz.yml:66:1: manifest: is too large once aliases and defaults are written out; use fewer aliases, or shorter defaults"},
		{"a long default", "defaults:\n  description: " + strings.Repeat("x", 1<<20) + "\nenvironments:\n" + strings.Repeat("- {}\n", 1000), "oz.yml:68:1: manifest: is too large once aliases and defaults are written out; use fewer aliases, or shorter defaults"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, problems := manifest.Read("oz.yml", tt.text, keys)
			if tt.want == "" {
				assert.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			assert.EqualError(t, problems[0], tt.want)
		})
	}
}
