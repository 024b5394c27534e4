package platform_test

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

func TestGitHubToTheByte(t *testing.T) {
	t.Parallel()
	j := start("GITHUB_ACTIONS=true")
	end := j.Group("Plan: 100%\n")
	j.Log().Debug("not shown")
	j.Log().Info("secret \"A\": create")
	j.Log().Info("a\n  ::error::b\n##[group]c %0A")
	j.Log().Warn("careful: 100%, at last\nor not")
	end()
	j.Log().Error("repo_url: is missing\r; ::warning::")
	assert.Equal(t, ""+
		"::group::Plan: 100%25%0A\n"+
		"secret \"A\": create\n"+
		"a\n  .   ::error::b\n  # #[group]c %0A\n"+
		"::warning title=oz-bitbucket::careful: 100%25, at last%0A  or not\n"+
		"::endgroup::\n"+
		"::error title=oz-bitbucket::repo_url: is missing\\u000d; ::warning::\n", j.out.String())
	assert.Empty(t, j.log.String())
}

func TestMasksComeLineByLine(t *testing.T) {
	t.Parallel()
	j := start("GITHUB_ACTIONS=true")
	j.Mask(nil, sensitive.New("to ken\r\n\nabc\n50%=x"), sensitive.New("key1"), sensitive.New("abc"), sensitive.String{})
	basic := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	var got, want []string
	for line := range strings.Lines(j.out.String()) {
		mask, found := strings.CutPrefix(line, "::add-mask::")
		require.True(t, found, line)
		got = append(got, strings.TrimSuffix(mask, "\n"))
	}
	for _, line := range []string{"to ken", "50%=x", "key1"} {
		want = append(want, line, basic(line), basic("x-token-auth:"+line), basic("x-bitbucket-api-token-auth:"+line))
	}
	want = append(want, "to+ken", "to%20ken", "50%25%3Dx", "50%25=x")
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "%", "%25")
	}
	assert.ElementsMatch(t, want, got)
}

func TestWhatAnOutputHoldsIsNotMasked(t *testing.T) {
	t.Parallel()
	j := start("GITHUB_ACTIONS=true")
	outputs := []report.Output{{Name: "secret_name", Value: "BITBUCKET_API_TOKEN"}, {Name: "environment_name", Value: "acme-api"}}
	j.Mask(outputs, sensitive.New("BITBUCKET_API_TOKEN"), sensitive.New("acme"), sensitive.New("wk-1234"))
	masks := j.out.String()
	for _, line := range []string{"::add-mask::BITBUCKET_API_TOKEN\n", "::add-mask::acme\n"} {
		assert.NotContains(t, masks, line)
	}
	assert.Contains(t, masks, "::add-mask::wk-1234\n")
	j.out.Reset()
	j.Log().Info("acme")
	assert.Equal(t, "***\n", j.out.String(), "our own log is redacted all the same")
}

func TestAnnotationsKeepGitHubsLimits(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"error", "warning"} {
		j := start("GITHUB_ACTIONS=true")
		say := j.Log().Error
		if kind == "warning" {
			say = j.Log().Warn
		}
		for i := range 12 {
			say(fmt.Sprintf("number %d", i+1))
		}
		lines := strings.Split(strings.TrimSpace(j.out.String()), "\n")
		require.Len(t, lines, 9+2+2)
		for i, line := range lines[:9] {
			assert.Equal(t, fmt.Sprintf("::%s title=oz-bitbucket::number %d", kind, i+1), line)
		}
		assert.Equal(t, []string{
			"::" + kind + " title=oz-bitbucket::there are more " + kind + "s than GitHub shows; the log has all of them",
			kind + ": number 10", kind + ": number 11", kind + ": number 12",
		}, lines[9:])
	}
}

func TestALongErrorIsCutInTheAnnotationOnly(t *testing.T) {
	t.Parallel()
	j := start("GITHUB_ACTIONS=true")
	text := strings.Repeat("é%", 2000) + " the end"
	j.Log().Error(text)
	lines := strings.Split(j.out.String(), "\n")
	require.Len(t, lines, 3)
	message := strings.ReplaceAll(strings.TrimPrefix(lines[0], "::error title=oz-bitbucket::"), "%25", "%")
	assert.LessOrEqual(t, len(message), 4096)
	assert.True(t, strings.HasSuffix(message, " ... (the log has all of it)"), message[len(message)-40:])
	assert.Equal(t, "error: "+text, lines[1])
}

