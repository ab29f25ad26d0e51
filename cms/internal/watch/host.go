package watch

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/elastipod/elastipod/cms/internal/clock"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

const (
	observeTimeout = 10 * time.Second
	openTimeout    = 10 * time.Second
	// maxPause bounds the pauses between observations of a host that does not
	// answer, and so the time until one that is back is noticed.
	maxPause = 10 * time.Second
)

// HostConfig is what a [Host] is made of.
type HostConfig struct {
	Cluster pod.Cluster
	Open    func(context.Context, pod.Host, pod.Cluster) (pod.Runtime, error)
	Clock   clock.Clock
	Tick    time.Duration
	Log     *slog.Logger
	// Observed is called by the host's poller after each observation, with the one
	// before, which is nil at first.
	Observed func(h *Host, before, now *View)
}

// Host observes a host for all pods.
type Host struct {
	Name string
	cfg  HostConfig

	mu      sync.Mutex
	rec     state.Host
	runtime pod.Runtime // nil until opened

	view  atomic.Pointer[View]
	told  *View         // the view that Observed was called with last; for the poller only
	kicks chan struct{} // asks for an observation now
	back  chan struct{} // told when it answers again
	stop  context.CancelFunc
}

// NewHost returns a host that nobody observes yet.
func NewHost(rec state.Host, c HostConfig) *Host {
	return &Host{Name: rec.Host.Name, cfg: c, rec: rec, kicks: make(chan struct{}, 1), back: make(chan struct{}, 1)}
}

// Record returns what the store keeps of the host.
func (h *Host) Record() state.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rec
}

// SetRecord replaces what the store keeps of the host.
func (h *Host) SetRecord(rec state.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rec = rec
}

// View returns the last observation, or nil before the first.
func (h *Host) View() *View { return h.view.Load() }

// Runtime returns the runtime, or why there is none.
func (h *Host) Runtime() (pod.Runtime, error) {
	h.mu.Lock()
	rt := h.runtime
	h.mu.Unlock()
	if rt != nil {
		return rt, nil
	}
	if v := h.View(); v != nil && v.Err != nil {
		return nil, v.Err
	}
	return nil, fmt.Errorf("host %s: %w: not opened yet", h.Name, pod.ErrUnreachable)
}

// Kick asks for an observation now.
func (h *Host) Kick() {
	select {
	case h.kicks <- struct{}{}:
	default:
	}
}

// Begin says what ends the host's poller; see [Host.Stop].
func (h *Host) Begin(ctx context.Context) context.Context {
	ctx, h.stop = context.WithCancel(ctx)
	return ctx
}

// Stop ends the poller. It does not wait.
func (h *Host) Stop() { h.stop() }

// Run polls the host until ctx ends, then closes its runtime. first is closed
// after the first observation.
func (h *Host) Run(ctx context.Context, epoch time.Time, first chan<- struct{}) {
	var watching sync.WaitGroup
	watched := false
	for {
		h.Observe(ctx)
		if first != nil {
			close(first)
			first = nil
		}
		if rt, err := h.Runtime(); err == nil && !watched {
			watched = true
			if w := rt.Extras().Watcher; w != nil {
				watching.Go(func() { h.watch(ctx, w) })
			}
		}
		if now := h.View(); now != nil && now != h.told {
			before := h.told
			h.told = now
			h.cfg.Observed(h, before, now)
		}
		select {
		case <-ctx.Done():
			watching.Wait()
			h.Close()
			return
		case <-time.After(h.pause(epoch)):
		case <-h.kicks:
		}
	}
}

// Close closes the runtime of a host that is not polled.
func (h *Host) Close() {
	h.mu.Lock()
	rt := h.runtime
	h.mu.Unlock()
	if rt != nil {
		if err := rt.Close(); err != nil {
			h.cfg.Log.Warn("close runtime", "host", h.Name, "error", err)
		}
	}
}

// pause returns the time until the next observation: until the tick, and longer
// and at random the longer the host has been away, so that it is noticed within
// a quarter of that time when it is back.
func (h *Host) pause(epoch time.Time) time.Duration {
	v := h.View()
	if v == nil || v.Err == nil {
		return h.cfg.Clock.UntilTick(epoch, h.cfg.Tick)
	}
	pause := min(h.cfg.Clock.Since(v.Since)/4, maxPause)
	if pause <= h.cfg.Tick {
		return h.cfg.Clock.UntilTick(epoch, h.cfg.Tick)
	}
	return pause/2 + rand.N(pause/2)
}

// Observe makes a new view.
func (h *Host) Observe(ctx context.Context) {
	before := h.View()
	begun := h.cfg.Clock.Now()
	snap, err := h.snapshot(ctx)
	if ctx.Err() != nil && before != nil {
		return
	}
	now := before.next(begun, snap, err)
	if err != nil {
		now.Err = fmt.Errorf("observe host %s: %w", h.Name, err)
	}
	h.view.Store(now)
	if before != nil && before.Err != nil && err == nil {
		select {
		case h.back <- struct{}{}:
		default:
		}
	}
}

func (h *Host) snapshot(ctx context.Context) (pod.Snapshot, error) {
	rt, err := h.ensureOpen(ctx)
	if err != nil {
		return pod.Snapshot{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	return rt.Observe(ctx)
}

func (h *Host) ensureOpen(ctx context.Context) (pod.Runtime, error) {
	h.mu.Lock()
	rt, rec := h.runtime, h.rec
	h.mu.Unlock()
	if rt != nil {
		return rt, nil
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	rt, err := h.cfg.Open(ctx, rec.Host, h.cfg.Cluster)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.runtime = rt
	h.mu.Unlock()
	return rt, nil
}

// watch turns the runtime's hints into observations, and begins again with a
// growing pause when the stream breaks, once the host answers.
func (h *Host) watch(ctx context.Context, w pod.Watcher) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 200 * time.Millisecond
	pauses.MaxInterval = 30 * time.Second
	for {
		begun := h.cfg.Clock.Now()
		err := w.Watch(ctx, func(pod.Event) { h.Kick() })
		if ctx.Err() != nil {
			return
		}
		h.cfg.Log.Debug("watch host", "host", h.Name, "error", err)
		if h.cfg.Clock.Since(begun) > time.Minute {
			pauses.Reset()
		}
		h.Kick()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pauses.NextBackOff()):
		}
		for !h.View().Fault.OK() {
			select {
			case <-ctx.Done():
				return
			case <-h.back:
			}
		}
	}
}
