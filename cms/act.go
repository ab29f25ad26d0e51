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

// keptFailed is how many failed nodes a pod keeps, for people to read why.
const keptFailed = 5

// youngDeath is the age below which the death of a node counts as a failed
// start, so that a node that keeps dying is started ever more seldom.
const youngDeath = 10 * time.Second

// act closes the difference between what should be and what is. It begins
// actions and waits for none.
func (l *loop) act(ctx context.Context) {
	now := time.Now()
	l.noticeEnded(now)
	l.resumeStarts(ctx)
	l.scale(ctx, now)
	l.serve(ctx, now)
	l.retire(ctx, now)
	l.sweep(ctx, now)
	l.finish(ctx, now)
	l.setAlarm(now)
}

// noticeEnded fails the nodes that ended on their own.
func (l *loop) noticeEnded(now time.Time) {
	for _, rec := range slices.Clone(l.rec.Nodes) {
		run := l.nodes[rec.Name]
		if run.busy || !rec.State.Live() {
			continue
		}
		reason := l.ended(&rec, run.settled)
		if reason == "" {
			continue
		}
		if rec.State == pod.StateDraining {
			run.idle = true // nothing to wait for any more
			continue
		}
		if rec.State == pod.StateStarting {
			continue // resumeStarts starts it again
		}
		if now.Sub(rec.ReadyAt) < youngDeath {
			l.retry.failed(now)
		}
		l.fail(rec.Name, reason)
	}
}

// ended says why a node does not run any more; empty when it does, or when that
// is not known.
func (l *loop) ended(rec *NodeRecord, settled time.Time) string {
	h := l.m.host(rec.Host)
	if h == nil {
		return fmt.Sprintf("host %s was removed", rec.Host)
	}
	n, found, known := h.lookup(l.id(rec.Name), settled)
	switch {
	case !known:
		return ""
	case !found:
		return fmt.Sprintf("is not on host %s any more", rec.Host)
	case n.Phase == pod.PhaseExited && n.Exit != nil:
		return n.Exit.Reason()
	case n.Phase == pod.PhaseExited:
		return "ended"
	}
	return ""
}

// fail records that a node failed.
func (l *loop) fail(name, reason string) {
	err := l.commit(func(r *PodRecord) error {
		n := r.node(name)
		if n == nil {
			return nil
		}
		return n.become(pod.StateFailed, reason)
	})
	if err != nil {
		l.log.Error("record a failed node", "node", name, "error", err)
		return
	}
	l.log.Warn("node failed", "node", name, "reason", reason)
	l.m.events.emit(Event{Type: EventNodeFailed, Pod: l.name, Node: name, Message: fmt.Sprintf("node %s failed: %s", name, reason)})
}

// want is the number of nodes to close in on now.
func (l *loop) want() int {
	if l.rec.Deleting || l.m.halting.Load() {
		return 0
	}
	return l.rec.Want
}

// stale says whether a node should be replaced: it runs an older revision, or
// its host is being removed.
func (l *loop) stale(n *NodeRecord) bool {
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
			target = live // the replacement is on its way
		case live == want && want < l.rec.Spec.MaxNodes:
			target = want + 1
		case live == want && starting == 0:
			target = want - 1 // no room for a surge: one goes first
		}
	}
	switch {
	case live < target:
		l.grow(ctx, now, target-live)
	case live > target:
		l.shrink(ctx, now, live-target)
	default:
		delete(l.problems, "room")
	}
}

// grow launches n nodes: registered ones first where elasticity is on. After
// failures it tries one at a time.
func (l *loop) grow(ctx context.Context, now time.Time, n int) {
	if !l.retry.ready(now) {
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
			l.retry.next = now.Add(l.m.cfg.Tick)
			return
		}
	}
	delete(l.problems, "room")
}

