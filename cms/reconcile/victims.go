package reconcile

import (
	"cmp"
	"slices"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// victims returns the names of up to n launched nodes of some, the one whose loss
// hurts least first: one that is starting, that does not answer, that is not
// proven, that the balancer finds down, that may not stay where it is, that has the
// fewest requests, the youngest.
func (t *turn) victims(n int, some func(*state.Node) bool) []string {
	type candidate struct {
		name string
		rank [5]int
		load float64
		age  int
	}
	var all []candidate
	for i := range t.pod.Nodes {
		rec := &t.pod.Nodes[i]
		if !rec.Live() || t.lost(rec) || !some(rec) {
			continue
		}
		all = append(all, candidate{
			name: rec.Name,
			rank: [5]int{last(rec.State == pod.StateStarting), last(t.hung(rec) != ""), last(!t.proven(rec)), last(t.down(rec.Name)), last(t.unfit(rec) != "")},
			load: t.w.InFlight(rec.Name).Or(0),
			age:  i,
		})
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(slices.Compare(a.rank[:], b.rank[:]), cmp.Compare(a.load, b.load), cmp.Compare(b.age, a.age))
	})
	var out []string
	for _, c := range all[:min(n, len(all))] {
		out = append(out, c.name)
	}
	return out
}

// last sorts what is not so behind what is.
func last(so bool) int {
	if so {
		return 0
	}
	return 1
}

// InFlight returns the requests that a node has, over all fronts. It is missing
// where the balancer does not answer.
func (w *World) InFlight(node string) metrics.Value {
	if !w.Balancer.Fault.OK() {
		return metrics.Missing
	}
	return metrics.V(float64(w.lastInFlight(node)))
}

// lastInFlight returns the requests that a node had when the balancer answered
// last.
func (w *World) lastInFlight(node string) (sum int) {
	for _, f := range w.Balancer.Fronts {
		if i := slices.IndexFunc(f.Servers, func(s balancer.ServerStats) bool { return s.Name == node }); i >= 0 {
			sum += f.Servers[i].InFlight
		}
	}
	return sum
}

// down says whether the balancer finds that a node does not answer.
func (t *turn) down(node string) bool {
	if !t.w.Balancer.Fault.OK() {
		return false
	}
	for _, f := range t.w.Balancer.Fronts {
		if slices.ContainsFunc(f.Servers, func(s balancer.ServerStats) bool { return s.Name == node && !s.Up }) {
			return true
		}
	}
	return false
}
