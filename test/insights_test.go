package test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/fault"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/insightsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// besideStep is the address of Bitbucket Pipelines' proxy. The program uses no other address, so
// all tests share one simulator there.
const besideStep = "127.0.0.1:29418"

// Another run of these tests on the same machine may be there first; it is waited for.
var insightsProxy = sync.OnceValues(func() (proxy *insightsim.Server, err error) {
	for range 300 {
		if proxy, err = insightsim.Start(besideStep); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		<-time.After(200 * time.Millisecond)
	}
	return proxy, err
})

// inPipelines lets the world's processes run as steps of a build with a commit of its own. It
// returns the reports on that commit.
func (w *world) inPipelines() (reports func() []insightsim.Report) {
	w.t.Helper()
	proxy, err := insightsProxy()
	needs(w.t, "free port at "+besideStep, err == nil)
	bytes := make([]byte, 20)
	_, _ = rand.Read(bytes)
	hash := hex.EncodeToString(bytes)
	proxy.AddCommit("acme/sample/" + hash)
	w.environ = append(w.environ, "BITBUCKET_COMMIT="+hash)
	w.t.Cleanup(func() { w.requireCleanReports(proxy, hash) })
	return func() []insightsim.Report { return proxy.Reports("acme/sample/" + hash) }
}

// requireCleanReports fails when a request about a commit holds a credential, or is not one of
// Code Insights.
func (w *world) requireCleanReports(proxy *insightsim.Server, hash string) {
	w.t.Helper()
	for _, request := range proxy.Journal.All() {
		if strings.Contains(request.URL, hash) {
			request.Header.Del("Content-Length")
			text, _ := json.Marshal(request)
			w.refuseMarkers("a report", string(text)+string(request.Body))
		}
	}
	for _, violation := range proxy.Violations() {
		assert.NotContains(w.t, violation, hash)
	}
}

func (w *world) onlyReport(reports []insightsim.Report) insightsim.Report {
	w.t.Helper()
	require.Len(w.t, reports, 1)
	return reports[0]
}

func datumOf(r insightsim.Report, title string) string {
	for _, d := range r.Data {
		if d.Title == title {
			return string(d.Value)
		}
	}
	return ""
}

// TestAPipelineReviewsPlanAndResult: each is a report of its own, and a second run replaces
// the first's.
func TestAPipelineReviewsPlanAndResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	reports := w.inPipelines()
	inputs := w.inputs(map[string]string{"repo_url": ""})
	for range 2 {
		w.must(inputs, "plan")
		plan := w.onlyReport(reports())
		assert.Equal(t, "oz-bitbucket plan: acme-sample", plan.Title)
		assert.Equal(t, []string{"PASSED", "TEST", "https://bitbucket.org/acme/sample/pipelines/results/42"}, []string{plan.Result, plan.ReportType, plan.Link})
		assert.Contains(t, plan.Details, `secret "BITBUCKET_API_TOKEN": create`)
		assert.Equal(t, `"create"`, datumOf(plan, "Change"))
	}
	for _, change := range []string{"create", "keep"} {
		r := w.must(inputs)
		all := reports()
		require.Len(t, all, 2)
		applied := all[0]
		assert.Equal(t, "oz-bitbucket apply: acme-sample", applied.Title)
		assert.Equal(t, "PASSED", applied.Result)
		assert.Equal(t, `"`+change+`"`, datumOf(applied, "Change"))
		assert.Equal(t, `"passed"`, datumOf(applied, "Smoke test"))
		assert.Contains(t, datumOf(applied, "Session"), r.outputs["session_link"])
		assert.Equal(t, `"`+w.cloud.Head()+`"`, datumOf(applied, "Commit"))
		assert.NotContains(t, r.log, "report on the commit", "nothing is said of it")
	}
	w.requireClean()
}

// TestAFailureIsReviewed: wrong inputs, a refused token, a failed smoke test. The next run's
// report replaces it.
func TestAFailureIsReviewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	reports := w.inPipelines()
	inputs := w.inputs(map[string]string{"repo_url": ""})
	wrong := w.inputs(map[string]string{"repo_url": "", "clone_depth": "x"})
	require.Equal(t, 2, w.run(wrong).code)
	r := w.onlyReport(reports())
	assert.Equal(t, "FAILED", r.Result)
	assert.Contains(t, r.Details, "clone_depth: is not a depth")

	refused := w.inputs(map[string]string{"repo_url": "", "bitbucket_token": "ATATT3MARKER-unknown-0123456789"})
	require.Equal(t, 1, w.run(refused).code)
	r = w.onlyReport(reports())
	assert.Equal(t, "FAILED", r.Result)
	assert.Contains(t, r.Details, "failed, nothing was written\n")

	w.oz.Behave(warpsim.Behaviour{Reply: func(string) string { return "no commit " + wrongCommit }})
	require.Equal(t, 3, w.run(inputs).code)
	r = w.onlyReport(reports())
	assert.Equal(t, "FAILED", r.Result)
	assert.Equal(t, `"failed"`, datumOf(r, "Smoke test"))

	w.oz.Behave(warpsim.Behaviour{})
	w.must(inputs)
	assert.Equal(t, "PASSED", w.onlyReport(reports()).Result)
	w.requireClean()
}

