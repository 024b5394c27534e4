package config_test

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

const (
	takeOut  = "; take it out; it comes along when text is copied"
	typeAnew = "; type it again; it comes along when text is copied"
)

func TestCharactersThatNobodySeesAreRefused(t *testing.T) {
	t.Parallel()
	for input, values := range map[string][2]string{ // with % for the character, and where it is
		"mode":                {"pl%an", "line 1 holds U+ at column 3"},
		"repo_url":            {cloudURL + "\nhttps://bitbucket.org/acme%/web", "line 2 holds U+ at column 27"},
		"flavor":              {"%cloud", "line 1 holds U+ at column 1"},
		"token_kind":          {"api_%token", "line 1 holds U+ at column 5"},
		"secret_name":         {"MY_%TOKEN", "line 1 holds U+ at column 4"},
		"team":                {"Acme% Co", "line 1 holds U+ at column 5"},
		"environment_name":    {"acme%-api", "line 1 holds U+ at column 5"},
		"environment_id":      {"En000%00000000000000001", "line 1 holds U+ at column 6"},
		"docker_image":        {"ubuntu%:24.04", "line 1 holds U+ at column 7"},
		"branch":              {"ma%in", "line 1 holds U+ at column 3"},
		"clone_depth":         {"1%0", "line 1 holds U+ at column 2"},
		"environment_secrets": {"A\nB\nC%C", "line 3 holds U+ at column 2"},
		"verify_token":        {"%true", "line 1 holds U+ at column 1"},
		"smoke_test_timeout":  {"2%0m", "line 1 holds U+ at column 2"},
		"token_expires_at":    {"2027%-01-31", "line 1 holds U+ at column 5"},
		"warp_server_url":     {"https://app.%warp.dev", "line 1 holds U+ at column 13"},
		"trusted_hosts":       {"https://a.example\nhttps://%b.example", "line 2 holds U+ at column 9"},
		"output_file":         {"out%.env", "line 1 holds U+ at column 4"},
	} {
		for character, name := range map[string]string{
			"\ufeff": "U+FEFF BYTE ORDER MARK", "\u200b": "U+200B ZERO WIDTH SPACE", "\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
			"\u00ad": "U+00AD SOFT HYPHEN", "\U000e0041": "U+E0041 (an invisible character)",
		} {
			want := input + ": " + strings.Replace(values[1], "U+", name, 1) + takeOut
			found := problems(t, cloud(with(input, strings.ReplaceAll(values[0], "%", character))), nil)
			require.NotEmpty(t, found, "%s %s", input, name)
			assert.Equal(t, want, found[0])
			for _, other := range found[1:] {
				assert.NotContains(t, other, input+":", "what comes of it is not told, too")
			}
		}
	}
	requireRefused(t, []refusal{
		{"a no-break space", cloud(with("team", "Acme\u00a0Co")), "team: line 1 holds U+00A0 NO-BREAK SPACE at column 5" + typeAnew},
		{"quotes", cloud(with("scope", "“team”")), "scope: line 1 holds U+201C LEFT DOUBLE QUOTATION MARK at column 1" + typeAnew},
		{"a dash", cloud(with("schedule_cron", "0 3 * * 1–5"), with("schedule_prompt", "x")), "schedule_cron: line 1 holds U+2013 EN DASH at column 10" + typeAnew},
	})
	assert.Contains(t, problems(t, cloud(with("ca_certificate", "ca\u200b.pem")), nil)[0], "ca_certificate: line 1 holds U+200B ZERO WIDTH SPACE at column 3"+takeOut)
	assert.Equal(t, []string{"description: line 2 holds a byte that is not UTF-8; pass it in UTF-8"}, problems(t, cloud(with("description", "a\ncaf\xe9")), nil))
	for name, value := range map[string]string{"team": "Anna’s – team", "environment_name": "名前\u3000二", "branch": "feature–x", "environment_secrets": "A\u00a0\n\u00a0B"} {
		parse(t, cloud(with(name, value)))
	}
}

