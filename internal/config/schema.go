package config

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
)

// SchemaURL is where the schema of the newest release is.
const SchemaURL = "https://raw.githubusercontent.com/oz-bitbucket/oz-bitbucket/main/docs/oz-environments.schema.json"

// object is a JSON object. Its members are printed in the order of their names.
type object map[string]any

// Schema is the JSON schema (draft 2020-12) of a manifest, for editors. It accepts
// everything that Parse accepts. Mistakes that need the whole file, such as two entries
// for one environment, only Parse finds.
func Schema() (string, error) {
	entry, defaults := object{}, object{}
	for _, input := range table {
		if input.kind == "" {
			continue
		}
		entry[input.Name] = input.schema()
		if !input.own {
			defaults[input.Name] = input.schema()
		}
	}
	variable := object{"description": tokenVariableHelp, "type": []string{"string", "null"}}
	entry[tokenVariable], defaults[tokenVariable] = variable, variable
	keys := func(of object, description string) object {
		return object{"description": description, "type": "object", "properties": of, "additionalProperties": false}
	}
	whole := keys(object{
		"defaults": object{"anyOf": []object{{"$ref": "#/$defs/defaults"}, {"type": "null"}}},
		"environments": object{
			"description": "the environments", "type": "array", "minItems": 1, "maxItems": manifest.MostEntries, "items": object{"$ref": "#/$defs/environment"},
		},
	}, "Environments of oz-bitbucket: each entry has the keys of the inputs of one environment.")
	whole["$schema"], whole["$id"], whole["title"] = "https://json-schema.org/draft/2020-12/schema", SchemaURL, "oz-environments.yml"
	whole["required"] = []string{"environments"}
	whole["$defs"] = object{
		"environment": keys(entry, "one environment; null removes a default"),
		"defaults":    keys(defaults, "values for every entry that does not set them itself"),
	}
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	err := to.Encode(whole)
	return text.String(), err
}

const tokenVariableHelp = "the variable of the job that holds the token (default: the input bitbucket_token)"

// schema is what a manifest may give for an input. A text may be written as a number or
// boolean, and those may be in quotes.
func (i Input) schema() object {
	of := object{"description": i.Help}
	if i.Default != "" {
		of["default"] = i.Default
	}
	switch i.kind {
	case textKey:
		of["type"] = []string{"string", "number", "boolean", "null"}
	case listKey:
		of["type"] = []string{"string", "number", "boolean", "null", "array"}
		of["items"] = object{"type": []string{"string", "number", "boolean"}}
		of["minItems"] = 1
	case wordKey:
		of["enum"] = append(anyOf(i.words), "", nil)
	case numberKey:
		of["type"] = []string{"integer", "string", "null"}
		of["minimum"], of["maximum"] = i.min, i.max
		of["pattern"] = `^\s*[0-9]*\s*$`
	case booleanKey:
		of["enum"] = append(append([]any{true, false}, anyOf([]string{"true", "True", "TRUE", "false", "False", "FALSE"})...), append(anyOf(i.words), "", nil)...)
		if i.Default != "" {
			of["default"] = i.Default == "true"
		}
	}
	return of
}

func anyOf(words []string) []any {
	return slices.Collect(func(yield func(any) bool) {
		for _, word := range words {
			if !yield(word) {
				return
			}
		}
	})
}
