package process

import (
	"cmp"
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

// kept opens what is kept of the output; old is nil where there is only the current
// file. The supervisor may rotate meanwhile; then it is done again.
func kept(dir string) (old, current *os.File, err error) {
	path := filepath.Join(dir, outFile)
	for range 10 {
		if current, err = os.Open(path); err != nil {
			continue
		}
		old, err = os.Open(filepath.Join(dir, oldOutFile))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err == nil && samePath(current, path) {
			return old, current, nil
		}
		_, _ = old.Close(), current.Close()
		err = cmp.Or(err, errors.New("the output is rotated all the time"))
	}
	return nil, nil, err
}

// both reads what kept opened, oldest first.
func both(old, current *os.File) io.Reader {
	if old == nil {
		return current
	}
	return io.MultiReader(old, current)
}

// tailLog returns the last lines of a node's output, nil where it cannot be read.
// The files hold 2 MiB at most, so this takes no longer than a few milliseconds.
func tailLog(dir string, most int) []string {
	old, current, err := kept(dir)
	if err != nil {
		return nil
	}
	defer old.Close()
	defer current.Close()
	lines, _ := pod.ReadTail(io.LimitReader(both(old, current), 4*outSize), most)
	return lines
}
