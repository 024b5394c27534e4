package report

import (
	"fmt"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

const (
	mostNodes    = 40 // of a graph; what is more is counted
	longestLabel = 60 // characters
)

// graphs draw, for each secret that several environments read, who they are and
// what they clone with it.
//
//	```mermaid
//	graph LR
//	  s["BITBUCKET_API_TOKEN"]
//	  s --> e0["acme-api"]
//	  e0 --> r0["acme/api"]
//	```
//
// Source: https://docs.github.com/get-started/writing-on-github/working-with-advanced-formatting/creating-diagrams
func graphs(p reconcile.Plan) []string {
	var list []string
	for i, s := range p.Secrets {
		var users []credential.User
		for _, e := range p.Environments {
			if e.Secret == i && e.Err == nil {
				users = append(users, e.User)
			}
		}
		if users = append(users, s.Others...); len(users) > 1 {
			list = append(list, graph(s.Name, users))
		}
	}
	return list
}

func graph(secret string, users []credential.User) string {
	var text strings.Builder
	fmt.Fprintf(&text, "#### Who reads the secret\n\n```mermaid\ngraph LR\n  s[%q]\n", label(secret))
	nodes := make(map[string]string) // by repository
	for i, user := range users {
		cloned := credential.Repositories([]credential.User{user})
		if 1+i+len(nodes)+1+len(cloned) >= mostNodes { // one is left for the count
			fmt.Fprintf(&text, "  s --> more[%q]\n", rest(users[i:], nodes))
			break
		}
		fmt.Fprintf(&text, "  s --> e%d[%q]\n", i, label(user.Name))
		for _, r := range cloned {
			node, drawn := nodes[identity(r)]
			if !drawn {
				node = fmt.Sprintf("r%d", len(nodes))
				nodes[identity(r)] = node
				node += fmt.Sprintf("[%q]", label(r.String()))
			}
			fmt.Fprintf(&text, "  e%d --> %s\n", i, node)
		}
	}
	return text.String() + "```\n"
}

// rest counts the environments that are not drawn, and the repositories that only
// they clone.
func rest(users []credential.User, drawn map[string]string) string {
	repositories := 0
	for _, r := range credential.Repositories(users) {
		if _, known := drawn[identity(r)]; !known {
			repositories++
		}
	}
	return fmt.Sprintf("%d more environments, %d more repositories", len(users), repositories)
}

// identity is the same for every spelling of one repository.
func identity(r bitbucket.Repository) string {
	return strings.ToLower(r.Host + r.Context + "/" + r.String())
}

// label is foreign text as a label of a graph: what could mean something there
// stands as the number of its character.
func label(text string) string {
	var safe strings.Builder
	for i, r := range []rune(text) {
		switch {
		case i == longestLabel:
			return safe.String() + "..."
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" ._-/~", r):
			safe.WriteRune(r)
		default:
			fmt.Fprintf(&safe, "#%d;", r)
		}
	}
	return safe.String()
}
