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
	// longestApart is the longest time between two requests: each refusal doubles the time
	// up to this. If it were much longer, the requests of 64 workers would all reach the
	// bound on their wait, and go out at once.
	longestApart = time.Second
	// shortestApart is the shortest time between two requests: each good answer shortens the
	// time by a tenth, and below this the host counts as one that never refused. Eight workers
	// whose answers take a sixth of a second send requests as often without a gate.
	shortestApart = 20 * time.Millisecond
)

// gate holds back the requests of all workers to a host that has asked one of them to
// wait. Its zero value is open to every host.
type gate struct {
	mu    sync.Mutex
	hosts map[string]*pace // that refused and have not answered well for long enough since
}

// pace is when, and how often, a host that refused may be asked.
type pace struct {
	until time.Time     // when the wait that the host asked for is over
	next  time.Time     // when the next request may go, counted from the one before it
	apart time.Duration // between two requests
	spent bool          // it asked for more than longestAskWait, and got longestAskWait
}

// wait returns when a request may go to a host, when ctx is done, or at the latest moment
// for it. A request whose deadline is before the gate opens does not wait: it is better to
// cancel an agent with a request that may be refused than to send none.
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

// enter lets one request go if the gate is open. It returns the time at which the gate
// opens: not after now when the request may go, else the time to ask again.
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

// heed updates the pace of a host from its answer.
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
	case h == nil || h.until.After(now): // an answer to what was sent before the refusal says nothing new
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

// asksAll reports whether an answer asks all requests to its host to wait, and how long. An
// answer about too many agents or missing credits is not about requests. An answer that says
// to come back at once asks for no wait.
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
