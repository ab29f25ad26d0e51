package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Logs implements [pod.Logger]. Up to 2 MiB of a node's latest output are kept.
func (r *Runtime) Logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	return call(ctx, r, "output of node "+id.String(), func() (io.ReadCloser, error) { return r.logs(ctx, id, o) })
}

func (r *Runtime) logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	if !pod.ValidName(id.Pod) || !pod.ValidName(id.Name) {
		return nil, pod.ErrNotFound
	}
	dir := r.nodeDir(id)
	_, err := readState(dir)
	var old, current *os.File
	if err == nil {
		old, current, err = kept(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pod.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer old.Close()
	head, err := io.ReadAll(both(old, current))
	if err != nil || !o.Follow {
		_ = current.Close()
	}
	if err != nil {
		return nil, err
	}
	if o.Tail > 0 {
		head = head[tailStart(head, o.Tail):]
	}
	if !o.Follow {
		return io.NopCloser(bytes.NewReader(head)), nil
	}
	f := &follower{r: r, dir: dir, head: head, current: current}
	f.ctx, f.cancel = context.WithCancel(ctx)
	context.AfterFunc(f.ctx, f.close)
	return f, nil
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

// A follower at the end of the output looks for more after followMin, then less
// and less often, down to every followMax.
const (
	followMin = time.Millisecond
	followMax = 50 * time.Millisecond
)

// follower reads a node's output until the node, its context or the reader ends.
type follower struct {
	r      *Runtime
	dir    string
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	head    []byte   // what is to be read before the rest of current
	current *os.File // nil once closed
}

// Read implements [io.Reader].
func (f *follower) Read(p []byte) (int, error) {
	for wait := followMin; ; wait = min(2*wait, followMax) {
		if n, err := f.read(p); n > 0 || err != nil {
			return n, err
		}
		if sleep(f.ctx, wait) != nil {
			return 0, io.EOF
		}
	}
}

// read reads what there is now. It returns [io.EOF] when there will be no more.
func (f *follower) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		return 0, io.EOF
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	// Both before reading: what was written before is read.
	s, err := readState(f.dir)
	over := err != nil || !f.r.runs(s)
	path := filepath.Join(f.dir, outFile)
	rotated := !samePath(f.current, path)
	n, err := f.current.Read(p)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	if rotated {
		if next, err := os.Open(path); err == nil {
			_ = f.current.Close()
			f.current = next
			return 0, nil
		}
	}
	if over {
		return 0, io.EOF
	}
	return 0, nil
}

func (f *follower) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.current.Close()
	f.current = nil
}

// Close implements [io.Closer]. A Read under way returns.
func (f *follower) Close() error {
	f.cancel()
	return nil
}
