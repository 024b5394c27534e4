// Package shell reads and quotes commands of a shell. It is pure: nothing runs
// them.
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

// The parser goes down the stack for every bracket, and makes up to a kilobyte for two
// bytes. Who may edit an environment gives it a megabyte of them: that would end the
// process, which no recover prevents. What is longer or deeper cannot be parsed.
const (
	// longest is the longest command in bytes: 8 MB when it is parsed.
	longest = 16 << 10
	// deepest is how many calls may be on the stack: some two hundred brackets.
	// enough is how many bytes are read before anybody looks: what they open is not deep.
	enough  = 512
	deepest = 2000
	// deepestScript is how many scripts may be in one another: each is parsed while
	// the ones around it are in memory.
	deepestScript = 4
)

var (
	errLong = fmt.Errorf("it is longer than %d KiB", longest>>10)
	errDeep = errors.New("its brackets are too deep in one another")
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

// Each of these begins anew with what it is given. To make one costs as much as it does
// with a command, and a file of environments holds thousands.
var (
	parsers  = sync.Pool{New: func() any { return syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true)) }}
	printers = sync.Pool{New: func() any { return syntax.NewPrinter() }}
)

// shallow is what a parser reads, a kilobyte at a time, until it is too deep. To look how
// deep it is takes as long as to parse a short command, in which nothing gets deep.
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

// Check checks the syntax of one command, which an interactive bash will run. The
// error says where it is wrong and how.
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

// OpensDocument reports whether command has a here-document whose last line is
// missing.
func OpensDocument(command string) bool {
	_, err := parse(command)
	wrong, ok := errors.AsType[syntax.ParseError](err)
	return ok && strings.HasPrefix(wrong.Text, "unclosed here-document")
}

// continues reports whether command ends in a backslash that nothing escapes.
func continues(command string) bool {
	backslashes := len(command) - len(strings.TrimRight(command, `\`))
	return backslashes%2 == 1
}

// In is command, run inside directory: "cd ./directory && command", where no
// CDPATH applies. A command that "&&" would not hold together, such as
// "sleep 1 & make", goes to the same shell as a whole:
// "cd ./directory && eval 'sleep 1 & make'".
func In(directory, command string) string {
	if !IsAndList(command) {
		command = "eval " + Quote(command)
	}
	return "cd " + Quote("./"+directory) + " && " + command
}

// IsAndList reports whether command is one line, with one or several commands that
// nothing but "&&" joins. A command that cannot be parsed is none.
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

// Variables are the names of the variables that command expects from its
// environment, $NAME and ${NAME...}, each once, in the order of their
// appearance. Variables that command itself sets are left out, as is text in
// single quotes that no shell reads. A command that cannot be parsed has none.
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

// Names reports whether the variable's name stands anywhere in command as a
// word of its own: expanded, in quotes that another shell will read, as an
// argument, or in text that cannot be parsed.
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

// Words are the words of which Names looks for one: letters, digits and "_".
func Words(command string) []string {
	return strings.FieldsFunc(command, isBetween)
}

func isBetween(r rune) bool { return r >= utf8.RuneSelf || !isWord(byte(r)) }

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// Call is a simple command.
type Call struct {
	Words  []string // after the shell has taken the quotes off, with a "$" for each expansion
	Source string
}

// Program is the name of the program, without its path; empty for none.
func (c Call) Program() string {
	if len(c.Words) == 0 {
		return ""
	}
	return path.Base(c.Words[0])
}

// Subcommand is the first word after the program that is no option, and the words
// after it. withValue are the options that have a value of their own.
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

// Option is the value of an option that has these names, empty for none.
func Option(arguments []string, names ...string) string {
	for i, argument := range arguments {
		if name, value, _ := strings.Cut(argument, "="); slices.Contains(names, name) {
			return cmp.Or(value, strings.Join(arguments[i+1:min(i+2, len(arguments))], ""))
		}
	}
	return ""
}

// Calls are the simple commands of command. In the place of one that hands a script
// to a shell are those of the script. A command that cannot be parsed has none.
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

// script is what the call hands to a shell, empty for nothing.
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

// Chain are the simple commands of a command that is nothing else: simple commands
// joined by "&&", "||" or ";". Any other command has none. An "export" shows no
// more than its name.
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

// walk visits every node of command, and of the scripts that it hands to a shell.
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
	_ = printer.Print(&source, expr) // a Builder takes everything
	printers.Put(printer)
	words := make([]string, len(expr.Args))
	for i, arg := range expr.Args {
		words[i] = text(arg.Parts)
	}
	return Call{words, source.String()}
}

// text is what the parts of a word amount to.
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

// unescape drops each backslash that keeps the next character from meaning
// something. Inside double quotes some backslashes stand for themselves, but no
// URL has one.
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

// Quote is text as one word of bash, zsh and dash, and of fish where it holds no
// backslash, unchanged where nothing in it means anything to them. Unlike syntax.Quote it quotes "!", which
// an interactive shell expands from its history, and uses no double quotes,
// which fish reads in its own way.
func Quote(text string) string {
	quoted, err := syntax.Quote(text, syntax.LangPOSIX)
	if err == nil && quoted == text && !strings.Contains(text, "!") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
