package cms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// found is a node that another manager left, on the host of that name.
type found struct {
	host string
	pod.Salvaged
}

// identify decides whose nodes this manager looks after. A manager whose store
// is empty, on hosts where one of the same name has nodes, is either a second
// one or one whose store was lost: it refuses, or takes these nodes over where
// its configuration says so.
func (m *Manager) identify(ctx context.Context, state State) (State, error) {
	if len(state.Pods) > 0 {
		return state, nil
	}
	nodes, err := m.salvage(ctx, state)
	if err != nil {
		if m.cfg.TakeOver {
			return state, fmt.Errorf("cms: take over: %w; nothing was changed: bring the host back, or leave it out of the configuration, and start again", err)
		}
		m.cfg.Logger.Warn("look for another manager of this name", "error", err)
	}
	ids := map[string]int{}
	for _, n := range nodes {
		ids[n.ClusterID]++
	}
	switch {
	case len(nodes) == 0:
		return state, nil
	case !m.cfg.TakeOver:
		n := nodes[0]
		return state, fmt.Errorf("cms: %w: host %s has %d nodes of cluster %q with id %s, such as %s, and this store is empty (id %s): "+
			"if their manager runs elsewhere, give this cluster another name; if its store was lost, put a backup of it in place, "+
			"or start once with --take-over (Config.TakeOver), which goes on with these nodes and rebuilds their pods",
			pod.ErrForeign, n.host, ids[n.ClusterID], m.cfg.Name, n.ClusterID, n.Node.ID, state.ClusterID)
	case len(ids) > 1:
		return state, fmt.Errorf("cms: take over: %w: nodes of %d managers are on the hosts: %s; stop those of all but one, and start again",
			pod.ErrForeign, len(ids), strings.Join(owners(nodes), ", "))
	}
	pods, err := m.rebuild(nodes)
	if err != nil {
		return state, fmt.Errorf("cms: take over: %w", err)
	}
	id := nodes[0].ClusterID
	if err := m.save(Change{ClusterID: id, PutPods: pods}); err != nil {
		return state, fmt.Errorf("cms: take over: %w", err)
	}
	m.cfg.Logger.Warn("took over what another manager left", "cluster", m.cfg.Name, "id", id, "pods", len(pods), "nodes", len(nodes))
	state.ClusterID, state.Pods = id, pods
	return state, nil
}

