package platform

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ourDirectory is the directory for outputs in a checkout. git ignores it.
const ourDirectory = ".oz-bitbucket"

// findOutput is find for a file that an input names. It makes the file's directory when that
// is ourDirectory.
func findOutput(path string) (place, error) {
	directory := filepath.Dir(path)
	if filepath.Base(directory) != ourDirectory {
		return find(path)
	}
	p, err := find(directory)
	if err != nil {
		return place{}, err
	}
	defer p.directory.Close()
	return place{p.directory, p.name, path}.ours(filepath.Base(path))
}

// ours makes our directory at a place, unless it exists, and returns the place of a file in
// it. It first writes a .gitignore that hides itself, all files that follow, and what a
// killed process leaves behind.
func (p place) ours(name string) (place, error) {
	switch err := p.directory.Mkdir(p.name, 0o755); {
	case err == nil:
		if owner, ok := ownerOf(p.directory); ok {
			_ = p.directory.Lchown(p.name, int(owner.Uid), int(owner.Gid))
		}
	case !errors.Is(err, fs.ErrExist):
		return place{}, p.because(err)
	}
	inside, err := p.enter()
	if err != nil {
		return place{}, p.because(err)
	}
	if err := ignoreAll(inside, p.path); err != nil {
		_ = inside.Close()
		return place{}, err
	}
	return place{inside, name, p.path}, nil
}

// ignoreAll writes a .gitignore, unless one exists. Every user may read it, because git may
// run as another user. Errors name path.
func ignoreAll(directory *os.Root, path string) error {
	ignore := place{directory, ".gitignore", path}
	if _, err := ignore.there(); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := ignore.replace("*\n"); err != nil {
		return err
	}
	return ignore.because(directory.Chmod(ignore.name, 0o644))
}
