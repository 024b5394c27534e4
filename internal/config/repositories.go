package config

import (
	"cmp"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// flavor is the one that the inputs name, empty for none.
func (p *parser) flavor() bitbucket.Flavor {
	switch flavor := bitbucket.Flavor(p.choice("flavor", p.in.Flavor)); flavor {
	case "auto":
		return ""
	case "server":
		return bitbucket.DataCenter
	default:
		return flavor
	}
}

func (p *parser) repositories() {
	flavor := p.flavor()
	urls := nonBlankLines(p.in.RepoURL)
	if needed := p.config.Mode == Apply || p.config.Mode == Plan; needed && len(urls) == 0 {
		p.add("repo_url", "give the repository's HTTPS clone URL, such as https://bitbucket.org/your-workspace/your-repo.git", "is missing")
	}
	p.config.AllowHTTP = p.boolean("allow_http", p.in.AllowHTTP)
	for _, text := range urls {
		repository, err := bitbucket.Parse(text, flavor)
		if err != nil {
			p.urlProblem(err)
			continue
		}
		if repository.InClear() && !p.config.AllowHTTP {
			p.add("repo_url", "use https://, or set allow_http: true", "%s would send the token in clear text", repository.CloneURL())
		}
		p.config.Repositories = append(p.config.Repositories, repository)
	}
	p.config.Flavor = cmp.Or(p.config.Primary().Flavor, flavor)
	p.together()
}

func (p *parser) urlProblem(err error) {
	if e, ok := err.(*bitbucket.URLError); ok {
		p.add("repo_url", e.Remedy, "%s", e.Reason)
		return
	}
	p.add("repo_url", "", "%v", err)
}

// together checks what several repositories must have in common.
func (p *parser) together() {
	repositories := p.config.Repositories
	for i, r := range repositories {
		for _, before := range repositories[:i] {
			switch {
			case r.Same(before):
				p.add("repo_url", "name it once", "%s is given twice", r.CloneURL())
			case strings.EqualFold(r.Directory(), before.Directory()):
				p.add("repo_url", "give them environments of their own", "%s and %s would both be cloned into %s", before, r, r.Directory())
			}
		}
	}
	for _, r := range repositories {
		if r.Origin() != repositories[0].Origin() {
			p.add("repo_url", "give each host an environment of its own", "%s and %s are on different hosts, but a token is for one host", repositories[0].CloneURL(), r.CloneURL())
			return
		}
	}
}
