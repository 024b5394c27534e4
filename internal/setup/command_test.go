package setup_test

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

func TestIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, directory, command, want string
	}{
		{"plain", "your-repo", "npm ci", "cd your-repo && npm ci"},
		{"a dot in front", ".github", "make", "cd .github && make"},
		{"a dash in front", "-x", "make", "cd ./-x && make"},
		{"a dash alone", "-", "make", "cd ./- && make"},
		{"a blank", "my repo", "make", "cd 'my repo' && make"},
		{"a single quote", "it's", "make", `cd 'it'\''s' && make`},
		{"history", "wow!x", "make", "cd 'wow!x' && make"},
		{"a keyword", "if", "make", "cd 'if' && make"},
		{"a tilde", "~jane", "make", "cd '~jane' && make"},
		{"nothing", "", "make", "cd '' && make"},
		{"the command is not touched", "app", `echo "$X" 'y' || z`, `cd app && echo "$X" 'y' || z`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, setup.In(tt.directory, tt.command))
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		wantErr  string // empty: none
	}{
		{"simple", "npm ci", ""},
		{"list", "a && b || c; d & e | f", ""},
		{"bash's own", "[[ -f x ]] && arr=(1 2) && echo ${arr[0]} <(ls)", ""},
		{"function", "f() { echo x; }", ""},
		{"comment at the end", "npm ci # as in CI", ""},
		{"escaped backslash at the end", `echo x\\`, ""},
		{"single quote", "echo 'a", "column 6: reached EOF without closing quote `'`"},
		{"double quote", `echo "a`, "column 6: reached EOF without closing quote"},
		{"and nothing", "npm ci &&", "column 8: `&&` must be followed by a statement"},
		{"if", "if true; then x", "column 1: "},
		{"closing parenthesis", "echo )", "column 6: "},
		{"here-document", "cat <<EOF", "column 5: unclosed here-document"},
		{"parameter", "echo ${X", "column 6: "},
		{"backslash at the end", `npm ci \`, "column 8: the shell would wait"},
		{"another shell's", "echo ${(f)X}", "column 6: not in bash: parameter expansion flags"},
		{"broken text", "echo \xff", "column 6: invalid UTF-8"},
		{"nothing", "", "no command"},
		{"only a comment", "# npm ci", "no command"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := setup.Check(tt.in)
			if tt.wantErr == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.wantErr)
		})
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     []string
	}{
		{"none", "npm ci", nil},
		{"plain", "echo $A ${B} $A", []string{"A", "B"}},
		{"operators", "echo ${A:-x} ${B:?} ${#C} ${D%/*} ${E:-$F}", []string{"A", "B", "C", "D", "E", "F"}},
		{"in double quotes and substitutions", `x "$A/$(y "$B")" <<<"$C"`, []string{"A", "B", "C"}},
		{"in single quotes", "echo '$A'", nil},
		{"escaped", `echo \$A`, nil},
		{"the shell's own", "echo $1 $? $@ $$", nil},
		{"set by the command", "A=1; for b in x; do echo $A $b $C; done", []string{"C"}},
		{"passed on", "A=$B make", []string{"B"}},
		{"declared", "export A=1 && echo $A", nil},
		{"cannot be parsed", "echo $A '", nil},
		{"documented clone", `git clone https://x-token-auth:$TOKEN@bitbucket.org/acme/app.git`, []string{"TOKEN"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, append([]string(nil), setup.Variables(tt.in)...))
		})
	}
}

// Whatever a directory is called, a shell and a parser read back the same name.
func FuzzIn(f *testing.F) {
	for _, seed := range []string{"app", "-x", "it's", `a"b`, "a!b", "~", "$HOME", "`id`", "a\\b", "ü", "a*b?[c]", "=x", "#x", "{a,b}", "if"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, directory string) {
		if strings.ContainsAny(directory, "\x00\r\n") || !utf8.ValidString(directory) {
			t.Skip("not a line of text")
		}
		command := setup.In(directory, "true")
		want := directory
		if strings.HasPrefix(directory, "-") {
			want = "./" + directory
		}

		file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(command), "")
		require.NoError(t, err)
		require.Len(t, file.Stmts, 1)
		both, ok := file.Stmts[0].Cmd.(*syntax.BinaryCmd)
		require.True(t, ok)
		require.Len(t, both.X.Cmd.(*syntax.CallExpr).Args, 2)

		word, found := strings.CutSuffix(strings.TrimPrefix(command, "cd "), " && true")
		require.True(t, found)
		for _, sh := range []string{"dash", "bash"} {
			out, err := exec.Command(sh, "-c", "printf %s. "+word).Output()
			require.NoError(t, err)
			assert.Equal(t, want+".", string(out))
		}
	})
}
