package bitbucketsim

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// findBackend returns the path of git http-backend.
var findBackend = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("find git http-backend: %w", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(out)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return "", fmt.Errorf("find git http-backend: %w", err)
	}
	return backend, nil
})

// isolation keeps git from the machine's and the user's configuration.
func isolation(home string) []string {
	return []string{
		"HOME=" + home, // git before 2.32 does not know GIT_CONFIG_GLOBAL
		"XDG_CONFIG_HOME=" + home,
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"LC_ALL=C",
		"TZ=UTC",
	}
}

// git runs git in a bare repository and returns its output without the last line break.
func git(directory, stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"--git-dir", directory}, args...)...)
	cmd.Env = append(isolation(directory),
		"PATH="+os.Getenv("PATH"),
		"GIT_COMMITTER_NAME="+authorName, "GIT_COMMITTER_EMAIL="+authorEmail,
		"GIT_COMMITTER_DATE="+instant(0),
	)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
