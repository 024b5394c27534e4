package bitbucketsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HTTPToken is an HTTP access token of Data Center as its server keeps it.
type HTTPToken struct {
	ID, Name, Permission string
	// Owner is the path of its owner: "users/jane", "projects/PRJ" or "projects/PRJ/repos/app".
	Owner string
	// Value is what signs in.
	Value string

	created time.Time
	days    int
}

// AddUser makes a person known who signs in to REST with a password, and who administers every project.
func (s *Server) AddUser(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[name] = password
}

// AddAccessToken makes a token as a person would on the website; 0 days is for ever.
func (s *Server) AddAccessToken(owner, name, permission string, days int) HTTPToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mint(owner, name, permission, days)
}

// AccessTokens returns the tokens that exist, oldest first.
func (s *Server) AccessTokens() []HTTPToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.minted)
}

// DeletedAccessTokens returns the names of the tokens that were deleted, in order.
func (s *Server) DeletedAccessTokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.deleted)
}

// MintedValues returns the value of every token that ever existed.
func (s *Server) MintedValues() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mintedValues)
}

// mint makes a token that works at once. The caller holds the lock.
func (s *Server) mint(owner, name, permission string, days int) HTTPToken {
	id := fmt.Sprintf("%012d", 75905477751+int64(len(s.mintedValues))*7)
	noise := make([]byte, 20)
	_, _ = rand.Read(noise) // never fails
	t := HTTPToken{
		ID: id, Name: name, Permission: permission, Owner: owner, days: days,
		Value:   "BBDC-" + base64.StdEncoding.EncodeToString(append([]byte(id+":"), noise...)),
		created: time.Now().UTC().Truncate(time.Millisecond),
	}
	if n := len(s.minted); n > 0 && !t.created.After(s.minted[n-1].created) {
		t.created = s.minted[n-1].created.Add(time.Millisecond)
	}
	s.minted, s.mintedValues = append(s.minted, t), append(s.mintedValues, t.Value)
	issued := Token{Value: t.Value, Kind: HTTPAccessToken, Write: permission == "REPO_WRITE", User: "jane"}
	switch parts := strings.Split(owner, "/"); {
	case len(parts) == 4:
		issued.Repositories = []string{parts[1] + "/" + parts[3]}
	case parts[0] == "projects":
		issued.Project = parts[1]
	}
	s.tokens[t.Value] = issued
	return t
}

// routeAccessTokens routes what comes after /rest/access-tokens/{version}/.
func (s *Server) routeAccessTokens(r *http.Request, path string) route {
	parts := strings.Split(path, "/")
	owner, id := path, ""
	if len(parts) == 3 || len(parts) == 5 {
		id, owner = parts[len(parts)-1], strings.Join(parts[:len(parts)-1], "/")
	}
	known := strings.HasPrefix(owner, "users/") && len(parts) <= 3 || strings.HasPrefix(owner, "projects/")
	operation, serve := "", http.HandlerFunc(nil)
	switch {
	case !known || s.currentPolicy().NoTokenREST:
	case r.Method == http.MethodGet && id == "":
		operation, serve = ListAccessTokens, func(w http.ResponseWriter, r *http.Request) { s.listAccessTokens(w, r, owner) }
	case r.Method == http.MethodPut && id == "":
		operation, serve = CreateAccessToken, func(w http.ResponseWriter, r *http.Request) { s.createAccessToken(w, r, owner) }
	case r.Method == http.MethodGet:
		operation, serve = GetAccessToken, func(w http.ResponseWriter, r *http.Request) { s.getAccessToken(w, r, owner, id) }
	case r.Method == http.MethodDelete:
		operation, serve = DeleteAccessToken, func(w http.ResponseWriter, r *http.Request) { s.deleteAccessToken(w, r, owner, id) }
	}
	if serve == nil {
		return route{serve: serveNoRoute}
	}
	return route{operation, func(w http.ResponseWriter, r *http.Request) {
		if s.mayManage(w, r, owner, id) {
			serve(w, r)
		}
	}}
}

// mayManage signs in whoever manages an owner's tokens, or answers. A person does with the password; a token
// only where the policy lets it, but may look at its own record.
//
// Source: https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html
func (s *Server) mayManage(w http.ResponseWriter, r *http.Request, owner, id string) bool {
	c, policy := credentialsOf(r), s.currentPolicy()
	s.mu.Lock()
	password, isUser := s.users[c.user]
	s.mu.Unlock()
	if c.scheme == "basic" && isUser && !policy.BasicRefused {
		if password != c.secret {
			s.failLogin(c.secret)
			w.Header().Set("WWW-Authenticate", dataCenterChallenge)
			writeErrors(w, http.StatusUnauthorized, incorrectPassword, "Authentication failed. Please check your credentials and try again.")
			return false
		}
		w.Header().Set("X-AUSERNAME", url.QueryEscape(c.user))
		if user, ok := strings.CutPrefix(owner, "users/"); ok && user != c.user {
			writeErrors(w, http.StatusUnauthorized, notAuthorised, "You are not permitted to access this resource")
			return false
		}
		return true
	}
	token, standing, admitted := s.admitREST(w, r)
	own := slices.ContainsFunc(s.AccessTokens(), func(t HTTPToken) bool { return t.Value == token.Value && t.ID == id && t.Owner == owner })
	switch {
	case !admitted:
		return false
	case standing == anonymous:
		writeErrors(w, http.StatusUnauthorized, authenticationRequired, "Authentication is required to access this resource.")
	case policy.TokensMayMint, own && r.Method == http.MethodGet:
		return true
	default:
		writeErrors(w, http.StatusUnauthorized, notAuthorised, "You are not permitted to access this resource")
	}
	return false
}

