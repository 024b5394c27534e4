package warpsim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Behaviour says how one run goes. The zero value is an honest agent.
type Behaviour struct {
	State              string // terminal state instead of SUCCEEDED
	ErrorCode, Message string
	Retryable          bool
	Reply              func(honest string) string // replaces the agent's last text
	Queued             bool                       // stays QUEUED, at capacity, until it is cancelled
	Hold               time.Duration              // the agent works this long
	StartAfter         time.Duration              // the start's request waits this long before it has its effect
	AnswerAfter        time.Duration              // and its answer this long after it
	Session            string                     // replaces the session's link
	NoTranscript       bool                       // the transcript never exists
	TranscriptAfter    int                        // the first reads of the transcript answer 404
	Chatter            int                        // bytes of a tool's output in the transcript, before the last text
	UsageAfter         int                        // the first reads of the ended run are without its usage
	CancelStatuses     []int                      // answers to the first cancels: 400, 404, 409, 422 or 503
	CancelAfter        time.Duration              // it goes on this long after a cancel was accepted
	Cancellable        bool                       // a BLOCKED run accepts a cancel; else it answers 400, like an ended run
}

// Step is one setup command that a run executed.
type Step struct {
	Command, Output string
	Code            int
}

// Run is an agent's run as the server holds it.
type Run struct {
	ID, State, EnvironmentID, Title, Prompt, Model string
	// Source is "API" or "SCHEDULED_AGENT".
	Source          string
	ScheduleID      string // empty unless a schedule started it
	Owner           Owner
	Metadata        map[string]string
	Secrets         []string // names that the run could read
	Steps           []Step
	Reply           string
	Workspace, Home string // directories; they exist until Close
	Polls           int    // how often its state was read
}

// runStates are the states of a run. In the first four it has not ended.
var runStates = []string{"QUEUED", "PENDING", "CLAIMED", "INPROGRESS", "SUCCEEDED", "FAILED", "BLOCKED", "ERROR", "CANCELLED"}

// Going reports whether the run has not ended.
func (r Run) Going() bool {
	return slices.Contains(runStates[:4], r.State)
}

// run is a Run with the server's internal state.
type run struct {
	Run
	behaviour      Behaviour
	creator        string
	created        time.Time
	started        time.Time
	session        string
	code, message  string
	retryable      bool
	transcriptTook int
	schedule       object          // the schedule that started it, as it was then; nil for none
	endRead        int             // reads after its end
	ctx            context.Context // ends when the run is cancelled
	cancel         context.CancelFunc
	over           <-chan struct{} // closed when the run no longer changes by itself
}

// agentConfig is the part of a run's configuration that the simulator reads.
type agentConfig struct {
	EnvironmentID string `json:"environment_id"`
	ModelID       string `json:"model_id"`
	Name          string
	Secrets       []struct{ Name string }
}

// order is what a run is started with, by a caller or a schedule.
type order struct {
	prompt, title string
	config        agentConfig
	metadata      map[string]string
	owner         Owner
	creator       string
	source        string
	schedule      *schedule // nil unless a schedule starts it
	behaviour     Behaviour
}

// Behave queues how the next runs go, one each.
func (s *Server) Behave(b ...Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviours = append(s.behaviours, b...)
}

// SetImage replaces the NAME=value variables that every image sets, as with ENV in a Dockerfile. There are none by
// default.
func (s *Server) SetImage(environ ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.image = environ
}

// Runs returns the runs, oldest first.
func (s *Server) Runs() []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := []Run{}
	for _, r := range s.runs {
		runs = append(runs, r.copy())
	}
	return runs
}

// copy returns the run as it is now. The caller holds the lock.
func (r *run) copy() Run {
	copied := r.Run
	copied.Steps = slices.Clone(r.Steps)
	return copied
}

