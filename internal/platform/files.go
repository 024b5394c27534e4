package platform

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// place is the location of a file: an open directory, and the file's name in it. The job's
// directory holds what others committed, so only a regular or a new file is written: a link
// would lead elsewhere, and a FIFO would wait for a reader without end.
type place struct {
	directory  *os.Root
	name, path string
}

// refusedError is the error for a file that exists and must not be written.
type refusedError struct{ path, what string }

func (e refusedError) Error() string {
	return fmt.Sprintf("%s is %s, but outputs go into regular files only; delete it or remove it from the repository", e.path, e.what)
}

// replaceFile replaces a file's text, whole or not at all.
func replaceFile(path, text string) error {
	p, err := findOutput(path)
	if err != nil {
		return err
	}
	defer p.directory.Close()
	return p.replace(text)
}

// appendTo adds text to the end of a file, which it creates when there is none.
func appendTo(path, text string) error {
	p, err := find(path)
	if err != nil {
		return err
	}
	defer p.directory.Close()
	file, err := p.open(os.O_APPEND)
	if err != nil {
		return p.because(err)
	}
	return whole(file, text)
}

// find opens the directory of a file. In a path below the working directory no part may be a
// link. Links above the working directory are allowed, because they are not the repository's.
func find(path string) (place, error) { return findIn(filepath.Dir(path), filepath.Base(path), path) }

// findIn is find for a name that leads below a folder, which may lie anywhere: no part of
// the name may be a link. Errors name path.
func findIn(folder, name, path string) (place, error) {
	below := path
	if here, err := os.Getwd(); err == nil && filepath.IsAbs(path) && here != "/" {
		if relative, err := filepath.Rel(here, path); err == nil {
			below = relative
		}
	}
	if filepath.IsLocal(below) {
		return descend(".", below, path)
	}
	return descend(folder, name, path)
}

// descend opens the directory of below, a path in directory, part by part and
// without following a link. Errors name path.
func descend(directory, below, path string) (place, error) {
	root, err := openRoot(directory)
	p := place{root, ".", path}
	if err != nil {
		return place{}, p.because(err)
	}
	for i, part := range strings.Split(filepath.Clean(below), "/") {
		if i > 0 {
			next, err := p.enter()
			_ = p.directory.Close()
			if err != nil {
				return place{}, p.because(err)
			}
			p.directory = next
		}
		p.name = part
	}
	return p, nil
}

// enter opens the directory at the place.
func (p place) enter() (*os.Root, error) {
	at, err := p.directory.Lstat(p.name)
	switch {
	case err != nil:
		return nil, err
	case at.Mode()&fs.ModeSymlink != 0:
		return nil, refusedError{p.path, "below " + p.name + ", a symbolic link"}
	case !at.IsDir(): // a FIFO would wait for a writer
		return nil, syscall.ENOTDIR
	}
	return p.directory.OpenRoot(p.name)
}

// openRoot is os.OpenRoot, except that it does not wait for a writer when directory is a
// FIFO: with the dot the system refuses everything but a directory.
func openRoot(directory string) (*os.Root, error) { return os.OpenRoot(directory + "/.") }

// there returns the file's information. The error is fs.ErrNotExist when there is no file,
// and a refusedError when the file is not regular.
func (p place) there() (fs.FileInfo, error) {
	at, err := p.directory.Lstat(p.name)
	if err == nil && !at.Mode().IsRegular() {
		return nil, refusedError{p.path, kind(at)}
	}
	return at, err
}

func kind(at fs.FileInfo) string {
	switch {
	case at.IsDir():
		return "a directory"
	case at.Mode()&fs.ModeSymlink != 0:
		return "a symbolic link"
	case at.Mode()&fs.ModeNamedPipe != 0:
		return "a FIFO"
	}
	return "a device or a socket"
}

// open opens the file to write it, and creates it when there is none.
func (p place) open(flag int) (*os.File, error) {
	before, err := p.there()
	if errors.Is(err, fs.ErrNotExist) {
		return p.create(p.name, flag)
	}
	if err != nil {
		return nil, err
	}
	return p.openSame(before, flag|os.O_WRONLY)
}

// openSame opens the regular file that was there before.
func (p place) openSame(before fs.FileInfo, flag int) (*os.File, error) {
	file, err := p.directory.OpenFile(p.name, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if after, err := file.Stat(); err != nil || !os.SameFile(before, after) {
		_ = file.Close()
		return nil, refusedError{p.path, "another file than a moment ago"}
	}
	return file, nil
}

// create makes a new file. The owner of the directory becomes the file's owner, where the
// system allows it: in a container we are root, and the steps that read the file may not be.
func (p place) create(name string, flag int) (*os.File, error) {
	file, err := p.directory.OpenFile(name, flag|os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if owner, ok := ownerOf(p.directory); ok {
		_ = file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return file, nil
}

func ownerOf(directory *os.Root) (owner *syscall.Stat_t, known bool) {
	about, err := directory.Stat(".")
	if err != nil {
		return nil, false
	}
	owner, known = about.Sys().(*syscall.Stat_t)
	return owner, known
}

// replace writes a file in the same directory and renames it to the place. A file that is a
// mount, or in whose directory we may not create files, is overwritten in place.
func (p place) replace(text string) error {
	if _, err := p.there(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p.because(err)
	}
	err := p.swap(text, func(*os.File) error { return nil })
	if err == nil {
		return nil
	}
	if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.EROFS) && !errors.Is(err, fs.ErrPermission) {
		return p.because(err)
	}
	file, err := p.open(0)
	if err != nil {
		return p.because(err)
	}
	if err := file.Truncate(0); err != nil {
		return errors.Join(p.because(err), file.Close())
	}
	return whole(file, text)
}

// swap writes a file in the same directory, calls prepare with it, and renames it to the
// place. After an error it leaves nothing.
func (p place) swap(text string, prepare func(*os.File) error) error {
	beside := ".oz-bitbucket-" + rand.Text()
	file, err := p.create(beside, 0)
	if err != nil {
		return err
	}
	if err = errors.Join(prepare(file), whole(file, text)); err == nil {
		err = p.directory.Rename(beside, p.name)
	}
	if err != nil {
		_ = p.directory.Remove(beside)
	}
	return err
}

// because names the whole path in an error about its last part.
func (p place) because(err error) error {
	var part *fs.PathError
	var bare syscall.Errno
	switch {
	case errors.As(err, &part):
		return &fs.PathError{Op: "open", Path: p.path, Err: part.Err}
	case errors.As(err, &bare):
		return &fs.PathError{Op: "open", Path: p.path, Err: bare}
	}
	return err
}

// whole writes all of text and closes the file.
func whole(file io.WriteCloser, text string) error {
	_, err := io.WriteString(file, text)
	return errors.Join(err, file.Close())
}

const (
	// longestFile is the most of a file that an input names, in bytes. It is the limit for a
	// manifest; a system's bundle of certificates has 250 KB.
	longestFile = 10 << 20
	// writerTimeout is how long a pipe's writer may take: of a shell's <(...) or /dev/stdin.
	writerTimeout = 10 * time.Second
)

// readFile reads a file that an input names. The file may be a pipe that a writer has
// already opened. A FIFO without a writer reads as empty, without a wait.
func readFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	_ = file.SetReadDeadline(time.Now().Add(writerTimeout)) // a regular file has none
	content, err := io.ReadAll(io.LimitReader(file, longestFile+1))
	if err == nil && len(content) > longestFile {
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EFBIG}
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}
