package preflight_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/preflight"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// of is a demand of an environment.
func of(environment, slug, branch string, as bitbucket.TokenKind) preflight.Demand {
	return preflight.Demand{Repository: cloud(slug)[0], Branch: branch, As: as, For: environment}
}

// errorsOf are the errors of the findings, empty for none.
func errorsOf(p preflight.Proof) []string {
	var texts []string
	for _, f := range p.Findings {
		text := ""
		if f.Err != nil {
			text = f.Err.Error()
		}
		texts = append(texts, text)
	}
	return texts
}

func TestDemandsOfEnvironments(t *testing.T) {
	t.Parallel()
	const api, acc = bitbucket.APIToken, bitbucket.AccessToken
	never := errors.New("another server")
	withheld := of("far", "z", "", acc)
	withheld.Never = never
	tests := map[string]struct {
		demands  []preflight.Demand
		token    preflight.Token
		answers  map[string]error
		findings []string // words of each error; empty: served
		asked    []string // clones, sorted
	}{
		"each repository is asked once for each branch": {
			demands: []preflight.Demand{of("one", "a", "", acc), of("two", "A", "", acc), of("three", "a", "main", acc)}, token: access,
			findings: []string{"", "", ""}, asked: []string{"a clone " + asAccess, "a clone " + asAccess},
		},
		"the commands say which kind a guess is": {
			demands: []preflight.Demand{of("one", "a", "", acc)}, token: guess, findings: []string{""}, asked: []string{"a clone " + asAccess},
		},
		"another kind than the token's is not asked": {
			demands: []preflight.Demand{of("one", "a", "", acc), of("two", "b", "", api)}, token: access,
			findings: []string{"", "environment two: it clones acme/b with the user x-bitbucket-api-token-auth, which is for an api_token, but the new token is an access_token; run apply for this environment"},
			asked:    []string{"a clone " + asAccess},
		},
		"nor is what the token must not be shown to": {
			demands: []preflight.Demand{withheld, of("one", "a", "", acc)}, token: guess,
			findings: []string{"environment far: another server", ""}, asked: []string{"a clone " + asAccess},
		},
		"nothing may be asked": {demands: []preflight.Demand{withheld}, token: access, findings: []string{"environment far: another server"}},
		"what refuses is named with its environment": {
			demands: []preflight.Demand{of("one", "a", "", acc), of("two", "b", "", acc), of("three", "b", "", acc)}, token: access, answers: onlyReads(map[string]error{"b clone": missing}),
			findings: []string{"", "environment two: prove the token against https://bitbucket.org/acme/b.git", "environment three: prove the token against"},
			asked:    []string{"a clone " + asAccess, "b clone " + asAccess},
		},
		"the first one too": {
			demands: []preflight.Demand{of("one", "a", "", acc), of("two", "b", "", acc)}, token: access, answers: onlyReads(map[string]error{"a clone": missing}),
			findings: []string{"environment one: prove the token", ""}, asked: []string{"a clone " + asAccess, "b clone " + asAccess},
		},
		"a token that was accepted is asked for clones alone": {
			demands: []preflight.Demand{of("one", "a", "", acc), of("two", "b", "", acc)}, token: preflight.Token{Kind: acc, Certain: true, Accepted: true},
			answers: map[string]error{"b clone": missing}, findings: []string{"", "environment two"}, asked: []string{"a clone " + asAccess, "b clone " + asAccess},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{answers: tt.answers, refs: bitbucket.Refs{Head: head, Branch: commit}}
			proof, err := preflight.Check(t.Context(), bound(s), tt.demands, tt.token, false)
			require.NoError(t, err)
			for i, said := range errorsOf(proof) {
				if tt.findings[i] == "" {
					assert.Empty(t, said)
				}
				assert.Contains(t, said, tt.findings[i])
			}
			clones := slices.DeleteFunc(slices.Clone(s.asked), func(asked string) bool {
				return !strings.Contains(asked, "clone "+asAccess) && !strings.Contains(asked, "clone "+asAPI)
			})
			slices.Sort(clones)
			assert.Equal(t, tt.asked, slices.Clip(append([]string(nil), clones...)))
			if tt.token.Accepted {
				assert.Zero(t, s.count("push"))
				assert.Zero(t, s.count("nobody"))
				assert.Empty(t, proof.Warnings)
			}
		})
	}
}

func TestATokenThatWasMadeReadOnlyIsNotAskedForPushes(t *testing.T) {
	t.Parallel()
	s := &server{refs: bitbucket.Refs{Head: head}}
	token := httpToken
	token.ReadOnly = true
	proof, err := preflight.Check(t.Context(), bound(s), []preflight.Demand{{Repository: dataCenter("a")[0]}}, token, false)
	require.NoError(t, err)
	assert.Zero(t, s.count("push"))
	assert.Empty(t, proof.Warnings)
}