// WaitForRun waits until the run has ended, or the server closes, and returns it. A run that stays QUEUED ends
// when it is cancelled. Panics when there is no such run.
func (s *Server) WaitForRun(id string) Run {
	s.mu.Lock()
	i := slices.IndexFunc(s.runs, func(r *run) bool { return r.ID == id })
	if i < 0 {
		s.mu.Unlock()
		panic(fmt.Sprintf("warpsim: no run %q", id))
	}
	r := s.runs[i]
	s.mu.Unlock()

	<-r.over
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.copy()
}

// startRun is POST /agent/runs.
func (s *Server) startRun(c *call) answer {
	var in struct {
		Prompt, Title string
		Mode          string
		Team          *bool
		Config        agentConfig
		Metadata      map[string]string
	}
	decoder := json.NewDecoder(bytes.NewReader(c.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		s.mu.Lock()
		s.flag("%s: body: %v", c.operation, err)
		s.mu.Unlock()
		return invalidRequest(c, "%v", err)
	}
	s.mu.Lock()
	behaviour := s.nextBehaviour()
	s.mu.Unlock()
	s.wait(behaviour.StartAfter)
	defer s.wait(behaviour.AnswerAfter)

	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Prompt == "" {
		return invalidRequest(c, "prompt is required")
	}
	owner, refusal := s.runOwner(c, in.Team)
	if refusal != nil {
		return *refusal
	}
	o := s.find(in.Config.EnvironmentID)
	if o == nil || !c.caller.sees(o.owner) || !o.trashed.IsZero() {
		return problem(c, http.StatusNotFound, "resource_not_found", "environment not found")
	}
	s.watch("a prompt", in.Prompt)
	s.watch("a title", in.Title)
	s.watch("a run's metadata", string(mustMarshal(in.Metadata)))

	r := s.launch(order{
		prompt: in.Prompt, title: in.Title, config: in.Config, metadata: in.Metadata,
		owner: owner, creator: c.caller.uid, source: "API", behaviour: behaviour,
	}, o)
	s.counts[c.operation]++
	return ok(object{"run_id": r.ID, "task_id": r.ID, "state": r.State, "at_capacity": r.behaviour.Queued})
}

// nextBehaviour removes and returns the oldest of the queue. The caller holds the lock.
func (s *Server) nextBehaviour() Behaviour {
	if len(s.behaviours) == 0 {
		return Behaviour{}
	}
	next := s.behaviours[0]
	s.behaviours = s.behaviours[1:]
	return next
}

// launch starts a run in the environment. It gets the union of the secrets that the environment and the order
// list. The caller holds the lock.
func (s *Server) launch(in order, o *cloudObject) *run {
	names := []string{}
	for _, ref := range append(o.parsed().Secrets, in.config.Secrets...) {
		names = append(names, ref.Name)
	}
	slices.Sort(names)
	r := &run{
		Run: Run{
			ID: newUUID(), State: "QUEUED", EnvironmentID: o.uid, Title: in.title, Prompt: in.prompt, Model: in.config.ModelID,
			Source: in.source, Owner: in.owner, Metadata: in.metadata,
		},
		behaviour: in.behaviour, creator: in.creator, created: s.tick(), session: newUUID(),
	}
	if in.schedule != nil {
		r.ScheduleID, r.schedule = in.schedule.id, in.schedule.info()
	}
	r.ctx, r.cancel = context.WithCancel(s.stop)
	r.over = r.ctx.Done()
	environ := s.environ(r, slices.Compact(names))
	s.runs = append(s.runs, r)
	if !r.behaviour.Queued {
		worked := make(chan struct{})
		r.over = worked
		commands := slices.Clone(o.parsed().SetupCommands)
		s.working.Go(func() {
			defer close(worked)
			s.materialise(r, commands, environ)
		})
	}
	return r
}

// environ returns the variables of a run: the image's, the worker's, and the listed secrets that the run may read. The
// caller holds the lock.
func (s *Server) environ(r *run, names []string) []string {
	r.Workspace = filepath.Join(s.workspaces, r.ID, "workspace")
	r.Home = filepath.Join(s.workspaces, r.ID, "home")
	environ := append(slices.Clone(s.image),
		"PATH="+os.Getenv("PATH"), "HOME="+r.Home, "LANG=C.UTF-8", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
		"TASK_ID="+r.ID, "OZ_RUN_ID="+r.ID, "IS_SANDBOX=1",
	)
	owners := s.lenders(r)
	for _, name := range names {
		for _, owner := range owners {
			if known := s.secret(owner, name); known != nil {
				environ = append(environ, name+"="+known.Value)
				r.Secrets = append(r.Secrets, name)
				break
			}
		}
	}
	return append(environ, s.options.RunEnviron...)
}

// lenders returns the owners whose secrets a run may read; for equal names the first owner's counts. The personal
// secret of the human who started the run wins over a team's, in a team's run too. A schedule starts its runs without
// a user, so they never get personal secrets. The caller holds the lock.
//
// Source: Warp's documentation, platform/secrets.
func (s *Server) lenders(r *run) []Owner {
	var owners []Owner
	if creator := s.principals[r.creator]; r.ScheduleID == "" && !creator.service {
		owners = append(owners, creator.personal())
	}
	if r.Owner.Type == "Team" {
		return append(owners, r.Owner)
	}
	if p := s.principals[r.Owner.UID]; p != nil {
		for _, t := range p.teams {
			owners = append(owners, Owner{"Team", t.uid})
		}
	}
	return owners
}

// materialise does a worker's part: a workspace, a shell, the setup commands, the agent.
func (s *Server) materialise(r *run, commands, environ []string) {
	s.advance(r, "CLAIMED")
	for _, directory := range []string{r.Workspace, r.Home} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			s.finish(r, "ERROR", "internal_error", err.Error())
			return
		}
	}
	s.advance(r, "INPROGRESS")
	if s.setUp(r, commands, environ) && s.work(r) {
		s.agent(r, environ)
	}
}

