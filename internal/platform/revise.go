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
)

// longestRevised is the most of a file that is revised.
const longestRevised = 1 << 20

// Revise leads no further than the folder: no part of name may be a link.
func (host) Revise(folder, name string, edit func(text string) (string, error)) error {
	p, err := findBelow(folder, name)
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

// findBelow is find for a file in a folder that may lie anywhere.
func findBelow(folder, name string) (place, error) {
	path := filepath.Join(folder, name)
	parts := strings.Split(name, "/")
	p, err := find(filepath.Join(folder, parts[0]))
	if err != nil {
		return place{}, err
	}
	p.path = path
	for _, part := range parts[1:] {
		next, err := p.enter()
		_ = p.directory.Close()
		if err != nil {
			return place{}, p.because(err)
		}
		p.directory, p.name = next, part
	}
	return p, nil
}

// read reads a regular file.
func (p place) read() (fs.FileInfo, string, error) {
	before, err := p.there()
	if err != nil {
		return nil, "", err
	}
	file, err := p.directory.OpenFile(p.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	if now, err := file.Stat(); err != nil || !os.SameFile(before, now) {
		return nil, "", refusedError{p.path, "another file than a moment ago"}
	}
	content, err := io.ReadAll(io.LimitReader(file, longestRevised+1))
	if err == nil && len(content) > longestRevised {
		err = &fs.PathError{Op: "read", Path: p.path, Err: syscall.EFBIG}
	}
	return before, string(content), err
}

// exchange puts a text in the place of a file, whole or not at all. Mode and, as far as
// they may be given, owner stay.
func (p place) exchange(before fs.FileInfo, text string) error {
	beside := ".oz-bitbucket-" + rand.Text()
	file, err := p.create(beside, 0)
	if err != nil {
		return err
	}
	if owner, known := before.Sys().(*syscall.Stat_t); known {
		_ = file.Chown(int(owner.Uid), int(owner.Gid))
	}
	err = errors.Join(file.Chmod(before.Mode().Perm()), whole(file, text))
	if err == nil {
		err = p.directory.Rename(beside, p.name)
	}
	if err != nil {
		_ = p.directory.Remove(beside)
	}
	return err
}
