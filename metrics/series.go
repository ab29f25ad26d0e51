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
	return *s.at(s.count - 1), true
}

// Since returns the samples taken after t, oldest first.
func (s *Series) Since(t time.Time) []Sample {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.copy(s.after(t), s.count)
}

// Window returns the samples taken after from and not after to, oldest first.
func (s *Series) Window(from, to time.Time) []Sample {
	s.mu.RLock()
	defer s.mu.RUnlock()
	first := s.after(from)
	return s.copy(first, max(first, s.after(to)))
}

// after returns the index of the first of the newest samples that were all
// taken after t. It looks from the newest one backwards, so that windows near
// the end, which are asked for most, are found at once.
func (s *Series) after(t time.Time) int {
	i := s.count
	for i > 0 && s.at(i-1).At.After(t) {
		i--
	}
	return i
}

func (s *Series) copy(from, to int) []Sample {
	out := make([]Sample, 0, to-from)
	for i := from; i < to; i++ {
		out = append(out, *s.at(i))
	}
	return out
}

func (s *Series) at(i int) *Sample {
	return &s.ring[(s.next-s.count+i+len(s.ring))%len(s.ring)]
}
