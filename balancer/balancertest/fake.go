package balancertest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// Method names a method of the port.
type Method string

// The methods of balancer.Balancer.
const (
	SetFront    Method = "SetFront"
	RemoveFront Method = "RemoveFront"
	Apply       Method = "Apply"
	Observe     Method = "Observe"
	Close       Method = "Close"
)

// Call is one call that a [Fake] got.
type Call struct {
	At     time.Time         // when it came
	Method Method            // what was called
	Front  string            // its front, of all but Observe and Close
	Value  balancer.Front    // of SetFront
	Want   []balancer.Server // of Apply, as it was given
	Err    error             // what it returned
}

// Fake is a balancer.Balancer in memory. It does no I/O and starts no
// goroutine, so it works inside testing/synctest bubbles: its delays are timers
// of the goroutine that calls. All methods may be called at the same time.
type Fake struct {
	mu     sync.Mutex
	world  *world
	calls  []Call
	fail   map[Method]error
	next   map[Method][]error
	delay  map[Method]time.Duration
	closed bool

	problems  []string
	incidents []balancer.Incident
}

// world is what outlives a Fake that was closed.
type world struct {
	fronts   map[string]*fakeFront
	occupied map[string]bool
	cut      int
}

type fakeFront struct {
	front    balancer.Front
	servers  map[string]*fakeServer
	requests uint64
	errors   uint64
	waiting  int
	latency  balancer.Latency
}

type fakeServer struct {
	server   balancer.Server
	down     bool
	inFlight int
	requests uint64
	errors   uint64
}

var _ balancer.Balancer = (*Fake)(nil)

// NewFake returns a Fake without fronts.
func NewFake() *Fake {
	return newFake(&world{fronts: map[string]*fakeFront{}, occupied: map[string]bool{}})
}

func newFake(w *world) *Fake {
	return &Fake{
		world: w,
		fail:  map[Method]error{},
		next:  map[Method][]error{},
		delay: map[Method]time.Duration{},
	}
}

// Reopen closes f and returns another value that finds f's fronts, servers and
// what is in flight, as one does that is opened beside a balancer which
// outlives its manager. The counters begin anew.
func (f *Fake) Reopen() *Fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	w := &world{fronts: map[string]*fakeFront{}, occupied: maps.Clone(f.world.occupied), cut: f.world.cut}
	for name, fr := range f.world.fronts {
		c := &fakeFront{front: fr.front, servers: map[string]*fakeServer{}, waiting: fr.waiting}
		for n, s := range fr.servers {
			c.servers[n] = &fakeServer{server: s.server, down: s.down, inFlight: s.inFlight}
		}
		w.fronts[name] = c
	}
	return newFake(w)
}

// SetFront implements balancer.Balancer.
func (f *Fake) SetFront(ctx context.Context, fr balancer.Front) error {
	return f.call(ctx, Call{Method: SetFront, Front: fr.Name, Value: fr}, func() error {
		if err := fr.Validate(); err != nil {
			return err
		}
		if f.world.occupied[fr.Listen] {
			return fmt.Errorf("%s: %w", fr.Listen, balancer.ErrAddressInUse)
		}
		for name, other := range f.world.fronts {
			if name != fr.Name && other.front.Listen == fr.Listen {
				return fmt.Errorf("%s is front %s: %w", fr.Listen, name, balancer.ErrAddressInUse)
			}
		}
		if old := f.world.fronts[fr.Name]; old != nil {
			old.front = fr.WithDefaults()
			return nil
		}
		f.world.fronts[fr.Name] = &fakeFront{front: fr.WithDefaults(), servers: map[string]*fakeServer{}}
		return nil
	})
}

// RemoveFront implements balancer.Balancer.
func (f *Fake) RemoveFront(ctx context.Context, name string) error {
	return f.call(ctx, Call{Method: RemoveFront, Front: name}, func() error {
		if fr := f.world.fronts[name]; fr != nil {
			for _, s := range fr.servers {
				f.world.cut += s.inFlight
			}
		}
		delete(f.world.fronts, name)
		return nil
	})
}

