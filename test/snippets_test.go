package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// snippet is a text that people copy, in the form in which its host runs it: step after step
// until one fails.
type snippet struct {
	where string // file, line and job
	host  string
	steps []step
}

// step is one process of a host.
type step struct {
	shell     []string // with its options; the path of the script follows
	script    string
	variables map[string]any
	always    bool // also after a failure
}

// How hosts run a script.
//
// Sources: https://docs.github.com/actions/reference/workflow-syntax-for-github-actions#jobsjob_idstepsshell;
// GitLab's runner, shells/bash.go; azure-pipelines-tasks, CmdLineV2; Jenkins'
// durable-task, BourneShellScript.java. Bitbucket's shell is not verified.
var (
	withoutErrexit = []string{"bash"}                                                  // a user's terminal, Azure
	bashErrexit    = []string{"bash", "-e"}                                            // GitHub without shell:, Bitbucket
	bashGitHub     = []string{"bash", "--noprofile", "--norc", "-e", "-o", "pipefail"} // GitHub with shell: bash
	bashGitLab     = []string{"bash", "-eo", "pipefail"}
	shErrexit      = []string{"sh", "-e"} // Jenkins; GitLab and Bitbucket in an image without bash
)

// inImages returns a host's shells: in an image with bash, and in one without, where pipefail
// may not exist.
func inImages(bash []string) [][]string {
	shells := [][]string{bash, shErrexit}
	if _, err := exec.LookPath("busybox"); err == nil {
		shells = append(shells, []string{"busybox", "sh", "-e"})
	}
	return shells
}

var (
	// calls finds the program in a script.
	calls = regexp.MustCompile(`(?m)(?:^|[\s;&|('"])(?:oz-bitbucket|docker run)(?:[\s;&|)'"]|$)`)
	// begins finds where a command calls it.
	begins = regexp.MustCompile(`(?m)(?:^|[;&|(])\s*(?:\w+=\S* )*(?:oz-bitbucket|docker run)(?:[\s;&|)]|$)`)
	// called finds a call in a trace.
	called = regexp.MustCompile(`^(?:\w+=\S* )*(?:oz-bitbucket|docker run)(?: |$)`)
	// piped finds a call whose exit code a pipe hides.
	piped = regexp.MustCompile(`\b(?:oz-bitbucket|docker run)\b[^\n|]*\|(?:[^|]|$)`)
	// speaks finds text about the program, which must be run.
	speaks = regexp.MustCompile(`oz-bitbucket|docker run`)
	// schema finds the line of a manifest that names its schema, which nothing runs.
	schema = regexp.MustCompile(`(?m)^# yaml-language-server: \$schema=\S+$`)
)

const program = "oz-bitbucket" // as a script

// ofGitHub returns the steps of a job.
func ofGitHub(list any) []step {
	var steps []step
	for _, item := range items(list) {
		s := fields(item)
		condition := text(s["if"])
		shell, script := bashErrexit, text(s["run"])
		if uses := text(s["uses"]); uses != "" {
			script = used(uses)
		}
		if text(s["shell"]) == "bash" {
			shell = bashGitHub
		}
		steps = append(steps, step{shell, script, fields(s["env"]), strings.Contains(condition, "always()") || strings.Contains(condition, "failure()")})
	}
	return steps
}

// used returns an action or a pipe as a command.
func used(name string) string {
	if strings.Contains(name, "oz-bitbucket/oz-bitbucket") {
		return program
	}
	return "elsewhere " + name
}

// ofBitbucket returns a step, whose commands are one script.
func ofBitbucket(shell []string, list any) step {
	var lines []string
	for _, item := range items(list) {
		if pipe := fields(item); pipe != nil {
			lines = append(lines, used(text(pipe["pipe"])))
			continue
		}
		lines = append(lines, text(item))
	}
	return step{shell: shell, script: strings.Join(lines, "\n")}
}

// pipelines lists the pipelines below a tree, each of which is a list of steps.
func pipelines(tree any) [][]any {
	var found [][]any
	for _, child := range fields(tree) {
		if list := items(child); list != nil {
			found = append(found, list)
		}
		found = append(found, pipelines(child)...)
	}
	return found
}

