package action_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/action"
	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

// run is one run of the program that needs no network.
func run(ctx context.Context, environ []string, args ...string) (code int, stdout, stderr string) {
	var out, log bytes.Buffer
	code = action.Main(ctx, args, environ, &out, &log)
	return code, out.String(), log.String()
}

func TestHelpListsEveryInputWithItsDefault(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "-h", "help"} {
		code, help, log := run(t.Context(), nil, flag)
		assert.Equal(t, action.ExitOK, code)
		assert.Empty(t, log)
		for _, input := range config.Inputs() {
			want := "\n  " + strings.ToUpper(input.Name) + "\n        " + input.Help
			if input.Default != "" {
				want += " (default: " + input.Default + ")"
			}
			assert.Contains(t, help, want+"\n")
		}
		for line := range strings.Lines(help) {
			assert.LessOrEqual(t, len(strings.TrimRight(line, "\n")), 100, line)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, argument := range []string{"--version", "version"} {
		code, out, log := run(t.Context(), nil, argument)
		assert.Equal(t, action.ExitOK, code)
		assert.Equal(t, "oz-bitbucket "+action.Version()+"\n", out)
		assert.Empty(t, log)
	}
	assert.NotEmpty(t, action.Version())
}

func TestSchemaIsPrinted(t *testing.T) {
	t.Parallel()
	want, err := config.Schema()
	require.NoError(t, err)
	code, out, log := run(t.Context(), nil, "schema")
	assert.Equal(t, action.ExitOK, code)
	assert.Equal(t, want, out)
	assert.Empty(t, log)
}

func TestAnUnknownFlagIsNotShown(t *testing.T) {
	t.Parallel()
	code, out, log := run(t.Context(), nil, "--bitbucket-token=MARKER")
	assert.Equal(t, action.ExitInputs, code)
	assert.Empty(t, out)
	assert.Equal(t, "error: unknown flag; the flags are --help and --version, everything else is an environment variable\n", log)
}

// decode reads the outputs from the last line of standard output.
func decode(t *testing.T, stdout string) map[string]string {
	t.Helper()
	rest := strings.TrimSuffix(stdout, "\n")
	var outputs map[string]string
	require.NoError(t, json.Unmarshal([]byte(rest[strings.LastIndex(rest, "\n")+1:]), &outputs))
	return outputs
}

func TestWrongInputs(t *testing.T) {
	t.Parallel()
	environ := []string{
		"REPO_URL=https://bitbucket.org/acme/api", "BITBUCKET_TOKEN=ATATT3MARKER", "WARP_API_KEY=wk-MARKER", "SECRET_NAME=MY_TOKEN",
		"CLONE_DEPTH=none", "SETUP_COMMANDS=echo ATATT3MARKER",
	}
	code, out, log := run(t.Context(), environ, "plan", "extra")
	assert.Equal(t, action.ExitInputs, code)
	for _, want := range []string{
		"2 arguments are too many; the only argument is the mode; everything else is an environment variable",
		"clone_depth: is not a depth; give a positive integer",
		"setup_commands: holds the value of bitbucket_token; take it out; in setup_commands, write $MY_TOKEN",
	} {
		assert.Contains(t, log, want)
	}
	assert.NotContains(t, out+log, "MARKER")
	for name, value := range decode(t, out) {
		switch name {
		case "secret_name":
			assert.Equal(t, "MY_TOKEN", value)
		case "environment_name":
			assert.Equal(t, "acme-api", value)
		default:
			assert.Empty(t, value, name)
		}
	}
}

// TestAManifestIsReadWithItsVariables: from a file, and before any request.
func TestAManifestIsReadWithItsVariables(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "oz.yml")
	require.NoError(t, os.WriteFile(path, []byte("environments:\n- repo_url: https://bitbucket.org/acme/api\n  bitbucket_token_variable: BITBUCKET_TOKEN_WEB\n  scope: Team # ATATT3xMARKERq7w9e8r1t2\n"), 0o600))
	code, out, log := run(t.Context(), []string{"MANIFEST=" + path, "WARP_API_KEY=wk-MARKER-of-the-job", "BITBUCKET_TOKEN_WEB=ATATT3xMARKERq7w9e8r1t2", "SHARD=1/1"})
	assert.Equal(t, action.ExitInputs, code)
	assert.Equal(t, "error: "+path+":4:3: the line holds the value of the variable BITBUCKET_TOKEN_WEB; take it out, and revoke it if it is real\n    scope: Team # ***\n"+
		"error: "+path+":4:3: scope: \"Team\" is not one of team, personal; did you mean team?\n    scope: Team # ***\n"+
		"Next: fix what the message names and run the job again\n", log)
	assert.NotContains(t, out, "MARKER")
	assert.Equal(t, "acme-api", decode(t, out)["environment_name"])
}

