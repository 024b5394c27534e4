package test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// manual returns the README and the pages of docs, by path.
func manual(t *testing.T) map[string]string {
	t.Helper()
	return readFiles(t, "../README.md", "../docs/*.md")
}

// TestReadmeExamplesUseWhatThereIs parses every YAML example of README and docs, and checks that
// the inputs and outputs that it names exist.
func TestReadmeExamplesUseWhatThereIs(t *testing.T) {
	t.Parallel()
	content := strings.Join(slices.Collect(maps.Values(manual(t))), "\n")
	known := map[string]bool{"DEBUG": true}
	for _, input := range config.Inputs() {
		known[input.Name], known[strings.ToUpper(input.Name)] = true, true
	}
	var outputs []string
	for _, output := range (report.Facts{}).Outputs() {
		outputs = append(outputs, output.Name)
	}

	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(content, -1)
	require.GreaterOrEqual(t, len(examples), 12)
	named := 0
	for _, example := range examples {
		// Optional variables are comments; they are checked too.
		text := regexp.MustCompile(`(?m)# ([A-Z_]+: .*) # Optional\.$`).ReplaceAllString(example[1], "$1")
		var tree any
		require.NoError(t, yaml.Unmarshal([]byte(text), &tree), text)
		for _, input := range inputsOf(tree) {
			assert.True(t, known[input], "%s in\n%s", input, text)
			named++
		}
	}
	assert.Greater(t, named, 15)
	for _, match := range regexp.MustCompile(`steps\.oz\.outputs\.(\w+)`).FindAllStringSubmatch(content, -1) {
		assert.Contains(t, outputs, match[1])
	}
	for _, row := range tableOf(t, "| variable | usage |") {
		assert.True(t, known[strings.TrimSuffix(row[0], " (*)")], row[0])
	}
}

// inputsOf lists the inputs that an example gives: to our action, to our pipe, or
// as the variables of a job that runs our image.
func inputsOf(tree any) []string {
	var names []string
	switch node := tree.(type) {
	case []any:
		for _, child := range node {
			names = append(names, inputsOf(child)...)
		}
	case map[string]any:
		uses, _ := node["uses"].(string)
		for key, child := range node {
			fields, isMap := child.(map[string]any)
			if isMap && (key == "variables" || key == "with" && strings.HasPrefix(uses, "oz-bitbucket/")) {
				for name := range fields {
					names = append(names, name)
				}
				continue
			}
			names = append(names, inputsOf(child)...)
		}
	}
	return names
}

// TestTroubleshootingQuotesTheProgram looks up every message of the table in the
// source.
func TestTroubleshootingQuotesTheProgram(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	require.NoError(t, filepath.WalkDir("../internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		source.Write(content)
		return err
	}))
	rows := tableOf(t, "| message | what to do |")
	require.GreaterOrEqual(t, len(rows), 10)
	for _, row := range rows {
		for piece := range strings.SplitSeq(row[0], "...") {
			assert.True(t, strings.Contains(source.String(), strings.TrimSpace(piece)), "no message says %q", piece)
		}
	}
}

// TestEachPromiseHasItsTest looks for the tests that the promises of docs/security.md name.
func TestEachPromiseHasItsTest(t *testing.T) {
	t.Parallel()
	var tests strings.Builder
	for _, root := range []string{"../internal", "."} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			tests.Write(content)
			return err
		}))
	}
	rows := tableOf(t, "| promise | test |")
	require.GreaterOrEqual(t, len(rows), 13)
	for _, row := range rows {
		named := regexp.MustCompile(`\b(?:Test|Fuzz)\w+`).FindAllString(row[1], -1)
		assert.NotEmpty(t, named, row[0])
		for _, test := range named {
			assert.Contains(t, tests.String(), "\nfunc "+test+"(", row[0])
		}
	}
}

// The README is for newcomers; the rest is in docs.
func TestTheREADMEIsShort(t *testing.T) {
	t.Parallel()
	assert.LessOrEqual(t, strings.Count(manual(t)["../README.md"], "\n"), 250, "lines: move text to docs")
	for path, page := range manual(t) {
		prose := fenced.ReplaceAllString(page, "")
		for line := range strings.Lines(codeOrLink.ReplaceAllString(prose, "")) {
			assert.True(t, strings.HasPrefix(line, "|") || len([]rune(line)) <= 101, "%s: wrap this at 100 columns: %s", path, line)
		}
	}
}

