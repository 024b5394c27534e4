package config

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Names of variables and IDs.
//
// Source: POSIX.1-2017, 3.235 Name; the 22 characters of Warp's ServerId.
var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	serverID     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]{22}$`) })
)

// The names of the secret when none is given.
const (
	cloudSecretName      = "BITBUCKET_API_TOKEN"
	dataCenterSecretName = "BITBUCKET_TOKEN"
)

// longestVariable is how many bytes Linux allows for NAME=value in an environment.
const longestVariable = 128<<10 - 1

func (p *parser) names() {
	c, in := &p.config, p.in
	c.SecretName, c.SecretNameGiven = in.SecretName, in.SecretName != ""
	if (c.Mode != Test && c.Mode != Destroy) || c.Flavor != "" {
		c.SecretName = cmp.Or(in.SecretName, DefaultSecretName(c.Flavor))
	}
	c.OnSharedSecret = OnSharedSecret(p.choice("on_shared_secret", in.OnSharedSecret))
	if c.SecretName != "" {
		p.variableName("secret_name", c.SecretName)
	}
	if !c.Token.IsEmpty() && c.Token.Reveal() == c.SecretName {
		p.add("bitbucket_token", "pass the token's value", "is the name of the secret, not the token")
	}
	if length := len(c.Token.Reveal()); len(c.SecretName)+1+length > longestVariable {
		p.add("bitbucket_token", "check what was pasted", "is too long for an environment variable (%s)", plural.Of(length, "byte"))
	}
	for _, name := range nonBlankLines(in.EnvironmentSecrets) {
		p.variableName("environment_secrets", name)
		if name != c.SecretName && !slices.Contains(c.EnvironmentSecrets, name) {
			c.EnvironmentSecrets = append(c.EnvironmentSecrets, name)
		}
	}
	c.Team = in.Team
	c.Scope = warp.TeamOwner
	if p.choice("scope", in.Scope) == "personal" {
		c.Scope = warp.UserOwner
		if in.Team != "" {
			p.add("team", "leave one of them out", "is given, but scope is personal")
		}
	}
}

func (p *parser) variableName(input, name string) {
	if !variableName.MatchString(name) {
		p.add(input, "use letters, digits and _, not beginning with a digit", "is not the name of an environment variable")
	}
}

// DefaultSecretName is the name of the secret when none is given.
func DefaultSecretName(f bitbucket.Flavor) string {
	if f == bitbucket.DataCenter {
		return dataCenterSecretName
	}
	return cloudSecretName
}

func (p *parser) environment() {
	c, in := &p.config, p.in
	c.EnvironmentID = in.EnvironmentID
	if in.EnvironmentID != "" && !serverID().MatchString(in.EnvironmentID) {
		p.add("environment_id", "copy it from Oz or from the outputs of an earlier run", "is not an ID, which has 22 letters and digits")
	}
	c.EnvironmentName = in.EnvironmentName
	if in.EnvironmentName == "" && in.EnvironmentID == "" && len(c.Repositories) > 0 && c.Mode != Rotate {
		c.EnvironmentName = c.Primary().EnvironmentName()
	}
	p.oneLine("environment_name", in.EnvironmentName)
	c.Description = in.Description
	if n := utf8.RuneCountInString(in.Description); n > 240 {
		p.add("description", "shorten it", "has %s, and Oz allows 240", plural.Of(n, "character"))
	}
	c.DockerImage = in.DockerImage
	if in.DockerImage != "" && !p.holdsSecret(in.DockerImage) {
		const remedy = "give a reference such as ubuntu:24.04"
		switch {
		case isImage(in.DockerImage):
		case isImage(strings.ToLower(in.DockerImage)):
			p.add("docker_image", remedy, "%q is not an image: its name and its digest must be in lower case", in.DockerImage)
		default:
			p.add("docker_image", remedy, "%q is not an image", in.DockerImage)
		}
	}
}
