package platform

import (
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"
)

// annotations prints errors and warnings so that GitHub shows them on the run's page, within
// its limits. What exceeds a limit is in the log only.
//
//	::error title=oz-bitbucket::repo_url: is missing; give ...
type annotations struct {
	action           *githubactions.Action
	mu               sync.Mutex
	errors, warnings int
}

// Limits of GitHub: annotations of one type in a step, and characters in each.
// We count bytes, of which a text never has fewer than characters.
//
// Source: actions/runner, ExecutionContext.cs.
const (
	mostAnnotations   = 10
	longestAnnotation = 4 << 10
)

func (a *annotations) error(text string) {
	a.annotate(&a.errors, "error", text, a.action.Errorf)
}

func (a *annotations) warning(text string) {
	a.annotate(&a.warnings, "warning", text, a.action.Warningf)
}

// annotate prints text as the next annotation of a kind. The last one that
// GitHub shows says that there are more.
func (a *annotations) annotate(so *int, kind, text string, show func(format string, args ...any)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*so++
	switch {
	case *so < mostAnnotations && len(text) <= longestAnnotation:
		show("%s", text)
		return
	case *so < mostAnnotations:
		const more = " ... (the log has all of it)"
		show("%s", strings.ToValidUTF8(text[:longestAnnotation-len(more)], "")+more)
	case *so == mostAnnotations:
		show("there are more " + kind + "s than GitHub shows; the log has all of them")
	}
	a.action.Infof("%s", kind+": "+text)
}
