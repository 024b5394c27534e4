// Package config turns inputs into a Job, or reports every mistake in them at
// once. It is pure but for files named by inputs, which it reads through a
// function that it is handed.
package config

import (
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// inputs is the table of inputs: the variable's name, its default and, for
// --help, its meaning. Everything but the two secrets is text here; the parser
// gives it a type, because env's own parsers quote values in their errors.
type inputs struct {
	Mode               string           `env:"MODE" envDefault:"apply" help:"apply, plan (show only), test (smoke test only), rotate or destroy"`
	RepoURL            string           `env:"REPO_URL" help:"HTTPS clone URLs, one a line; the first is the primary repository"`
	Flavor             string           `env:"FLAVOR" envDefault:"auto" help:"cloud, datacenter (alias server) or auto"`
	BitbucketToken     sensitive.String `env:"BITBUCKET_TOKEN" help:"the token to store"`
	BitbucketTokenFile string           `env:"BITBUCKET_TOKEN_FILE" help:"file to read bitbucket_token from"`
	TokenKind          string           `env:"TOKEN_KIND" envDefault:"auto" help:"api_token, access_token, http_access_token or auto"`
	SecretName         string           `env:"SECRET_NAME" help:"variable with the token in a run (default: BITBUCKET_API_TOKEN; BITBUCKET_TOKEN on a server)"`
	OnSharedSecret     string           `env:"ON_SHARED_SECRET" envDefault:"fail" help:"when the token does not serve every user of the secret: fail or warn"`
	Scope              string           `env:"SCOPE" envDefault:"team" help:"owner of the secret and the environment: team or personal"`
	Team               string           `env:"TEAM" help:"team UID or exact name; needed only when the key sees several teams"`
	EnvironmentName    string           `env:"ENVIRONMENT_NAME" help:"name of the environment (default: <workspace or project>-<repo>)"`
	EnvironmentID      string           `env:"ENVIRONMENT_ID" help:"manage exactly this environment"`
	Description        string           `env:"DESCRIPTION" help:"at most 240 characters; not given: an existing one stays"`
	DockerImage        string           `env:"DOCKER_IMAGE" help:"must hold git (default: warpdotdev/dev-base:latest; an existing one keeps its image)"`
	SetupCommands      string           `env:"SETUP_COMMANDS" help:"shell commands, one a line, each run inside the primary repository"`
	Branch             string           `env:"BRANCH" help:"branch or tag to check out in the primary repository"`
	CloneDepth         string           `env:"CLONE_DEPTH" help:"shallow clone depth, a positive integer"`
	CloneAuth          string           `env:"CLONE_AUTH" envDefault:"helper" help:"helper (the token stays in the variable) or url (the documented commands)"`
	EnvironmentSecrets string           `env:"ENVIRONMENT_SECRETS" help:"further managed secrets that runs may read, one a line"`
	VerifyToken        string           `env:"VERIFY_TOKEN" envDefault:"true" help:"prove the token against Bitbucket before anything is written"`
	RequireWrite       string           `env:"REQUIRE_WRITE" envDefault:"false" help:"the token must also be able to push"`
	AllowHTTP          string           `env:"ALLOW_HTTP" envDefault:"false" help:"accept an http:// Data Center URL that is not on a loopback address"`
	SmokeTest          string           `env:"SMOKE_TEST" envDefault:"true" help:"run one cloud agent; rotate: in the first environment, with all in each"`
	SmokeTestMax       string           `env:"SMOKE_TEST_MAX" envDefault:"20" help:"most agents that one job starts"`
	SmokeTestPrompt    string           `env:"SMOKE_TEST_PROMPT" help:"added to the built-in prompt word for word"`
	SmokeTestModel     string           `env:"SMOKE_TEST_MODEL" help:"Oz model ID"`
	SmokeTestTimeout   string           `env:"SMOKE_TEST_TIMEOUT" envDefault:"20m" help:"Go duration or whole minutes, 1m to 6h"`
	DetailedExitcode   string           `env:"DETAILED_EXITCODE" envDefault:"false" help:"plan exits 4 when it would change something"`
	DryRun             string           `env:"DRY_RUN" envDefault:"false" help:"show the plan of apply, rotate or destroy and write nothing"`
	ScheduleCron       string           `env:"SCHEDULE_CRON" help:"when a scheduled agent runs: five fields, UTC"`
	SchedulePrompt     string           `env:"SCHEDULE_PROMPT" help:"what the scheduled agent does"`
	ScheduleName       string           `env:"SCHEDULE_NAME" help:"name of the schedule (default: the environment's)"`
	ScheduleEnabled    string           `env:"SCHEDULE_ENABLED" envDefault:"true" help:"false pauses the schedule"`
	DeleteSecret       string           `env:"DELETE_SECRET" envDefault:"false" help:"destroy: the secret too, unless something else uses it"`
	Force              string           `env:"FORCE" envDefault:"false" help:"destroy: also while something that is not ours uses the environment"`
	PreviousToken      sensitive.String `env:"PREVIOUS_TOKEN" help:"rotate: the value to write back when the smoke test fails"`
	PreviousTokenFile  string           `env:"PREVIOUS_TOKEN_FILE" help:"file to read previous_token from"`
	Mint               string           `env:"MINT" envDefault:"false" help:"rotate: make the new token on Data Center, and revoke the ones it replaced"`
	MintOwner          string           `env:"MINT_OWNER" envDefault:"auto" help:"owner of the minted token: user, project, repository or auto (narrowest)"`
	BitbucketUsername  string           `env:"BITBUCKET_USERNAME" help:"mint: user who may make tokens, where bitbucket_token may not"`
	BitbucketPassword  sensitive.String `env:"BITBUCKET_PASSWORD" help:"mint: password of bitbucket_username"`
	BitbucketPassFile  string           `env:"BITBUCKET_PASSWORD_FILE" help:"file to read bitbucket_password from"`
	TokenExpiryDays    string           `env:"TOKEN_EXPIRY_DAYS" envDefault:"90" help:"mint: days until the minted token expires"`
	RevokeAfter        string           `env:"REVOKE_AFTER" envDefault:"0" help:"mint: how long a replaced token stays: whole days, a Go duration, or never"`
	TokenExpiresAt     string           `env:"TOKEN_EXPIRES_AT" help:"when the token expires, as 2027-01-31 or RFC 3339"`
	ExpiryWarning      string           `env:"EXPIRY_WARNING" envDefault:"14" help:"days before the token expires from which on a warning says so"`
	FailOnExpiry       string           `env:"FAIL_ON_EXPIRY" envDefault:"false" help:"exit 1 instead of the warning"`
	WarpAPIKey         sensitive.String `env:"WARP_API_KEY" help:"Warp API key"`
	WarpAPIKeyFile     string           `env:"WARP_API_KEY_FILE" help:"file to read warp_api_key from"`
	WarpServerURL      string           `env:"WARP_SERVER_URL" envDefault:"https://app.warp.dev" help:"server root for GraphQL and REST"`
	CACertificate      string           `env:"CA_CERTIFICATE" help:"PEM text, also in Base64, or path; trusted in addition to the system's roots"`
	TrustedHosts       string           `env:"TRUSTED_HOSTS" help:"origins that credentials may be sent to beside repo_url's, one a line"`
	Concurrency        string           `env:"CONCURRENCY" envDefault:"8" help:"environments worked on at a time, 1 to 64"`
	OutputFile         string           `env:"OUTPUT_FILE" help:"also write the outputs there, NAME=value a line; git sees none below .oz-bitbucket/"`
}

// Input is one row of the table of inputs.
type Input struct {
	Name    string // snake_case
	Default string
	Help    string
}

// Inputs lists the table in order, for --help and for the test that holds it
// against action.yml and the README.
func Inputs() []Input {
	table := reflect.TypeFor[inputs]()
	list := make([]Input, table.NumField())
	for i := range list {
		tag := table.Field(i).Tag
		list[i] = Input{strings.ToLower(tag.Get("env")), tag.Get("envDefault"), tag.Get("help")}
	}
	return list
}

// read fills the table from values by input name. An empty value takes the
// default.
func read(values map[string]string) (inputs, error) {
	variables := make(map[string]string, len(values))
	for name, value := range values {
		variables[strings.ToUpper(name)] = trim(value)
	}
	return env.ParseAsWithOptions[inputs](env.Options{Environment: variables})
}

// texts are the inputs that are not secrets, in order, with their values.
func (in inputs) texts() []text {
	var texts []text
	for i, input := range Inputs() {
		if value, ok := reflect.ValueOf(in).Field(i).Interface().(string); ok {
			texts = append(texts, text{input.Name, value})
		}
	}
	return texts
}

type text struct{ input, value string }

// trim removes white space around a value and every carriage return in it.
func trim(value string) string {
	return strings.TrimSpace(strings.ReplaceAll(value, "\r", ""))
}