// inOrder returns the steps of a pipeline, also parallel ones. Of equal parallel steps, which
// get different variables from the host, it returns the first.
func inOrder(pipeline []any) (steps []map[string]any) {
	for _, item := range pipeline {
		parallel := fields(item)["parallel"]
		if group := fields(parallel); group != nil {
			parallel = group["steps"]
		}
		if parallel == nil {
			steps = append(steps, fields(item))
		}
		var group []map[string]any
		for _, step := range inOrder(items(parallel)) {
			if !slices.ContainsFunc(group, func(s map[string]any) bool { return reflect.DeepEqual(s, step) }) {
				group = append(group, step)
			}
		}
		steps = append(steps, group...)
	}
	return steps
}

// ofGitLab returns the jobs of a file: those that call the program, then those after them.
func ofGitLab(shell []string, file map[string]any) []step {
	var before, after []step
	for _, included := range items(file["include"]) {
		if strings.Contains(text(fields(included)["component"]), program) {
			before = append(before, step{shell: shell, script: program})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file)) {
		job := fields(file[name])
		var lines []string
		for _, line := range slices.Concat(items(job["before_script"]), items(job["script"])) {
			lines = append(lines, text(line))
		}
		s := step{shell, strings.Join(lines, "\n"), fields(job["variables"]), text(job["when"]) == "always" || text(job["when"]) == "on_failure"}
		switch {
		case job["script"] == nil:
		case calls.MatchString(s.script):
			before = append(before, s)
		default:
			after = append(after, s)
		}
	}
	return append(before, after...)
}

func ofAzure(list any) []step {
	var steps []step
	for _, item := range items(list) {
		s := fields(item)
		script := text(s["script"]) + text(s["bash"])
		if script == "" {
			script = "elsewhere"
		}
		condition := text(s["condition"])
		steps = append(steps, step{withoutErrexit, script, fields(s["env"]), strings.Contains(condition, "always()") || strings.Contains(strings.ToLower(condition), "failed()")})
	}
	return steps
}

// ofKubernetes returns the containers below a tree. A container without a command runs the
// entrypoint of its image.
func ofKubernetes(tree any) []step {
	var steps []step
	for key, child := range fields(tree) {
		for _, item := range items(child) {
			container := fields(item)
			if key != "containers" && key != "initContainers" {
				continue
			}
			s := step{shell: []string{"sh"}, script: used(text(container["image"]))}
			if command := items(container["command"]); command != nil {
				s = ofCommand(slices.Concat(command, items(container["args"])))
			}
			steps = append(steps, s)
		}
		steps = append(steps, ofKubernetes(child)...)
	}
	return steps
}

// ofCommand returns a container's command: a program, or the script of a shell.
func ofCommand(words []any) step {
	if len(words) == 3 && strings.HasSuffix(text(words[1]), "c") { // as in sh -ec SCRIPT
		options := strings.TrimSuffix(text(words[1]), "c")
		return step{shell: append([]string{filepath.Base(text(words[0]))}, strings.Fields(strings.TrimSuffix(options, "-"))...), script: text(words[2])}
	}
	var script []string
	for _, word := range words {
		script = append(script, text(word))
	}
	return step{shell: []string{"sh"}, script: strings.Join(script, " ")}
}

// fields, items and text return a YAML tree as that type, or nothing when it is another.
func fields(tree any) map[string]any {
	m, _ := tree.(map[string]any)
	return m
}

func items(tree any) []any {
	list, isList := tree.([]any)
	if line, isText := tree.(string); isText && !isList {
		return []any{line}
	}
	return list
}

func text(tree any) string {
	if tree == nil {
		return ""
	}
	return fmt.Sprint(tree)
}

// jenkinsShell finds the shell steps of a Jenkinsfile.
var jenkinsShell = regexp.MustCompile(`(?s)\bsh\b(?:[ (]|[ (][^\n]*?\bscript: )(?:'''(.*?)'''|"""(.*?)"""|'([^'\n]*)'|"([^"\n]*)")`)

