package config

import (
	"strconv"
	"time"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
)

// rotation reads the inputs of the mode rotate.
func (p *parser) rotation() {
	c, in := &p.config, p.in
	r := &c.Rotation
	r.PreviousToken = p.secret("previous_token", in.PreviousToken, in.PreviousTokenFile)
	r.Password = p.password("bitbucket_password", in.BitbucketPassword, in.BitbucketPassFile)
	r.Mint = p.boolean("mint", in.Mint)
	if c.Mode != Rotate {
		if r.Mint {
			p.add("mint", "set mode: rotate, or leave it out", "does nothing in mode %s", c.Mode)
		}
		return
	}
	p.minting()
}

// rotated checks what one entry needs for a rotation.
func (p *parser) rotated() {
	c, in, r := &p.config, p.in, &p.config.Rotation
	if c.Mode != Rotate {
		return
	}
	if c.Flavor == bitbucket.DataCenter && len(c.Repositories)+len(c.TrustedHosts) == 0 {
		p.add("trusted_hosts", "give the server's origin, such as https://bitbucket.example.com, or repo_url", "is missing: the inputs do not say which Data Center may get the credentials")
	}
	if in.SecretName == "" && c.Flavor == "" {
		p.add("secret_name", "name the secret to rotate, or give repo_url or flavor, each of which implies a default name", "is missing")
	}
	if !r.PreviousToken.IsEmpty() && r.PreviousToken.Same(c.Token) {
		p.add("previous_token", "pass the token that is stored today", "is the same value as bitbucket_token")
	}
	switch {
	case !r.Mint:
	case c.Flavor == bitbucket.Cloud:
		p.add("mint", "make a token at "+tokensPage+" and give it as bitbucket_token", "works on Data Center only: Bitbucket Cloud has no REST API that makes tokens")
	case c.Flavor == "":
		p.add("flavor", "set flavor: datacenter, or give repo_url", "does not say that the server is Data Center, which mint needs")
	}
}

// flavorOfToken is the flavor to which the token's prefix belongs, empty for an unknown
// one.
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
	r.MintOwner = p.choice("mint_owner", in.MintOwner)
	r.Username = in.BitbucketUsername
	p.oneLine("bitbucket_username", in.BitbucketUsername)
	if !r.Mint {
		if in.BitbucketUsername != "" || !r.Password.IsEmpty() {
			p.add("bitbucket_username", "set mint: true, or leave it and bitbucket_password out", "does nothing without mint: true")
		}
		return
	}
	if hasPassword := !in.BitbucketPassword.IsEmpty() || in.BitbucketPassFile != ""; hasPassword != (r.Username != "") {
		p.add("bitbucket_username", "give both, or bitbucket_token alone", "must be given together with bitbucket_password")
	}
	days, err := strconv.Atoi(in.TokenExpiryDays)
	if err != nil || days < 1 || days > 3650 {
		p.add("token_expiry_days", "give a whole number from 1 to 3650", "is not a number of days")
	}
	r.ExpiryDays = days
	r.RevokeAfter = p.revokeAfter()
}

// revokeAfter reads a number of days, a duration, or never.
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
		p.add("revoke_after", "give whole days such as 3, a duration such as 12h, or never", "is not a duration")
		return 0
	}
	return after
}

// expiry reads when to warn that a token expires.
func (p *parser) expiry() {
	c, in := &p.config, p.in
	c.FailOnExpiry = p.boolean("fail_on_expiry", in.FailOnExpiry)
	days, err := strconv.Atoi(in.ExpiryWarning)
	if err != nil || days < 0 || days > 3650 {
		p.add("expiry_warning", "give a whole number from 0 to 3650", "is not a number of days")
	}
	c.ExpiryWarning = time.Duration(days) * 24 * time.Hour
}

// expires reads when the token expires.
func (p *parser) expires() {
	c, in := &p.config, p.in
	if in.TokenExpiresAt == "" {
		return
	}
	at, err := time.Parse(time.DateOnly, in.TokenExpiresAt)
	if err != nil {
		at, err = time.Parse(time.RFC3339, in.TokenExpiresAt)
	}
	if err != nil {
		p.add("token_expires_at", "give it as 2027-01-31 or 2027-01-31T12:00:00Z", "is not a date")
	}
	c.TokenExpiresAt = at.UTC()
}
