package warpapi_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warpapi"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// many is a simulated Oz with n environments, its client, and what the client logs.
func many(t *testing.T, options warpsim.Options, n int) (*warpsim.Server, *warpapi.Client, []string, *bytes.Buffer) {
	t.Helper()
	oz := warpsim.Start(options)
	t.Cleanup(oz.Close)
	oz.AddKey(apiKey, warpsim.Principal{UID: userUID, Teams: simTeams})
	uids := make([]string, n)
	for i := range uids {
		uids[i] = oz.AddEnvironment(teamSim, fmt.Sprintf(`{"name":"e%d"}`, i))
	}
	at, err := url.Parse(oz.URL())
	require.NoError(t, err)
	clients, err := transport.New(transport.Options{UserAgent: "test"})
	require.NoError(t, err)
	log := new(bytes.Buffer)
	return oz, warpapi.New(at, sensitive.New(apiKey), clients, "1.2.3", slog.New(slog.NewTextHandler(log, nil))), uids, log
}

// requireAll checks that each environment was answered, in its place.
func requireAll(t *testing.T, uids []string, answers []warp.Answer) {
	t.Helper()
	require.Len(t, answers, len(uids))
	for i, answer := range answers {
		require.NoError(t, answer.Err)
		require.Equal(t, uids[i], answer.UID)
		require.Equal(t, fmt.Sprintf("e%d", i), answer.Model.Name())
		require.NotEmpty(t, answer.Revision)
	}
}

// TestEnvironmentsAreReadInBatches: of a hundred, or of as many as the server accepts.
// The client learns that number once. The simulator checks every document against the
// schema.
func TestEnvironmentsAreReadInBatches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		most, n             int // what the server takes, what is read
		first, again        int // requests of the first reading, at most, and of one after it
		singles, complaints int
	}{
		{most: 0, n: 1, first: 1, again: 1, singles: 2},
		{most: 0, n: 100, first: 1, again: 1},
		{most: 0, n: 250, first: 3, again: 3},
		{most: 60, n: 100, first: 3, again: 2, complaints: 1},          // 100, 50 x 2
		{most: 20, n: 100, first: 16, again: 9, complaints: 1},         // 100, 50 x 2, 25 x 4, 12 x 8 + 4
		{most: 1, n: 4, first: 7, again: 4, singles: 8, complaints: 1}, // 4, 2 x 2, 1 x 4
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d of at most %d", test.n, test.most), func(t *testing.T) {
			t.Parallel()
			oz, c, uids, log := many(t, warpsim.Options{MostFields: test.most}, test.n)
			requireAll(t, uids, c.GetEnvironments(t.Context(), uids))
			first := len(oz.Journal.All())
			assert.LessOrEqual(t, first, test.first)
			requireAll(t, uids, c.GetEnvironments(t.Context(), uids))
			assert.Len(t, oz.Journal.All(), first+test.again)
			assert.Equal(t, test.singles, oz.Counts()["GetCloudObject"])
			assert.Equal(t, test.complaints, strings.Count(log.String(), "\n"), log.String())
			assert.Empty(t, oz.Violations())
		})
	}
}

// TestOneAnswerOfABatch: an error of one environment does not affect the others.
func TestOneAnswerOfABatch(t *testing.T) {
	t.Parallel()
	oz, c, uids, _ := many(t, warpsim.Options{}, 3)
	oz.Trash(uids[2])
	answers := c.GetEnvironments(t.Context(), []string{uids[0], "En0000000000000000gone", uids[2]})
	require.NoError(t, answers[0].Err)
	assert.ErrorContains(t, answers[1].Err, "not found")
	require.NoError(t, answers[2].Err)
	assert.True(t, answers[2].Trashed)
	assert.Len(t, oz.Journal.All(), 1)
	assert.Empty(t, c.GetEnvironments(t.Context(), nil))
}

// TestABatchIsTrustedNoMoreThanASingleAnswer: each answer must be about the requested
// environment.
func TestABatchIsTrustedNoMoreThanASingleAnswer(t *testing.T) {
	t.Parallel()
	object := func(uid string) string {
		return `{"__typename":"CloudObjectOutput","object":{"__typename":"GenericStringObject","format":"JsonCloudEnvironment","serializedModel":"{}",
			"metadata":{"uid":"` + uid + `","revisionTs":"r","trashedTs":null},"permissions":{"space":{"type":"Team","uid":"` + teamUID + `"}}}}`
	}
	c := answering(t, canned{200, nil, `{"data":{"o0":` + object(otherUID) + `,"o1":` + object(otherUID) + `,"o3":{"__typename":"CloudObjectOutput","object":null},"o4":5,"x":{}}}`}, "")
	answers := c.GetEnvironments(t.Context(), []string{otherUID, "En00000000000000000099", "En00000000000000000098", "En00000000000000000097", "En00000000000000000096"})
	require.NoError(t, answers[0].Err)
	assert.EqualError(t, answers[1].Err, "the answer is about another object than the request")
	assert.EqualError(t, answers[2].Err, "the answer holds neither an output nor an error")
	assert.EqualError(t, answers[3].Err, "the answer holds no object")
	assert.ErrorContains(t, answers[4].Err, "the answer is not what Oz sends")
}

// TestARefusedCallerIsNoRefusedBatch: the request is not repeated in smaller parts.
func TestARefusedCallerIsNoRefusedBatch(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		oz, c, uids, log := many(t, warpsim.Options{}, 8)
		oz.Script.Add(fault.Fault{Operation: "GetCloudObjects", Status: status, Times: -1})
		for _, answer := range c.GetEnvironments(t.Context(), uids) {
			var refused *warp.Refusal
			require.ErrorAs(t, answer.Err, &refused)
			assert.Equal(t, status, refused.Status)
		}
		assert.Len(t, oz.Journal.All(), 1)
		assert.Empty(t, log.String())
	}
}
