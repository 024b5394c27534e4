package test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"
	"gopkg.in/yaml.v3"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/report"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// specs is the directory, next to a checkout, with the server's own schemas. We may not commit
// them. Without them these tests compare only the product with the simulator.
const specs = "../../shared/spec"

// readSpec reads one of the server's schemas, and reports whether they are there.
func readSpec(t *testing.T, name string) (string, bool) {
	t.Helper()
	if _, err := os.Stat(specs); errors.Is(err, fs.ErrNotExist) {
		t.Logf("the server's own %s is missing: this test compares the product and the simulator only", name)
		return "", false
	}
	content, err := os.ReadFile(filepath.Join(specs, name))
	require.NoError(t, err)
	t.Logf("this test also compares with the server's own %s", name)
	return string(content), true
}

func TestInputsAgree(t *testing.T) {
	t.Parallel()
	var action struct {
		Inputs map[string]struct {
			Description string
			Default     *string
		}
		Outputs map[string]struct{ Description string }
	}
	content, err := os.ReadFile("../action.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, &action))
	rows := tableOf(t, "| name | default | meaning |")

	var names []string
	for i, input := range config.Inputs() {
		names = append(names, input.Name)
		declared, there := action.Inputs[input.Name]
		assert.True(t, there, "action.yml lacks %s", input.Name)
		assert.NotEmpty(t, declared.Description, input.Name)
		if input.Default == "" {
			assert.Nil(t, declared.Default, "action.yml gives %s a default", input.Name)
		} else if assert.NotNil(t, declared.Default, input.Name) {
			assert.Equal(t, input.Default, *declared.Default, input.Name)
		}
		if assert.Less(t, i, len(rows), "the README lacks %s", input.Name) {
			assert.Equal(t, []string{input.Name, input.Default}, rows[i][:2])
		}
	}
	assert.Len(t, action.Inputs, len(names))
	assert.Len(t, rows, len(names))

	outputs := tableOf(t, "| name | value |")
	for i, output := range (report.Facts{}).Outputs() {
		assert.NotEmpty(t, action.Outputs[output.Name].Description, output.Name)
		assert.Equal(t, output.Name, outputs[i][0])
	}
	assert.Len(t, action.Outputs, len((report.Facts{}).Outputs()))
	assert.Len(t, outputs, len((report.Facts{}).Outputs()))

	var codes []string
	for _, row := range tableOf(t, "| code | meaning |") {
		codes = append(codes, row[0])
	}
	assert.Equal(t, []string{"0", "1", "2", "3", "4", "130, 143"}, codes)
}

// tableOf reads the cells of the one table in README and docs with this header,
// without backticks.
func tableOf(t *testing.T, header string) [][]string {
	t.Helper()
	var tables []string
	for _, page := range manual(t) {
		tables = append(tables, strings.Split(page, header+"\n")[1:]...)
	}
	require.Len(t, tables, 1, "tables %s in README and docs", header)
	table := tables[0]
	var rows [][]string
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.Trim(strings.TrimSpace(cell), "`"))
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestEveryQueryIsValid compares the queries with our two copies of the server's schema, and
// these with each other and with the server's.
func TestEveryQueryIsValid(t *testing.T) {
	t.Parallel()
	ours, err := os.ReadFile("../internal/warpapi/schema.graphql")
	require.NoError(t, err)
	readings := map[string]string{"internal/warpapi": string(ours), "test/simulator/warpsim": warpsim.Schema}
	requireSubset(t, "internal/warpapi", string(ours), load("test/simulator/warpsim", warpsim.Schema))
	if text, there := readSpec(t, "schema.graphql"); there {
		server := load("the server", text)
		for name, reading := range readings {
			requireSubset(t, name, reading, server)
		}
		readings["the server"] = text
	}

	queries, err := os.ReadFile("../internal/warpapi/queries.graphql")
	require.NoError(t, err)
	for name, reading := range readings {
		_, errs := gqlparser.LoadQueryWithRules(load(name, reading), string(queries), rules.NewDefaultRules())
		assert.Empty(t, errs, name)
	}
}

func load(name, text string) *ast.Schema {
	return gqlparser.MustLoadSchema(&ast.Source{Name: name, Input: text})
}

// requireSubset checks that the server's schema has everything that a schema has, and that
// the schema has everything that the server requires.
func requireSubset(t *testing.T, name, text string, server *ast.Schema) {
	t.Helper()
	for _, ours := range load(name, text).Types {
		if ours.BuiltIn {
			continue
		}
		theirs := server.Types[ours.Name]
		if !assert.NotNil(t, theirs, "%s: the server has no %s", name, ours.Name) {
			continue
		}
		assert.Equal(t, theirs.Kind, ours.Kind, "%s: %s", name, ours.Name)
		for _, value := range ours.EnumValues {
			assert.NotNil(t, theirs.EnumValues.ForName(value.Name), "%s: %s.%s", name, ours.Name, value.Name)
		}
		assert.Subset(t, theirs.Types, ours.Types, "%s: union %s", name, ours.Name)
		for _, field := range ours.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			there := theirs.Fields.ForName(field.Name)
			if !assert.NotNil(t, there, "%s: %s.%s", name, ours.Name, field.Name) {
				continue
			}
			assert.Equal(t, there.Type.String(), field.Type.String(), "%s: %s.%s", name, ours.Name, field.Name)
			for _, argument := range field.Arguments {
				if known := there.Arguments.ForName(argument.Name); assert.NotNil(t, known, "%s: %s(%s)", name, field.Name, argument.Name) {
					assert.Equal(t, known.Type.String(), argument.Type.String())
				}
			}
			for _, argument := range there.Arguments {
				assert.False(t, argument.Type.NonNull && field.Arguments.ForName(argument.Name) == nil, "%s: %s lacks %s", name, field.Name, argument.Name)
			}
		}
		if ours.Kind == ast.InputObject {
			for _, field := range theirs.Fields {
				assert.False(t, field.Type.NonNull && field.DefaultValue == nil && ours.Fields.ForName(field.Name) == nil, "%s: input %s lacks %s", name, ours.Name, field.Name)
			}
		}
	}
}

