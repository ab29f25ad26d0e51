package inproc

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/elastipod/elastipod/balancer"
)

const (
	latencyWindows = 5 // of latencyPeriod each
	latencyShards  = 4
	latencyUnit    = 10 * time.Microsecond
	latencyMax     = 10 * time.Minute
)

// latencies holds response times of the last ten seconds or so. Requests are
// recorded in shards, which are merged when a window is over.
type latencies struct {
	shards [latencyShards]struct {
		mu   sync.Mutex
		hist *hdrhistogram.Histogram
		_    [64]byte // a cache line of its own
	}
	turn atomic.Uint32

	mu     sync.Mutex
	window *hdrhistogram.WindowedHistogram
}

func (l *latencies) init() {
	const most = int64(latencyMax / latencyUnit)
	for i := range l.shards {
		l.shards[i].hist = hdrhistogram.New(1, most, 2)
	}
	l.window = hdrhistogram.NewWindowed(latencyWindows, 1, most, 2)
}

// shard returns the number of a shard to record in.
func (l *latencies) shard() int { return int(l.turn.Add(1) % latencyShards) }

func (l *latencies) record(shard int, d time.Duration) {
	s := &l.shards[shard]
	s.mu.Lock()
	_ = s.hist.RecordValue(min(int64(d/latencyUnit), int64(latencyMax/latencyUnit)))
	s.mu.Unlock()
}

// collect adds the shards to the window that is open.
func (l *latencies) collect() {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		if s.hist.TotalCount() > 0 {
			l.window.Current.Merge(s.hist)
			s.hist.Reset()
		}
		s.mu.Unlock()
	}
}

// rotate opens the next window, and forgets the oldest.
func (l *latencies) rotate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
	l.window.Rotate()
}

func (l *latencies) quantiles() balancer.Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collect()
	all := l.window.Merge()
	n := all.TotalCount()
	if n == 0 {
		return balancer.Latency{}
	}
	at := func(q float64) time.Duration { return time.Duration(all.ValueAtQuantile(q)) * latencyUnit }
	return balancer.Latency{Count: uint64(n), P50: at(50), P95: at(95), P99: at(99)}
}
