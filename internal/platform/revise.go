package platform

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// longestRevised is the most of a file that is revised, in bytes.
const longestRevised = 1 << 20

// Revise stays inside the folder: no part of name may be a link.
func (host) Revise(folder, name string, edit func(text string) (string, error)) error {
	p, err := findIn(folder, name, filepath.Join(folder, name))
	if err != nil {
		return err
	}
	defer p.directory.Close()
	before, text, err := p.read()
	if err != nil {
		return p.because(err)
	}
	revised, err := edit(text)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	if revised == text {
		return nil
	}
	return p.because(p.exchange(before, revised))
}

// read reads a regular file.
func (p place) read() (fs.FileInfo, string, error) {
	before, err := p.there()
	if err != nil {
		return nil, "", err
	}
	file, err := p.openSame(before, os.O_RDONLY)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, longestRevised+1))
	if err == nil && len(content) > longestRevised {
		err = &fs.PathError{Op: "read", Path: p.path, Err: syscall.EFBIG}
	}
	return before, string(content), err
}

// exchange replaces a file's text, whole or not at all. The file keeps its mode and, where
// the system allows it, its owner.
func (p place) exchange(before fs.FileInfo, text string) error {
	return p.swap(text, func(file *os.File) error {
		if owner, known := before.Sys().(*syscall.Stat_t); known {
			_ = file.Chown(int(owner.Uid), int(owner.Gid))
		}
		return file.Chmod(before.Mode().Perm())
	})
}
