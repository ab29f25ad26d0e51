package docker

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/elastipod/elastipod/pod"
)

// Logs implements [pod.Logger]. The engine keeps the last 8 to 16 MiB.
func (r *Runtime) Logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	ctx, done, err := r.begin(ctx)
	if err != nil {
		return nil, r.fail(ctx, err, "read output of node "+id.String())
	}
	raw, err := r.openLogs(ctx, id, o)
	if err != nil {
		err = r.fail(ctx, err, "read output of node "+id.String())
		done()
		return nil, err
	}
	done = sync.OnceFunc(done)
	// A reader that nobody closes ends with its context or the runtime.
	context.AfterFunc(ctx, func() {
		_ = raw.Close()
		done()
	})
	return &logReader{ctx: ctx, text: &demux{from: raw}, raw: raw, done: done}, nil
}

func (r *Runtime) openLogs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	found, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	opts := container.LogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.Follow}
	if o.Tail > 0 {
		opts.Tail = strconv.Itoa(o.Tail)
	}
	return r.api.ContainerLogs(ctx, found, opts)
}

// tailTimeout bounds how long a stop reads the output of its node.
const tailTimeout = 2 * time.Second

// tail returns the last output of a container that is about to be removed; nil
// where it cannot be read in time.
func (r *Runtime) tail(ctx context.Context, id string) []string {
	ctx, cancel := context.WithTimeout(ctx, tailTimeout)
	defer cancel()
	lines, err := r.readTail(ctx, id, pod.TailLines)
	if err != nil {
		r.log.Debug("cannot read the last output of a node that is stopped", "container", id, "error", err)
	}
	return lines
}

// readTail returns the last lines of a container's output.
func (r *Runtime) readTail(ctx context.Context, id string, lines int) ([]string, error) {
	raw, err := r.api.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines)})
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })() // a read under way ends, too
	tail, err := pod.ReadTail(&demux{from: raw}, lines)
	return tail, cmp.Or(ctx.Err(), err)
}

// logReader reads a node's output until that, its context or the runtime ends.
type logReader struct {
	ctx  context.Context
	text io.Reader
	raw  io.Closer
	done func()
}

func (l *logReader) Read(p []byte) (int, error) {
	n, err := l.text.Read(p)
	if err != nil {
		if l.ctx.Err() != nil {
			err = io.EOF
		}
		l.done()
	}
	return n, err
}

// Close ends the reader; a Read under way returns.
func (l *logReader) Close() error {
	l.done() // ends the request's context, and so a read under way
	return l.raw.Close()
}

// demux turns the engine's framed stream of stdout and stderr into plain text.
type demux struct {
	from io.Reader
	left uint32 // of the present frame
	kind stdcopy.StdType
}

func (d *demux) Read(p []byte) (int, error) {
	for d.left == 0 {
		var header [8]byte
		if _, err := io.ReadFull(d.from, header[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("output ends within a frame: %w", err)
			}
			return 0, err
		}
		d.kind, d.left = stdcopy.StdType(header[0]), binary.BigEndian.Uint32(header[4:])
		switch d.kind {
		case stdcopy.Stdin, stdcopy.Stdout, stdcopy.Stderr:
		case stdcopy.Systemerr:
			text, _ := io.ReadAll(io.LimitReader(d.from, int64(min(d.left, 1<<16))))
			return 0, fmt.Errorf("the engine cannot read the output: %s", text)
		default:
			return 0, fmt.Errorf("output is not in frames: stream %d", d.kind)
		}
	}
	if uint32(len(p)) > d.left {
		p = p[:d.left]
	}
	n, err := d.from.Read(p)
	d.left -= uint32(n)
	return n, err
}
