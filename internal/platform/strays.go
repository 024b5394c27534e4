package platform

import (
	"maps"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/sensitive"
)

// Stray is a variable that is not an input but is where inputs are read.
type Stray struct {
	Prefix string // INPUT_, or empty
	Name   string // without the prefix: REPO_ULR; for an element of a list, the list's name
	Alone  bool   // variables with this prefix are always meant as inputs
	Value  sensitive.String
}

// Strays lists the variables that are not inputs, do not belong to the host, and are where
// inputs are read.
//
// On GitHub, INPUT_ is for inputs only, apart from two variables that the runner reads for
// every container action. A pipe gets only inputs, apart from Bitbucket's own variables.
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
		case prefix != "" && !strings.HasPrefix(name, "WARP_API"): // WARP_API_KEY is read everywhere
			continue
		default:
			stray.Alone = inPipe && !strings.HasPrefix(name, "BITBUCKET_")
		}
		strays = append(strays, stray)
	}
	return strays
}

// stem returns the input whose list a variable belongs to in a Bitbucket pipeline: X for
// X_COUNT and X_0. For any other variable it returns the whole name.
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

// Ignored lists the variables that have an input's name and are not read, because an input
// is spelled with INPUT_; beside is such an input. It leaves out a variable with the same
// value in both spellings, WARP_API_KEY, which is read everywhere, and two of Azure's own.
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
