package warp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Model is the JSON object that describes an environment, as text. Changing one key
// leaves every other byte of the text as it is: order, spacing, numbers and keys that
// this program does not know. The zero value is an empty object.
type Model struct{ json string }

// ParseModel checks that text is one JSON object.
func ParseModel(text string) (Model, error) {
	m := Model{text}
	if !json.Valid([]byte(text)) {
		return Model{}, errors.New("not valid JSON")
	}
	if _, err := m.members(); err != nil {
		return Model{}, err
	}
	return m, nil
}

// String is the JSON text.
func (m Model) String() string {
	if m.json == "" {
		return "{}"
	}
	return m.json
}

// Raw returns the JSON of one key's value, nil when the key is absent.
func (m Model) Raw(key string) json.RawMessage {
	if at, ok := m.find(key); ok {
		return json.RawMessage(m.json[at.start:at.end])
	}
	return nil
}

// With returns the model with one key set: in place where the key exists, at
// the end where it does not. The value must be encodable as JSON.
func (m Model) With(key string, value any) Model {
	encoded := encode(value)
	text := m.String()
	if at, ok := m.find(key); ok {
		return Model{text[:at.start] + encoded + text[at.end:]}
	}
	member := encode(key) + ":" + encoded
	body := bytes.TrimRight([]byte(text[:len(bytes.TrimRight([]byte(text), " \t\r\n"))-1]), " \t\r\n")
	if !bytes.Equal(bytes.TrimSpace(body), []byte("{")) {
		member = "," + member
	}
	return Model{string(body) + member + text[len(body):]}
}

// Without returns the model without one key, also when the key is there several times.
// The other keys keep their bytes.
func (m Model) Without(key string) Model {
	for {
		at, ok := m.find(key)
		if !ok {
			return m
		}
		before, after := m.json[:at.key], m.json[at.end:]
		if m.json[at.key] != ',' { // the first one
			after = strings.TrimPrefix(strings.TrimLeft(after, " \t\r\n"), ",")
		}
		m.json = before + after
	}
}

// span is the position of a value in the text, and of its key or the comma before it.
type span struct{ key, start, end int }

func (m Model) find(key string) (span, bool) {
	members, _ := m.members()
	at, ok := members[key]
	return at, ok
}

// members finds the values of the top-level keys. Of a duplicate key it takes the last,
// as JSON decoders do.
func (m Model) members() (map[string]span, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(m.String())))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object")
	}
	members := make(map[string]span)
	for decoder.More() {
		begins := int(decoder.InputOffset())
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		end := int(decoder.InputOffset())
		members[key.(string)] = span{begins, end - len(value), end}
	}
	return members, nil
}

// encode writes value as compact JSON and does not escape &, < and >, because setup
// commands hold many of them.
func encode(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // only strings and slices of them come here
	}
	return string(bytes.TrimRight(text.Bytes(), "\n"))
}
