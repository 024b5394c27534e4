package platform

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
)

// Insights returns nothing outside Bitbucket Pipelines.
func (host) Insights(report.Facts) (of bitbucket.Build, insights bitbucket.Insights, there bool) {
	return bitbucket.Build{}, bitbucket.Insights{}, false
}

// Insights returns a Code Insights report on the pipeline's commit. Secrets are removed from
// each text before it is cut.
//
// Source: https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/ and
// https://support.atlassian.com/bitbucket-cloud/docs/advanced-techniques-for-writing-pipes/
func (p pipelines) Insights(facts report.Facts) (of bitbucket.Build, insights bitbucket.Insights, there bool) {
	of = bitbucket.Build{
		Workspace: p.variables["BITBUCKET_WORKSPACE"], Slug: p.variables["BITBUCKET_REPO_SLUG"], Commit: p.variables["BITBUCKET_COMMIT"],
		Number: p.pipeline(), Pipe: p.variables["BITBUCKET_PIPE_STORAGE_DIR"] != "" || p.variables["BITBUCKET_PIPE_SHARED_STORAGE_DIR"] != "",
	}
	if !of.IsKnown() {
		return of, insights, false
	}
	hide := func(text string) string { return p.out.redact(cut(text)) }
	manifest := p.inRepository(facts.Manifest)
	if hide(redact.OneLine(manifest)) != manifest {
		manifest = ""
	}
	return of, facts.Insights(p.subject(), of.Page(), manifest, hide), true
}

// userinfo matches what may be a user and a password in a URL.
var userinfo = regexp.MustCompile(`[^/\x00]*@`)

// subject identifies this job among the jobs of its mode in a pipeline: it holds the inputs
// as they were given, because wrong inputs have a report too, and the step's number among
// parallel steps. It holds no secret, because its hash is public.
func (p pipelines) subject() string {
	var said strings.Builder
	for _, name := range []string{"MANIFEST", "SHARD", "REPO_URL", "ENVIRONMENT_ID", "ENVIRONMENT_NAME", "SECRET_NAME", "SCOPE", "TEAM"} {
		said.WriteString(p.input(name) + "\x00" + p.input("INPUT_"+name) + "\x00")
	}
	return userinfo.ReplaceAllString(p.out.redact(said.String()), "") + p.variables["BITBUCKET_PARALLEL_STEP"]
}

// inRepository returns the path of a file below the repository's root; "" for a file
// elsewhere.
func (p pipelines) inRepository(path string) string {
	whole, err := filepath.Abs(path)
	if err != nil || path == "" {
		return ""
	}
	inside, err := filepath.Rel(p.variables["BITBUCKET_CLONE_DIR"], whole)
	if err != nil || !filepath.IsLocal(inside) {
		return ""
	}
	return filepath.ToSlash(inside)
}
