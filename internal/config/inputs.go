// Package config turns inputs into a Job, or reports every mistake in them at once. It
// is pure, except that it reads files that inputs name, through a function from its
// caller.
package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// inputs is the table of inputs: the variable's name, its default and, for --help, its
// meaning. All except secrets are text here. The parser converts them, because env's
// own parsers quote values in their errors.
//
// An input of one environment has the tag entry: the kind of value in a manifest, after
// "own" when it cannot be a default. The tag enum lists the allowed words (for a
// boolean, besides true and false). min and max are the bounds of a number.
type inputs struct {
	Mode               string           `env:"MODE" envDefault:"apply" enum:"apply plan test rotate destroy" help:"apply, plan (show only), test (smoke test only), rotate or destroy"`
	Manifest           string           `env:"MANIFEST" help:"path of a YAML file with many environments"`
	RepoURL            string           `env:"REPO_URL" entry:"own list" help:"HTTPS clone URLs, one a line; the first is the primary repository"`
	Flavor             string           `env:"FLAVOR" envDefault:"auto" entry:"word" enum:"auto cloud datacenter server" help:"cloud, datacenter (alias server) or auto"`
	BitbucketToken     sensitive.String `env:"BITBUCKET_TOKEN" help:"the token to store"`
	BitbucketTokenFile string           `env:"BITBUCKET_TOKEN_FILE" help:"file to read bitbucket_token from"`
	TokenKind          string           `env:"TOKEN_KIND" envDefault:"auto" entry:"word" enum:"auto api_token access_token http_access_token" help:"api_token, access_token, http_access_token or auto"`
	SecretName         string           `env:"SECRET_NAME" entry:"text" help:"variable with the token in a run (default: BITBUCKET_API_TOKEN; BITBUCKET_TOKEN on a server)"`
	OnSharedSecret     string           `env:"ON_SHARED_SECRET" envDefault:"fail" entry:"word" enum:"fail warn" help:"when the token does not work for every user of the secret: fail or warn"`
	Scope              string           `env:"SCOPE" envDefault:"team" entry:"word" enum:"team personal" help:"owner of the secret and the environment: team or personal"`
	Team               string           `env:"TEAM" entry:"text" help:"team UID or exact name; needed only when the key sees several teams"`
	EnvironmentName    string           `env:"ENVIRONMENT_NAME" entry:"own text" help:"name of the environment (default: <workspace or project>-<repo>)"`
	EnvironmentID      string           `env:"ENVIRONMENT_ID" entry:"own text" help:"manage exactly this environment"`
	Description        string           `env:"DESCRIPTION" entry:"text" help:"at most 240 characters; not given: an existing one stays"`
	DockerImage        string           `env:"DOCKER_IMAGE" entry:"text" help:"must contain git (default: warpdotdev/dev-base:latest; an existing one keeps its image)"`
	SetupCommands      string           `env:"SETUP_COMMANDS" entry:"list" help:"shell commands, one a line, each run inside the primary repository"`
	Branch             string           `env:"BRANCH" entry:"text" help:"branch or tag to check out in the primary repository"`
	CloneDepth         string           `env:"CLONE_DEPTH" entry:"number" min:"1" max:"2147483647" help:"shallow clone depth, a positive integer"`
	CloneAuth          string           `env:"CLONE_AUTH" envDefault:"helper" entry:"word" enum:"helper url" help:"helper (the token stays in the variable) or url (the documented commands)"`
	EnvironmentSecrets string           `env:"ENVIRONMENT_SECRETS" entry:"list" help:"further managed secrets that runs may read, one a line"`
	VerifyToken        string           `env:"VERIFY_TOKEN" envDefault:"true" entry:"boolean" help:"check the token at Bitbucket before anything is written"`
	RequireWrite       string           `env:"REQUIRE_WRITE" envDefault:"false" entry:"boolean" help:"the token must also be able to push"`
	AllowHTTP          string           `env:"ALLOW_HTTP" envDefault:"false" entry:"boolean" help:"accept an http:// Data Center URL that is not on a loopback address"`
	SmokeTest          string           `env:"SMOKE_TEST" entry:"boolean" enum:"changed all" help:"run one agent: true, false, changed; rotate: or all (default: true; with a manifest changed)"`
	SmokeTestMax       string           `env:"SMOKE_TEST_MAX" envDefault:"20" min:"0" max:"10000" help:"most agents that one job starts"`
	SmokeTestPrompt    string           `env:"SMOKE_TEST_PROMPT" entry:"text" help:"added to the built-in prompt word for word"`
	SmokeTestModel     string           `env:"SMOKE_TEST_MODEL" entry:"text" help:"Oz model ID"`
	SmokeTestTimeout   string           `env:"SMOKE_TEST_TIMEOUT" envDefault:"20m" help:"Go duration or whole minutes, 1m to 6h"`
	DetailedExitcode   string           `env:"DETAILED_EXITCODE" envDefault:"false" help:"plan exits 4 when it would change something"`
	DryRun             string           `env:"DRY_RUN" envDefault:"false" help:"show the plan of apply, rotate or destroy and write nothing"`
	ScheduleCron       string           `env:"SCHEDULE_CRON" entry:"text" help:"when a scheduled agent runs: five fields, UTC"`
	SchedulePrompt     string           `env:"SCHEDULE_PROMPT" entry:"text" help:"what the scheduled agent does"`
	ScheduleName       string           `env:"SCHEDULE_NAME" entry:"text" help:"name of the schedule (default: the environment's)"`
	ScheduleEnabled    string           `env:"SCHEDULE_ENABLED" envDefault:"true" entry:"boolean" help:"false pauses the schedule"`
	DeleteSecret       string           `env:"DELETE_SECRET" envDefault:"false" help:"destroy: delete the secret too, unless something else uses it"`
	Force              string           `env:"FORCE" envDefault:"false" help:"destroy: delete the environment although something else uses it"`
	PreviousToken      sensitive.String `env:"PREVIOUS_TOKEN" help:"rotate: the value to write back when the smoke test fails"`
	PreviousTokenFile  string           `env:"PREVIOUS_TOKEN_FILE" help:"file to read previous_token from"`
	Mint               string           `env:"MINT" envDefault:"false" help:"rotate: make the new token on Data Center, and revoke the ones it replaced"`
	MintOwner          string           `env:"MINT_OWNER" envDefault:"auto" enum:"auto user project repository" help:"owner of the minted token: user, project, repository or auto (narrowest)"`
	BitbucketUsername  string           `env:"BITBUCKET_USERNAME" help:"mint: user who may make tokens, where bitbucket_token may not"`
	BitbucketPassword  sensitive.String `env:"BITBUCKET_PASSWORD" help:"mint: password of bitbucket_username"`
	BitbucketPassFile  string           `env:"BITBUCKET_PASSWORD_FILE" help:"file to read bitbucket_password from"`
	TokenExpiryDays    string           `env:"TOKEN_EXPIRY_DAYS" envDefault:"90" help:"mint: days until the minted token expires"`
	RevokeAfter        string           `env:"REVOKE_AFTER" envDefault:"0" help:"mint: how long a replaced token stays: whole days, a Go duration, or never"`
	TokenExpiresAt     string           `env:"TOKEN_EXPIRES_AT" entry:"text" help:"when the token expires, as 2027-01-31 or RFC 3339"`
	ExpiryWarning      string           `env:"EXPIRY_WARNING" envDefault:"14" help:"days before the token expires when warnings begin"`
	FailOnExpiry       string           `env:"FAIL_ON_EXPIRY" envDefault:"false" help:"exit 1 instead of the warning"`
	WarpAPIKey         sensitive.String `env:"WARP_API_KEY" help:"Warp API key"`
	WarpAPIKeyFile     string           `env:"WARP_API_KEY_FILE" help:"file to read warp_api_key from"`
	WarpServerURL      string           `env:"WARP_SERVER_URL" envDefault:"https://app.warp.dev" help:"server root for GraphQL and REST"`
	CACertificate      string           `env:"CA_CERTIFICATE" help:"PEM text, also in Base64, or path; trusted in addition to the system's roots"`
	TrustedHosts       string           `env:"TRUSTED_HOSTS" help:"origins to which credentials may be sent besides repo_url's, one a line"`
	Factory            string           `env:"FACTORY" help:"folder of a Warp factory definition to wire the environment into"`
	FactoryRunner      string           `env:"FACTORY_RUNNER" help:"runner of the factory that gets the setup commands; no environment is made"`
	Concurrency        string           `env:"CONCURRENCY" envDefault:"8" min:"1" max:"64" help:"environments worked on at a time, 1 to 64"`
	Shard              string           `env:"SHARD" help:"i/n: only the i-th of n stable parts of the manifest; or auto"`
	OutputFile         string           `env:"OUTPUT_FILE" help:"also write the outputs there, NAME=value a line; in .oz-bitbucket/ git does not see them"`
	ReportFile         string           `env:"REPORT_FILE" help:"also write plan and results there: .json for tools, .xml as JUnit, .md as a summary"`
}

