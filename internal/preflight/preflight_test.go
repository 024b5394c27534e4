package preflight_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucketapi"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
)

const (
	head   = "1111111111111111111111111111111111111111"
	commit = "2222222222222222222222222222222222222222"
)

// server is a Bitbucket in memory. A question that it has no answer to it
// answers with yes.
type server struct {
	refs    bitbucket.Refs
	answers map[string]error // by question; the most exact one counts
	public  bool
	scopes  []string // of the token, as the REST tells them
	delay   time.Duration
	lists   map[string][]bitbucket.Repository // of Data Center, "readable" and "writable"
	width   int                               // once the token is taken; 0: two

	mu       sync.Mutex
	asked    []string
	underWay int
	most     int // questions under way at the same time
	failures int // answers of 401
}

// ListRefs looks the answer up as "SLUG clone LOGIN", "SLUG clone", "clone
// LOGIN", "clone" or "".
func (s *server) ListRefs(ctx context.Context, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error) {
	what := map[bitbucket.Service]string{bitbucket.UploadPack: "clone", bitbucket.ReceivePack: "push"}[service]
	login := cmp.Or(as.User, "nobody")
	if as.Bearer {
		login = "Bearer"
	}
	if login == "nobody" && !s.public {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.Slug+" "+what+" nobody")
		return bitbucket.Refs{}, unauthorized // no failed login: there was none
	}
	refs := s.refs
	if wanted != "main" {
		refs.Branch = ""
	}
	return refs, s.answer(ctx, r.Slug+" "+what+" "+login, r.Slug+" "+what, what+" "+login, what, "")
}

func (s *server) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	refs, err := s.ListRefs(ctx, r, bitbucket.UploadPack, as, wanted)
	return bitbucket.Offer{Scopes: refs.Scopes, Refs: func(context.Context) (bitbucket.Refs, error) { return refs, nil }}, err
}

func (s *server) CheckClone(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error {
	_, err := s.ListRefs(ctx, r, bitbucket.UploadPack, as, "")
	return err
}

func (s *server) CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, _ bool) error {
	_, err := s.ListRefs(ctx, r, bitbucket.ReceivePack, as, "")
	return err
}

// ListPermitted has no lists, unless the test gives some.
func (s *server) ListPermitted(ctx context.Context, _ bitbucket.Repository, write bool) (map[bitbucket.Repository]bool, error) {
	what := "readable"
	if write {
		what = "writable"
	}
	list := map[bitbucket.Repository]bool{}
	for _, r := range s.lists[what] {
		list[r.Folded()] = true
	}
	return list, s.answer(ctx, what)
}

func (s *server) Accepted(bitbucket.Flavor) int { return cmp.Or(s.width, 2) }

// CheckREST looks the answer up as "rest".
func (s *server) CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) ([]string, error) {
	return s.scopes, s.answer(ctx, r.Slug+" rest "+as.String(), "rest")
}

func (s *server) answer(ctx context.Context, questions ...string) error {
	s.mu.Lock()
	s.asked = append(s.asked, questions[0])
	s.underWay++
	s.most = max(s.most, s.underWay)
	s.mu.Unlock()
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay--
	if ctx.Err() != nil {
		return fmt.Errorf("ask: %w", ctx.Err())
	}
	for _, question := range questions {
		if err, known := s.answers[question]; known {
			var refused *bitbucket.Refusal
			if errors.As(err, &refused) && refused.Status == 401 {
				s.failures++
			}
			return err
		}
	}
	return nil
}

// bounded is a server that is asked as the program asks: no more than two answers
// of 401 for the token, in all checks together.
type bounded struct {
	server   preflight.Server
	attempts *bitbucketapi.Attempts
}

func bound(s preflight.Server) bounded { return bounded{s, bitbucketapi.NewAttempts()} }

func (b bounded) Offer(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, wanted string) (offer bitbucket.Offer, err error) {
	err = b.attempt(ctx, as, false, func() (err error) {
		offer, err = b.server.Offer(ctx, r, as, wanted)
		return err
	})
	return offer, err
}

