// Package warp holds Warp's nouns: callers, owners, secrets, environments and
// runs. It does no I/O and imports only the standard library; every stage
// stands on it.
package warp

import (
	"errors"
	"strconv"
	"strings"
)

// OwnerType says whether a team or a user owns a secret or an environment. The
// values are the wire's.
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

// Caller is who the API key belongs to.
type Caller struct {
	// UID is the user's UID exactly as the server gives it. For a service
	// account it begins with "serviceAccount:", and the sealing context wants
	// that prefix too.
	UID            string
	ServiceAccount bool
	Teams          []Team
}

// ErrAnswerLost marks an error after which nobody knows whether the server did
// what it was asked: the connection broke, or it answered 5xx. Look before
// trying again.
var ErrAnswerLost = errors.New("the answer was lost, it may have happened")

// ErrTooLong marks an answer that is longer than we are willing to read.
var ErrTooLong = errors.New("the answer is too long")

// Refusal is Oz's considered no: the request arrived, was understood, and
// changed nothing.
type Refusal struct {
	Status  int    // HTTP status; GraphQL refuses with 200
	Kind    string // a type name of the API such as InvalidInputError, or an error code; may be empty
	Message string // the server's words
}

// Error renders `403: not_authorized: the server's words`, without
// what is not there.
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
