package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"

	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
)

// Draft is an entry to write.
type Draft struct {
	// Values holds a string, a []string, an int or a bool for each key.
	Values map[string]any
	// Notes are written above the entry as comments, a line each.
	Notes []string
	// IsOff writes the entry as a comment. Removing its # signs makes it an entry. A draft
	// without values is only its notes.
	IsOff bool
}

// Write writes a file with a head of comments and the drafts as entries. Values that all
// drafts share become defaults. Keys are in the order of keys. Read returns the same
// texts, as far as YAML can hold them. No text in the file can control a terminal or be a
// command to a CI host.
func Write(head []string, keys []Key, drafts []Draft) string {
	var text strings.Builder
	comment(&text, "", head)
	common := inCommon(keys, drafts)
	if len(common) > 0 {
		text.WriteString(defaultsKey + ":\n" + indent("  ", mapping(keys, common, nil)))
	}
	text.WriteString(environmentsKey + ":")
	if len(drafts) == 0 {
		text.WriteString(" []")
	}
	text.WriteString("\n")
	for _, draft := range drafts {
		comment(&text, "  ", draft.Notes)
		if len(draft.Values) == 0 {
			continue
		}
		entry := "- " + strings.TrimPrefix(indent("  ", mapping(keys, draft.Values, common)), "  ")
		if draft.IsOff {
			entry = indent("# ", entry)
		}
		text.WriteString(indent("  ", entry))
	}
	return text.String()
}

// inCommon are the values that all drafts share, when there are several.
func inCommon(keys []Key, drafts []Draft) map[string]any {
	drafts = slices.DeleteFunc(slices.Clone(drafts), func(d Draft) bool { return len(d.Values) == 0 })
	if len(drafts) < 2 {
		return nil
	}
	common := maps.Clone(drafts[0].Values)
	maps.DeleteFunc(common, func(key string, value any) bool {
		isOwn := slices.ContainsFunc(keys, func(k Key) bool { return k.Name == key && k.Own })
		return isOwn || slices.ContainsFunc(drafts, func(d Draft) bool { return !reflect.DeepEqual(d.Values[key], value) })
	})
	return common
}

// comment writes lines of comment.
func comment(to *strings.Builder, margin string, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(to, "%s# %s\n", margin, redact.Neutral(line))
	}
}

// mapping writes keys and values, except defaults.
func mapping(keys []Key, values, defaults map[string]any) string {
	var text strings.Builder
	for _, key := range keys {
		value, given := values[key.Name]
		if _, isDefault := defaults[key.Name]; given && !isDefault {
			text.WriteString(render(key.Name, value))
		}
	}
	return text.String()
}

// render writes one key and its value. A list of one element is written as that
// element.
func render(key string, value any) string {
	list, isList := value.([]string)
	if !isList {
		return key + ": " + inline(value) + "\n"
	}
	if len(list) == 1 && !strings.Contains(list[0], "\n") {
		return key + ": " + inline(list[0]) + "\n"
	}
	text := key + ":\n"
	for _, element := range list {
		text += "  - " + inline(element) + "\n"
	}
	return text
}

// inline is a value on one line: without quotes when it reads back the same, else in the
// double quotes of JSON, which are valid YAML.
func inline(value any) string {
	text, isText := value.(string)
	if !isText {
		return fmt.Sprint(value)
	}
	if !token.IsNeedQuoted(text) && redact.Neutral(text) == text && !strings.Contains(text, "\n") && reads(text, text) {
		return text
	}
	var encoded strings.Builder
	to := json.NewEncoder(&encoded)
	to.SetEscapeHTML(false)
	_ = to.Encode(text) // a Builder never fails
	return strings.ReplaceAll(redact.JSON(strings.TrimSuffix(encoded.String(), "\n")), "##", `#\u0023`)
}

// reads reports whether line reads back as text, both as a value and as an element of a
// list.
func reads(line, text string) bool {
	file, problems := Read("", environmentsKey+":\n  - a: "+line+"\n    b:\n      - "+line+"\n", []Key{{Name: "a"}, {Name: "b", List: true}})
	return len(problems) == 0 && len(file.Entries) == 1 && file.Entries[0].Values["a"].Text == text && file.Entries[0].Values["b"].Text == text
}

// indent puts a margin before each line.
func indent(margin, text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		all.WriteString(margin + line)
	}
	return all.String()
}
