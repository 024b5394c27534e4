package setup

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// Words are commands as a person reviews them, one for one. What this program
// writes, to the letter, is said in words; everything else stands as it is:
//
//	clone https://bitbucket.org/acme/app.git into app; git reads $BITBUCKET_API_TOKEN
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
		said[command[0]] = "prepare git for " + origin + ": no prompt, no header of the image's own"
		said[command[1]] = fmt.Sprintf("log git in to %s; git reads $%s, %s", origin, c.Secret, c.Kind)
		if c.BearerOnly {
			said[command[1]] += " as Bearer only"
		}
	}
	for _, made := range clones {
		c := Clone{Repository: made.Repository, Auth: Helper, Branch: made.Branch, Depth: made.depth}
		text := "clone " + c.options() + c.Repository.CloneURL() + " into " + c.Repository.Directory()
		if secret := secrets[made.with]; secret != "" {
			text += "; git reads $" + secret
		}
		said[c.Command()] = text
	}
	words := slices.Clone(commands)
	for i := range words {
		words[i] = cmp.Or(said[words[i]], words[i])
	}
	return words
}

// form is what a login is made of, if it may be one of ours.
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

// inHelper finds the variable that a helper of ours reads.
var inHelper = regexp.MustCompile(`\$\{(\w+):\?`)
