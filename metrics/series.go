package metrics

import (
	"sync"
	"time"
)

// Series keeps the last samples of a pod in a fixed amount of memory. It may be
// used by several goroutines.
type Series struct {
	mu    sync.RWMutex
	ring  []Sample
	next  int
	count int
}

// NewSeries returns an empty series that keeps the last size samples, at least 1.
func NewSeries(size int) *Series {
	return &Series{ring: make([]Sample, max(size, 1))}
}

// Add appends a sample; the oldest one goes when the series is full.
func (s *Series) Add(x Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[s.next] = x
	s.next = (s.next + 1) % len(s.ring)
	s.count = min(s.count+1, len(s.ring))
}

// Len returns the number of samples kept.
func (s *Series) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count
}

// Last returns the newest sample.
func (s *Series) Last() (Sample, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.count == 0 {
		return Sample{}, false
	}
	return s.at(s.count - 1), true
}

// Since returns the samples taken after t, oldest first.
func (s *Series) Since(t time.Time) []Sample {
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := s.count
	for from > 0 && s.at(from-1).At.After(t) {
		from--
	}
	out := make([]Sample, 0, s.count-from)
	for i := from; i < s.count; i++ {
		out = append(out, s.at(i))
	}
	return out
}

func (s *Series) at(i int) Sample {
	return s.ring[(s.next-s.count+i+len(s.ring))%len(s.ring)]
}