// Input is one row of the table of inputs.
type Input struct {
	Name    string // snake_case
	Default string
	Help    string

	kind     kindOfKey // empty: not a key of a manifest
	own      bool      // cannot be a default of a manifest
	words    []string
	min, max int
	at       int // field of inputs
}

// kindOfKey is the kind of value that a manifest may give for an input.
type kindOfKey string

// The kinds of keys.
const (
	textKey    kindOfKey = "text"
	wordKey    kindOfKey = "word" // one of several
	listKey    kindOfKey = "list" // or a text with one element a line
	numberKey  kindOfKey = "number"
	booleanKey kindOfKey = "boolean"
)

// table is the table of inputs in order, tableAt by name.
var table, tableAt = func() ([]Input, map[string]Input) {
	fields := reflect.TypeFor[inputs]()
	list, at := make([]Input, fields.NumField()), map[string]Input{}
	for i := range list {
		tag := fields.Field(i).Tag
		kind, own := strings.CutPrefix(tag.Get("entry"), "own ")
		least, _ := strconv.Atoi(tag.Get("min"))
		most, _ := strconv.Atoi(tag.Get("max"))
		list[i] = Input{
			Name: strings.ToLower(tag.Get("env")), Default: tag.Get("envDefault"), Help: tag.Get("help"),
			kind: kindOfKey(kind), own: own, words: strings.Fields(tag.Get("enum")), min: least, max: most, at: i,
		}
		at[list[i].Name] = list[i]
	}
	return list, at
}()

// Inputs lists the table in order, for --help and for the test that holds it
// against action.yml and the README.
func Inputs() []Input { return slices.Clone(table) }

// field is the field of an input that is not a secret.
func (in *inputs) field(i Input) reflect.Value { return reflect.ValueOf(in).Elem().Field(i.at) }

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
	for _, input := range table {
		if value, ok := in.field(input).Interface().(string); ok {
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