// TestAFleetIsReviewed: an entry that failed is an annotation at its line of the manifest. A
// second run that succeeds removes it.
func TestAFleetIsReviewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	reports := w.inPipelines()
	w.repositories("web", "shop")
	clone := t.TempDir()
	w.environ = append(w.environ, "BITBUCKET_CLONE_DIR="+clone)
	path := filepath.Join(clone, "oz", "environments.yml")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	text := "environments:\n  - repo_url: https://bitbucket.org/acme/api.git\n  - repo_url: https://bitbucket.org/acme/web.git\n  - repo_url: https://bitbucket.org/acme/shop.git\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	inputs := w.inputs(map[string]string{"repo_url": "", "manifest": path, "smoke_test": "false"})
	run := func(code int, args ...string) []insightsim.Report {
		t.Helper()
		command, _ := w.command(inputs, args...)
		said, _ := command.CombinedOutput()
		require.Equal(t, code, command.ProcessState.ExitCode(), string(said))
		w.written = append(w.written, string(said))
		return reports()
	}

	for range 2 {
		r := w.onlyReport(run(1))
		assert.Equal(t, []string{"oz-bitbucket apply: " + path, "FAILED"}, []string{r.Title, r.Result})
		assert.Equal(t, []string{"1", "2"}, []string{datumOf(r, "Failed"), datumOf(r, "Created") + datumOf(r, "Unchanged")})
		require.Len(t, r.Annotations, 1)
		a := r.Annotations[0]
		assert.Equal(t, "oz/environments.yml", a.Path)
		require.NotNil(t, a.Line)
		assert.Equal(t, 2, *a.Line)
		assert.Contains(t, a.Summary, `environment "acme-api": `)
		assert.Contains(t, a.Details, "acme/api does not exist, or the token may not see it")
	}
	w.repositories("api")
	r := w.onlyReport(run(0))
	assert.Equal(t, "PASSED", r.Result)
	assert.Empty(t, r.Annotations)

	all := run(0, "plan")
	require.Len(t, all, 2)
	assert.Equal(t, "3", datumOf(all[1], "Unchanged"))

	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(text, "web.git\n", "web.git\n    clone_depth: x\n", 1)), 0o600))
	all = run(2, "plan")
	require.Len(t, all, 2)
	require.Len(t, all[1].Annotations, 1)
	assert.Equal(t, 4, *all[1].Annotations[0].Line)
	assert.Contains(t, all[1].Annotations[0].Summary, "clone_depth: is not a depth")
	w.requireClean()
}

// TestAPipelineGoesOnWithoutAReport: the proxy does not know the commit, or there is no proxy.
// Only the debug log mentions it.
func TestAPipelineGoesOnWithoutAReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe, warpsim.Options{})
	reports := w.inPipelines()
	environ := w.environ
	for name, more := range map[string][]string{
		"the answer is 404":                             {"BITBUCKET_COMMIT=" + strings.Repeat("0", 40)},
		"through the proxy http://host.docker.internal": {"BITBUCKET_PIPE_STORAGE_DIR=/x"}, // a name that does not exist here
	} {
		for _, debug := range []string{"", "true"} {
			w.environ = append(append(environ[:len(environ):len(environ)], more...), "DEBUG="+debug)
			r := w.must(w.inputs(map[string]string{"repo_url": ""}), "plan")
			assert.Equal(t, debug == "true", strings.Contains(r.log, "DEBUG: there is no report on the commit: "), r.log)
			assert.Equal(t, debug == "true", strings.Contains(r.log, name), r.log)
		}
	}
	assert.Empty(t, reports())
	w.requireClean()
}

// TestOnlyPipelinesGetAReport: also when another host has their variables.
func TestOnlyPipelinesGetAReport(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		w := newWorld(t, d, warpsim.Options{})
		reports := w.inPipelines()
		w.environ = append(w.environ, "BITBUCKET_WORKSPACE=acme", "BITBUCKET_REPO_SLUG=sample")
		if d == github {
			w.environ = append(w.environ, "BITBUCKET_BUILD_NUMBER=42")
		}
		w.must(w.inputs(nil), "plan")
		assert.Empty(t, reports())
		w.requireClean()
	}
}

// TestAStoppedJobIsReviewed: it does not wait long for a silent proxy. It runs before the
// parallel tests, because its time is real.
func TestAStoppedJobIsReviewed(t *testing.T) {
	for _, silent := range []bool{false, true} {
		w := newWorld(t, pipe, warpsim.Options{})
		reports := w.inPipelines()
		w.oz.Behave(warpsim.Behaviour{Queued: true})
		if silent {
			proxy, err := insightsProxy()
			require.NoError(t, err)
			proxy.Script.Add(fault.Fault{Operation: insightsim.Delete, When: fault.Meanwhile, Delay: 2 * leaves})
		}
		job := w.start(w.inputs(map[string]string{"repo_url": ""}))
		w.awaitRequest("GET /agent/runs/{id}")
		r := job.stop(syscall.SIGTERM)
		assert.Equal(t, 143, r.code, r.log)
		if silent {
			assert.Empty(t, reports())
		} else {
			assert.Equal(t, "FAILED", w.onlyReport(reports()).Result)
		}
		w.requireClean()
	}
}
