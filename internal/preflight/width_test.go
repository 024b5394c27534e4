package preflight_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
)

func slugs(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("r%d", i)
	}
	return list
}

func demandsOf(repositories []bitbucket.Repository) []preflight.Demand {
	list := make([]preflight.Demand, len(repositories))
	for i, r := range repositories {
		list[i].Repository = r
	}
	return list
}

// TestWidth: many questions are under way once the token is taken, and two before. A
// public repository proves nothing, so it widens nothing.
func TestWidth(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answers map[string]error
		public  bool
		most    int
	}{
		"taken":                        {nil, false, 16},
		"unknown":                      {map[string]error{"": unauthorized}, false, 1},
		"taken, and refused somewhere": {map[string]error{"r3 clone": no(403, "no way")}, false, 16},
		"everybody may read the first": {map[string]error{"rest": no(403, "no way")}, true, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: tt.answers, public: tt.public, refs: bitbucket.Refs{Head: head}, delay: time.Second, width: 16}
				_, _ = preflight.Check(t.Context(), bound(s), demandsOf(cloud(slugs(100)...)), access, false)
				assert.LessOrEqual(t, s.most, tt.most)
				if tt.most == 16 {
					assert.Equal(t, 16, s.most)
				}
				assert.LessOrEqual(t, s.failures, 2)
			})
		})
	}
}

// TestATokenThatIsRevokedMeanwhile: after the second answer of 401 nothing more is asked.
func TestATokenThatIsRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := map[string]error{}
		for _, slug := range slugs(100)[1:] {
			answers[slug+" clone"] = unauthorized
		}
		s := &server{answers: answers, refs: bitbucket.Refs{Head: head}, delay: time.Second, width: 16}
		proof, err := preflight.Check(t.Context(), bound(s), demandsOf(cloud(slugs(100)...)), access, false)
		require.NoError(t, err)
		require.ErrorContains(t, proof.Err(), "not asked, because the server had refused the token with 401 before")
		assert.LessOrEqual(t, s.failures, 16, "those that were under way")
	})
}

// TestPushesAreAskedForWhereTheyMatter.
func TestPushesAreAskedForWhereTheyMatter(t *testing.T) {
	t.Parallel()
	demands := demandsOf(cloud("a", "b", "c", "b"))
	demands[1].Reads, demands[2].Reads = true, true
	for write, want := range map[bool][]string{false: {"a"}, true: {"a", "b"}} {
		s := &server{refs: bitbucket.Refs{Head: head}}
		_, err := preflight.Check(t.Context(), bound(s), demands, access, write)
		require.NoError(t, err)
		var asked []string
		for _, question := range s.asked {
			if slug, _, push := strings.Cut(question, " push "); push {
				asked = append(asked, slug)
			}
		}
		assert.ElementsMatch(t, want, asked, "the second b demands it")
	}
}

func TestCheckEach(t *testing.T) {
	t.Parallel()
	missing, outage := no(404, "not found"), no(503, "later")
	tests := map[string]struct {
		answers map[string]error
		write   bool
		failed  []string // slugs of the findings with an error
		err     string
	}{
		"all serve":            {nil, false, nil, ""},
		"the first is missing": {map[string]error{"a clone": missing}, false, []string{"a"}, ""},
		"the first two are missing, one cannot push": {map[string]error{"a clone": missing, "b clone": missing, "d push": no(403, "read only")}, true, []string{"a", "b", "d"}, ""},
		"the last cannot push and nobody wants it":   {map[string]error{"f push": no(403, "read only")}, false, nil, ""},
		"all are missing":               {map[string]error{"clone": missing}, true, []string{"a", "b", "c", "d", "e", "f"}, ""},
		"one does not answer":           {map[string]error{"c clone": outage}, false, []string{"c"}, ""},
		"two do not answer":             {map[string]error{"c clone": outage, "e clone": outage}, false, []string{"c", "e"}, ""},
		"three do not answer":           {map[string]error{"c clone": outage, "d clone": outage, "e clone": outage}, false, nil, "503: later"},
		"the first does not answer":     {map[string]error{"a clone": outage}, false, []string{"a"}, ""},
		"the first three do not answer": {map[string]error{"a clone": outage, "b clone": outage, "c clone": outage}, false, nil, "503: later"},
		"the first has moved":           {map[string]error{"a clone": &bitbucket.Refusal{Status: 301, NotGit: true, Text: "redirected"}}, true, []string{"a"}, ""},
		"the owner is locked":           {map[string]error{"clone": no(403, "CAPTCHA required")}, false, nil, "CAPTCHA"},
		"the token is no good":          {map[string]error{"": unauthorized}, false, nil, "401"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head}}
			proof, err := preflight.CheckEach(t.Context(), bound(s), demandsOf(cloud("a", "b", "c", "d", "e", "f")), access, tt.write)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			var failed []string
			for _, f := range proof.Findings {
				if f.Err != nil {
					failed = append(failed, f.Repository.Slug)
				} else {
					assert.Equal(t, head, f.Head)
				}
			}
			assert.Equal(t, tt.failed, failed)
			assert.LessOrEqual(t, s.failures, 2)
		})
	}
}

