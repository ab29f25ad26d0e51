package process

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// lastLog returns the last lines of a node's output.
func lastLog(dir string) []string {
	old, current, err := kept(dir)
	if err != nil {
		return nil
	}
	defer current.Close()
	lines := lastLines(tailOf(current), pod.LastLogLines)
	if old != nil {
		defer old.Close()
		if missing := pod.LastLogLines - len(lines); missing > 0 {
			lines = append(lastLines(tailOf(old), missing), lines...)
		}
	}
	return lines
}

// tailLog returns the last lines of a node's output as a stop returns them, nil
// where it cannot be read. The files hold 2 MiB at most, so this takes no longer
// than a few milliseconds.
func tailLog(dir string) []string {
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
	lines, err := pod.ReadTail(io.LimitReader(all, 4*outSize))
	if err != nil {
		return nil
	}
	return lines
}

// maxLine bounds a line of output in an [pod.Exit].
const maxLine = 1 << 10

// tailOf returns the last bytes of a file, as many as the lines of an exit need.
func tailOf(f *os.File) []byte {
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	n := min(info.Size(), pod.LastLogLines*maxLine)
	b := make([]byte, n)
	m, _ := f.ReadAt(b, info.Size()-n)
	return b[:m]
}

func lastLines(b []byte, n int) []string {
	b = bytes.TrimRight(b, "\n")
	if len(b) == 0 || n <= 0 {
		return nil
	}
	lines := strings.Split(strings.ToValidUTF8(string(b), "\uFFFD"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, l := range lines {
		l = strings.TrimSuffix(l, "\r")
		if len(l) > maxLine {
			l = strings.ToValidUTF8(l[:maxLine], "") + "…"
		}
		lines[i] = l
	}
	return lines
}
