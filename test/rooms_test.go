package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/oz-bitbucket/oz-bitbucket/"

// room is a row of the architecture: what a package may import and touch. Everything else is
// forbidden.
type room struct {
	knows []string // other rooms
	doors []string // third-party modules
	hosts bool     // environment, files, streams, processes: os
	net   bool     // net, net/http
	clock bool     // reads the time, waits or sets a bound
	plain bool     // reveals secrets
	seals bool     // makes a warp.SealedSecret
}

// rooms is the architecture. CONTRIBUTING.md describes it, but this table is enforced.
var rooms = map[string]room{
	"sensitive":    {plain: true}, // defines Reveal
	"redact":       {knows: []string{"sensitive"}, plain: true},
	"problem":      {doors: []string{"github.com/hashicorp/go-multierror"}},
	"warp":         {},
	"bitbucket":    {},
	"grace":        {clock: true},
	"group":        {doors: []string{"golang.org/x/sync"}},
	"credential":   {knows: []string{"bitbucket", "setup", "warp"}},
	"spelling":     {},
	"plural":       {},
	"manifest":     {knows: []string{"plural", "problem", "redact", "spelling"}, doors: []string{"github.com/goccy/go-yaml"}},
	"factory":      {knows: []string{"manifest"}, doors: []string{"github.com/goccy/go-yaml"}},
	"shell":        {doors: []string{"mvdan.cc/sh/v3"}},
	"cron":         {knows: []string{"plural"}, doors: []string{"github.com/robfig/cron/v3"}},
	"setup":        {knows: []string{"bitbucket", "shell"}},
	"transport":    {knows: []string{"group", "plural", "sensitive"}, doors: []string{"github.com/hashicorp/go-retryablehttp", "golang.org/x/net"}, net: true, clock: true},
	"warpapi":      {knows: []string{"group", "plural", "redact", "sensitive", "transport", "warp"}, doors: []string{"github.com/Khan/genqlient", "github.com/google/uuid", "golang.org/x/net"}, net: true, plain: true},
	"bitbucketapi": {knows: []string{"bitbucket", "plural", "redact", "sensitive", "transport"}, net: true, plain: true},
	"insights":     {knows: []string{"bitbucket", "transport"}, net: true, clock: true},
	"config":       {knows: []string{"bitbucket", "cron", "factory", "manifest", "plural", "problem", "redact", "sensitive", "setup", "shell", "spelling", "warp"}, doors: []string{"github.com/caarlos0/env/v11"}, plain: true},
	"mint":         {knows: []string{"bitbucket", "grace", "sensitive"}, clock: true},
	"preflight":    {knows: []string{"bitbucket", "credential", "group"}},
	"reconcile":    {knows: []string{"bitbucket", "credential", "grace", "group", "plural", "sensitive", "setup", "shell", "warp"}, clock: true},
	"inventory":    {knows: []string{"bitbucket", "manifest", "problem", "reconcile", "setup", "warp"}},
	"seal":         {knows: []string{"sensitive", "warp"}, doors: []string{"google.golang.org/protobuf/encoding/protowire"}, plain: true, seals: true},
	"smoketest":    {knows: []string{"grace", "redact", "warp"}, clock: true},
	"report":       {knows: []string{"bitbucket", "credential", "cron", "plural", "problem", "reconcile", "redact", "setup", "smoketest", "warp"}},
	"platform":     {knows: []string{"bitbucket", "group", "plural", "redact", "report", "sensitive"}, doors: []string{"github.com/sethvargo/go-githubactions", "github.com/google/uuid"}, hosts: true, clock: true},
	"action": {
		knows: []string{
			"bitbucket", "bitbucketapi", "config", "credential", "factory", "grace", "group", "insights", "inventory", "manifest", "mint", "platform", "plural", "preflight", "problem",
			"reconcile", "report", "seal", "sensitive", "setup", "shell", "smoketest", "transport", "warp", "warpapi",
		},
		doors: []string{"github.com/google/uuid"},
		clock: true,
	},
}

