// Package manifest reads a YAML file with many environments into texts as inputs hold them,
// and writes such a file. It does not know inputs or secrets: its caller passes the list of
// keys and checks the texts. It has no side effects. Every text is checked against the bounds
// of this package before goccy/go-yaml parses it.
package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/spelling"
)

// Bounds of a file. Each is far above the size that a person reviews.
const (
	LongestFile  = 10 << 20 // bytes
	MostEntries  = 10_000
	longestTexts = 64 << 20  // bytes of all entries, with aliases and defaults written out
	mostNodes    = 4_000_000 // of all entries, with aliases written out
)

// Key is a name that an entry may have.
type Key struct {
	Name      string
	List      bool   // its value may be a list, which becomes a text with one element a line
	Own       bool   // it cannot be a default
	Elsewhere string // not a key of an entry: the remedy to print
}

// Manifest is the content of a file.
type Manifest struct {
	Path    string
	Entries []Entry
	lines   []string
}

// Entry is one environment.
type Entry struct {
	Position                  // of the entry
	Values   map[string]Value // by key; defaults included
}

// Value is the text that an input would hold.
type Value struct {
	Position // of the key, which may be in defaults or behind an alias
	Text     string
	Refused  bool // a problem says why; the text is empty
}

// Position is a line and a column, both counted from one. Columns count characters.
type Position struct{ Line, Column int }

// Lines are the lines of the file, without their ends.
func (m Manifest) Lines() []string { return m.lines }

// Place is a position in the file, for a problem.
func (m Manifest) Place(at Position) problem.Place {
	return problem.Place{File: m.Path, Line: at.Line, Column: at.Column}
}

// Read reads the text of a file; path is only for messages. It lists every mistake in
// the structure of the file, in the order of the lines and each once. Their places
// leave out the text of the line, which may hold a secret.
func Read(path, text string, keys []Key) (Manifest, []problem.Problem) {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	r := reader{file: Manifest{Path: path}, keys: map[string]Key{}, told: map[problem.Problem]bool{}}
	for _, key := range keys {
		r.keys[key.Name] = key
		if key.Elsewhere == "" {
			r.names = append(r.names, key.Name)
		}
	}
	if len(text) > LongestFile {
		r.add(Position{1, 1}, "manifest", "split it into several", "is larger than %d MiB", LongestFile>>20)
		return r.file, r.problems
	}
	r.file.lines = strings.Split(text, "\n")
	r.read(text)
	slices.SortStableFunc(r.problems, func(a, b problem.Problem) int {
		return cmp.Or(a.Place.Line-b.Place.Line, a.Place.Column-b.Place.Column)
	})
	return r.file, r.problems
}

// reader fills a Manifest, and collects what is wrong with the file. It looks at each
// node once, however many aliases lead to it.
type reader struct {
	file     Manifest
	keys     map[string]Key
	names    []string // of the keys that an entry may have
	problems []problem.Problem
	told     map[problem.Problem]bool

	anchors map[string]ast.Node
	aliases map[*ast.AliasNode]ast.Node // the node that each stands for
	fields  map[ast.Node][]field        // of each mapping that was looked at
	texts   map[ast.Node]Value          // of each value that was looked at, without a position

	nodes, bytes int // with aliases and defaults written out
}

// field is a key with its value.
type field struct {
	Position
	name  string
	value ast.Node
}

func (r *reader) add(at Position, input, remedy, summary string, args ...any) {
	found := problem.Problem{Input: input, Summary: fmt.Sprintf(summary, args...), Remedy: remedy, Place: r.file.Place(at)}
	if !r.told[found] {
		r.told[found] = true
		r.problems = append(r.problems, found)
	}
}

// wrong adds a problem with a node of the wrong kind. It ignores unknown aliases and
// tags: link has reported them.
func (r *reader) wrong(at Position, input, remedy, summary string, node ast.Node) {
	switch node.(type) {
	case *ast.AliasNode, *ast.TagNode:
		return
	}
	r.add(at, input, remedy, summary, kindOf(node))
}

const (
	defaultsKey     = "defaults"
	environmentsKey = "environments"
)

