package cms

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// youngDeath is the age below which the death of a node without a probe counts
// as a failed start, so that a node that keeps dying is started ever more seldom.
const youngDeath = 10 * time.Second

// act closes the difference between what should be and what is. It begins
// actions and waits for none.
func (l *loop) act(ctx context.Context) {
	now := l.m.clock.now()
	l.noticeEnded(now)
	l.checkLive(ctx, now)
	l.replaceHung(now)
	l.resumeStarts(ctx)
	l.scale(ctx, now)
	l.endLinger(now)
	l.serve(ctx, now)
	l.clearFronts(ctx, now)
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
			l.beginLinger(rec.Name, now)
			run.idle = !run.lingers // nothing else to wait for
			continue
		}
		if rec.State == pod.StateStarting {
			continue // resumeStarts starts it again
		}
		if !l.fail(rec.Name, reason) {
			continue
		}
		l.beginLinger(rec.Name, now)
		l.vacate(&rec, now, reason)
		l.nodeFailed(rec, reason, false)
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

// fail records that a node failed, and says whether it could.
func (l *loop) fail(name, reason string) bool {
	err := l.commit(func(r *PodRecord) error {
		n := r.node(name)
		if n == nil {
			return nil
		}
		return n.become(pod.StateFailed, reason)
	})
	if err != nil {
		l.log.Error("record a failed node", "node", name, "error", err)
		return false
	}
	l.log.Warn("node failed", "node", name, "reason", reason)
	l.m.events.emit(Event{Type: EventNodeFailed, Pod: l.name, Node: name, Message: fmt.Sprintf("node %s failed: %s", name, reason)})
	return true
}

// want is the number of nodes to close in on now.
func (l *loop) want() int {
	if l.rec.Deleting || l.m.halting.Load() {
		return 0
	}
	return l.rec.Want
}

// setAlarm wakes the loop when something may be tried again or is due.
func (l *loop) setAlarm(now time.Time) {
	next := now.Add(time.Hour)
	due := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	for _, r := range l.tries {
		due(r.next)
	}
	for _, v := range l.vacant {
		due(v.due)
	}
	due(l.crowded)
	for _, o := range l.orphans {
		due(o.try.next)
	}
	due(l.serveTry.next)
	due(l.endTry.next)
	due(l.frontTry.next)
	for _, e := range l.emptying {
		due(e.by)
	}
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		due(l.nodes[rec.Name].stopTry.next)
		due(l.nodes[rec.Name].startTry.next)
		due(l.nodes[rec.Name].lingerBy)
		if rec.State == pod.StateDraining {
			due(l.nodes[rec.Name].drainBy)
		}
	}
	l.alarm.Reset(next.Sub(now))
}