// TestAPastedTokenIsShownNowhere: neither the log nor an output nor the name of a
// file of outputs holds one that an input holds.
func TestAPastedTokenIsShownNowhere(t *testing.T) {
	t.Parallel()
	const token = "ATCTT3xFfGN0MARKERq7w9e8r1t2y3=5A6B7C8D"
	directory := t.TempDir()
	for _, host := range []string{"CI=true", "GITHUB_ACTIONS=true"} {
		summary, outputs := filepath.Join(directory, "summary"), filepath.Join(directory, "outputs")
		code, out, log := run(t.Context(), []string{
			host, "REPO_URL=https://bitbucket.org/acme/" + token, "BITBUCKET_TOKEN=token-of-the-job", "WARP_API_KEY=wk-key-of-the-job", "SECRET_NAME=" + token,
			"ENVIRONMENT_ID=" + token, "ENVIRONMENT_NAME=x " + token, "TEAM=" + token, "DOCKER_IMAGE=" + token, "BRANCH=" + token, "OUTPUT_FILE=" + filepath.Join(directory, token),
			"GITHUB_OUTPUT=" + outputs, "GITHUB_STEP_SUMMARY=" + summary,
		})
		assert.Equal(t, action.ExitInputs, code)
		shown := regexp.MustCompile(`(?m)^::add-mask::.*\n`).ReplaceAllString(out, "") + log
		for _, path := range []string{summary, outputs} {
			content, _ := os.ReadFile(path)
			shown += string(content)
		}
		assert.NotContains(t, strings.ToLower(shown), "marker")
		assert.NotContains(t, shown, "left empty", "what is not shown needs no error of its own")
		assert.Contains(t, shown, "output_file: holds what looks like")
	}
	files, err := os.ReadDir(directory)
	require.NoError(t, err)
	for _, file := range files {
		assert.NotContains(t, file.Name(), "MARKER")
	}
}

func TestTheFirstArgumentIsTheMode(t *testing.T) {
	t.Parallel()
	code, _, log := run(t.Context(), []string{"MODE=plan", "WARP_API_KEY=wk-x"}, "appyl")
	assert.Equal(t, action.ExitInputs, code)
	assert.Contains(t, log, "mode: \"appyl\" is not one of apply, plan, test, rotate, destroy; did you mean apply?")
}

// TestASignal ends a run before its first request.
func TestASignal(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		ctx, stop := context.WithCancelCause(t.Context())
		stop(action.Interrupted(signal))
		code, out, log := run(ctx, []string{
			"REPO_URL=http://127.0.0.1:1/scm/p/api.git", "BITBUCKET_TOKEN=MARKER-token", "WARP_API_KEY=wk-MARKER", "WARP_SERVER_URL=http://127.0.0.1:1",
		})
		assert.Equal(t, want, code, log)
		assert.Equal(t, "P-api", decode(t, out)["environment_name"])
		assert.NotContains(t, out+log, "MARKER")
	}
}

