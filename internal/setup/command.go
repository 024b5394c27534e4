package setup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// In is command, run inside directory: "cd directory && command". The directory
// is quoted only where it needs to be.
func In(directory, command string) string {
	return "cd " + quote(relative(directory)) + " && " + command
}

// Check checks the shell syntax of one command, a line that an interactive bash
// will run. The error says where it is wrong and how.
func Check(command string) error {
	file, err := parse(command)
	if wrong, ok := errors.AsType[syntax.ParseError](err); ok {
		return fmt.Errorf("column %d: %s", wrong.Pos.Col(), wrong.Text)
	}
	if foreign, ok := errors.AsType[syntax.LangError](err); ok {
		return fmt.Errorf("column %d: not in bash: %s", foreign.Pos.Col(), foreign.Feature)
	}
	switch {
	case err != nil:
		return err
	case len(file.Stmts) == 0:
		return errors.New("there is no command in it")
	case continues(command):
		return fmt.Errorf("column %d: the shell would wait for a line after the last backslash", len(command))
	}
	return nil
}

// continues reports whether command ends in a backslash that nothing escapes.
func continues(command string) bool {
	backslashes := len(command) - len(strings.TrimRight(command, `\`))
	return backslashes%2 == 1
}

// Variables are the names of the variables that command expects from its
// environment, $NAME and ${NAME...}, each once, in the order of their
// appearance. Variables that command itself sets are left out, as is text in
// single quotes. A command that cannot be parsed has none.
func Variables(command string) []string {
	file, err := parse(command)
	if err != nil {
		return nil
	}
	var read, set []string
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.ParamExp:
			if syntax.ValidName(node.Param.Value) && !slices.Contains(read, node.Param.Value) {
				read = append(read, node.Param.Value)
			}
		case *syntax.Assign:
			if node.Name != nil {
				set = append(set, node.Name.Value)
			}
		case *syntax.WordIter:
			set = append(set, node.Name.Value)
		}
		return true
	})
	return slices.DeleteFunc(read, func(name string) bool { return slices.Contains(set, name) })
}

// parse reads command as bash, which is what Oz's images start.
func parse(command string) (*syntax.File, error) {
	return syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
}

// checkout is the path of the repository's checkout in the workspace root.
func checkout(r bitbucket.Repository) string { return relative(r.Directory()) }

// relative is a directory's name in a form that no program takes for an option.
func relative(directory string) string {
	if strings.HasPrefix(directory, "-") {
		return "./" + directory
	}
	return directory
}

// quote is text as one word of bash, zsh, dash and fish, unchanged where
// nothing in it means anything to them. Unlike syntax.Quote it quotes "!", which
// an interactive shell expands from its history, and uses no double quotes,
// which fish reads in its own way.
func quote(text string) string {
	quoted, err := syntax.Quote(text, syntax.LangPOSIX)
	if err == nil && quoted == text && !strings.Contains(text, "!") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
