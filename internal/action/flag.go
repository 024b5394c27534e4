package action

import (
	_ "embed"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/oz-bitbucket/oz-bitbucket/internal/config"
	"github.com/oz-bitbucket/oz-bitbucket/internal/platform"
)

// version is set by the linker for the image and by make.
var version = ""

// archived is the commit in an archive that git made; GitHub's runners build an action from
// such an archive. In a checkout it is the placeholder that git replaces.
//
// Source: https://git-scm.com/docs/gitattributes, export-subst
//
//go:embed commit.txt
var archived string

// Version returns the release or the commit of this build: what the linker was given, else
// the version of the module (in a checkout Go derives it from the commit), else the commit
// of the archive, else "dev".
func Version() string {
	build, _ := debug.ReadBuildInfo()
	return versionOf(version, build, strings.TrimSpace(archived))
}

func versionOf(linked string, build *debug.BuildInfo, archived string) string {
	switch {
	case linked != "":
		return linked
	case build != nil && build.Main.Version != "" && build.Main.Version != "(devel)":
		return build.Main.Version
	case archived != "" && !strings.HasPrefix(archived, "$"):
		return "dev+" + archived
	}
	return "dev" // built from a directory without git
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
		fmt.Fprintln(stderr, "error: unknown flag; the flags are --help and --version, everything else is an environment variable")
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
