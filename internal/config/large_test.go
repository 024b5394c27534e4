//go:build !race

package config_test

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// TestAPastedTokenIsRefusedInEveryInput: as the whole value and inside one, alone and
// in every input at once. No message or output shows a piece of it.
func TestAPastedTokenIsRefusedInEveryInput(t *testing.T) {
	t.Parallel()
	for token, kind := range pastedTokens {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for i, form := range []string{
				"%", "x %", "..%", "https://x-token-auth:%@bitbucket.org/acme/api.git", "https://bitbucket.org/acme/%", "https://bitbucket.org/%/api/src/main",
				"git@bitbucket.org:acme/%", "https://git.example.com/scm/%/api.git", "[[ % ]", "a\nMY_% b", "export TOKEN='%'\nmake", "# %", "ubuntu:%@x",
			} {
				base := []map[string]string{cloud(), server(), cloud(with("mode", "rotate"), with("schedule_cron", "0 3 * * *"))}[i%3]
				testPasted(t, base, token, strings.ReplaceAll(form, "%", token), kind)
				if escaped := url.QueryEscape(token); i < 5 && escaped != token {
					testPasted(t, base, token, strings.ReplaceAll(form, "%", escaped), kind)
				}
			}
		})
	}
}

func testPasted(t *testing.T, base map[string]string, token, value, kind string) {
	t.Helper()
	everywhere := cloud(with("clone_auth", "url"))
	for _, input := range config.Inputs() {
		switch input.Name {
		case "bitbucket_token", "warp_api_key", "previous_token", "bitbucket_password":
			continue // where a token belongs
		}
		everywhere[input.Name] = value
		inputs := maps.Clone(base)
		inputs[input.Name] = value
		job, err := config.Parse(inputs, files{}.read, noVariable)
		require.ErrorContains(t, err, kind, "%s: %s", input.Name, value)
		require.Regexp(t, `(?m)^`+input.Name+`: (?:line \d+ )?holds what looks like `, err.Error(), value)
		requireNoPiece(t, token, err.Error())
		requireNoPiece(t, token, job.OutputFile, job.ReportFile, job.Manifest)
		for _, entry := range job.Entries {
			requireNoPiece(t, token, strings.Join(entry.Warnings, "\n"), entry.SecretName, entry.EnvironmentName, entry.EnvironmentID)
		}
		require.True(t, slices.ContainsFunc(job.Secrets(), func(secret sensitive.String) bool { return strings.Contains(secret.Reveal(), token) }),
			"nothing hides the token of %s", input.Name)
	}
	delete(everywhere, "manifest") // so that the others are judged
	_, err := config.Parse(everywhere, files{}.read, noVariable)
	requireNoPiece(t, token, err.Error())
}

// TestNoInputMayHoldASecret puts each secret into each input that is text.
func TestNoInputMayHoldASecret(t *testing.T) {
	t.Parallel()
	for _, input := range config.Inputs() {
		switch input.Name {
		case "bitbucket_token", "warp_api_key", "bitbucket_token_file", "warp_api_key_file", "previous_token", "bitbucket_password":
			continue
		}
		for secret, want := range map[string]string{
			apiToken:   "holds the value of bitbucket_token; take it out; in setup_commands, write $",
			warpAPIKey: "holds the value of warp_api_key; take it out",
		} {
			for _, value := range []string{"x" + secret, "x " + secret + " y", "https://bitbucket.org/acme/" + secret, "." + strings.ToLower(secret)} {
				found := problems(t, cloud(with(input.Name, value)), nil)
				assert.Contains(t, strings.Join(found, "\n"), input.Name+": "+want, value)
				requireNothingOf(t, found, apiToken, warpAPIKey)
			}
		}
	}
}

// TestNoProblemHoldsASecret puts a marked secret, valid and invalid, into every input
// at once and one by one.
func TestNoProblemHoldsASecret(t *testing.T) {
	t.Parallel()
	for turn, secrets := range [][2]string{
		{"Qz7MARKERtoken9x4Lw", "wk-Rk2MARKERkey8v3Np"},
		{`Qz7MARKER"token9x4Lw`, `wk-Rk2MARKER\key8v3Np`}, // written otherwise between quotes
	} {
		testNoProblemHolds(t, secrets[0], secrets[1], turn)
	}
}

