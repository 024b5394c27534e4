package warpsim

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Team is a team of the simulated workspace.
type Team struct {
	// UID has 22 letters and digits.
	UID, Name string
	// NoUploadKey leaves the team without a public key for secrets.
	NoUploadKey bool
}

// Principal is a human or a service account that API keys act as.
type Principal struct {
	// UID is the bare one; a service account shows itself as "serviceAccount:<UID>".
	UID            string
	ServiceAccount bool
	Teams          []Team
	// NoUploadKey leaves the principal without a public key for personal secrets.
	NoUploadKey bool
}

// Owner is who a secret, an environment or a run belongs to.
type Owner struct {
	// Type is "Team" or "User".
	Type string
	// UID is a team's UID, or a principal's with the prefix of a service account.
	UID string
}

// team is a Team that is known to the server.
type team struct {
	uid, name string
	vault     *vault // nil without an upload key
}

// principal is a Principal that is known to the server. All of its API keys share it.
type principal struct {
	uid     string // the actor UID, prefix included
	service bool
	teams   []*team
	vault   *vault // nil without an upload key
}

const serviceAccountPrefix = "serviceAccount:"

var uidPattern = regexp.MustCompile(`^[A-Za-z0-9]{22}$`)

// AddKey adds an API key, the principal that it acts as, and the principal's teams. Known teams and principals are
// joined, not replaced. Panics on a malformed team UID.
func (s *Server) AddKey(apiKey string, p Principal) {
	s.mu.Lock()
	defer s.mu.Unlock()

	uid := p.UID
	if p.ServiceAccount {
		uid = serviceAccountPrefix + strings.TrimPrefix(uid, serviceAccountPrefix)
	}
	known := s.principals[uid]
	if known == nil {
		known = &principal{uid: uid, service: p.ServiceAccount, vault: newVault(p.NoUploadKey)}
		s.principals[uid] = known
	}
	for _, t := range p.Teams {
		if joined := s.join(t); !slices.Contains(known.teams, joined) {
			known.teams = append(known.teams, joined)
		}
	}
	s.keys[apiKey] = known
	s.learn("an API key", apiKey)
}

// join returns the team, and adds it when it is new. The caller holds the lock.
func (s *Server) join(t Team) *team {
	if !uidPattern.MatchString(t.UID) {
		panic(fmt.Sprintf("warpsim: team UID %q is not 22 letters and digits", t.UID))
	}
	if s.teams[t.UID] == nil {
		s.teams[t.UID] = &team{uid: t.UID, name: t.Name, vault: newVault(t.NoUploadKey)}
	}
	return s.teams[t.UID]
}

// personal returns the owner of what belongs to the principal alone.
func (p *principal) personal() Owner { return Owner{"User", p.uid} }

// sees reports whether the principal may read and write what the owner has.
func (p *principal) sees(o Owner) bool {
	return o == p.personal() || slices.ContainsFunc(p.teams, func(t *team) bool { return o == Owner{"Team", t.uid} })
}

// ownerInput is GraphQL's Owner.
type ownerInput struct {
	Type string
	UID  *string
}

// owner resolves what the caller named as an owner. A refusal is an error for the caller to read.
func (p *principal) owner(in ownerInput) (Owner, error) {
	var uid string
	if in.UID != nil {
		uid = *in.UID
	}
	if in.Type == "User" {
		if p.service {
			return Owner{}, fmt.Errorf("a service account cannot own personal objects")
		}
		uid = cmp.Or(uid, p.uid)
	}
	if o := (Owner{in.Type, uid}); p.sees(o) {
		return o, nil
	}
	return Owner{}, fmt.Errorf("owner %s %q not found", in.Type, uid)
}

// vault returns the keys with which the owner's secrets are sealed. The caller holds the lock.
func (s *Server) vault(o Owner) *vault {
	if o.Type == "Team" {
		return s.teams[o.UID].vault
	}
	return s.principals[o.UID].vault
}

// user answers who the caller is. As at the server, all teams are in one workspace, and a team lists only its human
// members. Without an upload key, publicKey of a team is null, and managedSecrets of a user.
func (s *Server) user(c *call, _ arguments) (object, error) {
	p := c.caller
	teams := []any{}
	for _, t := range p.teams {
		teams = append(teams, object{
			"uid": t.uid, "name": t.name, "visibility": "OPEN",
			"managedSecrets": object{"publicKey": t.vault.publicKey()},
			"members":        s.members(t),
		})
	}
	keyOwner, kind := "User", "USER"
	profile := object{"uid": p.uid, "displayName": displayName(p.uid), "email": email(p.uid), "needsSsoLink": false}
	if p.service {
		keyOwner, kind = "Team", "SERVICE_ACCOUNT"
		profile["email"] = nil
	}
	me := object{
		"profile":    profile,
		"workspaces": []any{object{"uid": "Ws00000000000000000001", "name": "Workspace", "teams": teams}},
	}
	if p.vault != nil {
		me["managedSecrets"] = object{"publicKey": p.vault.publicKey()}
	}
	return answered("UserOutput", object{"apiKeyOwnerType": keyOwner, "principalType": kind, "user": me}), nil
}

// members lists the humans of a team, in order of their UIDs. The caller holds the lock.
func (s *Server) members(t *team) []any {
	members := []any{}
	for _, uid := range sortedKeys(s.principals) {
		if p := s.principals[uid]; !p.service && slices.Contains(p.teams, t) {
			members = append(members, object{
				"uid": uid, "email": email(uid), "displayName": displayName(uid), "role": "USER",
			})
		}
	}
	return members
}

func displayName(uid string) string {
	return "Principal " + strings.TrimPrefix(uid, serviceAccountPrefix)
}
func email(uid string) string { return strings.ToLower(uid) + "@example.com" }

// profile returns the REST form of a principal; {} for an unknown one.
func (s *Server) profile(uid string) object {
	p := s.principals[uid]
	if p == nil {
		return object{}
	}
	if p.service {
		return object{"type": "service_account", "uid": strings.TrimPrefix(uid, serviceAccountPrefix), "display_name": displayName(uid)}
	}
	return object{"type": "user", "uid": uid, "display_name": displayName(uid), "email": email(uid)}
}

// runOwner decides who owns a run: the X-Warp-Team-Uid header chooses among several teams, and a service
// account's runs are always its team's. The second result refuses.
func (s *Server) runOwner(c *call, wantsTeam *bool) (Owner, *answer) {
	p := c.caller
	header := c.Header.Get("X-Warp-Team-Uid")
	refuse := func(a answer) (Owner, *answer) { return Owner{}, &a }

	switch {
	case header != "" && !p.service && !p.sees(Owner{"Team", header}):
		return refuse(problem(c, http.StatusForbidden, "not_authorized", "not a member of the team in X-Warp-Team-Uid"))
	case !p.service && (wantsTeam != nil && !*wantsTeam || wantsTeam == nil && len(p.teams) != 1):
		return p.personal(), nil
	case header != "" && !p.service:
		return Owner{"Team", header}, nil
	case len(p.teams) == 1:
		return Owner{"Team", p.teams[0].uid}, nil
	case len(p.teams) == 0:
		return refuse(invalidRequest(c, "the caller is not on a team"))
	default:
		return refuse(invalidRequest(c, "the caller is on several teams: X-Warp-Team-Uid must name one"))
	}
}
