package smoketest_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

const (
	before = "1111111111111111111111111111111111111111"
	later  = "2222222222222222222222222222222222222222"
	other  = "3333333333333333333333333333333333333333"
)

// cloneCommand is the setup command that clones with the token.
const cloneCommand = "git clone https://x:$T@bitbucket.org/acme/sample.git"

// The usage of a run that ended, and of one that was cancelled.
var (
	usage          = warp.Usage{Credits: 1.5, Tokens: 100}
	cancelledUsage = warp.Usage{Credits: 2, Tokens: 150}
)

// oz is an Oz in memory. Its clock is that of the synctest bubble. The zero value runs
// every agent for a minute, and each one finds the commit.
type oz struct {
	ends      []warp.Run      // how runs end, one each; the last is for the rest; none: SUCCEEDED
	lasts     time.Duration   // how long a run takes; 0 is a minute
	state     warp.RunState   // before the end; empty is InProgress
	capacity  bool            // the start says that it is queued
	start     func() error    // error that the client gets instead of the answer
	answer    time.Duration   // how long the start takes to answer, once the run is there
	unseen    time.Duration   // how long lists do not show a run
	noFilter  bool            // it refuses the metadata filter
	hangs     map[string]bool // methods that never answer
	poll      func(time.Duration) error
	cancels   []error // answers to the first cancels; then it works
	obeys     time.Duration
	reply     func(try int) (string, error)
	usageLate bool

	asked   []warp.RunRequest
	runs    []*memory
	polls   []time.Duration // since the first start
	replies int
	orders  int // cancels that came
}

// memory is one run.
type memory struct {
	warp.Run
	began   time.Time
	end     warp.Run
	stopped time.Time // when it was cancelled; zero: it was not
	reads   int
}

func refusal(status int, kind string) error {
	return fmt.Errorf("POST /x: %w", &warp.Refusal{Status: status, Kind: kind, Message: "no"})
}

var errLost = fmt.Errorf("POST /x: %w: EOF", warp.ErrAnswerLost)

func (o *oz) hang(ctx context.Context, method string) error {
	if !o.hangs[method] {
		return ctx.Err()
	}
	<-ctx.Done()
	return ctx.Err()
}

func (o *oz) StartRun(ctx context.Context, r warp.RunRequest) (warp.Run, error) {
	o.asked = append(o.asked, r)
	m := &memory{began: time.Now(), end: warp.Run{State: warp.Succeeded}}
	if n := len(o.ends); n > 0 {
		m.end = o.ends[min(len(o.runs), n-1)]
	}
	m.Run = warp.Run{ID: fmt.Sprintf("run-%d", len(o.runs)+1), Title: r.Title, Metadata: r.Metadata}
	if o.start != nil && !errors.Is(o.start(), warp.ErrAnswerLost) {
		return warp.Run{}, o.start()
	}
	o.runs = append(o.runs, m)
	timer := time.NewTimer(o.answer)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return warp.Run{}, fmt.Errorf("%w: %w", warp.ErrAnswerLost, ctx.Err())
	}
	if o.start != nil {
		return warp.Run{}, o.start()
	}
	return warp.Run{ID: m.ID, State: warp.Queued, AtCapacity: o.capacity}, nil
}

// now is the present state of a run.
func (o *oz) now(m *memory) warp.Run {
	run := m.Run
	run.State, run.SessionLink = warp.InProgress, "https://oz.example.test/session/"+m.ID
	if o.state != "" {
		run.State = o.state
	}
	lasts := o.lasts
	if lasts == 0 {
		lasts = time.Minute
	}
	switch {
	case !m.stopped.IsZero() && time.Since(m.stopped) >= o.obeys:
		run.State, run.Usage = warp.Cancelled, cancelledUsage
	case time.Since(m.began) >= lasts:
		run.State, run.ErrorCode, run.Message, run.Retryable = m.end.State, m.end.ErrorCode, m.end.Message, m.end.Retryable
		if m.reads++; !o.usageLate || m.reads > 1 {
			run.Usage = usage
		}
	}
	return run
}

func (o *oz) find(id string) *memory {
	for _, m := range o.runs {
		if m.ID == id {
			return m
		}
	}
	return nil
}

