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

// stale says whether a node should be replaced: it hangs, it runs an older
// revision, the pod may not use its host any more, or that is being removed.
func (l *loop) stale(n *NodeRecord) bool {
	if l.nodes[n.Name].hung {
		return true
	}
	if hosts := l.rec.Spec.Hosts; len(hosts) > 0 && !slices.Contains(hosts, n.Host) {
		return true
	}
	if h := l.m.host(n.Host); h != nil && h.record().Draining {
		return true
	}
	return specRevision(n.Revision) != l.revision
}

// scale starts and drains nodes until as many are launched as wanted. Stale
// nodes are replaced one at a time, the new one first.
func (l *loop) scale(ctx context.Context, now time.Time) {
	want, live := l.want(), l.rec.launched()
	stale := 0
	for i := range l.rec.Nodes {
		if s := l.rec.Nodes[i].State; (s == pod.StateOnline || s == pod.StateStarting) && l.stale(&l.rec.Nodes[i]) {
			stale++
		}
	}
	target := want
	if stale > 0 && want > 0 {
		starting := l.rec.count(pod.StateStarting)
		switch {
		case live > want && starting > 0:
			target = min(live, want+1) // the replacement is on its way
		case live == want && want < l.rec.Spec.MaxNodes:
			if l.giveWay(now) {
				return
			}
			target = want + 1
		case live == want && starting == 0:
			target = want - 1 // no room for a surge: one goes first
		}
	}
	if live >= target && l.rec.count(pod.StateStarting) == 0 {
		delete(l.problems, "start") // nothing is to be started
		delete(l.problems, "deaths")
	}
	switch {
	case live < target:
		l.grow(ctx, now, target-live)
	case live > target:
		delete(l.problems, "room")
		l.shrink(ctx, now, live-target)
	default:
		delete(l.problems, "room")
	}
}

// giveWay drains a stale node whose replacement only fits where it is itself,
// and says whether it did. Without it a pod that fills its hosts could never be
// changed.
func (l *loop) giveWay(now time.Time) bool {
	if l.rec.count(pod.StateStarting, pod.StateDraining) > 0 || !l.retry.ready(now) || !l.deaths.ready(now) {
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

// grow launches n nodes: registered ones first where elasticity is on. After
// failures it tries one at a time.
func (l *loop) grow(ctx context.Context, now time.Time, n int) {
	if !l.deaths.ready(now) {
		l.problems["deaths"] = fmt.Sprintf("nodes end or hang within %s of being ready, so others are started ever more seldom; the next try is in %s",
			l.young(), l.deaths.next.Sub(now).Round(100*time.Millisecond))
		return
	}
	if !l.retry.ready(now) || now.Before(l.crowded) {
		return
	}
	if l.retry.failures > 0 {
		if l.rec.count(pod.StateStarting) > 0 {
			return
		}
		n = 1
	}
	for range n {
		name := ""
		if l.rec.Elasticity.Enabled {
			if oldest := l.rec.oldestNew(); oldest != nil {
				name = oldest.Name
			}
		}
		if _, err := l.launch(ctx, name, 0); err != nil {
			if !errors.Is(err, errNoRoom) {
				l.log.Error("launch a node", "error", err)
			}
			l.problems["room"] = fmt.Sprintf("cannot start a node: %v", err)
			l.crowded = now.Add(l.m.cfg.Tick)
			return
		}
	}
	delete(l.problems, "room")
}

// launch places a node, records it as starting and begins to start it. An empty
// name makes a new node. The wanted number grows by more.
func (l *loop) launch(ctx context.Context, name string, more int) (string, error) {
	var id pod.NodeID
	_, starting := l.begin(ctx, "node.start", name, "")
	err := l.commit(func(r *PodRecord) error {
		if name == "" {
			name = r.nextName()
			r.Nodes = append(r.Nodes, NodeRecord{Name: name, State: pod.StateNew, CreatedAt: time.Now()})
		}
		id = l.id(name)
		placing := l.m.trace.part(starting, "node.place")
		host, err := l.m.placer.reserve(id, r.Spec.Limits, l.m.candidates(r.Spec.Spec))
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
		n.Revision = l.revision
		r.Want += more
		return n.become(pod.StateStarting, "")
	})
	if err != nil {
		starting.end(err)
		l.m.placer.release(id)
		return "", err
	}
	l.nodes[name] = &nodeRun{ordered: time.Now(), start: starting}
	l.m.events.emit(Event{Type: EventNodeStarting, Pod: l.name, Node: name, Host: l.rec.node(name).Host,
		Message: fmt.Sprintf("node %s starts on host %s", name, l.rec.node(name).Host)})
	l.resumeStarts(ctx)
	return name, nil
}

// shrink drains the n nodes whose loss hurts least.
func (l *loop) shrink(ctx context.Context, now time.Time, n int) {
	var candidates []NodeRecord
	for _, rec := range l.rec.Nodes {
		if rec.State == pod.StateStarting || rec.State == pod.StateOnline || rec.State == pod.StateStandby {
			candidates = append(candidates, rec)
		}
	}
	rank := func(r NodeRecord) (starting, stale int, load float64) {
		if r.State != pod.StateStarting {
			starting = 1
		}
		if !l.stale(&r) {
			stale = 1
		}
		return starting, stale, l.inFlight(r.Name, time.Time{}).Or(0)
	}
	slices.SortStableFunc(candidates, func(a, b NodeRecord) int {
		aStarting, aStale, aLoad := rank(a)
		bStarting, bStale, bLoad := rank(b)
		return cmp.Or(cmp.Compare(aStarting, bStarting), cmp.Compare(aStale, bStale), cmp.Compare(aLoad, bLoad), b.CreatedAt.Compare(a.CreatedAt))
	})
	for _, victim := range candidates[:min(n, len(candidates))] {
		if err := l.drain(victim.Name, now, 0, "scaled in"); err != nil {
			l.log.Error("drain a node", "node", victim.Name, "error", err)
			return
		}
	}
}

// oldestNew returns the registered node that was made first, or nil.
func (r *PodRecord) oldestNew() *NodeRecord {
	var oldest *NodeRecord
	for i := range r.Nodes {
		n := &r.Nodes[i]
		if n.State == pod.StateNew && (oldest == nil || n.CreatedAt.Before(oldest.CreatedAt)) {
			oldest = n
		}
	}
	return oldest
}
