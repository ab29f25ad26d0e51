package cms

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// publish makes a new immutable status and wakes those who wait for one.
func (l *loop) publish() {
	s := &PodStatus{
		Spec:       l.rec.Spec,
		Elasticity: l.rec.Elasticity.For(l.rec.Spec.Spec),
		State:      PodActive,
		CreatedAt:  l.rec.CreatedAt,
		Want:       l.rec.Want,
		Revision:   l.revision,
		Nodes:      make([]NodeStatus, 0, len(l.rec.Nodes)),
		Sample:     l.sample,
		LastTick:   l.lastTick,
		LastChange: l.lastMove,
		Rollout:    l.rolloutStatus(l.m.clock.now()),
		Revisions:  l.rec.Revisions,
		Cut:        l.rec.Cut,
	}
	switch {
	case l.rec.Deleting:
		s.State = PodDeleting
	case l.rec.Paused:
		s.State = PodPaused
	}
	for i := range l.rec.Nodes {
		s.Nodes = append(s.Nodes, l.nodeStatus(&l.rec.Nodes[i]))
	}
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		if run := l.nodes[rec.Name]; run.stopErr != nil {
			s.Problems = append(s.Problems, fmt.Sprintf("node %s cannot be stopped and removed yet: %v", rec.Name, run.stopErr))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(l.problems)) {
		s.Problems = append(s.Problems, l.problems[kind])
	}
	if v := l.m.balancer.view.Load(); v != nil && v.err != nil && len(l.rec.Spec.Fronts) > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("the balancer does not answer: %v", v.err))
	}
	s.Converged = l.converged()
	l.status.Store(s)
	l.mu.Lock()
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
}

// converged says that what runs and takes requests is what should.
func (l *loop) converged() bool {
	if r := l.rolling(); r != nil {
		return false
	}
	if l.applying || len(l.unset) > 0 || len(l.surplus) > 0 || l.unsettled() || l.count(l.m.clock.now()).live != l.want() {
		return false
	}
	for _, f := range l.rec.Spec.Fronts {
		if have, ok := l.applied[f.Name]; !ok || !slices.Equal(have, l.servers(f)) {
			return false
		}
	}
	for i := range l.rec.Nodes {
		if n := &l.rec.Nodes[i]; n.State == pod.StateOnline && (l.stale(n) || l.unseen(n)) && !l.lost(n) {
			return false
		}
	}
	return true
}

// unsettled says whether a node is on its way to be ready or gone.
func (l *loop) unsettled() bool {
	return slices.ContainsFunc(l.rec.Nodes, func(n NodeRecord) bool {
		return (n.State == pod.StateStarting || n.State == pod.StateDraining) && !l.lost(&n)
	})
}

// unseen says that what is recorded of the node is from an earlier manager: its
// host has not been observed since.
func (l *loop) unseen(rec *NodeRecord) bool {
	h := l.m.host(rec.Host)
	if h == nil || !rec.State.Live() {
		return false
	}
	v := h.view.Load()
	return v == nil || !v.known
}

func (l *loop) nodeStatus(rec *NodeRecord) NodeStatus {
	run := l.nodes[rec.Name]
	s := NodeStatus{
		Name:      rec.Name,
		Pod:       l.name,
		Host:      rec.Host,
		State:     rec.State,
		Revision:  rec.Revision,
		Handle:    rec.Handle,
		Endpoints: rec.Endpoints,
		CreatedAt: rec.CreatedAt,
		StartedAt: rec.StartedAt,
		ReadyAt:   rec.ReadyAt,
		Reason:    rec.Reason,
		Unseen:    l.unseen(rec),
		Memory:    run.memory,
		Cut:       rec.Cut,
	}
	if rec.State == pod.StateOnline {
		if cores, ok := l.builder.Cores(rec.Name).Get(); ok {
			s.CPU = metrics.V(cores / l.rec.Spec.Limits.CPU)
		}
	}
	if rec.State == pod.StateOnline || rec.State == pod.StateDraining {
		s.InFlight = l.inFlight(rec.Name, time.Time{})
	}
	if rec.State == pod.StateDraining {
		s.DrainBy = rec.DrainBy
	}
	return s
}

// next returns the status and a channel that is closed when there is a newer one.
func (l *loop) next() (*PodStatus, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status.Load(), l.changed
}