// setUp runs the setup commands, one after another in one session. It reports whether all succeeded.
func (s *Server) setUp(r *run, commands, environ []string) bool {
	sh, err := startShell(r.Workspace, environ)
	if err != nil {
		s.finish(r, "ERROR", "internal_error", err.Error())
		return false
	}
	defer sh.close()
	steps := append([]string{"export CI=true"}, commands...)
	for i, command := range steps {
		output, code, err := sh.run(r.ctx, command, s.options.CommandLimit)
		if i > 0 {
			s.mu.Lock()
			r.Steps = append(r.Steps, Step{command, output, code})
			s.mu.Unlock()
		}
		switch {
		case r.ctx.Err() != nil:
			return false
		case err != nil:
			s.finish(r, "FAILED", "environment_setup_failed", "Environment setup failed: The shell exited during setup command.")
			return false
		case code != 0:
			s.finish(r, "FAILED", "environment_setup_failed", fmt.Sprintf(
				"Environment setup failed: Failed to run setup command: %s. Check your repository URLs and setup commands.", command))
			return false
		}
		if _, _, err := sh.run(r.ctx, "cd '"+r.Workspace+"'", s.options.CommandLimit); err != nil && r.ctx.Err() != nil {
			return false
		}
	}
	return true
}

// work keeps the agent busy. It reports whether the run goes on.
func (s *Server) work(r *run) bool {
	if r.behaviour.Hold == 0 {
		return r.ctx.Err() == nil
	}
	timer := time.NewTimer(r.behaviour.Hold)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// agent does what the prompt asks for: it reports the commit of the checkout that the prompt names.
func (s *Server) agent(r *run, environ []string) {
	reply := "I found no checkout."
	for _, directory := range checkouts(r.Workspace) {
		if !strings.Contains(r.Prompt, filepath.Base(directory)) {
			continue
		}
		command := exec.CommandContext(r.ctx, "git", "-C", directory, "rev-parse", "HEAD")
		command.Env = environ
		output, err := command.CombinedOutput()
		reply = "The commit in " + filepath.Base(directory) + " is " + strings.TrimSpace(string(output)) + "."
		if err != nil {
			reply = "git failed: " + string(output)
		}
	}
	if r.behaviour.Reply != nil {
		reply = r.behaviour.Reply(reply)
	}
	s.mu.Lock()
	r.Reply = reply
	s.mu.Unlock()
	s.finish(r, cmp.Or(r.behaviour.State, "SUCCEEDED"), r.behaviour.ErrorCode, r.behaviour.Message)
}

// checkouts returns the directories of a workspace that hold a git repository.
func checkouts(workspace string) []string {
	found, _ := filepath.Glob(filepath.Join(workspace, "*", ".git"))
	hidden, _ := filepath.Glob(filepath.Join(workspace, ".*", ".git"))
	directories := []string{}
	for _, git := range append(found, hidden...) {
		directories = append(directories, filepath.Dir(git))
	}
	return directories
}

// advance moves a run that was not cancelled.
func (s *Server) advance(r *run, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Going() {
		r.State = state
		if state == "INPROGRESS" {
			r.started = s.tick()
		}
	}
}

func (s *Server) finish(r *run, state, code, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Going() {
		r.State, r.code, r.message, r.retryable = state, code, message, r.behaviour.Retryable
	}
}

// ownRun finds a run that the caller may see. The caller holds the lock.
func (s *Server) ownRun(c *call) (*run, *answer) {
	for _, r := range s.runs {
		if r.ID == c.PathValue("id") && c.caller.sees(r.Owner) {
			return r, nil
		}
	}
	missing := problem(c, http.StatusNotFound, "resource_not_found", "run not found")
	return nil, &missing
}

func (s *Server) getRun(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, missing := s.ownRun(c)
	if missing != nil {
		return *missing
	}
	r.Polls++
	s.counts[c.operation]++
	return ok(s.item(r))
}

// listRuns lists a page of runs, newest first. A cursor is the ID of the last one before the page.
func (s *Server) listRuns(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := c.URL.Query()
	limit := 20
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 500 {
			return invalidRequest(c, "limit must be 1 to 500")
		}
		limit = n
	}
	var after time.Time
	if text := query.Get("created_after"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return invalidRequest(c, "created_after must be RFC 3339")
		}
		after = at
	}
	for _, state := range query["state"] {
		if !slices.Contains(runStates, state) {
			return invalidRequest(c, "state must be one of %s", strings.Join(runStates, ", "))
		}
	}
	wanted := map[string]string{}
	for name := range query {
		if key, found := strings.CutPrefix(name, "metadata["); found {
			wanted[strings.TrimSuffix(key, "]")] = query.Get(name)
		}
	}
	if len(wanted) > 0 && s.options.NoMetadataFilter {
		return problem(c, http.StatusForbidden, "feature_not_available", "filtering by metadata is not available")
	}
	rest := s.runs
	if cursor := query.Get("cursor"); cursor != "" {
		last := slices.IndexFunc(rest, func(r *run) bool { return r.ID == cursor })
		if last < 0 {
			return invalidRequest(c, "the cursor is unknown")
		}
		rest = rest[:last]
	}
	var page []*run
	more := false
	for _, r := range slices.Backward(rest) {
		fits := c.caller.sees(r.Owner) && !r.created.Before(after)
		if id := query.Get("environment_id"); id != "" {
			fits = fits && id == r.EnvironmentID
		}
		if id := query.Get("schedule_id"); id != "" {
			fits = fits && id == r.ScheduleID
		}
		if states := query["state"]; len(states) > 0 {
			fits = fits && slices.Contains(states, r.State)
		}
		for key, value := range wanted {
			fits = fits && r.Metadata[key] == value
		}
		if fits && len(page) == limit {
			more = true
			break
		}
		if fits {
			page = append(page, r)
		}
	}
	items, info := []any{}, object{"has_next_page": more}
	for _, r := range page {
		items = append(items, s.item(r))
	}
	if more {
		info["next_cursor"] = page[limit-1].ID
	}
	s.counts[c.operation]++
	return ok(object{"runs": items, "page_info": info})
}

