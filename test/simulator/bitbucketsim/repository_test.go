package bitbucketsim_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
)

func TestSameStepsGiveSameCommits(t *testing.T) {
	t.Parallel()
	history := func() []string {
		r := start(t).AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample"})
		return []string{r.Head(), r.Commit("Second"), r.Branch("feature/x"), r.Tag("v1", true), r.Tag("v2", false), r.Commit("Third")}
	}
	first := history()

	assert.Equal(t, first, history())
	assert.Len(t, first[0], 40)
	assert.NotEqual(t, first[0], first[1])
	assert.NotEqual(t, first[1], first[2], "a branch is ahead of the default branch")
	assert.Equal(t, first[1], first[3], "an annotated tag names its commit")
	assert.Equal(t, first[1], first[4])
}

func TestRefsOverGit(t *testing.T) {
	t.Parallel()
	s := start(t)
	repository := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample", Public: true})
	branch := repository.Branch("feature/x")
	tagged := repository.Tag("v1", true)
	head := repository.Commit("After the tag")

	for _, version := range []string{"0", "1", "2"} {
		t.Run("protocol version "+version, func(t *testing.T) {
			t.Parallel()
			machine := newWorkstation(t, s)
			protocol := "protocol.version=" + version

			listed := strings.Fields(machine.git("-c", protocol, "ls-remote", repository.CloneURL(), "HEAD", "feature/x", "v1^{}"))
			assert.Equal(t, []string{head, "HEAD", branch, "refs/heads/feature/x", tagged, "refs/tags/v1^{}"}, listed)

			machine.git("-c", protocol, "clone", "--depth", "1", "--branch", "v1", repository.CloneURL(), "shallow")
			assert.Equal(t, tagged, machine.in("shallow").git("rev-parse", "HEAD"))
			assert.Equal(t, "true", machine.in("shallow").git("rev-parse", "--is-shallow-repository"))
		})
	}
	t.Run("a partial clone", func(t *testing.T) {
		machine := newWorkstation(t, s)
		machine.git("-c", "protocol.version=2", "clone", "--filter", "blob:none", repository.CloneURL(), "partial")
		assert.Equal(t, "After the tag", machine.in("partial").git("show", "HEAD:notes/0001.md"))
	})
	t.Run("the version is passed on", func(t *testing.T) {
		machine := newWorkstation(t, s)
		machine.environ = append(machine.environ, "GIT_TRACE_PACKET=1")
		assert.Contains(t, machine.git("-c", "protocol.version=2", "ls-remote", repository.CloneURL()), "git< version 2")
		assert.Contains(t, machine.git("-c", "protocol.version=1", "ls-remote", repository.CloneURL()), "git< version 1")
		assert.NotContains(t, machine.git("-c", "protocol.version=0", "ls-remote", repository.CloneURL()), "git< version")
	})
	assertNoViolations(t, s)
}

func TestEmptyRepository(t *testing.T) {
	t.Parallel()
	s := start(t)
	repository := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.DataCenter, Owner: "PROJ", Slug: "sample", Public: true, Empty: true})
	machine := newWorkstation(t, s)

	assert.Empty(t, repository.Head())
	assert.Contains(t, machine.git("clone", repository.CloneURL()), "You appear to have cloned an empty repository.")

	first := repository.Commit("First")
	assert.Equal(t, first, repository.Head())
	machine.in("sample").git("fetch")
	assert.Equal(t, first, machine.in("sample").git("rev-parse", "origin/main"))
}

// TestUncheckedIsServedToEverybody: reads only, and REST still checks credentials.
func TestUncheckedIsServedToEverybody(t *testing.T) {
	t.Parallel()
	for _, flavor := range []bitbucketsim.Flavor{bitbucketsim.Cloud, bitbucketsim.DataCenter} {
		t.Run(string(flavor), func(t *testing.T) {
			t.Parallel()
			s := start(t)
			open := s.AddRepository(bitbucketsim.Repository{Flavor: flavor, Owner: "acme", Slug: "open", Public: true, Unchecked: true})
			private := s.AddRepository(bitbucketsim.Repository{Flavor: flavor, Owner: "acme", Slug: "private", Unchecked: true})
			rest := "https://api.bitbucket.org/2.0/repositories/acme/open"
			if flavor == bitbucketsim.DataCenter {
				rest = s.DataCenterURL() + "/rest/api/latest/projects/acme/repos/open"
			}
			assert.Equal(t, 200, get(t, s, refs(open.CloneURL(), "upload-pack"), basic("x-token-auth", "unknown")).status)
			assert.Zero(t, s.FailedLogins("unknown"))
			assert.Equal(t, 401, get(t, s, refs(open.CloneURL(), "receive-pack"), basic("x-token-auth", "unknown")).status)
			assert.Equal(t, 401, get(t, s, refs(private.CloneURL(), "upload-pack"), basic("x-token-auth", "other")).status)
			assert.Equal(t, 401, get(t, s, rest, "Bearer other").status)
			assertNoViolations(t, s)
		})
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := start(t)
	repository := s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample", Public: true})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { repository.Commit("One of many") })
		group.Go(func() { get(t, s, refs(repository.CloneURL(), "upload-pack"), "") })
		group.Go(func() { s.AddToken(bitbucketsim.Token{Value: apiToken, Kind: bitbucketsim.APIToken}) })
		group.Go(func() { s.SetPolicy(bitbucketsim.DataCenterPolicy{}); s.Counts(); s.Violations() })
	}
	group.Wait()

	machine := newWorkstation(t, s)
	machine.git("clone", repository.CloneURL())
	assert.Equal(t, "5", machine.in("sample").git("rev-list", "--count", "HEAD"))
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample", Empty: true})

	assert.Panics(t, func() {
		s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "ACME", Slug: "Sample"})
	}, "the same name twice")
	assert.Panics(t, func() { s.AddRepository(bitbucketsim.Repository{Flavor: "gitlab", Owner: "acme", Slug: "x"}) })
	assert.Panics(t, func() {
		s.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "..", Slug: "x"})
	})
	assert.Panics(t, func() { s.AddToken(bitbucketsim.Token{Value: "x", Kind: "password"}) })
	assert.Panics(t, func() {
		s.AddToken(bitbucketsim.Token{Value: "x", Kind: bitbucketsim.APIToken, State: bitbucketsim.CAPTCHA})
	})
}
