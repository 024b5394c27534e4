package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTally runs go test, without a C compiler, over packages that end in every way.
func TestTally(t *testing.T) {
	inModule(t, map[string]string{
		"fine/a_test.go": `
func TestFine(t *testing.T) { fmt.Println("printed by fine") }
func TestMissing(t *testing.T) { t.Log("before"); t.Skipf("there is no %s here\nand more", "engine") }
func TestParts(t *testing.T) {
	for range 2 { t.Run("part", func(t *testing.T) { t.Parallel(); t.Skip("there is no shell here") }) }
}`,
		"silent/a_test.go": `func TestSilent(t *testing.T) { fmt.Print(""); t.SkipNow() }`,
		"fails/a_test.go": `
func TestFine(t *testing.T) { fmt.Println("printed by a neighbour") }
func TestBad(t *testing.T) { t.Run("part", func(t *testing.T) { t.Log("two\nlines"); t.Error("it is bad") }) }`,
		"panics/a_test.go": `
func TestWaits(t *testing.T) { t.Parallel(); fmt.Println("printed by one that waits"); select {} }
func TestPanics(t *testing.T) { t.Parallel(); panic("out of hand") }`,
		"unbuilt/a_test.go": `func TestUnbuilt(t *testing.T) { fmt.Print(undeclared) }`,
	})
	t.Setenv("CGO_ENABLED", "0")

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

// inModule changes into a module with these tests, by the names of their files.
func inModule(t *testing.T, tests map[string]string) {
	t.Helper()
	directory := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(directory, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write("go.mod", "module example.test\n\ngo 1.24\n")
	write("empty/empty.go", "package empty\n")
	for name, text := range tests {
		constraint := ""
		if filepath.Base(name) == "large_test.go" {
			constraint = "//go:build !race\n\n"
		}
		also := ""
		if strings.Contains(text, "exec.") {
			also = "\t\"os\"\n\t\"os/exec\"\n"
		}
		write(name, constraint+"package "+filepath.Dir(name)+"\n\nimport (\n\t\"fmt\"\n"+also+"\t\"testing\"\n)\n"+text+"\n")
	}
	t.Chdir(directory)
	for _, name := range []string{"GOFLAGS", "GOWORK"} {
		t.Setenv(name, "")
	}
}

// tallied returns the exit code and the lines that were printed.
func tallied(args ...string) (code int, lines []string) {
	var stdout, stderr strings.Builder
	code = run(args, &stdout, &stderr)
	return code, strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
}

// TestTallyWithTheDetector: tests that are not for the race detector run after the others, also when
// one of those failed.
func TestTallyWithTheDetector(t *testing.T) {
	if race, without := detector(); race == nil {
		t.Skip(without)
	}
	inModule(t, map[string]string{
		"mixed/a_test.go":         `func TestSmall(t *testing.T) { fmt.Print(""); t.Skip("there is no engine here") }`,
		"mixed/large_test.go":     `func TestLarge(t *testing.T) { fmt.Print(large); t.Log("large") }` + "\n" + `func TestHuge(t *testing.T) {}`,
		"mixed/b_test.go":         `const large = "much"` + "\n" + `var _, _ = fmt.Print, testing.Short`,
		"mixed/c_windows_test.go": `func TestSmall(t *testing.T) { fmt.Print("") }`,
		"fails/a_test.go":         `func TestBad(t *testing.T) { fmt.Print(""); t.Error("it is bad") }`,
		"fails/large_test.go":     `func TestWorse(t *testing.T) { fmt.Print(""); t.Error("it is worse") }`,
		"later/a_test.go":         `func TestFine(t *testing.T) { fmt.Print("") }`,
		"later/large_test.go":     `func TestLater(t *testing.T) { fmt.Print(""); t.Error("it is bad") }`,
		"stops/a_test.go":         `func TestStops(t *testing.T) { _ = fmt.Sprint(exec.Command("kill", "-INT", os.Getenv("TALLY")).Run()) }`,
		"stops/b_test.go":         "func TestOther(t *testing.T) { fmt.Print() }",
		"stops/large_test.go":     `func TestLarge(t *testing.T) { fmt.Print("") }`,
	})
	code, lines := tallied("-vet=off", "./mixed", "./empty")
	assert.Zero(t, code)
	require.Len(t, lines, 5, "%q", lines)
	assert.Equal(t, "without the race detector:", lines[2])
	assert.Regexp(t, `^ok  \texample\.test/mixed\t`, lines[3])
	assert.Equal(t, "tests: 2 passed, 0 failed, 1 skipped (1: there is no engine here)", lines[4])

	code, lines = tallied("-vet=off", "./fails")
	assert.Equal(t, 1, code)
	assert.Subset(t, lines, []string{"    a_test.go:7: it is bad", "without the race detector:", "    large_test.go:9: it is worse"})
	assert.Equal(t, "tests: 0 passed, 2 failed, 0 skipped; failed: example.test/fails", lines[len(lines)-1])

	code, lines = tallied("-vet=off", "./later")
	assert.Equal(t, 1, code)
	assert.Equal(t, "tests: 1 passed, 1 failed, 0 skipped; failed: example.test/later", lines[len(lines)-1])

	t.Setenv("TALLY", strconv.Itoa(os.Getpid()))
	code, lines = tallied("-vet=off", "./stops")
	assert.Equal(t, 1, code, "although no test failed")
	assert.Equal(t, "tests: 2 passed, 0 failed, 0 skipped", lines[len(lines)-1])

	code, lines = tallied("-vet=off", "example.test/mixed")
	assert.Zero(t, code)
	assert.Contains(t, lines, "without the race detector:")

	code, lines = tallied("-run=Fine", "./mixed")
	assert.Equal(t, 2, code)
	assert.Equal(t, []string{""}, lines)

	code, lines = tallied("-vet=off", "./missing")
	assert.Equal(t, 1, code)
	assert.Equal(t, "tests: 0 passed, 0 failed, 0 skipped; failed: ./missing", lines[len(lines)-1])
}

// TestTallyOfAnEndTooSoon: the output so far is shown.
func TestTallyOfAnEndTooSoon(t *testing.T) {
	var stdout strings.Builder
	tally := tally{said: map[string][]event{}}
	require.NoError(t, tally.read(strings.NewReader(`{"Action":"output","Package":"p","Test":"TestA","Output":"half a line"}
go: something that is no JSON
{"Action":"output","Package":"p","Output":" and more\n"}
`), &stdout))
	assert.Equal(t, "go: something that is no JSON\nhalf a line and more\n", stdout.String())
	assert.Equal(t, "tests: 0 passed, 0 failed, 0 skipped", tally.line(""))

	stdout.Reset()
	require.NoError(t, tally.read(strings.NewReader(""), &stdout))
	assert.Empty(t, stdout.String(), "once")
}