func (o *oz) GetRun(ctx context.Context, id string) (warp.Run, error) {
	if err := o.hang(ctx, "GetRun"); err != nil {
		return warp.Run{}, err
	}
	o.polls = append(o.polls, time.Since(o.runs[0].began))
	if o.poll != nil {
		if err := o.poll(time.Since(o.runs[0].began)); err != nil {
			return warp.Run{}, err
		}
	}
	return o.now(o.find(id)), nil
}

func (o *oz) FindRuns(ctx context.Context, key, value string) ([]warp.Run, error) {
	if err := o.hang(ctx, "FindRuns"); err != nil {
		return nil, err
	}
	if o.noFilter {
		return nil, refusal(403, "feature_not_available")
	}
	runs := o.list(func(m *memory) bool { return m.Metadata[key] == value })
	for i := range runs {
		runs[i].Title = "Run git rev-parse HEAD" // a server may choose a better one
	}
	return runs, nil
}

func (o *oz) ListRuns(ctx context.Context, _ string, since time.Time) ([]warp.Run, error) {
	if err := o.hang(ctx, "ListRuns"); err != nil {
		return nil, err
	}
	runs := o.list(func(m *memory) bool { return !m.began.Before(since) })
	for i := range runs {
		runs[i].Metadata = nil // as older servers do
	}
	return append([]warp.Run{{ID: "someone-elses", Title: "Smoke test of acme-sample"}}, runs...), nil
}

func (o *oz) list(fits func(*memory) bool) []warp.Run {
	var runs []warp.Run
	for _, m := range o.runs {
		if time.Since(m.began) >= o.unseen && fits(m) {
			runs = append(runs, o.now(m))
		}
	}
	return runs
}

func (o *oz) CancelRun(ctx context.Context, id string) error {
	if err := o.hang(ctx, "CancelRun"); err != nil {
		return err
	}
	o.orders++
	if len(o.cancels) > 0 {
		err := o.cancels[0]
		o.cancels = o.cancels[1:]
		return err
	}
	m := o.find(id)
	if o.now(m).State.Over() {
		return refusal(400, "invalid_request")
	}
	if m.stopped.IsZero() {
		m.stopped = time.Now()
	}
	return nil
}

func (o *oz) GetReply(ctx context.Context, _ string) (string, error) {
	if err := o.hang(ctx, "GetReply"); err != nil {
		return "", err
	}
	if o.replies++; o.reply != nil {
		return o.reply(o.replies)
	}
	return "The commit is " + before + ".", nil
}

// going returns the IDs of the runs that have not ended.
func (o *oz) going() []string {
	var ids []string
	for _, m := range o.runs {
		if !o.now(m).State.Over() {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// trial is one test and its outcome.
type trial struct {
	smoketest.Test
	signal time.Duration // when the job is told to stop; 0: never; negative: before the start

	verdict smoketest.Verdict
	took    time.Duration
	after   time.Duration // from the signal to the end
	log     string
	going   []string
}

// in runs the test against o in a bubble.
func (tr *trial) in(t *testing.T, o *oz) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test := tr.Test
		test.EnvironmentID, test.EnvironmentName, test.Directory, test.Attempt = "En00000000000000000001", "acme-sample", "sample", "attempt-1"
		test.Timeout = cmp.Or(tr.Timeout, 20*time.Minute)
		if test.Commands == nil {
			test.Commands = []smoketest.Command{{Text: cloneCommand, Token: true, Clone: true}, {Text: "cd sample && npm ci"}}
		}
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		began := time.Now()
		told := began
		switch {
		case tr.signal < 0:
			stop(errors.New("told to stop"))
		case tr.signal > 0:
			told = began.Add(tr.signal)
			defer time.AfterFunc(tr.signal, func() { stop(errors.New("told to stop")) }).Stop()
		}
		var log bytes.Buffer
		tr.verdict = test.Run(ctx, o, slog.New(slog.NewTextHandler(&log, nil)))
		tr.took, tr.after = time.Since(began), time.Since(told)
		tr.log, tr.going = log.String(), o.going()
	})
}

// lines are the lines of the log that hold text.
func (tr *trial) lines(text string) int {
	return strings.Count(tr.log, text)
}
