package cms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// Pause takes all servers of a pod out of the balancer, drained, so that its
// fronts answer 503; its nodes run on and their number stays. It is idempotent.
func (m *Manager) Pause(ctx context.Context, name string) (PodStatus, error) {
	return m.setPaused(ctx, name, true, EventPodPaused, "was paused: its fronts answer 503")
}

// Resume puts the servers of a paused pod back. It is idempotent.
func (m *Manager) Resume(ctx context.Context, name string) (PodStatus, error) {
	return m.setPaused(ctx, name, false, EventPodResumed, "was resumed")
}

func (m *Manager) setPaused(ctx context.Context, name string, paused bool, event EventType, text string) (PodStatus, error) {
	return m.command(ctx, name, func(l *loop) error {
		if l.rec.Deleting {
			return fmt.Errorf("%w: pod %s is being deleted", ErrConflict, name)
		}
		if l.rec.Paused == paused {
			return nil
		}
		before, want := l.rec.Want, l.rec.Want
		if e := l.rec.Elasticity; !paused && e.Enabled && e.Mode == ModeAct {
			want = min(max(before, e.Min), e.Max) // bounds that were set meanwhile
		}
		if err := l.commit(func(r *PodRecord) error { r.Paused, r.Want = paused, want; return nil }); err != nil {
			return err
		}
		m.events.emit(Event{Type: event, Pod: name, Message: fmt.Sprintf("pod %s %s", name, text)})
		if want != before {
			l.broughtInside(before, want)
		}
		return nil
	})
}

// SetElasticity sets whether and how a pod grows and shrinks by itself. Enabling
// it brings the wanted number inside the bounds at once. It returns [Faults],
// [ErrNotFound] or [ErrConflict].
func (m *Manager) SetElasticity(ctx context.Context, name string, e Elasticity) (PodStatus, error) {
	return m.command(ctx, name, func(l *loop) error {
		if l.rec.Deleting {
			return fmt.Errorf("%w: pod %s is being deleted", ErrConflict, name)
		}
		e = e.For(l.rec.Spec.Spec)
		if err := e.ValidateFor(l.rec.Spec.Spec, m.cfg.Policies); err != nil {
			return err
		}
		samePolicy := string(e.Policy) == string(l.rec.Elasticity.Policy)
		before := l.rec.Want
		want := before
		if e.Enabled && e.Mode == ModeAct && !l.rec.Paused {
			want = min(max(before, e.Min), e.Max)
		}
		if err := l.commit(func(r *PodRecord) error {
			r.Elasticity, r.Want = e, want
			if !samePolicy {
				r.PolicyMemory = nil
			}
			return nil
		}); err != nil {
			return err
		}
		if !samePolicy {
			l.setPolicy()
		}
		m.events.emit(Event{Type: EventElasticityChanged, Pod: name, Message: l.rec.Elasticity.describe(name)})
		if want != before {
			l.broughtInside(before, want)
		}
		return nil
	})
}

// describe says what elasticity does, in a sentence.
func (e Elasticity) describe(podName string) string {
	if !e.Enabled {
		return fmt.Sprintf("elasticity of pod %s is off", podName)
	}
	if e.Mode == ModeDryRun {
		return fmt.Sprintf("elasticity of pod %s is on as a dry run, for %d to %d nodes", podName, e.Min, e.Max)
	}
	return fmt.Sprintf("elasticity of pod %s is on, for %d to %d nodes", podName, e.Min, e.Max)
}

// broughtInside records the change that enabling elasticity made.
func (l *loop) broughtInside(before, want int) {
	now := l.m.clock.now()
	t := Tick{At: l.m.clock.wall(), Before: before}
	if l.lastTick != nil {
		t.Observation = l.lastTick.Observation
	}
	t.Observation.At, t.Observation.Want = l.policyTime(now), before
	t.Observation.Min, t.Observation.Max = l.rec.Elasticity.Min, l.rec.Elasticity.Max
	t.Decision.Add(elastic.Step{Rule: elastic.RuleEnabled, From: before, To: want})
	l.record(&t, now)
}