func (r *reader) read(text string) {
	document, ok := r.parse(text)
	if !ok {
		return
	}
	r.anchors, r.aliases = map[string]ast.Node{}, map[*ast.AliasNode]ast.Node{}
	r.fields, r.texts = map[ast.Node][]field{}, map[ast.Node]Value{}
	r.link(document)
	whole, ok := r.resolve(document).(*ast.MappingNode)
	if !ok {
		r.wrong(positionOf(document), environmentsKey, "write environments: and list them below it", "is missing: the file is %s", r.resolve(document))
		return
	}
	var defaults map[string]Value
	var list *field
	for _, at := range r.fieldsOf(whole) {
		switch at.name {
		case defaultsKey:
			defaults = r.values(at.value, true)
		case environmentsKey:
			list = &at
		default:
			r.unknown(at.Position, at.name, []string{defaultsKey, environmentsKey})
		}
	}
	if list == nil {
		r.add(positionOf(whole), environmentsKey, "list them below environments:", "is missing")
		return
	}
	r.entries(*list, defaults)
}

// entries reads the list of environments.
func (r *reader) entries(at field, defaults map[string]Value) {
	list, ok := r.resolve(at.value).(*ast.SequenceNode)
	switch {
	case !ok:
		r.wrong(at.Position, at.name, "begin each environment with a dash", "is %s instead of a list", r.resolve(at.value))
		return
	case len(list.Values) == 0:
		r.add(at.Position, at.name, "name at least one environment", "is an empty list")
		return
	case len(list.Values) > MostEntries:
		r.add(at.Position, at.name, "split the file", "has %s; the limit is %d", plural.Of(len(list.Values), "entry"), MostEntries)
		return
	}
	for i, node := range list.Values {
		entry := Entry{Position: positionOf(node)}
		if i < len(list.Entries) {
			entry.Position = positionAt(list.Entries[i].Start)
		}
		own := r.values(node, false)
		entry.Values = maps.Clone(defaults)
		if entry.Values == nil {
			entry.Values = make(map[string]Value, len(own))
		}
		for name, value := range own {
			entry.Values[name] = value
			if value == (Value{}) { // null
				delete(entry.Values, name)
			}
		}
		for _, value := range entry.Values {
			if r.spend(entry.Position, 1, len(value.Text)); r.spent() {
				return
			}
		}
		r.file.Entries = append(r.file.Entries, entry)
	}
}

// values reads the keys of an entry or of defaults. The zero Value stands for null.
func (r *reader) values(node ast.Node, areDefaults bool) map[string]Value {
	mapping, ok := r.resolve(node).(*ast.MappingNode)
	if !ok {
		what := "an entry"
		if areDefaults {
			what = defaultsKey
			if isNull(r.resolve(node)) {
				return nil
			}
		}
		r.wrong(positionOf(node), "", "write key: value below it", what+" is %s instead of keys with values", r.resolve(node))
		return nil
	}
	values := map[string]Value{}
	for _, at := range r.fieldsOf(mapping) {
		key, known := r.keys[at.name]
		switch {
		case !known:
			r.unknown(at.Position, at.name, r.names)
		case key.Elsewhere != "":
			r.add(at.Position, at.name, key.Elsewhere, "is not a key of an environment")
		case areDefaults && key.Own:
			r.add(at.Position, at.name, "write it into each entry", "cannot be a default")
		case isNull(r.resolve(at.value)):
			if !areDefaults {
				values[at.name] = Value{}
			}
		default:
			value := r.text(key, at)
			value.Position = at.Position
			values[at.name] = value
		}
	}
	return values
}

// longestShown is how much of an unknown key a message shows.
const longestShown = 64

func (r *reader) unknown(at Position, name string, names []string) {
	remedy := "take it out"
	if near := spelling.Nearest(name, names); near != "" {
		remedy = "the nearest is " + near
	}
	r.add(at, "", remedy, "%s is not a known key", shown(name))
}

func shown(name string) string {
	if len(name) > longestShown {
		name = strings.ToValidUTF8(name[:longestShown], "") + " ..."
	}
	return strconv.Quote(name)
}

// text is the text of a value that is not null, without its position.
func (r *reader) text(key Key, at field) Value {
	node := r.resolve(at.value)
	value, known := r.texts[node]
	if !known {
		var ok bool
		value.Text, ok = r.textOf(key, at, node)
		if value.Refused = !ok; ok {
			r.texts[node] = value
		}
	}
	return value
}

