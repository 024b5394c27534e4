package warp

import "cmp"

// RunState is the state of an agent's run, as Oz names it. The list is open.
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

// Going reports whether a run in this state may still change by itself. A state
// that we do not know does not go on: waiting for it could take for ever.
func (s RunState) Going() bool {
	switch s {
	case Queued, Pending, Claimed, InProgress, "IN_PROGRESS":
		return true
	}
	return false
}

// Over reports whether a run in this state has ended, for all we know. A BLOCKED
// one has not: it goes on when somebody answers it.
func (s RunState) Over() bool {
	switch s {
	case Succeeded, Failed, Errored, Cancelled:
		return true
	}
	return false
}

// Run is one agent's run.
type Run struct {
	ID          string // letters, digits, - and _; empty when the server's was none
	State       RunState
	AtCapacity  bool   // it waits for another run of the team to end; known only from the start's answer
	SessionLink string // absolute http or https URL without control characters, or empty
	CreatedAt   string // RFC 3339
	Message     string // the server's words on the state; may quote a setup command
	ErrorCode   string // such as environment_setup_failed; the list is open
	Retryable   bool
	Title       string
	Metadata    map[string]string // that the run was started with; older servers leave it out
	Usage       Usage
}

// Become returns the run as it is now: the same run, read later. What only the
// start told, or a later answer leaves out, stays.
func (r Run) Become(now Run) Run {
	now.ID = r.ID
	now.AtCapacity = r.AtCapacity
	now.SessionLink = cmp.Or(now.SessionLink, r.SessionLink)
	if now.Usage == (Usage{}) {
		now.Usage = r.Usage
	}
	return now
}

// Usage is what a run used, as far as Oz reports it; zero when it does not.
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
	Team          bool   // owned by the team, else personal
	Secrets       []string
	Metadata      map[string]string // at most 20; keys [a-zA-Z0-9._-]{1,64}, values up to 256 bytes
}
