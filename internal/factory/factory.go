// Package factory edits the definition of a Warp factory: it writes the environment and
// the secret into factory.yaml, or setup commands into a runner. It is pure. It edits
// lines of the text, so that every other byte stays. The result is parsed again: an edit
// that changes anything else is an error.
//
// Source: https://docs.warp.dev, factory as code and other code forges.
package factory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

// Longest is the largest size of a definition's file, in bytes.
const Longest = 1 << 20

// schemaVersion is the only version that this program knows.
const schemaVersion = "v1alpha1"

// File is the name of the main file in a definition's folder.
const File = "factory.yaml"

// RunnerFile returns the path of a runner's file in a definition's folder.
func RunnerFile(name string) string { return "runners/" + name + ".yaml" }

// Edit is an edited text and its changes, in order. Without changes it is the original
// text.
type Edit struct {
	Text    string
	Changes []Change
}

// Change is the change of one key: whole lines, without line ends.
type Change struct {
	Key            string // such as agentDefaults.environmentId
	Removed, Added []string
}

// Lines returns the changes as a diff, key by key, of the file at a path.
func (e Edit) Lines(path string) []string {
	var list []string
	for _, change := range e.Changes {
		list = append(list, path+": "+change.Key)
		for _, line := range change.Removed {
			list = append(list, "- "+line)
		}
		for _, line := range change.Added {
			list = append(list, "+ "+line)
		}
	}
	return list
}

// Wire adds a secret's name to the secrets of factory.yaml. It also sets the
// environment in its agentDefaults, unless the environment is empty.
func Wire(text, secret, environment string) (Edit, error) {
	f, err := parse(text)
	if err != nil {
		return Edit{}, err
	}
	if version, known := manifest.Scalar(f.root.value("schemaVersion")); !known || version != schemaVersion {
		return Edit{}, fmt.Errorf("its schemaVersion is not %s, the only version that this program knows", schemaVersion)
	}
	if err = f.nameSecret(secret); err == nil && environment != "" {
		err = f.nameEnvironment(environment)
	}
	return f.edit, err
}

// SetCommands replaces the setupCommands of a runner by the result of commands.
func SetCommands(text string, commands func(existing []string) []string) (Edit, error) {
	f, err := parse(text)
	if err != nil {
		return Edit{}, err
	}
	if node := f.root.value("schemaVersion"); node != nil {
		if version, _ := manifest.Scalar(node); version != schemaVersion {
			return Edit{}, fmt.Errorf("its schemaVersion is not %s, the only version that this program knows", schemaVersion)
		}
	}
	err = f.setCommands(commands)
	return f.edit, err
}

// file is a definition's file during an edit.
type file struct {
	mark  string   // the byte order mark, where there is one
	lines []string // with their ends
	end   string   // line end for new lines
	root  mapping
	edit  Edit
}

func parse(text string) (*file, error) {
	switch {
	case len(text) > Longest:
		return nil, fmt.Errorf("it is larger than %d MiB", Longest>>20)
	case !utf8.ValidString(text):
		return nil, errors.New("it is not UTF-8")
	}
	f := &file{edit: Edit{Text: text}}
	if rest, marked := strings.CutPrefix(text, byteOrderMark); marked {
		f.mark, text = byteOrderMark, rest
	}
	f.lines, f.end = split(text), "\n"
	if len(f.lines) > 0 {
		if end := ending(f.lines[0]); end != "" {
			f.end = end
		}
	}
	root, err := tree(text)
	if err != nil {
		return nil, err
	}
	if f.root, err = mappingOf(root); err != nil {
		return nil, err
	}
	if f.root.flow {
		return nil, errors.New("it is written in braces; write its keys on lines of their own")
	}
	return f, nil
}

// nameSecret adds a secret to the root's secrets.
func (f *file) nameSecret(name string) error {
	const key = "secrets"
	item := "- " + scalar(name)
	hand := fmt.Sprintf("add %q to its secrets by hand", name)
	node, there, err := f.root.only(key)
	if err != nil {
		return fmt.Errorf("%w; %s", err, hand)
	}
	var tries []patch
	switch list := node.(type) {
	case nil:
		if f.root.merges {
			return fmt.Errorf("secrets may come from a merge key; %s", hand)
		}
		tries = f.below(f.root, []string{"name", "schemaVersion"}, key+":", "  "+item)
	case *ast.NullNode:
		tries = f.under(there, "  "+item)
	case *ast.SequenceNode:
		for _, value := range list.Values {
			text, plain := manifest.Scalar(value)
			if !plain {
				return fmt.Errorf("its secrets hold an element that is not a name; %s", hand)
			}
			if text == name {
				return nil
			}
		}
		if list.IsFlowStyle {
			tries = f.inBrackets(list.Start.Position.Line, list.End.Position.Line, list.End.Position.Column, scalar(name), len(list.Values) == 0)
			break
		}
		last := list.Values[len(list.Values)-1].GetToken().Position.Line - 1
		tries = []patch{{at: last + 1, add: []string{indentOf(f.line(last)) + item}}}
	default:
		return fmt.Errorf("its secrets are not a plain list; %s", hand)
	}
	return f.apply(key, hand, tries, func(after *file) bool {
		list, ok := after.root.value(key).(*ast.SequenceNode)
		if !ok {
			return false
		}
		var before []ast.Node
		if old, ok := node.(*ast.SequenceNode); ok {
			before = old.Values
		}
		n := len(list.Values) - 1
		text, _ := manifest.Scalar(list.Values[max(0, n)])
		return n == len(before) && text == name && same(before, list.Values[:n])
	}, key)
}