// item returns a run as answers show it.
func (s *Server) item(r *run) object {
	item := object{
		"run_id": r.ID, "task_id": r.ID, "title": r.Title, "state": r.State, "prompt": r.Prompt,
		"created_at": timestamp(r.created), "updated_at": timestamp(s.tick()), "started_at": optionalTimestamp(r.started),
		"source": r.Source, "execution_location": "REMOTE", "creator": s.profile(r.creator),
		"agent_config": object{"environment_id": r.EnvironmentID}, "artifacts": []any{},
		"is_sandbox_running": r.State == "INPROGRESS", "metadata": maps.Clone(r.Metadata),
		"scope": object{"type": r.Owner.Type, "uid": r.Owner.UID},
	}
	if r.schedule != nil {
		item["schedule"] = r.schedule
	}
	if !r.started.IsZero() {
		item["session_id"], item["session_link"] = r.session, cmp.Or(r.behaviour.Session, s.url+"/session/"+r.session)
	}
	if !r.Going() {
		if r.endRead++; r.endRead > r.behaviour.UsageAfter {
			item["request_usage"] = object{"inference_cost": 0.5, "compute_cost": 0.25, "platform_cost": 0.25, "total_tokens": 1234}
		}
		status := object{"message": cmp.Or(r.message, "Done")}
		if r.code != "" {
			status["error_code"], status["retryable"] = r.code, r.retryable
		}
		item["status_message"] = status
	}
	return item
}

