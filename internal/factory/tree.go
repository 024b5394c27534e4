package factory

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

// tree parses a text as YAML.
func tree(text string) (ast.Node, error) {
	return manifest.Document(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text))
}

// mapping is a mapping without an anchor, an alias or a tag.
type mapping struct {
	pairs       []pair
	merges      bool // it has a merge key
	flow        bool // it is written in braces
	first, last int  // lines of the braces, from one
	end         int  // column of the last brace, from one
}

// pair is a key with its value and the position of the key.
type pair struct {
	name   string
	value  ast.Node
	line   int // from zero
	column int // from one
}

func mappingOf(node ast.Node) (mapping, error) {
	found, ok := node.(*ast.MappingNode)
	if !ok {
		return mapping{}, errors.New("it is not a mapping of keys to values")
	}
	m := mapping{flow: found.IsFlowStyle}
	if m.flow {
		m.first, m.last, m.end = found.Start.Position.Line, found.End.Position.Line, found.End.Position.Column
	}
	for _, value := range found.Values {
		at := value.Key.GetToken().Position
		name, _ := manifest.Scalar(value.Key)
		if value.Key.IsMergeKey() {
			m.merges, name = true, "<<"
		}
		m.pairs = append(m.pairs, pair{name, value.Value, at.Line - 1, at.Column})
	}
	return m, nil
}

// value returns the value of a key; nil when there is none.
func (m mapping) value(name string) ast.Node {
	for _, p := range m.pairs {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

// only returns the value of a key that may be given only once.
func (m mapping) only(name string) (ast.Node, pair, error) {
	var found []pair
	for _, p := range m.pairs {
		if p.name == name {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, pair{}, nil
	case 1:
		return found[0].value, found[0], nil
	}
	return nil, pair{}, fmt.Errorf("it has %s twice", name)
}

// sameBut reports whether two mappings are equal except for some keys.
func sameBut(a, b []pair, keys ...string) bool {
	rest := func(pairs []pair) []pair {
		return slices.DeleteFunc(slices.Clone(pairs), func(p pair) bool { return slices.Contains(keys, p.name) })
	}
	return slices.EqualFunc(rest(a), rest(b), func(a, b pair) bool { return a.name == b.name && equal(a.value, b.value) })
}

func same(a, b []ast.Node) bool { return slices.EqualFunc(a, b, equal) }

// equal reports whether two values are equal. Aliases are equal when their names are.
func equal(a, b ast.Node) bool {
	return slices.Equal(words(nil, a), words(nil, b))
}

// words appends a value to list, as the list of its parts.
func words(list []string, node ast.Node) []string {
	if node == nil {
		return append(list, "nothing")
	}
	switch node := node.(type) {
	case *ast.MappingNode:
		list = append(list, "{")
		for _, value := range node.Values {
			list = words(words(list, value.Key), value.Value)
		}
		return append(list, "}")
	case *ast.MappingKeyNode:
		return words(append(list, "?"), node.Value)
	case *ast.SequenceNode:
		list = append(list, "[")
		for _, value := range node.Values {
			list = words(list, value)
		}
		return append(list, "]")
	case *ast.AnchorNode:
		return words(words(append(list, "&"), node.Name), node.Value)
	case *ast.AliasNode:
		return words(append(list, "*"), node.Value)
	case *ast.TagNode:
		return words(append(list, node.Start.Value), node.Value)
	}
	text, plain := manifest.Scalar(node)
	if !plain {
		text = node.GetToken().Value
	}
	return append(list, fmt.Sprint(node.Type()), text)
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	otherScalar = regexp.MustCompile(`(?i)^(?:null|true|false|yes|no|on|off|y|n)$`) // the last few are booleans in YAML 1.1
	oneLine     = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// scalar returns a text as YAML, in quotes when it needs them.
func scalar(text string) string {
	switch {
	case plainScalar.MatchString(text) && !otherScalar.MatchString(text):
		return text
	case oneLine.MatchString(text):
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	var quoted strings.Builder
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // a string can always be encoded
	}
	return strings.TrimSuffix(quoted.String(), "\n")
}
