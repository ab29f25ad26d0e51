// Package fakes looks at a cluster of fakes for [invariant.Check].
package fakes

import (
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/internal/invariant"
	"github.com/elastipod/elastipod/pod/podtest"
)

// World is a manager and all that it works on.
type World struct {
	Manager  *cms.Manager
	Hosts    map[string]*podtest.FakeHost // by the names of the manager's hosts
	Balancer *balancertest.Fake           // nil: not looked at
	Store    *cmstest.Store               // nil: not looked at
}

// View returns what everybody in the world tells. Where something changes
// meanwhile they tell different things: set atRest only where nothing does.
func (w World) View(atRest bool) invariant.View {
	v := invariant.View{AtRest: atRest}
	for _, p := range w.Manager.Pods() {
		v.Pods = append(v.Pods, Pod(p))
	}
	v.Hosts = w.hosts()
	if w.Balancer != nil {
		fronts := w.fronts()
		v.Fronts = &fronts
	}
	if w.Store != nil {
		v.Stored = stored(w.Store.State())
	}
	return v
}

// Pod returns a pod as invariants see it. What has no room has an excuse.
func Pod(p cms.PodStatus) invariant.Pod {
	e := p.Elasticity
	out := invariant.Pod{
		Name:      p.Spec.Name,
		State:     string(p.State),
		Want:      p.Want,
		MaxNodes:  p.Spec.MaxNodes,
		Elastic:   e.Enabled && e.Mode == cms.ModeAct,
		Min:       e.Min,
		Max:       e.Max,
		Revision:  p.Revision,
		Converged: p.Converged,
	}
	for _, problem := range p.Problems {
		text := problem.Sentence(time.Now())
		out.Problems = append(out.Problems, text)
		if problem.Code == cms.ProblemRoom || problem.Code == cms.ProblemWaits {
			out.Excuse = text
		}
	}
	if r := p.Rollout; r != nil {
		out.Rollout = invariant.PodRollout{State: string(r.State), From: r.From, To: r.To}
	}
	for _, f := range p.Spec.Fronts {
		out.Fronts = append(out.Fronts, invariant.PodFront{Name: f.Name, Listen: f.Listen, Port: f.Port})
	}
	for _, n := range p.Nodes {
		limits := p.Spec.Limits
		for _, r := range p.Revisions {
			if r.Number == n.Revision {
				limits = r.Limits
			}
		}
		out.Nodes = append(out.Nodes, invariant.Node{
			Name:      n.Name,
			State:     n.State.String(),
			Host:      n.Host,
			Revision:  n.Revision,
			Endpoints: n.Endpoints,
			CPU:       limits.CPU,
			Memory:    limits.Memory,
		})
	}
	return out
}

func (w World) hosts() []invariant.Host {
	var out []invariant.Host
	left := maps.Clone(w.Hosts)
	for _, h := range w.Manager.Hosts() {
		o := invariant.Host{
			Name:      h.Host.Name,
			Reachable: h.Reachable,
			Draining:  h.Draining,
			Nodes:     h.Nodes,
			CPU:       h.Reserved.CPU,
			Memory:    h.Reserved.Memory,
			Capacity:  h.Capacity.Memory,
		}
		if fake := left[h.Host.Name]; fake != nil {
			o.Running = running(fake)
			delete(left, h.Host.Name)
		}
		out = append(out, o)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		out = append(out, invariant.Host{Name: name, Removed: true, Reachable: true, Running: running(left[name])})
	}
	return out
}

func running(h *podtest.FakeHost) *[]invariant.Instance {
	out := []invariant.Instance{}
	for _, n := range h.Nodes() {
		out = append(out, invariant.Instance{Pod: n.ID.Pod, Node: n.ID.Name, Running: n.Phase == "running"})
	}
	return &out
}

func (w World) fronts() []invariant.Front {
	out := []invariant.Front{}
	for _, name := range w.Balancer.Fronts() {
		front, there := w.Balancer.Front(name)
		if !there {
			continue // removed meanwhile
		}
		f := invariant.Front{Name: name, Listen: front.Listen}
		for _, s := range w.Balancer.Servers(name) {
			f.Servers = append(f.Servers, invariant.Server{Name: s.Name, Addr: s.Addr, State: string(s.WithDefaults().State)})
		}
		out = append(out, f)
	}
	return out
}

func stored(s cms.State) *invariant.Stored {
	out := &invariant.Stored{}
	for _, h := range s.Hosts {
		out.Hosts = append(out.Hosts, h.Host.Name)
	}
	for _, p := range s.Pods {
		state := cms.PodActive
		switch {
		case p.Deleting:
			state = cms.PodDeleting
		case p.Paused:
			state = cms.PodPaused
		}
		o := invariant.StoredPod{Name: p.Spec.Name, State: string(state), Want: p.Want, Nodes: map[string]string{}}
		for _, n := range p.Nodes {
			o.Nodes[n.Name] = n.State.String()
		}
		out.Pods = append(out.Pods, o)
	}
	return out
}
