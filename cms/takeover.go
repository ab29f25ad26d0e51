package cms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// identify decides whose nodes this manager looks after. A manager whose store
// is empty, on hosts where one of the same name has nodes, is either a second
// one or one whose store was lost: it refuses, or takes these nodes over where
// its configuration says so.
func (m *Manager) identify(ctx context.Context, stored State) (State, error) {
	if len(stored.Pods) > 0 {
		return stored, nil
	}
	nodes, err := m.salvage(ctx, stored)
	if err != nil {
		if m.cfg.TakeOver {
			return stored, fmt.Errorf("cms: take over: %w; nothing was changed: bring the host back, or leave it out of the configuration, and start again", err)
		}
		m.cfg.Logger.Warn("look for another manager of this name", "error", err)
	}
	ids := map[string]int{}
	for _, n := range nodes {
		ids[n.ClusterID]++
	}
	switch {
	case len(nodes) == 0:
		return stored, nil
	case !m.cfg.TakeOver:
		n := nodes[0]
		return stored, fmt.Errorf("cms: %w: host %s has %d nodes of cluster %q with id %s, such as %s, and this store is empty (id %s): "+
			"if their manager runs elsewhere, give this cluster another name; if its store was lost, put a backup of it in place, "+
			"or start once with --take-over (Config.TakeOver), which goes on with these nodes and rebuilds their pods",
			pod.ErrForeign, n.Host, ids[n.ClusterID], m.cfg.Name, n.ClusterID, n.Node.ID, stored.ClusterID)
	case len(ids) > 1:
		return stored, fmt.Errorf("cms: take over: %w: nodes of %d managers are on the hosts: %s; stop those of all but one, and start again",
			pod.ErrForeign, len(ids), strings.Join(owners(nodes), ", "))
	}
	pods, err := m.rebuild(nodes)
	if err != nil {
		return stored, fmt.Errorf("cms: take over: %w", err)
	}
	id := nodes[0].ClusterID
	if err := m.store.save(Change{ClusterID: id, PutPods: pods}); err != nil {
		return stored, fmt.Errorf("cms: take over: %w", err)
	}
	m.cfg.Logger.Warn("took over what another manager left", "cluster", m.cfg.Name, "id", id, "pods", len(pods), "nodes", len(nodes))
	stored.ClusterID, stored.Pods = id, pods
	return stored, nil
}

// owners names whose nodes are where.
func owners(nodes []state.Found) []string {
	var out []string
	for _, n := range nodes {
		if text := fmt.Sprintf("id %s on host %s", n.ClusterID, n.Host); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// salvage asks every host, side by side, what other managers of our name left
// there. The error names a host that did not answer; the nodes are those of the
// others.
func (m *Manager) salvage(ctx context.Context, stored State) ([]state.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, adoptWait)
	defer cancel()
	hosts := slices.Clone(m.cfg.Hosts)
	for _, r := range stored.Hosts {
		if !slices.ContainsFunc(hosts, func(h pod.Host) bool { return h.Name == r.Host.Name }) {
			hosts = append(hosts, r.Host)
		}
	}
	var mu sync.Mutex
	var nodes []state.Found
	var errs []error
	var asking sync.WaitGroup
	for _, h := range hosts {
		asking.Go(func() {
			left, err := m.salvageHost(ctx, h.WithDefaults(), pod.Cluster{Name: m.cfg.Name, ID: stored.ClusterID})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("host %s: %w", h.Name, err))
			}
			for _, s := range left {
				nodes = append(nodes, state.Found{Host: h.Name, Salvaged: s})
			}
		})
	}
	asking.Wait()
	slices.SortFunc(nodes, func(a, b state.Found) int {
		return cmp.Or(strings.Compare(a.Node.ID.Pod, b.Node.ID.Pod), a.Node.StartedAt.Compare(b.Node.StartedAt),
			strings.Compare(a.Node.ID.Name, b.Node.ID.Name), strings.Compare(a.Host, b.Host))
	})
	return nodes, errors.Join(errs...)
}

func (m *Manager) salvageHost(ctx context.Context, h pod.Host, c pod.Cluster) (_ []pod.Salvaged, err error) {
	rt, err := m.cfg.OpenRuntime(ctx, h, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	if s := rt.Extras().Salvager; s != nil {
		return s.Salvage(ctx)
	}
	_, err = rt.Observe(ctx) // it can only say whether there is anything
	return nil, err
}

// rebuild makes the records of pods out of their nodes, oldest first.
func (m *Manager) rebuild(nodes []state.Found) ([]PodRecord, error) {
	var pods []PodRecord
	var errs []error
	for len(nodes) > 0 {
		name, n := nodes[0].Node.ID.Pod, 1
		for n < len(nodes) && nodes[n].Node.ID.Pod == name {
			n++
		}
		rec, err := m.rebuildPod(nodes[:n])
		if err != nil {
			errs = append(errs, fmt.Errorf("pod %s cannot be rebuilt: %w", name, err))
		}
		pods, nodes = append(pods, rec), nodes[n:]
	}
	if len(errs) > 0 {
		errs = append(errs, errors.New("nothing was changed: put a backup of the lost store in place, or stop these nodes on their hosts and start again"))
	}
	return pods, errors.Join(errs...)
}

// rebuildPod makes the record of a pod out of its nodes, oldest first.
func (m *Manager) rebuildPod(nodes []state.Found) (PodRecord, error) {
	rec, hosts, err := state.Rebuild(nodes)
	if err != nil {
		return rec, err
	}
	for _, h := range hosts {
		if !slices.ContainsFunc(m.cfg.Hosts, func(c pod.Host) bool { return c.Name == h }) {
			m.cfg.Logger.Warn("the lost store had a host that is not configured; what is there is not taken over", "host", h, "pod", rec.Spec.Name)
		}
	}
	return rec, nil
}
