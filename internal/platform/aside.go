package platform

import "io"

// Aside is any host while the program answers on standard output: everything else goes to
// standard error, and nothing is a command to the host.
type Aside struct {
	Platform
	out *redactor
}

// DetectAside reads what the host gives as Detect does. What a host is told by commands,
// such as the secrets that it has to mask, it is not told: they would be in the answer.
func DetectAside(environ []string, stdout, stderr io.Writer) Aside {
	on := newHost(environ, stdout, stderr)
	return Aside{plain{on, on.screen()}, on.out}
}

// Print prints the answer, without the secrets that Mask was told. It fails where nobody
// can get it.
func (a Aside) Print(text string) error {
	_, _ = io.WriteString(a.out, text) // it keeps what went wrong
	return a.out.err()
}
