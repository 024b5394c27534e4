package bitbucketsim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
)

// AddCopies publishes more repositories of the same owner and flavor that hold what this one holds. They
// cannot be changed; git answers a question about all of them once, so thousands cost little.
func (r *Repository) AddCopies(slugs ...string) {
	kept := &answers{known: map[[sha256.Size]byte]*httptest.ResponseRecorder{}}
	for _, slug := range slugs {
		copied := *r
		copied.Slug, copied.kept = slug, kept
		r.server.mu.Lock()
		r.server.repositories[repositoryKey(r.Flavor, r.Owner, slug)] = &copied
		r.server.mu.Unlock()
	}
}

// answers are those that git gave about copies, by question.
type answers struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*httptest.ResponseRecorder
}

// serve answers as before, or as ask does.
func (a *answers) serve(w http.ResponseWriter, r *http.Request, ask func(http.ResponseWriter, *http.Request)) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	question := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %q", r.Method, r.URL, r.Header.Get("Git-Protocol"), body))
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := a.known[question]
	if answer == nil {
		answer = httptest.NewRecorder()
		r.Body = io.NopCloser(bytes.NewReader(body))
		ask(answer, r)
		a.known[question] = answer
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // a client that has gone away is its own concern
}
