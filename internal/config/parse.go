package config

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distribution/reference"

	"github.com/oz-bitbucket/oz-bitbucket/internal/bitbucket"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/setup"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// Parse reads inputs by name. The error holds every problem that the inputs
// alone can tell (problem.All), and the Config is then filled as far as it
// could be. Files that inputs name are read with readFile.
func Parse(values map[string]string, readFile func(path string) ([]byte, error)) (Config, error) {
	in, err := read(values)
	if err != nil {
		return Config{}, err
	}
	p := parser{in: in, readFile: readFile}
	p.parse()
	return p.config, p.problems.Err()
}

// parser collects a Config and what is wrong with it.
type parser struct {
	in       inputs
	readFile func(string) ([]byte, error)
	config   Config
	problems problem.List
}

func (p *parser) parse() {
	in, c := p.in, &p.config
	c.OutputFile = in.OutputFile
	c.Mode = Mode(p.choice("mode", in.Mode, "apply", "plan", "rotate", "destroy"))
	if c.Mode == Destroy {
		p.problems.Addf("mode", "use apply, plan or rotate", "%s is not in this version", c.Mode)
	}
	p.secrets()
	p.repositories()
	p.rotation()
	p.expiry()
	p.token()
	p.names()
	p.environment()
	p.setup()
	p.smokeTest()
	p.connection()
	c.VerifyToken = p.boolean("verify_token", in.VerifyToken)
	c.RequireWrite = p.boolean("require_write", in.RequireWrite)
	c.DetailedExitcode = p.boolean("detailed_exitcode", in.DetailedExitcode)
	p.leaks()
}

// secrets reads the two secrets, from their values or their files.
func (p *parser) secrets() {
	c := &p.config
	c.Token = p.secret("bitbucket_token", p.in.BitbucketToken, p.in.BitbucketTokenFile)
	c.WarpAPIKey = p.secret("warp_api_key", p.in.WarpAPIKey, p.in.WarpAPIKeyFile)
	if c.WarpAPIKey.IsEmpty() && p.in.WarpAPIKeyFile == "" {
		p.problems.Add("warp_api_key", "is missing", "create an API key in Warp's settings and pass it as a secret")
	}
	mintsByPassword := c.Mode == Rotate && p.in.BitbucketUsername != ""
	if c.Token.IsEmpty() && p.in.BitbucketTokenFile == "" && c.Mode != Plan && !mintsByPassword {
		p.problems.Add("bitbucket_token", "is missing", "create a token that can read the repository and pass it as a secret")
	}
	if !c.Token.IsEmpty() && c.Token.Reveal() == c.WarpAPIKey.Reveal() {
		p.problems.Add("bitbucket_token", "is the same value as warp_api_key", "pass the Bitbucket token")
	}
}

// secret reads a token or key from its value or its file.
func (p *parser) secret(name string, value sensitive.String, path string) sensitive.String {
	value = p.valueOrFile(name, value, path)
	if bad := strings.IndexFunc(value.Reveal(), notInToken); bad >= 0 {
		if path != "" {
			name += "_file"
		}
		p.problems.Addf(name, "paste the bare value: printable ASCII without white space, quotes, backslash, $ or backquote",
			"holds a character that no token has, at position %d", bad+1)
	}
	return value
}

// valueOrFile reads a secret from its value or its file.
func (p *parser) valueOrFile(name string, value sensitive.String, path string) sensitive.String {
	if path == "" {
		return value
	}
	if !value.IsEmpty() {
		p.problems.Addf(name+"_file", "give one of the two", "%s is given too", name)
		return value
	}
	content, err := p.readFile(path)
	if err != nil {
		p.problems.Addf(name+"_file", "name a file that the job can read", "cannot read %s", path)
		return sensitive.String{}
	}
	value = sensitive.New(trim(string(content)))
	if value.IsEmpty() {
		p.problems.Addf(name+"_file", "put the secret into it", "%s is empty", path)
	}
	return value
}

// notInToken reports whether no token of Bitbucket or Warp holds r.
func notInToken(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("'\"\\$`", r)
}

