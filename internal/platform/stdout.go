package platform

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Print prints text that is not a log, such as that of --help.
func Print(to io.Writer, text string) error {
	if err := lost(to); err != nil {
		return err
	}
	_, err := io.WriteString(to, text)
	return err
}

// lost returns an error when a stream was closed before the program started, else nil. Go
// opens /dev/null, to read and to write, in place of a closed standard stream. A shell's
// "> /dev/null" opens it to write only, and is what the user asked for.
//
// Source: Go, runtime/fds_unix.go.
func lost(to io.Writer) error {
	stream, ok := to.(*os.File)
	if !ok {
		return nil
	}
	at, err := stream.Stat()
	if err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	null, err := os.Stat(os.DevNull)
	if err != nil || !os.SameFile(at, null) {
		return nil
	}
	if _, err := stream.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return errors.New("standard output is closed; to discard it, redirect it to /dev/null")
	}
	return nil
}
