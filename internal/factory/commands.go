package factory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

// mostCommands bounds the setup commands, far above what a person writes.
const mostCommands = 1000

// setCommands replaces setupCommands by the result of commands. Commands that stay keep
// their lines. A command that replaces another keeps the comment of that line.
func (f *file) setCommands(commands func([]string) []string) error {
	const key = "setupCommands"
	node, there, err := f.root.only(key)
	if err != nil {
		return err
	}
	hand := func(want []string) string {
		list := make([]string, len(want))
		for i, command := range want {
			list[i] = "- " + scalar(command)
		}
		return "write this into setupCommands by hand:\n" + strings.Join(list, "\n")
	}
	var old []string
	odd := false
	list, isList := node.(*ast.SequenceNode)
	if isList {
		for _, value := range list.Values {
			text, plain := manifest.Scalar(value)
			if !plain {
				odd = true
			}
			old = append(old, text)
		}
	}
	if len(old) > mostCommands {
		return fmt.Errorf("it has more than %d setupCommands", mostCommands)
	}
	want := commands(old)
	if odd {
		if want = commands(nil); len(want) > 0 {
			return fmt.Errorf("its setupCommands hold an element that is not a plain text; %s", hand(want))
		}
		return nil
	}
	if slices.Equal(old, want) {
		return nil
	}
	lines := make([]string, len(want))
	for i, command := range want {
		lines[i] = "  - " + scalar(command)
	}
	var tries []patch
	switch {
	case node == nil && f.root.merges:
		return fmt.Errorf("setupCommands may come from a merge key; %s", hand(want))
	case node == nil:
		tries = f.below(f.root, []string{"description"}, append([]string{key + ":"}, lines...)...)
	case isList && list.IsFlowStyle && len(list.Values) == 0:
		tries = f.under(there, lines...)
		for _, empty := range f.instead(there, key, "", false) {
			head := strings.TrimSuffix(f.line(there.line)[:strings.Index(f.line(there.line), ":")+1], " ")
			tries = append(tries, patch{at: there.line, drop: empty.drop, add: append([]string{head}, tries[0].add...)})
		}
	case isList && list.IsFlowStyle:
		return fmt.Errorf("its setupCommands are written in brackets; %s", hand(want))
	case isList:
		tries = f.replaced(list, old, want)
	default:
		if _, null := node.(*ast.NullNode); !null {
			return fmt.Errorf("its setupCommands are not a plain list; %s", hand(want))
		}
		tries = f.under(there, lines...)
	}
	return f.apply(key, hand(want), tries, func(after *file) bool {
		var now []string
		if list, ok := after.root.value(key).(*ast.SequenceNode); ok {
			for _, value := range list.Values {
				text, _ := manifest.Scalar(value)
				now = append(now, text)
			}
		}
		return slices.Equal(now, want)
	}, key)
}

// replaced returns the edit that rewrites the whole list.
func (f *file) replaced(list *ast.SequenceNode, old, want []string) []patch {
	first := list.Values[0].GetToken().Position.Line - 1
	starts := make([]int, len(old))
	for i, value := range list.Values {
		starts[i] = value.GetToken().Position.Line - 1
		if _, block := value.(*ast.LiteralNode); block {
			for starts[i] > first && !strings.HasPrefix(strings.TrimLeft(f.line(starts[i]), " "), "-") {
				starts[i]--
			}
		}
	}
	indent := indentOf(f.line(starts[0]))
	end := func(i int) int { // the line after a command
		next := len(f.lines)
		if i+1 < len(starts) {
			next = starts[i+1]
		}
		at := starts[i] + 1
		for at < next && (strings.TrimSpace(f.line(at)) == "" || len(indentOf(f.line(at))) > len(indent)) {
			at++
		}
		for at > starts[i]+1 && strings.TrimSpace(f.line(at-1)) == "" {
			at--
		}
		return at
	}
	last := end(len(old) - 1)
	var lines []string
	keep := func(from, to int) {
		for at := from; at < to; at++ {
			line := f.lines[at]
			if ending(line) == "" {
				line += f.end
			}
			lines = append(lines, line)
		}
	}
	later := map[string]int{} // of the wanted commands
	for _, command := range want {
		later[command]++
	}
	at, line := 0, starts[0]
	for _, command := range want {
		found := slices.Index(old[at:], command)
		for ; found > 0; found-- { // the old commands before it are removed
			keep(line, starts[at])
			line = end(at)
			at++
		}
		switch {
		case found == 0:
			keep(line, end(at))
			line = end(at)
			at++
		case at < len(old) && later[old[at]] == 0:
			keep(line, starts[at])
			lines = append(lines, indent+"- "+scalar(command)+comment(f.line(starts[at]), end(at)-starts[at]))
			line = end(at)
			at++
		default:
			lines = append(lines, indent+"- "+scalar(command))
		}
		later[command]--
	}
	for ; at < len(old); at++ {
		keep(line, starts[at])
		line = end(at)
	}
	keep(line, last)
	return []patch{f.trimmed(patch{at: starts[0], drop: last - starts[0], add: lines})}
}

// comment returns the text after a command on its line.
func comment(line string, lines int) string {
	text := strings.TrimPrefix(strings.TrimLeft(line, " "), "-")
	text = strings.TrimLeft(text, " \t")
	if lines != 1 || text == "" {
		return ""
	}
	if quote := text[0]; quote == '"' || quote == '\'' {
		return ""
	}
	return text[valueEnd(text, false):]
}

// trimmed returns a patch without the unchanged lines at its beginning and end.
func (f *file) trimmed(p patch) patch {
	for p.drop > 0 && len(p.add) > 0 && f.lines[p.at] == p.add[0] {
		p.at, p.drop, p.add = p.at+1, p.drop-1, p.add[1:]
	}
	for p.drop > 0 && len(p.add) > 0 && f.lines[p.at+p.drop-1] == p.add[len(p.add)-1] {
		p.drop, p.add = p.drop-1, p.add[:len(p.add)-1]
	}
	return p
}
