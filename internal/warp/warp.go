// Package warp holds Warp's nouns: callers, owners, secrets, environments and runs. It
// does no I/O and imports only the standard library. Every stage uses it.
package warp

import (
	"errors"
	"strconv"
	"strings"
)

// KeysPage says how to make an API key: in Warp's settings, which have no address.
const KeysPage = "https://docs.warp.dev/reference/cli/api-keys"

// OwnerType says whether a team or a user owns a secret or an environment. The values
// are those of the API.
type OwnerType string

// Source: schema.graphql, enums OwnerType and SpaceType.
const (
	TeamOwner OwnerType = "Team"
	UserOwner OwnerType = "User"
)

// Owner owns a secret or an environment. UID is the team's or the user's.
type Owner struct {
	Type OwnerType
	UID  string
}

// Team is a team that the caller can see.
type Team struct {
	UID  string // 22 characters [A-Za-z0-9]
	Name string
}

// Caller is the owner of the API key.
type Caller struct {
	// UID is the user's UID exactly as the server gives it. For a service account it
	// begins with "serviceAccount:"; the sealing context needs this prefix too.
	UID            string
	ServiceAccount bool
	Teams          []Team
}

// ErrAnswerLost marks an error after which it is unknown whether the server carried out
// the request: the connection broke, or the server answered 5xx. Look before trying
// again.
var ErrAnswerLost = errors.New("the answer was lost, so the request may have taken effect")

// ErrTooLong marks an answer that is longer than the program's bound.
var ErrTooLong = errors.New("the answer is too long")

// Refusal is a refusal of Oz: the request arrived, was understood, and changed nothing.
type Refusal struct {
	Status  int    // HTTP status; GraphQL refuses with 200
	Kind    string // a type name of the API such as InvalidInputError, or an error code; may be empty
	Message string // the server's words
}

// Error renders `403: not_authorized: the server's words`, without missing parts.
func (r *Refusal) Error() string {
	var parts []string
	if r.Status != 200 {
		parts = append(parts, strconv.Itoa(r.Status))
	}
	for _, part := range []string{r.Kind, r.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}
