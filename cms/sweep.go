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
	if len(l.rec.Nodes) > 0 || !l.serveTry.ready(now) || !l.tryEdit() {
		return
	}
	l.applying = true
	fronts := slices.AppendSeq(slices.Clone(l.rec.Spec.Fronts), maps.Values(l.surplus))
	l.action(func() func() {
		err := l.m.deletePod(ctx, l.name, fronts)
		return func() {
			l.applying = false
			if err != nil {
				l.serveTry.failed(time.Now())
				l.problems["delete"] = fmt.Sprintf("cannot be deleted yet: %v", err)
				l.edited()
				return
			}
			l.finished = true // who waits for the token sees the loop end
		}
	})
}