// RegisterNode adds a node in state new; an empty name lets the manager choose.
// It returns [Faults] for a bad name, [ErrExists], or [ErrConflict] at the pod's
// limit and while elasticity is on.
func (m *Manager) RegisterNode(ctx context.Context, podName, name string) (NodeStatus, error) {
	if name != "" && !pod.ValidName(name) {
		return NodeStatus{}, Faults{{Path: "name", Problem: fmt.Sprintf("%.80q is not a name", name), Allowed: "use 1 to 40 of a-z, 0-9 and -, a letter first"}}
	}
	s, err := m.command(ctx, podName, func(l *loop) error {
		if err := l.manual("register a node"); err != nil {
			return err
		}
		if n := len(l.rec.Nodes) - l.rec.count(pod.StateFailed, pod.StateDraining); n >= l.rec.Spec.MaxNodes {
			return fmt.Errorf("%w: pod %s has %d nodes, its limit; raise max_nodes or remove one", ErrConflict, podName, n)
		}
		if l.rec.node(name) != nil {
			return fmt.Errorf("node %q of pod %q: %w", name, podName, ErrExists)
		}
		err := l.commit(func(r *PodRecord) error {
			if name == "" {
				name = r.nextName()
			}
			r.Nodes = append(r.Nodes, NodeRecord{Name: name, State: pod.StateNew, CreatedAt: l.m.clock.wall()})
			return nil
		})
		if err != nil {
			return err
		}
		l.nodes[name] = &nodeRun{}
		m.events.emit(Event{Type: EventNodeRegistered, Pod: podName, Node: name, Message: fmt.Sprintf("node %s was registered", name)})
		return nil
	})
	if err != nil {
		return NodeStatus{}, err
	}
	return s.node(name)
}

// manual says why a person may not do something by hand.
func (l *loop) manual(what string) error {
	switch {
	case l.rec.Deleting:
		return fmt.Errorf("%w: pod %s is being deleted", ErrConflict, l.name)
	case l.rec.Elasticity.Enabled:
		return fmt.Errorf("%w: elasticity of pod %s is on, so you cannot %s by hand; disable it first (PATCH its elasticity with enabled false, or cloud elasticity disable %s)", ErrConflict, l.name, what, l.name)
	case l.m.halting.Load():
		return fmt.Errorf("%w: the manager is stopping all nodes", ErrConflict)
	}
	return nil
}

// Launch starts the oldest node in state new, and returns it as starting. It
// returns [ErrConflict] when there is none, no host has room, the pod has as
// many launched nodes as it may have, or elasticity is on.
func (m *Manager) Launch(ctx context.Context, podName string) (NodeStatus, error) {
	var name string
	s, err := m.command(ctx, podName, func(l *loop) error {
		if err := l.manual("launch a node"); err != nil {
			return err
		}
		oldest := l.rec.oldestNew()
		if oldest == nil {
			return fmt.Errorf("%w: pod %s has no new node; register one first", ErrConflict, podName)
		}
		// It may be lower than when the node was registered, and a failed node
		// that is about to be replaced counts.
		if l.rec.Want >= l.rec.Spec.MaxNodes {
			return fmt.Errorf("%w: pod %s has %d launched nodes, its limit; raise max_nodes or remove one", ErrConflict, podName, l.rec.Want)
		}
		hosts, held := l.hostsFor(l.m.clock.now())
		if held && !usable(hosts) { // a person may know better
			hosts = l.m.candidates(l.rec.Spec.Spec)
		}
		var err error
		if name, err = l.launch(l.ctx, oldest.Name, l.revision, 1, hosts); errors.Is(err, errNoRoom) {
			return fmt.Errorf("%w: %w", ErrConflict, err)
		}
		return err
	})
	if err != nil {
		return NodeStatus{}, err
	}
	return s.node(name)
}

// RemoveNode removes a node: one that runs is drained and stopped first, and is
// not replaced. It answers with the node in its new state, returns [ErrNotFound],
// or [ErrConflict] while elasticity is on.
func (m *Manager) RemoveNode(ctx context.Context, podName, name string) (NodeStatus, error) {
	// Taken inside the loop: a moment later the node may be gone.
	var n NodeStatus
	_, err := m.command(ctx, podName, func(l *loop) error {
		rec := l.rec.node(name)
		if rec == nil {
			return fmt.Errorf("node %q of pod %q: %w", name, podName, ErrNotFound)
		}
		if rec.State == pod.StateDraining {
			n = l.nodeStatus(rec)
			return nil
		}
		if rec.State != pod.StateFailed {
			if err := l.manual("remove a node"); err != nil {
				return err
			}
		}
		if rec.State.Live() {
			if err := l.drain(name, l.m.clock.now(), 1, "removed"); err != nil {
				return err
			}
			n = l.nodeStatus(l.rec.node(name))
			return nil
		}
		if l.nodes[name].busy {
			return fmt.Errorf("%w: node %s is being cleaned up; try again", ErrConflict, name)
		}
		n = l.nodeStatus(rec)
		n.State = pod.StateGone
		return l.forget(name, l.m.clock.now())
	})
	if err != nil {
		return NodeStatus{}, err
	}
	return n, nil
}

