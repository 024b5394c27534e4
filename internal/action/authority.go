package action

import (
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// authorityNote is what the plan of an environment says when this job trusts an
// authority that agents may not know; else it is empty. Bitbucket Cloud's own is public:
// there, it is a proxy's.
func (r run) authorityNote() string {
	if len(r.job.CACertificate) == 0 || mode(r.job.Mode) != reconcile.Provision || r.entry.Primary().Scheme != "https" {
		return ""
	}
	whose := "their git must trust its authority as well"
	if r.entry.Flavor == bitbucket.Cloud {
		whose = "where a proxy of that authority stands between, their git must trust it as well"
	}
	return fmt.Sprintf("ca_certificate is for this job alone, and agents reach %s without it; %s: %s", r.entry.Primary().Origin(), whose, smoketest.Trust)
}

// withAuthority is a verdict on e that names the authority that this job trusts, when a
// clone failed: git may not know it.
func (r run) withAuthority(e reconcile.EnvironmentPlan, v smoketest.Verdict) smoketest.Verdict {
	use, _ := e.Primary(r.entry.Repositories...)
	if v.Clone && len(r.job.CACertificate) > 0 && use.Repository.Scheme == "https" {
		v.Reason += "; if git does not trust the server's certificate, " + smoketest.Trust
	}
	return v
}
