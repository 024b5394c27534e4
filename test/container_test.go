package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// The tools of these tests, as Go modules.
const (
	act      = "github.com/nektos/act@v0.2.89"
	buildkit = "github.com/moby/buildkit@v0.34.2"
)

// actImage is the name that act gives to the image of "uses: ./".
const actImage = "act-dockeraction"

func TestImageHasWhatRunnersNeed(t *testing.T) {
	t.Parallel()
	name := requireImage(t)
	var images []struct {
		Config struct {
			User       string
			WorkingDir string
			Entrypoint []string
			Cmd        []string
			Labels     map[string]string
		}
	}
	inspected := output(t, exec.Command("docker", "image", "inspect", name))
	require.NoError(t, json.Unmarshal([]byte(inspected), &images))
	require.Len(t, images, 1)
	assert.Equal(t, []string{"/usr/local/bin/oz-bitbucket"}, images[0].Config.Entrypoint)
	assert.Empty(t, images[0].Config.Cmd)
	assert.Empty(t, images[0].Config.User, "GitHub's files belong to root")
	assert.Empty(t, images[0].Config.WorkingDir)
	for label, want := range imageLabels(t, "dev", "unknown") { // as docker build without arguments
		assert.Equal(t, want, images[0].Config.Labels[label], label)
	}

	// Runners in Kubernetes mode start a container with tail and run the
	// entrypoint through sh and env.
	shell := exec.Command("docker", "run", "--rm", "--entrypoint", "tail", name, "-n", "1", "/etc/ssl/certs/ca-certificates.crt")
	assert.Contains(t, output(t, shell), "END CERTIFICATE")
	shell = exec.Command("docker", "run", "--rm", "--entrypoint", "sh", name, "-c", "env NAME=value oz-bitbucket --version && test ! -e /src")
	assert.Contains(t, output(t, shell), "oz-bitbucket dev")
}

// TestImageBuildsTwiceToTheSameDigest builds for both platforms as the release
// does, from sources of another age the second time.
func TestImageBuildsTwiceToTheSameDigest(t *testing.T) {
	t.Parallel()
	needsDocker(t)
	_, err := exec.LookPath("runc")
	needs(t, "runc, or no root to run it", err == nil && os.Getuid() == 0)
	rootfs, err := bases()
	require.NoError(t, err)
	directory := t.TempDir()
	sources := filepath.Join(directory, "sources")
	require.NoError(t, copySources(sources))

	tool := func(name string, args ...string) *exec.Cmd {
		command := exec.Command(name, args...)
		command.Dir = directory
		return command
	}
	output(t, tool("go", "mod", "init", "tools"))
	module, version, _ := strings.Cut(buildkit, "@")
	output(t, tool("go", "get", module+"/cmd/buildkitd@"+version, module+"/cmd/buildctl@"+version))
	for _, program := range []string{"buildkitd", "buildctl"} { // unlike go build, go run keeps what it has linked
		output(t, tool("go", "run", "-exec", "cp -t .", module+"/cmd/"+program))
	}

	address := "unix://" + filepath.Join(directory, "socket")
	daemon := tool("./buildkitd", "--root", filepath.Join(directory, "root"), "--addr", address, "--oci-worker-net=host", "--containerd-worker=false")
	daemon.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+directory)
	var log bytes.Buffer
	daemon.Stdout, daemon.Stderr = &log, &log
	require.NoError(t, daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	})
	require.Eventually(t, func() bool {
		connection, err := net.Dial("unix", strings.TrimPrefix(address, "unix://"))
		return err == nil && connection.Close() == nil
	}, time.Minute, 50*time.Millisecond, "%s", &log) // other tests run beside it

	build := func(name string) (digest string) {
		metadata := filepath.Join(directory, name+".json")
		output(t, tool("./buildctl", "--addr", address, "build", "--no-cache", "--frontend", "dockerfile.v0",
			"--local", "context="+sources, "--local", "dockerfile="+sources,
			"--local", "run="+filepath.Join(rootfs, "run"), "--opt", "context:"+runBase+"=local:run",
			"--local", "build="+filepath.Join(rootfs, "build"), "--opt", "context:"+buildBase+"=local:build",
			"--opt", "platform=linux/amd64,linux/arm64", "--opt", "build-arg:SOURCE_DATE_EPOCH=1700000000",
			"--output", "type=oci,dest="+filepath.Join(directory, name+".tar")+",rewrite-timestamp=true", "--metadata-file", metadata))
		var result map[string]any
		content, err := os.ReadFile(metadata)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, &result))
		return fmt.Sprint(result["containerimage.digest"])
	}
	first := build("first")
	touchAll(t, sources)
	assert.Regexp(t, "^sha256:[0-9a-f]{64}$", first)
	assert.Equal(t, first, build("second"))
}