// codeOrLink matches what cannot be wrapped: code, and the target of a link.
var codeOrLink = regexp.MustCompile("`[^`\n]*`|\\]\\([^)\\s]*\\)")

// TestLinksLead follows each link between files of the repository, in every page, to
// the file and its heading, and looks for each page of docs in the README.
func TestLinksLead(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for path, page := range all {
		assert.Empty(t, broken(all, path, page), path)
	}
	for path := range readFiles(t, "../docs/*.md") {
		assert.Contains(t, all["../README.md"], "("+strings.TrimPrefix(path, "../")+")", "no one finds %s", path)
	}
	// In action.yml and similar files a quoted text names a heading.
	quoted := 0
	for path, text := range readFiles(t, "../action.yml", "../pipe.yml", "../templates/*.yml", "../docs/*.json") {
		for _, match := range regexp.MustCompile(`"([A-Z][^"]+)" in the README`).FindAllStringSubmatch(text, -1) {
			assert.Contains(t, anchors(all["../README.md"]), slug(match[1]), path)
			quoted++
		}
	}
	assert.Positive(t, quoted)
}

// TestBrokenLinksAreFound checks that the search finds broken links.
func TestBrokenLinksAreFound(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"../README.md":    "# Title\n## The `code`, and *more*\n## Twice\n## Twice\n```\n# no heading\n```\n",
		"../docs/page.md": "# Page\n",
	}
	for link, want := range map[string]int{
		"#title": 0, "#the-code-and-more": 0, "#twice-1": 0, "docs/page.md#page": 0, "docs": 0, "https://example.com/x": 0,
		"#twice-2": 1, "#no-heading": 1, "docs/page.md#title": 1, "docs/none.md": 1, "../README.md": 1, "/docs/page.md": 1, "http://example.com": 1,
	} {
		for _, text := range []string{"[a](" + link + ")", "[a\nb](" + link + "), [c](docs)", "| [`a`](" + link + " \"title\") |"} {
			assert.Len(t, broken(all, "../README.md", all["../README.md"]+text), want, text)
		}
	}
	assert.Empty(t, broken(all, "../docs/page.md", "[a](../README.md#title) `[a](none)`\n```\n[a](none)\n```\n"))
}

// broken returns the links of a page that lead nowhere. all holds the pages.
func broken(all map[string]string, path, page string) (complaints []string) {
	for _, match := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(fenced.ReplaceAllString(page, ""), "code"), -1) {
		if strings.HasPrefix(match[1], "https://") {
			continue
		}
		target, anchor, hasAnchor := strings.Cut(match[1], "#")
		file := path
		if target != "" {
			file = filepath.Join(filepath.Dir(path), target)
		}
		_, isPage := all[file]
		if _, err := os.Stat(file); err != nil && !isPage || filepath.IsAbs(target) || strings.HasPrefix(file, "../../") {
			complaints = append(complaints, fmt.Sprintf("%s: there is no such file", match[1]))
		} else if hasAnchor && !slices.Contains(anchors(all[file]), anchor) {
			complaints = append(complaints, fmt.Sprintf("%s: there is no such heading", match[1]))
		}
	}
	return complaints
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#+ (.+?)\s*$`)
)

// anchors lists what links can name on a page.
func anchors(page string) (names []string) {
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		name := slug(match[1])
		seen[name]++
		if n := seen[name]; n > 1 {
			name = fmt.Sprintf("%s-%d", name, n-1)
		}
		names = append(names, name)
	}
	return names
}

