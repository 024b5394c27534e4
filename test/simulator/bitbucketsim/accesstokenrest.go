package bitbucketsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Exception names of the REST for tokens. Those of invalid arguments and of missing tokens are guesses, and
// clients should not depend on them.
const (
	invalidArgument = "com.atlassian.bitbucket.validation.ArgumentValidationException"
	noSuchEntity    = "com.atlassian.bitbucket.NoSuchEntityException"
	noSuchUser      = "com.atlassian.bitbucket.user.NoSuchUserException"
)

// tokenCall is a request of the REST for tokens: an owner's path, and the ID of one token or nothing.
type tokenCall struct{ owner, id string }

// routeAccessTokens routes what comes after /rest/access-tokens/{version}/: users/{slug}, projects/{key} and
// projects/{key}/repos/{slug}, and each of them with /{id}.
func (s *Server) routeAccessTokens(r *http.Request, path string) route {
	parts := strings.Split(path, "/")
	call := tokenCall{owner: path}
	if len(parts)%2 == 1 {
		call = tokenCall{strings.Join(parts[:len(parts)-1], "/"), parts[len(parts)-1]}
		parts = parts[:len(parts)-1]
	}
	known := len(parts) == 2 && (parts[0] == "users" || parts[0] == "projects") || len(parts) == 4 && parts[0] == "projects" && parts[2] == "repos"
	if !known || slices.Contains(parts, "") || s.currentPolicy().NoTokenREST {
		return route{serve: serveNoRoute}
	}
	var operation string
	var serve func(http.ResponseWriter, *http.Request, tokenCall)
	switch {
	case r.Method == http.MethodGet && call.id == "":
		operation, serve = ListAccessTokens, s.listAccessTokens
	case r.Method == http.MethodPut && call.id == "":
		operation, serve = CreateAccessToken, s.createAccessToken
	case r.Method == http.MethodGet:
		operation, serve = GetAccessToken, s.getAccessToken
	case r.Method == http.MethodDelete && call.id != "":
		operation, serve = DeleteAccessToken, s.deleteAccessToken
	default:
		return route{serve: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }}
	}
	return route{operation, func(w http.ResponseWriter, r *http.Request) {
		if s.mayManage(w, r, call) {
			serve(w, r, call)
		}
	}}
}

// mayManage checks that the caller may manage an owner's tokens, and else answers. A person may with the
// password, a token only where the policy allows it. A token may always read its own record.
//
// Source: https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
func (s *Server) mayManage(w http.ResponseWriter, r *http.Request, call tokenCall) bool {
	token, standing, admitted := s.admitREST(w, r)
	if !admitted {
		return false
	}
	caller, isPerson := s.person(credentialsOf(r))
	missing, message := s.missingOwner(call.owner)
	switch {
	case standing == anonymous:
		writeErrors(w, http.StatusUnauthorized, authenticationRequired, "Authentication is required to access this resource.")
	case r.Method == http.MethodGet && s.isOwnRecord(token, call):
		return true
	case missing != "":
		writeErrors(w, http.StatusNotFound, missing, message)
	case isPerson && caller.manages(call.owner), !isPerson && s.currentPolicy().TokensMayMint:
		return true
	default:
		writeErrors(w, http.StatusUnauthorized, notAuthorised, "You are not permitted to access this resource")
	}
	return false
}

func (s *Server) isOwnRecord(token Token, call tokenCall) bool {
	return slices.ContainsFunc(s.AccessTokens(), func(t HTTPToken) bool {
		return t.Value == token.Value && t.ID == call.id && strings.EqualFold(t.Owner, call.owner)
	})
}

// missingOwner returns the exception name when the owner does not exist, else "".
func (s *Server) missingOwner(owner string) (exception, message string) {
	parts := strings.Split(owner, "/")
	s.mu.Lock()
	_, isUser := s.users[parts[1]]
	s.mu.Unlock()
	switch {
	case parts[0] == "users" && !isUser:
		return noSuchUser, "There is no user " + parts[1] + "."
	case parts[0] == "users":
		return "", ""
	case !s.ownerExists(DataCenter, parts[1]):
		return noSuchProject, "Project " + parts[1] + " does not exist."
	case len(parts) == 4 && s.repository(DataCenter, parts[1], parts[3]) == nil:
		return noSuchRepository, "Repository " + parts[1] + "/" + parts[3] + " does not exist."
	}
	return "", ""
}

// findMinted returns the index of a token in s.minted, or a negative number. The caller holds the lock.
func (s *Server) findMinted(call tokenCall) int {
	return slices.IndexFunc(s.minted, func(t HTTPToken) bool { return strings.EqualFold(t.Owner, call.owner) && t.ID == call.id })
}

func (s *Server) listAccessTokens(w http.ResponseWriter, r *http.Request, call tokenCall) {
	s.mu.Lock()
	values := []any{}
	for _, t := range s.minted {
		if strings.EqualFold(t.Owner, call.owner) {
			values = append(values, s.json(t))
		}
	}
	s.mu.Unlock()
	writePage(w, r, values)
}

