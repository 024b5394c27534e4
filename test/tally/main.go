// Command tally runs "go test", prints its output, and ends with a line that counts the
// tests and says what was skipped and why:
//
//	go run ./test/tally [-FLAG[=VALUE]...] PACKAGE...
//
// It uses the race detector where there is a C compiler. The detector makes a test of ten thousand
// rows or bytes ten times as slow. Such tests are in files that begin with the constraint "!race",
// and run afterwards without the detector. The flag -run is refused: go test itself takes it.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code of go test.
func run(args []string, stdout, stderr io.Writer) int {
	packages := slices.DeleteFunc(slices.Clone(args), isFlag)
	flags := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return !isFlag(arg) })
	if slices.ContainsFunc(flags, func(flag string) bool { return strings.HasPrefix(strings.TrimLeft(flag, "-"), "run") }) {
		fmt.Fprintln(stderr, "tally: -run is not for tally; call go test")
		return 2
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt) // go test gets the signal too, and ends
	defer signal.Stop(interrupted)
	race, without := detector()
	t := tally{map[string]int{}, map[string]int{}, nil, map[string][]event{}}
	code := t.test(slices.Concat(race, args), stdout, stderr)
	switch {
	case len(interrupted) > 0:
		code = max(code, 1) // also when go test had ended well
	case race != nil:
		code = max(code, t.withoutRace(flags, packages, stdout, stderr))
	}
	fmt.Fprintln(stdout, t.line(without))
	return code
}

// withoutRace runs the tests of these packages that a build for the race detector leaves out. It
// returns the exit code of go test.
func (t *tally) withoutRace(flags, packages []string, stdout, stderr io.Writer) int {
	tests, packages, err := leftOut(packages)
	if err != nil {
		fmt.Fprintln(stderr, "tally: find the tests that are not for the race detector:", err)
		return 1
	}
	if len(tests) == 0 {
		return 0
	}
	fmt.Fprintln(stdout, "without the race detector:")
	return t.test(slices.Concat(flags, []string{"-run", "^(" + strings.Join(tests, "|") + ")$"}, packages), stdout, stderr)
}

// test runs go test once, and returns its exit code.
func (t *tally) test(args []string, stdout, stderr io.Writer) int {
	command := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	command.Stderr = stderr
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		fmt.Fprintln(stderr, "tally: start go test:", err)
		return 1
	}
	readErr := t.read(output, stdout)
	err = command.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	case err != nil || readErr != nil:
		fmt.Fprintln(stderr, "tally: go test:", errors.Join(err, readErr))
		return 1
	}
	return 0
}

// detector returns the flag for the race detector, or why it cannot be used.
func detector() (flags []string, without string) {
	probe := exec.Command("sh", "-c", `echo '#include <stdlib.h>
int main(void) { return 0; }' | $(go env CC) -x c -o /dev/null -`)
	if cgo, err := exec.Command("go", "env", "CGO_ENABLED").Output(); err != nil || strings.TrimSpace(string(cgo)) != "1" || probe.Run() != nil {
		return nil, "without the race detector, which needs a C compiler"
	}
	return []string{"-race"}, ""
}

func isFlag(arg string) bool { return strings.HasPrefix(arg, "-") }

// declared matches the declaration of a test.
var declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)[^\s(]*)\(`)

// leftOut returns the tests in files that a build for the race detector leaves out, and their
// packages in the order in which they are given.
func leftOut(of []string) (tests, packages []string, err error) {
	list := []string{"list", "-race", "-f", "{{range .IgnoredGoFiles}}{{$.ImportPath}}\t{{$.Dir}}\t{{.}}\n{{end}}"}
	files, err := exec.Command("go", append(list, of...)...).Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(files)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		text, err := os.ReadFile(filepath.Join(fields[1], fields[2]))
		if err != nil {
			return nil, nil, err
		}
		if !strings.HasSuffix(fields[2], "_test.go") || !strings.HasPrefix(string(text), "//go:build !race\n") {
			continue
		}
		for _, found := range declared.FindAllStringSubmatch(string(text), -1) {
			tests, packages = append(tests, found[1]), append(packages, fields[0])
		}
	}
	return tests, slices.Compact(packages), nil
}

// event is a line of "go test -json".
//
// Source: go doc test2json; go help buildjson
type event struct {
	Action, Package, Test, Output string
}

// tally is what go test has done so far.
type tally struct {
	ends    map[string]int     // of tests, by action
	reasons map[string]int     // of skipped tests
	failed  []string           // packages
	said    map[string][]event // output by package, of packages that have not ended
}

// read prints what go test prints without -json: one line for a package that passed, and all
// output of a package that failed.
func (t *tally) read(events io.Reader, stdout io.Writer) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			e = event{Action: "build-output", Output: line}
		}
		t.take(e, stdout)
		if err != nil {
			for _, name := range slices.Sorted(maps.Keys(t.said)) {
				show(t.said[name], stdout) // go test ended before these packages did
			}
			clear(t.said)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read its events: %w", err)
		}
	}
}

func (t *tally) take(e event, stdout io.Writer) {
	switch {
	case e.Action == "build-output":
		fmt.Fprint(stdout, e.Output)
	case e.Action == "output":
		t.said[e.Package] = append(t.said[e.Package], e)
	case e.Test != "" && slices.Contains([]string{"pass", "fail", "skip"}, e.Action):
		t.ends[e.Action]++
		if e.Action == "skip" {
			t.reasons[reason(t.said[e.Package], e.Test)]++
		}
	case e.Test == "" && e.Action == "fail":
		t.failed = append(t.failed, e.Package)
		show(t.said[e.Package], stdout)
		delete(t.said, e.Package)
	case e.Test == "" && (e.Action == "pass" || e.Action == "skip"):
		said := t.said[e.Package]
		show(said[max(0, len(said)-1):], stdout)
		delete(t.said, e.Package)
	}
}

// onlyVerbose matches the lines that go test prints only with -v.
var onlyVerbose = regexp.MustCompile(`^ *(=== |--- PASS: )`)

func show(said []event, stdout io.Writer) {
	for _, e := range said {
		if e.Test == "" || !onlyVerbose.MatchString(e.Output) {
			fmt.Fprint(stdout, e.Output)
		}
	}
}

// logged matches the beginning of a test's log lines and of its reason to skip.
var logged = regexp.MustCompile(`^ +\S+\.go:\d+: `)

// reason returns the first line of a test's last log entry.
func reason(said []event, test string) string {
	for _, e := range slices.Backward(said) {
		if at := logged.FindString(e.Output); e.Test == test && at != "" {
			return strings.TrimSpace(e.Output[len(at):])
		}
	}
	return "no reason given"
}

// line returns the last line of the output.
func (t *tally) line(without string) string {
	text := fmt.Sprintf("tests: %d passed, %d failed, %d skipped", t.ends["pass"], t.ends["fail"], t.ends["skip"])
	for i, why := range slices.Sorted(maps.Keys(t.reasons)) {
		text += fmt.Sprintf("%s%d: %s", [2]string{" (", "; "}[min(i, 1)], t.reasons[why], why)
	}
	if len(t.reasons) > 0 {
		text += ")"
	}
	if len(t.failed) > 0 {
		text += "; failed: " + strings.Join(slices.Compact(slices.Sorted(slices.Values(t.failed))), " ")
	}
	if without != "" {
		text += "; " + without
	}
	return text
}
