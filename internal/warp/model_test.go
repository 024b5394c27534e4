package warp_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

func TestWithLeavesEveryOtherByteAlone(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, key, want string }{
		{"replaces in place", `{"a":1,"name":"old","z":[1, 2]}`, "name", `{"a":1,"name":"new","z":[1, 2]}`},
		{"keeps spacing and numbers", "{\n  \"n\" : 1.50e3 ,\n  \"name\" : \"old\"\n}", "name", "{\n  \"n\" : 1.50e3 ,\n  \"name\" : \"new\"\n}"},
		{"appends to an object", `{"a": {"name":"inner"}}`, "name", `{"a": {"name":"inner"},"name":"new"}`},
		{"appends before trailing space", "{\"a\":1 }\n", "name", "{\"a\":1,\"name\":\"new\" }\n"},
		{"appends to an empty object", `{ }`, "name", `{"name":"new" }`},
		{"appends to an empty object after a space", " {}", "name", ` {"name":"new"}`},
		{"replaces a null", `{"name":null}`, "name", `{"name":"new"}`},
		{"replaces the one that counts", `{"name":"a","name":"b"}`, "name", `{"name":"a","name":"new"}`},
		{"knows an escaped key", `{"n\u0061me":"old"}`, "name", `{"n\u0061me":"new"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			model, err := warp.ParseModel(test.in)
			require.NoError(t, err)
			assert.Equal(t, test.want, model.With(test.key, "new").String())
		})
	}
}

func TestWithoutLeavesEveryOtherByteAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":1,"b":2,"c":3}`:           `{"a":1,"c":3}`,
		`{"b":2,"c":3}`:                 `{"c":3}`,
		`{"a":1,"b":2}`:                 `{"a":1}`,
		`{"b":2}`:                       `{}`,
		`{ "b" : {"b":1} , "c" : 3 }`:   `{  "c" : 3 }`,
		"{\n  \"a\": 1,\n  \"b\": 2\n}": "{\n  \"a\": 1\n}",
		`{"b":1,"a":[1, 2],"b":3}`:      `{"a":[1, 2]}`,
		`{"a":{"b":1}}`:                 `{"a":{"b":1}}`,
		`{}`:                            `{}`,
	} {
		model, err := warp.ParseModel(text)
		require.NoError(t, err)
		got := model.Without("b").String()
		assert.Equal(t, want, got, text)
		_, err = warp.ParseModel(got)
		assert.NoError(t, err, got)
	}
}

func TestParseModelRefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "null", "[]", `"x"`, "{", `{"a":1} trailing`, `{"a"}`} {
		_, err := warp.ParseModel(text)
		assert.Error(t, err, text)
	}
}

func TestModelReadsItsKeys(t *testing.T) {
	t.Parallel()
	model, err := warp.ParseModel(`{"name":"ci","description":"d","docker_image":"i","setup_commands":["a && b"],"secrets":[{"name":"A","x":1}]}`)
	require.NoError(t, err)
	names, listed := model.Secrets()
	assert.Equal(t, []any{"ci", "d", "i", []string{"a && b"}, []string{"A"}, true},
		[]any{model.Name(), model.Description(), model.DockerImage(), model.SetupCommands(), names, listed})
	assert.Contains(t, model.WithSecret("B").String(), `"secrets":[{"name":"A","x":1},{"name":"B"}]`)
}

func TestAbsentListOfSecretsIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{`{}`: false, `{"secrets":null}`: false, `{"secrets":[]}`: true, `{"secrets":"odd"}`: false} {
		model, err := warp.ParseModel(text)
		require.NoError(t, err)
		_, listed := model.Secrets()
		assert.Equal(t, want, listed, text)
	}
}

func TestNewModel(t *testing.T) {
	t.Parallel()
	assert.Equal(t, `{"name":"acme-api","github_repos":[],"setup_commands":["cd a && b > c"]}`,
		warp.NewModel("acme-api").With(warp.KeySetupCommands, []string{"cd a && b > c"}).String())
}

func FuzzWithChangesOneKeyOnly(f *testing.F) {
	f.Add(`{"name":"a","x":[1,{"name":2}],"y":1.0}`, "name", "b")
	f.Add("{ \"a\" : 1\n}", "b", "<&>\u2028\"")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		model, err := warp.ParseModel(text)
		if err != nil {
			t.Skip("not an object")
		}
		var before, after map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &before))
		changed := model.With(key, value)
		require.NoError(t, json.Unmarshal([]byte(changed.String()), &after), changed.String())
		var want, got string
		encoded, _ := json.Marshal(key)
		require.NoError(t, json.Unmarshal(encoded, &key)) // JSON replaces invalid UTF-8
		encoded, _ = json.Marshal(value)
		require.NoError(t, json.Unmarshal(encoded, &want))
		require.NoError(t, json.Unmarshal(after[key], &got))
		assert.Equal(t, want, got)
		delete(before, key)
		delete(after, key)
		assert.Equal(t, before, after)
	})
}

func TestCheckNamesTheKeyWhoseShapeIsUnknown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`: "", `{"name":null,"description":"d","setup_commands":null,"secrets":null}`: "",
		`{"setup_commands":["a"],"secrets":[{"name":"A","x":1}],"from_the_future":{"a":1}}`: "",
		`{"name":1}`:                         "name is not a text",
		`{"description":["d"]}`:              "description is not a text",
		`{"docker_image":{"name":"ubuntu"}}`: "docker_image is not a text",
		`{"setup_commands":"make"}`:          "setup_commands is not a list of texts",
		`{"setup_commands":["make",null]}`:   "setup_commands is not a list of texts",
		`{"setup_commands":[{"run":"a"}]}`:   "setup_commands is not a list of texts",
		`{"secrets":["A"]}`:                  "secrets is not a list of objects with a name",
		`{"secrets":{"A":true}}`:             "secrets is not a list of objects with a name",
		`{"secrets":[{"uid":"A"}]}`:          "secrets is not a list of objects with a name",
		`{"secrets":[null]}`:                 "secrets is not a list of objects with a name",
	} {
		model, err := warp.ParseModel(text)
		require.NoError(t, err)
		if err := model.Check(); want == "" {
			assert.NoError(t, err, text)
		} else {
			assert.EqualError(t, err, want, text)
		}
	}
}

// TestAKeptModelTakesTheMemoryOfItsText: a job keeps up to 48 MiB of models, and their owners choose how
// many keys they have.
func TestAKeptModelTakesTheMemoryOfItsText(t *testing.T) { // not parallel: it measures the heap
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, `,"%d":1`, i)
	}
	object := "{" + text.String()[1:] + "}"
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	models := make([]warp.Model, 200)
	for i := range models {
		m, err := warp.ParseModel(strings.Clone(object))
		require.NoError(t, err)
		models[i] = m
	}
	assert.Less(t, heap()-before, uint64(3*len(models)*len(object)))
	runtime.KeepAlive(models)
}
