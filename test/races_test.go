package test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// TestJobsThatStartTogetherLeaveOneOfEach: with latency, so that all jobs plan a create before
// one of them has made it.
func TestJobsThatStartTogetherLeaveOneOfEach(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{Latency: 50 * time.Millisecond}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"smoke_test": "false"})
		var together sync.WaitGroup
		var ended []func() result
		for range 3 {
			command, directory := w.command(inputs)
			var stdout, stderr bytes.Buffer
			command.Stdout, command.Stderr = &stdout, &stderr
			require.NoError(t, command.Start())
			together.Go(func() { _ = command.Wait() }) // the exit code is in the result
			ended = append(ended, func() result { return w.finished(command, directory, stdout.String(), stderr.String()) })
		}
		together.Wait()
		for _, end := range ended {
			r := end()
			assert.Equal(t, 0, r.code, r.log)
			assert.Equal(t, w.onlyEnvironment().UID, r.outputs["environment_id"], r.log)
		}
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		w.keeps(inputs)
	})
}

func TestLostDeleteOfTheYoungerEnvironmentIsMadeGood(t *testing.T) {
	t.Parallel()
	for _, when := range []fault.When{fault.Before, fault.After} {
		inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
			older := make(chan string, 1)
			w.oz.Script.Add(fault.Fault{Operation: "CreateGenericStringObject", When: fault.Meanwhile, Do: func() {
				older <- w.oz.AddEnvironment(team, `{"name":"acme-sample"}`)
			}})
			w.oz.Script.Add(fault.Fault{Operation: "DeleteObject", When: when})
			inputs := w.inputs(map[string]string{"smoke_test": "false"})
			r := w.must(inputs)
			assert.Equal(t, <-older, r.outputs["environment_id"])
			assert.Contains(t, r.log, "which this job has just created")
			w.keeps(inputs)
		})
	}
}

func TestSecretThatSomeoneElseCreatedMeanwhileIsRotated(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.oz.Script.Add(fault.Fault{Operation: "CreateManagedSecret", When: fault.Meanwhile, Do: func() {
			w.oz.AddSecret(team, "BITBUCKET_API_TOKEN", "someone else's value")
		}})
		inputs := w.inputs(map[string]string{"smoke_test": "false"})
		r := w.must(inputs)
		assert.Equal(t, "rotate", r.outputs["secret_change"])
		w.requireSecret(team, "BITBUCKET_API_TOKEN", cloudToken)
		w.keeps(inputs)
	})
}

func TestSeveralRepositories(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		second := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "library"})
		inputs := w.inputs(map[string]string{
			"repo_url":       w.cloud.CloneURL() + "\n" + second.CloneURL(),
			"setup_commands": "test -d ../library/.git",
		})
		w.must(inputs)
		commands := model(t, w.onlyEnvironment())["setup_commands"].([]any)
		require.Len(t, commands, 5)
		assert.Contains(t, commands[2], w.cloud.CloneURL())
		assert.Contains(t, commands[3], second.CloneURL())
		w.keeps(inputs)
	})
}

func TestPlanWithoutATokenChecksNothingAtBitbucket(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		inputs := w.inputs(map[string]string{"mode": "plan"})
		delete(inputs, "bitbucket_token")
		for range 2 {
			r := w.must(inputs)
			assert.Equal(t, "create", r.outputs["environment_change"])
			assert.Empty(t, r.outputs["head_commit"])
		}
		assert.Empty(t, w.bitbucket.Journal.All())
	})
}

// TestDocumentedCommandsClone does not search for the token: these commands store it in
// .git/config. Therefore they are not the default.
func TestDocumentedCommandsClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	for _, changes := range []map[string]string{
		{"clone_auth": "url", "environment_name": "cloud"},
		{"clone_auth": "url", "environment_name": "dc", "repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken},
	} {
		assert.Equal(t, "passed", w.must(w.inputs(changes)).outputs["smoke_test"])
		assert.Equal(t, "keep", w.must(w.inputs(changes)).outputs["environment_change"])
	}
}

func TestMissingUploadKeyIsAnErrorBeforeAnyWrite(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		bare := warpsim.Team{UID: "Tm0000000000000000000C", Name: "Bare", NoUploadKey: true}
		w.oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: []warpsim.Team{bare}})
		for range 2 {
			r := w.run(w.inputs(map[string]string{"team": "Bare"}))
			assert.Equal(t, 1, r.code)
			assert.Contains(t, r.log, "no upload key")
		}
		assert.Empty(t, w.oz.Secrets())
		assert.Empty(t, w.oz.Environments())
	})
}
