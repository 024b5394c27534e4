package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counted finds a format that counts a noun by itself, which can print "1 repositories".
var (
	counted = regexp.MustCompile(`%d (?:(?:of|more|other|of %d) )*[a-z]+s\b`)
	ordinal = regexp.MustCompile(`(?:line|number) %d`) // what comes after is a verb
)

// TestCountedNounsGoThroughOneFunction, plural.Of, in every text of the program.
func TestCountedNounsGoThroughOneFunction(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"%d of %d repositories", "in %d days", "%d more warnings are", "%d other entries"} {
		require.Regexp(t, counted, text)
	}
	literals := 0
	require.NoError(t, filepath.WalkDir("../internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || entry.Name() == "generated.go" {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				literals++
				assert.NotRegexp(t, counted, ordinal.ReplaceAllString(literal.Value, ""), "%s: use plural.Of", set.Position(literal.Pos()))
			}
			return true
		})
		return nil
	}))
	assert.Greater(t, literals, 1000)
}
