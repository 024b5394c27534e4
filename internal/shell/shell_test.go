package shell_test

import (
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

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
			err := shell.Check(tt.in)
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
		{"in a script", `sh -c 'echo $A' && eval 'echo $B; make'`, []string{"A", "B"}},
		{"documented clone", `git clone https://x-token-auth:$TOKEN@bitbucket.org/acme/app.git`, []string{"TOKEN"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, append([]string(nil), shell.Variables(tt.in)...))
		})
	}
}

func TestIsAndList(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"make": true, "make -j 4 && make install": true, "a && b && c": true, "export A=1": true, "cd x": true,
		"! grep x y": true, "(a; b)": true, "{ a; b; }": true, "if a; then b; fi": true, "f() { a; b; }": true,
		"for i in a b; do echo $i || exit; done && b": true, "echo 'a; b' \"&\" $(a; b)": true, "a >x 2>&1": true, "time make": true, "cat <<<x": true,
		"a; b": false, "a;": false, "a & b": false, "a &": false, "a | b": false, "a |& b": false, "a || b": false, "a && b || c": false,
		"a && b & c": false, "a && b | c": false, "make # x": false, "# x": false, "": false, "a\nb": false,
		"cat <<E\nx\nE": false, "a '": false, "cat <<E": false,
	} {
		assert.Equal(t, want, shell.IsAndList(command), command)
	}
}

func TestOpensDocument(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"cat <<E": true, "cat <<'E' >x\na": true, "a; cat <<-E | b": true, "cat <<A <<B\nx\nA": true,
		"cat <<E\nx\nE": false, "cat <<<E": false, "echo $((1<<2))": false, "echo 'a <<E": false, "make": false,
	} {
		assert.Equal(t, want, shell.OpensDocument(command), command)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"echo $T": true, "sh -c 'echo ${T:-x}'": true, "echo '$T'": true, "printenv T": true, "env -u T make": true, "echo '$T": true,
		"echo $TT": false, "echo $_T": false, "make T1": false, "": false,
	} {
		assert.Equal(t, want, shell.Names(command, "T"), command)
	}
	assert.False(t, shell.Names("echo $T", ""))
	random := rand.New(rand.NewPCG(1, 2))
	text := func(most int) string {
		letters := []rune("AA_1-é$ ")
		word := make([]rune, random.IntN(most))
		for i := range word {
			word[i] = letters[random.IntN(len(letters))]
		}
		return string(word)
	}
	named := 0
	for range 20_000 {
		command, variable := text(12), text(4)
		want := slices.Contains(shell.Words(command), variable)
		require.Equal(t, want, shell.Names(command, variable), "%q in %q", variable, command)
		if want {
			named++
		}
	}
	assert.Greater(t, named, 500)
}

func TestCalls(t *testing.T) {
	t.Parallel()
	words := func(calls []shell.Call) [][]string {
		var list [][]string
		for _, call := range calls {
			list = append(list, call.Words)
		}
		return list
	}
	tests := []struct {
		name, command string
		calls, chain  [][]string
	}{
		{"one", `git clone "https://x:$T@h" 'a b' c\d`, [][]string{{"git", "clone", "https://x:$@h", "a b", "cd"}}, [][]string{{"git", "clone", "https://x:$@h", "a b", "cd"}}},
		{"in a row", "! a || b && export C=1; d", [][]string{{"a"}, {"b"}, {"d"}}, [][]string{{"a"}, {"b"}, {"export"}, {"d"}}},
		{"a pipe", "a | b", [][]string{{"a"}, {"b"}}, nil},
		{"behind", "a & b", [][]string{{"a"}, {"b"}}, nil},
		{"inside", "if a; then b; fi", [][]string{{"a"}, {"b"}}, nil},
		{"scripts", `eval 'a; b' && sh -c "c d"`, [][]string{{"a"}, {"b"}, {"c", "d"}}, [][]string{{"eval", "a; b"}, {"sh", "-c", "c d"}}},
		{"broken", "a '", nil, nil},
		{"nothing", "", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.calls, words(shell.Calls(tt.command)))
			assert.Equal(t, tt.chain, words(shell.Chain(tt.command)))
		})
	}
	call := shell.Calls("A=1 /usr/bin/git '$T'")[0]
	assert.Equal(t, "git", call.Program())
	assert.Equal(t, "A=1 /usr/bin/git '$T'", call.Source)
	assert.Empty(t, shell.Call{}.Program())
}

