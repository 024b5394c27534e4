package config

import (
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// declared is a secret of the job, and what messages call it.
type declared struct{ what, lower string }

// declared lists the secrets of the job that are looked for in a manifest.
func (p *parser) declared() []declared {
	c := p.config
	var list []declared
	add := func(what string, secret sensitive.String) {
		if !secret.IsEmpty() {
			list = append(list, declared{"the value of " + what, strings.ToLower(secret.Reveal())})
		}
	}
	add("bitbucket_token", c.Token)
	add("warp_api_key", c.WarpAPIKey)
	add("previous_token", c.Rotation.PreviousToken)
	if len(c.Rotation.Password.Reveal()) >= shortestLeak {
		add("bitbucket_password", c.Rotation.Password)
	}
	for _, name := range c.Variables {
		add("the variable "+name, p.many.tokens[name])
	}
	return list
}

// spelledRemedy is what to do about a secret in the file.
const spelledRemedy = "take it out, and revoke it if it is real"

// spelledInFile refuses a manifest that holds a secret, also in a comment: one of the
// job's, or a word that looks like a token. It never shows the secret. A value that
// holds one is not checked any further.
func (p *parser) spelledInFile() {
	m, lines := p.many, p.many.file.Lines()
	values := map[string]bool{} // texts without YAML's escapes, and whether each holds a secret
	for _, entry := range m.file.Entries {
		for _, value := range entry.Values {
			values[value.Text] = false
		}
	}
	for _, line := range lines {
		p.hideLookalikes(line)
	}
	for value := range values {
		p.hideLookalikes(value)
	}
	secrets := p.declared()
	var inText []declared // secrets that a line holds without escapes
	whole := strings.ToLower(strings.Join(lines, "\n"))
	for _, secret := range secrets {
		if strings.Contains(whole, secret.lower) {
			inText = append(inText, secret)
		}
	}
	seen := map[spelled]bool{}
	for i, line := range lines {
		for _, found := range p.spells(line, inText) {
			seen[found] = true
			column := len(line) - len(strings.TrimLeft(line, " ")) + 1
			p.problems.Append(problem.Problem{Summary: "the line holds " + found.what, Remedy: spelledRemedy, Place: m.file.Place(manifest.Position{Line: i + 1, Column: column})})
		}
	}
	for value := range values {
		values[value] = len(p.spells(value, secrets)) > 0
	}
	for i := range m.file.Entries {
		entry := &m.file.Entries[i]
		for key, value := range entry.Values {
			if !values[value.Text] {
				continue
			}
			for _, found := range p.spells(value.Text, secrets) {
				hidden := problem.Problem{Input: key, Summary: "holds " + found.what, Remedy: spelledRemedy, Place: m.file.Place(value.Position)}
				hidden.Place.Text = redact.Marker // the line holds it with escapes
				if !seen[found] && !m.again(hidden) {
					p.problems.Append(hidden)
				}
			}
			value.Text, value.Refused = "", true
			entry.Values[key] = value
		}
	}
}

// spelled is a secret in the file: what it is, and its text.
type spelled struct{ what, text string }

// spells lists the secrets that a text holds.
func (p *parser) spells(text string, secrets []declared) []spelled {
	var list []spelled
	if found := p.undeclared(text); len(found) > 0 {
		list = append(list, spelled{"what looks like " + found[0].kind, found[0].word})
	}
	lower := text
	if len(secrets) > 0 {
		lower = strings.ToLower(text)
	}
	for _, secret := range secrets {
		if strings.Contains(lower, secret.lower) {
			list = append(list, spelled{secret.what, secret.lower})
		}
	}
	return list
}

// mostHidden bounds how many words of a file the host is told to mask. The program's
// own messages do not depend on it: they quote neither these values nor their lines.
const mostHidden = 100

// hideLookalikes hides the words of a text that look like a token in everything that is
// printed.
func (p *parser) hideLookalikes(text string) {
	for _, found := range lookalikes(text) {
		if !p.many.hidden[found.word] && len(p.many.hidden) < mostHidden {
			p.many.hidden[found.word] = true
			p.config.Pasted = append(p.config.Pasted, sensitive.New(found.word))
		}
	}
}
