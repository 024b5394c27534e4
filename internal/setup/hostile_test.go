package setup_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// hostile are commands with so many calls, logins, clones and variables that comparing
// each with each takes minutes when n is some thousands.
func hostile(n int) []string {
	const login = `git config --global credential.https://a%d.test.helper '!f() { echo password=$T; }; f'`
	var logins, variables []string
	for i := range n {
		logins = append(logins, fmt.Sprintf(login, i))
		variables = append(variables, fmt.Sprintf("$A%d $B%d $C%d $D%d", i, i, i, i))
	}
	calls := slices.Repeat([]string{strings.Repeat("a;", n)}, 8)
	clones := slices.Repeat([]string{"git clone https://x:$T@bitbucket.org/acme/app"}, n)
	return slices.Concat(logins, calls, clones, variables)
}

func TestManyCommandsAreUnderstoodAsFew(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 200} {
		usage := setup.UsageOf(hostile(n), "T")
		assert.Len(t, usage.Uses, n)
		assert.Empty(t, usage.Opaque)
		presents := setup.Presents(hostile(n))
		assert.True(t, presents("T") && presents("x") && !presents("A1"))
	}
}

// BenchmarkHostileCommands grows with the commands, and not with their square.
func BenchmarkHostileCommands(b *testing.B) {
	for _, n := range []int{500, 1000, 2000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			commands := hostile(n)
			for b.Loop() {
				setup.UsageOf(commands, "T")
				setup.Presents(commands)
			}
		})
	}
}
