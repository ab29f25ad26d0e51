package cms

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

const (
	// collectEvery is how often images that nothing needs are looked for.
	collectEvery = time.Hour
	// collectPause is how long after a rollout or the end of a pod, so that the
	// images are not in use any more, and several such are dealt with at once.
	collectPause = time.Minute
	// collectTimeout bounds what is done on one host at a time.
	collectTimeout = 5 * time.Minute
)

// collectSoon makes images that may have become unneeded be looked for in a
// while. It does not block.
func (m *Manager) collectSoon() {
	select {
	case m.unneeded <- struct{}{}:
	default:
	}
}

// collectImages removes images that nothing needs any more, until ctx ends.
// Nothing waits for it.
func (m *Manager) collectImages(ctx context.Context) {
	if m.cfg.KeepImages < 0 {
		return
	}
	timer := time.NewTimer(collectEvery)
	defer timer.Stop()
	soon := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.unneeded:
			if !soon {
				soon = true
				timer.Reset(collectPause)
			}
			continue
		case <-timer.C:
		}
		soon = false
		var hosts sync.WaitGroup
		for _, h := range m.hostList() {
			hosts.Go(func() { m.collectOn(ctx, h) })
		}
		hosts.Wait()
		timer.Reset(collectEvery)
	}
}

// collectOn removes images from a host that nothing needs any more.
func (m *Manager) collectOn(ctx context.Context, h *host) {
	rt, err := h.get()
	if err != nil {
		return
	}
	c := rt.Extras().Collector
	if c == nil {
		return
	}
	m.noteFetched(h, c)
	images := h.record().Images
	if v := h.view.Load(); len(images) == 0 || v == nil || v.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, collectTimeout)
	defer cancel()
	out, err := c.Collect(ctx, images, m.neededImages())
	if err != nil && ctx.Err() == nil {
		m.cfg.Logger.Warn("collect images", "host", h.name, "error", err)
	}
	gone := m.collected(h, out)
	if len(gone) == 0 {
		return
	}
	if _, err := m.editHost(h.name, func(r *HostRecord) {
		r.Images = slices.DeleteFunc(slices.Clone(r.Images), func(i pod.Image) bool { return slices.Contains(gone, i) })
	}); err != nil {
		m.cfg.Logger.Debug("forget images", "host", h.name, "error", err) // the next round finds them gone
	}
}

// collectLast removes from a host that leaves the cluster what the cluster
// brought there, as far as that can be done at once. It is called by the host's
// own poller, once nothing of ours is there, with the token of who edits it.
func (m *Manager) collectLast(h *host) {
	rt, err := h.get()
	if v := h.view.Load(); err != nil || v.err != nil || m.cfg.KeepImages < 0 || h.emptied {
		return
	}
	h.emptied = true // once: what is left then is somebody else's by now
	c := rt.Extras().Collector
	if c == nil {
		return
	}
	images := h.record().Images
	images = slices.Concat(images, slices.DeleteFunc(c.Fetched(), func(i pod.Image) bool { return slices.Contains(images, i) }))
	if len(images) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(m.run, time.Minute)
	defer cancel()
	out, err := c.Collect(ctx, images, nil)
	if err != nil {
		m.cfg.Logger.Warn("collect images", "host", h.name, "error", err)
	}
	m.collected(h, out)
}

// collected tells what became of images, and returns those that are gone.
func (m *Manager) collected(h *host, out []pod.Collected) (gone []pod.Image) {
	for _, o := range out {
		if o.Kept != "" {
			m.cfg.Logger.Debug("an image stays", "host", h.name, "image", o.Image.Name, "reason", o.Kept)
			continue
		}
		gone = append(gone, o.Image)
		if o.Removed {
			m.imageRemoved(h, o.Image)
		}
	}
	return gone
}

func (m *Manager) imageRemoved(h *host, i pod.Image) {
	h.mu.Lock()
	h.collected.Images++
	h.collected.Bytes += i.Size
	h.mu.Unlock()
	m.cfg.Logger.Info("image removed", "host", h.name, "image", i.Name, "id", i.ID, "bytes", i.Size)
	m.events.emit(Event{Type: EventImageRemoved, Host: h.name,
		Message: fmt.Sprintf("image %s (%d MiB) was removed from host %s: nothing needs it any more", i.Name, i.Size>>20, h.name)})
}

func (h *host) collectedSoFar() ImageCount {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.collected
}

// noteFetched keeps what a runtime fetched, so that it can be removed some day
// also by a later manager. What cannot be saved is noted the next time.
func (m *Manager) noteFetched(h *host, c pod.Collector) {
	missing := func(have []pod.Image) []pod.Image {
		return slices.DeleteFunc(c.Fetched(), func(i pod.Image) bool { return slices.Contains(have, i) })
	}
	if len(missing(h.record().Images)) == 0 {
		return
	}
	if _, err := m.editHost(h.name, func(r *HostRecord) {
		r.Images = slices.Concat(r.Images, missing(r.Images))
	}); err != nil {
		m.cfg.Logger.Debug("note images", "host", h.name, "error", err)
	}
}

// neededImages returns the names of the images that pods run, may go back to, or
// are about to run.
func (m *Manager) neededImages() []string {
	var names []string
	for _, l := range m.loops() {
		s := l.status.Load()
		names = append(names, s.Spec.Workload.Image)
		for back := range s.Revisions {
			r := &s.Revisions[len(s.Revisions)-1-back]
			if back < m.cfg.KeepImages || s.runs(r.ID) {
				names = append(names, r.Workload.Image)
			}
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

// runs says whether a node has the revision, or a rollout goes on from it or to it.
func (s *PodStatus) runs(revision string) bool {
	if r := s.Rollout; r != nil && !r.State.Over() && (r.From == revision || r.To == revision) {
		return true
	}
	return slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return specRevision(n.Revision) == revision })
}
