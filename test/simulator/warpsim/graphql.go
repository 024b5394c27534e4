package warpsim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// Schema is the part of the server's GraphQL schema that the simulator implements.
//
//go:embed schema.graphql
var Schema string

var schema = gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphql", Input: Schema})

// object is a resolved value of an object type. It holds "__typename" where the schema has a union or an
// interface.
type object = map[string]any

// arguments are a root field's arguments after coercion.
type arguments = map[string]any

// resolver computes one root field. It is called with the lock held.
type resolver func(c *call, args arguments) (object, error)

func (s *Server) resolvers() map[string]resolver {
	return map[string]resolver{
		"user":                            s.user,
		"managedSecrets":                  s.managedSecrets,
		"createManagedSecret":             s.createManagedSecret,
		"updateManagedSecret":             s.updateManagedSecret,
		"deleteManagedSecret":             s.deleteManagedSecret,
		"cloudObject":                     s.cloudObject,
		"getCloudEnvironments":            s.getCloudEnvironments,
		"getIntegrationsUsingEnvironment": s.getIntegrations,
		"simpleIntegrations":              s.simpleIntegrations,
		"createGenericStringObject":       s.createObject,
		"updateGenericStringObject":       s.updateObject,
		"deleteObject":                    s.deleteObject,
	}
}

// operationName returns the operation name of a GraphQL request.
func operationName(body []byte) string {
	var request struct{ OperationName string }
	_ = json.Unmarshal(body, &request)
	return request.OperationName
}

// documents holds the documents that the schema allows, by their text. A program sends the same few
// again and again.
var documents sync.Map

// parsed parses a document and validates it against the schema.
func parsed(query string) (*ast.QueryDocument, error) {
	if known, ok := documents.Load(query); ok {
		return known.(*ast.QueryDocument), nil
	}
	document, errs := gqlparser.LoadQueryWithRules(schema, query, rules.NewDefaultRules())
	if errs != nil {
		return nil, errs
	}
	documents.Store(query, document)
	return document, nil
}

// graphql validates one document against the schema and executes it.
func (s *Server) graphql(c *call) answer {
	var request struct {
		Query         string
		Variables     map[string]any
		OperationName string
	}
	if err := json.Unmarshal(c.body, &request); err != nil {
		return s.invalid(c, "request body: "+err.Error())
	}
	if op := c.URL.Query().Get("op"); op != "" && op != request.OperationName {
		return s.invalid(c, "op= and operationName differ")
	}
	document, err := parsed(request.Query)
	if err != nil {
		return s.invalid(c, err.Error())
	}
	operation := document.Operations.ForName(request.OperationName)
	if operation == nil {
		return s.invalid(c, "no operation "+request.OperationName)
	}
	variables, err := validator.VariableValues(schema, operation, request.Variables)
	if err != nil {
		return s.invalid(c, err.Error())
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	root, fields := object{}, fieldsOf(operation.SelectionSet, string(operation.Operation), variables)
	if most := s.options.MostFields; most > 0 && len(fields) > most {
		return ok(object{"data": nil, "errors": []any{object{"message": fmt.Sprintf("the document has %d fields, which is more than %d", len(fields), most)}}})
	}
	for _, field := range fields {
		resolve := s.resolvers()[field.Name]
		if resolve == nil {
			s.flag("%s: field %s is not simulated", c.operation, field.Name)
			return ok(object{"data": nil, "errors": []any{object{"message": "not simulated: " + field.Name}}})
		}
		resolved, err := resolve(c, field.ArgumentMap(variables))
		if err != nil {
			return ok(object{"data": nil, "errors": []any{object{"message": err.Error(), "path": []string{field.Alias}}}})
		}
		if resolved["__typename"] != "UserFacingError" {
			s.counts[c.operation]++
		}
		root[field.Alias] = project(resolved, field.SelectionSet, variables)
	}
	return ok(object{"data": root})
}

// invalid answers a request that no client should send.
func (s *Server) invalid(c *call, why string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flag("%s: invalid: %s", c.operation, why)
	return ok(object{"data": nil, "errors": []any{object{"message": why}}})
}

// answered returns a successful output.
func answered(typename string, fields object) object {
	fields["__typename"] = typename
	fields["responseContext"] = object{"serverVersion": "simulator"}
	return fields
}

// refused returns a documented refusal of the server.
func refused(kind, message string) object {
	return answered("UserFacingError", object{"error": object{"__typename": kind, "message": message}})
}

// input decodes the argument "input" into T, by its JSON.
func input[T any](args arguments) T {
	var in T
	if err := json.Unmarshal(mustMarshal(args["input"]), &in); err != nil {
		panic(fmt.Sprintf("warpsim: validated input: %v", err))
	}
	return in
}

// project keeps the selected fields of a resolved value, in lists too.
func project(value any, selection ast.SelectionSet, variables map[string]any) any {
	switch value := value.(type) {
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = project(element, selection, variables)
		}
		return list
	case object:
		typename, _ := value["__typename"].(string)
		out := object{}
		for _, field := range fieldsOf(selection, typename, variables) {
			if field.Name == "__typename" && typename == "" {
				out[field.Alias] = field.ObjectDefinition.Name
				continue
			}
			out[field.Alias] = project(value[field.Name], field.SelectionSet, variables)
		}
		return out
	}
	return value
}

// fieldsOf lists the fields that a selection has for an object of this type, with fragments resolved. An
// unknown type matches every fragment, because only unions and interfaces need the type.
func fieldsOf(selection ast.SelectionSet, typename string, variables map[string]any) []*ast.Field {
	var fields []*ast.Field
	for _, selected := range selection {
		switch selected := selected.(type) {
		case *ast.Field:
			if included(selected.Directives, variables) {
				fields = append(fields, selected)
			}
		case *ast.InlineFragment:
			if included(selected.Directives, variables) && matches(selected.TypeCondition, typename) {
				fields = append(fields, fieldsOf(selected.SelectionSet, typename, variables)...)
			}
		case *ast.FragmentSpread:
			if included(selected.Directives, variables) && matches(selected.Definition.TypeCondition, typename) {
				fields = append(fields, fieldsOf(selected.Definition.SelectionSet, typename, variables)...)
			}
		}
	}
	return fields
}

func matches(condition, typename string) bool {
	if condition == "" || typename == "" || condition == typename {
		return true
	}
	return slices.ContainsFunc(schema.GetPossibleTypes(schema.Types[condition]), func(t *ast.Definition) bool { return t.Name == typename })
}

func included(directives ast.DirectiveList, variables map[string]any) bool {
	if skip := directives.ForName("skip"); skip != nil && skip.ArgumentMap(variables)["if"] == true {
		return false
	}
	include := directives.ForName("include")
	return include == nil || include.ArgumentMap(variables)["if"] == true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// isObject reports whether text is a JSON object.
func isObject(text string) bool {
	var o map[string]json.RawMessage
	return strings.HasPrefix(strings.TrimSpace(text), "{") && json.Unmarshal([]byte(text), &o) == nil
}
