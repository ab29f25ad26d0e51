package inproc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// Balancer is a reverse proxy inside the program. It implements balancer.Balancer.
type Balancer struct {
	cfg    Config
	shared *shared
	stop   context.CancelFunc
	wg     sync.WaitGroup // the sweeper

	mu     sync.Mutex // over changes of fronts; not held while requests are served
	fronts map[string]*front
	closed bool
	done   chan struct{} // closed once Close has done its work
}

var _ balancer.Balancer = (*Balancer)(nil)

// New returns a Balancer without fronts. It starts one goroutine, for which, as
// for those of its fronts and connections, Close waits. The error holds every
// fault of the config.
func New(cfg Config) (*Balancer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("inproc: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Balancer{cfg: cfg.WithDefaults(), shared: newShared(), stop: stop, fronts: map[string]*front{}, done: make(chan struct{})}
	b.wg.Go(func() { b.sweep(ctx) })
	return b, nil
}

// enter takes the lock for a call, unless it is too late for it.
func (b *Balancer) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return balancer.ErrClosed
	}
	return nil
}

// SetFront implements balancer.Balancer. Where the address changes, the new one
// takes connections before the old one stops.
func (b *Balancer) SetFront(ctx context.Context, f balancer.Front) error {
	if err := b.setFront(ctx, f); err != nil {
		return fmt.Errorf("set front %.40s: %w", f.Name, err)
	}
	return nil
}

func (b *Balancer) setFront(ctx context.Context, f balancer.Front) error {
	if err := f.Validate(); err != nil {
		return err
	}
	f = f.WithDefaults()
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	old := b.fronts[f.Name]
	if old != nil && old.settings.Load().Listen == f.Listen {
		old.set(f)
		return nil
	}
	l, err := listen(ctx, f.Listen)
	if err != nil {
		return err
	}
	if old != nil {
		old.set(f)
		old.listen(l)
		return nil
	}
	fr := newFront(b.cfg, b.shared, f)
	fr.listen(l)
	b.fronts[f.Name] = fr
	return nil
}

func listen(ctx context.Context, addr string) (*net.TCPListener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %w", addr, balancer.ErrAddressInUse)
	case err != nil:
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// RemoveFront implements balancer.Balancer.
func (b *Balancer) RemoveFront(ctx context.Context, name string) error {
	if err := b.enter(ctx); err != nil {
		return fmt.Errorf("remove front %.40q: %w", name, err)
	}
	f := b.fronts[name]
	delete(b.fronts, name)
	if f != nil {
		f.close(0) // under the lock, so that a front of the same address may follow
	}
	b.mu.Unlock()
	return nil
}

// Apply implements balancer.Balancer.
func (b *Balancer) Apply(ctx context.Context, name string, want []balancer.Server) error {
	if err := b.apply(ctx, name, want); err != nil {
		return fmt.Errorf("apply servers of front %.40q: %w", name, err)
	}
	return nil
}

func (b *Balancer) apply(ctx context.Context, name string, want []balancer.Server) error {
	if err := balancer.ValidateServers(want); err != nil {
		return err
	}
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	f := b.fronts[name]
	if f == nil {
		return balancer.ErrNoFront
	}
	f.apply(want)
	return nil
}

// Observe implements balancer.Balancer.
func (b *Balancer) Observe(ctx context.Context) (balancer.Stats, error) {
	if err := b.enter(ctx); err != nil {
		return balancer.Stats{}, fmt.Errorf("observe: %w", err)
	}
	fronts := slices.Collect(maps.Values(b.fronts))
	b.mu.Unlock()
	var out balancer.Stats
	for _, f := range fronts {
		out.Fronts = append(out.Fronts, f.stats())
	}
	slices.SortFunc(out.Fronts, func(a, b balancer.FrontStats) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Close stops taking connections, lets requests that run end for as long as
// Config.CloseGrace says, cuts what is left, and waits for every goroutine.
func (b *Balancer) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	fronts := b.fronts
	b.mu.Unlock()
	if !first {
		<-b.done
		return nil
	}
	defer close(b.done)
	var wg sync.WaitGroup
	for _, f := range fronts {
		wg.Go(func() { f.close(b.cfg.CloseGrace) })
	}
	wg.Wait()
	b.stop()
	b.wg.Wait()
	return nil
}

// Periods of the sweeper.
const (
	sweepPeriod   = 100 * time.Millisecond
	latencyPeriod = 2 * time.Second
)

// sweep does at intervals what need not be done at each request: it looks after
// clients that went away, idle connections, and the windows of latencies.
func (b *Balancer) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepPeriod)
	defer tick.Stop()
	rotated := time.Now()
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		rotate := now.Sub(rotated) >= latencyPeriod
		if rotate {
			rotated = now
		}
		b.mu.Lock()
		fronts := slices.Collect(maps.Values(b.fronts))
		b.mu.Unlock()
		for _, f := range fronts {
			f.sweepClients(now)
			if rotate {
				f.latency.rotate()
				f.sweepIdle(now.Add(-idleTimeout))
			}
		}
	}
}