// snippetsOf reads a text in a language, and returns the parts that call the program.
func snippetsOf(t *testing.T, where, language, content string) []snippet {
	t.Helper()
	var found []snippet
	add := func(host, job string, steps ...step) {
		if slices.ContainsFunc(steps, func(s step) bool { return calls.MatchString(s.script) }) {
			found = append(found, snippet{strings.TrimSpace(where + " " + job), host, steps})
		}
	}
	switch language {
	case "sh", "bash":
		// Lines to copy are for a terminal, and for scripts of any host.
		add("terminal", "in a terminal", step{shell: withoutErrexit, script: content})
		add("Azure", "in Azure", step{shell: withoutErrexit, script: content})
		add("Jenkins", "in Jenkins", step{shell: shErrexit, script: content})
	case "groovy":
		for _, match := range jenkinsShell.FindAllStringSubmatch(content, -1) {
			add("Jenkins", "", step{shell: shErrexit, script: strings.ReplaceAll(strings.Join(match[1:], ""), "\\\n", "")})
		}
	case "yaml":
		for _, tree := range documents[any](t, where, content) {
			file := fields(tree)
			switch list := items(tree); {
			case list != nil && fields(list[0])["pipe"] != nil:
				for _, shell := range inImages(bashErrexit) {
					add("Bitbucket", "with "+shell[0], ofBitbucket(shell, list))
				}
			case list != nil:
				add("GitHub", "", ofGitHub(list)...)
			case file["jobs"] != nil:
				for name, job := range fields(file["jobs"]) {
					add("GitHub", "job "+name, ofGitHub(fields(job)["steps"])...)
				}
			case file["pipelines"] != nil:
				for _, pipeline := range pipelines(file["pipelines"]) {
					for _, shell := range inImages(bashErrexit) {
						var steps []step
						for _, item := range inOrder(pipeline) {
							steps = append(steps, ofBitbucket(shell, fields(item["step"])["script"]))
						}
						add("Bitbucket", "with "+shell[0], steps...)
					}
				}
			case file["steps"] != nil:
				add("Azure", "", ofAzure(file["steps"])...)
			case file["kind"] != nil:
				add("Kubernetes", "", ofKubernetes(file)...)
			default:
				for _, shell := range inImages(bashGitLab) {
					add("GitLab", "with "+shell[0], ofGitLab(shell, file)...)
				}
			}
		}
	}
	return found
}

// documents returns the documents of a YAML text.
func documents[T any](t *testing.T, where, content string) (trees []T) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(content)); ; {
		var tree T
		err := decoder.Decode(&tree)
		if errors.Is(err, io.EOF) {
			return trees
		}
		require.NoError(t, err, where)
		trees = append(trees, tree)
	}
}

var fenced = regexp.MustCompile("(?ms)^([ \t]*)```([^\n]*)\n(.*?)^[ \t]*```[ \t]*$")

// joined returns a script with each command on one line.
func joined(script string) string { return strings.ReplaceAll(script, "\\\n", "") }

// missed returns the parts of a text that are about the program but in no snippet, or that
// make the host continue after a failure.
func missed(t *testing.T, where, language, content string, found []snippet) string {
	t.Helper()
	if len(found) == 0 && speaks.MatchString(schema.ReplaceAllString(content, "")) {
		return "nothing runs this text, which speaks of the program"
	}
	if said := goesOn.FindString(content); said != "" && len(found) > 0 {
		return "the host is told to go on: " + said
	}
	for _, s := range found {
		count := 0
		for _, step := range s.steps {
			count += len(begins.FindAllString(joined(step.script), -1))
		}
		if count > 1 {
			return "the program is called twice, and only the first call is tried: make two snippets of it"
		}
	}
	var scripts []string
	switch language {
	case "groovy":
		scripts = []string{jenkinsShell.ReplaceAllString(regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(content, ""), "")}
	case "yaml":
		for _, tree := range documents[yaml.Node](t, where, content) {
			scripts = append(scripts, scriptsOf(&tree)...)
		}
	}
	for _, script := range scripts {
		run := slices.ContainsFunc(found, func(s snippet) bool {
			return slices.ContainsFunc(s.steps, func(s step) bool { return strings.Contains(s.script, script) })
		})
		if calls.MatchString(script) && !run {
			return "nothing runs " + script
		}
	}
	return ""
}

// goesOn finds what makes a host continue after a failure.
var goesOn = regexp.MustCompile(`(?i)\b(?:continue-?on-?error|allow_failure|returnStatus|catchError)\b`)

// allSnippets reads every page, example and template.
func allSnippets(t *testing.T) []snippet {
	t.Helper()
	var all []snippet
	read := func(where, language, content string) {
		t.Helper()
		found := snippetsOf(t, where, language, content)
		assert.Empty(t, missed(t, where, language, content, found), "%s:\n%s", where, content)
		all = append(all, found...)
	}
	for path, page := range pages(t) {
		for _, at := range fenced.FindAllStringSubmatchIndex(page, -1) {
			where := fmt.Sprintf("%s:%d", filepath.Base(path), 1+strings.Count(page[:at[0]], "\n"))
			read(where, page[at[4]:at[5]], page[at[6]:at[7]])
		}
		prose := fenced.ReplaceAllString(page, "")
		assert.NotRegexp(t, "(?m)^[ \t]*(~~~|```|<pre)", prose, "%s: put code between lines of ```", path)
		for line := range strings.Lines(prose) {
			indented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
			assert.False(t, indented && calls.MatchString(line), "%s: put this between lines of ```: %s", path, line)
		}
	}
	for path, content := range readFiles(t, examples+"*", "../templates/*") {
		language := map[string]string{".yml": "yaml", ".yaml": "yaml", ".sh": "sh", "": "groovy"}[filepath.Ext(path)]
		read(filepath.Base(path), language, content)
	}
	return all
}

