package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/elastipod/elastipod/balancer"
)

// Quantiles cover the current slice of time and those before it, about ten
// seconds together.
const (
	latencySlice  = 2 * time.Second
	latencySlices = 5
	latencyMax    = int64(24 * time.Hour / time.Millisecond)
)

// latencies reads the log lines that HAProxy sends, each "front milliseconds".
// While nobody listens, HAProxy drops them.
type latencies struct {
	conn *net.UnixConn
	done chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	fronts map[string]*window
	now    func() time.Time
}

// window is the histogram of one front.
type window struct {
	hist  *hdrhistogram.WindowedHistogram
	slice int64 // the slice of time that is current
}

func listenLatencies(path string) (*latencies, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("haproxy: log socket: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		err = errors.Join(os.Chmod(path, 0o600), conn.SetReadBuffer(1<<20))
	}
	if err != nil {
		return nil, fmt.Errorf("haproxy: log socket: %w", err)
	}
	l := newLatencies(time.Now)
	l.conn = conn
	go l.read()
	return l, nil
}

func newLatencies(now func() time.Time) *latencies {
	return &latencies{fronts: map[string]*window{}, now: now, done: make(chan struct{})}
}

func (l *latencies) read() {
	defer close(l.done)
	buf := make([]byte, 4096)
	for {
		n, err := l.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // one that was too long, or the like
		}
		if name, d, ok := parseLogLine(buf[:n]); ok {
			l.record(name, d)
		}
	}
}

func (l *latencies) close() error {
	err := l.conn.Close()
	<-l.done
	return err
}

// parseLogLine reads "front milliseconds". HAProxy writes a negative number, or
// one with a sign, where a request was broken off before it had a time.
func parseLogLine(line []byte) (front string, millis int64, ok bool) {
	name, rest, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	if !ok {
		return "", 0, false
	}
	n, err := strconv.ParseInt(string(rest), 10, 64)
	if err != nil || n < 0 || len(name) > 40 {
		return "", 0, false
	}
	return string(name), min(n, latencyMax), true
}

// maxWindows bounds the memory that strange names could take.
const maxWindows = 10_000

func (l *latencies) record(front string, millis int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.fronts[front]
	if w == nil {
		if len(l.fronts) >= maxWindows {
			return
		}
		// Two digits keep whole milliseconds exact up to 255 and the rest within 1 %.
		w = &window{hist: hdrhistogram.NewWindowed(latencySlices, 1, latencyMax, 2), slice: l.slice()}
		l.fronts[front] = w
	}
	w.turn(l.slice())
	_ = w.hist.Current.RecordValue(millis) // it is in range
}

func (l *latencies) slice() int64 { return l.now().UnixNano() / int64(latencySlice) }

// turn makes the slice current, and forgets those that are too old.
func (w *window) turn(slice int64) {
	for range min(slice-w.slice, latencySlices) {
		w.hist.Rotate()
	}
	w.slice = max(w.slice, slice)
}

// of returns the quantiles of a front.
func (l *latencies) of(front string) balancer.Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.fronts[front]
	if w == nil {
		return balancer.Latency{}
	}
	w.turn(l.slice())
	h := w.hist.Merge()
	if h.TotalCount() == 0 {
		delete(l.fronts, front) // memory for fronts that are in use only
		return balancer.Latency{}
	}
	ms := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Millisecond }
	return balancer.Latency{Count: uint64(h.TotalCount()), P50: ms(50), P95: ms(95), P99: ms(99)}
}
