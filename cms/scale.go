package cms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// stale says whether a node should be replaced: it hangs, it runs another
// revision, the pod may not use its host any more, or that is being removed.
func (l *loop) stale(n *NodeRecord) bool { return l.staleWhy(n) != "" }

// fresh says the opposite.
func (l *loop) fresh(n *NodeRecord) bool { return !l.stale(n) }

// staleWhy says why a node should be replaced; empty when it should not.
func (l *loop) staleWhy(n *NodeRecord) string {
	switch h := l.m.host(n.Host); {
	case l.nodes[n.Name].hung:
		return "does not answer"
	case len(l.rec.Spec.Hosts) > 0 && !slices.Contains(l.rec.Spec.Hosts, n.Host):
		return "the pod may not use host " + n.Host + " any more"
	case h != nil && h.record().Draining:
		return "host " + n.Host + " is being removed"
	case specRevision(n.Revision) != l.revision:
		return "replaced by revision " + l.numberOf(l.revision)
	}
	return ""
}

// census counts the launched nodes, without those that are lost.
type census struct {
	live                int
	fresh, old          int // by whether they are stale
	freshReady, oldHere int // online, the fresh ones for long enough
	starting            int
}

func (l *loop) count(now time.Time) (c census) {
	var minReady time.Duration // an earlier revision is proven
	if l.rolling() != nil {
		minReady = l.rec.Spec.Update.MinReady
	}
	for i := range l.rec.Nodes {
		n := &l.rec.Nodes[i]
		if n.State != pod.StateStarting && n.State != pod.StateOnline && n.State != pod.StateStandby || l.lost(n) {
			continue
		}
		c.live++
		if n.State == pod.StateStarting {
			c.starting++
		}
		online := n.State == pod.StateOnline
		switch stale := l.stale(n); {
		case stale:
			c.old++
			if online {
				c.oldHere++
			}
		default:
			c.fresh++
			if online && now.Sub(l.nodes[n.Name].ready) >= minReady {
				c.freshReady++
			}
		}
	}
	return c
}

// scale starts and drains nodes until as many are launched as wanted, and all of
// them are as they should be.
func (l *loop) scale(ctx context.Context, now time.Time) {
	l.followLost(now)
	l.followRollout(now)
	want, c := l.want(), l.count(now)
	if c.live >= want && c.starting == 0 {
		delete(l.problems, "start") // nothing is to be started
		delete(l.problems, "deaths")
	}
	delete(l.problems, "surge")
	r := l.rolling()
	u := l.rec.Spec.Update
	switch {
	case c.old == 0 || want == 0:
		l.settle(ctx, now, want, c)
	case r != nil && r.State == RolloutPaused:
		l.holdRollout(ctx, now, want, c)
	case r != nil && u.Strategy == Canary && r.Step < len(u.Steps):
		l.canary(ctx, now, want, c, u.Steps[r.Step])
	case r != nil && u.Strategy == BlueGreen && r.Step == 0 && l.rec.Spec.MaxNodes > c.old:
		l.blueGreen(ctx, now, want, c)
	default:
		l.roll(ctx, now, want, c)
	}
}

// settle brings a pod whose nodes are all alike to the wanted number.
func (l *loop) settle(ctx context.Context, now time.Time, want int, c census) {
	if c.live < want {
		l.grow(ctx, now, want-c.live, l.revision)
		return
	}
	delete(l.problems, "room")
	l.vacant = nil
	if c.live > want {
		l.shrink(now, c.live-want)
	}
}

// roll replaces stale nodes a few at a time.
func (l *loop) roll(ctx context.Context, now time.Time, want int, c census) {
	u := l.rec.Spec.Update
	most := max(min(want+max(u.MaxSurge, 0), l.rec.Spec.MaxNodes), want)
	least := want - u.MaxUnavailable
	if most == want {
		least = min(least, want-1) // no room for a surge: one goes first
	}
	if c.fresh < want && c.live >= want && c.live < most && l.giveWay(now) {
		return
	}
	spare := max(c.freshReady+c.oldHere-least, 0)
	if l.stuck(now) {
		spare = min(spare, max(c.freshReady+c.oldHere-want, 0)) // nothing could take its place now
	}
	c.live -= l.replace(now, spare)
	if c.live > most {
		l.shrink(now, c.live-most)
		return
	}
	if n := min(want-c.fresh, most-c.live); n > 0 {
		l.grow(ctx, now, n, l.revision)
	} else {
		delete(l.problems, "room")
	}
}