func (b bounded) CheckClone(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) error {
	return b.attempt(ctx, as, false, func() error { return b.server.CheckClone(ctx, r, as) })
}

func (b bounded) CheckPush(ctx context.Context, r bitbucket.Repository, as bitbucket.Login, needed bool) error {
	return b.attempt(ctx, as, !needed, func() error { return b.server.CheckPush(ctx, r, as, needed) })
}

func (b bounded) CheckREST(ctx context.Context, r bitbucket.Repository, as bitbucket.Login) (scopes []string, err error) {
	err = b.attempt(ctx, as, false, func() (err error) {
		scopes, err = b.server.CheckREST(ctx, r, as)
		return err
	})
	return scopes, err
}

func (b bounded) ListPermitted(ctx context.Context, like bitbucket.Repository, write bool) (list map[bitbucket.Repository]bool, err error) {
	err = b.attempt(ctx, like.Flavor.TokenKinds()[0].Login(), true, func() (err error) {
		list, err = b.server.ListPermitted(ctx, like, write)
		return err
	})
	return list, err
}

func (b bounded) Accepted(by bitbucket.Flavor) int { return b.attempts.Widen(b.server.Accepted(by)) }

func (b bounded) attempt(ctx context.Context, as bitbucket.Login, spare bool, ask func() error) error {
	if as == (bitbucket.Login{}) {
		return ask()
	}
	if err := b.attempts.Take(ctx, spare); err != nil {
		return err
	}
	err := ask()
	var refused *bitbucket.Refusal
	b.attempts.Settle(spare, errors.As(err, &refused) && refused.Status == 401)
	return err
}

// check proves a token at a server that has refused nothing yet.
func check(ctx context.Context, s preflight.Server, repositories []bitbucket.Repository, token preflight.Token, wanted string, write bool) (preflight.Proof, error) {
	return checkBound(ctx, bound(s), repositories, token, wanted, write)
}

func (s *server) count(question string) int {
	n := 0
	for _, asked := range s.asked {
		if strings.Contains(asked, question) {
			n++
		}
	}
	return n
}

func no(status int, text string) error { return &bitbucket.Refusal{Status: status, Text: text} }

// Answers as the real servers give them.
var (
	unauthorized = no(401, "Invalid credentials")
	noScope      = no(403, "Your credentials lack one or more required privilege scopes")
	missing      = no(200, "Repository not found The requested repository does not exist, or you do not have permission to access it")
	busy         = no(503, "a page of HTML")
	removed      = no(410, "CHANGE-2770 - Functionality has been deprecated")
)

// The kinds of token as they are named in tests.
var (
	apiToken  = preflight.Token{Kind: bitbucket.APIToken, Certain: true}
	access    = preflight.Token{Kind: bitbucket.AccessToken, Certain: true}
	httpToken = preflight.Token{Kind: bitbucket.HTTPAccessToken, Certain: true}
	guess     = preflight.Token{Kind: bitbucket.APIToken}
	asAPI     = "x-bitbucket-api-token-auth"
	asAccess  = "x-token-auth"
	readOnly  = map[string]error{"push": noScope}
	onlyReads = func(more map[string]error) map[string]error {
		more["push"] = cmp.Or(more["push"], noScope)
		return more
	}
)

func cloud(slugs ...string) []bitbucket.Repository {
	var list []bitbucket.Repository
	for _, slug := range slugs {
		list = append(list, bitbucket.Repository{Flavor: bitbucket.Cloud, Scheme: "https", Host: "bitbucket.org", Owner: "acme", Slug: slug})
	}
	return list
}

func dataCenter(slugs ...string) []bitbucket.Repository {
	var list []bitbucket.Repository
	for _, slug := range slugs {
		list = append(list, bitbucket.Repository{Flavor: bitbucket.DataCenter, Scheme: "https", Host: "git.example", Owner: "PRJ", Slug: slug})
	}
	return list
}