// TestActionInItsContainer runs a workflow with "uses: ./" as GitHub's runner
// would: act builds the Dockerfile, hands the inputs over and reads the outputs.
func TestActionInItsContainer(t *testing.T) {
	t.Parallel()
	requireImage(t)
	w := newWorld(t, github, warpsim.Options{})
	directory, cache := filepath.Join(t.TempDir(), "checkout"), t.TempDir()
	require.NoError(t, copySources(directory))
	laterStep := filepath.Join(t.TempDir(), "later-step")
	authority, err := os.ReadFile(w.bitbucket.CACertificate())
	require.NoError(t, err)

	workflow := strings.NewReplacer(
		"REPO_URL", w.cloud.CloneURL(), "SERVER_URL", w.oz.URL(), "LATER_STEP", laterStep,
		"CERTIFICATE", strings.ReplaceAll(strings.TrimSpace(string(authority)), "\n", "\n            "),
	).Replace(`
on: push
jobs:
  provision:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4 # act copies the directory instead
      - id: oz
        uses: ./
        with:
          repo_url: REPO_URL
          bitbucket_token: ${{ secrets.BITBUCKET_TOKEN }}
          warp_api_key: ${{ secrets.WARP_API_KEY }}
          warp_server_url: SERVER_URL
          setup_commands: |
            # GitHub hands lines over as they are
            test -f README.md
          ca_certificate: |
            CERTIFICATE
      - run: printf '%s %s' "$ID" "$VERDICT" >LATER_STEP
        env:
          ID: ${{ steps.oz.outputs.environment_id }}
          VERDICT: ${{ steps.oz.outputs.smoke_test }}
`)
	path := filepath.Join(directory, ".github", "workflows", "test.yml")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(workflow), 0o644))
	secrets := filepath.Join(t.TempDir(), "secrets")
	require.NoError(t, os.WriteFile(secrets, []byte("BITBUCKET_TOKEN="+cloudToken+"\nWARP_API_KEY="+apiKey+"\n"), 0o600))
	commitAll(t, directory)

	// Without the mount act names a file of outputs that the container cannot
	// see; the simulators listen on this machine's loopback.
	args := []string{
		"run", act, "push", "-W", path, "-P", "ubuntu-latest=-self-hosted", "--pull=false", "--no-cache-server",
		"--secret-file", secrets, "--container-options", "--network host -v " + cache + ":" + cache,
	}
	for _, variable := range w.bitbucket.Environ() {
		args = append(args, "--env", variable)
	}
	command := exec.Command("go", args...)
	command.Dir = directory
	goCache := strings.TrimSpace(output(t, exec.Command("go", "env", "GOCACHE")))
	command.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, "GOCACHE="+goCache)
	log, err := command.CombinedOutput()
	require.NoError(t, err, "%s", log)

	later, err := os.ReadFile(laterStep)
	require.NoError(t, err)
	assert.Equal(t, w.onlyEnvironment().UID+" passed", string(later))
	w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	w.written = append(w.written, string(log))
	w.requireClean()
}

