package test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

const password = "MARKER password $1 of jane"

// longerThanACreation is longer than a stopped job waits for the answer to a creation, and half
// of its time to revoke the token.
const longerThanACreation = 3500 * time.Millisecond

// minting prepares an environment on Data Center and a token of somebody else for each owner.
// It returns the inputs of a rotation that makes its own token.
func (w *world) minting(changes map[string]string) map[string]string {
	w.must(w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken, "smoke_test": "false"}))
	w.bitbucket.AddUser("jane", password)
	for _, owner := range []string{"users/jane", "projects/PRJ", "projects/PRJ/repos/sample"} {
		w.bitbucket.AddAccessToken(owner, "oz-bitbucket BITBUCKET_TOKEN "+teamUID, "REPO_READ", 0)
	}
	inputs := w.inputs(map[string]string{"mode": "rotate", "mint": "true", "flavor": "datacenter", "trusted_hosts": w.bitbucket.DataCenterOrigin(), "bitbucket_username": "jane", "bitbucket_password": password})
	delete(inputs, "repo_url")
	delete(inputs, "bitbucket_token")
	for name, value := range changes {
		inputs[name] = value
	}
	return inputs
}

// TestAMintedTokenIsHiddenFromTheFirstByteOn: the answer that holds it may hold it more than
// once.
func TestAMintedTokenIsHiddenFromTheFirstByteOn(t *testing.T) {
	t.Parallel()
	const value = "BBDC-MARKER-minted-77ab19"
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(map[string]string{"smoke_test": "false"})
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.CreateAccessToken, Status: 200, Times: 1,
			Body: `{"id":"815","name":"` + value + `","createdDate":1700000000000,"expiryDays":90,"token":"` + value + `"}`})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code, "no token of the server")
		assert.NotContains(t, r.log+r.summary+fmt.Sprint(r.outputs), value)
		assert.Contains(t, r.log, "of repository PRJ/sample: revoked", "by the name in the request")
	})
}

// requireNoneMinted checks that tokens of ours were made and revoked, that the secret did not
// change, and that no token of others was revoked.
func (w *world) requireNoneMinted(made int) {
	w.t.Helper()
	assert.Len(w.t, w.bitbucket.AccessTokens(), 3)
	assert.Len(w.t, w.bitbucket.DeletedAccessTokens(), made)
	w.requireSecret(team, "BITBUCKET_TOKEN", dcToken)
}

// requireMinted checks that one token of ours is valid, that it is the secret's value, and that
// no token of others was revoked.
func (w *world) requireMinted() bitbucketsim.HTTPToken {
	w.t.Helper()
	var ours []bitbucketsim.HTTPToken
	others := 0
	for _, token := range w.bitbucket.AccessTokens() {
		if strings.HasSuffix(token.Name, teamUID) {
			others++
			continue
		}
		ours = append(ours, token)
	}
	assert.Equal(w.t, 3, others, "nothing of others was revoked")
	require.Len(w.t, ours, 1)
	w.requireSecret(team, "BITBUCKET_TOKEN", ours[0].Value)
	return ours[0]
}

// awaitBitbucket waits until Bitbucket has received a request.
func (w *world) awaitBitbucket(operation string) {
	w.t.Helper()
	w.await(func() bool {
		return slices.ContainsFunc(w.bitbucket.Journal.All(), func(r fault.Request) bool { return r.Operation == operation })
	})
}

// These two tests of signals run before the parallel ones, as those in
// stop_test.go do.

func TestASignalDuringTheCreationLeavesNoToken(t *testing.T) {
	for name, delay := range map[string]time.Duration{"soon": pauseForTheTest / 6, "late": pauseForTheTest, "too late for the answer": longerThanACreation} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				inputs := w.minting(nil)
				w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.CreateAccessToken, When: fault.Meanwhile, Delay: delay})
				job := w.start(inputs)
				w.awaitBitbucket(bitbucketsim.CreateAccessToken)
				r := job.stop(syscall.SIGTERM)
				assert.Equal(t, 143, r.code, r.log)
				w.requireNoneMinted(1)
			})
		})
	}
}

