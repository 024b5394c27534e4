package manifest

import (
	"errors"
	"io"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"

	"github.com/oz-bitbucket/oz-bitbucket/internal/plural"
)

// parse reads the text of a file into one document, false when it cannot.
func (r *reader) parse(text string) (document ast.Node, ok bool) {
	tokens, ok := r.tokens(text)
	if !ok {
		return nil, false
	}
	at := Position{1, 1}
	defer func() { // a panic of the library is reported as a mistake in the file
		if recover() != nil {
			document, ok = nil, false
			r.add(at, "", "write it more simply", "the file cannot be read as YAML")
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		// Not err.Error(): it prints the lines around the mistake.
		var found interface {
			GetMessage() string
			GetToken() *token.Token
		}
		message := "it cannot be read"
		if errors.As(err, &found) {
			at, message = positionAt(found.GetToken()), found.GetMessage()
		}
		remedy := ""
		if strings.Contains(message, "alias") { // or a text that looks like one, such as a cron
			remedy = "put a text that begins with * into quotes"
		}
		r.add(at, "", remedy, "the file is not YAML: %s", message)
		return nil, false
	}
	for _, one := range file.Docs {
		switch _, directive := one.Body.(*ast.DirectiveNode); {
		case directive, one.Body == nil:
		case document != nil:
			r.add(positionOf(one.Body), "", "put everything into one document", "the file holds more than one document")
			return document, true
		default:
			document = one.Body
		}
	}
	if document == nil {
		r.add(at, environmentsKey, "write environments: and list them below it", "is missing: the file is empty")
	}
	return document, document != nil
}

// tokens splits a text, and refuses one that would take scanner or parser too long.
func (r *reader) tokens(text string) (token.Tokens, bool) {
	if marks := marksIn(text); marks > mostMarks {
		r.add(Position{1, 1}, "", "split the file into several", "the file is too large: it has %s", plural.Of(marks, "YAML delimiter"))
		return nil, false
	}
	var s scanner.Scanner
	s.Init(text)
	var tokens token.Tokens
	var seen shape
	for {
		next, err := s.Scan()
		if errors.Is(err, io.EOF) {
			return tokens, true
		}
		tokens.Add(next...)
		for _, t := range next {
			if much := seen.add(t); much != "" {
				r.add(positionAt(t), "", "write it as the documentation shows", "the file cannot be a manifest: %s", much)
				return nil, false
			}
		}
		if err != nil { // the last token holds the error
			return tokens, true
		}
	}
}

// marksIn counts the characters that may begin or end a token.
func marksIn(text string) int {
	marks := 0
	for i := range len(text) {
		switch c := text[i]; c {
		case '[', ']', '{', '}', ',', '&', '*', '!', '"', '\'':
			marks++
		case ':', '-', '?', '#', '|', '>', '%':
			if i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\n' {
				marks++
			}
		}
	}
	return marks
}

// link finds the node of each alias: that of the last anchor of its name that ends
// before it.
func (r *reader) link(node ast.Node) {
	switch node := node.(type) {
	case *ast.AnchorNode:
		r.link(node.Value)
		r.anchors[nameIn(node.Name)] = r.resolve(node.Value)
	case *ast.AliasNode:
		name := nameIn(node.Value)
		target, there := r.anchors[name]
		if !there {
			r.add(positionOf(node), "", "mark a value above it with & and the same name", "the alias *%s has no anchor before it", name)
			return
		}
		r.aliases[node] = target
	case *ast.TagNode:
		r.link(node.Value)
		if !knownTags[node.Start.Value] {
			r.add(positionOf(node), "", "take it out", "the tag %q is not supported", node.Start.Value)
		}
	case *ast.MappingNode:
		for _, pair := range node.Values {
			r.link(pair.Key)
			r.link(pair.Value)
		}
	case *ast.MappingKeyNode:
		r.link(node.Value)
	case *ast.SequenceNode:
		for _, element := range node.Values {
			r.link(element)
		}
	}
}

// knownTags name types that a value has anyway.
//
// Source: YAML 1.2.2, 10.3.
var knownTags = map[string]bool{"!!str": true, "!!int": true, "!!float": true, "!!bool": true, "!!null": true, "!!seq": true, "!!map": true}

// resolve is the node behind anchors, aliases and tags.
func (r *reader) resolve(node ast.Node) ast.Node {
	for {
		switch at := node.(type) {
		case *ast.AnchorNode:
			node = at.Value
		case *ast.MappingKeyNode:
			node = at.Value
		case *ast.TagNode:
			if !knownTags[at.Start.Value] {
				return node
			}
			node = at.Value
		case *ast.AliasNode:
			target, there := r.aliases[at]
			if !there {
				return node
			}
			return target // already resolved
		default:
			return node
		}
	}
}

func nameIn(node ast.Node) string {
	if node == nil || node.GetToken() == nil {
		return ""
	}
	return node.GetToken().Value
}