// reach lists which permission an imported package needs. A row with names is about these names
// of that package; a row without names is about the package and all packages below it. The
// first row that fits counts. Without such a row no permission is needed.
var reach = []struct {
	path, permission string
	only, but        string // names that need it, or all names except these
}{
	{path: "fmt", permission: "hosts", only: "Print Printf Println Scan Scanf Scanln"},
	{path: "log/slog", permission: "hosts", only: "Debug DebugContext Default Error ErrorContext Info InfoContext Log LogAttrs SetDefault Warn WarnContext With"},
	{path: "path/filepath", permission: "hosts", only: "Abs EvalSymlinks Glob Walk WalkDir"},
	{path: "log", permission: "hosts"},
	{path: "sync", permission: "goroutines of its own", only: "WaitGroup"},
	{path: "os", permission: "hosts"},
	{path: "syscall", permission: "hosts"},
	{path: "net", permission: "net", but: "ParseIP"},
	{path: "net/url"},
	{path: "net", permission: "net"},
	{path: "time", permission: "clock", but: "Duration Minute Second Hour Millisecond ParseDuration Time Parse UnixMilli DateOnly RFC3339 RFC3339Nano"},
	{path: "context", permission: "clock", only: "WithDeadline WithDeadlineCause WithTimeout WithTimeoutCause"},
	{path: "github.com/hashicorp/go-retryablehttp", permission: "clock"},
	{path: module + "internal/warp", permission: "seals", only: "NewSealedSecret"},
}

// permission returns the permission that the import of a package needs or, when name is not
// empty, the use of that name.
func permission(path, name string) string {
	for _, row := range reach {
		names := strings.Fields(row.only + row.but)
		switch {
		case len(names) == 0 && below(path, row.path):
			if name == "" {
				return row.permission
			}
			return "" // the import needs it already
		case len(names) > 0 && path == row.path:
			if name != "" && slices.Contains(names, name) == (row.only != "") {
				return row.permission
			}
			return ""
		}
	}
	return ""
}

func below(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// permissions returns a row as a list: "room warp", "door golang.org/x/sync", "clock".
func (r room) permissions() []string {
	var list []string
	for _, other := range r.knows {
		list = append(list, "room "+other)
	}
	for _, module := range r.doors {
		list = append(list, "door "+module)
	}
	for name, given := range map[string]bool{"hosts": r.hosts, "net": r.net, "clock": r.clock, "plain": r.plain, "seals": r.seals} {
		if given {
			list = append(list, name)
		}
	}
	return list
}

// need is something in a file that needs a permission.
type need struct{ what, permission string }

// needsOf returns the permissions that a file needs. A dot import needs one that no room has,
// because it hides which names are used.
func needsOf(path, text string) ([]need, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		return nil, err
	}
	var found []need
	add := func(node ast.Node, what, permission string) {
		if permission != "" {
			found = append(found, need{fmt.Sprintf("%s: %s", set.Position(node.Pos()), what), permission})
		}
	}
	packages := map[string]string{} // by their names in the file
	for _, imported := range file.Imports {
		where := strings.Trim(imported.Path.Value, "`\"")
		called := where[strings.LastIndex(where, "/")+1:] // right for every package that reach lists with names
		if imported.Name != nil {
			called = imported.Name.Name
		}
		packages[called] = where
		add(imported, where, permission(where, ""))
		inside, ours := strings.CutPrefix(where, module)
		switch {
		case called == ".":
			add(imported, where, "dot imports")
		case ours:
			add(imported, where, "room "+strings.TrimPrefix(inside, "internal/"))
		case strings.Contains(strings.Split(where, "/")[0], "."):
			add(imported, where, "door "+where)
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			if node.Name.Name == "Reveal" {
				add(node, "Reveal", "plain")
			}
		case *ast.GoStmt:
			add(node, "go", "goroutines of its own") // no room has this: a panic there would end the process with Go's message
		case *ast.CallExpr:
			if called, ok := node.Fun.(*ast.Ident); ok && called.Obj == nil && (called.Name == "print" || called.Name == "println") {
				add(node, called.Name, "hosts")
			}
		case *ast.SelectorExpr:
			name := node.Sel.Name
			if name == "Reveal" {
				add(node, "Reveal", "plain")
			}
			if from, ok := node.X.(*ast.Ident); ok && from.Obj == nil && packages[from.Name] != "" {
				where := packages[from.Name]
				add(node, where+"."+name, permission(where, name))
			}
		}
		return true
	})
	return found, nil
}

// checkRoom returns what a room uses without permission, and which permission it does not use.
// files are its sources by path.
func checkRoom(name string, row room, files map[string]string) []string {
	given := row.permissions()
	var complaints []string
	used := map[string]bool{}
	for path, text := range files {
		needs, err := needsOf(path, text)
		if err != nil {
			complaints = append(complaints, err.Error())
		}
		for _, need := range needs {
			i := slices.IndexFunc(given, func(permission string) bool { return below(need.permission, permission) })
			if i < 0 {
				complaints = append(complaints, fmt.Sprintf("%s takes %s, which %s has not", need.what, need.permission, name))
				continue
			}
			used[given[i]] = true
		}
	}
	for _, permission := range given {
		if !used[permission] {
			complaints = append(complaints, fmt.Sprintf("%s has %s and does not use it", name, permission))
		}
	}
	slices.Sort(complaints)
	return slices.Compact(complaints)
}

