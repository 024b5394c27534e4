package warpsim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Schedule is a scheduled agent as the server holds it.
type Schedule struct {
	ID                 string
	Owner              Owner
	Name, Cron, Prompt string
	Enabled            bool
	// Mode is "normal", "plan" or "orchestrate". No answer holds it.
	Mode     string
	AgentUID string
	Metadata map[string]string
	// Config is the agent_config; nil when there is none. Numbers are of type json.Number, in Fields too.
	Config map[string]any
	// Fields are all writable fields as they were written last, unknown ones too.
	Fields map[string]any
	// LastSpawnError says why the last tick started no run; empty when it started one, or when there was no tick.
	LastSpawnError string
}

// schedule is a scheduled agent with the server's internal state.
type schedule struct {
	id                    string
	owner                 Owner
	fields                map[string]any
	creator, editor       string
	created, updated, ran time.Time
	spawnError            string
}

// scheduleFields are the writable fields that the server reads, with their types.
//
// Source: the schemas CreateScheduledAgentRequest and UpdateScheduledAgentRequest of Warp's OpenAPI description,
// and the SDKs' types of summer 2026.
type scheduleFields struct {
	Name         string
	CronSchedule string `json:"cron_schedule"`
	Prompt       string
	Enabled      *bool
	Team         *bool
	AgentUID     string `json:"agent_uid"`
	Mode         string
	Metadata     map[string]string
	Config       struct {
		agentConfig
		BasePrompt         string `json:"base_prompt"`
		SkillSpec          string `json:"skill_spec"`
		Skills             []string
		MCPServers         map[string]map[string]any `json:"mcp_servers"`
		RunnerID           string                    `json:"runner_id"`
		WorkerHost         string                    `json:"worker_host"`
		ComputerUseEnabled *bool                     `json:"computer_use_enabled"`
		IdleTimeoutMinutes *int                      `json:"idle_timeout_minutes"`
		CredentialStrategy *string                   `json:"credential_strategy"`
		Harness            map[string]any
		HarnessAuthSecrets map[string]any `json:"harness_auth_secrets"`
	} `json:"agent_config"`
}

// answeredOnly are the fields of an item that no request can write.
var answeredOnly = []string{
	"id", "created_at", "updated_at", "environment", "history", "last_spawn_error", "scope", "created_by", "updated_by",
}

// AddSchedule stores a schedule as if someone else had created it, and returns its ID. The item is a JSON object
// of the writable fields, of which enabled is true when it is left out. Panics on an item that the server would
// refuse.
func (s *Server) AddSchedule(owner Owner, item string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	fields := writtenByTest([]byte(item), true)
	creator := "someone"
	if owner.Type == "User" {
		creator = owner.UID
	}
	return s.addSchedule(owner, fields, creator).id
}

