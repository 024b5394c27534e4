package config

import (
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// What to do about a missing token or key, with the page that says how.
const (
	tokenPage = "https://github.com/oz-bitbucket/oz-bitbucket/blob/main/docs/credentials.md#bitbucket-token"
	makeToken = "create a token that can read the repository, as " + tokenPage + " says, and pass it as a secret"
	makeKey   = "create an API key in Warp's settings, as " + warp.KeysPage + " says, and pass it as a secret"
)

// secrets reads the two secrets, from their values or their files.
func (p *parser) secrets() {
	c := &p.config
	c.Token = p.secret("bitbucket_token", p.in.BitbucketToken, p.in.BitbucketTokenFile)
	c.WarpAPIKey = p.secret("warp_api_key", p.in.WarpAPIKey, p.in.WarpAPIKeyFile)
	if p.config.Mode != importing && p.in.WarpAPIKey.IsEmpty() && p.in.WarpAPIKeyFile == "" {
		p.add("warp_api_key", makeKey, "is missing")
	}
	if p.many == nil {
		p.needToken()
	}
	if !c.Token.IsEmpty() && c.Token.Same(c.WarpAPIKey) {
		p.add("bitbucket_token", "pass the Bitbucket token", "is the same value as warp_api_key")
	} else if kind := foreign("", c.WarpAPIKey); kind != "" && !c.WarpAPIKey.HasPrefix("wk-") {
		p.add("warp_api_key", "pass the API key that Warp's settings show, which begins with wk-", "is %s", kind)
	}
}

// needToken reports a missing token when the mode needs one.
func (p *parser) needToken() {
	mintsByPassword := p.config.Mode == Rotate && p.in.BitbucketUsername != ""
	needed := p.config.Mode == Apply || p.config.Mode == Rotate && !mintsByPassword
	if needed && p.in.BitbucketToken.IsEmpty() && p.in.BitbucketTokenFile == "" {
		p.add("bitbucket_token", makeToken, "is missing")
	}
}

// secret reads a token or key and checks that it can be one.
func (p *parser) secret(name string, value sensitive.String, path string) sensitive.String {
	value = p.valueOrFile(name, value, path)
	if path != "" {
		name += "_file"
	}
	if slices.Contains(secretVariables, value.Reveal()) {
		p.add(name, "pass the variable's value", "is the name of a variable, not its value")
		return sensitive.String{} // the log may show a name
	}
	if found, ok := p.pastedFor(name, value.Reveal()); ok {
		if !found.public || len(lookalikes(value.Reveal())) > 0 || strings.ContainsAny(value.Reveal(), "?#") {
			p.hide(value.Reveal())
		}
		p.add(name, found.remedy, "%s", found.is)
		return sensitive.String{} // so that there are no other messages about it
	}
	p.bare(name, value.Reveal())
	return value
}

// valueOrFile reads a secret from its input or its file; both together are a mistake.
// No message shows the path: it may be the secret, put into the wrong input.
func (p *parser) valueOrFile(name string, value sensitive.String, path string) sensitive.String {
	switch {
	case path == "":
		return value
	case len(lookalikes(path)) > 0:
		return value // leaks reports it
	case !value.IsEmpty():
		p.add(name+"_file", "give one of the two", "%s is given too", name)
		return value
	}
	content, err := p.readFile(path)
	if err != nil {
		p.add(name+"_file", "give the path of a file that the job can read, not the secret itself", "cannot be read")
		return sensitive.String{}
	}
	text, ok := p.decoded(name+"_file", content)
	if !ok {
		return sensitive.String{}
	}
	value = sensitive.New(trim(text))
	if value.IsEmpty() {
		p.add(name+"_file", "put the secret into it", "names an empty file")
	}
	return value
}

// bare refuses a value that is not a secret alone, such as a whole header, and says
// what it is. It never shows the value.
func (p *parser) bare(name, value string) {
	bad, unseen := strings.IndexFunc(value, bitbucket.NotInToken), findings(value)
	switch {
	case value == "":
	case len(unseen) > 0:
		p.refuse(name, unseen[0])
	case strings.ContainsRune(value, '\n'):
		p.add(name, passBare+", on one line", "holds a line break")
	case strings.ContainsAny(value, " \t"):
		p.add(name, passBare, "holds white space")
	case bad >= 0:
		p.add(name, passBare+": printable ASCII without white space, quotes, backslash, $ or backquote",
			"holds a character that no token has, at position %d", bad+1)
	}
}

// secretVariables are the usual names of variables that hold a secret.
var secretVariables = []string{"WARP_API_KEY", "PREVIOUS_TOKEN", "BITBUCKET_PASSWORD", cloudSecretName, dataCenterSecretName}

// kind decides the kind of the token and checks that it fits the flavor.
func (p *parser) kind() {
	c := &p.config
	kind := bitbucket.TokenKind(p.choice("token_kind", p.in.TokenKind))
	flavor := c.Flavor
	if flavor == "" {
		return
	}
	c.TokenKind, c.KindCertain = kind, true
	switch {
	case kind == "auto" || kind == "":
		c.TokenKind, c.KindCertain = bitbucket.KindOf(flavor, c.Token.HasPrefix)
	case !slices.Contains(flavor.TokenKinds(), kind):
		p.add("token_kind", "leave it at auto", "flavor %s has no %s", flavor, kind)
	}
	if kind := foreign(flavor, c.Token); kind != "" && c.Mode != Destroy && c.Token.Reveal() != c.WarpAPIKey.Reveal() {
		place := "Bitbucket's flavor " + string(flavor)
		if len(c.Repositories) > 0 {
			place = c.Primary().Origin()
		}
		p.add("bitbucket_token", "create a token on the Bitbucket that holds the repository", "is %s, which cannot work with %s", kind, place)
	}
}

// foreign names the kind of a token that cannot work with the flavor. It is empty for
// other tokens, and for one that bare has refused.
func foreign(flavor bitbucket.Flavor, secret sensitive.String) string {
	if strings.ContainsFunc(secret.Reveal(), bitbucket.NotInToken) {
		return ""
	}
	return bitbucket.ForeignKind(flavor, secret.HasPrefix)
}

// shortestLeak is the least length of a password that is searched for in other inputs:
// a shorter one may be part of an ordinary word.
const shortestLeak = 8

// leaks refuses inputs that hold the text of a secret: everyone who can see the
// environment or the log could read it.
func (p *parser) leaks() {
	c := &p.config
	texts := p.in.texts()
	if p.in.SecretName == "" {
		texts = append(texts, text{"secret_name", c.SecretName})
	}
	if p.in.EnvironmentName == "" {
		texts = append(texts, text{"environment_name", c.EnvironmentName})
	}
	isName := c.Token.Reveal() == c.SecretName // names reports it
	for _, text := range texts {
		if found := p.undeclared(text.value); len(found) > 0 && text.input != "setup_commands" { // spelledOut reports it
			remedy := "take it out, and revoke it if it is real"
			if strings.HasSuffix(text.input, "_file") && text.input != "output_file" && text.input != "report_file" {
				remedy = "give the path of a file that the job can read, not the secret itself, and revoke it if it is real"
			}
			p.add(text.input, remedy, "holds what looks like %s", found[0].kind)
		}
		if c.Token.In(text.value) && !isName {
			p.add(text.input, "take it out; in setup_commands, write $"+c.SecretName, "holds the value of bitbucket_token")
		}
		if c.WarpAPIKey.In(text.value) {
			p.add(text.input, "take it out", "holds the value of warp_api_key")
		}
		if c.Rotation.PreviousToken.In(text.value) {
			p.add(text.input, "take it out", "holds the value of previous_token")
		}
		if password := c.Rotation.Password; len(password.Reveal()) >= shortestLeak && password.In(text.value) {
			p.add(text.input, "take it out", "holds the value of bitbucket_password")
		}
	}
	p.forget()
}

// forget empties refused inputs, so that the outputs of the refused job neither show
// them nor go to such a file.
func (p *parser) forget() {
	c := &p.config
	for _, shown := range []*string{&c.SecretName, &c.EnvironmentID, &c.EnvironmentName, &c.OutputFile, &c.ReportFile, &c.Manifest} {
		if p.holdsSecret(*shown) {
			*shown = ""
		}
	}
}

// holdsSecret reports whether leaks will refuse text.
func (p *parser) holdsSecret(text string) bool {
	if p.many != nil && p.many.entry != nil {
		return false // spelledInFile has removed those
	}
	return len(lookalikes(text)) > 0 || slices.ContainsFunc(p.config.Secrets(), func(secret sensitive.String) bool { return secret.In(text) })
}
