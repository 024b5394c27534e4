package action

import (
	"fmt"
	"io"
	"runtime/debug"

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

// flag answers --help and --version.
func flag(name string, stdout, stderr io.Writer) int {
	var answer string
	switch name {
	case "--help", "-h":
		answer = config.Help()
	case "--version":
		answer = "oz-bitbucket " + Version() + "\n"
	default:
		fmt.Fprintln(stderr, "error: unknown flag; there are --help and --version, everything else is an environment variable")
		return ExitInputs
	}
	if err := platform.Print(stdout, answer); err != nil {
		fmt.Fprintf(stderr, "error: print the answer: %v\n", err)
		return ExitFailed
	}
	return ExitOK
}