// EditSchedule changes the writable fields of a schedule as if someone else had. change is called with the lock
// held, so it must not call the server. Panics when there is no such schedule, or the server would refuse the edit.
func (s *Server) EditSchedule(id string, change func(fields map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.findSchedule(id)
	if known == nil {
		panic(fmt.Sprintf("warpsim: no schedule %q", id))
	}
	fields := cloned(known.fields)
	change(fields)
	s.rewrite(known, writtenByTest(mustMarshal(fields), false), "someone")
}

// writtenByTest reads fields that must be valid.
func writtenByTest(text []byte, created bool) map[string]any {
	fields, err := decodeFields(text, "team")
	if err == nil {
		err = checkSchedule(fields, created)
	}
	if err != nil {
		panic(fmt.Sprintf("warpsim: schedule: %v", err))
	}
	return fields
}

// Schedules returns the schedules that are not deleted, oldest first.
func (s *Server) Schedules() []Schedule {
	s.mu.Lock()
	defer s.mu.Unlock()
	schedules := []Schedule{}
	for _, known := range s.schedules {
		in, fields := known.parsed(), cloned(known.fields)
		config, _ := fields["agent_config"].(map[string]any)
		schedules = append(schedules, Schedule{
			ID: known.id, Owner: known.owner, Name: in.Name, Cron: in.CronSchedule, Prompt: in.Prompt, Enabled: *in.Enabled,
			Mode: cmp.Or(in.Mode, "normal"), AgentUID: in.AgentUID, Metadata: in.Metadata, Config: config, Fields: fields,
			LastSpawnError: known.spawnError,
		})
	}
	return schedules
}

// Tick starts a run, as at the schedule's time, in the same way as POST /agent/runs, and returns its ID. It returns
// "" when the schedule is paused or deleted, or when the environment does not resolve; the item then has a
// last_spawn_error. A tick is not a write: updated_at stays.
func (s *Server) Tick(id string) (runID string) {
	if !s.enter() {
		return ""
	}
	defer s.working.Done()
	s.mu.Lock()
	defer s.mu.Unlock()

	known := s.findSchedule(id)
	if known == nil || !*known.parsed().Enabled {
		return ""
	}
	in := known.parsed()
	o := s.environmentOf(known)
	if o == nil {
		known.spawnError = fmt.Sprintf("environment %q not found", in.Config.EnvironmentID)
		return ""
	}
	known.spawnError, known.ran = "", s.tick()
	return s.launch(order{
		prompt: in.Prompt, title: in.Name, config: in.Config.agentConfig, metadata: in.Metadata,
		owner: known.owner, creator: known.creator, source: "SCHEDULED_AGENT", schedule: known, behaviour: s.nextBehaviour(),
	}, o).ID
}

// findSchedule returns the schedule, or nil. The caller holds the lock.
func (s *Server) findSchedule(id string) *schedule {
	for _, known := range s.schedules {
		if known.id == id {
			return known
		}
	}
	return nil
}

// environmentOf resolves the schedule's environment; nil when it has none that its runs can use. The caller holds
// the lock.
func (s *Server) environmentOf(known *schedule) *cloudObject {
	o := s.find(known.parsed().Config.EnvironmentID)
	if o == nil || !o.trashed.IsZero() {
		return nil
	}
	creator := s.principals[known.creator]
	if o.owner != known.owner && (creator == nil || !creator.sees(o.owner)) {
		return nil
	}
	return o
}

// guarded wraps an operation on schedules with what all of them need: the lock, the refusals by plan and by
// permission, the count.
func (s *Server) guarded(writes bool, handle func(*call) answer) func(*call) answer {
	return func(c *call) answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case s.options.NoSchedules:
			return problem(c, http.StatusForbidden, "feature_not_available", "scheduled agents are not available")
		case writes && s.options.SchedulesForbidden:
			return problem(c, http.StatusForbidden, "not_authorized", "no permission to change schedules")
		}
		a := handle(c)
		if a.status < 300 {
			s.counts[c.operation]++
		}
		return a
	}
}

// onSchedule calls handle with a schedule that the caller may see.
func (s *Server) onSchedule(handle func(*call, *schedule) answer) func(*call) answer {
	return func(c *call) answer {
		known := s.findSchedule(c.PathValue("id"))
		if known == nil || !c.caller.sees(known.owner) {
			return problem(c, http.StatusNotFound, "resource_not_found", "schedule not found")
		}
		return handle(c, known)
	}
}

func (s *Server) createSchedule(c *call) answer {
	fields, err := s.scheduleBody(c)
	if err != nil {
		return invalidRequest(c, "%v", err)
	}
	if err := checkSchedule(fields, true); err != nil {
		return invalidRequest(c, "%v", err)
	}
	owner, refusal := s.runOwner(c, parseSchedule(fields).Team)
	if refusal != nil {
		return *refusal
	}
	delete(fields, "team")
	if err := checkAgent(owner, fields); err != nil {
		return invalidRequest(c, "%v", err)
	}
	known := s.addSchedule(owner, fields, c.caller.uid)
	a := ok(s.scheduleItem(known))
	a.status = http.StatusCreated
	return a
}