// TestProxiesAreOfTheRun: two runs in one process have a proxy each.
func TestProxiesAreOfTheRun(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "two"} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
		t.Cleanup(proxy.Close)
		code, _, log := run(t.Context(), []string{
			"REPO_URL=https://bitbucket.org/acme/api", "BITBUCKET_TOKEN=MARKER-token", "WARP_API_KEY=wk-MARKER", "HTTPS_PROXY=" + proxy.URL,
		}, "plan")
		assert.Equal(t, action.ExitFailed, code, name)
		assert.Contains(t, log, "the proxy "+proxy.Listener.Addr().String()+" answers 403 Forbidden", name)
	}
}

// TestABrokenProxyIsNotNoProxy: it is reported with all other mistakes, without its
// value, and nothing is sent.
func TestABrokenProxyIsNotNoProxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(server.Close)
	inputs := []string{
		"REPO_URL=" + server.URL + "/scm/p/api.git", "BITBUCKET_TOKEN=token-of-the-job", "WARP_API_KEY=wk-key-of-the-job", "WARP_SERVER_URL=" + server.URL,
		"GITHUB_OUTPUT=" + filepath.Join(t.TempDir(), "outputs"), "HTTPS_PROXY=http://ann:MARKER%zz@proxy.test", "http_proxy=ftp://ann:MARKER@proxy.test", "NO_PROXY=http://MARKER.test",
	}
	const (
		https = "HTTPS_PROXY: is not the URL of a proxy"
		http  = "http_proxy: has a scheme other than"
		none  = "NO_PROXY: holds an entry that is neither a host nor a range"
	)
	for _, test := range []struct{ more, want []string }{
		{nil, []string{https, http, none}},
		{[]string{"CLONE_DEPTH=none"}, []string{"clone_depth: is not a depth", https, http, none}},
	} {
		for _, host := range []string{"CI=true", "GITHUB_ACTIONS=true"} {
			code, out, log := run(t.Context(), slices.Concat(inputs, test.more, []string{host}))
			assert.Equal(t, action.ExitInputs, code)
			shown := regexp.MustCompile(`(?m)^::add-mask::.*\n`).ReplaceAllString(out, "") + log
			for _, want := range test.want {
				assert.Contains(t, shown, want)
			}
			assert.Equal(t, len(test.want), strings.Count(shown, "error: ")+strings.Count(shown, "::error "), shown)
			assert.NotContains(t, shown, "MARKER")
		}
	}
	assert.Zero(t, asked.Load())
}

// TestThePasswordOfAProxyIsHidden: the proxy returns the password in every form that it got.
func TestThePasswordOfAProxyIsHidden(t *testing.T) {
	t.Parallel()
	const password = "MARKER-p@ss/77aa10"
	for _, host := range []string{"CI=true", "GITHUB_ACTIONS=true"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = connection.Read(make([]byte, 4096))
				_, _ = io.WriteString(connection, "HTTP/1.1 403 "+password+" "+url.QueryEscape(password)+" "+url.PathEscape(password)+" "+
					base64.StdEncoding.EncodeToString([]byte("ann:"+password))+"\r\n\r\n")
				_ = connection.Close()
			}
		}()
		code, out, log := run(t.Context(), []string{
			host, "REPO_URL=https://bitbucket.org/acme/api", "BITBUCKET_TOKEN=token-of-the-job", "WARP_API_KEY=wk-key-of-the-job",
			"HTTPS_PROXY=http://ann:" + url.QueryEscape(password) + "@" + listener.Addr().String(),
		}, "plan")
		masks := regexp.MustCompile(`(?m)^::add-mask::.*\n`)
		shown := masks.ReplaceAllString(out, "") + log
		assert.Equal(t, action.ExitFailed, code)
		assert.Contains(t, shown, "answers 403 *** *** *** ")
		assert.NotContains(t, shown, "MARKER")
		assert.NotContains(t, shown, base64.StdEncoding.EncodeToString([]byte("ann:" + password))[6:])
		if host == "GITHUB_ACTIONS=true" {
			assert.Equal(t, 0, masks.FindStringIndex(out)[0], "the runner is told before anything else is printed")
		}
	}
}
