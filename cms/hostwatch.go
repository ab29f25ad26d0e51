package cms

import (
	"context"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// hostObserved looks at what a host shows beyond the nodes of known pods, tells
// of its comings and goings, and wakes the loops whose nodes changed.
func (m *Manager) hostObserved(h *host) {
	v := h.view.Load()
	old := h.told.Swap(v)
	if v == nil || v == old {
		return
	}
	switch {
	case v.err != nil && (old == nil || old.err == nil):
		m.cfg.Logger.Warn("host unreachable", "host", h.name, "error", v.err)
		m.events.emit(Event{Type: EventHostUnreachable, Host: h.name, Message: v.err.Error()})
	case v.err == nil && old != nil && old.err != nil:
		m.events.emit(Event{Type: EventHostReachable, Host: h.name, Message: fmt.Sprintf("host %s answers again", h.name)})
	}
	if old != nil && (v.err == nil) != (old.err == nil) {
		for _, l := range m.loops() {
			l.wake()
		}
	}
	if v.err != nil {
		m.finishRemoval(h)
		return
	}
	for _, l := range m.loops() {
		if old == nil || changedNodes(l.name, old.nodes, v.nodes) {
			l.wake()
		}
	}
	select {
	case <-m.ready:
		m.stopStrays(h, v)
	default:
	}
	m.finishRemoval(h)
}

// changedNodes says whether a node of the pod came, went, or changed its phase or health.
func changedNodes(podName string, before, after map[pod.NodeID]pod.Node) bool {
	for id, n := range after {
		if id.Pod == podName {
			if old, ok := before[id]; !ok || old.Phase != n.Phase || old.Health != n.Health {
				return true
			}
		}
	}
	for id := range before {
		if _, ok := after[id]; id.Pod == podName && !ok {
			return true
		}
	}
	return false
}

// stopStrays ends nodes of pods that do not exist any more.
func (m *Manager) stopStrays(h *host, v *hostView) {
	for id := range v.nodes {
		m.mu.RLock()
		_, known := m.pods[id.Pod]
		m.mu.RUnlock()
		if known || !h.strays.claim(id) {
			continue
		}
		m.cfg.Logger.Warn("stop a node of a pod that does not exist", "pod", id.Pod, "node", id.Name, "host", h.name)
		m.spawn(func(ctx context.Context) {
			defer h.strays.release(id)
			if err := m.stopNode(ctx, h.name, id, pod.DefaultGrace); err != nil && ctx.Err() == nil {
				m.cfg.Logger.Warn("stop a node", "pod", id.Pod, "node", id.Name, "host", h.name, "error", err)
			}
		})
	}
}

// stopNode stops a node on its host, and makes the host be observed anew.
func (m *Manager) stopNode(ctx context.Context, hostName string, id pod.NodeID, grace time.Duration) error {
	h := m.host(hostName)
	if h == nil {
		return nil // the host was removed, and its nodes with it
	}
	if h.lost() {
		m.cfg.Logger.Warn("give up a node on a host that is being removed and does not answer", "pod", id.Pod, "node", id.Name, "host", hostName)
		m.events.emit(Event{Type: EventProblem, Pod: id.Pod, Node: id.Name, Host: hostName,
			Message: fmt.Sprintf("node %s was left on host %s, which is being removed and does not answer; it may still run there", id.Name, hostName)})
		return nil
	}
	if err := h.unreachable(); err != nil {
		return err
	}
	rt, err := h.get()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, grace+startTimeout)
	defer cancel()
	if err := rt.Stop(ctx, id, grace); err != nil {
		return fmt.Errorf("stop node %s on host %s: %w", id, hostName, err)
	}
	h.kick()
	return nil
}