func (s *Server) listSchedules(c *call) answer {
	visible := slices.DeleteFunc(slices.Clone(s.schedules), func(known *schedule) bool { return !c.caller.sees(known.owner) })
	slices.SortStableFunc(visible, func(a, b *schedule) int { return strings.Compare(a.parsed().Name, b.parsed().Name) })
	items := []any{}
	for _, known := range visible {
		items = append(items, s.scheduleItem(known))
	}
	return ok(object{"schedules": items})
}

func (s *Server) getSchedule(_ *call, known *schedule) answer { return ok(s.scheduleItem(known)) }

// putSchedule replaces: fields that the body leaves out are removed, also the mode, which no answer holds.
func (s *Server) putSchedule(c *call, known *schedule) answer {
	fields, err := s.scheduleBody(c, "team")
	if err == nil {
		err = checkSchedule(fields, false)
	}
	if err == nil {
		err = checkAgent(known.owner, fields)
	}
	if err != nil {
		return invalidRequest(c, "%v", err)
	}
	s.rewrite(known, fields, c.caller.uid)
	return ok(s.scheduleItem(known))
}

func (s *Server) deleteSchedule(_ *call, known *schedule) answer {
	s.schedules = slices.DeleteFunc(s.schedules, func(other *schedule) bool { return other == known })
	return ok(object{"success": true})
}

// enable pauses or resumes. It writes the schedule even when nothing changes.
func (s *Server) enable(enabled bool) func(*call, *schedule) answer {
	return func(c *call, known *schedule) answer {
		fields := cloned(known.fields)
		fields["enabled"] = enabled
		s.rewrite(known, fields, c.caller.uid)
		return ok(s.scheduleItem(known))
	}
}

// scheduleBody reads the fields that a client wrote. A field that clients may not write, and a known field of another
// type, are violations.
func (s *Server) scheduleBody(c *call, alsoForbidden ...string) (map[string]any, error) {
	s.watch("a schedule", string(c.body))
	fields, err := decodeFields(c.body, alsoForbidden...)
	if err != nil {
		s.flag("%s: body: %v", c.operation, err)
		return nil, err
	}
	return fields, nil
}

// decodeFields reads writable fields. null counts as not given.
func decodeFields(text []byte, alsoForbidden ...string) (map[string]any, error) {
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF || fields == nil {
		return nil, fmt.Errorf("not one JSON object")
	}
	for _, name := range append(slices.Clone(answeredOnly), alsoForbidden...) {
		if _, there := fields[name]; there {
			return nil, fmt.Errorf("%s is not writable", name)
		}
	}
	maps.DeleteFunc(fields, func(_ string, value any) bool { return value == nil })
	return fields, json.Unmarshal(text, &scheduleFields{})
}

