package process

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/elastipod/elastipod/pod"
)

// The files that keep a node's output: the current one, and what was current
// before it.
const (
	outFile    = "out.log"
	oldOutFile = "out.log.1"
	outSize    = 1 << 20 // bytes a file
)

// output keeps the last one to two times size bytes that are written to it.
type output struct {
	dir  string
	size int
	f    *os.File
	n    int
}

func openOutput(dir string, size int) (*output, error) {
	f, err := os.OpenFile(filepath.Join(dir, outFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	return &output{dir: dir, size: size, f: f}, err
}

// Write never fails: a full disk must not stop the node, whose output is then
// lost.
func (o *output) Write(p []byte) (int, error) {
	if o.n > 0 && o.n+len(p) > o.size {
		o.rotate()
	}
	n, _ := o.f.Write(p)
	o.n += n
	return len(p), nil
}

func (o *output) rotate() {
	path := filepath.Join(o.dir, outFile)
	if err := os.Rename(path, filepath.Join(o.dir, oldOutFile)); err != nil {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return // goes on in the old one, and tries again
	}
	_ = o.f.Close()
	o.f, o.n = f, 0
}

// kept opens what is kept of the output, oldest first. The supervisor may
// rotate meanwhile; then it is done again.
func kept(dir string) (old, current *os.File, err error) {
	for range 10 {
		old, err = os.Open(filepath.Join(dir, oldOutFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		current, err = os.Open(filepath.Join(dir, outFile))
		if err == nil && (old == nil || samePath(old, filepath.Join(dir, oldOutFile))) && (old != nil || !exists(filepath.Join(dir, oldOutFile))) {
			return old, current, nil
		}
		if old != nil {
			_ = old.Close()
			old = nil
		}
		if current != nil {
			_ = current.Close()
			current = nil
		}
	}
	return nil, nil, err
}

// tailLog returns the last lines of a node's output, nil where it cannot be read.
// The files hold 2 MiB at most, so this takes no longer than a few milliseconds.
func tailLog(dir string, most int) []string {
	old, current, err := kept(dir)
	if err != nil {
		return nil
	}
	defer current.Close()
	var all io.Reader = current
	if old != nil {
		defer old.Close()
		all = io.MultiReader(old, current)
	}
	lines, _ := pod.ReadTail(io.LimitReader(all, 4*outSize), most)
	return lines
}
