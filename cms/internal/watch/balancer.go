package watch

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/clock"
	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
)

// hurriedPoll is the pause between observations of the balancer while nodes are
// draining, which end as soon as they are idle.
const hurriedPoll = 50 * time.Millisecond

// BalancerConfig is what a [Balancer] is made of.
type BalancerConfig struct {
	Balancer balancer.Balancer
	Clock    clock.Clock
	Tick     time.Duration
	Observed func()         // called after each observation
	Tell     func(s string) // told what happened to the balancer itself
}

// Balancer observes the balancer for all pods.
type Balancer struct {
	cfg     BalancerConfig
	told    time.Time // when the last incident happened that was told; for the poller only
	view    atomic.Pointer[BalancerView]
	kicks   chan struct{}
	waiting atomic.Int64 // nodes and fronts whose requests are being waited for
}

// BalancerView is one observation of the balancer, immutable.
type BalancerView struct {
	Asked  time.Time // when it was asked for
	At     time.Time // when the statistics were taken
	Stats  balancer.Stats
	Err    error // why the statistics are old
	Fault  reconcile.Fault
	Fronts map[string]*balancer.FrontStats // of Stats, by name
}

// NewBalancer returns a balancer that nobody observes yet.
func NewBalancer(c BalancerConfig) *Balancer {
	return &Balancer{cfg: c, kicks: make(chan struct{}, 1)}
}

// View returns the last observation, or nil before the first.
func (b *Balancer) View() *BalancerView { return b.view.Load() }

// Kick asks for an observation now.
func (b *Balancer) Kick() {
	select {
	case b.kicks <- struct{}{}:
	default:
	}
}

// Await changes how many nodes and fronts wait for their requests to end: while
// there are some, observations are made often.
func (b *Balancer) Await(more int) {
	if b.waiting.Add(int64(more)); more > 0 {
		b.Kick()
	}
}

// Run polls the balancer until ctx ends.
func (b *Balancer) Run(ctx context.Context, epoch time.Time) {
	for {
		b.Observe(ctx)
		b.cfg.Observed()
		pause := b.cfg.Clock.UntilTick(epoch, b.cfg.Tick)
		if b.waiting.Load() > 0 {
			pause = min(pause, hurriedPoll)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-b.kicks:
		}
	}
}

// Observe makes a new view.
func (b *Balancer) Observe(ctx context.Context) {
	v := BalancerView{Asked: b.cfg.Clock.Now()}
	octx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	stats, err := b.cfg.Balancer.Observe(octx)
	before := b.View()
	if ctx.Err() == nil {
		b.report(before, stats, err)
	}
	switch {
	case err == nil:
		v.Stats, v.At = stats, b.cfg.Clock.Now()
		v.Fronts = make(map[string]*balancer.FrontStats, len(stats.Fronts))
		for i := range stats.Fronts {
			v.Fronts[stats.Fronts[i].Name] = &stats.Fronts[i]
		}
	case before != nil:
		v.Stats, v.At, v.Fronts = before.Stats, before.At, before.Fronts
	}
	v.Err, v.Fault = err, faults.Or(reconcile.FaultBalancer, err)
	b.view.Store(&v)
}

// report tells of what happened to the balancer itself since the observation
// before.
func (b *Balancer) report(before *BalancerView, now balancer.Stats, err error) {
	away := before != nil && before.Err != nil
	switch {
	case err != nil && !away:
		b.cfg.Tell(fmt.Sprintf("the balancer does not answer: %s", faults.Or(reconcile.FaultBalancer, err).Text))
	case err == nil && away:
		b.cfg.Tell("the balancer answers again")
	}
	for _, i := range now.Incidents {
		if i.At.After(b.told) {
			b.told = i.At
			b.cfg.Tell("balancer: " + i.Message)
		}
	}
}