// nameEnvironment sets agentDefaults.environmentId.
func (f *file) nameEnvironment(id string) error {
	const outer, inner = "agentDefaults", "environmentId"
	const hand = "set environmentId below agentDefaults by hand, to the ID of the environment"
	node, _, err := f.root.only(outer)
	if err != nil {
		return fmt.Errorf("%w; %s", err, hand)
	}
	if node == nil {
		return errors.New("it has no agentDefaults; add them with a model or a harness")
	}
	defaults, err := mappingOf(node)
	if err != nil {
		return fmt.Errorf("its agentDefaults are not a plain mapping; %s", hand)
	}
	value, there, err := defaults.only(inner)
	if err != nil {
		return fmt.Errorf("%w; %s", err, hand)
	}
	var tries []patch
	if value == nil {
		line := inner + ": " + scalar(id)
		if defaults.flow {
			tries = f.inBrackets(defaults.first, defaults.last, defaults.end, line, len(defaults.pairs) == 0)
		} else {
			tries = f.below(defaults, []string{"model", "harness"}, line)
		}
	} else {
		if text, plain := manifest.Scalar(value); plain && text == id {
			return nil
		}
		if _, plain := manifest.Scalar(value); !plain {
			if _, null := value.(*ast.NullNode); !null {
				return fmt.Errorf("its environmentId is an alias, or not a plain value; %s", hand)
			}
		}
		tries = f.instead(there, inner, id, defaults.flow)
	}
	return f.apply(outer+"."+inner, hand, tries, func(after *file) bool {
		now, err := mappingOf(after.root.value(outer))
		if err != nil {
			return false
		}
		text, _ := manifest.Scalar(now.value(inner))
		return text == id && sameBut(defaults.pairs, now.pairs, inner)
	}, outer)
}

// patch replaces drop lines, beginning with line at, by the lines in add.
type patch struct {
	at, drop int // from zero
	add      []string
}

// apply makes the first of several edits that is right and keeps the rest of the file: all
// keys of the root, except those in touched, have the same values as before.
func (f *file) apply(key, hand string, tries []patch, right func(*file) bool, touched ...string) error {
	for _, try := range tries {
		text, change := f.patched(key, try)
		after, err := parse(text)
		if err != nil || !sameBut(f.root.pairs, after.root.pairs, touched...) || !right(after) {
			continue
		}
		after.edit.Changes = append(slices.Clip(f.edit.Changes), change)
		*f = *after
		return nil
	}
	return fmt.Errorf("its %s cannot be changed without a risk to the rest of the file; %s", key, hand)
}

// patched returns the text with one edit. A last line without a line end stays without one.
func (f *file) patched(key string, p patch) (string, Change) {
	change := Change{Key: key}
	for _, line := range p.add {
		change.Added = append(change.Added, strings.TrimRight(line, "\r\n"))
	}
	for _, line := range f.lines[p.at : p.at+p.drop] {
		change.Removed = append(change.Removed, strings.TrimSuffix(line, ending(line)))
	}
	lines := slices.Clone(f.lines[:p.at])
	open := len(f.lines) > 0 && ending(f.lines[len(f.lines)-1]) == "" // the file ends without an end of line
	if len(lines) > 0 && ending(lines[len(lines)-1]) == "" {
		lines[len(lines)-1] += f.end
	}
	for i, line := range p.add {
		switch {
		case ending(line) != "": // an unchanged line
		case i < p.drop && ending(f.lines[p.at+i]) != "":
			line += ending(f.lines[p.at+i])
		default:
			line += f.end
		}
		lines = append(lines, line)
	}
	if rest := f.lines[p.at+p.drop:]; len(rest) > 0 {
		lines = append(lines, rest...)
	} else if open && len(lines) > 0 {
		lines[len(lines)-1] = strings.TrimSuffix(lines[len(lines)-1], ending(lines[len(lines)-1]))
	}
	return f.mark + strings.Join(lines, ""), change
}