func TestASignalBeforeTheTokenIsStoredLeavesNoToken(t *testing.T) {
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(nil)
		w.bitbucket.Journal.Reset()
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, When: fault.Meanwhile, Delay: pauseForTheTest})
		job := w.start(inputs)
		w.awaitBitbucket(bitbucketsim.UploadPackRefs)
		r := job.stop(syscall.SIGTERM)
		assert.Equal(t, 143, r.code, r.log)
		w.requireNoneMinted(1)
	})
}

func TestMint(t *testing.T) {
	t.Parallel()
	for owner, path := range map[string]string{"auto": "projects/PRJ/repos/sample", "project": "projects/PRJ", "user": "users/jane"} {
		t.Run(owner, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				inputs := w.minting(map[string]string{"mint_owner": owner, "token_expiry_days": "30"})
				for range 2 {
					r := w.must(inputs)
					assert.Equal(t, "passed", r.outputs["smoke_test"])
					assert.Equal(t, "30", r.outputs["token_expires_in_days"])
					made := w.requireMinted()
					assert.Equal(t, path, made.Owner)
					assert.Equal(t, "REPO_READ", made.Permission)
					assert.Contains(t, w.oz.Secrets()[0].Description, ", expires ")
				}
				assert.Len(t, w.bitbucket.DeletedAccessTokens(), 1, "the first was replaced by the second")
			})
		})
	}
}

func TestMintByAToken(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(map[string]string{"bitbucket_username": "", "bitbucket_password": "", "bitbucket_token": dcToken, "require_write": "true"})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code)
		assert.Contains(t, r.log, "many servers do not let a token make tokens")
		assert.Contains(t, r.log, "nothing was written")
		w.bitbucket.SetPolicy(bitbucketsim.DataCenterPolicy{TokensMayMint: true})
		for range 2 {
			w.must(inputs)
			assert.Equal(t, "REPO_WRITE", w.requireMinted().Permission)
		}
	})
}

func TestMintKeepsThePreviousToken(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]int{"never": 3, "3": 3, "0": 1} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			inputs := w.minting(map[string]string{"revoke_after": after, "smoke_test": "false"})
			for range 3 {
				w.must(inputs)
			}
			assert.Len(t, w.bitbucket.AccessTokens(), 3+want)
		})
	}
}

func TestMintExplainsRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		policy  bitbucketsim.DataCenterPolicy
		changes map[string]string
		says    string
	}{
		{"too long a life", bitbucketsim.DataCenterPolicy{MaximumExpiryDays: 30}, nil, "token_expiry_days"},
		{"too many tokens", bitbucketsim.DataCenterPolicy{MaximumTokens: 3}, nil, "as many tokens as the server allows"},
		{"an old version", bitbucketsim.DataCenterPolicy{NoTokenREST: true}, nil, "too old"},
		{"a wrong password", bitbucketsim.DataCenterPolicy{}, map[string]string{"bitbucket_password": "MARKER wrong"}, "was not accepted"},
		{"no passwords", bitbucketsim.DataCenterPolicy{BasicRefused: true}, nil, "takes no passwords over REST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
				inputs := w.minting(tt.changes)
				w.bitbucket.SetPolicy(tt.policy)
				r := w.run(inputs)
				assert.Equal(t, 1, r.code)
				assert.Contains(t, r.log, tt.says)
				w.requireSecret(team, "BITBUCKET_TOKEN", dcToken)
				assert.Len(t, w.bitbucket.AccessTokens(), 3)
				assert.Empty(t, w.oz.Runs())
			})
		})
	}
}

func TestMintSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{bitbucketsim.CreateAccessToken, bitbucketsim.DeleteAccessToken} {
		for _, when := range []fault.When{fault.Before, fault.After} {
			t.Run(fmt.Sprintf("%s/%d", operation, when), func(t *testing.T) {
				inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
					inputs := w.minting(map[string]string{"smoke_test": "false"})
					w.must(inputs)
					w.bitbucket.Script.Add(fault.Fault{Operation: operation, When: when})
					for range 2 {
						w.must(inputs)
						w.requireMinted()
					}
				})
			})
		}
	}
}

