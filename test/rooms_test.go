package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/oz-bitbucket/oz-bitbucket/"

// room is a row of the architecture: whom a package may know and what it may
// touch. What a row does not name is forbidden.
type room struct {
	knows []string // other rooms
	doors []string // third-party modules
	hosts bool     // environment, files, streams, processes: os
	net   bool     // net, net/http
	clock bool     // reads the time or waits
	plain bool     // reveals secrets
	seals bool     // makes a warp.SealedSecret
}

// rooms is the architecture. CONTRIBUTING.md describes it; this is what holds.
var rooms = map[string]room{
	"sensitive":    {plain: true}, // where Reveal lives
	"problem":      {doors: []string{"github.com/hashicorp/go-multierror"}},
	"warp":         {},
	"bitbucket":    {},
	"grace":        {clock: true},
	"setup":        {knows: []string{"bitbucket"}, doors: []string{"mvdan.cc/sh/v3"}},
	"transport":    {doors: []string{"github.com/hashicorp/go-retryablehttp", "golang.org/x/net"}, net: true, clock: true},
	"warpapi":      {knows: []string{"sensitive", "transport", "warp"}, doors: []string{"github.com/Khan/genqlient", "github.com/google/uuid"}, net: true, plain: true},
	"bitbucketapi": {knows: []string{"bitbucket", "sensitive", "transport"}, net: true, plain: true},
	"config":       {knows: []string{"bitbucket", "problem", "sensitive", "setup", "warp"}, doors: []string{"github.com/caarlos0/env/v11", "github.com/distribution/reference"}, plain: true},
	"mint":         {knows: []string{"bitbucket", "sensitive"}},
	"preflight":    {knows: []string{"bitbucket"}, doors: []string{"golang.org/x/sync"}},
	"reconcile":    {knows: []string{"grace", "sensitive", "warp"}, doors: []string{"golang.org/x/sync"}, clock: true},
	"seal":         {knows: []string{"sensitive", "warp"}, doors: []string{"github.com/tink-crypto/tink-go/v2"}, plain: true, seals: true},
	"smoketest":    {knows: []string{"grace", "warp"}, clock: true},
	"report":       {knows: []string{"reconcile", "smoketest"}},
	"platform":     {knows: []string{"bitbucket", "report", "sensitive"}, doors: []string{"github.com/sethvargo/go-githubactions", "github.com/google/uuid"}, hosts: true, clock: true, plain: true},
	"action": {
		knows: []string{
			"bitbucket", "bitbucketapi", "config", "mint", "platform", "preflight", "problem", "reconcile",
			"report", "seal", "sensitive", "setup", "smoketest", "transport", "warp", "warpapi",
		},
		doors: []string{"golang.org/x/sync", "github.com/google/uuid"},
	},
}

// offline are the calls into net and time that touch neither a network nor a
// clock: parsing and arithmetic.
var offline = map[string][]string{
	"net":  {"ParseIP"},
	"time": {"Duration", "Minute", "Second", "Hour", "Millisecond", "ParseDuration", "Time", "Parse", "UnixMilli", "DateOnly", "RFC3339", "RFC3339Nano"},
}

func TestRooms(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("../internal")
	require.NoError(t, err)
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
		row, known := rooms[entry.Name()]
		if assert.True(t, known, "internal/%s has no row", entry.Name()) {
			checkRoom(t, entry.Name(), row)
		}
	}
	for name := range rooms {
		assert.Contains(t, found, name, "a row without a room")
	}
}

func checkRoom(t *testing.T, name string, row room) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../internal", name, "*.go"))
	require.NoError(t, err)
	set := token.NewFileSet()
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		require.NoError(t, err)
		for _, imported := range file.Imports {
			where := strings.Trim(imported.Path.Value, `"`)
			inside, ours := strings.CutPrefix(where, module)
			switch {
			case ours:
				assert.Contains(t, row.knows, strings.TrimPrefix(inside, "internal/"), "%s may not know %s", path, inside)
			case strings.Contains(strings.Split(where, "/")[0], "."):
				assert.True(t, slices.ContainsFunc(row.doors, func(door string) bool {
					return where == door || strings.HasPrefix(where, door+"/")
				}), "%s may not import %s", path, where)
			case where == "os" || where == "os/exec" || where == "syscall":
				assert.True(t, row.hosts, "%s may not touch %s", path, where)
			case where == "net/http":
				assert.True(t, row.net, "%s may not touch %s", path, where)
			}
		}
		ast.Inspect(file, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			at := set.Position(selector.Pos())
			if selector.Sel.Name == "Reveal" {
				assert.True(t, row.plain, "%s: %s may not reveal a secret", at, name)
			}
			from, ok := selector.X.(*ast.Ident)
			if !ok || from.Obj != nil {
				return true
			}
			switch called := selector.Sel.Name; {
			case from.Name == "warp" && called == "NewSealedSecret":
				assert.True(t, row.seals, "%s: %s may not seal", at, name)
			case from.Name == "time" && !slices.Contains(offline["time"], called):
				assert.True(t, row.clock, "%s: %s may not touch time.%s", at, name, called)
			case from.Name == "net" && !slices.Contains(offline["net"], called):
				assert.True(t, row.net, "%s: %s may not touch net.%s", at, name, called)
			}
			return true
		})
	}
}

// TestSimulatorsKnowNothingOfTheProduct keeps them a second reading of the wire.
func TestSimulatorsKnowNothingOfTheProduct(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("simulator/*/*.go")
	require.NoError(t, err)
	more, err := filepath.Glob("simulator/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range append(files, more...) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, imported := range file.Imports {
			assert.NotContains(t, imported.Path.Value, module+"internal", path)
		}
	}
}
