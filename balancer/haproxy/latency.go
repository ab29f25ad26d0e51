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

// latencies reads the log lines that HAProxy sends, each for one
// request or for several.
// While nobody listens, HAProxy drops them.
type latencies struct {
	conn *net.UnixConn
	done chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	fronts map[string]*window
	now    func() time.Time
}

// window holds the histograms of one front, one a slice of time.
type window struct {
	slices [latencySlices]struct {
		hist  *hdrhistogram.Histogram
		lines uint64
	}
	now int64 // the slice of time that is current
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
		if name, ms, every, ok := parseLogLine(buf[:n]); ok {
			l.record(name, ms, every)
		}
	}
}

func (l *latencies) close() error {
	err := l.conn.Close()
	<-l.done
	return err
}

// parseLogLine reads "front milliseconds every", where every says how many
// requests the line stands for, and is "-" for one. HAProxy writes a negative
// number where a request was broken off before it had a time.
func parseLogLine(line []byte) (front string, millis, every int64, ok bool) {
	f := bytes.Fields(line)
	if len(f) != 3 || len(f[0]) > 40 {
		return "", 0, 0, false
	}
	every = 1
	var err error
	if string(f[2]) != "-" {
		if every, err = strconv.ParseInt(string(f[2]), 10, 32); err != nil || every < 1 {
			return "", 0, 0, false
		}
	}
	millis, err = strconv.ParseInt(string(f[1]), 10, 64)
	if err != nil || millis < 0 {
		return "", 0, 0, false
	}
	return string(f[0]), min(millis, latencyMax), every, true
}

// maxWindows bounds the memory that strange names could take.
const maxWindows = 10_000

func (l *latencies) record(front string, millis, every int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.fronts[front]
	if w == nil {
		if len(l.fronts) >= maxWindows {
			return
		}
		w = &window{now: l.slice()}
		l.fronts[front] = w
	}
	w.turn(l.slice())
	s := &w.slices[w.now%latencySlices]
	if s.hist == nil {
		s.hist = newHistogram()
	}
	s.lines++
	_ = s.hist.RecordValues(millis, every) // it is in range
}

// Two digits keep whole milliseconds exact up to 255, and the rest within 1 %.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMax, 2) }

func (l *latencies) slice() int64 { return l.now().UnixNano() / int64(latencySlice) }

// turn makes the slice current, and forgets those that are too old.
func (w *window) turn(slice int64) {
	for range min(slice-w.now, latencySlices) {
		w.now++
		s := &w.slices[w.now%latencySlices]
		s.lines = 0
		if s.hist != nil {
			s.hist.Reset()
		}
	}
	if slice > w.now { // all were forgotten
		w.now = slice
	}
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
	var out balancer.Latency
	all := newHistogram()
	for _, s := range w.slices {
		if s.lines > 0 {
			out.Count += s.lines
			all.Merge(s.hist)
		}
	}
	if out.Count == 0 {
		delete(l.fronts, front) // memory for fronts that are in use only
		return out
	}
	ms := func(q float64) time.Duration { return time.Duration(all.ValueAtQuantile(q)) * time.Millisecond }
	out.P50, out.P95, out.P99 = ms(50), ms(95), ms(99)
	return out
}