// Apply implements balancer.Balancer.
func (f *Fake) Apply(ctx context.Context, front string, want []balancer.Server) error {
	return f.call(ctx, Call{Method: Apply, Front: front, Want: slices.Clone(want)}, func() error {
		if err := balancer.ValidateServers(want); err != nil {
			return err
		}
		fr := f.world.fronts[front]
		if fr == nil {
			return balancer.ErrNoFront
		}
		keep := map[string]*fakeServer{}
		for _, s := range want {
			s = s.WithDefaults()
			now := fr.servers[s.Name]
			if now == nil || now.server.Addr != s.Addr {
				now = &fakeServer{}
			}
			now.server = s
			keep[s.Name] = now
		}
		for name, s := range fr.servers {
			if keep[name] != s {
				f.world.cut += s.inFlight
				fr.errors += uint64(s.inFlight)
			}
		}
		fr.servers = keep
		return nil
	})
}

// Observe implements balancer.Balancer.
func (f *Fake) Observe(ctx context.Context) (balancer.Stats, error) {
	var out balancer.Stats
	err := f.call(ctx, Call{Method: Observe}, func() error {
		out.Fronts = make([]balancer.FrontStats, 0, len(f.world.fronts))
		for _, fr := range f.world.fronts {
			out.Fronts = append(out.Fronts, fr.stats())
		}
		slices.SortFunc(out.Fronts, func(a, b balancer.FrontStats) int { return cmp.Compare(a.Name, b.Name) })
		out.Problems, out.Incidents = slices.Clone(f.problems), slices.Clone(f.incidents)
		return nil
	})
	return out, err
}

func (fr *fakeFront) stats() balancer.FrontStats {
	out := balancer.FrontStats{
		Name:     fr.front.Name,
		Listen:   fr.front.Listen,
		Requests: fr.requests,
		Errors:   fr.errors,
		InFlight: fr.waiting,
		Waiting:  fr.waiting,
		Latency:  fr.latency,
		Servers:  make([]balancer.ServerStats, 0, len(fr.servers)),
	}
	for _, s := range fr.servers {
		out.InFlight += s.inFlight
		out.Servers = append(out.Servers, balancer.ServerStats{
			Name:     s.server.Name,
			Addr:     s.server.Addr,
			State:    s.server.State,
			Weight:   s.server.Weight,
			Up:       !s.down,
			InFlight: s.inFlight,
			Requests: s.requests,
			Errors:   s.errors,
		})
	}
	slices.SortFunc(out.Servers, func(a, b balancer.ServerStats) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Close implements balancer.Balancer. What the Fake holds is found again by
// [Fake.Reopen]. It closes also when it is set to fail.
func (f *Fake) Close() error {
	return f.call(context.Background(), Call{Method: Close}, func() error { return nil })
}

// call waits as long as the method's delay says, then does do unless the
// method is set to fail, and records what came of it.
func (f *Fake) call(ctx context.Context, c Call, do func() error) error {
	c.At = time.Now()
	f.mu.Lock()
	d := f.delay[c.Method]
	f.mu.Unlock()
	err := wait(ctx, d)

	f.mu.Lock()
	defer f.mu.Unlock()
	switch queued := f.next[c.Method]; {
	case err != nil:
	case f.closed && c.Method != Close:
		err = balancer.ErrClosed
	case len(queued) > 0:
		err = queued[0]
		f.next[c.Method] = queued[1:]
		if err == nil {
			err = do()
		}
	case f.fail[c.Method] != nil:
		err = f.fail[c.Method]
	default:
		err = do()
	}
	if err != nil {
		if c.Front != "" {
			err = fmt.Errorf("%s %s: %w", c.Method, c.Front, err)
		} else {
			err = fmt.Errorf("%s: %w", c.Method, err)
		}
	}
	c.Err = err
	f.calls = append(f.calls, c)
	f.closed = f.closed || c.Method == Close
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