// metadataKey matches a valid key of metadata.
//
// Source: the SDKs' types of summer 2026.
var metadataKey = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,64}$`)

// checkSchedule returns why the server would refuse these fields; nil when it would not. A new schedule is enabled by
// default. The server does not check whether the environment exists.
func checkSchedule(fields map[string]any, created bool) error {
	if _, there := fields["enabled"]; created && !there {
		fields["enabled"] = true
	}
	in := parseSchedule(fields)
	switch {
	case in.Name == "":
		return fmt.Errorf("name is required")
	case in.CronSchedule == "":
		return fmt.Errorf("cron_schedule is required")
	case in.Enabled == nil:
		return fmt.Errorf("enabled is required")
	case in.Config.SkillSpec != "" && len(in.Config.Skills) > 0:
		return fmt.Errorf("skill_spec and skills exclude each other")
	case in.Prompt == "" && in.Config.SkillSpec == "" && len(in.Config.Skills) == 0:
		return fmt.Errorf("prompt is required without a skill")
	case !slices.Contains([]string{"", "normal", "plan", "orchestrate"}, in.Mode):
		return fmt.Errorf("mode %q is none", in.Mode)
	case len(in.Metadata) > 20:
		return fmt.Errorf("metadata has more than 20 keys")
	}
	for key, value := range in.Metadata {
		if !metadataKey.MatchString(key) || len(value) > 256 {
			return fmt.Errorf("metadata %q is malformed", key)
		}
	}
	_, err := parseCron(in.CronSchedule)
	return err
}

// checkAgent refuses an execution principal for a schedule that no team owns.
func checkAgent(owner Owner, fields map[string]any) error {
	if parseSchedule(fields).AgentUID != "" && owner.Type != "Team" {
		return fmt.Errorf("agent_uid is for schedules of a team")
	}
	return nil
}

// addSchedule stores a new schedule. The caller holds the lock.
func (s *Server) addSchedule(owner Owner, fields map[string]any, creator string) *schedule {
	known := &schedule{id: newUID(), owner: owner, creator: creator}
	s.rewrite(known, fields, creator)
	known.created = known.updated
	s.schedules = append(s.schedules, known)
	return known
}

// rewrite replaces all fields. An old server forgets the metadata. The caller holds the lock.
func (s *Server) rewrite(known *schedule, fields map[string]any, editor string) {
	if s.options.NoScheduleMetadata {
		delete(fields, "metadata")
	}
	known.fields, known.editor, known.updated = fields, editor, s.tick()
}

func (known *schedule) parsed() scheduleFields { return parseSchedule(known.fields) }

// parseSchedule reads fields that decodeFields has accepted.
func parseSchedule(fields map[string]any) scheduleFields {
	var in scheduleFields
	if err := json.Unmarshal(mustMarshal(fields), &in); err != nil {
		panic(fmt.Sprintf("warpsim: checked schedule: %v", err))
	}
	return in
}

// info returns what a run shows about the schedule that started it.
func (known *schedule) info() object {
	in := known.parsed()
	return object{"schedule_id": known.id, "schedule_name": in.Name, "cron_schedule": in.CronSchedule}
}

// scheduleItem returns a schedule as answers show it: what was written, without the mode, and the server's fields. It
// also puts the first of skills into skill_spec, which a request must not do.
func (s *Server) scheduleItem(known *schedule) object {
	item, in := cloned(known.fields), known.parsed()
	delete(item, "mode")
	if len(in.Config.Skills) > 0 {
		item["agent_config"].(map[string]any)["skill_spec"] = in.Config.Skills[0]
	}
	if o := s.environmentOf(known); o != nil {
		item["environment"] = o.resolved()
	}
	next := time.Time{}
	if expression, err := parseCron(in.CronSchedule); err == nil && *in.Enabled {
		next = expression.next(time.Now())
	}
	maps.Copy(item, object{
		"id": known.id, "prompt": in.Prompt, "created_at": timestamp(known.created), "updated_at": timestamp(known.updated),
		"history":          object{"last_ran": optionalTimestamp(known.ran), "next_run": optionalTimestamp(next)},
		"last_spawn_error": nil,
		"scope":            object{"type": known.owner.Type, "uid": known.owner.UID},
		"created_by":       s.profile(known.creator), "updated_by": s.profile(known.editor),
	})
	if known.spawnError != "" {
		item["last_spawn_error"] = known.spawnError
	}
	return item
}

// resolved returns the environment's configuration inside a schedule.
func (o *cloudObject) resolved() object {
	m := o.parsed()
	repos := []any{}
	for _, repo := range m.GithubRepos {
		repos = append(repos, object{"owner": repo.Owner, "repo": repo.Repo})
	}
	return object{
		"name": m.Name, "description": m.Description, "docker_image": m.DockerImage, "github_repos": repos,
		"setup_commands": append([]string{}, m.SetupCommands...),
	}
}

// cloned returns a deep copy of a JSON object.
func cloned(o map[string]any) map[string]any {
	var copied map[string]any
	decoder := json.NewDecoder(bytes.NewReader(mustMarshal(o)))
	decoder.UseNumber()
	if err := decoder.Decode(&copied); err != nil {
		panic(fmt.Sprintf("warpsim: %v", err))
	}
	return copied
}
