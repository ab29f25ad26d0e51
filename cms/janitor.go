package cms

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/act"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/pod"
)

// janitor compares what hosts and the balancer show with the pods that there are,
// after each view, and stops the nodes and removes the fronts of none.
type janitor struct {
	m    *Manager
	busy sync.Map // names of nodes and fronts that are being dealt with
}

// do does something unless it is under way.
func (j *janitor) do(what string, f func(ctx context.Context)) {
	if _, under := j.busy.LoadOrStore(what, true); under {
		return
	}
	if !j.m.life.spawn(func(ctx context.Context) {
		defer j.busy.Delete(what)
		f(ctx)
	}) {
		j.busy.Delete(what)
	}
}

// lookAtHost stops nodes of pods that do not exist. What runs for jobs is not its
// business.
func (j *janitor) lookAtHost(h *watch.Host, v *watch.View) {
	for name, nodes := range v.Pods {
		j.m.mu.RLock()
		_, known := j.m.pods[name]
		j.m.mu.RUnlock()
		if known {
			continue
		}
		for _, n := range nodes {
			j.do("node "+h.Name+" "+n.ID.String(), func(ctx context.Context) { j.stop(ctx, h, n.ID) })
		}
	}
}

func (j *janitor) stop(ctx context.Context, h *watch.Host, id pod.NodeID) {
	log := j.m.cfg.Logger.With("pod", id.Pod, "node", id.Name, "host", h.Name)
	log.Warn("stop a node of a pod that does not exist")
	if _, err := act.StopNode(ctx, &j.m.ports, id, h.Name, pod.DefaultGrace); err != nil && ctx.Err() == nil {
		log.Warn("stop a node", "error", err)
	}
}

// lookAtFronts removes fronts that no pod has. It is called after each observation
// of the balancer.
func (j *janitor) lookAtFronts() {
	if !j.m.life.now().loops {
		return
	}
	for _, name := range j.strays() {
		j.do("front "+name, func(ctx context.Context) { j.remove(ctx, name) })
	}
}

// strays returns the fronts that the balancer showed last and that no pod has.
func (j *janitor) strays() []string {
	v := j.m.balancer.View()
	if v == nil || v.Err != nil {
		return nil
	}
	names := make([]string, len(v.Stats.Fronts))
	for i := range v.Stats.Fronts {
		names[i] = v.Stats.Fronts[i].Name
	}
	return j.m.claims.Unclaimed(names)
}

// clearFronts removes the fronts that no pod has, once and before any pod sets its
// own. What cannot be removed is tried again later.
func (j *janitor) clearFronts(ctx context.Context) {
	for _, name := range j.strays() {
		j.remove(ctx, name)
	}
}

// remove removes a front of no pod; nobody may have its name and address meanwhile.
func (j *janitor) remove(ctx context.Context, name string) {
	release, err := j.m.claims.Want("", []balancer.Front{{Name: name}}) // somebody may wait for its address
	if err != nil {
		return // a pod has it by now
	}
	defer release()
	j.m.cfg.Logger.Warn("remove a front that no pod has", "front", name)
	if err := act.RemoveFront(ctx, &j.m.ports, name); err != nil && ctx.Err() == nil {
		j.m.cfg.Logger.Warn("remove a front", "front", name, "error", err)
	}
}

// hostObserved tells of a host's comings and goings, wakes the loops whose nodes
// changed, and looks at what the host shows beyond them.
func (m *Manager) hostObserved(wh *watch.Host, old, v *watch.View) {
	switch {
	case v.Err != nil && (old == nil || old.Err == nil):
		m.cfg.Logger.Warn("host unreachable", "host", wh.Name, "error", v.Err)
		m.events.Emit(Event{Type: EventHostUnreachable, Host: wh.Name, Message: fmt.Sprintf("host %s does not answer: %s", wh.Name, v.Fault.Text)})
	case v.Err == nil && old != nil && old.Err != nil:
		m.events.Emit(Event{Type: EventHostReachable, Host: wh.Name, Message: fmt.Sprintf("host %s answers again", wh.Name)})
	}
	switch {
	case old != nil && (v.Err == nil) != (old.Err == nil), old == nil:
		m.wakeAll()
	case v.Err == nil:
		m.wakeSome(watch.Changed(old, v))
	}
	if v.Err == nil && m.life.now().loops {
		m.janitor.lookAtHost(wh, v)
	}
	if h := m.host(wh.Name); h != nil && h.Host == wh && m.life.now().loops { // before, the ledger does not know what is there
		m.finishRemoval(h)
	}
}

func (m *Manager) wakeSome(pods map[string]bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for name := range pods {
		if l := m.pods[name]; l != nil {
			l.wake()
		}
	}
}

// finishRemoval removes a draining host once nothing of ours is on it, or seems
// to be where it does not answer. It is called by the host's own poller.
func (m *Manager) finishRemoval(h *host) {
	if !h.Record().Draining {
		return
	}
	select {
	case h.editing <- struct{}{}:
		defer func() { <-h.editing }()
	default:
		return // somebody changes it; the next observation comes soon
	}
	if m.ledger.On(h.Name).Nodes > 0 {
		return
	}
	if v := h.View(); v.Err == nil && v.Count > 0 {
		return // what nobody knows there is being stopped
	}
	if m.store.failure() != nil {
		return // it could not be saved
	}
	if m.cfg.KeepImages >= 0 {
		m.images.Last(m.life.now().ctx, h.Host)
	}
	if err := m.store.save(Change{DeleteHosts: []string{h.Name}}); err != nil {
		m.cfg.Logger.Warn("remove host", "host", h.Name, "error", err)
		return
	}
	m.mu.Lock()
	m.dropHost(h)
	m.mu.Unlock()
	h.Stop()
	m.wakeAll()
	m.events.Emit(Event{Type: EventHostRemoved, Host: h.Name, Message: fmt.Sprintf("host %s was removed", h.Name)})
}

// editImages changes the list of images that the cluster brought to a host.
func (m *Manager) editImages(name string, edit func([]pod.Image) []pod.Image) error {
	_, err := m.editHost(context.Background(), name, func(r *HostRecord) { r.Images = edit(slices.Clone(r.Images)) })
	return err
}

func (m *Manager) imageRemoved(h *watch.Host, i pod.Image) {
	m.cfg.Logger.Info("image removed", "host", h.Name, "image", i.Name, "id", i.ID, "bytes", i.Size)
	m.events.Emit(Event{Type: EventImageRemoved, Host: h.Name,
		Message: fmt.Sprintf("image %s (%d MiB) was removed from host %s: nothing needs it any more", i.Name, i.Size>>20, h.Name)})
}