// checkBound proves a token for repositories of the job's own. Whatever they refuse is
// the error.
func checkBound(ctx context.Context, s preflight.Server, repositories []bitbucket.Repository, token preflight.Token, branch string, write bool) (preflight.Proof, error) {
	demands := make([]preflight.Demand, len(repositories))
	for i, repository := range repositories {
		demands[i].Repository = repository
	}
	demands[0].Branch = branch
	proof, err := preflight.Check(ctx, s, demands, token, write)
	return proof, cmp.Or(err, proof.Err())
}

func TestATokenThatIsGoodEnough(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		repositories []bitbucket.Repository
		token        preflight.Token
		answers      map[string]error
		empty        bool
		wanted       string
		write        bool

		kind       bitbucket.TokenKind
		bearerOnly bool
		head       string
		warnings   []string // words of each
		asked      []string // sorted; nil: not looked at
	}{
		"an API token": {
			repositories: cloud("a"), token: apiToken, answers: readOnly, kind: bitbucket.APIToken,
			asked: []string{"a clone nobody", "a clone " + asAPI, "a push " + asAPI},
		},
		"an access token of several repositories": {
			repositories: cloud("a", "b"), token: access, answers: readOnly, kind: bitbucket.AccessToken,
			asked: []string{"a clone nobody", "a clone " + asAccess, "a push " + asAccess, "b clone " + asAccess},
		},
		"an HTTP access token": {
			repositories: dataCenter("a"), token: httpToken, answers: readOnly, kind: bitbucket.HTTPAccessToken,
			asked: []string{"a clone nobody", "a clone Bearer", "a clone " + asAccess, "a push Bearer"},
		},
		"a guess that was right": {repositories: cloud("a"), token: guess, answers: readOnly, kind: bitbucket.APIToken},
		"a guess that was wrong": {
			repositories: cloud("a"), token: guess, answers: onlyReads(map[string]error{"clone " + asAPI: unauthorized}), kind: bitbucket.AccessToken,
			asked: []string{"a clone nobody", "a clone " + asAPI, "a clone " + asAccess},
		},
		"a server that takes Bearer only": {
			repositories: dataCenter("a"), token: httpToken, kind: bitbucket.HTTPAccessToken, bearerOnly: true, warnings: []string{"git in the image must be 2.46 or newer"},
			answers: onlyReads(map[string]error{"clone " + asAccess: no(403, "Basic Authentication has been disabled on this instance.")}),
		},
		"a server that does not know a token as Basic": {
			repositories: dataCenter("a"), token: httpToken, kind: bitbucket.HTTPAccessToken, bearerOnly: true, warnings: []string{"Bearer only"},
			answers: onlyReads(map[string]error{"clone " + asAccess: unauthorized}),
		},
		"a server that answers 401 to every push": {
			repositories: dataCenter("a", "b", "c"), token: httpToken, answers: map[string]error{"push": unauthorized}, kind: bitbucket.HTTPAccessToken,
		},
		"that and Bearer only": {
			repositories: dataCenter("a", "b", "c"), token: httpToken, kind: bitbucket.HTTPAccessToken, bearerOnly: true, warnings: []string{"Bearer only"},
			answers: map[string]error{"push": unauthorized, "clone " + asAccess: unauthorized},
		},
		"a token that can push": {
			repositories: cloud("a", "b"), token: apiToken, answers: map[string]error{"b push": noScope}, kind: bitbucket.APIToken,
			warnings: []string{"the token can push to https://bitbucket.org/acme/a.git; a token with the scope read:repository:bitbucket is enough"},
		},
		"an access token that can push": {
			repositories: cloud("a"), token: access, kind: bitbucket.AccessToken, warnings: []string{"a token with the scope repository (Repositories: Read) is enough"},
		},
		"a Data Center token that can push": {
			repositories: dataCenter("a"), token: httpToken, kind: bitbucket.HTTPAccessToken, warnings: []string{"a token with the permission Repository read is enough"},
		},
		"a token that has to push, and can": {repositories: cloud("a", "b"), token: apiToken, write: true, kind: bitbucket.APIToken},
		"nobody knows whether it can push": {
			repositories: cloud("a"), token: apiToken, answers: map[string]error{"push": busy}, kind: bitbucket.APIToken,
			warnings: []string{"it is not known whether the token can push to https://bitbucket.org/acme/a.git: 503"},
		},
		"a branch": {repositories: cloud("a"), token: apiToken, answers: readOnly, wanted: "main", kind: bitbucket.APIToken, head: commit},
		"nor does it at an address that was removed": {
			repositories: cloud("a"), token: apiToken, answers: map[string]error{"push": removed}, kind: bitbucket.APIToken,
			warnings: []string{"it is not known whether the token can push to https://bitbucket.org/acme/a.git: 410"},
		},
		"an empty repository": {
			repositories: cloud("a"), token: apiToken, answers: readOnly, empty: true, kind: bitbucket.APIToken, head: "-",
			warnings: []string{"https://bitbucket.org/acme/a.git has no commit on its default branch yet"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{answers: tt.answers}
			if !tt.empty {
				s.refs = bitbucket.Refs{Head: head, Branch: commit}
			}
			proof, err := check(t.Context(), s, tt.repositories, tt.token, tt.wanted, tt.write)
			require.NoError(t, err)
			assert.Equal(t, tt.kind, proof.Kind)
			assert.Equal(t, tt.bearerOnly, proof.BearerOnly)
			assert.Equal(t, strings.Trim(cmp.Or(tt.head, head), "-"), proof.Head())
			require.Len(t, proof.Warnings, len(tt.warnings), "%q", proof.Warnings)
			for i, words := range tt.warnings {
				assert.Contains(t, proof.Warnings[i], words)
			}
			assert.LessOrEqual(t, s.failures, 2)
			if tt.asked != nil {
				slices.Sort(s.asked)
				slices.Sort(tt.asked)
				assert.Equal(t, tt.asked, s.asked)
			}
		})
	}
}