func (p *parser) repositories() {
	flavor := bitbucket.Flavor(p.choice("flavor", p.in.Flavor, "auto", "cloud", "datacenter", "server"))
	switch flavor {
	case "auto":
		flavor = ""
	case "server":
		flavor = bitbucket.DataCenter
	}
	urls := lines(p.in.RepoURL)
	if len(urls) == 0 && p.config.Mode != Rotate {
		p.problems.Add("repo_url", "is missing", "give the repository's HTTPS clone URL, such as https://bitbucket.org/your-workspace/your-repo.git")
	}
	p.config.AllowHTTP = p.boolean("allow_http", p.in.AllowHTTP)
	for _, text := range urls {
		repository, err := bitbucket.Parse(text, flavor)
		if err != nil {
			p.urlProblem(err)
			continue
		}
		if repository.InClear() && !p.config.AllowHTTP {
			p.problems.Addf("repo_url", "use https://, or set allow_http: true", "%s would send the token in clear text", repository.CloneURL())
		}
		p.config.Repositories = append(p.config.Repositories, repository)
	}
	p.config.Flavor = cmp.Or(p.config.Primary().Flavor, flavor)
	p.together()
}

func (p *parser) urlProblem(err error) {
	if e, ok := err.(*bitbucket.URLError); ok {
		p.problems.Add("repo_url", e.Reason, e.Remedy)
		return
	}
	p.problems.Add("repo_url", err.Error(), "")
}

// together checks what several repositories must have in common.
func (p *parser) together() {
	repositories := p.config.Repositories
	for i, r := range repositories {
		for _, before := range repositories[:i] {
			switch {
			case r.Same(before):
				p.problems.Addf("repo_url", "name it once", "%s is given twice", r.CloneURL())
			case strings.EqualFold(r.Directory(), before.Directory()):
				p.problems.Addf("repo_url", "give them environments of their own", "%s and %s would both be cloned into %s", before, r, r.Directory())
			}
		}
	}
	for _, r := range repositories {
		if r.Origin() != repositories[0].Origin() {
			p.problems.Addf("repo_url", "give each host an environment of its own", "%s and %s are on different hosts, and one token serves one host", repositories[0].CloneURL(), r.CloneURL())
			return
		}
	}
}

// token decides the kind of the token and checks that it fits the flavor.
func (p *parser) token() {
	c := &p.config
	kind := bitbucket.TokenKind(p.choice("token_kind", p.in.TokenKind, "auto", "api_token", "access_token", "http_access_token"))
	flavor := c.Flavor
	if flavor == "" {
		return
	}
	c.TokenKind, c.KindCertain = kind, true
	switch {
	case kind == "auto" || kind == "":
		c.TokenKind, c.KindCertain = bitbucket.KindOf(flavor, c.Token.HasPrefix)
	case !slices.Contains(flavor.TokenKinds(), kind):
		p.problems.Addf("token_kind", "leave it at auto", "Bitbucket's flavor %s has no %s", flavor, kind)
	}
	if foreign := bitbucket.ForeignKind(flavor, c.Token.HasPrefix); foreign != "" {
		p.problems.Addf("bitbucket_token", "create a token on the Bitbucket that holds the repository", "is %s, which cannot work with the flavor %s", foreign, flavor)
	}
}

// Names of variables and IDs.
//
// Source: POSIX.1-2017, 3.235 Name; the 22 characters of Warp's ServerId.
var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	serverID     = regexp.MustCompile(`^[A-Za-z0-9]{22}$`)
)

// longestVariable is the bytes of NAME=value that Linux takes in an
// environment.
const longestVariable = 128<<10 - 1

