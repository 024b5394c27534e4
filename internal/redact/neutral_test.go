package redact_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

func TestNeutral(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"plain ✔ é 👩\ufe0f":                "plain ✔ é 👩\ufe0f",
		" a\r\n::error::b\tc\u2028d\u00a0": "a : :error: :b c d",
		":::: ####[x]":                     ": : : : # # # #[x]",
		"##vso[task.complete] ##[group]":   "# #vso[task.complete] # #[group]",
		"\x1b[2J\x00\x7f\u009b":            `\u001b[2J\u0000\u007f\u009b`,
		"a\u202eb\u200bc\u2066d\ufeffe":    `a\u202eb\u200bc\u2066d\ufeffe`,
		"a\U000e0041\u3164\u00adb\xff":     `a\U000e0041\u3164\u00adb\xff`,
		"\ufffd":                           "\ufffd",
	} {
		assert.Equal(t, want, redact.Neutral(text), "%q", text)
	}
	assert.Equal(t, `a\u000a::b  c`, redact.Shown("a\n::b \tc"))
	assert.Equal(t, "a ::b c", redact.OneLine("a\n::b \tc\n"))
}

func TestJSON(t *testing.T) {
	t.Parallel()
	const text = "a\u202eb\u200bc\U000e0041\u0085\u2028\x00 👩\u200d💻\u00a0"
	encoded, err := json.Marshal(text)
	require.NoError(t, err)
	shown := redact.JSON(string(encoded))
	assert.Equal(t, `"a\u202eb\u200bc\udb40\udc41\u0085\u2028\u0000 👩\u200d💻`+"\u00a0\"", shown)
	var read string
	require.NoError(t, json.Unmarshal([]byte(shown), &read))
	assert.Equal(t, text, read)
}

func TestLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                           "",
		"a ::b\n::c\r\n  ::d\n\ne\n": "a ::b\n  . ::c\n  .   ::d\n\n  e\n",
		"::a\u0085::b":               `. ::a\u0085::b`,
		"a\u2028error: b\rerror: c":  `a\u2028error: b\u000derror: c`,
		"##[error]a\n##vso[x]":       "# #[error]a\n  # #vso[x]",
		"a\n    + b\n\u00a0c":        "a\n    + b\n c",
	} {
		assert.Equal(t, want, redact.Lines(text), "%q", text)
	}
}

// FuzzNeutral: whatever the input, the output controls no terminal and no CI host.
func FuzzNeutral(f *testing.F) {
	f.Add("a\r\n ::error::b\u2028##vso[x]\u202e")
	f.Add("#\u200b#[x] :\u200b: \xff")
	f.Fuzz(func(t *testing.T, text string) {
		acts := func(c rune) bool { return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp) }
		line := redact.Neutral(text)
		if strings.ContainsFunc(line, acts) || strings.Contains(line, "::") || strings.Contains(line, "##") {
			t.Errorf("%q became %q", text, line)
		}
		for i, line := range strings.Split(redact.Lines(text), "\n") {
			if strings.ContainsFunc(line, acts) || strings.HasPrefix(strings.TrimSpace(line), "::") || i > 0 && line != "" && line[0] != ' ' {
				t.Errorf("%q has the line %q", text, line)
			}
		}
	})
}
