package warpsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Environment is a cloud environment as the server holds it.
type Environment struct {
	UID        string
	Owner      Owner
	Model      string // the serializedModel, byte for byte
	RevisionTs string
	Trashed    bool
}

// cloudObject is a generic string object. All of the simulator's are environments.
type cloudObject struct {
	uid               string
	owner             Owner
	model             string
	creator, editor   string
	revision, trashed time.Time
}

// model is the part of a serializedModel that the server reads.
type model struct {
	Name          string                         `json:"name"`
	Description   *string                        `json:"description"`
	DockerImage   string                         `json:"docker_image"`
	SetupCommands []string                       `json:"setup_commands"`
	GithubRepos   []struct{ Owner, Repo string } `json:"github_repos"`
	Secrets       []struct{ Name string }        `json:"secrets"`
}

// AddEnvironment stores an environment as if someone else had created it, and returns its UID.
func (s *Server) AddEnvironment(owner Owner, model string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &cloudObject{uid: newUID(), owner: owner, model: model, creator: "someone", editor: "someone", revision: s.tick()}
	s.objects = append(s.objects, o)
	return o.uid
}

// Edit changes an environment as if someone else had.
func (s *Server) Edit(uid, model string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.find(uid)
	o.model, o.editor, o.revision = model, "someone", s.tick()
}

// Trash moves an environment to the trash.
func (s *Server) Trash(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find(uid).trashed = s.tick()
}

// RejectUpdates makes the next n updates meet someone else's edit: just before each, the key
// "edited_meanwhile" of the model gets a new value.
func (s *Server) RejectUpdates(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejections = n
}

// Environments returns the environments that are not deleted, oldest first.
func (s *Server) Environments() []Environment {
	s.mu.Lock()
	defer s.mu.Unlock()
	environments := []Environment{}
	for _, o := range s.objects {
		environments = append(environments, Environment{o.uid, o.owner, o.model, timestamp(o.revision), !o.trashed.IsZero()})
	}
	return environments
}

// find returns the object, or nil. The caller holds the lock.
func (s *Server) find(uid string) *cloudObject {
	for _, o := range s.objects {
		if o.uid == uid {
			return o
		}
	}
	return nil
}

// own finds an object that the caller may see.
func (s *Server) own(c *call, uid string) (*cloudObject, object) {
	if o := s.find(uid); o != nil && c.caller.sees(o.owner) {
		return o, nil
	}
	return nil, refused("InvalidInputError", "object not found")
}

func (s *Server) cloudObject(c *call, args arguments) (object, error) {
	o, refusal := s.own(c, input[struct{ UID string }](args).UID)
	if refusal != nil {
		return refusal, nil
	}
	return answered("CloudObjectOutput", object{"object": o.object()}), nil
}

func (s *Server) createObject(c *call, args arguments) (object, error) {
	in := input[struct {
		Owner               ownerInput
		GenericStringObject struct{ ClientID, Format, SerializedModel string }
	}](args)
	owner, err := c.caller.owner(in.Owner)
	if err != nil {
		return refused("InvalidInputError", err.Error()), nil
	}
	if in.GenericStringObject.Format != "JsonCloudEnvironment" {
		s.flag("%s: format %s", c.operation, in.GenericStringObject.Format)
	}
	if refusal := s.check(c, in.GenericStringObject.SerializedModel); refusal != nil {
		return refusal, nil
	}
	o := &cloudObject{
		uid: newUID(), owner: owner, model: in.GenericStringObject.SerializedModel,
		creator: c.caller.uid, editor: c.caller.uid, revision: s.tick(),
	}
	s.objects = append(s.objects, o)
	return answered("CreateGenericStringObjectOutput", object{
		"clientId": in.GenericStringObject.ClientID, "revisionTs": timestamp(o.revision), "genericStringObject": o.object(),
	}), nil
}

func (s *Server) updateObject(c *call, args arguments) (object, error) {
	in := input[struct {
		UID, SerializedModel string
		RevisionTs           *string
	}](args)
	o, refusal := s.own(c, in.UID)
	if refusal != nil {
		return refusal, nil
	}
	if refusal := s.check(c, in.SerializedModel); refusal != nil {
		return refusal, nil
	}
	if s.rejections > 0 {
		s.rejections--
		s.editMeanwhile(o)
	}
	if in.RevisionTs == nil {
		s.flag("%s: update without revisionTs", c.operation)
	} else if known, err := time.Parse(time.RFC3339Nano, *in.RevisionTs); err != nil || !known.Equal(o.revision) {
		return answered("UpdateGenericStringObjectOutput", object{"update": object{
			"__typename": "GenericStringObjectUpdateRejected",
			"revisionTs": timestamp(o.revision), "conflictingGenericStringObject": o.object(),
		}}), nil
	}
	o.model, o.editor, o.revision = in.SerializedModel, c.caller.uid, s.tick()
	return answered("UpdateGenericStringObjectOutput", object{"update": object{
		"__typename": "ObjectUpdateSuccess", "lastEditorUid": o.editor, "revisionTs": timestamp(o.revision),
	}}), nil
}