// slug is a heading's anchor on GitHub: lower case, a hyphen for each space, and no
// punctuation.
//
// Source: https://docs.github.com/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
func slug(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// TestManifestsNameOneSchema: the line that editors read is the same on each page and in
// what import writes, and the file is where the URL says.
func TestManifestsNameOneSchema(t *testing.T) {
	t.Parallel()
	seen := 0
	for path, page := range manual(t) {
		for _, match := range regexp.MustCompile("\\$schema=([^`\\s]+)").FindAllStringSubmatch(page, -1) {
			assert.Equal(t, config.SchemaURL, match[1], path)
			seen++
		}
	}
	assert.Equal(t, 2, seen)
	_, file, _ := strings.Cut(config.SchemaURL, "/main/")
	assert.FileExists(t, "../"+file)
}

// TestWhatIsUnpublishedIsSaid: the paragraph before each block that needs our image
// says that there is none yet. So does each section that links an example which needs it.
func TestWhatIsUnpublishedIsSaid(t *testing.T) {
	t.Parallel()
	seen := 0
	for path, page := range manual(t) {
		for _, at := range fenced.FindAllStringIndex(page, -1) {
			if !needsImage.MatchString(page[at[0]:at[1]]) {
				continue
			}
			seen++
			before := strings.Split(strings.TrimSpace(page[:at[0]]), "\n\n")
			assert.Regexp(t, unpublished, before[len(before)-1], "%s:\n%s", path, page[at[0]:at[1]])
		}
	}
	assert.Greater(t, seen, 6)

	linked := 0
	for path, page := range manual(t) {
		for _, section := range regexp.MustCompile(`(?m)^#+ `).Split(fenced.ReplaceAllString(page, ""), -1) {
			for _, match := range regexp.MustCompile(`\]\(\.\./(\.github/examples/[^)]+)\)`).FindAllStringSubmatch(section, -1) {
				example, err := os.ReadFile("../" + match[1])
				require.NoError(t, err, path)
				if needsImage.Match(example) {
					linked++
					assert.Regexp(t, unpublished, section, "%s links %s", path, match[1])
				}
			}
		}
	}
	assert.Greater(t, linked, 20)
}

var unpublished = regexp.MustCompile(`published\s+yet|not\s+published`)

var needsImage = regexp.MustCompile(`oz-bitbucket/oz-bitbucket[:@]|docker run`)

// TestNewcomersSeeWhatTheyAreTold compares the log in the README with a run's.
func TestNewcomersSeeWhatTheyAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	r := w.must(w.inputs(nil))
	page := manual(t)["../README.md"]
	assert.Contains(t, page, "\n          # setup_commands: ", "the block to copy runs no command that may not fit the repository")
	told := regexp.MustCompile("(?s)What you will see.*?```\n(.*?)```").FindStringSubmatch(page)
	require.NotNil(t, told)
	own := strings.NewReplacer("your-workspace-your-repo", r.outputs["environment_name"],
		"36V7h5Q0RtBF2lf0YwSNXO", r.outputs["environment_id"], "439e453d567b58b774274dc5fbdb0b9659945b28", r.outputs["head_commit"])
	assert.Contains(t, r.log, "\n"+own.Replace(told[1]))
}

// TestContributorsKnowWhatIsInstalled compares CONTRIBUTING with .ci/run and the Makefile.
func TestContributorsKnowWhatIsInstalled(t *testing.T) {
	t.Parallel()
	files := readFiles(t, "../CONTRIBUTING.md", "../.ci/run", "../Makefile")
	page := files["../CONTRIBUTING.md"]
	installed := regexp.MustCompile(`packages\+?=\(([^)]*)\)`).FindAllStringSubmatch(files["../.ci/run"], -1)
	require.Len(t, installed, 2)
	for _, list := range installed {
		for name := range strings.FieldsSeq(list[1]) {
			assert.Contains(t, page, "`"+name+"`")
		}
	}
	for _, match := range regexp.MustCompile(`(?m)^# (make \w+)`).FindAllStringSubmatch(files["../Makefile"], -1) {
		assert.Contains(t, page, "    "+match[1])
	}
	assert.Less(t, strings.Index(page, "\n## Setting up"), 1+strings.Index(page, "\n## "), "CONTRIBUTING begins with how to set up")
}

// TestAKeptCommandIsRemovedAsThePageSays: a command that fails stays when the input is removed.
// The value in docs/setup-commands.md removes it.
func TestAKeptCommandIsRemovedAsThePageSays(t *testing.T) {
	t.Parallel()
	var remedy map[string]string
	block := regexp.MustCompile("(?s)## A kept command.*?```yaml\n(.*?)```").FindStringSubmatch(manual(t)["../docs/setup-commands.md"])
	require.NotNil(t, block)
	require.NoError(t, yaml.Unmarshal([]byte(block[1]), &remedy))

	w := newWorld(t, plain, warpsim.Options{})
	require.Equal(t, 3, w.run(w.inputs(map[string]string{"setup_commands": "false"})).code)
	kept := w.run(w.inputs(nil))
	require.Equal(t, 3, kept.code)
	const way = "the environment keeps its commands while setup_commands is not given"
	assert.Contains(t, kept.log, way)
	again := w.run(w.inputs(map[string]string{"setup_commands": "false"}))
	assert.Contains(t, again.log, "a setup command failed")
	assert.NotContains(t, again.log, way, "it is in the inputs")
	w.must(w.inputs(remedy))
	w.must(w.inputs(nil)) // the input may then be removed
}
