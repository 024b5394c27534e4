package plural_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for noun, many := range map[string]string{
		"repository": "repositories", "entry": "entries", "day": "days", "key": "keys", "token": "tokens", "other branch": "other branches", "alias": "aliases", "suffix": "suffixes",
	} {
		assert.Equal(t, "1 "+noun, plural.Of(1, noun))
		for n, text := range map[int]string{0: "0 ", 2: "2 ", 21: "21 ", -1: "-1 "} {
			assert.Equal(t, text+many, plural.Of(n, noun))
		}
	}
}
