package setup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
)

// TestAMegabyteOfCommandsIsReadInTime: what each call, each login and each variable is
// held against is found once. All pairs would take minutes.
func TestAMegabyteOfCommandsIsReadInTime(t *testing.T) {
	t.Parallel()
	const login = `git config --global credential.https://a%d.test.helper '!f() { echo password=$T; }; f'`
	var logins, variables []string
	for i := range 5000 {
		logins = append(logins, fmt.Sprintf(login, i))
		variables = append(variables, fmt.Sprintf("$A%d $B%d $C%d $D%d", i, i, i, i))
	}
	calls := slices.Repeat([]string{strings.Repeat("a;", 4000)}, 8)
	clones := slices.Repeat([]string{"git clone https://x:$T@bitbucket.org/acme/app"}, 5000)
	began := time.Now()
	usage := setup.UsageOf(slices.Concat(logins, calls, clones, variables), "T")
	assert.Len(t, usage.Uses, 5000)
	assert.Empty(t, usage.Opaque)
	presents := setup.Presents(slices.Concat(logins, calls, clones, variables))
	for range 100_000 {
		assert.True(t, presents("T") && presents("x") && !presents("A1"))
	}
	assert.Less(t, time.Since(began), time.Minute)
}
