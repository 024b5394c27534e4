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

// Everything that comes from outside has a bound: here, in the Bound of an API's package,
// or, for commands that are parsed, in internal/shell.
const (
	// requestTimeout bounds one attempt, from dialling to the last byte of the
	// body, however slowly it arrives: Oz and Bitbucket answer within seconds. So a
	// request with all its attempts and waits ends within five minutes, or within six when
	// the answers to other requests make it wait for its host (see gate).
	requestTimeout = 30 * time.Second
	// dialTimeout bounds the dialling of a connection, and separately its TLS handshake.
	dialTimeout = 10 * time.Second

	// attempts bounds the tries of one request, the first included.
	attempts       = 5
	firstWait      = 500 * time.Millisecond
	longestWait    = 8 * time.Second
	longestAskWait = 30 * time.Second // an answer that asks for more is not tried again

	// whole is how much of an answer must arrive before the request counts as
	// answered; an answer that breaks off earlier is tried again.
	whole = 256 << 10

	// mostIdle is how many idle connections to one host are kept: one for each worker, so
	// that none is closed just before it is needed.
	mostIdle = 64
	// mostToGit is how many connections to git's addresses of one host are open at most: as
	// many as there are requests at the same time with an accepted token. Without this bound,
	// a request that gets a free connection while it dials leaves the dialled one open, too.
	mostToGit = 16
	// idleTimeout is how long an idle connection is kept. Devices on the way often drop it
	// after some time.
	idleTimeout = 90 * time.Second

	// longestHeader bounds the header of an answer and the interim answers (1xx)
	// before it, in bytes: real ones have a few thousand.
	longestHeader = 256 << 10

	// A list in pages. With a hundred elements a page, the pages hold ten thousand. The bytes
	// are bounded because the whole list is kept in memory.
	mostPages    = 100
	mostElements = 10_000
	mostBytes    = 16 << 20
	listTimeout  = 5 * time.Minute // for all pages
)

// ErrTooLarge marks an answer, or a list in pages, that exceeds its bound.
var ErrTooLarge = errors.New("the answer is too large")

// Bound is the largest answer that is read. Bytes count after decompression. How much
// memory a few bytes of JSON take depends on how many values they hold ("{}," can be a
// structure of hundreds of bytes), so the values are counted before they are decoded.
type Bound struct {
	Bytes    int64
	Elements int // of all arrays together
	Members  int // of all objects together
}

// Read reads the body of an answer. An error that wraps ErrTooLarge names the bound that
// the answer exceeds. Nothing beyond the bound is read or kept.
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

// Check fails when JSON that an answer holds as text has too many values.
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

// decoding is held while a large answer is decoded, so that only one such answer at a time
// is in memory both as text and as values.
var decoding = make(chan struct{}, 1)

// small is the size in bytes up to which answers are decoded at the same time.
const small = 64 << 10

// Decode makes a value of the content of an answer, as json.Unmarshal does.
func Decode(content []byte, into any) error {
	if len(content) > small {
		decoding <- struct{}{}
		defer func() { <-decoding }()
	}
	return json.Unmarshal(content, into)
}

// tally counts the elements of arrays and the members of objects in JSON. For any
// other text the result has no meaning.
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

// Pages counts the pages, elements and bytes of a list that is read in pages. The zero
// value is ready for the first page.
type Pages struct{ pages, elements, bytes int }

// Add counts a page; last says that no other page follows. It fails with an error that
// wraps ErrTooLarge when the list exceeds a bound, the number of pages included.
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
		return fmt.Errorf("%w: the list has more than %s", ErrTooLarge, plural.Of(mostPages, "page"))
	}
	return nil
}

// ForList bounds the time for a list in pages.
func ForList(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, listTimeout, errors.New("reading the list took longer than "+listTimeout.String()))
}

// switched is the error for an answer that leaves HTTP. net/http hands over the bare
// connection as its body, which neither a timeout nor a context closes.
//
// Source: net/http, Response.Body and persistConn.readLoop.
type switched struct{}

func (switched) Error() string {
	return "the server answers 101 Switching Protocols, which the request did not ask for"
}

// staying refuses answers that leave HTTP.
type staying struct{ next http.RoundTripper }

func (s staying) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := s.next.RoundTrip(request)
	if err == nil && answer.StatusCode == http.StatusSwitchingProtocols {
		_ = answer.Body.Close()
		return nil, switched{}
	}
	return answer, err
}