func TestRooms(t *testing.T) {
	t.Parallel()
	found := map[string]map[string]string{} // files by room and path
	root := filepath.Join("..", "internal")
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name, err := filepath.Rel(root, filepath.Dir(path))
		require.NoError(t, err)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		if found[name] == nil {
			found[name] = map[string]string{}
		}
		found[name][path] = string(content)
		return nil
	}))
	for name, files := range found {
		row, known := rooms[name]
		if assert.True(t, known, "internal/%s has no row", name) {
			assert.Empty(t, checkRoom(name, row, files))
		}
	}
	for name := range rooms {
		assert.Contains(t, found, name, "a row without a room")
	}
}

// TestOnlyLargeTestsRunWithoutTheRaceDetector: every other file is for both.
func TestOnlyLargeTestsRunWithoutTheRaceDetector(t *testing.T) {
	t.Parallel()
	constraint := regexp.MustCompile(`(?m)^//\s*\+?(go:)?build .*\brace\b`)
	for path, content := range readFiles(t, "../*.go", "../internal/*/*.go", "*.go", "*/*.go", "*/*/*.go") {
		if filepath.Base(path) == "large_test.go" {
			assert.True(t, strings.HasPrefix(content, "//go:build !race\n"), path)
		} else {
			assert.NotRegexp(t, constraint, content, path)
		}
	}
}

