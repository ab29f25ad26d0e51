package cms

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// hurriedPoll is the pause between observations of the balancer while nodes are
// draining, which end as soon as they are idle.
const hurriedPoll = 50 * time.Millisecond

// balancerPoller observes the balancer once for all pods.
type balancerPoller struct {
	balancer balancer.Balancer
	clock    clock
	tick     time.Duration
	observed func() // called after each observation
	tell     func(message string)
	told     time.Time // when the last incident happened that was told
	view     atomic.Pointer[balancerView]
	kicks    chan struct{}
	// draining counts the nodes whose requests are being waited for.
	draining atomic.Int64
}

// balancerView is one observation of the balancer, immutable.
type balancerView struct {
	begun time.Time // when it was asked for
	at    time.Time // when the statistics were taken
	stats balancer.Stats
	err   error // why the statistics are old
}

func (p *balancerPoller) kick() {
	select {
	case p.kicks <- struct{}{}:
	default:
	}
}

func (p *balancerPoller) run(ctx context.Context, epoch time.Time) {
	for {
		p.observe(ctx)
		p.observed()
		pause := p.clock.untilTick(epoch, p.tick)
		if p.draining.Load() > 0 {
			pause = min(pause, hurriedPoll)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-p.kicks:
			timer.Stop()
		}
	}
}

func (p *balancerPoller) observe(ctx context.Context) {
	v := balancerView{begun: p.clock.now()}
	octx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	stats, err := p.balancer.Observe(octx)
	before := p.view.Load()
	if ctx.Err() == nil {
		p.report(before, stats, err)
	}
	if err != nil {
		v.err = err
		if before != nil {
			v.stats, v.at = before.stats, before.at
		}
	} else {
		v.stats, v.at = stats, p.clock.now()
	}
	p.view.Store(&v)
}

// report tells of what happened to the balancer itself since the observation
// before.
func (p *balancerPoller) report(before *balancerView, now balancer.Stats, err error) {
	away := before != nil && before.err != nil
	switch {
	case err != nil && !away:
		p.tell(fmt.Sprintf("the balancer does not answer: %v", err))
	case err == nil && away:
		p.tell("the balancer answers again")
	}
	for _, i := range now.Incidents {
		if i.At.After(p.told) {
			p.told = i.At
			p.tell("balancer: " + i.Message)
		}
	}
}
