package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
)

// Everything that comes from outside is bounded here, in a Bound of an API's room, or in
// internal/shell, as a command that is parsed.
const (
	// requestTimeout bounds one attempt, from dialling to the last byte of the
	// body, however slowly it drips: Oz and Bitbucket answer within seconds. A
	// request, its attempts and waits included, so ends within five minutes, and within
	// six where others have made its host ask for more time (see gate).
	requestTimeout = 30 * time.Second
	// dialTimeout bounds a connection, and once more its TLS handshake.
	dialTimeout = 10 * time.Second

	// attempts bounds the tries of one request, the first included.
	attempts       = 5
	firstWait      = 500 * time.Millisecond
	longestWait    = 8 * time.Second
	longestAskWait = 30 * time.Second // an answer that asks for more is not tried again

	// whole is how much of an answer must arrive before the request counts as
	// answered; an answer that breaks off earlier is tried again.
	whole = 256 << 10

	// mostIdle is how many connections to one host wait for their next request: as many as
	// there are workers, so that none is closed that is about to be used again.
	mostIdle = 64
	// mostToGit is how many connections git's addresses of one host get: as many as are asked
	// at the same time with a token that was taken. Without a bound, a request that finds a
	// connection while it dials leaves one more.
	mostToGit = 16
	// idleTimeout is how long one waits. What lies between often forgets it sooner or later.
	idleTimeout = 90 * time.Second

	// longestHeader bounds the header of an answer and the interim answers (1xx)
	// before it, in bytes: real ones have a few thousand.
	longestHeader = 256 << 10

	// A list in pages: a server that serves no more than a hundred elements a page
	// still shows ten thousand, and a list is kept as a whole.
	mostPages    = 100
	mostElements = 10_000
	mostBytes    = 16 << 20
	listTimeout  = 5 * time.Minute // for all of them
)

// ErrTooLarge marks an answer, or a list in pages, that goes beyond its bound.
var ErrTooLarge = errors.New("the answer is too large")

// Bound is how much an answer may come to. Bytes count after decompression. What a
// few bytes become in memory depends on how many values they hold ("{}," can be a
// structure of hundreds of bytes), so these are counted before they are made.
type Bound struct {
	Bytes    int64
	Elements int // of all arrays together
	Members  int // of all objects together
}

// Read reads the body of an answer. An error that wraps ErrTooLarge says which bound
// it goes beyond; no more than that is read, or kept.
func (b Bound) Read(body io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(body, b.Bytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case int64(len(content)) > b.Bytes:
		return nil, fmt.Errorf("read the answer: %w: more than %s", ErrTooLarge, size(b.Bytes))
	}
	if err := b.Check(content); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return content, nil
}

// Check counts the values of JSON that stands in an answer as text.
func (b Bound) Check(content []byte) error {
	elements, members := tally(content)
	switch {
	case elements > b.Elements:
		return fmt.Errorf("%w: its lists hold more than %s", ErrTooLarge, plural.Of(b.Elements, "element"))
	case members > b.Members:
		return fmt.Errorf("%w: its objects hold more than %s", ErrTooLarge, plural.Of(b.Members, "member"))
	}
	return nil
}

// decoding is held by who makes values of a large answer: of several that arrive at
// once, one at a time is in memory in both forms.
var decoding = make(chan struct{}, 1)

// small is what is decoded beside others.
const small = 64 << 10

// Decode makes a value of the content of an answer, as json.Unmarshal does.
func Decode(content []byte, into any) error {
	if len(content) > small {
		decoding <- struct{}{}
		defer func() { <-decoding }()
	}
	return json.Unmarshal(content, into)
}

// tally counts the elements of arrays and the members of objects in JSON. Of
// anything else the count means nothing.
func tally(content []byte) (elements, members int) {
	var inObject []bool // by depth
	empty := false      // nothing has followed the last bracket yet
	add := func() {
		if n := len(inObject); n > 0 && inObject[n-1] {
			members++
		} else {
			elements++
		}
	}
	for i := 0; i < len(content); i++ {
		c := content[i]
		switch c {
		case ' ', '\t', '\r', '\n', ':':
			continue
		case ']', '}':
			if n := len(inObject); n > 0 {
				inObject = inObject[:n-1]
			}
			empty = false
			continue
		case ',':
			add()
			continue
		}
		if empty {
			add()
		}
		empty = false
		switch c {
		case '[', '{':
			if len(inObject) == deepest { // encoding/json refuses it
				return elements, members
			}
			inObject = append(inObject, c == '{')
			empty = true
		case '"':
			for i++; i < len(content) && content[i] != '"'; i++ {
				if content[i] == '\\' {
					i++
				}
			}
		}
	}
	return elements, members
}

// deepest is how deep encoding/json goes.
const deepest = 10_000

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// Pages counts what a list in pages has come to. The zero value is one of which
// nothing was read yet.
type Pages struct{ pages, elements, bytes int }

// Add counts a page. It fails with an error that wraps ErrTooLarge when the list has
// come to more than is read, or when more is to follow and this was the last page
// that is asked for.
func (p *Pages) Add(elements, bytes int, last bool) error {
	p.pages++
	p.elements += elements
	p.bytes += bytes
	switch {
	case p.elements > mostElements:
		return fmt.Errorf("%w: the list holds more than %s", ErrTooLarge, plural.Of(mostElements, "element"))
	case p.bytes > mostBytes:
		return fmt.Errorf("%w: the list is longer than %s", ErrTooLarge, size(mostBytes))
	case p.pages >= mostPages && !last:
		return fmt.Errorf("%w: the list does not end within %s", ErrTooLarge, plural.Of(mostPages, "page"))
	}
	return nil
}

// ForList bounds the time for a list in pages.
func ForList(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, listTimeout, errors.New("the list did not end within "+listTimeout.String()))
}

// switched is the error for an answer that leaves HTTP. net/http hands the bare
// connection over as its body, which no timeout and no context ends.
//
// Source: net/http, Response.Body and persistConn.readLoop.
type switched struct{}

func (switched) Error() string {
	return "the server answers 101 Switching Protocols, which nobody asked for"
}

// staying refuses to leave HTTP.
type staying struct{ next http.RoundTripper }

func (s staying) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := s.next.RoundTrip(request)
	if err == nil && answer.StatusCode == http.StatusSwitchingProtocols {
		_ = answer.Body.Close()
		return nil, switched{}
	}
	return answer, err
}
