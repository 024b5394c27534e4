package warp

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Schedule is a scheduled agent as it is stored: the JSON object of the API, including
// keys that this program does not know, and the values that the program reads from it.
type Schedule struct {
	Model
	ID    string // letters, digits, - and _
	Owner Owner
}

// The keys of a schedule that this program manages.
//
// Source: agent-api-openapi.yaml, ScheduledAgentItem. metadata is newer than that file.
const (
	KeyCron     = "cron_schedule"
	KeyPrompt   = "prompt"
	KeyEnabled  = "enabled"
	KeyConfig   = "agent_config"
	KeyMetadata = "metadata"

	// KeyEnvironmentID and KeySecrets are keys of the agent's configuration.
	KeyEnvironmentID = "environment_id"
)

// answered are the keys of a schedule that only the server writes. No request may hold
// them.
var answered = []string{
	"id", "created_at", "updated_at", "environment", "history", "last_spawn_error", "scope", "created_by", "updated_by",
}

// Cron is when the agent runs: five fields, UTC.
func (s Schedule) Cron() string { return s.text(KeyCron) }

// Prompt is the task of the agent, empty when it has a skill instead.
func (s Schedule) Prompt() string { return s.text(KeyPrompt) }

// Enabled is false while the schedule is paused.
func (s Schedule) Enabled() bool { return string(s.Raw(KeyEnabled)) == "true" }

// CreatedAt is when the schedule was created, in RFC 3339.
func (s Schedule) CreatedAt() string { return s.text("created_at") }

// UpdatedAt changes with every write.
func (s Schedule) UpdatedAt() string { return s.text("updated_at") }

// Config is the agent's configuration. It has the keys of a run's configuration.
func (s Schedule) Config() Model {
	config, err := ParseModel(string(s.Raw(KeyConfig)))
	if err != nil { // absent or null; Check refuses anything else
		return Model{}
	}
	return config
}

// EnvironmentID is the environment that the agent works in, empty when it has none.
func (s Schedule) EnvironmentID() string { return s.Config().text(KeyEnvironmentID) }

// Metadata holds the marks of the schedule. Older servers leave it out.
func (s Schedule) Metadata() map[string]string {
	var metadata map[string]string
	_ = json.Unmarshal(s.Raw(KeyMetadata), &metadata)
	return metadata
}

// String names the schedule as messages do: `"acme-api" (Sc00000000000000000001)`.
func (s Schedule) String() string { return fmt.Sprintf("%q (%s)", s.Name(), s.ID) }

// Request is the schedule for a PUT: everything that was read, except keys that only
// the server writes. A PUT replaces the schedule and may clear keys that are left out.
// The server also answers the first of skills as skill_spec, but refuses a request with
// both.
func (s Schedule) Request() Model {
	config := s.Config()
	var skills []json.RawMessage
	if _ = json.Unmarshal(config.Raw("skills"), &skills); len(skills) > 0 {
		config = config.Without("skill_spec")
	} else {
		config = config.Without("skills")
	}
	request := s.Model
	for _, key := range answered {
		request = request.Without(key)
	}
	if request.Raw(KeyConfig) != nil {
		request = request.With(KeyConfig, json.RawMessage(config.String()))
	}
	return request
}

// Check fails when a key that this program manages has an unknown shape. The error
// names the key.
func (s Schedule) Check() error {
	for _, key := range []string{KeyName, KeyCron, KeyPrompt} {
		var text *string
		if value := s.Raw(key); value != nil && json.Unmarshal(value, &text) != nil {
			return fmt.Errorf("%s is not a text", key)
		}
	}
	if enabled := string(s.Raw(KeyEnabled)); !slices.Contains([]string{"true", "false"}, enabled) {
		return fmt.Errorf("%s is neither true nor false", KeyEnabled)
	}
	var metadata map[string]string
	if value := s.Raw(KeyMetadata); value != nil && json.Unmarshal(value, &metadata) != nil {
		return fmt.Errorf("%s is not an object of texts", KeyMetadata)
	}
	if value := s.Raw(KeyConfig); value != nil && string(value) != "null" {
		config, err := ParseModel(string(value))
		if err != nil {
			return fmt.Errorf("%s is not an object", KeyConfig)
		}
		if !isListOf(config.Raw(KeySecrets), isSecretRef) {
			return fmt.Errorf("%s of %s is not a list of objects with a name", KeySecrets, KeyConfig)
		}
	}
	return nil
}

// Integration is Slack, Linear or the like, connected to the caller's team.
type Integration struct {
	Provider      string // such as slack
	EnvironmentID string // the environment of its agents; empty: none
	Secrets       []string
}

// Factory is a factory whose agents may work in an environment.
type Factory struct {
	UID, Name     string
	EnvironmentID string // the default environment of its agents; empty: none
	Secrets       []string
}

// String names the factory as messages do.
func (f Factory) String() string { return fmt.Sprintf("%q (%s)", f.Name, f.UID) }