// pipeFlags is how Bitbucket starts a pipe, apart from the docker client's directory and the
// network, on whose loopback the simulators listen.
//
// Source: the runner's "docker run", as pipeline-runner repeats it.
func pipeFlags(clone string) []string {
	agent := filepath.Dir(clone)
	return []string{
		"run", "--rm", "--network", "host", "--volume=" + agent + ":" + agent + ":rw", "--workdir=" + clone,
		"--label=org.bitbucket.pipelines.system=true", "--env=CI=true", "--env=BITBUCKET_CLONE_DIR=" + clone,
		"--env=BITBUCKET_BUILD_NUMBER=7", "--env=BITBUCKET_WORKSPACE=acme", "--env=BITBUCKET_REPO_SLUG=sample",
		"--env=BITBUCKET_REPO_FULL_NAME=acme/sample", "--env=BITBUCKET_GIT_HTTP_ORIGIN=http://bitbucket.org/acme/sample",
		"--env=BITBUCKET_BRANCH=main", "--env=BITBUCKET_PIPE_STORAGE_DIR=" + agent + "/pipe", "--add-host=host.docker.internal:127.0.0.1", "--env=BITBUCKET_PIPELINES_VARIABLES_PATH=/opt/atlassian/variables.env",
	}
}

// TestPipeInItsContainer runs the pipe of the example for Bitbucket, in the
// repository that is the pipeline's own.
func TestPipeInItsContainer(t *testing.T) {
	t.Parallel()
	name := requireImage(t)
	w := newWorld(t, plain, warpsim.Options{})
	clone := filepath.Join(t.TempDir(), "build")
	require.NoError(t, os.Mkdir(clone, 0o755))

	secured := map[string]string{"WARP_API_KEY": apiKey, "OZ_BITBUCKET_TOKEN": cloudToken}
	args, environ := pipeFlags(clone), os.Environ()
	reports := w.inPipelines()
	args = append(args, "--env="+w.environ[len(w.environ)-1])
	variables := pipelineExample(t, "bitbucket-pipelines.yml", "oz-environment").Variables
	require.NotContains(t, variables, "REPO_URL")
	require.NoError(t, os.Mkdir(filepath.Join(clone, filepath.Dir(variables["REPORT_FILE"])), 0o755)) // as the step does before
	for variable, value := range variables {
		args = append(args, "--env="+variable)
		environ = append(environ, variable+"="+os.Expand(value, func(name string) string { return secured[name] }))
	}
	command := exec.Command("docker", append(append(args, w.toSimulators()...), name)...)
	command.Env = environ
	result := w.contain(command)
	require.Equal(t, 0, result.code, result.log)
	environment := w.onlyEnvironment()
	assert.Equal(t, environment.UID, result.outputs["environment_id"])
	assert.Equal(t, "acme-sample", result.outputs["environment_name"])
	assert.Equal(t, "passed", result.outputs["smoke_test"])
	assert.Equal(t, "PASSED", w.onlyReport(reports()).Result)
	assert.FileExists(t, filepath.Join(clone, variables["REPORT_FILE"]))

	// The next command of the step reads the outputs as the example does.
	next := exec.Command("sh", "-eu", "-c", `. .oz-bitbucket/outputs.env && echo "$ENVIRONMENT_ID"`)
	next.Dir = clone
	assert.Equal(t, environment.UID+"\n", output(t, next))
	w.refuseMarkersIn(clone)
	w.requireClean()
}

