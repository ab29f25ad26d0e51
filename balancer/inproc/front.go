package inproc

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// front is a listener, the clients that came by it, and its servers.
type front struct {
	cfg       Config
	shared    *shared
	settings  atomic.Pointer[balancer.Front] // with defaults
	latency   latencies
	ctx       context.Context // ends when everything is cut
	cut       context.CancelFunc
	probing   context.Context // ends when servers that are down need not be looked at any more
	endProbes context.CancelFunc
	wg        sync.WaitGroup // acceptors, clients, probers
	closing   atomic.Bool

	requests, errors atomic.Uint64
	inFlight         atomic.Int64

	clientsMu sync.Mutex
	listener  *net.TCPListener
	clients   map[*client]struct{}

	mu      sync.Mutex // over servers and the queue
	servers []*server  // by name
	next    int        // where leastconn begins to look, so that equals take turns
	queue   []*waiter
}

func newFront(cfg Config, sh *shared, f balancer.Front) *front {
	ctx, cut := context.WithCancel(context.Background())
	fr := &front{cfg: cfg, shared: sh, ctx: ctx, cut: cut, clients: map[*client]struct{}{}}
	fr.probing, fr.endProbes = context.WithCancel(ctx)
	fr.latency.init()
	fr.settings.Store(&f)
	return fr
}

// set changes the settings.
func (f *front) set(s balancer.Front) {
	f.settings.Store(&s)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dispatch()
}

// acceptGrace is for what has connected to an address that a front leaves.
const acceptGrace = 50 * time.Millisecond

// listen takes connections from l, and no longer from the listener before it.
func (f *front) listen(l *net.TCPListener) {
	f.clientsMu.Lock()
	old := f.listener
	f.listener = l
	f.clientsMu.Unlock()
	f.wg.Go(func() { f.accept(l) })
	if old != nil {
		// Who has connected and is not accepted yet would be reset.
		_ = old.SetDeadline(time.Now().Add(acceptGrace))
		f.accept(old)
		_ = old.Close()
	}
}

func (f *front) accept(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		default:
			// Out of descriptors, or the client left at once: the former passes.
			if !errors.Is(err, syscall.ECONNABORTED) {
				select {
				case <-f.ctx.Done():
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			continue
		}
		cl := newClient(f, c)
		f.clientsMu.Lock()
		if f.closing.Load() {
			f.clientsMu.Unlock()
			_ = c.Close()
			continue
		}
		f.clients[cl] = struct{}{}
		f.wg.Go(cl.serve)
		f.clientsMu.Unlock()
	}
}

func (f *front) forget(c *client) {
	f.clientsMu.Lock()
	defer f.clientsMu.Unlock()
	delete(f.clients, c)
}

// close stops listening, lets what runs end until grace is over, cuts the rest
// and waits.
func (f *front) close(grace time.Duration) {
	f.endProbes()
	f.clientsMu.Lock()
	f.closing.Store(true)
	_ = f.listener.Close()
	for c := range f.clients {
		if c.idle.Load() {
			_ = c.wire.Close()
		}
	}
	f.clientsMu.Unlock()

	ended := make(chan struct{})
	go func() {
		f.wg.Wait()
		close(ended)
	}()
	if grace > 0 {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-ended:
		case <-t.C:
		}
	}
	f.cut()
	f.clientsMu.Lock()
	for c := range f.clients {
		c.abort()
		_ = c.wire.Close()
	}
	f.clientsMu.Unlock()
	f.mu.Lock()
	servers := f.servers
	f.servers = nil
	f.dispatch()
	f.mu.Unlock()
	for _, s := range servers {
		s.kill()
	}
	<-ended
}

// apply makes the servers be those.
func (f *front) apply(want []balancer.Server) {
	want = slices.Clone(want)
	slices.SortFunc(want, func(a, b balancer.Server) int { return strings.Compare(a.Name, b.Name) })
	f.mu.Lock()
	have := map[string]*server{}
	for _, s := range f.servers {
		have[s.Name] = s
	}
	next := make([]*server, 0, len(want))
	for _, w := range want {
		w = w.WithDefaults()
		s := have[w.Name]
		if s != nil && s.Addr == w.Addr {
			s.Weight, s.State = w.Weight, w.State
			delete(have, w.Name)
		} else {
			s = newServer(f, w)
		}
		next = append(next, s)
	}
	f.servers = next
	f.dispatch()
	f.mu.Unlock()
	for _, s := range have {
		s.kill()
	}
}

func (f *front) stats() balancer.FrontStats {
	s := f.settings.Load()
	out := balancer.FrontStats{Name: s.Name, Listen: s.Listen}
	f.mu.Lock()
	for _, s := range f.servers {
		out.Servers = append(out.Servers, balancer.ServerStats{
			Name: s.Name, Addr: s.Addr, State: s.State, Weight: s.Weight, Up: !s.down,
			InFlight: s.inFlight, Requests: s.requests, Errors: s.errors,
		})
	}
	out.Waiting = len(f.queue)
	f.mu.Unlock()
	out.InFlight = int(f.inFlight.Load())
	out.Requests = f.requests.Load()
	out.Errors = f.errors.Load()
	out.Latency = f.latency.quantiles()
	return out
}

// sweepClients ends the requests of clients that went away.
func (f *front) sweepClients(now time.Time) {
	var gone []*client
	f.clientsMu.Lock()
	for c := range f.clients {
		if since := c.waitingSince.Load(); since != 0 && now.UnixNano()-since > int64(sweepPeriod) && c.hungUp() {
			gone = append(gone, c)
		}
	}
	f.clientsMu.Unlock()
	for _, c := range gone {
		c.abort()
	}
}

func (f *front) sweepIdle(before time.Time) {
	f.mu.Lock()
	servers := slices.Clone(f.servers)
	f.mu.Unlock()
	for _, s := range servers {
		s.sweepIdle(before)
	}
}
