package action

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEachEntryIsCountedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ ones, after int }{
		"a part that does nothing": {0, 0},
		"a part that writes some":  {2, 2},
		"a part that writes all":   {3, 3},
		"a part that plans again":  {7, 3},
	} {
		done := 0
		one, rest := entrywise(func() { done++ }, 3)
		for range test.ones {
			one()
		}
		assert.Equal(t, test.after, done, name)
		rest()
		rest()
		assert.Equal(t, 3, done, name)
	}
}