// TestCronJobInItsContainer runs the example for Kubernetes with its limits: no
// root, no capability, nothing to write to.
func TestCronJobInItsContainer(t *testing.T) {
	t.Parallel()
	name := requireImage(t)
	w := newWorld(t, plain, warpsim.Options{})
	job := cronJobExample(t)
	args := []string{
		"run", "--rm", "--network", "host", "--volume=" + w.credentialFiles() + ":" + job.VolumeMounts[0].MountPath + ":ro",
		fmt.Sprintf("--user=%d", job.SecurityContext.RunAsUser), fmt.Sprintf("--read-only=%t", job.SecurityContext.ReadOnlyRoot),
		"--cap-drop=" + job.SecurityContext.Capabilities.Drop[0], "--security-opt=no-new-privileges",
	}
	for _, variable := range job.Env {
		value := variable.Value
		if variable.Name == "REPO_URL" {
			value = w.cloud.CloneURL()
		}
		args = append(args, "--env="+variable.Name+"="+value)
	}
	result := w.contain(exec.Command("docker", append(append(args, w.toSimulators()...), name)...))
	require.Equal(t, 0, result.code, result.log)
	assert.Equal(t, w.onlyEnvironment().UID, result.outputs["environment_id"])
	w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
	w.requireClean()
}

// TestCronScriptInItsContainer runs the example for cron unchanged, with a docker that can
// also reach the simulators.
func TestCronScriptInItsContainer(t *testing.T) {
	t.Parallel()
	name := requireImage(t)
	w := newWorld(t, plain, warpsim.Options{})
	docker, err := exec.LookPath("docker")
	require.NoError(t, err)
	tools := t.TempDir()
	script := "#!/bin/sh\nshift\nexec " + docker + " run --network host \"--env=CA_CERTIFICATE=$AUTHORITY\""
	for _, flag := range w.toSimulators() {
		if !strings.HasPrefix(flag, "--env=CA_CERTIFICATE=") {
			script += " '" + flag + "'"
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(tools, "docker"), []byte(script+` "$@"`+"\n"), 0o755))
	authority, err := os.ReadFile(w.bitbucket.CACertificate())
	require.NoError(t, err)

	command := exec.Command("sh", examples+"cron.sh")
	command.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "AUTHORITY="+string(authority),
		"REPO_URL="+w.cloud.CloneURL(), "CREDENTIALS="+w.credentialFiles(), "IMAGE="+name)
	result := w.contain(command)
	require.Equal(t, 0, result.code, result.log)
	assert.Equal(t, w.onlyEnvironment().UID, result.outputs["environment_id"])
	w.requireClean()
}

// toSimulators are the flags of docker with which a container reaches the simulators.
func (w *world) toSimulators() []string {
	w.t.Helper()
	authority, err := os.ReadFile(w.bitbucket.CACertificate())
	require.NoError(w.t, err)
	flags := []string{"--env=WARP_SERVER_URL=" + w.oz.URL(), "--env=CA_CERTIFICATE=" + string(authority)}
	for _, variable := range w.bitbucket.Environ() {
		flags = append(flags, "--env="+variable)
	}
	return flags
}

// credentialFiles is a directory with the credentials as files.
func (w *world) credentialFiles() string {
	w.t.Helper()
	directory := w.t.TempDir()
	for name, value := range map[string]string{"warp-api-key": apiKey, "bitbucket-token": cloudToken} {
		require.NoError(w.t, os.WriteFile(filepath.Join(directory, name), []byte(value+"\n"), 0o444))
	}
	return directory
}

// contain runs a container and waits for its end.
func (w *world) contain(command *exec.Cmd) result {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(w.t, err)
	}
	require.NotEmpty(w.t, stdout.String(), "%s", &stderr)
	return w.finished(command, "", stdout.String(), stderr.String())
}

// BenchmarkImage starts a container and ends it. MB is what the program and the
// certificates add to the base, before compression.
func BenchmarkImage(b *testing.B) {
	defer func() {
		if b.Skipped() {
			fmt.Printf("%s is skipped: there is no Docker here, or no static BusyBox\n", b.Name()) // Skip is silent without -v
		}
	}()
	name := requireImage(b)
	size := func(image string) (bytes float64) {
		_, err := fmt.Sscan(output(b, exec.Command("docker", "image", "inspect", "--format", "{{.Size}}", image)), &bytes)
		require.NoError(b, err)
		return bytes
	}
	for b.Loop() {
		output(b, exec.Command("docker", "run", "--rm", name, "--version"))
	}
	b.ReportMetric((size(name)-size(runBase))/1e6, "MB")
}