// pages returns every page of the repository for people.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.Name() == "testdata" {
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = string(content)
		return err
	}))
	require.Contains(t, found, "../README.md")
	return found
}

// refusing returns a directory of commands: the program, a docker that runs it, and commands
// that a script may use on the outputs. REFUSAL is the program's exit code; with 2 the real
// program runs without credentials.
func refusing(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	const nothing = "#!/bin/sh\n"
	for name, script := range map[string]string{
		"oz-bitbucket": `#!/bin/sh
if [ "$REFUSAL" = 2 ]; then
	"$PROGRAM"
else
	echo '{"environment_id":""}'
	echo 'error: no' >&2
	(exit "$REFUSAL")
fi
code=$?
echo "$code" >>"$RECORD"
exit "$code"
`,
		"docker": `#!/bin/sh
[ "$1" = run ] || exit 0
while [ $# -gt 0 ]; do
	case $1 in
	-v | --volume) host=${2%%:*} inside=${2#*:} inside=${inside%:*} ;;
	-e | --env) case $2 in *=*) export "$2" ;; esac ;;
	esac
	shift
done
case ${OUTPUT_FILE-} in
"${inside:-/nowhere}"/*) OUTPUT_FILE=$host${OUTPUT_FILE#"$inside"} ;;
esac
exec oz-bitbucket
`,
		"elsewhere": nothing, "gh": nothing, "curl": nothing, "oz": nothing, "kubectl": nothing, "openssl": nothing + "echo 0123456789abcdef\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(script), 0o755))
	}
	return directory
}

var traced = regexp.MustCompile(`(?m)^\++ (.*)$`)

// complaints runs a snippet with a program that fails. It returns what the snippet does wrong:
// it ends with 0, continues after the program, or changes the checkout.
func (s snippet) complaints(t *testing.T, tools string, refusal int) (complaints []string) {
	t.Helper()
	say := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	c, temporary := newCheckout(t), t.TempDir()
	record := filepath.Join(temporary, "record")
	environ := append([]string{
		"PATH=" + tools + ":" + os.Getenv("PATH"), "HOME=" + c.home, "PROGRAM=" + binary, "RECORD=" + record, fmt.Sprintf("REFUSAL=%d", refusal),
		"REPO_URL=https://bitbucket.org/your-workspace/your-repo.git", // cron.sh requires it
	}, c.environ(s.host, temporary)...)
	failed := false
	for i, step := range s.steps {
		if failed && !step.always {
			continue
		}
		if piped.MatchString(joined(step.script)) {
			say("a pipe hides the exit code")
		}
		file := filepath.Join(temporary, fmt.Sprintf("step-%d", i))
		require.NoError(t, os.WriteFile(file, []byte(step.script+"\n"), 0o644))
		command := exec.Command(step.shell[0], append(slices.Clone(step.shell[1:]), "-x", file)...)
		command.Dir, command.Env = c.directory, environ
		for name, value := range step.variables {
			if given := text(value); !strings.Contains(given, "$") { // a host would put in a credential, or an output that is missing here
				command.Env = append(command.Env, name+"="+given)
			}
		}
		var stderr bytes.Buffer
		command.Stderr = &stderr
		err := command.Run()
		var exit *exec.ExitError
		require.True(t, err == nil || errors.As(err, &exit), "%v", err)
		if failed {
			continue
		}
		failed = err != nil
		trace := traced.FindAllStringSubmatch(stderr.String(), -1)
		last := slices.IndexFunc(trace, func(line []string) bool { return called.MatchString(line[1]) })
		if _, err := os.Stat(record); err != nil {
			continue
		}
		if !failed {
			say("it ends with 0:\n%s", &stderr)
		}
		if last < 0 {
			say("it is not seen where it calls the program:\n%s", &stderr)
		}
		for _, line := range trace[last+1:] {
			if !strings.HasPrefix(line[1], "exit") {
				say("it goes on: %s", line[1])
			}
		}
		failed = true // the rest would run
	}
	if codes, err := os.ReadFile(record); err != nil || string(codes) != fmt.Sprintln(refusal) {
		say("it does not call the program once: %q, %v", codes, err)
	}
	if dirt := c.dirt(); dirt != "" {
		say("git sees %s", dirt)
	}
	return complaints
}

