package platform_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everyHost holds the variables of each host.
var everyHost = [][]string{nil, {"BITBUCKET_BUILD_NUMBER=1"}, {"GITLAB_CI=true"}, {"GITHUB_ACTIONS=true"}}

func TestAReportIsWrittenOnEveryHost(t *testing.T) {
	t.Parallel()
	for _, environ := range everyHost {
		directory := filepath.Join(t.TempDir(), ".oz-bitbucket")
		for name, want := range map[string]string{"oz.json": `"id": "En00000000000000000001"`, "oz.xml": `name="it&#39;s acme"`, "oz.md": "| environment | `it's acme` |"} {
			path := filepath.Join(directory, name)
			j := start(environ...)
			for range 2 { // the second replaces the first
				require.NoError(t, j.WriteReport(facts(), path))
			}
			assert.Equal(t, 1, strings.Count(read(t, path), want), environ)
			at, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), at.Mode())
			assert.Empty(t, j.out.String()+j.log.String())
		}
		assert.Equal(t, "*\n", read(t, filepath.Join(directory, ".gitignore")))
	}
	require.NoError(t, start().WriteReport(facts(), ""), "no report was asked for")
}

func TestAReportIsWrittenIntoAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	directory, victim := t.TempDir(), filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(victim, []byte("[core]\n"), 0o600))
	require.NoError(t, os.Symlink(victim, filepath.Join(directory, "link.json")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(directory, "fifo.xml"), 0o600))
	for name, why := range map[string]string{"link.json": "is a symbolic link", "fifo.xml": "is a FIFO", "no/such.xml": "no such file or directory"} {
		err := start().WriteReport(facts(), filepath.Join(directory, name))
		require.ErrorContains(t, err, "write report_file: ")
		require.ErrorContains(t, err, why)
	}
	assert.Equal(t, "[core]\n", read(t, victim))
}

// TestAReportShowsNoSecret: in no spelling, and the report stays valid.
func TestAReportShowsNoSecret(t *testing.T) {
	t.Parallel()
	for _, extension := range []string{".json", ".xml", ".md"} {
		path := filepath.Join(t.TempDir(), "oz"+extension)
		j := start()
		j.Mask(nil, hidden)
		f := facts()
		f.Plan.Warnings = []string{"quotes " + secret, secret[len(secret)-shown:]}
		f.Plan.Environments[0].Commands = []string{"echo '" + secret + "'"}
		f.Applied.Environments[0].Name = "x" + secret
		f.Applied.Environments[0].Err = errors.New("it says\n" + strings.Repeat("x", 1490) + secret)
		f.Tests[0].Run.SessionLink = "https://app.warp.dev/session/" + secret[10:]
		require.NoError(t, j.WriteReport(f, path))
		text := read(t, path)
		assert.Contains(t, text, "x***")
		var said any = text
		if extension == ".json" {
			require.NoError(t, json.Unmarshal([]byte(text), &said))
			plain, err := json.Marshal(said)
			require.NoError(t, err)
			text += string(plain)
		}
		j.Mask(nil, hidden)
		for from := range len(secret) - shown {
			assert.NotContains(t, text, secret[from:from+shown])
		}
	}
}
