package warpsim

import (
	"net/http"
	"slices"
)

// factory is the part of a Warp Factory that can use an environment or a secret.
type factory struct {
	uid, name, environment string
	secrets                []string
}

// factoriesPerPage is how many factories an answer holds at most.
const factoriesPerPage = 2

// AddFactory stores a factory that everyone sees. Its default environment may be empty.
func (s *Server) AddFactory(uid, name, defaultEnvironment string, secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.factories = append(s.factories, factory{uid, name, defaultEnvironment, slices.Clone(secrets)})
}

// listFactories lists a page of factories, oldest first. A cursor is the UID of the last one before the page.
func (s *Server) listFactories(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.NoFactories || len(s.factories) == 0 {
		return noEndpoint()
	}
	left := s.factories
	if cursor := c.URL.Query().Get("cursor"); cursor != "" {
		last := slices.IndexFunc(left, func(f factory) bool { return f.uid == cursor })
		if last < 0 {
			return invalidRequest(c, "the cursor is unknown")
		}
		left = left[last+1:]
	}
	page := left[:min(len(left), factoriesPerPage)]
	items := []any{}
	for _, f := range page {
		items = append(items, object{
			"uid": f.uid, "name": f.name, "default_environment": f.environment,
			"agent_defaults": object{"secrets": append([]string{}, f.secrets...)},
		})
	}
	info := object{"has_next_page": len(left) > len(page)}
	if len(left) > len(page) {
		info["next_cursor"] = page[len(page)-1].uid
	}
	s.counts[c.operation]++
	return ok(object{"factories": items, "page_info": info})
}

// egressRanges lists the addresses from which runs reach the network.
func (s *Server) egressRanges(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.options.EgressRanges) == 0 {
		return noEndpoint()
	}
	s.counts[c.operation]++
	return ok(object{"cidrs": s.options.EgressRanges})
}

// noEndpoint answers as a server that is older than the endpoint: a 404 without Warp's error document.
func noEndpoint() answer {
	return answer{http.StatusNotFound, "text/plain; charset=utf-8", []byte("404 page not found\n")}
}
