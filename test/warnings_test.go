package test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestWarningsOfInputsComeFirst: in the plan, before warnings about Bitbucket and Oz.
func TestWarningsOfInputsComeFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	w.oz.AddSecret(team, "NPM_TOKEN", "npm")
	r := w.run(w.inputs(map[string]string{
		"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "clone_auth": "url",
		"setup_commands": "echo $BITBUCKET_API_TOKEN\necho $NPM_TOKEN\ngit clone " + w.dc.CloneURL(),
	}), "plan")
	require.Equal(t, 0, r.code, r.log)
	at := 0
	for _, want := range []string{
		"warning: clone_auth: url sends the token's header to every host",
		"warning: clone_auth: url leaves the token in .git/config",
		"warning: setup_commands, line 1, reads $BITBUCKET_API_TOKEN, but the token is in $BITBUCKET_TOKEN (secret_name)",
		"warning: setup_commands, line 3, clones " + w.dc.CloneURL() + ", which the program clones already",
		"warning: a setup command reads $NPM_TOKEN",
	} {
		next := strings.Index(r.log[at:], want)
		require.GreaterOrEqual(t, next, 0, "%s is not after the one before it in\n%s", want, r.log)
		at += next
	}
	assert.Empty(t, w.oz.Environments())
	w.requireClean()
}
