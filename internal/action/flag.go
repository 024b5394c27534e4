package action

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
)

// version is set by the linker in a release.
var version = ""

// Version is the release, or "dev", and the commit where the build knows it.
func Version() string {
	text := version
	if text == "" {
		text = "dev"
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				text += "+" + setting.Value
			}
		}
	}
	return text
}

// isQuestion reports whether an argument asks for something that needs no inputs.
func isQuestion(argument string) bool {
	return strings.HasPrefix(argument, "-") || slices.Contains([]string{"help", "version", "schema"}, argument)
}

// flag answers questions that need no inputs.
func flag(name string, stdout, stderr io.Writer) int {
	var answer string
	var err error
	switch name {
	case "--help", "-h", "help":
		answer = config.Help()
	case "--version", "version":
		answer = "oz-bitbucket " + Version() + "\n"
	case "schema":
		answer, err = config.Schema()
	default:
		fmt.Fprintln(stderr, "error: unknown flag; there are --help and --version, everything else is an environment variable")
		return ExitInputs
	}
	if err == nil {
		err = platform.Print(stdout, answer)
	}
	if err != nil {
		fmt.Fprintf(stderr, "error: print the answer: %v\n", err)
		return ExitFailed
	}
	return ExitOK
}