// launch places a node, records it as starting and begins to start it. An empty
// name makes a new node. The wanted number grows by more.
func (l *loop) launch(ctx context.Context, name string, more int) (string, error) {
	var id pod.NodeID
	err := l.commit(func(r *PodRecord) error {
		if name == "" {
			name = r.nextName()
			r.Nodes = append(r.Nodes, NodeRecord{Name: name, State: pod.StateNew, CreatedAt: time.Now()})
		}
		id = l.id(name)
		host, err := l.m.placer.reserve(id, r.Spec.Limits, l.m.candidates(r.Spec.Spec))
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
		l.m.placer.release(id)
		return "", err
	}
	l.nodes[name] = &nodeRun{ordered: time.Now()}
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

// drain begins the end of a node. The wanted number shrinks by less.
func (l *loop) drain(name string, now time.Time, less int, reason string) error {
	err := l.commit(func(r *PodRecord) error {
		n := r.node(name)
		n.DrainBy = now.Add(r.Spec.Drain)
		r.Want = max(r.Want-less, 0)
		return n.become(pod.StateDraining, reason)
	})
	if err != nil {
		return err
	}
	run := l.nodes[name]
	if run.cancel != nil {
		run.cancel() // a node that is still starting serves nobody
	}
	l.m.events.emit(Event{Type: EventNodeDraining, Pod: l.name, Node: name, Message: fmt.Sprintf("node %s drains: %s", name, reason)})
	return nil
}

// retire stops the draining nodes that are idle or out of time, once the
// balancer does not know them any more.
func (l *loop) retire(ctx context.Context, now time.Time) {
	leaving := 0
	for _, rec := range slices.Clone(l.rec.Nodes) {
		run := l.nodes[rec.Name]
		if rec.State != pod.StateDraining || run.busy {
			continue
		}
		if !run.idle {
			l.awaitIdle(&rec, run, now)
		}
		if !run.idle {
			leaving++
			continue
		}
		if l.serving(rec.Name) || !run.stopTry.ready(now) {
			continue
		}
		l.stop(ctx, rec, l.rec.Spec.Grace)
	}
	l.setLeaving(leaving)
}

// awaitIdle notes whether a draining node has nothing left to do.
func (l *loop) awaitIdle(rec *NodeRecord, run *nodeRun, now time.Time) {
	if !l.serving(rec.Name) {
		run.idle = true // it never took a request, or takes none any more
		return
	}
	if !now.Before(rec.DrainBy) {
		run.idle = true
		if n := l.inFlight(rec.Name, time.Time{}).Or(0); n > 0 {
			l.log.Warn("drain deadline: requests are cut", "node", rec.Name, "in_flight", n)
			l.m.events.emit(Event{Type: EventProblem, Pod: l.name, Node: rec.Name,
				Message: fmt.Sprintf("node %s still had %.0f requests in flight at its drain deadline of %s; they were cut", rec.Name, n, l.rec.Spec.Drain)})
		}
		return
	}
	if run.drained.IsZero() {
		return // the balancer has not confirmed yet that it gets no new requests
	}
	if n, ok := l.inFlight(rec.Name, run.drained).Get(); ok && n == 0 {
		run.idle = true
	}
}

// setLeaving tells the balancer's poller how many nodes wait to be idle.
func (l *loop) setLeaving(n int) {
	if n == l.leaving {
		return
	}
	l.m.balancer.draining.Add(int64(n - l.leaving))
	if n > l.leaving {
		l.m.balancer.kick()
	}
	l.leaving = n
}

// stop stops a node on its host and forgets it.
func (l *loop) stop(ctx context.Context, rec NodeRecord, grace time.Duration) {
	run := l.nodes[rec.Name]
	run.busy = true
	id := l.id(rec.Name)
	l.action(func() func() {
		err := l.m.stopNode(ctx, rec.Host, id, grace)
		return func() {
			run.busy = false
			now := time.Now()
			if err != nil {
				run.stopTry.failed(now)
				if ctx.Err() == nil {
					l.log.Warn("stop a node", "node", rec.Name, "host", rec.Host, "error", err)
				}
				return
			}
			l.forget(rec.Name, now)
		}
	})
}

// forget removes a node that is no more from the record.
func (l *loop) forget(name string, now time.Time) {
	err := l.commit(func(r *PodRecord) error {
		r.Nodes = slices.DeleteFunc(r.Nodes, func(n NodeRecord) bool { return n.Name == name })
		return nil
	})
	if err != nil {
		l.nodes[name].stopTry.failed(now)
		return
	}
	l.m.placer.release(l.id(name))
	l.removed = now
	delete(l.nodes, name)
	l.m.events.emit(Event{Type: EventNodeGone, Pod: l.name, Node: name, Message: fmt.Sprintf("node %s is gone", name)})
}

// sweep clears what is left: of failed nodes on their hosts, of failed nodes
// that nobody will read about, and of nodes on the hosts that nobody knows.
func (l *loop) sweep(ctx context.Context, now time.Time) {
	failed := 0
	for _, rec := range slices.Backward(slices.Clone(l.rec.Nodes)) {
		run := l.nodes[rec.Name]
		if rec.State != pod.StateFailed || run.busy {
			continue
		}
		failed++
		switch {
		case run.cleaned && (failed > keptFailed || l.rec.Deleting):
			l.forget(rec.Name, now)
		case !run.cleaned && !l.serving(rec.Name) && run.stopTry.ready(now):
			l.clean(ctx, rec)
		}
	}
	for _, h := range l.m.hostList() {
		v := h.view.Load()
		if v == nil || v.err != nil || !v.begun.After(l.removed) {
			continue
		}
		for id := range v.nodes {
			if id.Pod == l.name && l.rec.node(id.Name) == nil && !l.orphans[id.Name] {
				l.stopOrphan(ctx, h.name, id)
			}
		}
	}
}

// clean removes what a failed node left on its host; its record stays.
func (l *loop) clean(ctx context.Context, rec NodeRecord) {
	run := l.nodes[rec.Name]
	if rec.Host == "" || l.m.host(rec.Host) == nil {
		run.cleaned = true
		l.m.placer.release(l.id(rec.Name))
		return
	}
	run.busy = true
	id, grace := l.id(rec.Name), l.rec.Spec.Grace
	l.action(func() func() {
		err := l.m.stopNode(ctx, rec.Host, id, grace)
		return func() {
			run.busy = false
			if err != nil {
				run.stopTry.failed(time.Now())
				return
			}
			run.cleaned = true
			l.m.placer.release(id)
		}
	})
}

// stopOrphan ends a node of this pod that is in no record: it was being removed
// when an earlier manager ended.
func (l *loop) stopOrphan(ctx context.Context, host string, id pod.NodeID) {
	l.orphans[id.Name] = true
	l.log.Warn("stop a node that no record knows", "node", id.Name, "host", host)
	grace := l.rec.Spec.Grace
	l.action(func() func() {
		err := l.m.stopNode(ctx, host, id, grace)
		return func() {
			delete(l.orphans, id.Name)
			if err == nil {
				l.removed = time.Now()
			}
		}
	})
}

// finish ends the pod once it is being deleted and nothing is left of it.
func (l *loop) finish(ctx context.Context, now time.Time) {
	if !l.rec.Deleting || len(l.orphans) > 0 || l.applying || l.finished {
		return
	}
	for _, rec := range slices.Clone(l.rec.Nodes) {
		if rec.State == pod.StateNew {
			l.forget(rec.Name, now)
		}
	}
	if len(l.rec.Nodes) > 0 || !l.serveTry.ready(now) {
		return
	}
	l.applying = true
	fronts := l.rec.Spec.Fronts
	l.action(func() func() {
		err := l.m.deletePod(ctx, l.name, fronts)
		return func() {
			l.applying = false
			if err != nil {
				l.serveTry.failed(time.Now())
				l.problems["delete"] = err.Error()
				return
			}
			l.finished = true
		}
	})
}

// setAlarm wakes the loop when something may be tried again or is due.
func (l *loop) setAlarm(now time.Time) {
	next := now.Add(time.Hour)
	due := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	due(l.retry.next)
	due(l.serveTry.next)
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		due(l.nodes[rec.Name].stopTry.next)
		if rec.State == pod.StateDraining {
			due(rec.DrainBy)
		}
	}
	l.alarm.Reset(next.Sub(now))
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
