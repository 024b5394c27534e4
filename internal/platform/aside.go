package platform

import "io"

// Aside is any host for a command that prints its result on standard output. Everything else
// goes to standard error, and nothing is a command to the host.
type Aside struct {
	Platform
	out *redactor
}

// DetectAside reads the host's variables as Detect does. It sends the host no commands, not
// even those that mask secrets, because they would be part of the result.
func DetectAside(environ []string, stdout, stderr io.Writer) Aside {
	on := newHost(environ, stdout, stderr)
	return Aside{plain{on, on.screen()}, on.out}
}

// Print prints the result, without the secrets that Mask was given. It fails when standard
// output is closed or cannot be written.
func (a Aside) Print(text string) error {
	_, _ = io.WriteString(a.out, text) // the redactor keeps the error
	return a.out.err()
}