func TestATokenThatIsNotGoodEnough(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		repositories []bitbucket.Repository
		token        preflight.Token
		answers      map[string]error
		wanted       string
		write        bool

		lines []string // words of each line of the error
		asked int      // questions with the token
	}{
		"the primary refuses, and nothing else is asked": {
			repositories: cloud("a", "b", "c"), token: apiToken, answers: map[string]error{"": unauthorized}, asked: 1,
			lines: []string{"https://bitbucket.org/acme/a.git: 401: Invalid credentials"},
		},
		"on Data Center too": {
			repositories: dataCenter("a", "b", "c"), token: httpToken, answers: map[string]error{"": unauthorized}, asked: 1,
			lines: []string{"https://git.example/scm/PRJ/a.git: 401: Invalid credentials"},
		},
		"the primary refuses both kinds of a guess": {
			repositories: cloud("a", "b"), token: guess, answers: map[string]error{"": unauthorized}, asked: 2,
			lines: []string{"https://bitbucket.org/acme/a.git: 401: Invalid credentials"},
		},
		"a guess that is refused for another reason is not repeated": {
			repositories: cloud("a"), token: guess, answers: map[string]error{"": noScope}, asked: 1, lines: []string{"privilege scopes"},
		},
		"the other kind is known, but lacks a scope": {
			repositories: cloud("a"), token: guess, answers: map[string]error{"clone " + asAPI: unauthorized, "clone " + asAccess: noScope}, asked: 2,
			lines: []string{"403: Your credentials lack one or more required privilege scopes: the token is known, but lacks a scope; create an access token with the scope repository (Repositories: Read) in the settings of acme/a"},
		},
		"all that refuse are named, in order": {
			repositories: dataCenter("a", "b", "c", "d"), token: httpToken, asked: 6,
			answers: onlyReads(map[string]error{"b clone": missing, "d clone": no(403, "no way")}),
			lines:   []string{"https://git.example/scm/PRJ/b.git: 200: Repository not found", "https://git.example/scm/PRJ/d.git: 403: no way"},
		},
		"the primary too, and then nothing but clones is asked": {
			repositories: dataCenter("a", "b", "c"), token: httpToken, write: true, asked: 3,
			answers: onlyReads(map[string]error{"a clone": missing, "c clone": no(403, "no way")}),
			lines:   []string{"https://git.example/scm/PRJ/a.git: 200: Repository not found", "https://git.example/scm/PRJ/c.git: 403: no way"},
		},
		"the primary alone": {
			repositories: cloud("a", "b"), token: apiToken, asked: 2, answers: onlyReads(map[string]error{"a clone": noScope}),
			lines: []string{"https://bitbucket.org/acme/a.git: 403"},
		},
		"the primary and then two of 401": {
			repositories: cloud("a", "b", "c", "d"), token: apiToken, asked: 3, answers: map[string]error{"clone": unauthorized, "a clone": noScope},
			lines: []string{"acme/a.git: 403", "acme/b.git: 401", "acme/c.git: 401", "not asked, because the server had refused the token with 401 before: https://bitbucket.org/acme/d.git"},
		},
		"a locked owner is asked for nothing more": {
			repositories: dataCenter("a", "b"), token: httpToken, asked: 1, answers: map[string]error{"clone": no(200, "CAPTCHA required")},
			lines: []string{"solve the CAPTCHA"},
		},
		"an unlicensed owner neither": {
			repositories: dataCenter("a", "b"), token: httpToken, asked: 1, answers: map[string]error{"clone": no(200, "You are not currently licensed to use Bitbucket.")},
			lines: []string{"licence"},
		},
		"nor is a stranger": {
			repositories: cloud("a", "b"), token: apiToken, asked: 1, answers: map[string]error{"clone": &bitbucket.Refusal{Status: 200, NotGit: true, Text: "a page of HTML"}},
			lines: []string{"not from a git server"},
		},
		"two of 401 are enough": {
			repositories: cloud("a", "b", "c", "d", "e"), token: apiToken, asked: 3,
			answers: map[string]error{"clone": unauthorized, "a clone": nil, "push": unauthorized},
			lines:   []string{"acme/b.git: 401", "acme/c.git: 401", "not asked, because the server had refused the token with 401 before: https://bitbucket.org/acme/d.git, https://bitbucket.org/acme/e.git"},
		},
		"one of 401 is enough after a guess that was wrong": {
			repositories: cloud("a", "b", "c"), token: guess, asked: 3,
			answers: map[string]error{"clone": unauthorized, "a clone " + asAccess: nil},
			lines:   []string{"acme/b.git: 401", "not asked, because the server had refused the token with 401 before: https://bitbucket.org/acme/c.git"},
		},
		"none may push": {
			repositories: cloud("a", "b"), token: access, answers: readOnly, write: true, asked: 4,
			lines: []string{
				"the token cannot push to https://bitbucket.org/acme/a.git, and require_write asks for it: 403: Your credentials",
				"the token cannot push to https://bitbucket.org/acme/b.git, and require_write asks for it: 403: Your credentials lack one or more required privilege scopes: the token is known, but lacks a scope; create an access token with the scope repository:write (Repositories: Write)",
			},
		},
		"one may not be read and one not be pushed to": {
			repositories: dataCenter("a", "b", "c"), token: httpToken, write: true, asked: 7,
			answers: map[string]error{"b clone": missing, "b push": missing, "c push": no(401, "You are not permitted to access this resource")},
			lines:   []string{"prove the token against https://git.example/scm/PRJ/b.git", "cannot push to https://git.example/scm/PRJ/c.git"},
		},
		"no more than two pushes of 401": {
			repositories: dataCenter("a", "b", "c"), token: httpToken, write: true, answers: map[string]error{"push": unauthorized}, asked: 6,
			lines: []string{"cannot push to https://git.example/scm/PRJ/a.git", "cannot push to https://git.example/scm/PRJ/b.git", "not asked, because the server had refused the token with 401 before: https://git.example/scm/PRJ/c.git"},
		},
		"nobody knows whether it can push, and it has to": {
			repositories: cloud("a"), token: apiToken, answers: map[string]error{"push": busy}, write: true, asked: 2,
			lines: []string{"ask https://bitbucket.org/acme/a.git whether the token may push: 503"},
		},
		"nobody knows whether Basic works": {
			repositories: dataCenter("a"), token: httpToken, answers: onlyReads(map[string]error{"clone " + asAccess: busy}), asked: -1,
			lines: []string{"ask https://git.example/scm/PRJ/a.git whether it takes the token as Basic: 503"},
		},
		"no such branch": {
			repositories: cloud("a", "b"), token: apiToken, answers: readOnly, wanted: "mian", asked: 3,
			lines: []string{`https://bitbucket.org/acme/a.git has no branch or tag "mian"; check the input branch`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head, Branch: commit}, delay: time.Second}
				_, err := check(t.Context(), s, tt.repositories, tt.token, tt.wanted, tt.write)
				require.Error(t, err)
				lines := strings.Split(err.Error(), "\n")
				require.Len(t, lines, len(tt.lines), err.Error())
				for i, words := range tt.lines {
					assert.Contains(t, lines[i], words)
				}
				assert.LessOrEqual(t, s.failures, 2)
				if tt.asked >= 0 {
					assert.Equal(t, tt.asked, len(s.asked)-s.count("nobody"), "%q", s.asked)
				}
			})
		})
	}
}

