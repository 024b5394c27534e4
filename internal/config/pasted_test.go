package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pastedTokens are tokens that the job does not declare, one of each kind, and what
// messages call them.
var pastedTokens = map[string]string{
	"ATATT3xFfGF0MARKERq7w9/e8r+t=5A6B7C8D": "a Bitbucket Cloud API token (ATATT…)",
	"ATCTT3xFfGN0MARKER_q7-w9e8r=5A6B7C8D":  "a Bitbucket Cloud access token (ATCTT…)",
	"ATBBabcdefghMARKERjk":                  "an app password (ATBB…), which Bitbucket removed on 2026-07-28",
	"BBDC-NjAzMjgzMTU0NzU1Ou/MARKERx+y8":    "a Data Center HTTP access token (BBDC-…)",
	"wk-2.9d8c7b6a5f4eMARKER":               "a Warp API key (wk-…)",
}

// requireNoPiece fails when a text holds 12 characters of a token, in whatever case.
func requireNoPiece(t *testing.T, token string, texts ...string) {
	t.Helper()
	text, token := strings.ToLower(strings.Join(texts, "\n")), strings.ToLower(token)
	for at := range len(token) - 11 {
		if piece := token[at : at+12]; strings.Contains(text, piece) {
			require.NotContains(t, text, piece)
		}
	}
}

func TestAPastedTokenDrawsOneProblem(t *testing.T) {
	t.Parallel()
	const token = "ATCTT3xFfGN0q7w9e8r1t2y3=5A6B7C8D"
	holds := func(input string) string {
		return input + ": holds what looks like a Bitbucket Cloud access token (ATCTT…); take it out, and revoke it if it is real"
	}
	requireRefused(t, []refusal{
		{"docker_image", cloud(with("docker_image", token)), holds("docker_image")},
		{"team", cloud(with("team", token)), holds("team")},
		{"branch", cloud(with("branch", token)), holds("branch")},
		{"output_file", cloud(with("output_file", token)), holds("output_file")},
		{"report_file", cloud(with("report_file", token+".json")), holds("report_file")},
		{"environment_name", cloud(with("environment_name", token)), holds("environment_name")},
		{"the second of two repositories", cloud(with("repo_url", cloudURL+"\nhttps://bitbucket.org/acme/"+token[:20])), holds("repo_url")},
		{"smoke_test_prompt", cloud(with("smoke_test_prompt", "Use\n\""+token+"\".")), holds("smoke_test_prompt")},
		{"a comment", cloud(with("setup_commands", "make\n# "+token)), "setup_commands: line 2 holds what looks like a Bitbucket Cloud access token (ATCTT…); revoke it, store a new one as a managed secret, add its name to environment_secrets and write $NAME"},
		{"the job's own token", cloud(with("branch", apiToken)), "branch: holds the value of bitbucket_token; take it out; in setup_commands, write $BITBUCKET_API_TOKEN"},
	})
}

func TestNamesThatBeginLikeATokenPass(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"wk-1", "wk-2026-frontend-service", "wk-workspace-of-many-words", "BBDC-1234-fix-the-nightly-build", "ATBB", "mawk-1.3.4-20200120abcdef", "release/ATATT3x"} {
		c := parse(t, cloud(with("branch", value), with("team", value), with("smoke_test_prompt", value), with("description", value), with("output_file", value)))
		assert.Equal(t, value, c.Branch)
		assert.Empty(t, c.Pasted)
	}
}
