package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

func TestSetupCommandsAreLines(t *testing.T) {
	t.Parallel()
	c := parse(t, cloud(with("setup_commands", "npm ci\r\n\n  # none\n\techo \"a # b\"  \n#")))
	assert.Equal(t, []string{"npm ci", `echo "a # b"`}, c.SetupCommands)
	assert.True(t, c.SetupCommandsGiven)

	c = parse(t, cloud(with("setup_commands", "# only\n# comments")))
	assert.Empty(t, c.SetupCommands)
	assert.True(t, c.SetupCommandsGiven, "no commands, which is not the same as commands not given")

	c = parse(t, cloud())
	assert.False(t, c.SetupCommandsGiven)
}

func TestHereDocumentsHaveTheirLines(t *testing.T) {
	t.Parallel()
	c := parse(t, cloud(with("setup_commands", "make\r\ncat <<E >x\r\n  # in it\r\n\r\nE\r\n# not\nnpm ci")))
	assert.Equal(t, []string{"make", "cat <<E >x\n  # in it\n\nE", "npm ci"}, c.SetupCommands)

	found := problems(t, cloud(with("setup_commands", "make\ncat <<E\nATATT3xFfGF0123456789abcdefghijkl\nE\nnpm ci")), nil)
	assert.Len(t, found, 1)
	assert.Contains(t, found[0], "line 2 holds what looks like")

	found = problems(t, cloud(with("setup_commands", "make\ncat <<E\nx\nmake")), nil)
	assert.Len(t, found, 1)
	assert.Contains(t, found[0], "line 2 is not a shell command: column 5: unclosed here-document")
}

func TestSetupCommandsAreRefused(t *testing.T) {
	t.Parallel()
	const (
		fix     = "; fix the command; each line is one command of its own"
		emptied = "setup_commands: line 1: a variable in it was replaced by nothing before the program started; quote the command so that the CI's shell leaves $VARIABLES alone"
		revoke  = "; revoke it, store a new one as a managed secret, add its name to environment_secrets and write $NAME"
		tail    = "xFfGF0T9kQeWbZ1uYhA1b2C3d4"
	)
	tests := []refusal{
		{"syntax, by line", cloud(with("setup_commands", "make\n\n# x\nnpm ci &&")), "setup_commands: line 4 is not a shell command: column 8: `&&` must be followed by a statement" + fix},
		{"a backslash at the end", cloud(with("setup_commands", "npm ci \\")), "setup_commands: line 1 is not a shell command: column 8: the shell would wait for a line after the last backslash" + fix},
	}
	for _, command := range []string{
		"git clone https://x-bitbucket-api-token-auth:@bitbucket.org/acme/lib.git",
		"git clone https://x-token-auth:@bitbucket.org/acme/lib.git",
		"git clone https://jane:@bitbucket.org/acme/lib.git",
		"git clone 'https://@bitbucket.org/acme/lib.git'",
		"echo x-token-auth:@",
		`git clone -c "http.extraHeader=Authorization: Bearer " https://git.example.com/scm/p/lib.git`,
		`curl -H 'Authorization: Bearer ' https://git.example.com`,
		`curl -H "authorization:bearer " https://git.example.com`,
		`curl https://git.example.com -H "Authorization: Bearer "`,
		`curl https://git.example.com -H Authorization:\ Basic\ ""; true`,
		`sh -c 'curl -H "Authorization: Bearer "'`,
		"curl https://git.example.com -H Authorization: Bearer ",
	} {
		tests = append(tests, refusal{command, cloud(with("setup_commands", command)), emptied})
	}
	for token, kind := range map[string]string{
		"ATATT3" + tail:      "a Bitbucket Cloud API token (ATATT…)",
		"ATCTT3" + tail:      "a Bitbucket Cloud access token (ATCTT…)",
		"ATBB" + tail:        "an app password (ATBB…), which Bitbucket removed on 2026-07-28",
		"BBDC-" + tail:       "a Data Center HTTP access token (BBDC-…)",
		"wk-1." + tail:       "a Warp API key (wk-…)",
		"ghp_" + tail:        "a GitHub token (ghp_…)",
		"github_pat_" + tail: "a GitHub token (github_pat_…)",
		"glpat-" + tail:      "a GitLab token (glpat-…)",
	} {
		for _, command := range []string{
			"export TOKEN=%", "git clone https://x-token-auth:%@bitbucket.org/acme/lib.git", `curl -H "Authorization: Bearer %" https://x`, "login '%", "echo %=1A2B3C4D",
		} {
			command = strings.ReplaceAll(command, "%", token)
			tests = append(tests, refusal{command, cloud(with("setup_commands", command)), "setup_commands: line 1 holds what looks like " + kind + revoke})
		}
	}
	requireRefused(t, tests)
}

