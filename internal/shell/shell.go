// Package shell parses and quotes shell commands. It is pure and runs no command.
package shell

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// The parser recurses for every bracket, and uses up to a kilobyte for two bytes.
// Everyone who may edit an environment can give it a megabyte of brackets. That would
// end the process, and recover cannot prevent it. Longer or deeper commands are not
// parsed.
const (
	// longest is the longest command in bytes: 8 MB when it is parsed.
	longest = 16 << 10
	// deepest is how many calls may be on the stack: some two hundred brackets. The first
	// enough bytes are read without a check of the depth: they cannot go too deep.
	enough  = 512
	deepest = 2000
	// deepestScript is how deep scripts may be nested: each is parsed while the ones
	// around it are in memory.
	deepestScript = 4
)

var (
	errLong = fmt.Errorf("it is longer than %d KiB", longest>>10)
	errDeep = errors.New("its brackets are nested too deep")
)

// parse reads command as bash, which is what Oz's images start.
func parse(command string) (*syntax.File, error) {
	if len(command) > longest {
		return nil, errLong
	}
	parser := parsers.Get().(*syntax.Parser)
	defer parsers.Put(parser)
	return parser.Parse(&shallow{Reader: strings.NewReader(command)}, "")
}

// These are used again for each command: making one costs as much as parsing a command,
// and a file of environments holds thousands.
var (
	parsers  = sync.Pool{New: func() any { return syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)) }}
	printers = sync.Pool{New: func() any { return syntax.NewPrinter() }}
)

// shallow is the reader of a parser. It gives a kilobyte at a time and ends when the
// stack is too deep. Checking the depth takes as long as parsing a short command, so
// short commands, which are never deep, are not checked.
type shallow struct {
	io.Reader
	read int
}

func (s *shallow) Read(p []byte) (int, error) {
	if s.read > enough && runtime.Callers(deepest, make([]uintptr, 1)) > 0 {
		return 0, errDeep
	}
	n, err := s.Reader.Read(p)
	s.read += n
	return n, err
}

// Check checks the syntax of one command for an interactive bash. The error says what
// is wrong and where.
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

// OpensDocument reports whether command begins a here-document and does not end it.
func OpensDocument(command string) bool {
	_, err := parse(command)
	wrong, ok := errors.AsType[syntax.ParseError](err)
	return ok && strings.HasPrefix(wrong.Text, "unclosed here-document")
}

