package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/oz-bitbucket/oz-bitbucket/internal/manifest"
	"github.com/oz-bitbucket/oz-bitbucket/internal/problem"
	"github.com/oz-bitbucket/oz-bitbucket/internal/redact"
	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
	"github.com/oz-bitbucket/oz-bitbucket/internal/spelling"
	"github.com/oz-bitbucket/oz-bitbucket/internal/warp"
)

// tokenVariable is the only key of an entry that is not an input. It names the variable
// of the job that holds the entry's token.
const tokenVariable = "bitbucket_token_variable"

// many is the state of the parser while it reads the entries of a manifest.
type many struct {
	file   manifest.Manifest
	entry  *manifest.Entry // being read; nil: the job's own inputs are being read
	blank  inputs          // the job's inputs, with defaults for those of one environment
	tokens map[string]sensitive.String
	told   map[problem.Problem]bool
	hidden map[string]bool // words that look like tokens

	narrowed map[string]map[string]bool // by input: the names or IDs to which the inputs narrow the job, and whether an entry has them
	names    []string                   // of all environments that have one
	same     sameness
}

// manifest fills a job with the entries of a file. The steps that check the inputs of
// one environment check each entry. They check the whole file, also when the job works
// on a part of it.
func (p *parser) manifest() {
	p.many = &many{tokens: map[string]sensitive.String{}, told: map[problem.Problem]bool{}, hidden: map[string]bool{}, same: sameness{}}
	p.does(ofJob)
	p.many.narrowed = map[string]map[string]bool{}
	for input, value := range map[string]string{"environment_name": p.in.EnvironmentName, "environment_id": p.in.EnvironmentID} {
		wanted := map[string]bool{}
		for _, name := range nonBlankLines(value) {
			wanted[name] = false
		}
		p.many.narrowed[input] = wanted
	}
	p.beside()
	base := *p.config.Entry
	p.config.Entry = &base
	p.config.Job.hidden = append(p.config.Job.hidden, base.Token)
	p.config.Job.Entries = nil
	if text, ok := p.manifestText(); ok {
		var mistakes []problem.Problem
		p.many.file, mistakes = manifest.Read(p.in.Manifest, text, manifestKeys())
		p.variables()
		p.spelledInFile()
		p.entries(&base)
		for _, found := range mistakes {
			if looks := lookalikes(found.Summary); len(looks) > 0 { // a key
				found.Summary, found.Remedy, found.Place.Text = "holds what looks like "+looks[0].kind, spelledRemedy, redact.Marker
			}
			found.Input, found.Summary, found.Remedy = p.redact(found.Input), p.redact(found.Summary), p.redact(found.Remedy)
			p.problems.Append(found)
		}
		if len(mistakes) == 0 {
			p.notThere()
		}
	}
	if len(p.config.Job.Entries) > 0 { // the job's own warnings, once
		first := &p.config.Job.Entries[0]
		first.Warnings = slices.Concat(base.Warnings, first.Warnings)
	}
	p.problems = p.inOrder()
}

// manifestKeys are the keys of an entry, and those inputs that are none.
func manifestKeys() []manifest.Key {
	keys := []manifest.Key{{Name: tokenVariable}}
	for _, input := range table {
		key := manifest.Key{Name: input.Name, List: input.kind == listKey, Own: input.own}
		switch {
		case input.kind != "":
		case slices.Contains(secretInputs, input.Name):
			key.Elsewhere = "keep secrets out of the file; " + tokenVariable + " names the variable of the job that holds a token"
		case strings.HasPrefix(input.Name, "factory"):
			key.Elsewhere = "leave it out; it is for a job with one environment"
		default:
			key.Elsewhere = "give it to the job, beside manifest"
		}
		keys = append(keys, key)
	}
	return keys
}

// secretInputs are the inputs that hold a secret or name the file of one.
var secretInputs = []string{
	"bitbucket_token", "bitbucket_token_file", "warp_api_key", "warp_api_key_file", "previous_token", "previous_token_file", "bitbucket_password", "bitbucket_password_file",
}

// overrides are the inputs of one environment that may stand beside a manifest: the
// first holds for every entry, the others narrow the job.
var overrides = []string{"smoke_test", "environment_name", "environment_id"}

// beside refuses inputs of one environment that are given beside a manifest. An input
// with its default value counts as not given, because GitHub and GitLab pass the
// defaults of inputs that are not given.
func (p *parser) beside() {
	p.many.blank = p.in
	for _, input := range table {
		if input.kind == "" {
			continue
		}
		value := p.in.field(input).String()
		if value != input.Default && !slices.Contains(overrides, input.Name) {
			p.add(input.Name, "write it into the file, or leave manifest out", "is given beside manifest, where each entry sets it")
		}
		if input.Name != "smoke_test" {
			p.many.blank.field(input).SetString(input.Default)
		}
	}
}