// TestMintTakesBackWhatItDoesNotStore: the job fails after the token was made and before it is
// stored.
func TestMintTakesBackWhatItDoesNotStore(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(nil)
		w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPackRefs, Status: 403, Body: "no", Times: -1})
		r := w.run(inputs)
		w.bitbucket.Script.Clear()
		assert.Equal(t, 1, r.code)
		w.requireSecret(team, "BITBUCKET_TOKEN", dcToken)
		assert.Len(t, w.bitbucket.AccessTokens(), 3)
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", Status: 403, Body: `{"error":"no"}`})
		assert.Equal(t, 1, w.run(inputs).code)
		assert.Len(t, w.bitbucket.AccessTokens(), 3)
		w.must(inputs)
		w.requireMinted()
	})
}

func TestMintLetsGoOnlyAfterAPassedSmokeTest(t *testing.T) {
	t.Parallel()
	broken := warpsim.Behaviour{State: "FAILED", ErrorCode: "environment_setup_failed", Message: "Environment setup failed"}
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(nil)
		w.must(inputs)
		first := w.requireMinted()
		w.oz.Behave(broken)
		assert.Equal(t, 3, w.run(inputs).code)
		assert.Empty(t, w.bitbucket.DeletedAccessTokens(), "both tokens work")
		w.oz.Behave(broken)
		inputs["previous_token"] = first.Value
		assert.Equal(t, 3, w.run(inputs).code)
		w.requireSecret(team, "BITBUCKET_TOKEN", first.Value)
		assert.Len(t, w.bitbucket.DeletedAccessTokens(), 1, "the newest one was taken back")
		delete(inputs, "previous_token")
		w.must(inputs)
		w.requireMinted()
	})
}

// TestMintSurvivesAKillAtEachStep kills the job just before and just after each
// of its changes took effect, and runs it again.
func TestMintSurvivesAKillAtEachStep(t *testing.T) {
	t.Parallel()
	type step struct {
		bitbucket bool
		operation string
	}
	for _, at := range []step{
		{true, bitbucketsim.CreateAccessToken}, {true, bitbucketsim.UploadPackRefs}, {false, "UpdateManagedSecret"},
		{false, "POST /agent/runs"}, {false, "GET /agent/runs/{id}/conversation"}, {true, bitbucketsim.ListAccessTokens}, {true, bitbucketsim.DeleteAccessToken},
	} {
		for _, when := range []fault.When{fault.Before, fault.After} {
			t.Run(fmt.Sprintf("%s/%d", at.operation, when), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, plain, warpsim.Options{})
				inputs := w.minting(nil)
				w.must(inputs)
				script := &w.oz.Script
				if at.bitbucket {
					script = &w.bitbucket.Script
				}
				w.kill(script, at.operation, when, inputs)
				w.must(inputs)
				w.requireMinted()
				w.requireClean()
			})
		}
	}
}

// alive reports whether the secret's value is a token that the server accepts.
func (w *world) alive() bool {
	w.t.Helper()
	stored := w.stored()
	return slices.ContainsFunc(w.bitbucket.AccessTokens(), func(t bitbucketsim.HTTPToken) bool { return t.Value == stored })
}

// TestTwoMintingJobsAtOnce runs a whole second job just before and just after each
// request of the first: they must not both end with 0 and a revoked token stored.
func TestTwoMintingJobsAtOnce(t *testing.T) {
	t.Parallel()
	type step struct {
		bitbucket bool
		operation string
		skip      int
	}
	for _, at := range []step{
		{true, bitbucketsim.CreateAccessToken, 0}, {true, bitbucketsim.UploadPackRefs, 0}, {false, "UpdateManagedSecret", 0}, {false, "GetCloudEnvironments", 1},
		{true, bitbucketsim.UploadPackRefs, 3}, {false, "ListManagedSecrets", 2}, {true, bitbucketsim.ListAccessTokens, 0}, {true, bitbucketsim.DeleteAccessToken, 0}, {false, "ListManagedSecrets", 3},
	} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %d, its answer lost: %t", at.operation, at.skip, lost), func(t *testing.T) {
				t.Parallel()
				at := at // this test changes it, and the other dialect's runs at the same time
				w := newWorld(t, plain, warpsim.Options{})
				inputs := w.minting(map[string]string{"smoke_test": "false"})
				w.must(inputs)
				script := &w.oz.Script
				if at.bitbucket {
					script = &w.bitbucket.Script
				}
				var second result
				if lost { // the change was made, and the second job runs before the first one looks
					script.Add(fault.Fault{Operation: at.operation, When: fault.After, Skip: at.skip})
					script = &w.oz.Script
					at.operation, at.skip = "ListManagedSecrets", 1
				}
				script.Add(fault.Fault{Operation: at.operation, When: fault.Meanwhile, Skip: at.skip, Do: func() { second = w.run(inputs) }})
				first := w.run(inputs)
				if first.code == 0 && second.code == 0 {
					assert.True(t, w.alive(), "both jobs ended with 0, and the stored token is revoked:\n%s\n%s", first.log, second.log)
				}
				script.Clear()
				w.must(inputs)
				assert.True(t, w.alive())
				w.requireClean()
			})
		}
	}
}

