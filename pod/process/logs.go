package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/pod"
)

// Logs implements [pod.Logger]. Up to 2 MiB of a node's latest output are kept.
func (r *Runtime) Logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	l, err := r.logs(ctx, id, o)
	if err != nil {
		return nil, fmt.Errorf("output of node %s: %w", id, err)
	}
	return l, nil
}

func (r *Runtime) logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	if err := r.usable(ctx); err != nil {
		return nil, err
	}
	if !pod.ValidName(id.Pod) || !pod.ValidName(id.Name) {
		return nil, pod.ErrNotFound
	}
	dir := r.nodeDir(id)
	if _, err := readState(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = pod.ErrNotFound
		}
		return nil, err
	}
	l := &logReader{dir: dir, r: r}
	if o.Follow { // before the first reading, so that no change is missed
		if err := l.watch(); err != nil {
			_ = l.Close()
			return nil, err
		}
		l.stop = context.AfterFunc(ctx, l.end)
	}
	if err := l.open(o.Tail); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// logReader reads what is kept, and goes on where it follows. Only its Close
// and end may be called while a Read is under way.
type logReader struct {
	dir    string
	r      *Runtime
	head   []byte   // what is to be read before current
	notify *os.File // inotify on the directory; nil where not followed
	stop   func() bool

	mu      sync.Mutex
	current *os.File // nil once closed
	closed  bool
}

func (l *logReader) watch() error {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	l.notify = os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, l.dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE_SELF); err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	return nil
}

// open reads what is kept, at most two files, and remembers where it stopped.
func (l *logReader) open(tail int) error {
	old, current, err := kept(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return pod.ErrNotFound
	}
	if err != nil {
		return err
	}
	l.use(current)
	if old != nil {
		defer old.Close()
		if l.head, err = io.ReadAll(old); err != nil {
			return err
		}
	}
	rest, err := io.ReadAll(current) // a context that ends meanwhile closes it
	l.head = append(l.head, rest...)
	if tail > 0 {
		l.head = l.head[tailStart(l.head, tail):]
	}
	return err
}

// tailStart returns where the last n lines begin.
func tailStart(b []byte, n int) int {
	at := len(b)
	for range n {
		i := bytes.LastIndexByte(b[:max(0, at-1)], '\n')
		at = i + 1
		if i < 0 {
			break
		}
	}
	return at
}

// Read implements [io.Reader].
func (l *logReader) Read(p []byte) (int, error) {
	if len(l.head) > 0 {
		n := copy(p, l.head)
		l.head = l.head[n:]
		return n, nil
	}
	if l.notify == nil {
		return 0, io.EOF
	}
	for {
		over := l.over() // before reading: what is written before the end is read
		l.mu.Lock()
		current := l.current
		l.mu.Unlock()
		if current == nil {
			return 0, io.EOF
		}
		rotated := !samePath(current, filepath.Join(l.dir, outFile))
		n, err := current.Read(p)
		switch {
		case n > 0:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, io.EOF // closed
		case rotated:
			if f, err := os.Open(filepath.Join(l.dir, outFile)); err == nil {
				if !l.use(f) {
					return 0, io.EOF
				}
				continue
			}
		}
		if over || !l.sleep() {
			return 0, io.EOF
		}
	}
}

// over says whether no more output will come.
func (l *logReader) over() bool {
	s, err := readState(l.dir)
	return err != nil || !l.r.runs(s)
}

// sleep waits for a change in the directory, or for a while, as the death of a
// supervisor changes nothing there. It returns false when the reader is closed.
func (l *logReader) sleep() bool {
	if l.notify.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	var events [4096]byte
	_, err := l.notify.Read(events[:])
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// use goes on with another file. It returns false when the reader is closed.
func (l *logReader) use(f *os.File) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = f.Close()
		return false
	}
	if l.current != nil {
		_ = l.current.Close()
	}
	l.current = f
	return true
}

// end makes Read return.
func (l *logReader) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.current != nil {
		_ = l.current.Close()
		l.current = nil
	}
	if l.notify != nil {
		_ = l.notify.Close()
	}
}

// Close implements [io.Closer].
func (l *logReader) Close() error {
	if l.stop != nil {
		l.stop()
	}
	l.end()
	return nil
}