// manifestText is the text of the file, and whether it can be read.
func (p *parser) manifestText() (text string, ok bool) {
	if len(lookalikes(p.in.Manifest)) > 0 {
		return "", false // leaks reports it
	}
	content, err := p.readFile(p.in.Manifest)
	if err != nil {
		p.add("manifest", "give the path of a YAML file of at most 10 MiB that the job can read", "cannot be read")
		return "", false
	}
	if text, ok = p.decoded("manifest", content); ok && !utf8.ValidString(text) {
		p.add("manifest", "save it as UTF-8", "line %d holds a byte that is not UTF-8", lineOfByte(text))
		return "", false
	}
	return text, ok
}

// variables reads the tokens of the variables that entries name, each once.
func (p *parser) variables() {
	m := p.many
	for i := range m.file.Entries {
		m.entry = &m.file.Entries[i]
		name := trim(m.entry.Values[tokenVariable].Text)
		if _, read := m.tokens[name]; read || name == "" || len(lookalikes(name)) > 0 { // spelledInFile reports it
			continue
		}
		m.tokens[name] = sensitive.String{}
		if !variableName.MatchString(name) {
			p.variableName(tokenVariable, name)
			continue
		}
		token := p.secret(tokenVariable, sensitive.New(trim(p.variable(name))), "")
		if !token.IsEmpty() && token.Same(p.config.WarpAPIKey) {
			p.add(tokenVariable, "pass the Bitbucket token", "names a variable with the same value as warp_api_key")
		}
		m.tokens[name] = token
		p.config.Variables = append(p.config.Variables, name)
		p.config.Job.hidden = append(p.config.Job.hidden, token)
	}
	m.entry = nil
}

// entries checks each entry and keeps those that the job works on.
func (p *parser) entries(base *Entry) {
	m, job := p.many, p.config.Job
	list := make([]Entry, 0, len(m.file.Entries))
	for i := range m.file.Entries {
		m.entry = &m.file.Entries[i]
		entry := *base
		entry.Warnings = nil
		entry.Place = fmt.Sprintf("%s:%d", m.file.Path, m.entry.Line)
		p.config.Entry = &entry
		p.fill()
		p.does(ofEntry)
		for _, found := range m.same.with(entry, m) {
			p.add(found.Input, found.Remedy, "%s", found.Summary)
		}
		if name := entry.Name(); name != "" {
			m.names = append(m.names, name)
		}
		if p.isMeant(entry) && entry.in(job.Shard) {
			p.needOwnToken()
			list = append(list, entry)
		} else {
			job.Others = append(job.Others, entry)
		}
	}
	m.entry = nil
	job.Entries = list
	p.config.Entry = base
}

// fill puts the values of an entry in the place of the inputs of one environment.
func (p *parser) fill() {
	p.in = p.many.blank
	for name, value := range p.many.entry.Values {
		input, known := tableAt[name]
		if !known || name == "smoke_test" && p.in.SmokeTest != "" || value.Refused { // the job's smoke_test overrides it
			continue
		}
		if text := p.seen(name, trim(value.Text)); text != "" {
			p.in.field(input).SetString(text)
		}
	}
}

// ownToken is the entry's token: that of its variable, or the job's.
func (p *parser) ownToken() {
	if p.many == nil {
		return
	}
	if name := trim(p.many.entry.Values[tokenVariable].Text); name != "" {
		p.config.Token = p.many.tokens[name]
	}
}

// needOwnToken reports an entry whose token is missing, when the mode needs one. For
// entries without a variable it is the job's token that is missing, and this is
// reported once.
func (p *parser) needOwnToken() {
	m, entry := p.many, p.many.entry
	name := trim(entry.Values[tokenVariable].Text)
	switch needed := p.config.Mode == Apply || p.config.Mode == Rotate; {
	case entry.Values[tokenVariable].Refused:
	case name == "":
		m.entry = nil
		p.needToken()
		m.entry = entry
	case needed && variableName.MatchString(name) && trim(p.variable(name)) == "":
		p.add(tokenVariable, "pass the token to the job under this name", "names a variable that is empty or not set in the job")
	}
}

// isMeant reports whether the job works on an entry. It does not when the inputs narrow
// it to others.
func (p *parser) isMeant(e Entry) bool {
	names, ids := p.many.narrowed["environment_name"], p.many.narrowed["environment_id"]
	name, id := e.Name(), e.EnvironmentID
	_, byName := names[name]
	_, byID := ids[id]
	if byName {
		names[name] = true
	}
	if byID {
		ids[id] = true
	}
	return byName || byID || len(names)+len(ids) == 0
}

// notThere refuses names and IDs that no entry has.
func (p *parser) notThere() {
	for input, wanted := range p.many.narrowed {
		for name, there := range wanted {
			if there {
				continue
			}
			remedy := "give one that the file has"
			if near := spelling.Nearest(name, p.many.names); near != "" && input == "environment_name" {
				remedy = "the nearest is " + near
			}
			p.add(input, remedy, "%q is not an environment of the manifest", name)
		}
	}
}

