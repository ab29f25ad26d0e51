package workload

import (
	"fmt"
	"os"
	"sync"
)

// MaxSeen is how many ids /seen keeps and answers with.
const MaxSeen = 20_000

// seen remembers the ids of requests: the last ones in memory, all of them in a
// file where there is one.
type seen struct {
	mu    sync.Mutex
	file  *os.File // nil: none
	all   uint64   // requests
	count uint64   // ids
	ring  []string
}

func newSeen(file string) (*seen, error) {
	s := &seen{}
	if file == "" {
		return s, nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("SEEN_FILE: %w", err)
	}
	s.file = f
	return s, nil
}

// add counts a request and remembers its id, if it has one.
func (s *seen) add(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "" && s.file != nil {
		// One write, to a file that is only appended to: nodes may share it.
		if _, err := s.file.WriteString(id + "\n"); err != nil {
			return err
		}
	}
	s.all++
	if id == "" {
		return nil
	}
	if len(s.ring) < MaxSeen {
		s.ring = append(s.ring, id)
	} else {
		s.ring[s.count%MaxSeen] = id
	}
	s.count++
	return nil
}

// since returns the ids after the first n that came.
func (s *seen) since(n uint64) Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, s.count)
	from := max(n, s.count-uint64(len(s.ring)))
	out := Seen{Requests: s.all, Count: s.count, Lost: from - n, Next: s.count, IDs: make([]string, 0, s.count-from)}
	for i := from; i < s.count; i++ {
		out.IDs = append(out.IDs, s.ring[i%MaxSeen])
	}
	return out
}

func (s *seen) requests() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

func (s *seen) close() {
	if s.file != nil {
		s.file.Close()
	}
}
