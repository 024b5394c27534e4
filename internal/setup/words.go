package setup

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Words returns commands as a person reviews them, one text for each. A command exactly as
// this program writes it is described in words; every other command is unchanged:
//
//	clone https://bitbucket.org/acme/app.git (branch main) with the secret BITBUCKET_API_TOKEN into app
func Words(commands []string) []string {
	said, secrets := make(map[string]string), make(map[string]string)
	clones, logins := read(commands)
	for _, l := range logins {
		c, ok := l.form()
		command, origin := c.LogIn(), c.Repository.Origin()
		if !ok || command[1] != l.command {
			continue
		}
		secrets[l.text] = c.Secret
		as := string(c.Kind)
		if c.BearerOnly {
			as += " as Bearer only"
		}
		said[command[0]] = "prepare git for " + origin + ": no prompts, no headers from the image"
		said[command[1]] = fmt.Sprintf("log git in to %s with the secret %s (%s)", origin, c.Secret, as)
	}
	for _, made := range clones {
		c := Clone{Repository: made.Repository, Auth: Helper, Branch: made.Branch, Depth: made.depth, Secret: secrets[made.with]}
		said[c.Command()] = c.words()
		if inside := inClone.FindAllStringSubmatch(made.Command, -1); made.own && inside != nil {
			c.Auth, c.Kind, c.Secret = URL, made.Kind, inside[len(inside)-1][1]
			said[c.Command()] = c.words() + fmt.Sprintf(" (clone_auth: url, %s)", c.Kind)
		}
	}
	words := slices.Clone(commands)
	for i := range words {
		words[i] = cmp.Or(said[words[i]], words[i])
	}
	return words
}

// words describes what the clone does. The secret is left out when it is not known.
func (c Clone) words() string {
	text := "clone " + c.Repository.CloneURL()
	var of []string
	if c.Branch != "" {
		of = append(of, "branch "+c.Branch)
	}
	if c.Depth > 0 {
		of = append(of, fmt.Sprintf("depth %d", c.Depth))
	}
	if len(of) > 0 {
		text += " (" + strings.Join(of, ", ") + ")"
	}
	if c.Secret != "" {
		text += " with the secret " + c.Secret
	}
	return text + " into " + c.Repository.Directory()
}

// form returns the Clone that a login was made from, if this program may have written it.
func (l login) form() (c Clone, ok bool) {
	path := "/scm/project/repo.git"
	if l.prefix == "https://bitbucket.org" {
		path = "/workspace/repo.git"
	}
	r, err := bitbucket.Parse(l.prefix+path, "")
	variable := inHelper.FindStringSubmatch(l.text)
	if err != nil || r.Origin() != l.prefix || variable == nil {
		return Clone{Auth: Helper}, false
	}
	return Clone{Repository: r, Auth: Helper, Secret: variable[1], Kind: kindOf(r, l.text), BearerOnly: strings.Contains(l.text, bearerOnly)}, true
}

// Each finds the variable that a command of this program reads: a helper, or a clone of
// the documented forms. In a clone the last match counts.
var (
	inHelper = regexp.MustCompile(`\$\{(\w+):\?`)
	inClone  = regexp.MustCompile(`(?::|Bearer )\$(\w+)["@]`)
)