func (s *Server) cancelRun(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, missing := s.ownRun(c)
	if missing != nil {
		return *missing
	}
	if statuses := r.behaviour.CancelStatuses; len(statuses) > 0 {
		r.behaviour.CancelStatuses = statuses[1:]
		codes := map[int]string{
			400: "invalid_request", 404: "resource_not_found", 409: "conflict", 422: "operation_not_supported", 503: "resource_unavailable",
		}
		return problem(c, statuses[0], codes[statuses[0]], "as the test wants it")
	}
	if !r.stoppable() {
		return invalidRequest(c, "the run is over")
	}
	s.counts[c.operation]++
	end := func() {
		if r.stoppable() {
			r.State = "CANCELLED"
		}
		r.cancel()
	}
	if r.behaviour.CancelAfter == 0 {
		end()
		return ok(r.ID)
	}
	s.working.Go(func() {
		s.wait(r.behaviour.CancelAfter)
		s.mu.Lock()
		defer s.mu.Unlock()
		end()
	})
	return ok(r.ID)
}

// stoppable reports whether the run accepts a cancel. The caller holds the lock.
func (r *run) stoppable() bool {
	return r.Going() || r.State == "BLOCKED" && r.behaviour.Cancellable
}

// getConversation answers with the transcript: the user's prompt, the agent's actions and its text.
func (s *Server) getConversation(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, missing := s.ownRun(c)
	if missing != nil {
		return *missing
	}
	r.transcriptTook++
	if r.behaviour.NoTranscript || r.transcriptTook <= r.behaviour.TranscriptAfter || r.Reply == "" {
		return problem(c, http.StatusNotFound, "resource_not_found", "the run has no conversation")
	}
	text := func(role, text string) object {
		return object{"role": role, "content": []any{object{"type": "text", "text": text}}}
	}
	messages := []any{text("user", r.Prompt), text("assistant", "I run the command.")}
	const piece = 1 << 20
	for left := r.behaviour.Chatter; left > 0; left -= piece {
		messages = append(messages, object{"role": "tool", "content": []any{object{
			"type": "action_result", "action_id": newUUID(), "category": "command", "name": "run_command", "state": "completed",
			"output": object{"text": strings.Repeat("x", min(left, piece))},
		}}})
	}
	s.counts[c.operation]++
	return ok(object{"conversation_id": newUUID(), "steps": []any{object{
		"id": "1", "steps": []any{}, "messages": append(messages, text("assistant", r.Reply)),
	}}})
}