// owners names whose nodes are where.
func owners(nodes []found) []string {
	var out []string
	for _, n := range nodes {
		if text := fmt.Sprintf("id %s on host %s", n.ClusterID, n.host); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// salvage asks every host, side by side, what other managers of our name left
// there. The error names a host that did not answer; the nodes are those of the
// others.
func (m *Manager) salvage(ctx context.Context, state State) ([]found, error) {
	ctx, cancel := context.WithTimeout(ctx, adoptWait)
	defer cancel()
	hosts := slices.Clone(m.cfg.Hosts)
	for _, r := range state.Hosts {
		if !slices.ContainsFunc(hosts, func(h pod.Host) bool { return h.Name == r.Host.Name }) {
			hosts = append(hosts, r.Host)
		}
	}
	var mu sync.Mutex
	var nodes []found
	var errs []error
	var asking sync.WaitGroup
	for _, h := range hosts {
		asking.Go(func() {
			left, err := m.salvageHost(ctx, h.WithDefaults(), pod.Cluster{Name: m.cfg.Name, ID: state.ClusterID})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("host %s: %w", h.Name, err))
			}
			for _, s := range left {
				nodes = append(nodes, found{h.Name, s})
			}
		})
	}
	asking.Wait()
	slices.SortFunc(nodes, func(a, b found) int {
		return cmp.Or(strings.Compare(a.Node.ID.Pod, b.Node.ID.Pod), a.Node.StartedAt.Compare(b.Node.StartedAt),
			strings.Compare(a.Node.ID.Name, b.Node.ID.Name), strings.Compare(a.host, b.host))
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
func (m *Manager) rebuild(nodes []found) ([]PodRecord, error) {
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

// rebuildPod makes the record of a pod out of its nodes, oldest first. What the
// newest one says of the pod counts.
func (m *Manager) rebuildPod(nodes []found) (PodRecord, error) {
	var rec PodRecord
	var latest *nodeSettings // of the newest node
	current := ""            // the revision that the pod wants
	var problem error
	for _, n := range nodes {
		if number, ok := strings.CutPrefix(n.Node.ID.Name, "n"); ok {
			serial, _ := strconv.ParseUint(number, 10, 64)
			rec.Serial = max(rec.Serial, serial)
		}
		s, err := readSettings(n.Salvaged)
		if err != nil {
			problem = fmt.Errorf("node %s on host %s: %w", n.Node.ID, n.host, err)
		} else {
			latest = &s
			rec.salvageRevision(n, s)
			if !s.Former || current == "" {
				current = specRevision(n.Node.Revision)
			}
		}
		rec.salvageNode(n)
	}
	if latest == nil {
		return rec, problem
	}
	for _, n := range rec.Nodes {
		if rec.revision(specRevision(n.Revision)) == nil {
			return rec, problem // of a node that runs something that nobody knows
		}
	}
	rec.Spec, rec.Elasticity, rec.CreatedAt, rec.Paused = latest.Spec, latest.Elasticity, latest.CreatedAt, latest.Paused
	if v := rec.revision(current); v != nil {
		rec.Spec.Workload, rec.Spec.Limits = v.Workload.Clone(), v.Limits
		// The newest is that of the spec.
		last := *v
		rec.Revisions = append(slices.DeleteFunc(rec.Revisions, func(v RevisionRecord) bool { return v.ID == current }), last)
	}
	rec.Spec = rec.Spec.WithDefaults()
	if err := rec.Spec.Validate(); err != nil {
		return rec, err
	}
	for _, h := range latest.Hosts {
		if !slices.ContainsFunc(m.cfg.Hosts, func(c pod.Host) bool { return c.Name == h }) {
			m.cfg.Logger.Warn("the lost store had a host that is not configured; what is there is not taken over", "host", h, "pod", rec.Spec.Name)
		}
	}
	// How many were wanted last is lost; as many as there are is what serves.
	rec.Want = min(len(rec.Nodes), rec.Spec.MaxNodes)
	if len(rec.Nodes) == 0 {
		rec.Want = min(latest.Want, rec.Spec.MaxNodes)
	}
	return rec, nil
}

// salvageRevision remembers what a node runs.
func (r *PodRecord) salvageRevision(n found, s nodeSettings) {
	id := specRevision(n.Node.Revision)
	if r.revision(id) != nil {
		return
	}
	number := s.Number
	for i := range r.Revisions {
		if r.Revisions[i].Number == number {
			number = 0
		}
	}
	if number == 0 {
		for i := range r.Revisions {
			number = max(number, r.Revisions[i].Number)
		}
		number++
	}
	r.Revisions = append(r.Revisions, RevisionRecord{
		ID: id, Number: number, At: n.Node.StartedAt.UTC(), Workload: s.Spec.Workload.Clone(), Limits: s.Spec.Limits, Reason: "found on a node",
	})
}

// salvageNode remembers a node that runs. One that has ended is left to be
// swept, as no record knows it.
func (r *PodRecord) salvageNode(n found) {
	if n.Node.Phase == pod.PhaseExited {
		return
	}
	if old := r.node(n.Node.ID.Name); old != nil { // seen by two names of one machine
		return
	}
	started := n.Node.StartedAt.UTC().Round(time.Microsecond)
	r.Nodes = append(r.Nodes, NodeRecord{
		Name: n.Node.ID.Name, State: pod.StateOnline, Host: n.host, Revision: n.Node.Revision, Endpoints: n.Node.Endpoints, Handle: n.Node.Handle,
		CreatedAt: started, StartedAt: started, ReadyAt: started,
	})
}
