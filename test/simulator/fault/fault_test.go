package fault_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
)

func TestFaultsStrikeInTurn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults []fault.Fault
		want   string // for each request "a" in turn: the status of the strike, or a dot
	}{
		{"none", nil, "..."},
		{"of another operation", []fault.Fault{{Operation: "b", Status: 1}}, "..."},
		{"once", []fault.Fault{{Operation: "a", Status: 1}}, "1.."},
		{"three times", []fault.Fault{{Operation: "a", Status: 1, Times: 3}}, "111."},
		{"for ever", []fault.Fault{{Operation: "a", Status: 1, Times: -1}}, "11111"},
		{"after two passed", []fault.Fault{{Operation: "a", Status: 1, Skip: 2, Times: 2}}, "..11."},
		{"one after the other", []fault.Fault{{Operation: "a", Status: 1}, {Operation: "b", Status: 9}, {Operation: "a", Status: 2, Skip: 1}}, "1.2."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var script fault.Script
			for _, f := range test.faults {
				script.Add(f)
			}
			var got strings.Builder
			for range test.want {
				if f, struck := script.Next("a"); struck {
					got.WriteByte('0' + byte(f.Status))
				} else {
					got.WriteByte('.')
				}
			}
			assert.Equal(t, test.want, got.String())
		})
	}
}

func TestClearForgetsFaults(t *testing.T) {
	t.Parallel()
	var script fault.Script
	script.Add(fault.Fault{Operation: "a", Times: -1})
	script.Clear()
	_, struck := script.Next("a")
	assert.False(t, struck)
}

func TestDoIsCalledWhenTheFaultIsDue(t *testing.T) {
	t.Parallel()
	for when, strikes := range map[fault.When]bool{fault.Before: true, fault.After: true, fault.Meanwhile: false} {
		var script fault.Script
		var called int
		script.Add(fault.Fault{Operation: "a", When: when, Skip: 1, Do: func() {
			called++
			script.Add(fault.Fault{Operation: "b"}) // Do may use the script
		}})

		_, first := script.Next("a")
		assert.Equal(t, []any{false, 0}, []any{first, called})
		_, second := script.Next("a")
		assert.Equal(t, []any{strikes, 1}, []any{second, called})
		_, third := script.Next("a")
		assert.Equal(t, []any{false, 1}, []any{third, called})
	}
}

func TestDelayHoldsTheOperationBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var script fault.Script
		began := time.Now()
		script.Add(fault.Fault{Operation: "a", When: fault.Meanwhile, Delay: time.Minute, Do: func() {
			assert.Equal(t, time.Minute, time.Since(began))
		}})
		for range 2 {
			_, struck := script.Next("a")
			assert.False(t, struck)
			assert.Equal(t, time.Minute, time.Since(began), "only once")
		}
	})
}

func TestStrike(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	fault.Fault{Status: 429, Header: http.Header{"retry-after": {"7"}}, Body: "slow down"}.Strike(answer)
	assert.Equal(t, []any{429, "7", "slow down"}, []any{answer.Code, answer.Header().Get("Retry-After"), answer.Body.String()})

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fault.Fault{}.Strike(w) }))
	defer server.Close()
	_, err := http.Get(server.URL)
	assert.ErrorIs(t, err, io.EOF, "status 0 cuts the connection")
}

func TestJournalKeepsCopies(t *testing.T) {
	t.Parallel()
	var journal fault.Journal
	request := httptest.NewRequest(http.MethodPost, "/path?query=1", nil)
	request.Header.Set("Name", "value")
	body := []byte("body")

	journal.Record(request, "operation", body)
	request.Header.Set("Name", "changed")
	body[0] = 'x'

	require.Len(t, journal.All(), 1)
	got := journal.All()[0]
	assert.Equal(t, []any{"POST", "/path?query=1", "value", "body", "operation"}, []any{got.Method, got.URL, got.Header.Get("Name"), string(got.Body), got.Operation})
	assert.False(t, got.At.IsZero())
	journal.Reset()
	assert.Empty(t, journal.All())
}
