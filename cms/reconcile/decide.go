package reconcile

import (
	"fmt"
	"time"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// decide takes in what a tick brought: it sets the wanted number, and records how
// that came about.
func decide(t *turn) {
	if !t.created() {
		return
	}
	if c := t.w.Checkpoint; c != nil && !t.readOnly() {
		t.rec().KeepPolicy(c.Memory, c.At)
	}
	tick := t.w.Tick
	if tick == nil {
		return
	}
	before := t.pod.Want
	d := t.decision(tick)
	out := Tick{Seq: tick.Seq, At: t.w.Wall, Observation: tick.Observation, Decision: d, Before: before, Err: tick.Missing, Took: tick.Took}
	switch {
	case t.readOnly():
		if d.Want != before {
			out.Err = "the wanted number stays, as it cannot be saved: " + t.w.Store.Text
		}
	case d.Want != before:
		t.rec().SetWant(d.Want)
		t.pod.KeepPolicy(tick.Memory, tick.Observation.At)
	case tick.Keep && t.w.Tick.Asked && t.keepsPolicy(tick.Memory):
		t.rec().KeepPolicy(tick.Memory, tick.Observation.At)
	}
	t.recordTick(out)
}

// keepsPolicy says whether what the policy remembers is not saved yet.
func (t *turn) keepsPolicy(memory []byte) bool { return string(memory) != string(t.pod.PolicyMemory) }

// decision returns the wanted number and how it came about. The policy proposes;
// bounds and room have the last word.
func (t *turn) decision(tick *Deciding) elastic.Decision {
	want, e := t.pod.Want, t.pod.Elasticity
	switch {
	case t.pod.Paused:
		return elastic.Hold(want, elastic.RulePaused, "")
	case !e.Enabled || t.pod.Deleting || t.w.Mode == Halting:
		return elastic.Hold(want, elastic.RuleManual, "")
	case !t.w.Policy.OK():
		return note(want, Problem{Code: ProblemPolicy, Fault: t.w.Policy}.sentence())
	case tick.Missing != "":
		return note(want, tick.Missing)
	case !tick.Asked:
		return elastic.Hold(want, elastic.RuleManual, "")
	}
	d := tick.Decision
	d.Clamp(e.Min, e.Max)
	t.limitToRoom(&d)
	if e.Mode == state.ModeDryRun && d.Want != want {
		d.Add(elastic.Step{Rule: elastic.RuleDryRun, From: d.Want, To: want})
	}
	return d
}

// Asks says whether the pod's policy is asked at a tick.
func (w *World) Asks() bool {
	p := &w.Pod
	return !p.Paused && p.Elasticity.Enabled && !p.Deleting && w.Mode == Managing && w.Policy.OK()
}

func note(want int, text string) elastic.Decision {
	d := elastic.Decision{}
	d.Add(elastic.Step{Rule: elastic.RuleUnobserved, From: want, To: want, Note: text})
	return d
}

// limitToRoom keeps the wish to grow within what the hosts can take.
func (t *turn) limitToRoom(d *elastic.Decision) {
	if d.Want <= t.pod.Want {
		return
	}
	live := t.census().Live()
	n, why := t.roomFor(t.pod.Spec.Limits, t.usable(), d.Want-live)
	if got := max(live+n, t.pod.Want); got < d.Want {
		d.Add(elastic.Step{Rule: elastic.RuleCapacity, From: d.Want, To: got, Bound: float64(got), Note: why})
	}
}

// broughtInside records that a command changed the wanted number, for the pod to
// be inside of its bounds.
func (t *turn) broughtInside(before int) {
	if t.pod.Want == before {
		return
	}
	out := Tick{At: t.w.Wall, Before: before, Observation: t.w.Last}
	o := &out.Observation
	o.At, o.Want, o.Min, o.Max = t.w.PolicyTime, before, t.pod.Elasticity.Min, t.pod.Elasticity.Max
	out.Decision.Add(elastic.Step{Rule: elastic.RuleEnabled, From: before, To: t.pod.Want})
	t.recordTick(out)
}

// recordTick completes a tick and adds it to the plan.
func (t *turn) recordTick(out Tick) {
	out.Sample = out.Observation.Sample()
	out.Sample.At, out.Sample.Want = out.At, t.pod.Want
	out.Sample.Nodes.New = t.pod.Count(pod.StateNew)
	out.Sample.Nodes.Standby = t.pod.Count(pod.StateStandby)
	out.Sample.Nodes.Failed = t.pod.Count(pod.StateFailed)
	t.plan.Ticks = append(t.plan.Ticks, out)
}

// Observe gathers what the world shows of the pod for its policy, and says what
// could not be observed.
func (w *World) Observe() (in elastic.Input, missing []string) {
	t := &turn{w: *w, pod: w.Pod, mem: w.Memory} // which nothing changes
	in = elastic.Input{
		At: w.PolicyTime, Want: t.pod.Want, Draining: t.pod.Count(pod.StateDraining),
		Min: t.pod.Elasticity.Min, Max: t.pod.Elasticity.Max,
		CPULimit: t.pod.Spec.Limits.CPU, MemoryLimit: t.pod.Spec.Limits.Memory, Boot: boot(t.pod.MedianBoot()),
	}
	away := map[string]bool{}
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.State == pod.StateStarting && !t.overdue(n) {
			in.Starting++
		}
		if n.State != pod.StateOnline || t.withheld(n) || t.lost(n) {
			continue // others do the work
		}
		in.Online++
		h, ok := w.Hosts[n.Host]
		switch {
		case !ok:
		case !h.Known || !h.Fault.OK():
			if !away[n.Host] {
				away[n.Host] = true
				missing = append(missing, fmt.Sprintf("host %s does not answer", n.Host))
			}
		default:
			if u := h.Nodes[n.Name].Usage; !u.At.IsZero() {
				in.Nodes = append(in.Nodes, elastic.NodeInput{Name: n.Name, At: u.At, CPU: u.CPU, Memory: u.Memory})
			}
		}
	}
	return in, append(missing, w.observeFronts(&in)...)
}

// observeFronts adds the counters of the pod's fronts.
func (w *World) observeFronts(in *elastic.Input) (missing []string) {
	b := &w.Balancer
	switch {
	case len(w.Pod.Spec.Fronts) == 0:
		return nil
	case b.Asked.IsZero():
		return []string{"the balancer has not been observed yet"}
	case !b.Fault.OK():
		return []string{"the balancer does not answer: " + b.Fault.Text}
	}
	for i := range w.Pod.Spec.Fronts {
		f, ok := b.Fronts[w.Pod.Spec.Fronts[i].Name]
		if !ok {
			continue
		}
		in.Fronts = append(in.Fronts, elastic.FrontInput{
			Name: f.Name, At: b.At, Requests: f.Requests, Errors: f.Errors, InFlight: f.InFlight, Waiting: f.Waiting,
			LatencyCount: f.Latency.Count, P50: f.Latency.P50, P95: f.Latency.P95, P99: f.Latency.P99,
		})
	}
	return nil
}

func boot(median time.Duration) metrics.Value {
	if median == 0 {
		return metrics.Missing
	}
	return metrics.V(median.Seconds())
}
