package platform

import (
	"maps"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Stray is a variable that is no input and stands where one may.
type Stray struct {
	Prefix string // of the inputs' variables there: INPUT_, or none
	Name   string // REPO_ULR; of a list's elements, the list's
	Alone  bool   // only inputs stand there
	Value  sensitive.String
}

// Strays lists the variables that are no input, do not belong to the host, and stand
// where inputs are read.
//
// Only inputs stand below INPUT_ on GitHub, but for the two words that the runner
// itself takes of every container action, and only they are handed to a pipe, but for
// what Bitbucket adds.
//
// Source: actions/runner, ContainerActionHandler.cs;
// https://support.atlassian.com/bitbucket-cloud/docs/advanced-techniques-for-writing-pipes/
func (h host) Strays(names []string) []Stray {
	inputs, prefix := map[string]bool{}, h.prefix(names)
	for _, name := range names {
		inputs[strings.ToUpper(name)] = true
	}
	onGitHub := h.variables["GITHUB_ACTIONS"] == "true"
	inPipe := h.variables["BITBUCKET_PIPE_STORAGE_DIR"]+h.variables["BITBUCKET_PIPE_SHARED_STORAGE_DIR"] != ""
	var strays []Stray
	for _, variable := range slices.Sorted(maps.Keys(h.variables)) {
		value := h.variables[variable]
		name, ours := strings.CutPrefix(variable, "INPUT_")
		stray := Stray{Name: h.stem(name), Value: sensitive.New(value)}
		switch {
		case inputs[stray.Name], strings.TrimSpace(value) == "":
			continue
		case ours:
			stray.Prefix, stray.Alone = "INPUT_", onGitHub
			if onGitHub && (name == "ARGS" || name == "ENTRYPOINT") {
				continue
			}
		case prefix != "" && !strings.HasPrefix(name, "WARP_API"): // which is read everywhere
			continue
		default:
			stray.Alone = inPipe && !strings.HasPrefix(name, "BITBUCKET_")
		}
		strays = append(strays, stray)
	}
	return strays
}

// stem is the input whose list a variable belongs to in a Bitbucket pipeline: X of
// X_COUNT and X_0. Of another it is the whole name.
func (h host) stem(name string) string {
	at := strings.LastIndexByte(name, '_')
	if at < 0 || h.pipeline() == "" {
		return name
	}
	stem, end := name[:at], name[at+1:]
	isElement := strings.Trim(end, "0123456789") == "" && h.variables[stem+"_COUNT"] != ""
	if end == "COUNT" || isElement {
		return stem
	}
	return name
}

// Ignored lists the variables that are an input's name and are not read, because another
// input is spelled with INPUT_, which it names too. One that says the same in both
// spellings is no loss. WARP_API_KEY is read everywhere, and two are Azure's own.
//
// Source: https://learn.microsoft.com/azure/devops/pipelines/build/variables, deployment
// jobs.
func (h host) Ignored(names []string) (variables []string, beside string) {
	for _, name := range names {
		variable := strings.ToUpper(name)
		plain, spelled := strings.TrimSpace(h.input(variable)), h.variables["INPUT_"+variable]
		if beside == "" && spelled != "" {
			beside = "INPUT_" + variable
		}
		isOthers := variable == "WARP_API_KEY" || h.variables["TF_BUILD"] != "" && strings.HasPrefix(variable, "ENVIRONMENT_")
		if plain != "" && plain != strings.TrimSpace(spelled) && !isOthers {
			variables = append(variables, variable)
		}
	}
	if beside == "" {
		return nil, ""
	}
	return variables, beside
}
