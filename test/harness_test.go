package test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "oz-bitbucket-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(directory, "oz-bitbucket")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build: %v\n%s", err, output))
	}
	code := m.Run()
	if left := removeImages(); len(left) > 0 {
		fmt.Println("container tests left images behind:", left)
		code = max(code, 1)
	}
	_ = os.RemoveAll(directory)
	os.Exit(code)
}

// The credentials of every world. Both hold a marker that must not appear anywhere else.
const (
	apiKey     = "wk-MARKER-key-5d1c0a7be2"
	serviceKey = "wk-MARKER-service-77aa10"
	cloudToken = "ATATT3MARKER-cloud-+_9f3e=1A2B3C4D"
	dcToken    = "BBDC-MARKER/dc+4c8a=="
	userUID    = "kY3pQ2mV7bTt0aLw9XcRj5NsHd12"
	teamUID    = "Tm0000000000000000000A"
)

var team = warpsim.Owner{Type: "Team", UID: teamUID}

var (
	rootsOnce sync.Once
	rootsFile string
)

// roots is a file with the only authority that this machine trusts in these tests. It has signed
// nothing. The real authorities are more than a hundred, and reading them took a tenth of the time of
// all tests. In containers the program reads the real ones.
func roots(t testing.TB) string {
	t.Helper()
	rootsOnce.Do(func() {
		rootsFile = filepath.Join(filepath.Dir(binary), "roots.pem")
		require.NoError(t, os.WriteFile(rootsFile, []byte(newIssuer(t, "Root of this machine").pem()), 0o600))
	})
	return rootsFile
}

// world is one Oz, one Bitbucket and a sample repository on each flavor.
type world struct {
	t         testing.TB
	oz        *warpsim.Server
	bitbucket *bitbucketsim.Server
	cloud, dc *bitbucketsim.Repository
	home      string
	environ   []string // of every process, after its other variables
	dialect   dialect
	written   []string // everything that the program wrote, run by run
	memory    int64    // most bytes that the last process had

	processors time.Duration // that the last measured process used

	// What must never appear, as it is and in lower case; and how many minted tokens are among it.
	hidden, hiddenInLower []string
	hiddenMinted          int
}

// dialect is how a host passes inputs and receives outputs.
type dialect string

const (
	plain  dialect = "plain"
	github dialect = "github"
	pipe   dialect = "pipe" // of the repository w.cloud
)

func newWorld(t testing.TB, d dialect, options warpsim.Options) *world {
	t.Helper()
	w := &world{t: t, bitbucket: bitbucketsim.Start(bitbucketsim.Options{Latency: options.Latency}), home: t.TempDir(), dialect: d}
	t.Cleanup(w.bitbucket.Close)
	w.cloud = w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample"})
	w.dc = w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: "sample"})
	w.bitbucket.AddToken(bitbucketsim.Token{Value: cloudToken, Kind: bitbucketsim.APIToken})
	w.bitbucket.AddToken(bitbucketsim.Token{Value: dcToken, Kind: bitbucketsim.HTTPAccessToken})

	options.RunEnviron = w.bitbucket.Environ()
	w.oz = warpsim.Start(options)
	t.Cleanup(w.oz.Close)
	w.oz.SetImage(w.bitbucket.TrustEnviron()...) // every image trusts Cloud's real authority
	teams := []warpsim.Team{{UID: teamUID, Name: "Acme"}}
	w.oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: teams})
	w.oz.AddKey(serviceKey, warpsim.Principal{UID: "robot", ServiceAccount: true, Teams: teams})
	return w
}

// inputs returns those of the ordinary Cloud job, with changes. An empty value removes an input.
func (w *world) inputs(changes map[string]string) map[string]string {
	inputs := map[string]string{
		"repo_url":        w.cloud.CloneURL(),
		"bitbucket_token": cloudToken,
		"warp_api_key":    apiKey,
		"warp_server_url": w.oz.URL(),
		"ca_certificate":  w.bitbucket.CACertificate(),
	}
	for name, value := range changes {
		inputs[name] = value
	}
	return inputs
}

// result is one finished process.
type result struct {
	code    int
	outputs map[string]string
	log     string // everything that it printed, except masks and the outputs
	summary string
}

