package cms

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// observe gathers what the pollers saw of this pod. The error says what could
// not be observed.
func (l *loop) observe(now time.Time) (elastic.Observation, error) {
	var missing []string
	in := elastic.Input{
		At:          l.policyTime(now),
		Want:        l.rec.Want,
		Starting:    l.rec.count(pod.StateStarting),
		Draining:    l.rec.count(pod.StateDraining),
		Min:         l.rec.Elasticity.Min,
		Max:         l.rec.Elasticity.Max,
		CPULimit:    l.rec.Spec.Limits.CPU,
		MemoryLimit: l.rec.Spec.Limits.Memory,
		Boot:        l.boot(),
	}
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		run := l.nodes[rec.Name]
		if rec.State != pod.StateOnline {
			run.memory = metrics.Missing
			continue
		}
		if l.withheld(rec) || l.lost(rec) {
			continue // others do the work
		}
		in.Online++
		h := l.m.host(rec.Host)
		if h == nil {
			continue
		}
		v := h.view.Load()
		if v == nil || v.err != nil {
			if reason := fmt.Sprintf("host %s does not answer", rec.Host); !slices.Contains(missing, reason) {
				missing = append(missing, reason)
			}
			continue
		}
		if u := v.nodes[l.id(rec.Name)].Usage; !u.At.IsZero() {
			in.Nodes = append(in.Nodes, elastic.NodeInput{Name: rec.Name, At: u.At, CPU: u.CPU, Memory: u.Memory})
			run.memory = metrics.V(float64(u.Memory))
		}
	}
	if err := l.observeFronts(&in); err != nil {
		missing = append(missing, err.Error())
	}
	o := l.builder.Observe(in)
	if len(missing) > 0 {
		return o, fmt.Errorf("%s", strings.Join(missing, "; "))
	}
	return o, nil
}

// observeFronts adds the counters of the pod's fronts, and notes what each node
// has in flight.
func (l *loop) observeFronts(in *elastic.Input) error {
	if len(l.rec.Spec.Fronts) == 0 {
		return nil
	}
	v := l.m.balancer.view.Load()
	switch {
	case v == nil:
		return fmt.Errorf("the balancer has not been observed yet")
	case v.err != nil:
		return fmt.Errorf("the balancer does not answer: %w", v.err)
	}
	for i := range l.rec.Spec.Fronts {
		f, ok := v.stats.Front(l.rec.Spec.Fronts[i].Name)
		if !ok {
			continue
		}
		in.Fronts = append(in.Fronts, elastic.FrontInput{
			Name:         f.Name,
			At:           v.at,
			Requests:     f.Requests,
			Errors:       f.Errors,
			InFlight:     f.InFlight,
			Waiting:      f.Waiting,
			LatencyCount: f.Latency.Count,
			P50:          f.Latency.P50,
			P95:          f.Latency.P95,
			P99:          f.Latency.P99,
		})
	}
	return nil
}

// inFlight returns the requests that a node has, over all fronts. It is missing
// when no observation of the balancer was begun after the given time.
func (l *loop) inFlight(node string, after time.Time) metrics.Value {
	v := l.m.balancer.view.Load()
	if v == nil || v.err != nil || !v.begun.After(after) {
		return metrics.Missing
	}
	return metrics.V(float64(l.lastInFlight(node)))
}

// lastInFlight returns the requests that a node had when the balancer answered
// last.
func (l *loop) lastInFlight(node string) (sum int) {
	v := l.m.balancer.view.Load()
	if v == nil {
		return 0
	}
	for i := range l.rec.Spec.Fronts {
		f, _ := v.stats.Front(l.rec.Spec.Fronts[i].Name)
		for j := range f.Servers {
			if f.Servers[j].Name == node {
				sum += f.Servers[j].InFlight
			}
		}
	}
	return sum
}

// down says whether the balancer finds that a node does not answer.
func (l *loop) down(node string) bool {
	v := l.m.balancer.view.Load()
	if v == nil || v.err != nil {
		return false
	}
	for i := range l.rec.Spec.Fronts {
		f, _ := v.stats.Front(l.rec.Spec.Fronts[i].Name)
		if slices.ContainsFunc(f.Servers, func(s balancer.ServerStats) bool { return s.Name == node && !s.Up }) {
			return true
		}
	}
	return false
}

// keptBoots is over how many starts the boot time is taken.
const keptBoots = 15

// boot returns the median time from the decision to start a node to its first
// answer, in seconds, over the last starts.
func (l *loop) boot() metrics.Value {
	if len(l.boots) == 0 {
		return metrics.Missing
	}
	sorted := slices.Sorted(slices.Values(l.boots))
	return metrics.V(sorted[len(sorted)/2].Seconds())
}

func (l *loop) booted(took time.Duration) {
	if len(l.boots) == keptBoots {
		l.boots = slices.Delete(l.boots, 0, 1)
	}
	l.boots = append(l.boots, took)
}
