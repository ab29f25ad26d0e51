package cms

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/elastipod/elastipod/cms/internal/act"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// board shows the last status of a pod to everybody.
type board struct {
	shown   atomic.Pointer[PodStatus] // nil before the pod is created
	settled chan struct{}             // closed after the first reconciliation, or when there is none

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when there is another status
	once    sync.Once
}

func newBoard() *board {
	return &board{settled: make(chan struct{}), changed: make(chan struct{})}
}

func (b *board) status() *PodStatus { return b.shown.Load() }

// next returns the status and a channel that is closed when there is a newer one.
func (b *board) next() (*PodStatus, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown.Load(), b.changed
}

func (b *board) show(s *PodStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shown.Store(s)
	close(b.changed)
	b.changed = make(chan struct{})
}

// settle notes that what the status says is of now.
func (b *board) settle() { b.once.Do(func() { close(b.settled) }) }

// publish shows what a turn came to, and then tells what happened in it: who hears
// of something sees it.
func (l *loop) publish(w *reconcile.World, p *reconcile.Plan, span act.Span) {
	for i := range p.Ticks {
		l.recordTick(&p.Ticks[i], w, span)
	}
	if !l.rec.CreatedAt.IsZero() {
		l.board.show(l.status(w, p))
		if l.rec.Deleting || l.tried() {
			l.board.settle()
		}
	}
	for _, e := range p.Events {
		l.tell(e)
	}
	for i := range p.Ticks {
		l.tellTick(&p.Ticks[i])
	}
}

// tried says that the balancer has answered once about every front.
func (l *loop) tried() bool {
	for _, f := range l.rec.Spec.Fronts {
		if m := l.mem.Fronts[f.Name]; m == nil || !m.Tried {
			return false
		}
	}
	return true
}

// tell hands an event on, and logs it.
func (l *loop) tell(e Event) {
	level := slog.LevelDebug
	switch e.Type {
	case EventNodeFailed, EventNodeHung, EventNodeCut, EventRolloutRolledBack, EventProblem:
		level = slog.LevelWarn
	case EventNodeOnline, EventRolloutStarted, EventRolloutDone:
		level = slog.LevelInfo
	}
	if l.log.Enabled(context.Background(), level) {
		var attrs []any
		if e.Node != "" {
			attrs = append(attrs, "node", e.Node)
		}
		if e.Host != "" {
			attrs = append(attrs, "host", e.Host)
		}
		l.log.Log(context.Background(), level, e.Message, attrs...)
	}
	l.m.events.Emit(e)
	if e.Type == EventRolloutDone {
		l.m.images.Soon()
	}
}

// recordTick completes a tick and keeps it.
func (l *loop) recordTick(t *Tick, w *reconcile.World, span act.Span) {
	if t.Seq == 0 { // a command made it
		t.Seq = l.decider.next()
	}
	t.Took = l.m.clock.Since(w.Now)
	want := l.rec.Want
	l.series.Add(t.Sample)
	l.ticks.Add(t)
	if span.Recording() {
		span.Set(act.KeyTick.Int64(int64(t.Seq)), act.KeyWantBefore.Int(t.Before), act.KeyWantAfter.Int(want))
		if t.Err != "" {
			span.Fail(t.Err)
		}
	}
	if t.Before != want && span.Recording() {
		span.Set(act.KeyReason.String(t.Decision.Reason()))
	}
}

// tellTick tells subscribers of a tick.
func (l *loop) tellTick(t *Tick) {
	if t.Before != l.rec.Want {
		reason := t.Decision.Reason()
		l.log.Info("scale", "tick", t.Seq, "from", t.Before, "to", t.Decision.Want, "reason", reason)
		l.m.events.Emit(Event{At: t.At, Type: EventScaled, Pod: l.name, Message: reason, Tick: t})
	}
	l.m.events.Emit(Event{At: t.At, Type: EventTick, Pod: l.name, Tick: t})
}

// noTick is what a pod has before its first tick.
var noTick = &Tick{}