// replace drains stale nodes: those that are still starting, and up to n that
// are online. It returns how many.
func (l *loop) replace(now time.Time, n int) (drained int) {
	var stale []NodeRecord
	for _, rec := range l.rec.Nodes {
		if (rec.State == pod.StateStarting || rec.State == pod.StateOnline) && !l.lost(&rec) && l.stale(&rec) {
			stale = append(stale, rec)
		}
	}
	for _, victim := range l.byHarm(stale) {
		if victim.State == pod.StateOnline {
			if n == 0 {
				continue
			}
			n--
		}
		if err := l.drain(victim.Name, now, 0, l.staleWhy(&victim)); err != nil {
			l.log.Error("drain a node", "node", victim.Name, "error", err)
			return drained
		}
		drained++
	}
	return drained
}

// holdRollout keeps a paused rollout where it is: the number of nodes follows
// what is wanted, and what is started runs what the pod ran before.
func (l *loop) holdRollout(ctx context.Context, now time.Time, want int, c census) {
	if l.rec.Spec.Update.Strategy == BlueGreen && l.rec.Rollout.Step == 0 { // the new ones take no requests yet
		if n := min(want-c.old, l.rec.Spec.MaxNodes-c.live); n > 0 {
			l.grow(ctx, now, n, l.rec.Rollout.From)
		}
		l.shrinkEach(now, want, c)
		return
	}
	switch {
	case c.live < want:
		l.grow(ctx, now, want-c.live, l.rec.Rollout.From)
	case c.live > want+max(l.rec.Spec.Update.MaxSurge, 0):
		l.shrink(now, c.live-want)
	}
}

// canary keeps the share of new nodes that a step has.
func (l *loop) canary(ctx context.Context, now time.Time, want int, c census, step CanaryStep) {
	fresh, old := canaryShare(step.Weight, want, l.rec.Spec.MaxNodes)
	switch {
	case c.fresh < fresh && c.live < l.rec.Spec.MaxNodes:
		l.grow(ctx, now, min(fresh-c.fresh, l.rec.Spec.MaxNodes-c.live), l.revision)
	case c.fresh < fresh && c.starting == 0: // no room for a surge: one goes first
		l.replace(now, 1)
	case c.freshReady >= fresh && c.old > old:
		l.replace(now, c.old-old)
	case c.old > want: // fewer are wanted than when it began
		l.replace(now, c.old-want)
	case c.old < old && c.live < l.rec.Spec.MaxNodes:
		l.grow(ctx, now, old-c.old, l.rec.Rollout.From)
	case c.fresh > fresh && c.live > fresh+old:
		// Of the new ones: an old one would have to be started again.
		l.shrinkOf(now, min(c.fresh-fresh, c.live-fresh-old), l.fresh)
	}
}

// blueGreen starts a whole set of new nodes beside the old ones.
func (l *loop) blueGreen(ctx context.Context, now time.Time, want int, c census) {
	room := l.rec.Spec.MaxNodes - c.old
	if room < want {
		l.problems["surge"] = fmt.Sprintf("there is room for %d new nodes beside %d old ones, as max_nodes is %d; the rest will be rolled", room, c.old, l.rec.Spec.MaxNodes)
	}
	switch {
	case c.fresh < min(want, room):
		l.grow(ctx, now, min(want, room)-c.fresh, l.revision)
	default:
		l.shrinkEach(now, want, c)
	}
}

// shrinkEach leaves at most as many old and as many new nodes as are wanted:
// while only the old ones take requests, they are not drained for the new ones.
func (l *loop) shrinkEach(now time.Time, want int, c census) {
	l.shrinkOf(now, c.old-want, l.stale)
	l.shrinkOf(now, c.fresh-want, l.fresh)
}

// giveWay drains a stale node whose replacement only fits where it is itself,
// and says whether it did. Without it a pod that fills its hosts could never be
// changed.
func (l *loop) giveWay(now time.Time) bool {
	if l.rec.count(pod.StateStarting, pod.StateDraining) > 0 || l.stuck(now) {
		return false
	}
	hosts := l.m.candidates(l.rec.Spec.Spec)
	if n, _ := l.m.placer.room(l.rec.Spec.Limits, hosts, 1); n > 0 {
		return false
	}
	for _, rec := range l.rec.Nodes {
		if rec.State != pod.StateOnline || !l.stale(&rec) || !l.m.placer.instead(l.id(rec.Name), l.rec.Spec.Limits, hosts) {
			continue
		}
		if err := l.drain(rec.Name, now, 0, "gives way to its replacement: there is no room for both"); err != nil {
			l.log.Error("drain a node", "node", rec.Name, "error", err)
			return false
		}
		return true
	}
	return false
}