// command prepares the process.
func (w *world) command(inputs map[string]string, args ...string) (*exec.Cmd, string) {
	w.t.Helper()
	directory := w.t.TempDir()
	prefix := ""
	environ := append(w.bitbucket.Environ(), "PATH="+os.Getenv("PATH"), "HOME="+w.home, "SSL_CERT_FILE="+roots(w.t), "SSL_CERT_DIR=/nonexistent")
	if w.dialect == github {
		prefix = "INPUT_"
		environ = append(environ, "GITHUB_ACTIONS=true",
			"GITHUB_OUTPUT="+filepath.Join(directory, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(directory, "summary"))
	}
	if w.dialect == pipe {
		environ = append(environ, "CI=true", "BITBUCKET_BUILD_NUMBER=42", "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=sample",
			"BITBUCKET_CLONE_DIR="+directory, "BITBUCKET_PIPELINES_VARIABLES_PATH="+filepath.Join(directory, "variables"))
	}
	for name, value := range inputs {
		environ = append(environ, prefix+strings.ToUpper(name)+"="+value)
	}
	command := exec.Command(binary, args...)
	command.Env, command.Dir = append(environ, w.environ...), directory
	// When the test binary is killed, its processes must end too. Otherwise they would send credentials to
	// the ports of its simulators, where the simulators of the next test binary may listen.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command, directory
}

// run runs the program and waits for its end.
func (w *world) run(inputs map[string]string, args ...string) result {
	w.t.Helper()
	command, directory := w.command(inputs, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(w.t, err)
	}
	return w.finished(command, directory, stdout.String(), stderr.String())
}

// finished collects the results of a process.
func (w *world) finished(command *exec.Cmd, directory, stdout, stderr string) result {
	w.t.Helper()
	w.memory = peak(command.ProcessState)
	r := result{code: command.ProcessState.ExitCode()}
	if w.dialect == github {
		var log []string
		for line := range strings.Lines(stdout) {
			if !strings.HasPrefix(line, "::add-mask::") {
				log = append(log, line)
			}
		}
		require.Empty(w.t, stderr)
		r.log = strings.Join(log, "")
		r.outputs = readGitHubOutput(w.t, filepath.Join(directory, "output"))
		summary, err := os.ReadFile(filepath.Join(directory, "summary"))
		require.NoError(w.t, err)
		r.summary = string(summary)
	} else {
		r.log = stderr
		lines := strings.Split(strings.TrimRight(stdout, "\n"), "\n")
		require.NoError(w.t, json.Unmarshal([]byte(lines[len(lines)-1]), &r.outputs), stdout+stderr)
	}
	if w.dialect == pipe {
		w.requireSourced(directory, r.outputs)
	}
	w.written = append(w.written, r.log, r.summary, fmt.Sprint(r.outputs), strings.Join(command.Args, " "))
	return r
}

// readGitHubOutput reads NAME<<DELIMITER, VALUE, DELIMITER.
func readGitHubOutput(t testing.TB, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	outputs := map[string]string{}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	for i := 0; i+2 < len(lines)+1 && i < len(lines); i += 3 {
		name, delimiter, found := strings.Cut(lines[i], "<<")
		require.True(t, found, lines[i])
		require.Equal(t, delimiter, lines[i+2])
		outputs[name] = lines[i+1]
	}
	return outputs
}

// requireSourced sources the outputs of a pipe in a shell, and compares them and the step's
// variables with the JSON line.
func (w *world) requireSourced(directory string, outputs map[string]string) {
	w.t.Helper()
	shell := exec.Command("env", "-i", "sh", "-euc", "set -a; . ./.oz-bitbucket/outputs.env; env")
	shell.Dir = directory
	sourced, err := shell.Output()
	require.NoError(w.t, err)
	variables, err := os.ReadFile(filepath.Join(directory, "variables"))
	require.NoError(w.t, err)
	for name, value := range outputs {
		line := strings.ToUpper(name) + "=" + value + "\n"
		assert.Contains(w.t, string(sourced), line)
		assert.Contains(w.t, string(variables), line)
	}
	assert.Equal(w.t, len(outputs), strings.Count(string(variables), "\n"))
	w.written = append(w.written, string(sourced), string(variables))
}

// onlyEnvironment returns the only environment. The test fails when there is not exactly one.
func (w *world) onlyEnvironment() warpsim.Environment {
	w.t.Helper()
	environments := w.oz.Environments()
	require.Len(w.t, environments, 1)
	return environments[0]
}

// requireSecret checks that there is one secret, and that it holds the token.
func (w *world) requireSecret(owner warpsim.Owner, name, value string) {
	w.t.Helper()
	secrets := w.oz.Secrets()
	require.Len(w.t, secrets, 1)
	assert.Equal(w.t, owner, secrets[0].Owner)
	assert.Equal(w.t, name, secrets[0].Name)
	assert.True(w.t, secrets[0].Value == value, "the secret does not hold the token") // assert.Equal would print it
}

// requireClean searches for the markers and checks what the simulators complain about. Every
// scenario ends with it.
func (w *world) requireClean() {
	w.t.Helper()
	assert.Empty(w.t, w.oz.Violations())
	assert.Empty(w.t, w.bitbucket.Violations())
	for _, text := range w.written {
		w.refuseMarkers("what the program wrote", text)
	}
	for server, requests := range map[string][]fault.Request{"Oz": w.oz.Journal.All(), "Bitbucket": w.bitbucket.Journal.All()} {
		for _, request := range requests {
			authorization := request.Header.Get("Authorization")
			request.Header.Del("Authorization")
			w.refuseMarkers("a request to "+server, fmt.Sprint(request.Method, request.URL, request.Header, string(request.Body)))
			foreign := cloudToken
			if server == "Bitbucket" {
				foreign = "wk-MARKER"
			}
			assert.NotContains(w.t, authorization, foreign, "a credential for another host")
		}
	}
	for _, run := range w.oz.Runs() {
		assert.False(w.t, run.Going(), "a run goes on")
		w.refuseMarkersIn(run.Workspace)
		w.refuseMarkersIn(run.Home)
		for _, step := range run.Steps {
			w.refuseMarkers("a setup command's output", step.Output+step.Command)
		}
	}
	w.refuseMarkersIn(w.home)
}

// refuseMarkers looks for the credentials in any letter case, also as Basic sends
// them, in hexadecimal, and escaped for URLs.
func (w *world) refuseMarkers(where, text string) {
	w.t.Helper()
	w.hide()
	for _, read := range slices.Compact([]string{text, unescaped(text)}) {
		for _, form := range w.hidden {
			assert.False(w.t, strings.Contains(read, form), "%s shows a secret", where)
		}
		lower := strings.ToLower(read)
		for _, form := range w.hiddenInLower {
			assert.False(w.t, strings.Contains(lower, form), "%s shows a secret", where)
		}
	}
}

// hide collects the forms of all secrets.
func (w *world) hide() {
	minted := w.bitbucket.MintedValues()
	if w.hidden != nil && w.hiddenMinted == len(minted) {
		return
	}
	w.hidden, w.hiddenInLower, w.hiddenMinted = []string{"MARKER"}, nil, len(minted)
	for _, secret := range append(minted, apiKey, serviceKey, cloudToken, accessToken, dcToken, nextToken, password) {
		for _, user := range []string{"", "x-bitbucket-api-token-auth:", "x-token-auth:"} {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				w.hidden = append(w.hidden, strings.TrimRight(encoding.EncodeToString([]byte(user+secret)), "="))
			}
		}
		w.hiddenInLower = append(w.hiddenInLower, strings.ToLower(secret), hex.EncodeToString([]byte(secret)))
	}
	for _, forms := range []*[]string{&w.hidden, &w.hiddenInLower} {
		slices.Sort(*forms)
		*forms = slices.Compact(*forms)
	}
}