// TestAPublicRepositoryProvesNothing: the server gives it to everybody and does
// not look at the token.
func TestAPublicRepositoryProvesNothing(t *testing.T) {
	t.Parallel()
	const fine, open = "is public: a clone works without the token", "so this does not prove that the token is good: "
	tests := map[string]struct {
		repositories []bitbucket.Repository
		token        preflight.Token
		answers      map[string]error
		warning      string // the end of the one warning
		err          string // words of the error, instead
		rest         string // what the REST was asked
	}{
		"Cloud's REST knows the token":       {cloud("a"), access, readOnly, fine, "", "a rest Bearer"},
		"Data Center's REST knows the token": {dataCenter("a", "b"), httpToken, readOnly, fine, "", "a rest Bearer"},
		"the REST knows it and says no":      {cloud("a"), access, map[string]error{"push": unauthorized, "rest": noScope}, fine, "", "a rest"},
		"a push shows that the token is known, whatever the REST": {
			cloud("a"), access, map[string]error{"push": noScope, "rest": busy}, fine, "", "a rest",
		},
		"a push shows that an API token is known": {cloud("a"), apiToken, readOnly, fine, "", ""},
		"nothing tells of an API token": {
			cloud("a"), apiToken, map[string]error{"push": unauthorized}, open + "the REST takes an API token only beside its owner's e-mail address", "", "",
		},
		"the REST is not to be had": {cloud("a"), access, map[string]error{"push": unauthorized, "rest": errors.New("no route")}, open + "no route", "", "a rest"},
		"the REST was removed": {
			cloud("a"), access, map[string]error{"push": unauthorized, "rest": removed},
			open + "410: CHANGE-2770 - Functionality has been deprecated: the token is not the cause: this version of oz-bitbucket uses an address that Bitbucket has removed; look for a newer version", "", "a rest",
		},
		"a page stands for the REST": {
			cloud("a"), access, map[string]error{"push": unauthorized, "rest": &bitbucket.Refusal{Status: 404, NotGit: true, Text: "a page of HTML"}}, open + "404: a page of HTML", "", "a rest",
		},
		"Cloud's REST refuses":       {cloud("a"), access, map[string]error{"push": unauthorized, "rest": unauthorized}, "", "https://bitbucket.org/acme/a.git: the repository is public, but the REST API refused the token: 401: Invalid credentials", "a rest"},
		"Data Center's REST refuses": {dataCenter("a"), httpToken, map[string]error{"push": unauthorized, "rest": unauthorized}, "", "https://git.example/scm/PRJ/a.git: the repository is public, but the REST API refused the token: 401: Invalid credentials", "a rest"},
		"whoever else refuses, the REST is asked": {
			dataCenter("a", "b", "c", "d"), httpToken, map[string]error{"push": unauthorized, "clone " + asAccess: unauthorized, "rest": unauthorized}, "", "the REST API refused the token: 401", "a rest",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head}, public: true, delay: time.Second}
				proof, err := check(t.Context(), s, tt.repositories, tt.token, "", false)
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err)
				} else {
					require.NoError(t, err)
					require.Len(t, proof.Warnings, 1, "%q", proof.Warnings)
					assert.True(t, strings.HasSuffix(proof.Warnings[0], tt.warning), proof.Warnings[0])
				}
				assert.LessOrEqual(t, s.failures, 2)
				assert.Equal(t, 1, s.count("nobody"))
				assert.Equal(t, len(tt.rest) > 0, s.count("a rest") == 1)
				assert.True(t, slices.ContainsFunc(s.asked, func(asked string) bool { return tt.rest == "" || strings.HasPrefix(asked, tt.rest) }))
			})
		})
	}
}

func TestScopesThatAreTooMuchAreNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		git, rest []string
		write     bool
		want      string // empty: no warning
	}{
		"git's address tells":         {git: []string{"read:repository:bitbucket", "delete:repository:bitbucket"}, want: "delete:repository:bitbucket"},
		"the REST tells":              {rest: []string{"repository", "repository:write", "pipeline:write"}, want: "pipeline:write, repository:write"},
		"both tell":                   {git: []string{"repository:write"}, rest: []string{"repository:write"}, want: "repository:write"},
		"the scope to push is needed": {rest: []string{"repository:write", "repository:admin"}, write: true, want: "repository:admin"},
		"just enough":                 {git: []string{"repository"}, rest: []string{"repository"}},
		"nobody tells":                {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{refs: bitbucket.Refs{Head: head, Scopes: tt.git}, scopes: tt.rest, public: true}
			if !tt.write {
				s.answers = readOnly
			}
			proof, err := check(t.Context(), s, cloud("a"), access, "", tt.write)
			require.NoError(t, err)
			require.NotEmpty(t, proof.Warnings) // the first says that the repository is public
			if tt.want == "" {
				assert.Len(t, proof.Warnings, 1)
				return
			}
			require.Len(t, proof.Warnings, 2)
			assert.Equal(t, "the token has scopes that it does not need here: "+tt.want, proof.Warnings[1])
		})
	}
}