// TestSnippetsFailWhenTheProgramDoes runs everything that README, examples and templates tell
// people to run, as their host would.
func TestSnippetsFailWhenTheProgramDoes(t *testing.T) {
	t.Parallel()
	tools := refusing(t)
	perHost := map[string]int{}
	for _, s := range allSnippets(t) {
		perHost[s.host]++
		for _, refusal := range []int{2, 1} {
			t.Run(fmt.Sprintf("%s, exit %d", s.where, refusal), func(t *testing.T) {
				t.Parallel()
				assert.Empty(t, s.complaints(t, tools, refusal))
			})
		}
	}
	for host := range hosts {
		assert.Positive(t, perHost[host], host)
	}
}

// TestSnippetsThatHideAFailure gives the check a bad snippet for each way to hide a failure, and
// good ones too.
func TestSnippetsThatHideAFailure(t *testing.T) {
	t.Parallel()
	tools := refusing(t)
	for name, tt := range map[string]struct{ language, content, want string }{
		"a pipe in a terminal":                {"sh", "oz-bitbucket | cat", "a pipe hides"},
		"a pipe in a substitution":            {"sh", "id=$(oz-bitbucket | tail -n 1)", "a pipe hides"},
		"a pipe over two lines":               {"sh", "docker run --rm \\\n  oz-bitbucket | cat", "a pipe hides"},
		"no set -e":                           {"sh", "oz-bitbucket\necho \"$id\"", "it ends with 0"},
		"set -e":                              {"sh", "set -e\noz-bitbucket\necho \"$id\"", ""},
		"and":                                 {"sh", "oz-bitbucket && echo \"$id\"", ""},
		"or":                                  {"sh", "oz-bitbucket || true", "it goes on: true"},
		"or exit":                             {"sh", "oz-bitbucket || exit 1", ""},
		"a command that happens to fail":      {"sh", "oz-bitbucket\nfalse", "it goes on: false"},
		"a declaration":                       {"sh", "set -e\nexport id=$(oz-bitbucket)", "it ends with 0"},
		"an output inside the checkout":       {"sh", "OUTPUT_FILE=oz.env oz-bitbucket", "git sees ?? oz.env"},
		"standard output inside the checkout": {"sh", "oz-bitbucket >oz.json", "git sees ?? oz.json"},
		"GitHub":                              {"yaml", "jobs: {a: {steps: [{run: 'oz-bitbucket | cat'}]}}", "it ends with 0"},
		"GitHub, a step of the action":        {"yaml", "jobs: {a: {steps: [{uses: oz-bitbucket/oz-bitbucket@main}, {run: oz}]}}", ""},
		"GitHub, a failing step before it":    {"yaml", "jobs: {a: {steps: [{run: 'false'}, {uses: oz-bitbucket/oz-bitbucket@main}]}}", "it does not call the program once"},
		"Bitbucket":                           {"yaml", "pipelines: {default: [{step: {script: [oz-bitbucket || oz]}}]}", "it goes on: oz"},
		"Bitbucket, a pipe":                   {"yaml", "pipelines: {default: [{step: {script: [{pipe: 'docker://oz-bitbucket/oz-bitbucket:1'}, oz]}}]}", ""},
		"Bitbucket, a branch":                 {"yaml", "pipelines: {branches: {main: [{step: {script: [oz-bitbucket & wait]}}]}}", "it ends with 0"},
		"GitLab":                              {"yaml", "a: {script: [oz-bitbucket || oz]}", "it goes on: oz"},
		"GitLab, a later job":                 {"yaml", "a: {script: oz-bitbucket}\nb: {needs: [a], script: oz}", ""},
		"GitLab, before_script":               {"yaml", "a: {before_script: ['if oz-bitbucket; then :; fi'], script: [oz]}", "it ends with 0"},
		"Azure":                               {"yaml", "steps: [{script: \"oz-bitbucket\\noz\"}]", "it ends with 0"},
		"Azure, bash":                         {"yaml", "steps: [{bash: \"oz-bitbucket\\noz\"}]", "it ends with 0"},
		"Azure, a later step":                 {"yaml", "steps: [{script: oz-bitbucket}, {script: oz}]", ""},
		"Jenkins":                             {"groovy", "sh 'oz-bitbucket || true'", "it ends with 0"},
		"Jenkins, three quotes":               {"groovy", "sh \"\"\"oz-bitbucket || true\"\"\"", "it ends with 0"},
		"Kubernetes":                          {"yaml", "kind: Pod\nspec: {containers: [{command: [sh, -c, 'oz-bitbucket; oz']}]}", "it ends with 0"},
		"Kubernetes, set -e":                  {"yaml", "kind: Pod\nspec: {containers: [{command: [sh, -ec, 'oz-bitbucket; oz']}]}", ""},
		"Kubernetes, a command":               {"yaml", "kind: Pod\nspec: {containers: [{command: [oz-bitbucket], args: [plan]}]}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := snippetsOf(t, name, tt.language, tt.content)
			require.NotEmpty(t, found)
			var complaints []string
			for _, s := range found {
				complaints = append(complaints, s.complaints(t, tools, 2)...)
			}
			if tt.want == "" {
				assert.Empty(t, complaints)
			} else {
				assert.Contains(t, strings.Join(complaints, "\n"), tt.want)
			}
		})
	}
}

