package reconcile_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// TestASecretAloneHasWords: a plan of a secret without an environment may fail too.
func TestASecretAloneHasWords(t *testing.T) {
	t.Parallel()
	done := reconcile.Applied{Secrets: []reconcile.StoredSecret{{Change: reconcile.Create}}}
	assert.Equal(t, "the secret is written; run again to converge", done.Words(reconcile.Provision))
	done.Secrets[0].Change = ""
	assert.Equal(t, "nothing was written", done.Words(reconcile.Provision))
	done.Secrets[0].Err = warp.ErrAnswerLost
	assert.Equal(t, "nothing is known to be written; run again to converge", done.Words(reconcile.Provision))
}
