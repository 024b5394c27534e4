package test

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// ofGit returns the requests to git's addresses.
func ofGit(requests []fault.Request) []fault.Request {
	var found []fault.Request
	for _, request := range requests {
		switch request.Operation {
		case bitbucketsim.UploadPackRefs, bitbucketsim.ReceivePackRefs, bitbucketsim.UploadPack:
			found = append(found, request)
		}
	}
	return found
}

// TestTheProofSpeaksAsGitSpeaks asks a server with real git, and then with the program. The requests
// that present the token have the same headers. Other clients get the server's web site.
func TestTheProofSpeaksAsGitSpeaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plain, warpsim.Options{})
	asked := func() map[string]http.Header {
		byOperation := map[string]http.Header{}
		for _, request := range ofGit(w.bitbucket.Journal.All()) {
			if request.Header.Get("Authorization") != "" {
				byOperation[request.Operation] = request.Header
			}
		}
		w.bitbucket.Journal.Reset()
		return byOperation
	}

	git := exec.Command("git", "-c", "credential.helper=!f() { echo username=x-bitbucket-api-token-auth; echo password="+cloudToken+"; }; f", "ls-remote", w.cloud.CloneURL(), "HEAD")
	git.Env = append(append(w.bitbucket.Environ(), w.bitbucket.TrustEnviron()...), "PATH="+os.Getenv("PATH"), "HOME="+w.home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
	out, err := git.CombinedOutput()
	require.NoError(t, err, "%s", out)
	real := asked()
	require.Len(t, real, 2, "the refs and their list")

	w.must(w.inputs(map[string]string{"mode": "plan"}))
	ours := asked()
	for operation, header := range real {
		// A compression that is not needed, and the client's name, which is compared below.
		for _, name := range []string{"Accept-Encoding", "User-Agent", "Content-Length"} {
			header.Del(name)
			ours[operation].Del(name)
		}
		assert.Equal(t, header, ours[operation], operation)
	}
	assert.Empty(t, ours[bitbucketsim.ReceivePackRefs].Get("Git-Protocol"), "there is no version 2 of a push")
}

func TestTheNameOfEachRequest(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		w.must(w.inputs(map[string]string{"repo_url": w.dc.CloneURL(), "bitbucket_token": dcToken}))
		w.must(w.inputs(nil))
		requests := w.bitbucket.Journal.All()
		git := ofGit(requests)
		require.NotEmpty(t, git)
		require.Greater(t, len(requests), len(git))
		for _, request := range requests {
			asGit := regexp.MustCompile(`^git/[0-9.]+ \(oz-bitbucket/[^ ]+\)$`).MatchString(request.Header.Get("User-Agent"))
			switch request.Operation {
			case bitbucketsim.UploadPackRefs, bitbucketsim.ReceivePackRefs, bitbucketsim.UploadPack:
				assert.True(t, asGit || strings.HasPrefix(request.Header.Get("User-Agent"), "git/2") && !strings.Contains(request.Header.Get("User-Agent"), "oz"), request.Header.Get("User-Agent"))
			case bitbucketsim.Connect: // has no credential and no client's name
			default:
				assert.Regexp(t, `^oz-bitbucket/`, request.Header.Get("User-Agent"), request.Operation)
			}
		}
	})
}

// TestARepositoryOfManyRefs costs no more than another. With an old server it still works.
func TestARepositoryOfManyRefs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		version0    bool
		least, most int64 // bytes when the branch does not exist
	}{
		{"version 2", false, 1, 4 << 10},
		{"version 0", true, 4 << 20, 64 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, plain, warpsim.Options{})
			crowded := w.bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "crowded", Version0: tt.version0})
			commit := crowded.Branch("zebra")
			crowded.Crowd(100_000)
			for branch, found := range map[string]bool{"": true, "zebra": true, "crowd/100000": true, "gone": false} {
				before := w.bitbucket.Sent()
				inputs := w.inputs(map[string]string{"repo_url": crowded.CloneURL(), "mode": "plan", "branch": branch})
				if !found {
					r := w.run(inputs)
					assert.Equal(t, 1, r.code, r.log)
					assert.Contains(t, r.log, `has no branch or tag "gone"`)
					assert.GreaterOrEqual(t, w.bitbucket.Sent()-before, tt.least)
				} else {
					w.must(inputs)
				}
				assert.Less(t, w.bitbucket.Sent()-before, tt.most, branch)
			}
			assert.NotEqual(t, crowded.Head(), commit)
		})
	}
}

// TestARepositoryThatHasMoved: the token is not sent after the redirect, and the message holds the new clone URL.
func TestARepositoryThatHasMoved(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, old := range []bitbucketsim.Repository{
			{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "old", MovedTo: w.cloud.CloneURL()},
			{Flavor: bitbucketsim.DataCenter, Owner: "PRJ", Slug: "old", MovedTo: w.dc.CloneURL()},
		} {
			repository := w.bitbucket.AddRepository(old)
			inputs := w.inputs(map[string]string{"repo_url": repository.CloneURL()})
			if old.Flavor == bitbucketsim.DataCenter {
				inputs["bitbucket_token"] = dcToken
			}
			w.bitbucket.Journal.Reset()
			log := w.refuses(inputs)
			assert.Contains(t, log, "301: redirected to "+old.MovedTo+": the repository has moved")
			assert.Contains(t, log, "give "+old.MovedTo+" in repo_url")
			for _, request := range w.bitbucket.Journal.All() {
				assert.NotContains(t, request.URL, "/sample.git")
			}
			inputs["repo_url"] = old.MovedTo
			inputs["mode"] = "plan"
			w.must(inputs)
		}
	})
}

// TestAListOfRefsThatIsLostIsAskedForAgain: it is a POST that changes nothing.
func TestAListOfRefsThatIsLostIsAskedForAgain(t *testing.T) {
	t.Parallel()
	inBoth(t, warpsim.Options{}, func(t *testing.T, w *world) {
		for _, when := range []fault.When{fault.Before, fault.After} {
			w.bitbucket.Script.Add(fault.Fault{Operation: bitbucketsim.UploadPack, When: when, Status: http.StatusBadGateway})
			w.must(w.inputs(map[string]string{"mode": "plan"}))
		}
	})
}
