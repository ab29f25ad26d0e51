package inproc

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// wire is a connection whose deadlines are set no more often than they must be:
// one that is set holds for the time-out, and up to an eighth longer.
type wire struct {
	*net.TCPConn
	readBy, writeBy time.Time
}

func (w *wire) readWithin(now time.Time, d time.Duration) {
	if w.readBy.Sub(now) < d {
		w.readBy = now.Add(d + d/8)
		_ = w.SetReadDeadline(w.readBy)
	}
}

// readBefore sets an exact deadline, once.
func (w *wire) readBefore(at time.Time) {
	w.readBy = time.Time{} // so that readWithin sets its own
	_ = w.SetReadDeadline(at)
}

func (w *wire) writeWithin(now time.Time, d time.Duration) {
	if w.writeBy.Sub(now) < d {
		w.writeBy = now.Add(d + d/8)
		_ = w.SetWriteDeadline(w.writeBy)
	}
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// reader is a buffer before a connection.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int
}

func (r *reader) buffered() []byte { return r.buf[r.r:r.w] }

func (r *reader) consume(n int) { r.r += n }

// resize gives the buffer another size, which has room for what is in it.
func (r *reader) resize(n int) {
	buf := make([]byte, n)
	r.w = copy(buf, r.buffered())
	r.r, r.buf = 0, buf
}

// fill reads once. Where the buffer is full it grows up to limit, and fill
// returns errHeadSize beyond.
func (r *reader) fill(limit int) error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.w == len(r.buf) {
		switch {
		case r.r > 0:
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r = 0
		case len(r.buf) >= limit:
			return errHeadSize
		default:
			r.resize(min(max(2*len(r.buf), 512), limit))
		}
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// scanHead looks for the end of a head in b, of which the first seen bytes are
// whole lines that it has looked at. end is 0 while there is none.
func scanHead(b []byte, seen int) (end, next int, err error) {
	for {
		i := bytes.IndexByte(b[seen:], '\n')
		if i < 0 {
			return 0, seen, nil
		}
		if i == 0 || b[seen+i-1] != '\r' {
			return 0, seen, errNewline
		}
		seen += i + 1
		if i == 1 {
			return seen, seen, nil
		}
	}
}
