package cms

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// keptFailed is how many failed nodes a pod keeps, for people to read why.
const keptFailed = 5

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
			_ = l.forget(rec.Name, now)
		case !run.cleaned && !l.serving(rec.Name) && l.mayStop(&rec, run, now):
			l.clean(ctx, rec)
		}
	}
	for _, h := range l.m.hostList() {
		v := h.view.Load()
		if v == nil || v.err != nil {
			continue
		}
		for id := range v.nodes {
			if id.Pod == l.name && l.unwanted(h.name, v.nodes[id], v.begun) {
				l.stopOrphan(ctx, h.name, id, now)
			}
		}
	}
	for id, o := range l.orphans {
		if h := l.m.host(o.host); !o.busy && (h == nil || h.lacks(id)) {
			delete(l.orphans, id)
		}
	}
	if len(l.orphans) == 0 {
		delete(l.problems, "orphan")
	}
}

// unwanted says whether nothing of the node should be on the host.
func (l *loop) unwanted(host string, n pod.Node, seen time.Time) bool {
	if !seen.After(l.removed) {
		return false
	}
	rec := l.rec.node(n.ID.Name)
	if rec == nil {
		return true
	}
	run := l.nodes[rec.Name]
	switch {
	case run.busy:
		return false
	case rec.State == pod.StateNew:
		return true
	case rec.Host != host:
		return n.Handle != rec.Handle // else one machine goes by two names
	case rec.State == pod.StateFailed:
		return run.cleaned && seen.After(run.settled)
	}
	return false
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
	ctx = below(ctx, l.cause)
	l.action(func() func() {
		err := l.m.stopNode(ctx, rec.Host, id, grace)
		return func() {
			run.busy, run.stopErr = false, err
			if err != nil {
				run.stopTry.failed(l.m.clock.now())
				return
			}
			run.cleaned, run.settled = true, l.m.clock.now()
			l.m.placer.release(id)
		}
	})
}

// orphan is what is on a host and in no record.
type orphan struct {
	host string
	busy bool
	try  retry
}

// stopOrphan ends a node of this pod that should not be there: it was being
// removed when an earlier manager ended, or came up after its start had failed.
func (l *loop) stopOrphan(ctx context.Context, host string, id pod.NodeID, now time.Time) {
	o := l.orphans[id]
	if o == nil {
		o = &orphan{host: host}
		l.orphans[id] = o
	}
	if o.busy || !o.try.ready(now) {
		return
	}
	o.busy = true
	l.log.Warn("stop a node that no record knows", "node", id.Name, "host", host)
	grace := l.rec.Spec.Grace
	ctx = below(ctx, l.cause)
	l.action(func() func() {
		err := l.m.stopNode(ctx, host, id, grace)
		return func() {
			o.busy = false
			if err != nil {
				o.try.failed(l.m.clock.now())
				l.problems["orphan"] = fmt.Sprintf("node %s runs on host %s and should not, but cannot be stopped: %v", id.Name, host, err)
				return
			}
			delete(l.orphans, id)
			l.removed = l.m.clock.now()
			if run := l.nodes[id.Name]; run != nil {
				run.settled = l.removed
			}
		}
	})
}

// finish ends the pod once it is being deleted and nothing is left of it.
func (l *loop) finish(ctx context.Context, now time.Time) {
	if !l.rec.Deleting || len(l.orphans) > 0 || len(l.emptying) > 0 || l.applying || l.finished {
		return
	}
	for _, rec := range slices.Clone(l.rec.Nodes) {
		if rec.State == pod.StateNew {
			_ = l.forget(rec.Name, now)
		}
	}
	if len(l.rec.Nodes) > 0 || !l.endTry.ready(now) || !l.tryEdit() {
		return
	}
	l.applying = true
	ctx = below(ctx, l.cause)
	fronts := slices.AppendSeq(slices.Clone(l.rec.Spec.Fronts), maps.Values(l.surplus))
	l.action(func() func() {
		err := l.m.deletePod(ctx, l.name, fronts)
		return func() {
			l.applying = false
			if err != nil {
				l.endTry.failed(l.m.clock.now())
				l.problems["delete"] = fmt.Sprintf("cannot be deleted yet: %v", err)
				l.edited()
				return
			}
			l.finished = true // who waits for the token sees the loop end
		}
	})
}
