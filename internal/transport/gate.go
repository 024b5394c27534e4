package transport

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// firstApart is the time between two requests to a host that has begun to refuse: five
	// a second is what Bitbucket Data Center allows unless its administrators say otherwise.
	//
	// Source: https://confluence.atlassian.com/bitbucketserver0715/improving-instance-stability-with-rate-limiting-1082271237.html
	firstApart = 200 * time.Millisecond
	// longestApart is where further refusals stop to double it: much slower, and the bound
	// on a request's wait would send the queue of 64 workers all at once.
	longestApart = time.Second
	// shortestApart is where a host counts as one that never refused: each answer takes a
	// tenth off, and eight workers, a sixth of a second an answer, ask as often by themselves.
	shortestApart = 20 * time.Millisecond
)

// gate holds back the requests of all workers to a host that has asked one of them to
// wait. Its zero value is open to every host.
type gate struct {
	mu    sync.Mutex
	hosts map[string]*pace // those that refused, and have not answered well for long enough since
}

// pace is how a host may be asked that refused.
type pace struct {
	until time.Time     // when its wait is over
	next  time.Time     // when the next request may go, as far as the one before it tells
	apart time.Duration // between two requests
	spent bool          // it asked for more than anybody waits, and has been given that
}

// wait returns when a request may go to a host, when ctx is done, or at the latest moment
// for it. A request whose own time ends before the gate opens does not wait: that an agent
// is to be cancelled is better said in vain than not at all.
func (g *gate) wait(ctx context.Context, host string, latest time.Time) {
	ends, bounded := ctx.Deadline()
	for {
		now := time.Now()
		opens := g.enter(host, now)
		if !opens.After(now) || !latest.After(now) || bounded && ends.Before(opens) {
			return
		}
		if opens.After(latest) {
			opens = latest
		}
		timer := time.NewTimer(opens.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// enter lets one request go when the gate is open to it, which is when the moment that it
// returns is not after now. Else it is worth asking again then.
func (g *gate) enter(host string, now time.Time) (opens time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[host]
	if h == nil {
		return now
	}
	if opens = h.next; h.until.After(opens) {
		opens = h.until
	}
	if !opens.After(now) {
		h.next = now.Add(h.apart)
	}
	return opens
}

// heed learns from an answer how its host may be asked.
func (g *gate) heed(answer *http.Response) {
	g.mu.Lock()
	defer g.mu.Unlock()
	host, now := answer.Request.URL.Host, time.Now()
	h := g.hosts[host]
	wait, refused := asksAll(answer)
	switch {
	case refused && h == nil:
		h = &pace{apart: firstApart}
		if g.hosts == nil {
			g.hosts = map[string]*pace{}
		}
		g.hosts[host] = h
	case h == nil || h.until.After(now): // what was sent before the refusal says nothing more
	case refused:
		h.apart = min(2*h.apart, longestApart)
	case answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests:
		if h.apart -= h.apart / 10; h.apart < shortestApart {
			delete(g.hosts, host)
		}
	}
	if !refused || wait > longestAskWait && h.spent {
		return
	}
	h.spent = h.spent || wait > longestAskWait
	if until := now.Add(min(wait, longestAskWait)); until.After(h.until) {
		h.until = until
	}
}

// asksAll reports whether an answer asks everybody to wait, and how long. One that is
// about agents, which are too many or not paid for, is not about requests; one that says
// to come back at once asks nothing.
func asksAll(answer *http.Response) (wait time.Duration, asks bool) {
	wait, told := RetryAfter(answer)
	switch code := answer.Header.Get(errorCode); {
	case told && wait == 0, code == outOfCredits, code == atCapacity:
		return 0, false
	case answer.StatusCode == http.StatusTooManyRequests && !told:
		return firstWait, true
	}
	return wait, told && (answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable)
}
