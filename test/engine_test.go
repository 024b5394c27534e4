package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests of this file's helpers run one after the other: they share Docker's
// engine and its names of images.
const (
	testImage = "oz-bitbucket-test/image"
	runBase   = "oz-bitbucket-test/run"
	buildBase = "oz-bitbucket-test/build"
)

// needs skips a test with a reason where something is missing. In CI it fails the test.
func needs(t testing.TB, what string, there bool) {
	t.Helper()
	if !there && os.Getenv("CI") == "" {
		t.Skipf("there is no %s here, so nothing was checked", what)
	}
	require.True(t, there, "there is no %s", what)
}

func needsDocker(t testing.TB) {
	t.Helper()
	needs(t, "engine of Docker on Linux", runtime.GOOS == "linux" && exec.Command("docker", "version").Run() == nil)
	busybox, err := exec.LookPath("busybox")
	needs(t, "BusyBox", err == nil)
	linked, _ := exec.Command("ldd", busybox).CombinedOutput()
	needs(t, "BusyBox without shared libraries (Debian's busybox-static)", !strings.Contains(string(linked), "=>"))
}

// output runs a command that must succeed and returns what it printed on stdout.
func output(t testing.TB, command *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.Output()
	require.NoError(t, err, "%s\n%s%s", command, stdout, stderr.String())
	return string(stdout)
}

// bases returns the directories that test/bases.sh assembles. It runs once.
var bases = sync.OnceValues(func() (string, error) {
	directory := filepath.Join(filepath.Dir(binary), "bases")
	command := exec.Command("sh", "test/bases.sh", directory)
	command.Dir = ".."
	command.Stderr = os.Stderr
	return directory, command.Run()
})

// image builds the image with the Dockerfile, once.
var image = sync.OnceValues(func() (string, error) {
	directory, err := bases()
	if err != nil {
		return "", err
	}
	found = append([]string{}, listImages()...)
	for name, part := range map[string]string{runBase: "run", buildBase: "build"} {
		if err := exec.Command("sh", "-c", `tar -C "$1" -c . | docker import - "$2"`, "sh", filepath.Join(directory, part), name).Run(); err != nil {
			return "", err
		}
	}
	sources := filepath.Join(filepath.Dir(binary), "sources")
	if err := copySources(sources); err != nil {
		return "", err
	}
	build := exec.Command("docker", "build", "--quiet", "--tag", testImage, sources)
	build.Stderr = os.Stderr
	return testImage, build.Run()
})

func requireImage(t testing.TB) string {
	t.Helper()
	needsDocker(t)
	name, err := image()
	require.NoError(t, err)
	return name
}

// found are the images that the engine had before the first container test; nil when none ran.
var found []string

// listImages lists the IDs of all images, with or without a name.
func listImages() []string {
	ids, _ := exec.Command("docker", "image", "ls", "--all", "--quiet", "--no-trunc").Output()
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(ids)))))
}

// removeImages removes the images that the tests made, and returns the new images that are
// left. A build leaves nameless images; ours begin with the layer of a base.
func removeImages() (left []string) {
	if found == nil {
		return nil
	}
	firstLayer := func(image string) string {
		layer, _ := exec.Command("docker", "image", "inspect", "--format", "{{index .RootFS.Layers 0}}", image).Output()
		return string(layer)
	}
	ours := []string{firstLayer(runBase), firstLayer(buildBase)}
	_ = exec.Command("docker", "image", "rm", "--force", testImage, actImage).Run()
	for removed := true; removed; { // an image can be removed after those that are made from it
		removed, left = false, nil
		for _, image := range listImages() {
			switch layer := firstLayer(image); {
			case slices.Contains(found, image) || layer == "": // removed together with another one
			case slices.Contains(ours, layer) && exec.Command("docker", "image", "rm", "--force", image).Run() == nil:
				removed = true
			default:
				left = append(left, image)
			}
		}
	}
	return left
}

var fromLine = regexp.MustCompile(`(?m)^FROM (--platform=\S+ )?(golang|alpine):[0-9a-z.-]+@sha256:[0-9a-f]{64}`)

// copySources copies the checkout, with the Dockerfile on the assembled bases.
func copySources(directory string) error {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	if err := exec.Command("sh", "-c", `cd .. && git ls-files -z --cached --others --exclude-standard | tar --null -c -T - | tar -xC "$1"`, "sh", directory).Run(); err != nil {
		return err
	}
	path := filepath.Join(directory, "Dockerfile")
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	swapped := fromLine.ReplaceAllStringFunc(string(content), func(line string) string {
		parts := fromLine.FindStringSubmatch(line)
		return "FROM " + parts[1] + map[string]string{"golang": buildBase, "alpine": runBase}[parts[2]]
	})
	return os.WriteFile(path, []byte(swapped), 0o644)
}

// touchAll gives all files the same, other time.
func touchAll(t *testing.T, directory string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		earlier := info.ModTime().AddDate(-1, 0, 0)
		return os.Chtimes(path, earlier, earlier)
	}))
}