// TestATokenIsFoundBehindWhatNobodySees: an invisible character does not hide a token
// in an input that is shown.
func TestATokenIsFoundBehindWhatNobodySees(t *testing.T) {
	t.Parallel()
	const token = "ATCTT3xFfGN0q7w9e8r1t2y3=5A6B7C8D"
	job, err := config.Parse(cloud(with("team", token[:10]+"\u200b"+token[10:])), files{}.read, noVariable)
	require.ErrorContains(t, err, "team: line 1 holds U+200B ZERO WIDTH SPACE at column 11"+takeOut)
	require.ErrorContains(t, err, "team: holds what looks like a Bitbucket Cloud access token")
	assert.Contains(t, job.Secrets(), sensitive.New(token))
}

func TestCommentsOfACertificateMayBeInLatin1(t *testing.T) {
	t.Parallel()
	found := problems(t, cloud(with("ca_certificate", "Andr\xe9\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")), nil)
	assert.Equal(t, []string{"ca_certificate: holds no PEM certificate; give the certificate of the authority, from BEGIN CERTIFICATE to END CERTIFICATE"}, found)
}

func TestCharactersThatNobodySeesInASecret(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bitbucket_token", "warp_api_key", "previous_token"} {
		for value, want := range map[string]string{
			"\ufeff" + apiToken:    "line 1 holds U+FEFF BYTE ORDER MARK at column 1" + takeOut,
			"ab\u00a0cd":           "line 1 holds U+00A0 NO-BREAK SPACE at column 3" + typeAnew,
			"ab\u200bcd":           "line 1 holds U+200B ZERO WIDTH SPACE at column 3" + takeOut,
			"“ab”":                 "line 1 holds U+201C LEFT DOUBLE QUOTATION MARK at column 1" + typeAnew,
			"ab–cd":                "line 1 holds U+2013 EN DASH at column 3" + typeAnew,
			"Bearer\u00a0ATATT3xF": "line 1 holds U+00A0 NO-BREAK SPACE at column 7" + typeAnew,
		} {
			base := cloud(with("mode", "rotate"), with(name, value))
			assert.Equal(t, []string{name + ": " + want}, problems(t, base, nil), value)
		}
	}
	job, err := config.Parse(server(with("mode", "rotate"), with("mint", "true"), with("bitbucket_token", ""), with("bitbucket_username", "jane"), with("bitbucket_password", "pass\u00a0word")), files{}.read, noVariable)
	require.NoError(t, err)
	assert.Contains(t, job.Entries[0].Warnings, "bitbucket_password holds an invisible character; check what was pasted")
}

func TestCharactersThatMayBeMeantDrawAWarning(t *testing.T) {
	t.Parallel()
	commands := "npm\u00a0ci\n# “a comment” – …\necho “hi”\nmake –j 4\ngo test ./…\nmake\u200b"
	c := parse(t, cloud(with("setup_commands", commands), with("smoke_test_prompt", "“Say” –\nhel\u200blo"), with("description", "a\u00a0b")))
	assert.Equal(t, []string{
		"description, line 1, holds U+00A0 NO-BREAK SPACE at column 2, which is easily missed",
		"setup_commands, line 1, holds U+00A0 NO-BREAK SPACE at column 4, which a shell does not treat as a space",
		"setup_commands, line 3, holds U+201C LEFT DOUBLE QUOTATION MARK at column 6, which a shell does not treat as a quote",
		"setup_commands, line 4, holds U+2013 EN DASH at column 6, which commands do not treat as -",
		"setup_commands, line 5, holds U+2026 HORIZONTAL ELLIPSIS at column 11, which commands do not treat as three dots",
		"setup_commands, line 6, holds U+200B ZERO WIDTH SPACE at column 5, which is invisible",
		"smoke_test_prompt, line 2, holds U+200B ZERO WIDTH SPACE at column 4, which is easily missed",
	}, c.Warnings)
	assert.Equal(t, "npm\u00a0ci", c.SetupCommands[0], "what may be meant stays")

	many := parse(t, cloud(with("setup_commands", strings.Repeat("echo “\n", 8))))
	assert.Len(t, many.Warnings, 6)
	assert.Equal(t, "setup_commands holds such characters in other lines too", many.Warnings[5])

	for input, value := range map[string]string{"smoke_test_prompt": "👩\u200d💻 “naïve” – 日本\u3000語 می\u200cخواهم", "setup_commands": "echo '👩\u200d💻'\n# a\u00a0b\n\u00a0make\u00a0\nmake 🏴\U000e0067 שלום\u200f"} {
		assert.Empty(t, parse(t, cloud(with(input, value))).Warnings, value)
	}
	assert.Equal(t, []string{"setup_commands: line 1 holds U+FEFF BYTE ORDER MARK at column 1" + takeOut}, problems(t, cloud(with("setup_commands", "\ufeff# it's\nmake")), nil))
}