func TestGitHubOutputs(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	output, summary := filepath.Join(directory, "output"), filepath.Join(directory, "summary")
	delimiters := map[string]bool{}
	block := regexp.MustCompile(`(?m)^([a-z_]+)<<(oz-[0-9a-f-]{36})\n(.*)\n(oz-[0-9a-f-]{36})\n`)
	for range 2 {
		j := start("GITHUB_ACTIONS=true", "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+summary)
		require.NoError(t, j.Emit(facts(), ""))
		assert.Empty(t, j.out.String(), "there is no JSON line")
	}
	text := read(t, output)
	assert.Empty(t, block.ReplaceAllString(text, ""), "nothing but blocks")
	var lines string
	for _, match := range block.FindAllStringSubmatch(text, -1) {
		assert.Equal(t, match[2], match[4])
		delimiters[match[2]] = true
		lines += match[1] + "=" + match[3] + "\n"
	}
	assert.Equal(t, factsLines+factsLines, lines, "the file keeps what it held before")
	assert.Len(t, delimiters, 2)
	assert.Equal(t, 2, strings.Count(read(t, summary), "### oz-bitbucket: secret rotated, environment unchanged, smoke test passed\n"))
}

func TestNoSummaryIsNoFailure(t *testing.T) {
	t.Parallel()
	output := "GITHUB_OUTPUT=" + filepath.Join(t.TempDir(), "output")
	j := start("GITHUB_ACTIONS=true", output, "GITHUB_STEP_SUMMARY=")
	require.NoError(t, j.Emit(facts(), ""))
	assert.Empty(t, j.out.String())
	j = start("GITHUB_ACTIONS=true", output, "GITHUB_STEP_SUMMARY="+t.TempDir())
	require.NoError(t, j.Emit(facts(), ""))
	assert.Contains(t, j.out.String(), "::warning title=oz-bitbucket::there is no job summary: ")
}

// TestTheSummaryIsRedactedWhateverItDidToTheText: the summary escapes text for Markdown,
// HTML and graphs, and puts signs before the lines of a difference.
func TestTheSummaryIsRedactedWhateverItDidToTheText(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	summary := filepath.Join(directory, "summary")
	j := start("GITHUB_ACTIONS=true", "GITHUB_OUTPUT="+filepath.Join(directory, "output"), "GITHUB_STEP_SUMMARY="+summary)
	const secret = "a_b*c`d|e~f_g&h<i>j#k[l]m@n"
	j.Mask(nil, sensitive.New(secret))
	f := facts()
	f.Plan.Warnings = []string{"warning " + secret}
	f.Plan.Environments[0].User.Name = "name " + secret
	f.Plan.Secrets[0].Others = []credential.User{{UID: "En00000000000000000002", Name: "other " + secret}}
	f.Plan.Environments[0].Fields = []reconcile.Field{{Name: "field " + secret, New: []string{"line " + secret[:9] + "\n" + secret[9:18] + "\n" + secret[18:]}}}
	require.NoError(t, j.Emit(f, ""))
	text := read(t, summary)
	for _, before := range []string{"warning", "name", "other", "field", "line"} {
		assert.Contains(t, text, before+" ***", before)
	}
	assert.Contains(t, text, "graph LR")
	letters := regexp.MustCompile(`#[0-9]+;|&[a-z]+;|[^a-z]`).ReplaceAllString(text, "")
	assert.NotContains(t, letters, "efgh")
	assert.NotContains(t, letters, "klmn")
}

func TestTheSummaryIsRedacted(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	summary := filepath.Join(directory, "summary")
	j := start("GITHUB_ACTIONS=true", "GITHUB_OUTPUT="+filepath.Join(directory, "output"), "GITHUB_STEP_SUMMARY="+summary)
	j.Mask(nil, hidden)
	f := facts()
	f.Err = fmt.Errorf("server said %s", secret)
	f.Verdict.Reason = "it holds " + secret
	f.Plan.Warnings = []string{secret}
	require.NoError(t, j.Emit(f, ""))
	text := read(t, summary)
	assert.Equal(t, 3, strings.Count(text, "***\n")+strings.Count(text, "***<br>"))
	refuse(t, text, secret[:shown])
	refuse(t, text, secret[len(secret)-8:])
}
