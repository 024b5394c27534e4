package config

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// importing stands for the command import. It is not a mode, and no input can set it.
const importing Mode = "import"

// Import holds the inputs of the command import.
type Import struct {
	Job   Job             // connection and secrets, with one entry for the Bitbucket token
	Place bitbucket.Place // to list; the zero value: what exists in Oz
	Login bitbucket.Login // how to log in for that list
}

// ofImport are the inputs that import reads, besides secrets.
var ofImport = []string{"repo_url", "flavor", "allow_http", "token_kind", "bitbucket_username", "warp_server_url", "ca_certificate"}

// ParseImport reads the inputs of the command import, as Parse does those of a job. Inputs
// that it does not use draw a warning.
func ParseImport(values map[string]string, readFile func(path string) ([]byte, error)) (Import, error) {
	in, err := read(values)
	if err != nil {
		return Import{}, err
	}
	i := Import{Job: Job{Mode: importing, Entries: make([]Entry, 1)}}
	p := parser{in: in, readFile: readFile, config: config{&i.Job, &i.Job.Entries[0]}}
	p.unseen()
	p.pasted()
	p.secrets()
	p.place(&i)
	p.connection()
	p.leaks()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if input, known := tableAt[name]; known && input.kind != "" && !slices.Contains(ofImport, name) && trim(values[name]) != input.Default {
			p.warn("%s does nothing in import", name)
		}
	}
	return i, p.problems.Err()
}

// place reads where repositories are to be listed, and how the token is presented there.
func (p *parser) place(i *Import) {
	c := &p.config
	flavor := p.flavor()
	c.AllowHTTP = p.boolean("allow_http", p.in.AllowHTTP)
	kind := bitbucket.TokenKind(p.choice("token_kind", p.in.TokenKind))
	if p.in.Manifest != "" {
		p.add("manifest", "leave it out", "is given, but import writes a manifest")
	}
	urls := nonBlankLines(p.in.RepoURL)
	switch {
	case len(urls) == 0:
		if p.in.WarpAPIKey.IsEmpty() && p.in.WarpAPIKeyFile == "" {
			p.add("warp_api_key", makeKey+", or give the page of a project or workspace as repo_url", "is missing")
		}
		return
	case len(urls) > 1:
		p.add("repo_url", "run import for each of them", "names several pages")
		return
	}
	place, err := bitbucket.ParsePlace(urls[0], flavor)
	if err != nil {
		p.urlProblem(err)
		return
	}
	if place.Home.InClear() && !c.AllowHTTP {
		p.add("repo_url", "use https://, or set allow_http: true", "%s would send the token in clear text", place.Home.Origin())
	}
	i.Place, c.Flavor = place, place.Home.Flavor
	if p.in.BitbucketToken.IsEmpty() && p.in.BitbucketTokenFile == "" {
		p.add("bitbucket_token", makeToken, "is missing")
		return
	}
	if what := foreign(c.Flavor, c.Token); what != "" {
		p.add("bitbucket_token", "create a token on the Bitbucket that holds the repositories", "is %s, which cannot work with %s", what, place.Home.Origin())
		return
	}
	i.Login.Bearer = true
	if kind == "auto" {
		if found, certain := bitbucket.KindOf(c.Flavor, c.Token.HasPrefix); certain {
			kind = found
		}
	}
	if c.Flavor == bitbucket.Cloud && kind == bitbucket.APIToken {
		i.Login = bitbucket.Login{User: p.in.BitbucketUsername}
		if p.in.BitbucketUsername == "" {
			p.add("bitbucket_token", "give that address as bitbucket_username, or use an access token of the workspace or project", "is an API token, which lists repositories only together with its account's e-mail address")
		}
	}
}

// DesiredEntry reads a manifest of one entry as plan does. The entry needs no token.
func (i Import) DesiredEntry(text string) (Entry, error) {
	values := map[string]string{"mode": string(Plan), "manifest": "import", "warp_api_key": i.Job.WarpAPIKey.Reveal()}
	job, err := Parse(values, func(string) ([]byte, error) { return []byte(text), nil }, func(string) string { return "" })
	switch {
	case err != nil:
		return Entry{}, err
	case len(job.Entries) != 1:
		return Entry{}, errors.New(plural.Of(len(job.Entries), "entry"))
	}
	return job.Entries[0], nil
}

// Hides reports whether a text holds a secret of the job or something that looks like
// one: a token with a known prefix, or any value in place of a variable.
func (i Import) Hides(text string) bool {
	isIn := func(secret sensitive.String) bool { return secret.In(text) }
	return len(lookalikes(text)) > 0 || spelledLogin().MatchString(text) || slices.ContainsFunc(i.Job.Secrets(), isIn)
}

// spelledLogin finds a password in a URL, or a credential in a header, that is not a
// variable.
var spelledLogin = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`://[^\s/@:]*:[^\s/@$%]+@|(?i:authorization:\s*(?:bearer|basic)\s+)[^\s"'$%]`)
})

// ManifestKeys are the keys of an entry: first those that cannot be defaults, then the
// others in the order of the inputs.
func ManifestKeys() []manifest.Key {
	var own, others []manifest.Key
	for _, key := range manifestKeys() {
		switch {
		case key.Elsewhere != "" || key.Name == tokenVariable:
		case key.Own:
			own = append(own, key)
		default:
			others = append(others, key)
		}
		if key.Name == "secret_name" {
			others = append(others, manifest.Key{Name: tokenVariable})
		}
	}
	return append(own, others...)
}

// IsInput reports whether a variable is one of an input.
func IsInput(variable string) bool {
	_, is := tableAt[strings.ToLower(variable)]
	return is
}
