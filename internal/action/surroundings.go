package action

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/group"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/transport"
)

// surroundings adds to list what is wrong with the call, apart from the inputs.
func surroundings(args, environ []string, list *problem.List) {
	if len(args) > 1 {
		list.Addf("", "the only argument is the mode; everything else is an environment variable", "%s are too many", plural.Of(len(args), "argument"))
	}
	for _, entry := range environ {
		// net/http reads it once, before our first line runs, and searches it in this way.
		//
		// Source: Go, net/http/h2_bundle.go.
		if settings, ok := strings.CutPrefix(entry, "GODEBUG="); ok && (strings.Contains(settings, "http2debug=1") || strings.Contains(settings, "http2debug=2")) {
			list.Add("GODEBUG", "holds http2debug, under which Go prints every header, credentials included", "take it out")
			break
		}
	}
	for _, bad := range transport.BadProxies(environ) {
		list.Add(bad.Variable, bad.Reason, bad.Remedy)
	}
}

// told turns a panic into one line of the log and an exit code. It shows the value of Go's
// own panics only: any other may hold a secret that is not known as one yet.
//
// A panic in a goroutine of ours comes here through its group. A panic in a goroutine of
// net/http does not: Go prints its value, if that is an error or a string, with a trace that
// holds no text, and exits with 2. GOTRACEBACK=none removes the trace but not the value, and
// debug.SetTraceback cannot set a lower level than the environment's.
//
// Source: Go, runtime/panic.go and runtime/runtime1.go.
func told(log *slog.Logger, code *int) {
	value := recover()
	if value == nil {
		return
	}
	what, counters := fmt.Sprintf("a panic with a %T", value), programCounters()
	if carried, ok := value.(*group.Panic); ok {
		what, counters = carried.Error(), carried.Callers
	}
	var of runtime.Error
	if err, ok := value.(error); ok && errors.As(err, &of) {
		what = of.Error()
	}
	log.Error("internal error: " + strings.Join(strings.Fields(what), " ") + "; please report it with this: " + callers(counters))
	*code = ExitFailed
}

// callers returns the chain of calls, without arguments:
//
//	action.told (surroundings.go:41), runtime.gopanic (panic.go:783), ...
func callers(counters []uintptr) string {
	frames := runtime.CallersFrames(counters)
	var names []string
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			names = append(names, fmt.Sprintf("%s (%s:%d)", path.Base(frame.Function), path.Base(frame.File), frame.Line))
		}
		if !more {
			return strings.Join(names, ", ")
		}
	}
}

func programCounters() []uintptr {
	const own, deepest = 2, 40 // runtime.Callers and this
	counters := make([]uintptr, deepest)
	return counters[:runtime.Callers(own, counters)]
}