// status makes an immutable picture of the pod.
func (l *loop) status(w *reconcile.World, p *reconcile.Plan) *PodStatus {
	s := &PodStatus{
		Spec:       l.rec.Spec,
		Elasticity: l.rec.Elasticity.For(l.rec.Spec.Spec),
		State:      PodActive,
		CreatedAt:  l.rec.CreatedAt,
		Want:       l.rec.Want,
		Revision:   l.rec.Revision,
		Nodes:      make([]NodeStatus, 0, len(l.rec.Nodes)),
		LastTick:   noTick,
		LastChange: noTick,
		Revisions:  l.rec.Revisions,
		Rollout:    rolloutStatus(&l.rec, p.Status),
		Cut:        l.rec.Cut,
		Problems:   l.m.stamp(p.Problems),
		Converged:  p.Status.Converged,
	}
	if before := l.board.status(); before != nil {
		s.LastTick, s.LastChange, s.Sample = before.LastTick, before.LastChange, before.Sample
	}
	for i := range p.Ticks {
		s.LastTick, s.Sample = &p.Ticks[i], p.Ticks[i].Sample
		if p.Ticks[i].Before != l.rec.Want {
			s.LastChange = s.LastTick
		}
	}
	switch {
	case l.rec.Deleting:
		s.State = PodDeleting
	case l.rec.Paused:
		s.State = PodPaused
	}
	for i := range l.rec.Nodes {
		n := l.nodeStatus(&l.rec.Nodes[i], w)
		s.Nodes = append(s.Nodes, n)
		s.Counts.add(&n)
	}
	return s
}

func (c *NodeCounts) add(n *NodeStatus) {
	if n.Unseen {
		c.Unseen++
		return
	}
	switch n.State {
	case pod.StateNew:
		c.New++
	case pod.StateStarting:
		c.Starting++
	case pod.StateOnline:
		c.Online++
	case pod.StateStandby:
		c.Standby++
	case pod.StateDraining:
		c.Draining++
	case pod.StateFailed:
		c.Failed++
	}
}

func (l *loop) nodeStatus(n *NodeRecord, w *reconcile.World) NodeStatus {
	s := NodeStatus{
		Name:      n.Name,
		Pod:       l.name,
		Host:      n.Host,
		State:     n.State,
		Revision:  n.Revision,
		Handle:    n.Handle,
		Endpoints: n.Endpoints,
		CreatedAt: n.CreatedAt,
		StartedAt: n.StartedAt,
		ReadyAt:   n.ReadyAt,
		Reason:    n.Reason,
		Cut:       n.Cut,
	}
	if v := l.rec.RevisionOf(n.Revision); v != nil {
		s.Digest = v.Digest
	}
	h, there := w.Hosts[n.Host]
	s.Unseen = there && n.State.Live() && !h.Known
	if n.State == pod.StateOnline {
		if cores, ok := l.decider.builder.Cores(n.Name).Get(); ok {
			s.CPU = metrics.V(cores / l.rec.Spec.Limits.CPU)
		}
		at, _ := h.Nodes.Find(n.Name)
		if u := at.Usage; !u.At.IsZero() {
			s.Memory = metrics.V(float64(u.Memory))
		}
	}
	if n.State == pod.StateOnline || n.State == pod.StateDraining {
		s.InFlight = w.InFlight(n.Name)
	}
	if n.State == pod.StateDraining {
		s.DrainBy = n.DrainBy
	}
	return s
}

// rolloutStatus returns how far the last rollout is, or nil.
func rolloutStatus(rec *PodRecord, now reconcile.Status) *RolloutStatus {
	if rec.Rollout == nil {
		return nil
	}
	u := rec.Spec.Update
	s := &RolloutStatus{RolloutRecord: *rec.Rollout, Strategy: u.Strategy, Steps: len(u.Steps), Fresh: now.Fresh, Ready: now.Ready, Old: now.Old}
	if u.Strategy == Canary && !s.State.Over() && s.Step < len(u.Steps) {
		s.Weight = u.Steps[s.Step].Weight
	}
	return s
}
