package warp

import "cmp"

// RunState is the state of an agent's run, as Oz names it. Oz may add states.
type RunState string

// Source: agent-api-openapi.yaml, RunState. GraphQL spells InProgress as
// IN_PROGRESS.
const (
	Queued     RunState = "QUEUED"
	Pending    RunState = "PENDING"
	Claimed    RunState = "CLAIMED"
	InProgress RunState = "INPROGRESS"
	Succeeded  RunState = "SUCCEEDED"
	Failed     RunState = "FAILED"
	Errored    RunState = "ERROR"
	Blocked    RunState = "BLOCKED"
	Cancelled  RunState = "CANCELLED"
)

// Going reports whether a run in this state may still change by itself. It is false for
// an unknown state: waiting could take for ever.
func (s RunState) Going() bool {
	switch s {
	case Queued, Pending, Claimed, InProgress, "IN_PROGRESS":
		return true
	}
	return false
}

// Over reports whether a run in this state is known to have ended. A BLOCKED run has
// not ended: it goes on when a human answers it.
func (s RunState) Over() bool {
	switch s {
	case Succeeded, Failed, Errored, Cancelled:
		return true
	}
	return false
}

// Run is one agent's run.
type Run struct {
	ID          string // letters, digits, - and _; empty when the server's was not valid
	State       RunState
	AtCapacity  bool   // it waits for another run of the team to end; only the answer to the start says so
	SessionLink string // absolute http or https URL without control characters, or empty
	CreatedAt   string // RFC 3339
	Message     string // the server's message about the state; may quote a setup command
	ErrorCode   string // such as environment_setup_failed; Oz may add codes
	Retryable   bool
	Title       string
	Metadata    map[string]string // with which the run was started; older servers leave it out
	Usage       Usage
}

// Become returns the run with the values of now, a later answer about the same run.
// Values that now leaves out stay.
func (r Run) Become(now Run) Run {
	now.ID = r.ID
	now.AtCapacity = r.AtCapacity
	now.SessionLink = cmp.Or(now.SessionLink, r.SessionLink)
	if now.Usage == (Usage{}) {
		now.Usage = r.Usage
	}
	return now
}

// Usage is what a run used, as Oz reports it; zero when Oz does not.
type Usage struct {
	Credits float64
	Tokens  int64
}

// RunRequest starts a run.
type RunRequest struct {
	Title         string
	Prompt        string
	EnvironmentID string
	Model         string // Oz model ID; empty for the default
	Team          bool   // the team owns the run; else it is personal
	Secrets       []string
	Metadata      map[string]string // at most 20; keys [a-zA-Z0-9._-]{1,64}, values up to 256 bytes
}
