package warpsim

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// shell is one long-lived bash with history expansion, because the real one is interactive: exports last, and a
// line with an unknown "!f" in double quotes is not executed and does not change the exit code.
type shell struct {
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
	mark    string // ends the output of a command
}

// startShell starts bash in directory, in a process group of its own.
func startShell(directory string, environ []string) (*shell, error) {
	command := exec.Command("bash", "--noprofile", "--norc")
	command.Dir, command.Env = directory, environ
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start shell: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start shell: %w", err)
	}
	command.Stdout, command.Stderr = write, write
	err = command.Start()
	_ = write.Close()
	if err != nil {
		return nil, fmt.Errorf("start shell: %w", err)
	}
	sh := &shell{command, input, bufio.NewReader(read), "done-" + newUUID()}
	_, _, err = sh.run(context.Background(), "unset HISTFILE; set -o history -o histexpand", time.Minute)
	return sh, err
}

// run executes one command in the session. It fails when the shell ends, the limit has passed or ctx is done.
// Then the session is unusable.
func (sh *shell) run(ctx context.Context, command string, limit time.Duration) (output string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(ctx, sh.kill)()

	if _, err := fmt.Fprintf(sh.input, "%s\nprintf '\\n%%s %%d\\n' %s $?\n", command, sh.mark); err != nil {
		return "", -1, fmt.Errorf("the shell is gone: %w", err)
	}
	var text strings.Builder
	for {
		line, err := sh.output.ReadString('\n')
		if status, found := strings.CutPrefix(line, sh.mark+" "); found {
			_, err := fmt.Sscanf(status, "%d", &code)
			return strings.TrimSuffix(text.String(), "\n"), code, err
		}
		text.WriteString(line)
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return text.String(), -1, fmt.Errorf("the shell exited: %w", err)
		}
	}
}

// kill ends the shell and everything it started.
func (sh *shell) kill() { _ = syscall.Kill(-sh.command.Process.Pid, syscall.SIGKILL) }

// close kills the session and reaps it.
func (sh *shell) close() {
	sh.kill()
	_ = sh.input.Close()
	_ = sh.command.Wait()
}
