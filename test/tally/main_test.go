package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTally runs go test, without a C compiler, over packages that end in every way.
func TestTally(t *testing.T) {
	packages := map[string]string{
		"fine": `
func TestFine(t *testing.T) { fmt.Println("printed by fine") }
func TestMissing(t *testing.T) { t.Log("before"); t.Skipf("there is no %s here\nand more", "engine") }
func TestParts(t *testing.T) {
	for range 2 { t.Run("part", func(t *testing.T) { t.Parallel(); t.Skip("there is no shell here") }) }
}`,
		"silent": `func TestSilent(t *testing.T) { fmt.Print(""); t.SkipNow() }`,
		"fails": `
func TestFine(t *testing.T) { fmt.Println("printed by a neighbour") }
func TestBad(t *testing.T) { t.Run("part", func(t *testing.T) { t.Log("two\nlines"); t.Error("it is bad") }) }`,
		"panics": `
func TestWaits(t *testing.T) { t.Parallel(); fmt.Println("printed by one that waits"); select {} }
func TestPanics(t *testing.T) { t.Parallel(); panic("out of hand") }`,
		"unbuilt": `func TestUnbuilt(t *testing.T) { fmt.Print(undeclared) }`,
	}
	directory := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(directory, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write("go.mod", "module example.test\n\ngo 1.24\n")
	write("empty/empty.go", "package empty\n")
	for name, text := range packages {
		write(name+"/a_test.go", "package "+name+"\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n)\n"+text+"\n")
	}
	t.Chdir(directory)
	for _, name := range []string{"GOFLAGS", "GOWORK"} {
		t.Setenv(name, "")
	}
	t.Setenv("CGO_ENABLED", "0")
	tallied := func(args ...string) (code int, lines []string) {
		var stdout, stderr strings.Builder
		code = run(args, &stdout, &stderr)
		return code, strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	}

	const without = "; without the race detector, which needs a C compiler"
	code, lines := tallied("-vet=off", "./fine", "./silent", "./empty")
	assert.Zero(t, code)
	require.Len(t, lines, 4, "%q", lines)
	slices.Sort(lines[:3]) // packages end in any order
	assert.Regexp(t, `^\?   \texample\.test/empty\t\[no test files\]`, lines[0])
	assert.Regexp(t, `^ok  \texample\.test/fine\t`, lines[1])
	assert.Regexp(t, `^ok  \texample\.test/silent\t`, lines[2])
	assert.Equal(t, "tests: 2 passed, 0 failed, 4 skipped (1: no reason given; 1: there is no engine here; 2: there is no shell here)"+without, lines[3])

	code, lines = tallied("-vet=off", "./...")
	assert.Equal(t, 1, code)
	text := strings.Join(lines, "\n") + "\n"
	for _, says := range []string{
		"--- FAIL: TestBad (", "--- FAIL: TestBad/part (", "    a_test.go:9: two\n        lines\n    a_test.go:9: it is bad\n", "\nprinted by a neighbour\n",
		"--- FAIL: TestPanics (", "panic: out of hand", "goroutine ", "\nFAIL\texample.test/fails\t", "\nFAIL\texample.test/panics\t",
		"a_test.go:7:44: undefined: undeclared\n", "FAIL\texample.test/unbuilt [build failed]\n",
	} {
		assert.Contains(t, text, says)
	}
	for _, hides := range []string{"=== RUN", "--- PASS", "printed by fine", "\nPASS\n", "engine here\n", `"Action"`} {
		assert.NotContains(t, text, hides)
	}
	assert.Regexp(t, `^tests: 3 passed, 3 failed, 4 skipped \(.*\); failed: example.test/fails example.test/panics example.test/unbuilt`+without+`$`, lines[len(lines)-1])
}

// TestTallyOfAnEndTooSoon: the output so far is shown.
func TestTallyOfAnEndTooSoon(t *testing.T) {
	var stdout strings.Builder
	var tally tally
	require.NoError(t, tally.read(strings.NewReader(`{"Action":"output","Package":"p","Test":"TestA","Output":"half a line"}
go: something that is no JSON
{"Action":"output","Package":"p","Output":" and more\n"}
`), &stdout))
	assert.Equal(t, "go: something that is no JSON\nhalf a line and more\n", stdout.String())
	assert.Equal(t, "tests: 0 passed, 0 failed, 0 skipped", tally.line(""))
}