func (r *reader) textOf(key Key, at field, node ast.Node) (string, bool) {
	list, isList := node.(*ast.SequenceNode)
	if !isList || !key.List {
		text, ok := Scalar(node)
		if !ok {
			r.wrong(at.Position, key.Name, "give a text"+orList(key), "is %s", node)
		}
		return text, ok
	}
	if len(list.Values) == 0 {
		r.add(at.Position, key.Name, "leave it out; null removes a default", "is an empty list")
		return "", false
	}
	lines, ok := make([]string, 0, len(list.Values)), true
	for _, element := range list.Values {
		resolved := r.resolve(element)
		line, isText := Scalar(resolved)
		if !isText {
			r.wrong(positionOf(element), key.Name, "give a text", "holds an element that is %s", resolved)
			ok = false
		}
		if r.spend(at.Position, 1, len(line)); r.spent() {
			return "", false
		}
		lines = append(lines, line)
	}
	if !ok {
		return "", false
	}
	return strings.Join(lines, "\n"), true
}

func orList(key Key) string {
	if key.List {
		return " or a list"
	}
	return ""
}

// spend counts nodes and bytes with aliases and defaults written out, and reports when
// they are too many.
func (r *reader) spend(at Position, nodes, bytes int) {
	if r.spent() {
		return
	}
	r.nodes, r.bytes = r.nodes+nodes, r.bytes+bytes
	if r.spent() {
		r.add(at, "manifest", "use fewer aliases, or shorter defaults", "is too large once aliases and defaults are written out")
	}
}

func (r *reader) spent() bool { return r.nodes > mostNodes || r.bytes > longestTexts }

// fieldsOf lists the keys of a mapping, its own before those merged by <<. A key that
// is given twice is a problem; the first one counts.
func (r *reader) fieldsOf(mapping *ast.MappingNode) []field {
	if fields, known := r.fields[mapping]; known {
		return fields
	}
	r.fields[mapping] = nil // for a mapping that holds itself
	var fields []field
	var merges []ast.Node
	at := map[string]int{} // lines
	for _, pair := range mapping.Values {
		next := field{Position: positionOf(pair.Key), value: pair.Value}
		name, ok := r.nameOf(pair.Key)
		next.name = name
		if !ok {
			r.add(next.Position, "", "write key: value", "a key is %s", kindOf(pair.Key))
			continue
		}
		if first, twice := at[name]; twice {
			r.add(next.Position, "", "keep one of them", "%s is given twice; it is also on line %d", shown(name), first)
			continue
		}
		at[name] = next.Line
		if pair.Key.IsMergeKey() {
			merges = append(merges, pair.Value)
			continue
		}
		fields = append(fields, next)
	}
	for _, merged := range merges {
		fields = r.merge(fields, at, merged)
	}
	r.fields[mapping] = fields
	return fields
}

// merge appends the keys of a << that the mapping does not have yet.
func (r *reader) merge(fields []field, at map[string]int, merged ast.Node) []field {
	sources := []ast.Node{merged}
	if list, ok := r.resolve(merged).(*ast.SequenceNode); ok {
		sources = list.Values
	}
	for _, source := range sources {
		mapping, ok := r.resolve(source).(*ast.MappingNode)
		if !ok {
			r.wrong(positionOf(source), "<<", "give an alias of keys with values, or a list of such", "is %s instead of keys with values", r.resolve(source))
			continue
		}
		for _, more := range r.fieldsOf(mapping) {
			if r.spend(positionOf(source), 1, 0); r.spent() {
				return fields
			}
			if _, there := at[more.name]; !there {
				at[more.name] = more.Line
				fields = append(fields, more)
			}
		}
	}
	return fields
}

// nameOf is the text of a key.
func (r *reader) nameOf(key ast.MapKeyNode) (string, bool) {
	if key.IsMergeKey() {
		return "<<", true
	}
	return Scalar(r.resolve(key))
}

// Scalar is the text of a node that is neither null nor a collection, as written but
// without quotes. It is false for every other node.
func Scalar(node ast.Node) (string, bool) {
	switch node := node.(type) {
	case *ast.StringNode:
		return node.Value, true
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	}
	return "", false
}

func isNull(node ast.Node) bool {
	_, is := node.(*ast.NullNode)
	return node == nil || is
}

// kindOf is what a node is, in words.
func kindOf(node ast.Node) string {
	switch node := node.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.MappingNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	default:
		if _, ok := Scalar(node); ok {
			return "a text"
		}
		return "neither a text nor a list"
	}
}

func positionOf(node ast.Node) Position {
	if node == nil {
		return Position{1, 1}
	}
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		return positionOf(mapping.Values[0].Key) // its own token is the first colon
	}
	return positionAt(node.GetToken())
}

func positionAt(at *token.Token) Position {
	if at == nil || at.Position == nil {
		return Position{1, 1}
	}
	return Position{at.Position.Line, at.Position.Column}
}
