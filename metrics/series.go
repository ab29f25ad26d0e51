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

// Since returns the samples taken after t, oldest first. It looks from the newest
// one backwards, so that times near the end, which are asked for most, are found
// at once.
func (s *Series) Since(t time.Time) []Sample {
	s.mu.RLock()
	defer s.mu.RUnlock()
	first := s.count
	for first > 0 && s.at(first-1).At.After(t) {
		first--
	}
	out := make([]Sample, 0, s.count-first)
	for i := first; i < s.count; i++ {
		out = append(out, *s.at(i))
	}
	return out
}

func (s *Series) at(i int) *Sample {
	return &s.ring[(s.next-s.count+i+len(s.ring))%len(s.ring)]
}
