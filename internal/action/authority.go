package action

import (
	"fmt"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
	"github.com/oz-bitbucket/oz-bitbucket/internal/smoketest"
)

// authorityNote returns the note in the plan of an environment when this job trusts an
// authority that agents may not know, else "". Bitbucket Cloud's certificate is public, so
// there the authority is a proxy's.
func (r run) authorityNote() string {
	if len(r.job.CACertificate) == 0 || mode(r.job.Mode) != reconcile.Provision || r.entry.Primary().Scheme != "https" {
		return ""
	}
	whose := "their git must trust its authority as well"
	if r.entry.Flavor == bitbucket.Cloud {
		whose = "if they use a proxy with that authority, their git must trust the authority as well"
	}
	return fmt.Sprintf("ca_certificate is for this job only; agents reach %s without it; %s: %s", r.entry.Primary().Origin(), whose, smoketest.Trust)
}

// withAuthority adds to the verdict on e, when a clone failed, how to make the agent's git
// trust the authority that this job trusts.
func (r run) withAuthority(e reconcile.EnvironmentPlan, v smoketest.Verdict) smoketest.Verdict {
	use, _ := e.Primary(r.entry.Repositories...)
	if v.Clone && len(r.job.CACertificate) > 0 && use.Repository.Scheme == "https" {
		v.Reason += "; if git does not trust the server's certificate, " + smoketest.Trust
	}
	return v
}