// Name is the name of the environment, empty when the inputs do not tell it.
func (e Entry) Name() string {
	if e.EnvironmentName == "" && e.EnvironmentID == "" && len(e.Repositories) > 0 {
		return e.Primary().EnvironmentName()
	}
	return e.EnvironmentName
}

// owner is the owner of the secret and the environment, as the inputs name it.
func (e Entry) owner() string {
	if e.Scope == warp.UserOwner {
		return "personal"
	}
	return "team " + e.Team
}

// sameness finds entries that contradict each other. It holds the first entry of each
// key.
type sameness map[string]claim

// claim is what the first entry with a key says.
type claim struct {
	line     int
	token    sensitive.String
	variable string
}

// with compares an entry with those before it.
func (s sameness) with(e Entry, m *many) []problem.Problem {
	var found []problem.Problem
	lineOf := func(key string) int { return cmp.Or(m.entry.Values[key].Line, m.entry.Line) }
	name := e.Name()
	if id := e.EnvironmentID; id != "" {
		if first, taken := s["id "+id]; taken {
			found = append(found, problem.Problem{
				Input: "environment_id", Summary: fmt.Sprintf("is also the environment of line %d", first.line), Remedy: "give each environment one entry",
			})
			name = "" // one message is enough
		} else {
			s["id "+id] = claim{line: lineOf("environment_id")}
		}
	}
	if name != "" {
		key := "name " + e.owner() + "\x00" + name
		if first, taken := s[key]; taken {
			found = append(found, problem.Problem{
				Input: "environment_name", Summary: fmt.Sprintf("%q is also the environment of line %d", name, first.line), Remedy: "give each environment one entry, or one of them another environment_name",
			})
		} else {
			s[key] = claim{line: lineOf("environment_name")}
		}
	}
	return append(found, s.secret(e, m, lineOf("secret_name"))...)
}

// secret checks that entries of one secret give it one token. Two variables may hold
// the same token.
func (s sameness) secret(e Entry, m *many, line int) []problem.Problem {
	if m.entry.Values["secret_name"].Refused || m.entry.Values[tokenVariable].Refused {
		return nil
	}
	variable := trim(m.entry.Values[tokenVariable].Text)
	key := "secret " + e.owner() + "\x00" + e.secret()
	first, taken := s[key]
	if !taken {
		s[key] = claim{line, e.Token, variable}
		return nil
	}
	known := !e.Token.IsEmpty() && !first.token.IsEmpty()
	if variable == first.variable || known && e.Token.Same(first.token) {
		return nil
	}
	input := "secret_name"
	if variable != "" {
		input = tokenVariable
	}
	return []problem.Problem{{
		Input:   input,
		Summary: fmt.Sprintf("gives the secret %s a different token than line %d", e.secret(), first.line),
		Remedy:  "give both the same variable, or one of them a secret_name of its own",
	}}
}

// secret is the name of the entry's secret: the one given, or the default of its
// flavor.
func (e Entry) secret() string { return cmp.Or(e.SecretName, DefaultSecretName(e.Flavor)) }

// locate adds the position in the file to a problem of an entry. It reports whether to
// keep the problem: not when its value was already refused, and not twice.
func (m *many) locate(found *problem.Problem) bool {
	if m.entry == nil {
		return !m.again(*found)
	}
	if _, own := m.entry.Values[tokenVariable]; own && found.Input == "bitbucket_token" {
		found.Input = tokenVariable
	}
	if tableAt[found.Input].kind == "" && found.Input != tokenVariable && found.Input != "bitbucket_token" {
		return !m.again(*found) // an input of the job
	}
	value, given := m.entry.Values[found.Input]
	at := m.entry.Position
	if given {
		at = value.Position
	}
	found.Place = m.file.Place(at)
	return !value.Refused && !m.again(*found)
}

func (m *many) again(found problem.Problem) bool {
	told := m.told[found]
	m.told[found] = true
	return told
}

// Bounds of a quoted line: bytes that are read, and characters that are shown.
const (
	longestLine  = 1 << 10
	longestQuote = 160
)

// inOrder are all problems: those of the job, then those of the file by line, each
// with the line itself.
func (p *parser) inOrder() problem.List {
	all := problem.All(p.problems.Err())
	lines := p.many.file.Lines()
	for i := range all {
		place := &all[i].Place
		if place.File == "" || place.Text != "" || place.Line > len(lines) {
			continue
		}
		line := strings.TrimSpace(lines[place.Line-1])
		line = strings.ToValidUTF8(line[:min(len(line), longestLine)], "")
		if line = p.redact(line); len(lookalikes(line)) > 0 {
			line = redact.Marker
		}
		if utf8.RuneCountInString(line) > longestQuote {
			line = string([]rune(line)[:longestQuote]) + " ..."
		}
		place.Text = line
	}
	slices.SortStableFunc(all, func(a, b problem.Problem) int {
		return cmp.Or(a.Place.Line-b.Place.Line, a.Place.Column-b.Place.Column, strings.Compare(a.Input, b.Input))
	})
	var list problem.List
	list.Append(all...)
	return list
}
