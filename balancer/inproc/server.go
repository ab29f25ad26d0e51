package inproc

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// server is an endpoint with its connections.
type server struct {
	balancer.Server // under front.mu, but for Name and Addr, which never change
	front           *front
	hash            uint64 // of the name
	ctx             context.Context
	stop            context.CancelFunc

	// Under front.mu.
	down     bool
	inFlight int
	requests uint64
	errors   uint64
	current  int // smooth round robin

	mu   sync.Mutex
	dead bool
	idle []*upstream // the one used last is the last
	open map[*upstream]struct{}
}

// Of the connections to a server, maxIdle are kept for the next requests, each
// for idleTimeout.
const (
	maxIdle     = 512
	idleTimeout = 15 * time.Second
)

// upstream is a connection to a server.
type upstream struct {
	wire
	server *server
	used   time.Time // when it became idle
}

func newServer(f *front, s balancer.Server) *server {
	ctx, stop := context.WithCancel(f.ctx)
	return &server{Server: s, front: f, hash: hashString(s.Name), ctx: ctx, stop: stop, open: map[*upstream]struct{}{}}
}

// takeIdle returns an idle connection that was used after since, or nil.
func (s *server) takeIdle(since time.Time) *upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle) - 1
	if n < 0 || !s.idle[n].used.After(since) {
		return nil
	}
	u := s.idle[n]
	s.idle[n] = nil
	s.idle = s.idle[:n]
	return u
}

// connect opens a connection.
func (s *server) connect(timeout time.Duration) (*upstream, error) {
	d := net.Dialer{Timeout: timeout}
	d.SetMultipathTCP(false)
	c, err := d.DialContext(s.ctx, "tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	u := &upstream{wire: wire{TCPConn: c.(*net.TCPConn)}, server: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	s.open[u] = struct{}{}
	return u, nil
}

// putIdle keeps a connection for the next request.
func (s *server) putIdle(u *upstream, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead || len(s.idle) >= maxIdle {
		delete(s.open, u)
		_ = u.Close()
		return
	}
	u.used = now
	s.idle = append(s.idle, u)
}

func (s *server) discard(u *upstream) {
	_ = u.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, u)
}

// dropIdle closes all idle connections: one of them turned out to be stale.
func (s *server) dropIdle() { s.sweepIdle(time.Now()) }

func (s *server) sweepIdle(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.idle) && s.idle[n].used.Before(before) {
		_ = s.idle[n].Close()
		delete(s.open, s.idle[n])
		n++
	}
	if n > 0 {
		rest := copy(s.idle, s.idle[n:])
		clear(s.idle[rest:])
		s.idle = s.idle[:rest]
	}
}

// kill closes all connections, those in use too, and lets no more be made.
func (s *server) kill() {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	for u := range s.open {
		_ = u.Close()
	}
	s.idle = nil
	clear(s.open)
}

// Bounds of the pause between two looks at a server that is down.
const (
	firstProbe = 50 * time.Millisecond
	lastProbe  = time.Second
)

// markDown has the server passed over, and looked at until it is up again.
func (f *front) markDown(s *server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.down || f.closing.Load() || s.ctx.Err() != nil {
		return
	}
	s.down = true
	f.wg.Go(func() {
		for pause := firstProbe; ; pause = min(2*pause, lastProbe) {
			t := time.NewTimer(pause)
			select {
			case <-s.ctx.Done():
				t.Stop()
				return
			case <-f.probing.Done():
				t.Stop()
				return
			case <-t.C:
			}
			if f.probe(s) {
				f.mu.Lock()
				defer f.mu.Unlock()
				s.down = false
				f.dispatch()
				return
			}
		}
	})
}

// probe says whether the server takes a connection and, where the front has a
// check path, answers it with a status below 400.
func (f *front) probe(s *server) bool {
	set := f.settings.Load()
	u, err := s.connect(set.Timeouts.Connect)
	if err != nil {
		return false
	}
	defer s.discard(u)
	if set.CheckPath == "" {
		return true
	}
	_ = u.SetDeadline(time.Now().Add(max(set.Timeouts.Connect, time.Second)))
	if _, err := io.WriteString(u, "GET "+set.CheckPath+" HTTP/1.1\r\nHost: "+s.Addr+"\r\nUser-Agent: elastipod-check\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	resp, err := http.ReadResponse(bufio.NewReader(u), nil)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode < 400
}