// grow launches n nodes of a revision: registered ones first where elasticity is on. The
// places of those that died young wait their time, and hosts where starts failed
// get one node at a time.
func (l *loop) grow(ctx context.Context, now time.Time, n int, revision string) {
	due, waiting := l.vacancies(now, n)
	if now.Before(l.crowded) {
		return
	}
	limits := l.specOf(revision).Limits
	for i := range n - waiting {
		hosts, held := l.hostsFor(now)
		if held && !usable(hosts) {
			return
		}
		var place vacancy
		if i < len(due) {
			place = due[i]
			hosts = l.avoiding(place.host, limits, hosts)
		}
		name := ""
		if l.rec.Elasticity.Enabled {
			if oldest := l.rec.oldestNew(); oldest != nil {
				name = oldest.Name
			}
		}
		name, err := l.launch(ctx, name, revision, 0, hosts)
		if err != nil {
			if !errors.Is(err, errNoRoom) {
				l.log.Error("launch a node", "error", err)
			}
			l.problems["room"] = fmt.Sprintf("cannot start a node: %v", err)
			l.crowded = now.Add(l.m.cfg.Tick)
			return
		}
		l.take(place, name)
	}
	delete(l.problems, "room")
}

// launch places a node on one of the hosts, records it as starting and begins to
// start it. An empty name makes a new node. The wanted number grows by more.
func (l *loop) launch(ctx context.Context, name, revision string, more int, hosts []candidate) (string, error) {
	var id pod.NodeID
	_, starting := l.begin(ctx, "node.start", name, "")
	err := l.commit(func(r *PodRecord) error {
		if name == "" {
			name = r.nextName()
			r.Nodes = append(r.Nodes, NodeRecord{Name: name, State: pod.StateNew, CreatedAt: l.m.clock.wall()})
		}
		id = l.id(name)
		placing := l.m.trace.part(starting, "node.place")
		host, err := l.m.placer.reserve(id, l.specOf(revision).Limits, hosts)
		for _, s := range []span{starting, placing} {
			if s.recording() {
				s.s.SetAttributes(keyNode.String(name), keyHost.String(host))
			}
		}
		placing.end(err)
		if err != nil {
			return err
		}
		n := r.node(name)
		n.Host = host
		n.Revision = revision
		r.Want += more
		return n.become(pod.StateStarting, "")
	})
	if err != nil {
		starting.end(err)
		l.m.placer.release(id)
		return "", err
	}
	l.nodes[name] = &nodeRun{ordered: l.m.clock.now(), start: starting}
	l.m.events.emit(Event{Type: EventNodeStarting, Pod: l.name, Node: name, Host: l.rec.node(name).Host,
		Message: fmt.Sprintf("node %s starts on host %s", name, l.rec.node(name).Host)})
	l.resumeStarts(ctx)
	return name, nil
}

// shrink drains the n nodes whose loss hurts least.
func (l *loop) shrink(now time.Time, n int) {
	l.shrinkOf(now, n, func(*NodeRecord) bool { return true })
}

// shrinkOf does that with some of the nodes only.
func (l *loop) shrinkOf(now time.Time, n int, some func(*NodeRecord) bool) {
	var candidates []NodeRecord
	for _, rec := range l.rec.Nodes {
		if (rec.State == pod.StateStarting || rec.State == pod.StateOnline || rec.State == pod.StateStandby) && !l.lost(&rec) && some(&rec) {
			candidates = append(candidates, rec)
		}
	}
	candidates = l.byHarm(candidates)
	for _, victim := range candidates[:max(min(n, len(candidates)), 0)] {
		if err := l.drain(victim.Name, now, 0, cmp.Or(l.staleWhy(&victim), "scaled in")); err != nil {
			l.log.Error("drain a node", "node", victim.Name, "error", err)
			return
		}
	}
}

// byHarm sorts nodes so that the one whose loss hurts least is the first: one
// that is starting, that is stale, that the balancer finds down, that has the
// fewest requests, the youngest.
func (l *loop) byHarm(nodes []NodeRecord) []NodeRecord {
	one := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	rank := func(r NodeRecord) (starting, stale, down int, load float64) {
		return one(r.State != pod.StateStarting), one(!l.stale(&r)), one(!l.down(r.Name)), l.inFlight(r.Name, time.Time{}).Or(0)
	}
	slices.Reverse(nodes) // they were in the order in which they were made
	slices.SortStableFunc(nodes, func(a, b NodeRecord) int {
		aStarting, aStale, aDown, aLoad := rank(a)
		bStarting, bStale, bDown, bLoad := rank(b)
		return cmp.Or(cmp.Compare(aStarting, bStarting), cmp.Compare(aStale, bStale), cmp.Compare(aDown, bDown), cmp.Compare(aLoad, bLoad))
	})
	return nodes
}
