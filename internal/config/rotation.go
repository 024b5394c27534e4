package config

import (
	"strconv"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// rotation reads what only the mode rotate takes.
func (p *parser) rotation() {
	c, in := &p.config, p.in
	r := &c.Rotation
	r.PreviousToken = p.secret("previous_token", in.PreviousToken, in.PreviousTokenFile)
	r.Mint = p.boolean("mint", in.Mint)
	if c.Mode != Rotate {
		if r.Mint {
			p.problems.Addf("mint", "set mode: rotate, or leave it out", "does nothing in mode %s", c.Mode)
		}
		return
	}
	if c.Flavor == "" {
		c.Flavor = p.flavorOfToken()
	}
	if in.SecretName == "" && c.Flavor == "" {
		p.problems.Add("secret_name", "is missing", "name the secret to rotate, or give repo_url or flavor, which have a default name")
	}
	if !r.PreviousToken.IsEmpty() && r.PreviousToken.Reveal() == c.Token.Reveal() {
		p.problems.Add("previous_token", "is the same value as bitbucket_token", "pass the token that is stored today")
	}
	p.minting()
}

// flavorOfToken is the flavor that the token's prefix tells, empty for none.
func (p *parser) flavorOfToken() bitbucket.Flavor {
	for _, flavor := range []bitbucket.Flavor{bitbucket.Cloud, bitbucket.DataCenter} {
		other := bitbucket.Cloud
		if flavor == bitbucket.Cloud {
			other = bitbucket.DataCenter
		}
		has := p.config.Token.HasPrefix
		if bitbucket.ForeignKind(flavor, has) == "" && bitbucket.ForeignKind(other, has) != "" {
			return flavor
		}
	}
	return ""
}

// tokensPage is where a person makes a Cloud API token.
const tokensPage = "https://id.atlassian.com/manage-profile/security/api-tokens"

func (p *parser) minting() {
	c, in := &p.config, p.in
	r := &c.Rotation
	r.MintOwner = p.choice("mint_owner", in.MintOwner, "auto", "user", "project", "repository")
	r.Username = in.BitbucketUsername
	p.oneLine("bitbucket_username", in.BitbucketUsername)
	r.Password = p.valueOrFile("bitbucket_password", in.BitbucketPassword, in.BitbucketPassFile)
	if !r.Mint {
		if in.BitbucketUsername != "" || !r.Password.IsEmpty() {
			p.problems.Add("bitbucket_username", "does nothing without mint: true", "set mint: true, or leave it and bitbucket_password out")
		}
		return
	}
	switch {
	case c.Flavor == bitbucket.Cloud:
		p.problems.Add("mint", "is for Data Center: Bitbucket Cloud makes no tokens over REST", "make a token at "+tokensPage+" and rotate to it with bitbucket_token")
	case c.Flavor == "":
		p.problems.Add("flavor", "does not tell that this is Data Center, which mint needs", "set flavor: datacenter, or give repo_url")
	}
	if (r.Username == "") != r.Password.IsEmpty() {
		p.problems.Add("bitbucket_username", "and bitbucket_password belong together", "give both, or bitbucket_token alone")
	}
	days, err := strconv.Atoi(in.TokenExpiryDays)
	if err != nil || days < 1 || days > 3650 {
		p.problems.Add("token_expiry_days", "is no number of days", "give a whole number from 1 to 3650")
	}
	r.ExpiryDays = days
	r.RevokeAfter = p.revokeAfter()
}

// revokeAfter reads whole days, a duration, or never.
func (p *parser) revokeAfter() time.Duration {
	text := p.in.RevokeAfter
	if text == "never" {
		return -1
	}
	after, err := time.ParseDuration(text)
	if days, notNumber := strconv.Atoi(text); notNumber == nil && days <= 3650 {
		after, err = time.Duration(days)*24*time.Hour, nil
	}
	if err != nil || after < 0 {
		p.problems.Add("revoke_after", "is no time", "give whole days such as 3, a duration such as 12h, or never")
		return 0
	}
	return after
}

// expiry reads when the token ends and when to say so.
func (p *parser) expiry() {
	c, in := &p.config, p.in
	c.FailOnExpiry = p.boolean("fail_on_expiry", in.FailOnExpiry)
	days, err := strconv.Atoi(in.ExpiryWarning)
	if err != nil || days < 0 || days > 3650 {
		p.problems.Add("expiry_warning", "is no number of days", "give a whole number from 0 to 3650")
	}
	c.ExpiryWarning = time.Duration(days) * 24 * time.Hour
	if in.TokenExpiresAt == "" {
		return
	}
	at, err := time.Parse(time.DateOnly, in.TokenExpiresAt)
	if err != nil {
		at, err = time.Parse(time.RFC3339, in.TokenExpiresAt)
	}
	if err != nil {
		p.problems.Add("token_expires_at", "is no date", "give it as 2027-01-31 or 2027-01-31T12:00:00Z")
	}
	c.TokenExpiresAt = at.UTC()
}