// TestRunsFitTheServersDescription compares our requests and the simulator's answers with the
// server's OpenAPI description. Without it only the simulator checks the requests: it refuses
// members that it does not know.
func TestRunsFitTheServersDescription(t *testing.T) {
	t.Parallel()
	var schemas openapi3.Schemas
	if text, there := readSpec(t, "agent-api-openapi.yaml"); there {
		document, err := openapi3.NewLoader().LoadFromData([]byte(text))
		require.NoError(t, err)
		schemas = document.Components.Schemas
	}
	w := newWorld(t, plain, warpsim.Options{})
	require.Equal(t, 0, w.run(w.inputs(nil)).code)

	fits := func(schema string, body []byte) {
		t.Helper()
		var value any
		require.NoError(t, json.Unmarshal(body, &value), "%s", body)
		if schemas != nil {
			assert.NoError(t, schemas[schema].Value.VisitJSON(value), "%s: %s", schema, body)
		}
	}
	get := func(path string, status int) []byte {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, w.oz.URL()+"/api/v1/agent/runs"+path, nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+apiKey)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		assert.Equal(t, status, answer.StatusCode, "%s: %s", path, content)
		return content
	}
	sent := 0
	for _, request := range w.oz.Journal.All() {
		if request.Operation == "POST /agent/runs" {
			fits("RunAgentRequest", request.Body)
			sent++
		}
	}
	assert.Equal(t, 1, sent)
	id := w.oz.Runs()[0].ID
	fits("RunItem", get("/"+id, http.StatusOK))
	fits("ConversationResponse", get("/"+id+"/conversation", http.StatusOK))
	fits("ListRunsResponse", get("", http.StatusOK))
	fits("Error", get("/unknown", http.StatusNotFound))
	w.requireClean()
}
