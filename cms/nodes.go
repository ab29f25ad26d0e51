package cms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// RegisterNode adds a node in state new; an empty name lets the manager choose.
// It returns [Faults] for a bad name, [ErrExists], or [ErrConflict] at the pod's
// limit and while elasticity is on.
func (m *Manager) RegisterNode(ctx context.Context, podName, name string) (NodeStatus, error) {
	if name != "" && !pod.ValidName(name) {
		return NodeStatus{}, Faults{{Path: "name", Problem: fmt.Sprintf("%.80q is not a name", name), Allowed: "use 1 to 40 of a-z, 0-9 and -, a letter first"}}
	}
	return m.nodeCommand(ctx, podName, reconcile.Command{Kind: reconcile.CommandRegister, Node: name})
}

// Launch starts the oldest node in state new, and returns it as starting. It
// returns [ErrConflict] when there is none, no host has room, the pod has as
// many launched nodes as it may have, or elasticity is on.
func (m *Manager) Launch(ctx context.Context, podName string) (NodeStatus, error) {
	return m.nodeCommand(ctx, podName, reconcile.Command{Kind: reconcile.CommandLaunch})
}

// RemoveNode removes a node: one that runs is drained and stopped first, and is
// not replaced; a lost or overdue one, which was replaced before, goes without a
// change of the wanted number. It answers with the node in its new state, returns [ErrNotFound],
// or [ErrConflict] while elasticity is on.
func (m *Manager) RemoveNode(ctx context.Context, podName, name string) (NodeStatus, error) {
	return m.nodeCommand(ctx, podName, reconcile.Command{Kind: reconcile.CommandRemove, Node: name})
}

// nodeCommand sends a command about a node and returns the node as the command
// left it; a moment later it may be gone.
func (m *Manager) nodeCommand(ctx context.Context, podName string, c reconcile.Command) (NodeStatus, error) {
	l, err := m.loop(podName)
	if err != nil {
		return NodeStatus{}, err
	}
	s, n, err := l.command(ctx, c)
	if err != nil {
		return NodeStatus{}, err
	}
	out, err := s.node(n.Name)
	if err != nil { // it was removed
		out = NodeStatus{Name: n.Name, Pod: podName, Host: n.Host, Revision: n.Revision, CreatedAt: n.CreatedAt, Reason: n.Reason}
	}
	out.State = n.State
	return out, nil
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
		return NodeStatus{}, refuse(ErrNotFound, "there is no node %q in pod %q", name, s.Spec.Name)
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
		return nil, refuse(ErrConflict, "node %s has not been started, so it has no output", name)
	}
	rt, err := h.Runtime()
	if err != nil {
		return nil, refuse(ErrConflict, "host %s does not answer: %s", h.Name, faults.Of(err).Text)
	}
	logger := rt.Extras().Logger
	if logger == nil {
		return nil, refuse(ErrConflict, "the runtime of host %s keeps no output", h.Name)
	}
	out, err := logger.Logs(ctx, pod.NodeID{Pod: podName, Name: name}, o)
	switch {
	case errors.Is(err, pod.ErrNotFound):
		return nil, refuse(ErrConflict, "nothing is left of the output of node %s", name)
	case errors.Is(err, pod.ErrUnreachable):
		return nil, refuse(ErrConflict, "host %s does not answer: %s", h.Name, faults.Of(err).Text)
	}
	return out, err
}

// Ticks returns up to limit ticks of a pod, newest first: the last ones, and
// before these the ones that changed the wanted number. It returns [ErrNotFound].
func (m *Manager) Ticks(podName string, limit int) ([]Tick, error) {
	l := m.created(podName)
	if l == nil {
		return nil, noPod(podName)
	}
	return l.ticks.Last(limit), nil
}

// Samples returns the samples of a pod that are newer than since, oldest first.
// It returns [ErrNotFound].
func (m *Manager) Samples(podName string, since time.Time) ([]metrics.Sample, error) {
	l := m.created(podName)
	if l == nil {
		return nil, noPod(podName)
	}
	return l.series.Since(since), nil
}

// Balancer returns the last statistics of the balancer.
func (m *Manager) Balancer() BalancerStatus {
	s := BalancerStatus{Pods: map[string]string{}, Fault: Reason{Code: reconcile.FaultBalancer, Text: "it has not been observed yet"}}
	for _, p := range m.Pods() {
		for _, f := range p.Spec.Fronts {
			s.Pods[f.Name] = p.Spec.Name
		}
	}
	if v := m.balancer.View(); v != nil {
		s.Stats, s.At, s.Fault = v.Stats, v.At, v.Fault
	}
	return s
}

// Events returns the kept events with an id larger than after, oldest first,
// and the id that the next one will have. When events in between are not kept
// any more the first one is an [EventReset].
func (m *Manager) Events(after uint64) (past []Event, next uint64) { return m.events.After(after) }

// NextEvent returns the id that the next event will have.
func (m *Manager) NextEvent() uint64 { return m.events.NextID() }

// Subscribe returns a stream of the kept events with an id larger than after,
// and then of all that happen, ticks included. buffer is how many events may
// wait to be read. Close it.
func (m *Manager) Subscribe(after uint64, buffer int) *Subscription {
	return m.events.Subscribe(after, buffer)
}