func (p *parser) names() {
	c, in := &p.config, p.in
	c.SecretName = cmp.Or(in.SecretName, defaultSecretName(c.Flavor))
	p.variable("secret_name", c.SecretName)
	if !c.Token.IsEmpty() && c.Token.Reveal() == c.SecretName {
		p.problems.Add("bitbucket_token", "is the name of the secret, not the token", "pass the token's value")
	}
	if len(c.SecretName)+1+len(c.Token.Reveal()) > longestVariable {
		p.problems.Addf("bitbucket_token", "check what was pasted", "is too long for an environment variable (%d bytes)", len(c.Token.Reveal()))
	}
	for _, name := range lines(in.EnvironmentSecrets) {
		p.variable("environment_secrets", name)
		if !slices.Contains(c.EnvironmentSecrets, name) {
			c.EnvironmentSecrets = append(c.EnvironmentSecrets, name)
		}
	}
	c.Team = in.Team
	c.Scope = warp.TeamOwner
	if p.choice("scope", in.Scope, "team", "personal") == "personal" {
		c.Scope = warp.UserOwner
		if in.Team != "" {
			p.problems.Add("team", "is given, but scope is personal", "leave one of them out")
		}
	}
}

func (p *parser) variable(input, name string) {
	if !variableName.MatchString(name) {
		p.problems.Add(input, "is not the name of an environment variable", "use letters, digits and _, not beginning with a digit")
	}
}

func defaultSecretName(f bitbucket.Flavor) string {
	if f == bitbucket.DataCenter {
		return "BITBUCKET_TOKEN"
	}
	return "BITBUCKET_API_TOKEN"
}

func (p *parser) environment() {
	c, in := &p.config, p.in
	c.EnvironmentID = in.EnvironmentID
	if in.EnvironmentID != "" && !serverID.MatchString(in.EnvironmentID) {
		p.problems.Add("environment_id", "is not an ID, which has 22 letters and digits", "copy it from Oz or from the outputs of an earlier run")
	}
	c.EnvironmentName = in.EnvironmentName
	if in.EnvironmentName == "" && in.EnvironmentID == "" && len(c.Repositories) > 0 && c.Mode != Rotate {
		c.EnvironmentName = c.Primary().EnvironmentName()
	}
	p.oneLine("environment_name", in.EnvironmentName)
	c.Description = in.Description
	if n := utf8.RuneCountInString(in.Description); n > 240 {
		p.problems.Addf("description", "shorten it", "has %d characters, and Oz takes 240", n)
	}
	c.DockerImage = in.DockerImage
	if in.DockerImage != "" {
		if _, err := reference.ParseNormalizedNamed(in.DockerImage); err != nil {
			p.problems.Addf("docker_image", "give a reference such as ubuntu:24.04", "%q is not an image: %v", in.DockerImage, err)
		}
	}
}

func (p *parser) setup() {
	c, in := &p.config, p.in
	c.CloneAuth = setup.Auth(p.choice("clone_auth", in.CloneAuth, "helper", "url"))
	c.Branch = in.Branch
	if in.Branch != "" && !validRef(in.Branch) {
		p.problems.Addf("branch", "give the short name of a branch or tag", "%q cannot be the name of a branch or tag", in.Branch)
	}
	if in.CloneDepth != "" {
		depth, err := strconv.Atoi(in.CloneDepth)
		if err != nil || depth < 1 {
			p.problems.Add("clone_depth", "is not a depth", "give a positive integer")
		}
		c.CloneDepth = depth
	}
	c.SetupCommandsGiven = in.SetupCommands != ""
	for _, command := range lines(in.SetupCommands) {
		if strings.HasPrefix(command, "#") {
			continue
		}
		c.SetupCommands = append(c.SetupCommands, command)
		if err := setup.Check(command); err != nil {
			p.problems.Addf("setup_commands", "mend the command; each line is one command of its own", "%q is not a shell command: %v", c.Token.Redact(c.WarpAPIKey.Redact(command)), err)
		}
		if strings.Contains(command, "x-bitbucket-api-token-auth:@") || strings.Contains(command, "x-token-auth:@") || strings.Contains(command, `Bearer "`) {
			p.problems.Add("setup_commands", "a variable in a command was replaced by nothing before it came here", "quote the command so that the CI's shell leaves $VARIABLES alone")
		}
	}
}

// validRef follows git's rules for names of branches and tags.
//
// Source: https://git-scm.com/docs/git-check-ref-format
func validRef(name string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }
	if strings.ContainsFunc(name, bad) || strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		name == "@" || strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

// Bounds of smoke_test_timeout.
const (
	shortestSmokeTest = time.Minute
	longestSmokeTest  = 6 * time.Hour
)