// TestNoMoreThanTwoFailedLogins revokes the token after each number of answers.
func TestNoMoreThanTwoFailedLogins(t *testing.T) {
	t.Parallel()
	for _, repositories := range [][]bitbucket.Repository{cloud("a", "b", "c", "d"), dataCenter("a", "b", "c", "d")} {
		for good := range 10 {
			for _, write := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d good, %t", repositories[0].Flavor, good, write), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						s := &revoked{server: server{refs: bitbucket.Refs{Head: head}, delay: time.Second}, good: good}
						token := httpToken
						if repositories[0].Flavor == bitbucket.Cloud {
							token = guess
						}
						_, err := check(t.Context(), s, repositories, token, "", write)
						assert.LessOrEqual(t, s.failures, 2)
						assert.LessOrEqual(t, s.most, 2)
						if good < 4 || write && good < 8 {
							require.Error(t, err)
						}
					})
				})
			}
		}
	}
}

// revoked is a server that answers 401 to everything after some good answers.
type revoked struct {
	server
	good int
}

func (r *revoked) ListRefs(ctx context.Context, at bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error) {
	r.answered()
	return r.server.ListRefs(ctx, at, service, as, wanted)
}

func (r *revoked) Offer(ctx context.Context, at bitbucket.Repository, as bitbucket.Login, wanted string) (bitbucket.Offer, error) {
	r.answered()
	return r.server.Offer(ctx, at, as, wanted)
}

func (r *revoked) CheckClone(ctx context.Context, at bitbucket.Repository, as bitbucket.Login) error {
	r.answered()
	return r.server.CheckClone(ctx, at, as)
}

func (r *revoked) CheckPush(ctx context.Context, at bitbucket.Repository, as bitbucket.Login, needed bool) error {
	r.answered()
	return r.server.CheckPush(ctx, at, as, needed)
}

func (r *revoked) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.good--; r.good < 0 {
		r.answers = map[string]error{"": unauthorized}
	}
}

