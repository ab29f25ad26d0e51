package cms

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// drain begins the end of a node. The wanted number shrinks by less.
func (l *loop) drain(name string, now time.Time, less int, reason string) error {
	err := l.commit(func(r *PodRecord) error {
		n := r.node(name)
		n.DrainBy = l.m.clock.wall().Add(r.Spec.Drain)
		r.Want = max(r.Want-less, 0)
		return n.become(pod.StateDraining, reason)
	})
	if err != nil {
		return err
	}
	run := l.nodes[name]
	run.drainBy = now.Add(l.rec.Spec.Drain)
	l.beginLeave(run, name, reason)
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
		if run.lingers {
			leaving++
		}
		if rec.State != pod.StateDraining || run.busy || run.lingers {
			continue
		}
		if !run.idle {
			l.awaitIdle(&rec, run, now)
			if run.idle {
				l.wake() // its server goes in a next turn, which need not wait for a tick
			}
		}
		if !run.idle {
			leaving++
			continue
		}
		run.drain.end(nil)
		run.drain = span{}
		if l.serving(rec.Name) || !l.mayStop(&rec, run, now) {
			continue
		}
		l.stop(ctx, rec, l.rec.Spec.Grace)
	}
	l.setLeaving(leaving + len(l.emptying))
}

// awaitIdle notes whether a draining node has nothing left to do.
func (l *loop) awaitIdle(rec *NodeRecord, run *nodeRun, now time.Time) {
	if !l.serving(rec.Name) {
		run.idle = true // it never took a request, or takes none any more
		return
	}
	if !now.Before(run.drainBy) {
		run.idle = true
		if n := l.lastInFlight(rec.Name); n > 0 {
			l.cut(rec, n)
		} else {
			l.tellDrained(rec)
		}
		return
	}
	if run.drained.IsZero() {
		if !l.draining(rec.Name) {
			return // the balancer has not confirmed yet that it gets no new requests
		}
		run.drained = now
		l.m.balancer.kick() // only what it sees from now on counts
	}
	if n, ok := l.inFlight(rec.Name, run.drained).Get(); ok && n == 0 {
		run.idle = true
		l.tellDrained(rec)
	}
}

func (l *loop) tellDrained(rec *NodeRecord) {
	if rec.Cut > 0 {
		return // by an earlier manager, and told then
	}
	l.m.events.emit(Event{Type: EventNodeDrained, Pod: l.name, Node: rec.Name, Host: rec.Host,
		Message: fmt.Sprintf("node %s has finished what it had", rec.Name)})
}

// cut counts the n requests and connections that a node still has at its
// deadline, before the balancer is told to let go of them.
func (l *loop) cut(rec *NodeRecord, n int) {
	count := func(r *PodRecord) {
		r.Cut += uint64(n)
		r.node(rec.Name).Cut += uint64(n)
	}
	if err := l.commit(func(r *PodRecord) error { count(r); return nil }); err != nil {
		count(&l.rec) // saved with the next change
		l.log.Error("record what was cut", "node", rec.Name, "error", err)
	}
	l.log.Warn("drain deadline: requests are cut", "node", rec.Name, "in_flight", n)
	l.m.events.emit(Event{Type: EventNodeCut, Pod: l.name, Node: rec.Name, Host: rec.Host, Cut: n,
		Message: fmt.Sprintf("node %s still had %s in flight at its drain deadline of %s; they were cut", rec.Name, requests(n), l.rec.Spec.Drain)})
}

func requests(n int) string {
	if n == 1 {
		return "1 request or connection"
	}
	return fmt.Sprintf("%d requests and connections", n)
}

// mayStop says whether to try now to stop a node on its host. One that does not
// answer is not asked again and again; the next try is when it is back.
func (l *loop) mayStop(rec *NodeRecord, run *nodeRun, now time.Time) bool {
	h := l.m.host(rec.Host)
	if h != nil && !h.lost() {
		if err := h.unreachable(); err != nil {
			run.away, run.stopErr = true, err
			return false
		}
		if run.away {
			run.away = false
			run.stopTry.reset()
		}
	}
	return run.stopTry.ready(now)
}

// setLeaving tells the balancer's poller how many nodes wait to be idle.
func (l *loop) setLeaving(n int) {
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
	ctx = run.leave.in(ctx)
	l.action(func() func() {
		err := l.m.stopNode(ctx, rec.Host, id, grace)
		return func() {
			run.busy = false
			now := l.m.clock.now()
			run.stopErr = err
			if err != nil {
				run.stopTry.failed(now)
				if ctx.Err() == nil {
					l.log.Warn("stop a node", "node", rec.Name, "host", rec.Host, "error", err)
				}
				return
			}
			_ = l.forget(rec.Name, now)
		}
	})
}

// forget removes a node that is no more from the record. What cannot be saved
// is tried again.
func (l *loop) forget(name string, now time.Time) error {
	err := l.commit(func(r *PodRecord) error {
		r.Nodes = slices.DeleteFunc(r.Nodes, func(n NodeRecord) bool { return n.Name == name })
		return nil
	})
	if err != nil {
		l.nodes[name].stopTry.failed(now)
		return err
	}
	l.m.placer.release(l.id(name))
	l.removed = now
	l.nodes[name].leave.end(nil)
	delete(l.nodes, name)
	l.m.events.emit(Event{Type: EventNodeGone, Pod: l.name, Node: name, Message: fmt.Sprintf("node %s is gone", name)})
	return nil
}
