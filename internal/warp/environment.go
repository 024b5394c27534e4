package warp

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Environment is a cloud environment as it is stored.
type Environment struct {
	UID      string
	Owner    Owner
	Model    Model
	Revision string // opaque: sent back unchanged, never parsed
	Trashed  bool
}

// Answer is the answer about one environment: the environment, or an error.
type Answer struct {
	Environment
	Err error
}

// EnvironmentListing is one row of the list of environments. It is enough to choose and
// to compare, but not to write: the list lacks several keys of the model.
type EnvironmentListing struct {
	UID           string
	Name          string
	Owner         Owner
	LastUpdated   string // RFC 3339
	Description   string
	DockerImage   string   // empty: no image is pinned
	SetupCommands []string // nil: the model has no such key
	Secrets       []string // names; nil: the model has no such key
}

// Model is the part of the model that the list contains.
func (l EnvironmentListing) Model() Model {
	m := NewModel(l.Name)
	if l.Description != "" {
		m = m.With(KeyDescription, l.Description)
	}
	if l.DockerImage != "" {
		m = m.With(KeyDockerImage, l.DockerImage)
	}
	if l.SetupCommands != nil {
		m = m.With(KeySetupCommands, l.SetupCommands)
	}
	if l.Secrets != nil {
		refs := make([]secretRef, len(l.Secrets))
		for i, name := range l.Secrets {
			refs[i] = secretRef{name}
		}
		m = m.With(KeySecrets, refs)
	}
	return m
}

// The keys of the model that this program manages. It leaves every other key alone.
//
// Source: the stored model of a cloud environment in Warp's client (2026-08).
const (
	KeyName          = "name"
	KeyDescription   = "description"
	KeyDockerImage   = "docker_image"
	KeySetupCommands = "setup_commands"
	KeySecrets       = "secrets"
)

// NewModel returns the model of an environment that does not exist yet. Its list of
// GitHub repositories is empty, because the setup commands clone. Warp's own clients
// always write that list.
func NewModel(name string) Model {
	return Model{}.With(KeyName, name).With("github_repos", []string{})
}

// Name is the environment's name, empty when the model has none.
func (m Model) Name() string { return m.text(KeyName) }

// Description is the environment's description, empty when there is none.
func (m Model) Description() string { return m.text(KeyDescription) }

// DockerImage is the pinned image, empty when none is.
func (m Model) DockerImage() string { return m.text(KeyDockerImage) }

// SetupCommands are the commands in the order in which a run executes them.
func (m Model) SetupCommands() []string {
	var commands []string
	_ = json.Unmarshal(m.Raw(KeySetupCommands), &commands)
	return commands
}

// Secrets are the names of the secrets that a run may read. Listed is false
// when the environment has no list at all, which is not the same as an empty
// one.
func (m Model) Secrets() (names []string, listed bool) {
	var refs []secretRef
	if json.Unmarshal(m.Raw(KeySecrets), &refs) != nil || refs == nil {
		return nil, false
	}
	for _, ref := range refs {
		names = append(names, ref.Name)
	}
	return names, true
}

// WithSecret returns the model with one more name at the end of its list of secrets.
// Existing references keep their bytes.
func (m Model) WithSecret(name string) Model {
	var refs []json.RawMessage
	_ = json.Unmarshal(m.Raw(KeySecrets), &refs)
	ref, _ := json.Marshal(secretRef{name})
	return m.With(KeySecrets, append(refs, ref))
}

// Check fails when a key that this program manages has an unknown shape: the next write
// would lose such a value. The error names the key.
func (m Model) Check() error {
	for _, key := range []string{KeyName, KeyDescription, KeyDockerImage} {
		var text *string
		if value := m.Raw(key); value != nil && json.Unmarshal(value, &text) != nil {
			return fmt.Errorf("%s is not a text", key)
		}
	}
	if !isListOf(m.Raw(KeySetupCommands), func(command *string) bool { return command != nil }) {
		return fmt.Errorf("%s is not a list of texts", KeySetupCommands)
	}
	if !isListOf(m.Raw(KeySecrets), isSecretRef) {
		return fmt.Errorf("%s is not a list of objects with a name", KeySecrets)
	}
	return nil
}

func isSecretRef(ref struct{ Name *string }) bool { return ref.Name != nil && *ref.Name != "" }

// isListOf reports whether a value is absent, null, or a list with only elements that
// fit.
func isListOf[T any](value json.RawMessage, fits func(T) bool) bool {
	var list []T
	if value != nil && json.Unmarshal(value, &list) != nil {
		return false
	}
	return !slices.ContainsFunc(list, func(element T) bool { return !fits(element) })
}

type secretRef struct {
	Name string `json:"name"`
}

func (m Model) text(key string) string {
	var text string
	_ = json.Unmarshal(m.Raw(key), &text)
	return text
}