func TestAnOutageEndsTheCheckEarly(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]error{"a connection": errors.New("connection reset"), "the server": busy, "the rate": no(429, "Rate limit")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{refs: bitbucket.Refs{Head: head}, delay: time.Second, answers: map[string]error{"b clone": missing, "d clone": outage}}
				_, err := check(t.Context(), s, cloud("a", "b", "c", "d", "e", "f", "g", "h"), apiToken, "", false)
				require.ErrorIs(t, err, outage)
				lines := strings.Split(err.Error(), "\n")
				require.Len(t, lines, 2, err.Error())
				assert.Contains(t, lines[0], "acme/b.git: 200: Repository not found")
				assert.Contains(t, lines[1], "acme/d.git")
				assert.Zero(t, s.count("push"))
				assert.Less(t, s.count("clone "+asAPI), 8)
			})
		})
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(after, func() { cancel(errors.New("it took too long")) })
			synctest.Wait()
			s := &server{refs: bitbucket.Refs{Head: head}, delay: time.Second}
			_, err := check(ctx, s, cloud("a", "b", "c"), apiToken, "", true)
			require.Error(t, err)
			assert.Less(t, len(s.asked), 5)
			if after > time.Second {
				assert.ErrorContains(t, err, "it took too long")
			}
		})
	}
}

// TestProofsShareTheAnswersOf401: whoever asked before, a token is refused twice
// in a job, and a question that matters comes before one that does not.
func TestProofsShareTheAnswersOf401(t *testing.T) {
	t.Parallel()
	const refused = "not asked, because the server had refused the token with 401 before"
	tests := map[string]struct {
		spent   int
		answers map[string]error
		err     string // empty: the token is good enough
		asked   int    // questions with the token
	}{
		"none is left":               {2, nil, "prove the token against https://git.example/scm/PRJ/a.git: " + refused, 0},
		"the first one spends it":    {1, map[string]error{"": unauthorized}, "https://git.example/scm/PRJ/a.git: 401", 1},
		"a push leaves the last one": {0, map[string]error{"push": unauthorized}, "", 5},
		"a clone spends it":          {1, map[string]error{"b clone": unauthorized}, "https://git.example/scm/PRJ/b.git: 401", -1},
		"no push, when one is left":  {1, nil, "", 4},
		"all questions":              {0, nil, "", 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head}, delay: time.Second}
				b := bound(s)
				for range tt.spent {
					require.NoError(t, b.attempts.Take(t.Context(), false))
					b.attempts.Settle(false, true)
				}
				proof, err := checkBound(t.Context(), b, dataCenter("a", "b", "c"), httpToken, "", false)
				if tt.err == "" {
					require.NoError(t, err)
					assert.False(t, proof.BearerOnly, "%q", proof.Warnings)
				} else {
					require.ErrorContains(t, err, tt.err)
					assert.NotContains(t, err.Error(), "check the host")
				}
				assert.LessOrEqual(t, s.failures, 2-tt.spent)
				if tt.asked >= 0 {
					assert.Equal(t, tt.asked, len(s.asked)-s.count("nobody"), "%q", s.asked)
				}
			})
		})
	}
}

// TestNobodysQuestionCostsNoTime: it goes out with the first one of the token.
func TestNobodysQuestionCostsNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &server{answers: readOnly, refs: bitbucket.Refs{Head: head}, public: true, delay: time.Second}
		_, err := check(t.Context(), s, cloud("a"), access, "", false)
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, time.Since(began), "the login, the REST and the push")
		assert.Equal(t, 1, s.count("nobody"))
	})
}

// silent is a server that never answers nobody.
type silent struct{ server }

func (s *silent) ListRefs(ctx context.Context, r bitbucket.Repository, service bitbucket.Service, as bitbucket.Login, wanted string) (bitbucket.Refs, error) {
	if as == (bitbucket.Login{}) {
		<-ctx.Done()
		return bitbucket.Refs{}, ctx.Err()
	}
	return s.server.ListRefs(ctx, r, service, as, wanted)
}

func TestARefusalDoesNotWaitForNobodysAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &silent{server{answers: map[string]error{"": unauthorized}, delay: time.Second}}
		began := time.Now()
		_, err := check(t.Context(), s, cloud("a"), access, "", false)
		require.ErrorContains(t, err, "401")
		assert.Equal(t, time.Second, time.Since(began))
	})
}