// TestWallsHold gives checkRoom one small file for each way to break a rule.
func TestWallsHold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		row  room
		file string // without its package clause
		want string // in the only complaint; empty: there is none
	}{
		{"fmt to stdout", room{}, `import "fmt"; func f() { fmt.Print(1) }`, "fmt.Print takes hosts"},
		{"and line by line", room{}, `import "fmt"; func f() { fmt.Println(1) }`, "fmt.Println takes hosts"},
		{"and in a format", room{}, `import "fmt"; func f() { fmt.Printf("1") }`, "fmt.Printf takes hosts"},
		{"as a value", room{}, `import "fmt"; var say = fmt.Println`, "fmt.Println takes hosts"},
		{"fmt to a writer", room{}, `import ("fmt"; "io"); func f(to io.Writer) { fmt.Fprint(to, fmt.Sprint(1)) }`, ""},
		{"the host's fmt", room{hosts: true}, `import "fmt"; func f() { fmt.Print(1) }`, ""},
		{"a builtin", room{}, `func f() { println(1) }`, "println takes hosts"},
		{"another builtin", room{}, `func f() { print(1) }`, "print takes hosts"},
		{"a method of that name", room{}, `type t struct{ print func() }; func (h t) f() { h.print() }`, ""},
		{"a function of that name", room{}, `func f(print func()) { print() }`, ""},
		{"the old log", room{}, `import "log"; func f() { log.Print(1) }`, "log takes hosts"},
		{"the default log", room{}, `import "log/slog"; func f() { slog.Info("") }`, "log/slog.Info takes hosts"},
		{"a log that is handed in", room{}, `import "log/slog"; func f(log *slog.Logger) { log.Info("") }`, ""},
		{"the environment", room{}, `import "os"; var home = os.Getenv("HOME")`, "os takes hosts"},
		{"a process", room{}, `import "os/exec"; var ls = exec.Command("ls")`, "os/exec takes hosts"},
		{"a call to the system", room{}, `import "syscall"; var id = syscall.Getpid()`, "syscall takes hosts"},
		{"files by their pattern", room{}, `import "path/filepath"; var a, b = filepath.Glob("*")`, "path/filepath.Glob takes hosts"},

		{"a goroutine", room{}, `func f() { go f() }`, "go takes goroutines of its own"},
		{"a goroutine of a group of Go's", room{}, `import "sync"; var w sync.WaitGroup`, "sync.WaitGroup takes goroutines of its own"},
		{"a lock", room{}, `import "sync"; var m sync.Mutex`, ""},

		{"the time", room{}, `import "time"; var now = time.Now()`, "time.Now takes clock"},
		{"a time", room{}, `import "time"; const day = 24 * time.Hour`, ""},
		{"a bound", room{}, `import "context"; var f = context.WithTimeout`, "context.WithTimeout takes clock"},
		{"a bound with a cause", room{}, `import "context"; var f = context.WithTimeoutCause`, "context.WithTimeoutCause takes clock"},
		{"a deadline", room{}, `import "context"; var f = context.WithDeadline`, "context.WithDeadline takes clock"},
		{"a deadline with a cause", room{}, `import "context"; var f = context.WithDeadlineCause`, "context.WithDeadlineCause takes clock"},
		{"a cancel", room{}, `import "context"; var f = context.WithCancel`, ""},
		{"a module that waits", room{doors: []string{"github.com/hashicorp/go-retryablehttp"}}, `import r "github.com/hashicorp/go-retryablehttp"; var c = r.NewClient()`, "go-retryablehttp takes clock"},
		{"under another name", room{}, `import t "time"; var now = t.Now()`, "time.Now takes clock"},
		{"under a misleading name", room{clock: true}, `import time "fmt"; func f() { time.Print(1) }`, "fmt.Print takes hosts|room has clock and does not use it"},
		{"under the name of a variable", room{}, `import "time"; type t struct{ Now time.Duration }; func f(time t) { _ = time.Now }`, ""},
		{"under no name", room{}, `import . "time"; var now = Now()`, "time takes dot imports"},
		{"for its effect", room{}, `import _ "net/http/pprof"`, "net/http/pprof takes net"},
		{"for its effect, a door", room{}, `import _ "example.com/effect"`, "example.com/effect takes door example.com/effect"},

		{"the network", room{}, `import "net"; var f = net.Dial`, "net.Dial takes net"},
		{"an address", room{}, `import ("net"; "net/url"); var ip, f = net.ParseIP("::1"), url.Parse`, ""},
		{"HTTP", room{}, `import "net/http"; const get = http.MethodGet`, "net/http takes net"},
		{"mail", room{}, `import "net/smtp"; var f = smtp.Dial`, "net/smtp takes net"},

		{"another room", room{}, `import "` + module + `internal/warp"; type t warp.Run`, "internal/warp takes room warp"},
		{"a room with a longer name", room{knows: []string{"warp"}}, `import "` + module + `internal/warpapi"; type t warpapi.Client`,
			"internal/warpapi takes room warpapi|room has room warp and does not use it"},
		{"what is no room", room{}, `import "` + module + `test/simulator/warpsim"; type t warpsim.Server`, "takes room test/simulator/warpsim"},
		{"a module", room{}, `import "golang.org/x/sync/errgroup"; type t errgroup.Group`, "takes door golang.org/x/sync/errgroup"},
		{"a door", room{doors: []string{"golang.org/x/sync"}}, `import "golang.org/x/sync/errgroup"; type t errgroup.Group`, ""},
		{"a secret", room{}, `func f(s interface{ Reveal() string }) { s.Reveal() }`, "Reveal takes plain"},
		{"a secret's type", room{plain: true}, `func (s secret) Reveal() string { return "" }`, ""},
		{"a seal", room{knows: []string{"warp"}}, `import w "` + module + `internal/warp"; var f = w.NewSealedSecret`, "warp.NewSealedSecret takes seals"},
		{"no Go", room{}, `func`, "expected"},

		{"a room that is not used", room{knows: []string{"warp"}}, ``, "room has room warp and does not use it"},
		{"a door that is not used", room{doors: []string{"golang.org/x/sync"}}, ``, "room has door golang.org/x/sync and does not use it"},
		{"an idle host", room{hosts: true}, `import ("fmt"; "io"); func f(to io.Writer) { fmt.Fprint(to) }`, "room has hosts and does not use it"},
		{"an idle network", room{net: true}, `import "net/url"; type t url.URL`, "room has net and does not use it"},
		{"an idle clock", room{clock: true}, `import "time"; type t time.Duration`, "room has clock and does not use it"},
		{"no secret to read", room{plain: true}, ``, "room has plain and does not use it"},
		{"no secret to seal", room{seals: true}, ``, "room has seals and does not use it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := checkRoom("room", tt.row, map[string]string{"file.go": "package room; " + tt.file})
			if tt.want == "" {
				assert.Empty(t, got)
				return
			}
			want := strings.Split(tt.want, "|")
			require.Len(t, got, len(want), "%q", got)
			for i, part := range want {
				assert.Contains(t, got[i], part)
			}
		})
	}
}

// TestSimulatorsKnowNothingOfTheProduct: they are a second, independent reading of the wire.
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