// unescaped decodes the escapes of URLs in text, up to three times.
func unescaped(text string) string {
	for range 3 {
		if !strings.Contains(text, "%") {
			break
		}
		text = percent.ReplaceAllStringFunc(text, func(escape string) string {
			character, _ := hex.DecodeString(escape[1:])
			return string(character)
		})
	}
	return text
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func (w *world) refuseMarkersIn(directory string) {
	w.t.Helper()
	if directory == "" {
		return
	}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		w.refuseMarkers(path, string(content))
		return err
	})
	if !errors.Is(err, fs.ErrNotExist) {
		assert.NoError(w.t, err)
	}
}

// model decodes an environment's model.
func model(t testing.TB, e warpsim.Environment) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(e.Model), &m))
	return m
}

// dialects are the two in which most scenarios run.
var dialects = [...]dialect{plain, github}

// inBoth runs a scenario in each dialect.
func inBoth(t *testing.T, options warpsim.Options, scenario func(t *testing.T, w *world)) {
	for _, d := range dialects {
		inDialect(t, d, options, scenario)
	}
}

// inEither runs one of a table's many cases in the dialect that its name draws; each dialect gets about
// half of all cases. It is for cases whose outcome does not depend on the host. How a host shows an
// outcome is for the scenarios that run in both.
func inEither(t *testing.T, options warpsim.Options, scenario func(t *testing.T, w *world)) {
	drawn := crc32.ChecksumIEEE([]byte(t.Name())) % uint32(len(dialects))
	inDialect(t, dialects[drawn], options, scenario)
}

func inDialect(t *testing.T, d dialect, options warpsim.Options, scenario func(t *testing.T, w *world)) {
	t.Run(string(d), func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, d, options)
		scenario(t, w)
		w.requireClean()
	})
}