func TestWhatAProofKnows(t *testing.T) {
	t.Parallel()
	a, b := cloud("a")[0], cloud("b")[0]
	s := &server{answers: onlyReads(map[string]error{"b clone": missing}), refs: bitbucket.Refs{Head: head, Branch: commit}}
	proof, err := preflight.Check(t.Context(), bound(s), []preflight.Demand{{Repository: a, Branch: "main"}, of("two", "b", "", ""), of("three", "a", "", "")}, apiToken, false)
	require.NoError(t, err)
	assert.Equal(t, commit, proof.Head())
	assert.Equal(t, commit, proof.HeadOf(a, "main"))
	assert.Equal(t, head, proof.HeadOf(a, ""))
	assert.Empty(t, proof.HeadOf(b, ""))
	assert.Empty(t, proof.HeadOf(a, "dev"))
	assert.Equal(t, 2, proof.Served())
	assert.True(t, proof.Serves("three"))
	assert.True(t, proof.Serves("nobody"))
	assert.False(t, proof.Serves("two"))
	other := of("four", "a", "", bitbucket.AccessToken)
	assert.Equal(t, []preflight.Demand{of("four", "b", "", ""), other}, proof.Open([]preflight.Demand{of("four", "a", "dev", bitbucket.APIToken), of("four", "b", "", ""), other}))
	assert.Empty(t, preflight.Proof{}.Head())
	assert.NoError(t, preflight.Proof{}.Err())
}

func TestABranchThatAnEnvironmentClonesAndIsNotThere(t *testing.T) {
	t.Parallel()
	s := &server{answers: readOnly, refs: bitbucket.Refs{Head: head, Branch: commit}}
	proof, err := preflight.Check(t.Context(), bound(s), []preflight.Demand{of("one", "a", "gone", "")}, apiToken, false)
	require.NoError(t, err)
	require.NoError(t, proof.Err(), "the token serves")
	assert.Equal(t, []string{`environment one clones the branch or tag "gone" of https://bitbucket.org/acme/a.git, which does not exist`}, proof.Warnings)
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	secret := credential.Credential{Owner: warp.Owner{Type: warp.TeamOwner}, Name: "TOKEN"}
	no := errors.New("no")
	own, two := preflight.Finding{Demand: preflight.Demand{Repository: cloud("a")[0]}}, preflight.Finding{Demand: of("two", "b", "", ""), Err: no}
	for name, tt := range map[string]struct {
		findings []preflight.Finding
		lenient  bool
		warnings int
		err      bool
	}{
		"served":                  {[]preflight.Finding{own}, false, 0, false},
		"not served":              {[]preflight.Finding{own, two}, false, 0, true},
		"not served, leniently":   {[]preflight.Finding{own, two, two}, true, 2, false},
		"the job's own is needed": {[]preflight.Finding{{Demand: own.Demand, Err: no}, two}, true, 0, true},
	} {
		warnings, err := preflight.Proof{Findings: tt.findings}.Admit("the token", secret, cloud("a")[0], tt.lenient)
		assert.Len(t, warnings, tt.warnings, name)
		if !tt.err {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, no)
		assert.ErrorContains(t, err, `the token does not serve every environment that reads secret "TOKEN":`)
		assert.ErrorContains(t, err, "secret_name: TOKEN_ACME_A")
	}
}

func TestDemands(t *testing.T) {
	t.Parallel()
	never := errors.New("never")
	need := credential.Need{
		User: credential.User{UID: "uid", Name: "web"}, Never: never,
		Use: setup.Use{Repository: cloud("a")[0], Kind: bitbucket.AccessToken, Branch: "dev"},
	}
	want := of(`"web" (uid)`, "a", "dev", bitbucket.AccessToken)
	want.Never = never
	assert.Equal(t, []preflight.Demand{want}, preflight.Demands([]credential.Need{need}))
}

func TestIsRefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{unauthorized, true}, {noScope, true}, {missing, true}, {bitbucket.ErrNotAsked, true},
		{busy, false}, {removed, false}, {no(410, "App passwords are gone"), true}, {no(429, "rate"), false}, {&bitbucket.Refusal{Status: 200, NotGit: true}, false}, {errors.New("connection reset"), false}, {nil, false},
	} {
		assert.Equal(t, tt.want, preflight.IsRefusal(tt.err), "%v", tt.err)
	}
}