// writePage answers the part of values that the request asks for.
func writePage(w http.ResponseWriter, r *http.Request, values []any) {
	start, limit := 0, 25
	for name, number := range map[string]*int{"start": &start, "limit": &limit} {
		text := r.URL.Query().Get(name)
		n, err := strconv.Atoi(text)
		switch {
		case text == "":
		case err != nil || n < 0 || name == "limit" && n == 0:
			writeErrors(w, http.StatusBadRequest, invalidArgument, name+" is not a number that fits.")
			return
		default:
			*number = n
		}
	}
	from := min(start, len(values))
	to := min(from+limit, len(values))
	page := map[string]any{
		"size": to - from, "limit": limit, "start": start, "isLastPage": to == len(values), "nextPageStart": nil, "values": values[from:to],
	}
	if to < len(values) {
		page["nextPageStart"] = to
	}
	writeJSON(w, http.StatusOK, page)
}

// createAccessToken answers 200 with the only view of the value.
func (s *Server) createAccessToken(w http.ResponseWriter, r *http.Request, call tokenCall) {
	var in struct {
		Name        string
		Permissions []string
		ExpiryDays  *int
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	policy := s.currentPolicy()
	unknown := func(permission string) bool { return !slices.Contains(permissions, permission) }
	refuse := func(format string, args ...any) {
		writeErrors(w, http.StatusBadRequest, invalidArgument, fmt.Sprintf(format, args...))
	}
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil:
		refuse("The body cannot be read.")
		return
	case in.Name == "" || len(in.Permissions) == 0 || slices.ContainsFunc(in.Permissions, unknown):
		refuse("A name and known permissions are required.")
		return
	case in.ExpiryDays == nil && policy.ExpiryRequired:
		refuse("An expiry is required for HTTP access tokens.")
		return
	case in.ExpiryDays != nil && *in.ExpiryDays < 1:
		refuse("The expiry must be at least one day.")
		return
	case in.ExpiryDays != nil && policy.MaximumExpiryDays > 0 && *in.ExpiryDays > policy.MaximumExpiryDays:
		refuse("The expiry must be at most %d days.", policy.MaximumExpiryDays)
		return
	}
	days := 0
	if in.ExpiryDays != nil {
		days = *in.ExpiryDays
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if policy.MaximumTokens > 0 && len(s.minted) >= policy.MaximumTokens {
		refuse("The maximum number of HTTP access tokens has been reached.")
		return
	}
	t := s.mint(HTTPToken{Owner: call.owner, Name: in.Name, By: s.nameOf(r), permissions: in.Permissions, days: days})
	answer := s.json(t)
	answer["token"] = t.Value
	writeJSON(w, http.StatusOK, answer)
}

// nameOf returns who sent an admitted request. The caller holds the lock.
func (s *Server) nameOf(r *http.Request) string {
	c := credentialsOf(r)
	if token, isToken := s.tokens[c.secret]; isToken {
		return token.User
	}
	return c.user
}

func (s *Server) getAccessToken(w http.ResponseWriter, _ *http.Request, call tokenCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.findMinted(call)
	if i < 0 {
		writeErrors(w, http.StatusNotFound, noSuchEntity, "There is no such access token.")
		return
	}
	writeJSON(w, http.StatusOK, s.json(s.minted[i]))
}

// deleteAccessToken revokes a token at once.
func (s *Server) deleteAccessToken(w http.ResponseWriter, r *http.Request, call tokenCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.findMinted(call)
	if i < 0 {
		writeErrors(w, http.StatusNotFound, noSuchEntity, "There is no such access token.")
		return
	}
	gone := s.minted[i]
	s.minted, s.deleted = slices.Delete(s.minted, i, i+1), append(s.deleted, DeletedToken{gone, s.nameOf(r)})
	revoked := s.tokens[gone.Value]
	revoked.State = Revoked
	s.tokens[gone.Value] = revoked
	w.WriteHeader(http.StatusNoContent)
}

// findUsers is GET /rest/api/{version}/users?filter=NAME, for every signed-in caller.
func (s *Server) findUsers(w http.ResponseWriter, r *http.Request) {
	_, standing, admitted := s.admitREST(w, r)
	if !admitted {
		return
	}
	if standing == anonymous {
		writeErrors(w, http.StatusUnauthorized, authenticationRequired, "Authentication is required to access this resource.")
		return
	}
	filter := strings.ToLower(r.URL.Query().Get("filter"))
	values := []any{}
	s.mu.Lock()
	for _, slug := range slices.Sorted(maps.Keys(s.users)) {
		if p := s.users[slug]; strings.Contains(strings.ToLower(p.name), filter) {
			values = append(values, p.json())
		}
	}
	s.mu.Unlock()
	writePage(w, r, values)
}