// editMeanwhile is someone else's edit between a client's read and its write.
func (s *Server) editMeanwhile(o *cloudObject) {
	keys := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(o.model), &keys); err != nil {
		panic(fmt.Sprintf("warpsim: stored model: %v", err))
	}
	o.revision = s.tick()
	keys["edited_meanwhile"] = mustMarshal(timestamp(o.revision))
	o.model, o.editor = string(mustMarshal(keys)), "someone"
}

// check returns why the server would not store a model; nil when it would.
func (s *Server) check(c *call, text string) object {
	s.watch("a serializedModel", text)
	var m model
	if !isObject(text) || json.Unmarshal([]byte(text), &m) != nil {
		return refused("InvalidInputError", "serializedModel is not a cloud environment")
	}
	if m.Description != nil && utf8.RuneCountInString(*m.Description) > 240 {
		return refused("InvalidInputError", "description is too long")
	}
	return nil
}

func (s *Server) deleteObject(c *call, args arguments) (object, error) {
	o, refusal := s.own(c, input[struct{ UID string }](args).UID)
	if refusal != nil {
		return refusal, nil
	}
	s.objects = slices.DeleteFunc(s.objects, func(other *cloudObject) bool { return other == o })
	s.deleted = append(s.deleted, o.uid)
	return answered("DeleteObjectOutput", object{"deletedUids": []any{o.uid}, "success": true}), nil
}

// listed returns the environments that a list shows the caller.
func (s *Server) listed(c *call) []*cloudObject {
	var listed []*cloudObject
	for _, o := range s.objects {
		if c.caller.sees(o.owner) && (o.trashed.IsZero() || s.options.ListTrashed) {
			listed = append(listed, o)
		}
	}
	return listed
}

// getCloudEnvironments answers with less: no revision, no unknown keys.
func (s *Server) getCloudEnvironments(c *call, _ arguments) (object, error) {
	list := []any{}
	for _, o := range s.listed(c) {
		m := o.parsed()
		repos := []any{}
		for _, repo := range m.GithubRepos {
			repos = append(repos, object{"owner": repo.Owner, "repo": repo.Repo})
		}
		config := object{"name": m.Name, "description": m.Description, "dockerImage": m.DockerImage, "githubRepos": repos}
		if m.SetupCommands != nil {
			config["setupCommands"] = anyList(m.SetupCommands)
		}
		if m.Secrets != nil {
			refs := []any{}
			for _, ref := range m.Secrets {
				refs = append(refs, object{"name": ref.Name})
			}
			config["secrets"] = refs
		}
		list = append(list, object{
			"uid": o.uid, "lastUpdated": timestamp(o.revision), "setupFailed": false, "scope": o.owner.space(), "config": config,
		})
	}
	return answered("GetCloudEnvironmentsOutput", object{"cloudEnvironments": list}), nil
}

// listEnvironments answers with the same over REST.
func (s *Server) listEnvironments(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []any{}
	for _, o := range s.listed(c) {
		m := o.parsed()
		list = append(list, object{
			"uid": o.uid, "last_updated": timestamp(o.revision), "setup_failed": false,
			"config":      object{"name": m.Name, "docker_image": m.DockerImage, "setup_commands": m.SetupCommands, "github_repos": []any{}},
			"scope":       object{"type": o.owner.Type, "uid": o.owner.UID},
			"creator":     s.profile(o.creator),
			"last_editor": s.profile(o.editor),
		})
	}
	s.counts[c.operation]++
	return ok(object{"environments": list})
}

func (o *cloudObject) parsed() model {
	var m model
	_ = json.Unmarshal([]byte(o.model), &m) // checked when it was stored
	return m
}

func (o *cloudObject) object() object {
	return object{
		"__typename": "GenericStringObject", "format": "JsonCloudEnvironment", "serializedModel": o.model,
		"metadata": object{
			"uid": o.uid, "revisionTs": timestamp(o.revision), "trashedTs": optionalTimestamp(o.trashed),
			"metadataLastUpdatedTs": timestamp(o.revision), "isWelcomeObject": false,
			"creatorUid": o.creator, "lastEditorUid": o.editor, "parent": o.owner.space(),
		},
		"permissions": object{"space": o.owner.space(), "guests": []any{}, "lastUpdatedTs": timestamp(o.revision)},
	}
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}
