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

// AddCopies publishes more repositories of the same owner and flavor with the same content. They cannot be
// changed. git answers equal requests about them only once, so thousands cost little.
func (r *Repository) AddCopies(slugs ...string) {
	kept := newAnswers()
	for _, slug := range slugs {
		copied := *r
		copied.Slug, copied.kept = slug, kept
		r.server.mu.Lock()
		r.server.repositories[repositoryKey(r.Flavor, r.Owner, slug)] = &copied
		r.server.mu.Unlock()
	}
}

// pristine are git's answers about repositories with the content that AddRepository gives them, by Empty. Most
// tests change nothing, and git's processes are most of what a clone costs.
var pristine = map[bool]*answers{false: newAnswers(), true: newAnswers()}

// answers are git's answers about repositories with equal content, by request.
type answers struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*httptest.ResponseRecorder
}

func newAnswers() *answers {
	return &answers{known: map[[sha256.Size]byte]*httptest.ResponseRecorder{}}
}

// serve repeats the answer to an equal request, or calls ask.
func (a *answers) serve(w http.ResponseWriter, r *http.Request, ask func(http.ResponseWriter, *http.Request)) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := a.answer(sha256.Sum256(fmt.Appendf(nil, "%s %s %s %q", r.Method, r.URL, r.Header.Get("Git-Protocol"), body)), func(w http.ResponseWriter) { ask(w, r) })
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
}

// answer returns the answer to a question. A failure is not kept.
func (a *answers) answer(question [sha256.Size]byte, ask func(http.ResponseWriter)) *httptest.ResponseRecorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := a.known[question]
	if answer == nil {
		answer = httptest.NewRecorder()
		if ask(answer); answer.Code == http.StatusOK {
			a.known[question] = answer
		}
	}
	return answer
}
