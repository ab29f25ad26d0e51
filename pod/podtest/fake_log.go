package podtest

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/elastipod/elastipod/pod"
)

// fakeLog is the output of a fake node.
type fakeLog struct {
	mu     sync.Mutex
	buf    []byte
	closed bool
	grown  chan struct{} // closed and replaced when buf grows or the log closes
}

func newFakeLog() *fakeLog { return &fakeLog{grown: make(chan struct{})} }

func (l *fakeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	l.wake()
	return len(p), nil
}

func (l *fakeLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
}

func (l *fakeLog) wake() {
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *fakeLog) tail(most int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, _ := pod.ReadTail(bytes.NewReader(l.buf), most) // memory never fails
	return lines
}

// reader returns the log from its last tail lines on; 0 means from its start.
func (l *fakeLog) reader(ctx context.Context, o pod.LogOptions) io.ReadCloser {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := 0
	if o.Tail > 0 {
		at = len(l.buf)
		for range o.Tail {
			i := bytes.LastIndexByte(l.buf[:max(0, at-1)], '\n')
			at = i + 1
			if i < 0 {
				break
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	return &fakeLogReader{log: l, at: at, follow: o.Follow, ctx: ctx, cancel: cancel}
}

type fakeLogReader struct {
	log    *fakeLog
	at     int
	follow bool
	ctx    context.Context
	cancel context.CancelFunc
}

func (r *fakeLogReader) Read(p []byte) (int, error) {
	for {
		r.log.mu.Lock()
		n, closed, grown := copy(p, r.log.buf[r.at:]), r.log.closed, r.log.grown
		r.log.mu.Unlock()
		r.at += n
		switch {
		case n > 0:
			return n, nil
		case closed || !r.follow || r.ctx.Err() != nil:
			return 0, io.EOF
		}
		select {
		case <-grown:
		case <-r.ctx.Done():
		}
	}
}

func (r *fakeLogReader) Close() error {
	r.cancel()
	return nil
}
