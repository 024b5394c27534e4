// Command simulator starts Oz and Bitbucket on loopback and prints how to point
// oz-bitbucket at them. `make demo` uses it:
//
//	go run ./test/simulator                      prints the variables and serves until it is interrupted
//	go run ./test/simulator -- COMMAND [ARG...]  runs COMMAND with the variables, then ends with its code
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/bitbucketsim"
	"github.com/oz-bitbucket/oz-bitbucket/test/simulator/warpsim"
)

// Made-up credentials, which only the simulators accept.
const (
	apiKey = "wk-demo-0123456789abcdef"
	token  = "ATATT3demo-0123456789abcdef=0A1B2C3D"
	teamID = "Tm0000000000000000Demo"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	bitbucket := bitbucketsim.Start(bitbucketsim.Options{})
	defer bitbucket.Close()
	sample := bitbucket.AddRepository(bitbucketsim.Repository{Flavor: bitbucketsim.Cloud, Owner: "acme", Slug: "sample"})
	bitbucket.AddToken(bitbucketsim.Token{Value: token, Kind: bitbucketsim.APIToken})

	oz := warpsim.Start(warpsim.Options{RunEnviron: bitbucket.Environ()})
	defer oz.Close()
	oz.SetImage(bitbucket.TrustEnviron()...)
	oz.AddKey(apiKey, warpsim.Principal{UID: "demo", Teams: []warpsim.Team{{UID: teamID, Name: "Demo"}}})

	variables := append(bitbucket.Environ(),
		"WARP_SERVER_URL="+oz.URL(),
		"WARP_API_KEY="+apiKey,
		"CA_CERTIFICATE="+bitbucket.CACertificate(),
		"REPO_URL="+sample.CloneURL(),
		"BITBUCKET_TOKEN="+token,
	)
	if len(args) > 0 && args[0] == "--" {
		return with(variables, args[1:])
	}
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Printf("export %s='%s'\n", name, value)
	}
	fmt.Fprintln(os.Stderr, "Oz and Bitbucket are simulated at these addresses until this program is interrupted.")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	return 0
}

// with runs a command against the simulators and returns its exit code.
func with(variables, command []string) int {
	if len(command) == 0 {
		fmt.Fprintln(os.Stderr, "simulator: no command after --")
		return 2
	}
	child := exec.Command(command[0], command[1:]...)
	child.Env = append(os.Environ(), variables...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := child.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		return 1
	}
	return child.ProcessState.ExitCode()
}
