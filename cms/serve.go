package cms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/pod"
)

// servers returns what should be behind a front, sorted by name.
func (l *loop) servers(f Front) []balancer.Server {
	want := []balancer.Server{}
	freshWeight, oldWeight := l.weights()
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		addr, ok := rec.Endpoints[f.Port]
		if !ok {
			continue
		}
		s := balancer.Server{Name: rec.Name, Addr: addr, Weight: oldWeight}.WithDefaults()
		if specRevision(rec.Revision) == l.revision {
			s.Weight = freshWeight
		}
		switch {
		case l.withheld(rec):
			if !l.hasServer(f.Name, rec.Name) {
				continue
			}
			s.State = balancer.Drain // it had requests before this change, and finishes them
		case rec.State == pod.StateOnline && l.rec.Paused:
			s.State = balancer.Drain
		case rec.State == pod.StateOnline:
		case rec.State == pod.StateDraining && !l.nodes[rec.Name].idle, l.nodes[rec.Name].lingers:
			s.State = balancer.Drain
		default:
			continue
		}
		want = append(want, s)
	}
	slices.SortFunc(want, func(a, b balancer.Server) int { return strings.Compare(a.Name, b.Name) })
	return want
}

// hasServer says whether the balancer has the node behind a front, as far as is
// known.
func (l *loop) hasServer(front, node string) bool {
	if servers, ok := l.applied[front]; ok {
		return slices.ContainsFunc(servers, func(s balancer.Server) bool { return s.Name == node })
	}
	v := l.m.balancer.view.Load() // of an earlier manager
	if v == nil {
		return false
	}
	f, _ := v.stats.Front(front)
	return slices.ContainsFunc(f.Servers, func(s balancer.ServerStats) bool { return s.Name == node })
}

// serving says whether the balancer knows the node, or may be learning of it
// just now.
func (l *loop) serving(node string) bool {
	for _, servers := range l.applied {
		if slices.ContainsFunc(servers, func(s balancer.Server) bool { return s.Name == node }) {
			return true
		}
	}
	return false
}

// serve makes the balancer's servers equal to the nodes that take requests. One
// call to the balancer is under way at a time.
func (l *loop) serve(ctx context.Context, now time.Time) {
	if l.applying || !l.serveTry.ready(now) {
		return
	}
	l.compare()
	type change struct {
		front   Front
		servers []balancer.Server
		set     bool // the front itself first
	}
	var changes []change
	waiting, token := false, false
	for _, f := range l.rec.frontsNow() {
		want, set := l.servers(f), l.unset[f.Name]
		if have, ok := l.applied[f.Name]; ok && slices.Equal(have, want) && !set {
			continue
		}
		if set && !token {
			// Who changes the fronts removes some of them: one that is set at the
			// same time would stay for ever.
			token = l.tryEdit()
		}
		if set && !token {
			waiting = true
			continue
		}
		changes = append(changes, change{f, want, set})
	}
	if waiting && len(changes) == 0 {
		return // until the fronts are changed
	}
	if len(changes) == 0 {
		l.serveTry.reset()
		delete(l.problems, "balancer")
		return
	}
	l.applying = true
	before := map[string][]balancer.Server{}
	for _, c := range changes {
		// Until the balancer has answered, a server that is added may be there
		// already, and one that is removed may still be there.
		before[c.front.Name] = l.applied[c.front.Name]
		l.applied[c.front.Name] = union(before[c.front.Name], c.servers)
	}
	ctx = below(ctx, l.servingCause())
	l.action(func() func() {
		errs := make([]error, len(changes))
		for i, c := range changes {
			errs[i] = l.apply(ctx, c.front, c.servers, c.set)
		}
		return func() {
			for i, c := range changes {
				name := c.front.Name
				switch {
				case !named(l.rec.Spec.Fronts, name): // removed meanwhile
					errs[i] = nil
					if _, there := l.surplus[name]; !there {
						delete(l.applied, name)
					}
				case errors.Is(errs[i], balancer.ErrNoFront) && !c.set: // the balancer lost it
					errs[i] = nil
					l.unset[name] = true
					l.distrust(name)
				case errs[i] != nil || !slices.Contains(l.rec.frontsNow(), c.front):
					l.distrust(name)
				default:
					l.applied[name] = c.servers
					if c.set {
						delete(l.unset, name)
					}
				}
			}
			if token {
				l.edited()
			}
			l.served(errors.Join(errs...))
		}
	})
}

// apply sets the servers of a front, and first the front itself where set says
// so.
func (l *loop) apply(ctx context.Context, f Front, servers []balancer.Server, set bool) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if set {
		if err := l.m.cfg.Balancer.SetFront(ctx, f.Front); err != nil {
			return fmt.Errorf("set front %s: %w", f.Name, err)
		}
	}
	if err := l.m.cfg.Balancer.Apply(ctx, f.Name, servers); err != nil {
		return fmt.Errorf("front %s: %w", f.Name, err)
	}
	return nil
}

const applyTimeout = 30 * time.Second

// served records how a call to the balancer ended.
func (l *loop) served(err error) {
	now := l.m.clock.now()
	l.applying = false
	if err != nil {
		l.serveTry.failed(now)
		l.problems["balancer"] = fmt.Sprintf("the balancer does not have the servers that it should: %v", err)
	} else {
		l.serveTry.reset()
		delete(l.problems, "balancer")
		if l.servedAt.IsZero() {
			l.m.balancer.kick() // what it has from the start on is seen before the next tick
		}
	}
	l.servedAt = now
}

// draining says whether the balancer has confirmed, on every front that has the
// node, that it gets no new requests.
func (l *loop) draining(node string) bool {
	if l.applying {
		return false
	}
	for _, servers := range l.applied {
		for _, s := range servers {
			if s.Name == mismatch || s.Name == node && s.State != balancer.Drain {
				return false
			}
		}
	}
	return true
}

// compare forgets what was applied to a front when the balancer has something
// else, so that it is applied again.
func (l *loop) compare() {
	v := l.m.balancer.view.Load()
	if v == nil || v.err != nil || !v.begun.After(l.servedAt) {
		return
	}
	for front, want := range l.applied {
		seen, ok := v.stats.Front(front)
		if ok && slices.EqualFunc(want, seen.Servers, func(w balancer.Server, s balancer.ServerStats) bool {
			return w.Name == s.Name && w.Addr == s.Addr && w.State == s.State && w.Weight == s.Weight
		}) {
			continue
		}
		if _, there := l.surplus[front]; there || distrusted(want) {
			continue // known, and dealt with
		}
		l.log.Warn("the balancer has other servers than were applied; applying again", "front", front, "applied", len(want), "found", len(seen.Servers))
		l.distrust(front)
		l.servedAt = l.m.clock.now()
	}
}

// distrust makes the servers of a front be applied again, whatever they are.
func (l *loop) distrust(front string) {
	if !distrusted(l.applied[front]) {
		l.applied[front] = append(slices.Clone(l.applied[front]), balancer.Server{Name: mismatch})
	}
}

func distrusted(servers []balancer.Server) bool {
	return slices.ContainsFunc(servers, func(s balancer.Server) bool { return s.Name == mismatch })
}

// mismatch stands in a list of applied servers that is known to be wrong; no
// node has such a name.
const mismatch = "?"

// union returns the servers of both lists; of those in both, the one that was
// there before when it takes requests.
func union(before, after []balancer.Server) []balancer.Server {
	out := slices.Clone(before)
	for _, s := range after {
		if !slices.ContainsFunc(before, func(b balancer.Server) bool { return b.Name == s.Name }) {
			out = append(out, s)
		}
	}
	return out
}