// TestATokenOfOurOwnIsNotAskedForPushes: it was made read-only, so the request could only be
// refused.
func TestATokenOfOurOwnIsNotAskedForPushes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.minting(map[string]string{"smoke_test": "false"})
	w.bitbucket.Journal.Reset()
	w.must(inputs)
	assert.Zero(t, w.bitbucket.Counts()[bitbucketsim.ReceivePackRefs])
	inputs["require_write"] = "true"
	w.must(inputs)
	assert.Equal(t, 1, w.bitbucket.Counts()[bitbucketsim.ReceivePackRefs])
	w.requireClean()
}

// TestMintRevokesNothingWhereSomebodyElseWrote: also where Oz does not report when the secret
// was written.
func TestMintRevokesNothingWhereSomebodyElseWrote(t *testing.T) {
	t.Parallel()
	silent := fault.Fault{Operation: "UpdateManagedSecret", When: fault.After, Status: 200,
		Body: `{"data":{"updateManagedSecret":{"__typename":"UpdateManagedSecretOutput","managedSecret":{"updatedAt":""}}}}`}
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(nil)
		w.must(inputs)
		for name, trouble := range map[string]fault.Fault{
			"else": {Operation: "POST /agent/runs", When: fault.Meanwhile, Do: func() { w.oz.AddSecret(team, "BITBUCKET_TOKEN", w.stored()) }},
			"told": silent,
		} {
			before := len(w.bitbucket.DeletedAccessTokens())
			w.oz.Script.Add(trouble)
			r := w.must(inputs)
			assert.Contains(t, r.log, "no token is revoked", name)
			assert.Len(t, w.bitbucket.DeletedAccessTokens(), before, name)
		}
		w.must(inputs)
		w.requireMinted()
	})
}

// TestALostAnswerIsNotForgotten: the new token may be stored, so it is not revoked, and the
// message does not say that the stored value is unchanged.
func TestALostAnswerIsNotForgotten(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.minting(map[string]string{"smoke_test": "false"})
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.After})
		w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", Status: 403, Body: `{"error":"no"}`, Times: -1})
		r := w.run(inputs)
		assert.Equal(t, 1, r.code, r.log)
		assert.Contains(t, r.log, "it is not known which value is stored now")
		assert.NotContains(t, r.log, "the stored value is unchanged")
		assert.True(t, w.alive(), "it is stored")
		w.oz.Script.Clear()
		w.must(inputs)
		w.requireMinted()
	})
}

// TestASecretWrittenWhileTokensAreRevoked: another job made its token earlier, and stores it
// just before this job revokes the tokens that its own replaced.
func TestASecretWrittenWhileTokensAreRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	inputs := w.minting(map[string]string{"smoke_test": "false"})
	w.must(inputs)
	atStore, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.oz.Script.Add(fault.Fault{Operation: "UpdateManagedSecret", When: fault.Meanwhile, Do: func() { close(atStore); <-goOn }})
	other := w.start(inputs)
	<-atStore
	var late result
	w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.ListAccessTokens, When: fault.Meanwhile, Do: func() {
		close(goOn)
		late = other.wait()
		close(ended)
	}})
	r := w.run(inputs)
	<-ended
	assert.Equal(t, 0, late.code, late.log)
	assert.Equal(t, 1, r.code, r.log)
	assert.Contains(t, r.log, "it is not known whether the stored token still works")
	w.must(inputs)
	assert.True(t, w.alive())
	w.requireClean()
}
