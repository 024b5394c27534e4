package config

import (
	"fmt"
	"strings"
)

// Help is the text of --help: how to call the program, and every input with its
// meaning and its default.
func Help() string {
	var text strings.Builder
	text.WriteString(`oz-bitbucket gives Warp Oz cloud agents access to a Bitbucket repository.

Usage: oz-bitbucket [apply|plan|test|rotate|destroy|import|schema|--help|--version]

import prints a manifest of the environments that exist or, with the page of a project or
workspace as REPO_URL, of its repositories. schema prints the JSON schema of a manifest.

Inputs are environment variables: INPUT_<NAME> on GitHub, <NAME> elsewhere.

`)
	for _, input := range Inputs() {
		fmt.Fprintf(&text, "  %s\n        %s", strings.ToUpper(input.Name), input.Help)
		if input.Default != "" {
			fmt.Fprintf(&text, " (default: %s)", input.Default)
		}
		text.WriteString("\n")
	}
	return text.String()
}