// testNoProblemHolds tries each base with half of the values in each of two turns.
func testNoProblemHolds(t *testing.T, token, key string, turn int) {
	t.Helper()
	for _, form := range []string{
		"%", `"%"`, "Bearer %", "$%", "% x", "%\nx", "x:%@y", "https://%@bitbucket.org/a/b", "https://bitbucket.org/%/%/src/x", "git@bitbucket.org:%/b",
		"http://%.example.com/scm/p/%.git\nhttp://%.example.com/scm/p/%.git", "'%", "%:%/%", "..%", "%=%", "$(%", "cd %(", "[[ % ]", "-----BEGIN %", "1%", "%\x00",
	} {
		for i, base := range []map[string]string{cloud(), server()} {
			base["bitbucket_token"], base["warp_api_key"] = token, key
			everywhere := maps.Clone(base)
			for j, input := range config.Inputs() {
				for k, secret := range []string{token, key} {
					value := strings.ReplaceAll(form, "%", secret)
					if base[input.Name] != token && base[input.Name] != key {
						everywhere[input.Name] = value
					}
					if (i+j+k+turn)%2 == 0 {
						one := maps.Clone(base)
						one[input.Name] = value
						requireNothingOf(t, problems(t, one, nil), token, key)
					}
				}
			}
			requireNothingOf(t, problems(t, everywhere, nil), token, key)
		}
	}
}

// TestNoSecretStandsInAManifest: a secret in any place (a value, a key, a comment, an
// anchor, also escaped) is refused once, and no piece of it is shown.
func TestNoSecretStandsInAManifest(t *testing.T) {
	t.Parallel()
	const entry = "environments:\n- repo_url: " + cloudURL + "\n"
	secrets := maps.Clone(pastedTokens)
	secrets[apiToken], secrets[warpAPIKey], secrets[webToken] = "", "", ""
	for token := range secrets {
		escaped := fmt.Sprintf(`\x%02x`, token[0]) + token[1:]
		for _, form := range []string{
			"# %\n" + entry, entry + "# %", entry + "  description: %", entry + "  description: x-% y", entry + "  setup_commands:\n  - export A=%\n", entry + "  %: a", "%: a\n" + entry,
			entry + "  docker_image: \"%\"", entry + "  bitbucket_token_variable: '%'", entry + "  branch: [%]", entry + "  bitbucket_token: %", entry + "  description: |\n    a\n    %\n", "defaults: {description: %}\n" + entry,
			entry + "  description: ^", "%", "environments: %", "environments:\n- %\n", entry + "  description: &a b #%", entry + "  \"^\": a", entry + "  description: " + strings.Repeat("x", 2000) + " %", entry + "  description: " + strings.Repeat("x", 990) + " %\n  scope: a", entry + "  x:" + strings.Repeat(" ", 1000) + "%", "environments:\n- description: \"%\n",
		} {
			file := strings.NewReplacer("%", token, "^", `"`+escaped+`"`, `"^"`, `"`+escaped+`"`).Replace(form)
			job, err := config.Parse(fleet(), files{"oz.yml": file}.read, theVariables.value)
			require.Error(t, err, form)
			requireNoPiece(t, token, err.Error())
			for _, e := range job.Entries {
				requireNoPiece(t, token, fmt.Sprintf("%+v", e))
			}
			require.Regexp(t, `what looks like|the value of`, err.Error(), form)
		}
	}
	own := mistakes(t, entry+"  description: "+apiToken+"\n")
	assert.Equal(t, []string{"oz.yml:3:3: the line holds the value of bitbucket_token; take it out, and revoke it if it is real\n    description: ***"}, own)
	variable := mistakes(t, theManifest+"    description: "+webToken+"\n")
	assert.Equal(t, []string{"oz.yml:13:5: the line holds the value of the variable WEB_BITBUCKET_TOKEN; take it out, and revoke it if it is real\n    description: ***"}, variable)
}

// TestManyEntries: each entry is read, and each mistake is reported. BenchmarkManifest
// shows how the time grows.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	assert.Len(t, parseFleet(t, many(1000)).Entries, 1000)
	wrong := mistakes(t, strings.ReplaceAll(many(1000), "description", "verify_token"))
	assert.Len(t, wrong, 1000)
	tokens := regexp.MustCompile(`number (\d+)`).ReplaceAllString(many(1000), "ATCTT3xFfGN0q7w9e8r${1}t2y3=5A6B7C8D")
	held := mistakes(t, strings.ReplaceAll(tokens, "description: ", "scope: a # "))
	assert.Len(t, held, 2000)
	assert.NotContains(t, strings.Join(held, ""), "ATCTT3xF")
	assert.True(t, slices.IsSortedFunc(wrong, func(a, b string) int { return len(a) - len(b) }), "by line")
}

func TestLongestToken(t *testing.T) {
	t.Parallel()
	longest := 128<<10 - 1 - len("A=")
	parse(t, cloud(with("secret_name", "A"), with("bitbucket_token", strings.Repeat("x", longest))))
	requireRefused(t, []refusal{{
		"one more", cloud(with("secret_name", "A"), with("bitbucket_token", strings.Repeat("x", longest+1))),
		"bitbucket_token: is too long for an environment variable (131070 bytes); check what was pasted",
	}})
}