// continues reports whether command ends in an unescaped backslash.
func continues(command string) bool {
	backslashes := len(command) - len(strings.TrimRight(command, `\`))
	return backslashes%2 == 1
}

// In is command, run inside directory: "cd ./directory && command". The "./" keeps
// CDPATH out. A command that "&&" would split, such as "sleep 1 & make", is passed to
// the same shell as a whole: "cd ./directory && eval 'sleep 1 & make'".
func In(directory, command string) string {
	if !IsAndList(command) {
		command = "eval " + Quote(command)
	}
	return "cd " + Quote("./"+directory) + " && " + command
}

// IsAndList reports whether command is one line of commands that are joined only by
// "&&". It is false for a command that cannot be parsed.
func IsAndList(command string) bool {
	file, err := parse(command)
	if err != nil || len(file.Stmts) != 1 || len(file.Last) > 0 || strings.Contains(command, "\n") {
		return false
	}
	return joined(file.Stmts[0])
}

func joined(s *syntax.Stmt) bool {
	list, is := s.Cmd.(*syntax.BinaryCmd)
	return !s.Semicolon.IsValid() && len(s.Comments) == 0 && // "&" is a semicolon too
		(!is || list.Op == syntax.AndStmt && joined(list.X) && joined(list.Y))
}

// Variables are the names of the variables that command expects from its environment,
// $NAME and ${NAME...}, each once, in the order of their appearance. Left out are
// variables that command itself sets, and text in single quotes that no shell expands.
// A command that cannot be parsed has none.
func Variables(command string) []string {
	var read, set []string
	walk(command, func(node syntax.Node) {
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
	})
	return slices.DeleteFunc(read, func(name string) bool { return slices.Contains(set, name) })
}

// Names reports whether command contains the variable's name as a word: expanded, in
// quotes that another shell will expand, as an argument, or in text that cannot be
// parsed.
func Names(command, variable string) bool {
	if variable == "" || strings.ContainsFunc(variable, isBetween) {
		return false
	}
	for from := 0; ; {
		at := strings.Index(command[from:], variable)
		if at < 0 {
			return false
		}
		start, end := from+at, from+at+len(variable)
		if (start == 0 || !isWord(command[start-1])) && (end == len(command) || !isWord(command[end])) {
			return true
		}
		from = start + 1
	}
}

// Words are the words that Names compares: letters, digits and "_".
func Words(command string) []string {
	return strings.FieldsFunc(command, isBetween)
}

func isBetween(r rune) bool { return r >= utf8.RuneSelf || !isWord(byte(r)) }

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// Call is a simple command.
type Call struct {
	Words  []string // without quotes, and with a "$" for each expansion
	Source string
}

// Program is the name of the program, without its path; empty for none.
func (c Call) Program() string {
	if len(c.Words) == 0 {
		return ""
	}
	return path.Base(c.Words[0])
}

// Subcommand is the first word after the program that is not an option, and the words
// after it. withValue are the options whose value is the next word.
func (c Call) Subcommand(withValue ...string) (name string, arguments []string) {
	for i := 1; i < len(c.Words); i++ {
		switch word := c.Words[i]; {
		case slices.Contains(withValue, word):
			i++
		case !strings.HasPrefix(word, "-"):
			return word, c.Words[i+1:]
		}
	}
	return "", nil
}

// Option is the value of an option with one of these names, empty for none.
func Option(arguments []string, names ...string) string {
	for i, argument := range arguments {
		if name, value, _ := strings.Cut(argument, "="); slices.Contains(names, name) {
			return cmp.Or(value, strings.Join(arguments[i+1:min(i+2, len(arguments))], ""))
		}
	}
	return ""
}

// Calls are the simple commands of command. A command that passes a script to a shell
// is replaced by the commands of the script. A command that cannot be parsed has none.
func Calls(command string) []Call {
	var list []Call
	walk(command, func(node syntax.Node) {
		if expr, ok := node.(*syntax.CallExpr); ok {
			if call := callOf(expr); call.script() == "" {
				list = append(list, call)
			}
		}
	})
	return list
}

// script is the script that the call passes to a shell, empty for none.
func (c Call) script() string {
	switch program := c.Program(); {
	case program == "eval" && len(c.Words) > 1:
		return strings.Join(c.Words[1:], " ")
	case slices.Contains([]string{"sh", "bash", "dash", "zsh"}, program) && len(c.Words) > 2 && runsScript.MatchString(c.Words[1]):
		return c.Words[2]
	}
	return ""
}

var runsScript = regexp.MustCompile(`^-[a-z]*c$`)

// Chain are the simple commands of a command that consists only of simple commands
// joined by "&&", "||" or ";". Any other command has none. Of an "export" only that
// word is kept.
func Chain(command string) []Call {
	file, err := parse(command)
	if err != nil {
		return nil
	}
	var list []Call
	var add func(*syntax.Stmt) bool
	add = func(s *syntax.Stmt) bool {
		switch cmd := s.Cmd.(type) {
		case *syntax.CallExpr:
			list = append(list, callOf(cmd))
		case *syntax.DeclClause:
			list = append(list, Call{Words: []string{cmd.Variant.Value}})
		case *syntax.BinaryCmd:
			return (cmd.Op == syntax.AndStmt || cmd.Op == syntax.OrStmt) && add(cmd.X) && add(cmd.Y)
		default:
			return false
		}
		return !s.Background
	}
	for _, s := range file.Stmts {
		if !add(s) {
			return nil
		}
	}
	return list
}

// walk visits every node of command, and of the scripts that it passes to a shell.
func walk(command string, visit func(syntax.Node)) { walkScript(command, 0, visit) }

func walkScript(command string, depth int, visit func(syntax.Node)) {
	file, err := parse(command)
	if err != nil || depth > deepestScript {
		return
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		if node == nil {
			return true
		}
		visit(node)
		if expr, ok := node.(*syntax.CallExpr); ok {
			walkScript(callOf(expr).script(), depth+1, visit)
		}
		return true
	})
}

func callOf(expr *syntax.CallExpr) Call {
	var source strings.Builder
	printer := printers.Get().(*syntax.Printer)
	_ = printer.Print(&source, expr) // a Builder never fails
	printers.Put(printer)
	words := make([]string, len(expr.Args))
	for i, arg := range expr.Args {
		words[i] = text(arg.Parts)
	}
	return Call{words, source.String()}
}

// text is the value of the parts of a word.
func text(parts []syntax.WordPart) string {
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(part.Value))
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			b.WriteString(text(part.Parts))
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// unescape drops each backslash that escapes the next character. Inside double quotes
// some backslashes are literal, but no URL has one.
func unescape(literal string) string {
	var b strings.Builder
	for i := 0; i < len(literal); i++ {
		if literal[i] == '\\' && i+1 < len(literal) {
			i++
		}
		b.WriteByte(literal[i])
	}
	return b.String()
}

// Quote is text as one word of bash, zsh and dash, and of fish when text holds no backslash. Text
// without special characters is unchanged. Unlike syntax.Quote it quotes "!", which an
// interactive shell expands from its history, and uses no double quotes, which fish reads
// differently.
func Quote(text string) string {
	quoted, err := syntax.Quote(text, syntax.LangPOSIX)
	if err == nil && quoted == text && !strings.Contains(text, "!") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
