package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/credential"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/reconcile"
)

const (
	mostNodes    = 40 // of a graph; a last node counts the rest
	longestLabel = 60 // characters
)

// graph draws which environments read the secrets of a plan, and what these clone with them.
// It is empty for a single environment. Environments that change come first, and what does
// not fit is counted.
//
//	```mermaid
//	graph LR
//	  s0["BITBUCKET_API_TOKEN"] --> e0["acme-api"]
//	  e0 --> r0["acme/api"]
//	```
//
// Source: https://docs.github.com/get-started/writing-on-github/working-with-advanced-formatting/creating-diagrams
func graph(p reconcile.Plan) string {
	all := readers(p)
	if len(all) < 2 {
		return ""
	}
	title := "#### Who reads the secret\n\n"
	if len(p.Secrets) > 1 {
		title = "#### Who reads which secret\n\n"
	}
	d := drawing{most: mostNodes, drawn: map[string]string{}}
	if left := d.draw(all); len(left) > 0 {
		slices.SortStableFunc(all, func(a, b reader) int { return a.rank - b.rank })
		d = drawing{most: mostNodes - 1, drawn: map[string]string{}} // one node is for the count
		left = d.draw(all)
		fmt.Fprintf(&d.text, "  more[%q]\n", d.rest(left))
		title += fmt.Sprintf("The graph shows %d of %s, those that change first.\n\n", count(all)-count(left), plural.Of(count(all), "environment"))
	}
	return title + "```mermaid\ngraph LR\n" + d.text.String() + "```\n"
}

// reader is an environment that reads a secret.
type reader struct {
	secret, environment string // identities
	name                string // of the secret
	user                credential.User
	rank                int // lower when it changes
}

func readers(p reconcile.Plan) []reader {
	var list []reader
	for i, s := range p.Secrets {
		add := func(user credential.User, rank int) {
			r := reader{fmt.Sprint("s", i), "e" + user.UID, s.Name, user, rank}
			if user.UID == "" {
				r.environment = fmt.Sprint("new ", len(list))
			}
			list = append(list, r)
		}
		for _, e := range p.Environments {
			switch {
			case e.Secret != i || e.Err != nil:
			case changes(e):
				add(e.User, 0)
			default:
				add(e.User, 1)
			}
		}
		for _, user := range s.Others {
			add(user, 2)
		}
	}
	return list
}

// count returns the number of environments of readers.
func count(list []reader) int {
	known := map[string]bool{}
	for _, r := range list {
		known[r.environment] = true
	}
	return len(known)
}

// drawing is a graph with at most so many nodes as most.
type drawing struct {
	most  int
	drawn map[string]string // nodes by what they stand for
	text  strings.Builder
	kinds [3]int // of secrets, environments and repositories
}

// draw draws the readers for which there is room, and returns the others.
func (d *drawing) draw(list []reader) (left []reader) {
	for _, r := range list {
		cloned := credential.Repositories([]credential.User{r.user})
		missing := 0
		for _, key := range append(identities(cloned), r.secret, r.environment) {
			if d.drawn[key] == "" {
				missing++
			}
		}
		if len(d.drawn)+missing > d.most {
			left = append(left, r)
			continue
		}
		fmt.Fprintf(&d.text, "  %s --> %s\n", d.node(0, r.secret, r.name), d.node(1, r.environment, r.user.Name))
		for i, key := range identities(cloned) {
			fmt.Fprintf(&d.text, "  %s --> %s\n", d.drawn[r.environment], d.node(2, key, cloned[i].String()))
		}
	}
	return left
}

// node returns a node, with its label when it is used for the first time.
func (d *drawing) node(kind int, key, text string) string {
	if node := d.drawn[key]; node != "" {
		return node
	}
	d.drawn[key] = fmt.Sprintf("%c%d", "ser"[kind], d.kinds[kind])
	d.kinds[kind]++
	return fmt.Sprintf("%s[%q]", d.drawn[key], label(text))
}

// rest counts the environments that are not drawn, and the repositories that only
// they clone.
func (d *drawing) rest(left []reader) string {
	missing := map[string]bool{}
	for _, r := range left {
		for _, key := range identities(credential.Repositories([]credential.User{r.user})) {
			if d.drawn[key] == "" {
				missing[key] = true
			}
		}
	}
	return plural.Of(count(left), "more environment") + ", " + plural.Of(len(missing), "more repository")
}

// identities returns texts that are the same for every spelling of a repository.
func identities(repositories []bitbucket.Repository) []string {
	list := make([]string, len(repositories))
	for i, r := range repositories {
		list[i] = strings.ToLower("r" + r.Host + r.Context + "/" + r.String())
	}
	return list
}

// label returns foreign text as a label of a graph: characters that could mean something
// there are written as numbers.
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
