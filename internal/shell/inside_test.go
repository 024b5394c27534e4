package shell_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/shell"
)

func TestInsideIsTheWayBack(t *testing.T) {
	t.Parallel()
	for _, directory := range []string{"app", "-app", "a b", "it's"} {
		for _, command := range []string{
			"make", "a && b", "sleep 1 & make", "echo 'it''s' \"x\"; true", "# nothing", "cat <<E\nx\nE\n", "eval make",
			"cd ./app && make", "a || b", "echo \\'", "''", "'a'", "x 'b'", "if",
		} {
			inner, ok := shell.Inside(directory, shell.In(directory, command))
			assert.True(t, ok, command)
			assert.Equal(t, command, inner)
		}
	}
	inner, ok := shell.Inside("app", shell.In("app", "eval 'a; b'"))
	assert.True(t, ok)
	assert.Equal(t, "a; b", inner, "of two that become the same, the shorter one")
	for _, command := range []string{"", "make", "cd app && make", "cd ./lib && make", "cd ./app", "cd ./app; make", "cd ./app && sleep 1 & make", "cd ./app && "} {
		_, ok := shell.Inside("app", command)
		assert.False(t, ok, command)
	}
}