func TestOrdinarySetupCommandsPass(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"npm ci",
		`curl -H "Authorization: Bearer $NPM_TOKEN" https://npm.example.com`,
		`curl -H 'Authorization: Bearer '"$NPM_TOKEN" https://npm.example.com`,
		`curl -H "Authorization: Bearer "$NPM_TOKEN https://npm.example.com`,
		"git clone https://x-token-auth:$LIB_TOKEN@bitbucket.org/acme/lib.git",
		"git clone git@bitbucket.org:acme/lib.git",
		"git clone https://jane@bitbucket.org/acme/lib.git",
		"echo Bearer",
		`grep -r "Bearer" "src"`,
		"cd wk-frontend-service-repository && make",
		"mawk-1.3.4-20200120-configure --prefix=/usr",
		"echo ATATT3 BBDC-1 ghp_x wk-1",
		"echo ATATT3xFfGF0T9kQeW", // shorter than any token
	} {
		c := parse(t, cloud(with("setup_commands", command)))
		assert.Equal(t, []string{command}, c.SetupCommands)
		assert.Empty(t, c.Warnings, command)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	const inConfig = "clone_auth: url leaves the token in .git/config, where agents can read and print it; clone_auth: helper does not"
	tests := []struct {
		name   string
		inputs map[string]string
		want   []string
	}{
		{"clone_auth helper", server(with("clone_auth", "helper")), nil},
		{"clone_auth url on Cloud", cloud(with("clone_auth", "url")), []string{inConfig}},
		{"clone_auth url on Data Center", server(with("clone_auth", "url")), []string{
			"clone_auth: url sends the token's header to every host that git talks to in the checkout, such as those of submodules, of other remotes and of redirects, which git follows with the header; clone_auth: helper does not", inConfig,
		}},
		{"a clone of a repository of ours", cloud(with("repo_url", cloudURL+"\nhttps://bitbucket.org/acme/web"), with("setup_commands", "make\ngit clone https://x-token-auth:$T@bitbucket.org/Acme/Web.git ../x")), []string{
			"setup_commands, line 2, clones https://bitbucket.org/acme/web.git, which the program clones already",
		}},
		{"a clone of another one", cloud(with("setup_commands", "git clone https://bitbucket.org/acme/lib.git")), nil},
		{"the secret's own name", cloud(with("setup_commands", "echo $BITBUCKET_API_TOKEN")), nil},
		{"the name of the other flavor", cloud(with("setup_commands", "echo $BITBUCKET_TOKEN")), []string{
			"setup_commands, line 1, reads $BITBUCKET_TOKEN, but the token is in $BITBUCKET_API_TOKEN (secret_name)",
		}},
		{"a default name that is not used", cloud(with("secret_name", "MY_TOKEN"), with("setup_commands", "make\necho ${BITBUCKET_API_TOKEN:-x} $MY_TOKEN")), []string{
			"setup_commands, line 2, reads $BITBUCKET_API_TOKEN, but the token is in $MY_TOKEN (secret_name)",
		}},
		{"one that is listed", cloud(with("environment_secrets", "BITBUCKET_TOKEN"), with("setup_commands", "echo $BITBUCKET_TOKEN")), nil},
		{"one that the command sets", cloud(with("setup_commands", "BITBUCKET_TOKEN=$BITBUCKET_API_TOKEN; echo $BITBUCKET_TOKEN")), nil},
		{"single quotes", cloud(with("setup_commands", "echo '$BITBUCKET_TOKEN'")), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, parse(t, test.inputs).Warnings)
		})
	}
}

func TestCloneAuthURLNeedsATokenThatAURLCanHold(t *testing.T) {
	t.Parallel()
	for r := '!'; r <= '~'; r++ {
		if strings.ContainsRune("'\"\\$`", r) {
			continue
		}
		token := "ATATT3a" + string(r) + "41b"
		inputs := cloud(with("clone_auth", "url"), with("bitbucket_token", token))
		if !strings.ContainsRune("/?#@%", r) {
			assert.Equal(t, setup.URL, parse(t, inputs).CloneAuth, token)
			continue
		}
		assert.Equal(t, []string{"clone_auth: url cannot work with this token, which holds one of / ? # @ %: git would fail and print it; leave it at helper"}, problems(t, inputs, nil), token)
		parse(t, cloud(with("bitbucket_token", token)))
		parse(t, server(with("clone_auth", "url"), with("bitbucket_token", "BBDC-a"+string(r)+"41b")))
	}
}

func TestBranchAndDepth(t *testing.T) {
	t.Parallel()
	for _, branch := range []string{"main", "feature/JIRA-1_x", "v1.0", "a@b", "grün", "!x", "a'b", "origin/main"} {
		assert.Equal(t, branch, parse(t, cloud(with("branch", branch))).Branch)
	}
	for _, branch := range []string{"a b", "a..b", "-x", "a~1", "a^", "a:b", "a?", "a*", "a[", `a\b`, "@", "a@{1}", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a\x01b", "a\nb"} {
		found := problems(t, cloud(with("branch", branch)), nil)
		assert.Len(t, found, 1, branch)
		assert.Contains(t, strings.Join(found, ""), "cannot be the name of a branch or tag; give the short name of a branch or tag", branch)
	}
	requireRefused(t, []refusal{
		{"a full name", cloud(with("branch", "refs/heads/main")), `branch: git clone does not take a full name such as "refs/heads/main"; give the short name, "main"`},
		{"a tag's full name", cloud(with("branch", "refs/tags/v1")), `branch: git clone does not take a full name such as "refs/tags/v1"; give the short name, "v1"`},
		{"an unknown clone_auth", cloud(with("clone_auth", "ssh")), "clone_auth: is not one of helper, url"},
	})
	assert.Equal(t, 1, parse(t, cloud(with("clone_depth", "1"))).CloneDepth)
	assert.Equal(t, 2147483647, parse(t, cloud(with("clone_depth", "2147483647"))).CloneDepth)
	for _, depth := range []string{"0", "-1", "+1", "1.5", "x", "2147483648", "1 2", "0x1"} {
		assert.Equal(t, []string{"clone_depth: is not a depth; give a positive integer"}, problems(t, cloud(with("clone_depth", depth)), nil), depth)
	}
}