func (s *Server) listAccessTokens(w http.ResponseWriter, r *http.Request, owner string) {
	start, _ := strconv.Atoi(r.URL.Query().Get("start"))
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 {
		limit = 25
	}
	values := []any{}
	for _, t := range s.AccessTokens() {
		if t.Owner == owner {
			values = append(values, t.json())
		}
	}
	start = min(max(start, 0), len(values))
	end := min(start+limit, len(values))
	page := map[string]any{"size": end - start, "limit": limit, "start": start, "values": values[start:end], "isLastPage": end == len(values)}
	if end < len(values) {
		page["nextPageStart"] = end
	}
	writeJSON(w, http.StatusOK, page)
}

func (s *Server) createAccessToken(w http.ResponseWriter, r *http.Request, owner string) {
	var in struct {
		Name        string
		Permissions []string
		ExpiryDays  int
	}
	const invalid = "com.atlassian.bitbucket.validation.ArgumentValidationException"
	policy := s.currentPolicy()
	known := []string{"REPO_READ", "REPO_WRITE", "REPO_ADMIN"}
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil || in.Name == "" || len(in.Permissions) != 1 || !slices.Contains(known, in.Permissions[0]):
		writeErrors(w, http.StatusBadRequest, invalid, "A name and known permissions are required.")
		return
	case policy.ExpiryRequired && in.ExpiryDays == 0:
		writeErrors(w, http.StatusBadRequest, invalid, "An expiry is required for HTTP access tokens.")
		return
	case policy.MaximumExpiryDays > 0 && in.ExpiryDays > policy.MaximumExpiryDays:
		writeErrors(w, http.StatusBadRequest, invalid, fmt.Sprintf("The expiry must be at most %d days.", policy.MaximumExpiryDays))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if policy.MaximumTokens > 0 && len(s.minted) >= policy.MaximumTokens {
		writeErrors(w, http.StatusBadRequest, invalid, "The maximum number of HTTP access tokens has been reached.")
		return
	}
	t := s.mint(owner, in.Name, in.Permissions[0], in.ExpiryDays)
	answer := t.json()
	answer["token"] = t.Value
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) getAccessToken(w http.ResponseWriter, _ *http.Request, owner, id string) {
	for _, t := range s.AccessTokens() {
		if t.Owner == owner && t.ID == id {
			writeJSON(w, http.StatusOK, t.json())
			return
		}
	}
	writeErrors(w, http.StatusNotFound, "com.atlassian.bitbucket.NoSuchEntityException", "There is no such access token.")
}

func (s *Server) deleteAccessToken(w http.ResponseWriter, _ *http.Request, owner, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.minted, func(t HTTPToken) bool { return t.Owner == owner && t.ID == id })
	if i < 0 {
		writeErrors(w, http.StatusNotFound, "com.atlassian.bitbucket.NoSuchEntityException", "There is no such access token.")
		return
	}
	gone := s.minted[i]
	s.minted, s.deleted = slices.Delete(s.minted, i, i+1), append(s.deleted, gone.Name)
	revoked := s.tokens[gone.Value]
	revoked.State = Revoked
	s.tokens[gone.Value] = revoked
	w.WriteHeader(http.StatusNoContent)
}

// findUsers is GET /rest/api/{version}/users?filter=NAME.
func (s *Server) findUsers(w http.ResponseWriter, r *http.Request) {
	if c := credentialsOf(r); c.scheme != "basic" || !s.isUser(c) {
		if _, standing, admitted := s.admitREST(w, r); !admitted || standing == anonymous {
			return
		}
	}
	filter := strings.ToLower(r.URL.Query().Get("filter"))
	values := []any{}
	s.mu.Lock()
	for name := range s.users {
		if strings.Contains(strings.ToLower(name), filter) {
			values = append(values, map[string]string{"name": name, "slug": strings.ToLower(name)})
		}
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"values": values, "isLastPage": true})
}

func (s *Server) isUser(c credentials) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	password, known := s.users[c.user]
	return known && password == c.secret
}

// json is the token as REST shows it: times are milliseconds, and the moment of expiry is not told.
func (t HTTPToken) json() map[string]any {
	shown := map[string]any{"id": t.ID, "name": t.Name, "createdDate": t.created.UnixMilli(), "permissions": []string{t.Permission}}
	if t.days > 0 {
		shown["expiryDays"] = t.days
	}
	return shown
}

// serveNoRoute is the answer of a version that lacks an endpoint.
func serveNoRoute(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusNotFound, map[string]any{"message": "HTTP 404 Not Found", "status-code": 404, "sub-code": -1})
}