func (p *parser) smokeTest() {
	c, in := &p.config, p.in
	c.SmokeTestAll = in.SmokeTest == "all"
	c.SmokeTest = c.SmokeTestAll || p.boolean("smoke_test", in.SmokeTest)
	c.SmokeTestPrompt, c.SmokeTestModel = in.SmokeTestPrompt, in.SmokeTestModel
	p.oneLine("smoke_test_model", in.SmokeTestModel)
	timeout, err := time.ParseDuration(in.SmokeTestTimeout)
	if minutes, notNumber := strconv.Atoi(in.SmokeTestTimeout); notNumber == nil && minutes >= 0 && minutes <= int(longestSmokeTest/time.Minute) {
		timeout, err = time.Duration(minutes)*time.Minute, nil
	}
	if err != nil || timeout < shortestSmokeTest || timeout > longestSmokeTest {
		p.problems.Add("smoke_test_timeout", "is no time between 1m and 6h", "give a duration such as 20m, or whole minutes")
	}
	c.SmokeTestTimeout = timeout
}

func (p *parser) connection() {
	c, in := &p.config, p.in
	server, err := url.Parse(in.WarpServerURL)
	switch {
	case err != nil || server.Host == "" || server.User != nil || server.RawQuery != "" || server.Fragment != "":
		p.problems.Add("warp_server_url", "is not the root of a server", "give it as https://host")
	case server.Scheme != "https" && !(server.Scheme == "http" && loopback(server.Hostname())):
		p.problems.Add("warp_server_url", "would send the API key in clear text", "use https://")
	}
	c.WarpServerURL = server
	if in.CACertificate == "" {
		return
	}
	c.CACertificate = []byte(in.CACertificate)
	if !strings.Contains(in.CACertificate, "-----BEGIN") {
		if c.CACertificate, err = p.readFile(in.CACertificate); err != nil {
			p.problems.Add("ca_certificate", "is neither PEM text nor a file that the job can read", "give one of the two")
			return
		}
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bytes.Clone(c.CACertificate)) {
		p.problems.Add("ca_certificate", "holds no PEM certificate", "give the certificate of the authority, from BEGIN CERTIFICATE to END CERTIFICATE")
	}
}

// leaks refuses inputs that hold the text of a secret: everyone who may look at
// the environment or at the log would read it.
func (p *parser) leaks() {
	type named struct{ name, text string }
	for _, input := range []named{
		{"repo_url", p.in.RepoURL}, {"secret_name", p.config.SecretName}, {"team", p.in.Team},
		{"environment_name", p.config.EnvironmentName}, {"description", p.in.Description},
		{"docker_image", p.in.DockerImage}, {"setup_commands", p.in.SetupCommands}, {"branch", p.in.Branch},
		{"environment_secrets", p.in.EnvironmentSecrets}, {"smoke_test_prompt", p.in.SmokeTestPrompt},
		{"smoke_test_model", p.in.SmokeTestModel}, {"output_file", p.in.OutputFile},
	} {
		if p.config.Token.In(input.text) {
			p.problems.Add(input.name, "holds the value of bitbucket_token", "take it out; in setup_commands, write $"+p.config.SecretName)
		}
		if p.config.WarpAPIKey.In(input.text) {
			p.problems.Add(input.name, "holds the value of warp_api_key", "take it out")
		}
		if p.config.Rotation.PreviousToken.In(input.text) || p.config.Rotation.Password.In(input.text) {
			p.problems.Add(input.name, "holds the value of previous_token or bitbucket_password", "take it out")
		}
	}
}

// choice reads one of several words.
func (p *parser) choice(input, value string, allowed ...string) string {
	if slices.Contains(allowed, value) {
		return value
	}
	p.problems.Add(input, "is not one of "+strings.Join(allowed, ", "), "")
	return ""
}

// boolean reads true or false in YAML's casings.
func (p *parser) boolean(input, value string) bool {
	switch value {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	p.problems.Add(input, "is neither true nor false", "")
	return false
}

func (p *parser) oneLine(input, value string) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.problems.Add(input, "holds a line break or another control character", "use one line of text")
	}
}

// lines splits a list, one element a line, without blank lines.
func lines(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