// Node returns one node. It returns [ErrNotFound].
func (m *Manager) Node(podName, name string) (NodeStatus, error) {
	s, err := m.Pod(podName)
	if err != nil {
		return NodeStatus{}, err
	}
	return s.node(name)
}

func (s PodStatus) node(name string) (NodeStatus, error) {
	i := slices.IndexFunc(s.Nodes, func(n NodeStatus) bool { return n.Name == name })
	if i < 0 {
		return NodeStatus{}, fmt.Errorf("node %q of pod %q: %w", name, s.Spec.Name, ErrNotFound)
	}
	return s.Nodes[i], nil
}

// Logs returns the output of a node. It returns [ErrNotFound], or [ErrConflict]
// for a node that was never started or whose host does not answer.
func (m *Manager) Logs(ctx context.Context, podName, name string, o pod.LogOptions) (io.ReadCloser, error) {
	n, err := m.Node(podName, name)
	if err != nil {
		return nil, err
	}
	h := m.host(n.Host)
	if h == nil {
		return nil, fmt.Errorf("%w: node %s has not been started, so it has no output", ErrConflict, name)
	}
	rt, err := h.get()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	logger := rt.Extras().Logger
	if logger == nil {
		return nil, fmt.Errorf("%w: the runtime of host %s keeps no output", ErrConflict, h.name)
	}
	out, err := logger.Logs(ctx, pod.NodeID{Pod: podName, Name: name}, o)
	switch {
	case errors.Is(err, pod.ErrNotFound):
		return nil, fmt.Errorf("%w: nothing is left of the output of node %s: %w", ErrConflict, name, err)
	case errors.Is(err, pod.ErrUnreachable):
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return out, err
}

// Ticks returns up to limit ticks of a pod, newest first: the last ones, and
// before these the ones that changed the wanted number. It returns [ErrNotFound].
func (m *Manager) Ticks(podName string, limit int) ([]Tick, error) {
	m.mu.RLock()
	l, ok := m.pods[podName]
	m.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("pod %q: %w", podName, ErrNotFound)
	}
	return l.ticks.last(limit), nil
}

// Samples returns the samples of a pod that are newer than since, oldest first.
// It returns [ErrNotFound].
func (m *Manager) Samples(podName string, since time.Time) ([]metrics.Sample, error) {
	m.mu.RLock()
	l, ok := m.pods[podName]
	m.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("pod %q: %w", podName, ErrNotFound)
	}
	return l.series.Since(since), nil
}

// Balancer returns the last statistics of the balancer.
func (m *Manager) Balancer() BalancerStatus {
	s := BalancerStatus{Pods: map[string]string{}, Err: "not observed yet"}
	for _, p := range m.Pods() {
		for _, f := range p.Spec.Fronts {
			s.Pods[f.Name] = p.Spec.Name
		}
	}
	if v := m.balancer.view.Load(); v != nil {
		s.Stats, s.At, s.Err = v.stats, v.at, ""
		if v.err != nil {
			s.Err = v.err.Error()
		}
	}
	return s
}

// Events returns the kept events with an id larger than after, oldest first,
// and the id that the next one will have. When events in between are not kept
// any more the first one is an [EventReset].
func (m *Manager) Events(after uint64) (past []Event, next uint64) { return m.events.after(after) }

// NextEvent returns the id that the next event will have.
func (m *Manager) NextEvent() uint64 { return m.events.next() }

// Subscribe returns a stream of the kept events with an id larger than after,
// and then of all that happen, ticks included. buffer is how many events may
// wait to be read. Close it.
func (m *Manager) Subscribe(after uint64, buffer int) *Subscription {
	return m.events.subscribe(after, buffer)
}
