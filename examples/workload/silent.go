package workload

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// silentGrace is how long a connection on which nothing was sent yet may stay
// when the program ends. Balancers open such ones in advance, and the standard
// library would wait five seconds for each.
const silentGrace = 200 * time.Millisecond

// silentConns are the connections on which nothing was sent yet.
type silentConns struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

func (s *silentConns) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(s.open, c)
	case s.closed:
		c.Close()
	default:
		s.open[c] = struct{}{}
	}
}

func (s *silentConns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	clear(s.open)
}
