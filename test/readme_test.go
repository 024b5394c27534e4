package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// TestReadmeExamplesUseWhatThereIs parses every YAML example and checks the
// inputs and outputs that it names.
func TestReadmeExamplesUseWhatThereIs(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	known := map[string]bool{"DEBUG": true}
	for _, input := range config.Inputs() {
		known[input.Name], known[strings.ToUpper(input.Name)] = true, true
	}
	var outputs []string
	for _, output := range (report.Facts{}).Outputs() {
		outputs = append(outputs, output.Name)
	}

	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	require.GreaterOrEqual(t, len(examples), 6)
	named := 0
	for _, example := range examples {
		// Optional variables are comments; they must be right, too.
		text := regexp.MustCompile(`(?m)# ([A-Z_]+: .*) # Optional\.$`).ReplaceAllString(example[1], "$1")
		var tree any
		require.NoError(t, yaml.Unmarshal([]byte(text), &tree), text)
		for _, input := range inputsOf(tree) {
			assert.True(t, known[input], "%s in\n%s", input, text)
			named++
		}
	}
	assert.Greater(t, named, 15)
	for _, match := range regexp.MustCompile(`steps\.oz\.outputs\.(\w+)`).FindAllStringSubmatch(string(content), -1) {
		assert.Contains(t, outputs, match[1])
	}
	for _, row := range readmeTable(t, "| variable | usage |") {
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
	rows := readmeTable(t, "| message | what to do |")
	require.GreaterOrEqual(t, len(rows), 10)
	for _, row := range rows {
		for piece := range strings.SplitSeq(row[0], "...") {
			assert.True(t, strings.Contains(source.String(), strings.TrimSpace(piece)), "no message says %q", piece)
		}
	}
}

// TestEachPromiseHasItsTest looks for the tests that the README's promises name.
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
	rows := readmeTable(t, "| promise | test |")
	require.GreaterOrEqual(t, len(rows), 13)
	for _, row := range rows {
		named := regexp.MustCompile(`\b(?:Test|Fuzz)\w+`).FindAllString(row[1], -1)
		assert.NotEmpty(t, named, row[0])
		for _, test := range named {
			assert.Contains(t, tests.String(), "\nfunc "+test+"(", row[0])
		}
	}
}