// TestListsOfDataCenter: what they hold is asked no more, and what they lack is.
func TestListsOfDataCenter(t *testing.T) {
	t.Parallel()
	const all = "a b c d e f"
	tests := map[string]struct {
		slugs              string
		readable, writable string
		answers            map[string]error
		write              bool
		branch             string // of f
		clones, pushes     string // that are asked one by one
		lists              int
		failed             string
	}{
		"all are listed":                  {slugs: all, readable: "a b c d E F", clones: "a", pushes: "a", lists: 1},
		"some are listed":                 {slugs: all, readable: "b c", clones: "a d e f", pushes: "a", lists: 1},
		"one of these is missing":         {slugs: all, readable: "b c d e", answers: map[string]error{"f clone": no(404, "not found")}, clones: "a f", lists: 1, failed: "f", pushes: "a"},
		"a list says nothing of a branch": {slugs: all, readable: all, branch: "main", clones: "a f", pushes: "a", lists: 1},
		"pushes too":                      {slugs: all, readable: all, writable: "b c d e", write: true, clones: "a", pushes: "a f", lists: 2},
		"it may not push there":           {slugs: all, readable: all, writable: "b c d e", write: true, answers: map[string]error{"f push": no(403, "no")}, clones: "a", pushes: "a f", lists: 2, failed: "f"},
		"there is no such list":           {slugs: all, answers: map[string]error{"readable": no(404, "no such address")}, clones: all, pushes: "a", lists: 1},
		"nor one of pushes":               {slugs: all, readable: all, answers: map[string]error{"writable": no(404, "no")}, write: true, clones: "a", pushes: all, lists: 2},
		"a list costs more":               {slugs: "a b c d", readable: all, clones: "a b c d", pushes: "a"},
		"the token is not taken":          {slugs: all, readable: all, answers: map[string]error{"a clone": no(404, "not found")}, clones: all, failed: "a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head, Branch: commit}, lists: map[string][]bitbucket.Repository{
				"readable": dataCenter(strings.Fields(tt.readable)...), "writable": dataCenter(strings.Fields(tt.writable)...),
			}}
			demands := demandsOf(dataCenter(strings.Fields(tt.slugs)...))
			demands[len(demands)-1].Branch = tt.branch
			proof, err := preflight.Check(t.Context(), bound(s), demands, httpToken, tt.write)
			require.NoError(t, err)
			asked := func(what string) string {
				var list []string
				for _, slug := range strings.Fields(all) {
					for _, question := range s.asked {
						if question == slug+" "+what+" Bearer" {
							list = append(list, slug)
						}
					}
				}
				return strings.Join(list, " ")
			}
			assert.Equal(t, tt.clones, asked("clone"))
			assert.Equal(t, tt.pushes, asked("push"))
			assert.Equal(t, tt.lists, s.count("able"))
			var failed []string
			for _, f := range proof.Findings {
				if f.Err != nil {
					failed = append(failed, f.Repository.Slug)
				}
			}
			assert.Equal(t, tt.failed, strings.Join(failed, " "))
		})
	}
}

// TestCloudHasNoSuchLists.
func TestCloudHasNoSuchLists(t *testing.T) {
	t.Parallel()
	s := &server{refs: bitbucket.Refs{Head: head}}
	_, err := preflight.Check(t.Context(), bound(s), demandsOf(cloud(slugs(20)...)), access, true)
	require.NoError(t, err)
	assert.Zero(t, s.count("able"))
}

// refsAsked is a server that counts who is asked for refs.
type refsAsked struct {
	*server
	slugs []string
}

func (s *refsAsked) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	offer, err := s.server.Offer(ctx, r, as, wanted)
	refs := offer.Refs
	offer.Refs = func(ctx context.Context) (bitbucket.Refs, error) {
		s.mu.Lock()
		s.slugs = append(s.slugs, r.Slug)
		s.mu.Unlock()
		return refs(ctx)
	}
	return offer, err
}

func TestCommitsAreLookedUpWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	demand := func(slug, branch string, onlyAccess bool) preflight.Demand {
		return preflight.Demand{Repository: cloud(slug)[0], Branch: branch, OnlyAccess: onlyAccess}
	}
	s := &refsAsked{server: &server{refs: bitbucket.Refs{Head: head, Branch: commit}}}
	proof, err := preflight.Check(t.Context(), s, []preflight.Demand{
		demand("primary", "", true), demand("access", "", true), demand("commit", "", false), demand("branch", "main", true),
		demand("both", "", true), demand("both", "", false),
	}, preflight.Token{Kind: bitbucket.APIToken, Certain: true}, false)
	require.NoError(t, err)
	require.NoError(t, proof.Err())
	slices.Sort(s.slugs)
	assert.Equal(t, []string{"both", "branch", "commit", "primary"}, s.slugs)
}
