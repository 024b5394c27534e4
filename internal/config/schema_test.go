package config_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
)

// compiled is the compiled schema. It must be valid.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := config.Schema()
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, compiler.AddResource(config.SchemaURL, document))
	schema, err := compiler.Compile(config.SchemaURL)
	require.NoError(t, err)
	return schema
}

// fits reports the schema's verdict on a file.
func fits(t *testing.T, schema *jsonschema.Schema, file string) error {
	t.Helper()
	var tree any
	require.NoError(t, yaml.Unmarshal([]byte(file), &tree))
	text, err := json.Marshal(tree)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	return schema.Validate(value)
}

// TestTheSchemaIsFresh: go run . schema >docs/oz-environments.schema.json
func TestTheSchemaIsFresh(t *testing.T) {
	t.Parallel()
	want, err := config.Schema()
	require.NoError(t, err)
	got, err := os.ReadFile("../../docs/oz-environments.schema.json")
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}

// valid are files that the reader takes.
var valid = []string{
	theManifest,
	"defaults:\nenvironments:\n- repo_url: " + cloudURL + "\n",
	"defaults: {flavor: cloud, scope: team, clone_depth: 5}\nenvironments:\n- repo_url: [" + cloudURL + "]\n  flavor: null\n  clone_depth: '7'\n  docker_image: 22\n  branch: 1.0\n  description: true\n",
	"environments:\n- repo_url: " + cloudURL + "\n  verify_token: False\n  require_write: 'TRUE'\n  smoke_test: changed\n  on_shared_secret: ''\n  setup_commands: [a, 1, true]\n  environment_secrets: A\n",
	"environments:\n- &a\n  repo_url: " + cloudURL + "\n  smoke_test: all\n- <<: *a\n  environment_name: b\n  schedule_cron: 0 3 * * *\n  schedule_prompt: a\n  schedule_enabled: false\n  token_expires_at: '2027-01-31'\n",
	"environments:\n- environment_id: En00000000000000000001\n  repo_url: " + cloudURL + "\n  bitbucket_token_variable: WEB_BITBUCKET_TOKEN\n  allow_http: ''\n",
}

func TestTheSchemaTakesWhatTheReaderTakes(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	for _, file := range append(valid, many(3)) {
		parseFleet(t, file)
		assert.NoError(t, fits(t, schema, file), file)
	}
}

func TestTheSchemaRefusesWhatTheReaderRefuses(t *testing.T) {
	t.Parallel()
	schema := compiled(t)
	entry := "environments:\n- repo_url: " + cloudURL + "\n"
	for _, file := range []string{
		"environments: []\n", "environments: a\n", "defaults: {}\n", "[]\n", "a: b\nenvironments: [{}]\n", "environments: [a]\n", "environments: [null]\n",
		entry + "  dockerimage: a\n", entry + "  docker_image: [a]\n", entry + "  setup_commands: []\n", entry + "  setup_commands: [[a]]\n", entry + "  setup_commands: [null]\n", entry + "  description: {a: b}\n",
		entry + "  flavor: Cloud\n", entry + "  scope: everyone\n", entry + "  verify_token: maybe\n", entry + "  smoke_test: sometimes\n", entry + "  clone_depth: 0\n", entry + "  clone_depth: many\n", entry + "  clone_depth: 2147483648\n",
		entry + "  warp_api_key: a\n", entry + "  bitbucket_token: a\n", entry + "  mode: plan\n", entry + "  manifest: a\n", entry + "  concurrency: 3\n",
		"defaults: {repo_url: a}\n" + entry, "defaults: {environment_name: a}\n" + entry, "defaults: {environment_id: a}\n" + entry, "defaults: [a]\n" + entry,
	} {
		assert.NotEmpty(t, mistakes(t, file), file)
		assert.Error(t, fits(t, schema, file), file)
	}
}

// TestTheSchemaHasTheKeysOfAnEntry: every input is either a key or refused as one.
func TestTheSchemaHasTheKeysOfAnEntry(t *testing.T) {
	t.Parallel()
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	text, err := config.Schema()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(text), &schema))
	keys := schema.Defs["environment"].Properties
	for _, input := range config.Inputs() {
		key, is := keys[input.Name]
		found := strings.Join(mistakes(t, "environments:\n- "+input.Name+": a\n"), "\n")
		assert.Equal(t, !is, strings.Contains(found, input.Name+": is not a key of an environment"), "%s: %s", input.Name, found)
		if is {
			assert.Equal(t, input.Help, key.Description)
		}
	}
	assert.Len(t, keys, 28)
	assert.Contains(t, keys, "bitbucket_token_variable")
	assert.Len(t, schema.Defs["defaults"].Properties, len(keys)-3)
}