// A shell reads back any text as one word.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"app", "-x", "it's", `a"b`, "a!b", "~", "$HOME", "`id`", "a\\b", "ü", "a*b?[c]", "=x", "#x", "{a,b}", "if", "a\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\x00\r") || !utf8.ValidString(text) {
			t.Skip("no text of a command")
		}
		for _, sh := range []string{"dash", "bash"} {
			out, err := exec.Command(sh, "-c", "printf %s. "+shell.Quote(text)).Output()
			require.NoError(t, err)
			assert.Equal(t, text+".", string(out))
		}
	})
}

func TestIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, directory, command, want string
	}{
		{"plain", "your-repo", "npm ci", "cd ./your-repo && npm ci"},
		{"a dot in front", ".github", "make", "cd ./.github && make"},
		{"a dash in front", "-x", "make", "cd ./-x && make"},
		{"a blank", "my repo", "make", "cd './my repo' && make"},
		{"a single quote", "it's", "make", `cd './it'\''s' && make`},
		{"history", "wow!x", "make", "cd './wow!x' && make"},
		{"and", "app", `echo "$X" 'y' && z`, `cd ./app && echo "$X" 'y' && z`},
		{"or", "app", "a || b", "cd ./app && eval 'a || b'"},
		{"behind", "app", "sleep 1 & make", "cd ./app && eval 'sleep 1 & make'"},
		{"one after another", "app", "a; b", "cd ./app && eval 'a; b'"},
		{"a pipe", "app", "a | b", "cd ./app && eval 'a | b'"},
		{"a comment", "app", "make # all", "cd ./app && eval 'make # all'"},
		{"quotes", "app", `echo 'it'; echo "$X"`, `cd ./app && eval 'echo '\''it'\''; echo "$X"'`},
		{"a here-document", "app", "cat <<E\nx\nE", "cd ./app && eval 'cat <<E\nx\nE'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, shell.In(tt.directory, tt.command))
		})
	}
}

// TestHostileCommands are a megabyte of text for which the parser recurses, or
// allocates much. Each would end the process, or take gigabytes.
func TestHostileCommands(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"(", "((", "$(", `"$(`, "{ ", "if ", "<(", "f()", "time ", "coproc ", "${a:-", "a|", "a&&", "a;", "eval ", "sh -c ", "`", "case x in x) "} {
		for _, size := range []int{1 << 20, 16 << 10, 8 << 10, 2 << 10} {
			command := strings.Repeat(text, size/len(text)) + "a"
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := shell.Check(command)
			calls := shell.Calls(command)
			runtime.ReadMemStats(&after)
			assert.Less(t, max(after.Sys, before.Sys)-before.Sys, uint64(100<<20), "%q, %d bytes", text, size)
			if size == 1<<20 {
				require.EqualError(t, err, "it is longer than 16 KiB")
				assert.Empty(t, calls)
			}
		}
	}
	for _, deep := range []string{strings.Repeat("(", 2000) + "a" + strings.Repeat(")", 2000), strings.Repeat("a $(", 2000) + strings.Repeat(")", 2000)} {
		require.EqualError(t, shell.Check(deep), "its brackets are nested too deep")
		assert.Empty(t, shell.Calls(deep))
		assert.Empty(t, shell.Chain(deep))
		assert.Empty(t, shell.Variables(deep))
		assert.False(t, shell.IsAndList(deep))
		assert.False(t, shell.OpensDocument(deep))
	}
	for _, fine := range []string{strings.Repeat("(", 50) + "a" + strings.Repeat(")", 50), "cat > f <<E\n" + strings.Repeat("0123456789abcde\n", 1000) + "E"} {
		require.NoError(t, shell.Check(fine))
	}
	assert.Equal(t, "git", shell.Calls(`eval "sh -c 'eval git fetch'"`)[0].Program())
}

// Any user's command becomes one command that a shell can read, and no part of it is
// outside the eval.
func FuzzIn(f *testing.F) {
	for _, seed := range []string{"make", "a; b", "it's", "a & b", "a #b", "x || y", "cat <<E\nx\nE", "f() { a; }", "a && b;"} {
		f.Add("app", seed)
	}
	f.Fuzz(func(t *testing.T, directory, command string) {
		if shell.Check(command) != nil || strings.ContainsAny(directory+command, "\x00\r") || strings.Contains(directory, "\n") || !utf8.ValidString(directory) {
			t.Skip("not valid")
		}
		made := shell.In(directory, command)
		require.NoError(t, shell.Check(made), made)
		require.True(t, shell.IsAndList(made) || strings.Contains(command, "\n"), made)
		cd := shell.Chain(shell.In(directory, "true"))
		require.Len(t, cd, 2)
		assert.Equal(t, []string{"cd", "./" + directory}, cd[0].Words)
	})
}
