package cms

import (
	"context"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// emptying says how long a front that is to be removed may finish what it has.
type emptying struct {
	since time.Time // it got nothing new any more
	by    time.Time // what it has then is cut
}

// emptyFronts lets no new request through fronts that are to be removed, and
// returns those that still have some.
func (m *Manager) emptyFronts(ctx context.Context, fronts []Front) (busy []Front) {
	stats, err := m.cfg.Balancer.Observe(ctx)
	if err != nil {
		return nil // it does not answer, and has nothing that could wait
	}
	for _, f := range fronts {
		seen, _ := stats.Front(f.Name)
		servers := []balancer.Server{}
		for _, s := range seen.Servers {
			servers = append(servers, balancer.Server{Name: s.Name, Addr: s.Addr, Weight: s.Weight, State: balancer.Drain})
		}
		if len(servers) == 0 {
			continue
		}
		if err := m.cfg.Balancer.Apply(ctx, f.Name, servers); err != nil {
			m.cfg.Logger.Warn("drain a front that is removed", "front", f.Name, "error", err)
		}
	}
	if stats, err = m.cfg.Balancer.Observe(ctx); err != nil {
		return nil
	}
	for _, f := range fronts {
		if seen, _ := stats.Front(f.Name); seen.InFlight > 0 {
			busy = append(busy, f)
		}
	}
	return busy
}

// keepUntilEmpty lets fronts that are to be removed finish what they have.
func (l *loop) keepUntilEmpty(fronts []Front) {
	now := l.m.clock.now()
	for _, f := range fronts {
		if _, there := l.surplus[f.Name]; there {
			l.emptying[f.Name] = emptying{since: now, by: now.Add(l.rec.Spec.Drain)}
		}
	}
}

// followEmptying finds out which fronts have nothing left, or no time.
func (l *loop) followEmptying(now time.Time) {
	v := l.m.balancer.view.Load()
	for name, e := range l.emptying {
		if _, there := l.surplus[name]; !there {
			delete(l.emptying, name)
			continue
		}
		if v == nil {
			continue
		}
		seen, _ := v.stats.Front(name)
		switch {
		case !now.Before(e.by):
			delete(l.emptying, name)
			if seen.InFlight > 0 {
				l.cutFront(name, seen.InFlight)
			}
		case v.err == nil && v.begun.After(e.since) && seen.InFlight == 0:
			delete(l.emptying, name)
		}
	}
}

// cutFront counts what a removed front still has at its deadline.
func (l *loop) cutFront(name string, n int) {
	if err := l.commit(func(r *PodRecord) error { r.Cut += uint64(n); return nil }); err != nil {
		l.rec.Cut += uint64(n) // saved with the next change
		l.log.Error("record what was cut", "front", name, "error", err)
	}
	l.log.Warn("drain deadline: requests are cut", "front", name, "in_flight", n)
	l.m.events.emit(Event{Type: EventNodeCut, Pod: l.name, Cut: n,
		Message: fmt.Sprintf("front %s, which was removed, still had %s in flight at its drain deadline of %s; they were cut", name, requests(n), l.rec.Spec.Drain)})
}