// TestSnippetsThatNothingRuns gives the search for snippets texts in which it would miss a call.
func TestSnippetsThatNothingRuns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ language, content, want string }{
		"no language":                {"", "oz-bitbucket plan", "nothing runs this text"},
		"another language":           {"python", "run('oz-bitbucket')", "nothing runs this text"},
		"a session":                  {"console", "$ docker run image", "nothing runs this text"},
		"an unknown key":             {"yaml", "a: {commands: oz-bitbucket}", "nothing runs this text"},
		"a job without steps":        {"yaml", "jobs: {a: {env: {X: oz-bitbucket}}}", "nothing runs this text"},
		"GitLab's after_script":      {"yaml", "a: {script: oz-bitbucket, after_script: [oz-bitbucket test]}", "nothing runs oz-bitbucket test"},
		"Bitbucket's after-script":   {"yaml", "pipelines: {default: [{step: {script: [oz-bitbucket], after-script: [oz-bitbucket test]}}]}", "nothing runs oz-bitbucket test"},
		"Jenkins, a variable":        {"groovy", "sh 'oz-bitbucket'\ndef command = 'oz-bitbucket plan'\nsh command\n", "nothing runs"},
		"Jenkins, a status":          {"groovy", "sh(script: 'oz-bitbucket', returnStatus: true)", "the host is told to go on: returnStatus"},
		"GitHub, going on":           {"yaml", "jobs: {a: {steps: [{run: oz-bitbucket, continue-on-error: true}]}}", "the host is told to go on: continue-on-error"},
		"GitLab, going on":           {"yaml", "a: {script: oz-bitbucket, allow_failure: true}", "the host is told to go on: allow_failure"},
		"Azure, going on":            {"yaml", "steps: [{script: oz-bitbucket, continueOnError: true}]", "the host is told to go on: continueOnError"},
		"Jenkins":                    {"groovy", "// oz-bitbucket\nsh(label: 'x', script: 'oz-bitbucket')", ""},
		"Bitbucket, parallel":        {"yaml", "pipelines: {default: [{parallel: {steps: [{step: {script: [oz-bitbucket]}}]}}, {parallel: [{step: {script: [make]}}]}]}", ""},
		"two calls":                  {"sh", "oz-bitbucket plan\noz-bitbucket || true", "the program is called twice"},
		"two calls in two steps":     {"yaml", "pipelines: {default: [{parallel: [{step: {script: [oz-bitbucket]}}, {step: {script: [oz-bitbucket plan]}}]}]}", "the program is called twice"},
		"one step after itself":      {"yaml", "pipelines: {default: [{step: {script: [oz-bitbucket]}}, {step: {script: [oz-bitbucket]}}]}", "the program is called twice"},
		"one step twice in parallel": {"yaml", "pipelines: {default: [{parallel: [{step: {script: [oz-bitbucket]}}, {step: {script: [oz-bitbucket]}}]}]}", ""},
		"a build and a call":         {"sh", "docker build -t oz-bitbucket .\ndocker run --rm \\\n  oz-bitbucket plan", ""},
		"another program":            {"yaml", "a: {script: make}", ""},
	} {
		got := missed(t, name, tt.language, tt.content, snippetsOf(t, name, tt.language, tt.content))
		if tt.want == "" {
			assert.Empty(t, got, name)
		} else {
			assert.Contains(t, got, tt.want, name)
		}
	}
}