// wide is text in UTF-16.
func wide(text string, little bool) string {
	var bytes []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		high, low := byte(unit>>8), byte(unit)
		if little {
			high, low = low, high
		}
		bytes = append(bytes, high, low)
	}
	return string(bytes)
}

func TestFilesInOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, input := range []string{"bitbucket_token", "warp_api_key", "previous_token", "bitbucket_password", "ca_certificate"} {
		name := strings.TrimSuffix(input+"_file", map[bool]string{true: "_file"}[input == "ca_certificate"])
		base := server(with("mode", "rotate"), with("mint", "true"), with("bitbucket_username", "jane"), with("bitbucket_password", "pass word"), with(input, ""), with(name, "/run/file"))
		for text, encoding := range map[string]string{
			wide("\ufeff"+httpToken+"\r\n", true): "UTF-16", wide("\ufeff"+httpToken, false): "UTF-16",
			wide(httpToken+"\n", true): "UTF-16", wide(httpToken, false): "UTF-16", wide(httpToken, true) + "\n": "UTF-16",
			"\xff\xfe\x00\x00B\x00\x00\x00": "UTF-32", "\x00\x00\xfe\xff\x00\x00\x00B": "UTF-32",
		} {
			assert.Equal(t, []string{name + ": names a file in " + encoding + "; save the file as UTF-8"}, problems(t, base, files{"/run/file": text}), "%q", text)
		}
	}
	job, err := config.Parse(cloud(with("bitbucket_token", ""), with("bitbucket_token_file", "/run/file")), files{"/run/file": "\ufeff" + apiToken + "\r\n"}.read, noVariable)
	require.NoError(t, err)
	assert.Equal(t, apiToken, job.Entries[0].Token.Reveal())
	assert.Equal(t, []string{"bitbucket_token_file names a file that begins with U+FEFF BYTE ORDER MARK, which is left out; save it as UTF-8 without a byte order mark"}, job.Entries[0].Warnings)
}

// FuzzUnseen: no message shows a secret, whatever the input and the text around it.
func FuzzUnseen(f *testing.F) {
	f.Add("team", "a\u00a0%")
	f.Add("setup_commands", "\ufeff% “\n–\xff")
	f.Add("bitbucket_token", "%\u200b")
	f.Add("bitbucket_password", "\u2060%")
	f.Add("description", "\xff\n%\U000e0041")
	f.Fuzz(func(t *testing.T, input, form string) {
		const secret = "Qz7MARKERtoken9x4Lw"
		value := strings.ReplaceAll(form, "%", secret)
		inputs := cloud(with("bitbucket_token", secret), with(input, value))
		job, err := config.Parse(inputs, files{value: value}.read, noVariable)
		if err != nil {
			requireNothingOf(t, []string{err.Error()}, secret)
		}
		for _, entry := range job.Entries {
			requireNothingOf(t, entry.Warnings, secret)
		}
	})
}
