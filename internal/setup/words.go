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
	said := make(map[string]string)
	clones, logins := read(commands)
	for _, l := range logins {
		c := l.form()
		command, origin := c.LogIn(), c.Repository.Origin()
		said[command[0]] = "prepare git for " + origin + ": no prompt, no header of the image's own"
		said[command[1]] = fmt.Sprintf("log git in to %s; git reads $%s, %s", origin, c.Secret, c.Kind)
		if c.BearerOnly {
			said[command[1]] += " as Bearer only"
		}
	}
	for _, made := range clones {
		c := Clone{Repository: made.Repository, Auth: Helper, Branch: made.Branch, Depth: made.depth}
		text := "clone " + c.options() + c.Repository.CloneURL() + " into " + c.Repository.Directory()
		if variable := inHelper.FindStringSubmatch(made.with); variable != nil {
			text += "; git reads $" + variable[1]
		}
		said[c.Command()] = text
	}
	words := slices.Clone(commands)
	for i := range words {
		words[i] = cmp.Or(said[words[i]], words[i])
	}
	return words
}

// form is what a login is made of, if it is one of ours.
func (l login) form() Clone {
	c := Clone{Auth: Helper, BearerOnly: strings.Contains(l.text, bearerOnly)}
	c.Repository.Scheme, c.Repository.Host, _ = strings.Cut(l.prefix, "://")
	if c.Repository.Flavor = bitbucket.DataCenter; c.Repository.Host == "bitbucket.org" {
		c.Repository.Flavor = bitbucket.Cloud
	}
	c.Kind = kindOf(c.Repository, l.text)
	if variable := inHelper.FindStringSubmatch(l.text); variable != nil {
		c.Secret = variable[1]
	}
	return c
}

// inHelper finds the variable that a helper of ours reads.
var inHelper = regexp.MustCompile(`\$\{(\w+):\?`)
