package elastic

import (
	"encoding/json"
	"math"
)

// DefaultTolerance is the default of [Target.Tolerance].
const DefaultTolerance = 0.1

// maxWant bounds what arithmetic on measurements may ask for, far above what
// any pod may have.
const maxWant = 1_000_000

// Target keeps a metric near a value per node: it wants ceil(load / value)
// nodes, where the load of [MetricCPU] and [MetricMemory] is the mean times the
// online nodes, and that of [MetricInFlight] and [MetricRate] is their sum. This
// is the formula of the Kubernetes Horizontal Pod Autoscaler, and as there
// nothing changes while the ratio of load to value is within the tolerance of 1.
//
// Starting nodes are neither idle nor busy. A CPU or memory load that asks for
// more nodes is spread over them as well; one that asks for fewer takes them to
// be at the target. So a node that never gets ready neither calls for more nor
// keeps others from being removed.
//
// CPU ends at the node's limit: three nodes at 1.00 say that three is too few
// and not how many would do. A target of 0.7 then grows by at most 1/0.7 at each
// start of nodes. Requests in flight have no such ceiling and see a burst whole;
// they also bring a pod back from zero nodes, and take it there where Min is 0.
// CPU and memory always leave one node.
//
// It is a plain value without memory; wrap it in a [Stabilize] where the metric
// is jumpy. [Target.Validate] says whether it is sound; one that is not keeps
// the number of nodes.
type Target struct {
	Metric Metric // what is kept near Value, per node
	// Value is what each node shall have: a fraction of its limit in (0,1] for
	// [MetricCPU] and [MetricMemory], else a number above 0.
	Value float64
	// Tolerance is the fraction of Value around it in which nothing changes,
	// less than 1. 0 means the default of 0.1; negative means none.
	Tolerance float64
}

// Validate returns every fault of the policy as [Faults], or nil.
func (p Target) Validate() error {
	var f Faults
	switch p.Metric {
	case MetricCPU, MetricMemory:
		if !(p.Value > 0 && p.Value <= 1) {
			f.Add("value", "use a fraction of the node's limit above 0 and up to 1, such as 0.7", "%v is out of range", p.Value)
		}
	case MetricInFlight, MetricRate:
		if !(p.Value > 0 && p.Value <= 1e9) {
			f.Add("value", "use a number of requests per node above 0", "%v is out of range", p.Value)
		}
	case "":
		f.Add("metric", `use "cpu", "memory", "in_flight" or "rate"`, "is missing")
	default:
		f.Add("metric", `use "cpu", "memory", "in_flight" or "rate"`, "%.40q is unknown", string(p.Metric))
	}
	if !(p.Tolerance < 1) {
		f.Add("tolerance", "use a fraction of the value from 0 to less than 1, such as 0.1", "%v is out of range", p.Tolerance)
	}
	return f.Err()
}

func (p Target) tolerance() float64 {
	switch {
	case p.Tolerance == 0:
		return DefaultTolerance
	case p.Tolerance < 0:
		return 0
	}
	return p.Tolerance
}

// Decide wants as many nodes as bring the metric to the value.
func (p Target) Decide(o Observation) Decision {
	if !(p.Value > 0 && p.Tolerance < 1) {
		return invalid(o.Want)
	}
	measured, total := p.Metric.of(&o)
	load, ok := measured.Get()
	online, starting := max(o.Online, 0), max(o.Starting, 0)
	if !ok || load < 0 || !total && online == 0 {
		return Hold(o.Want, RuleMissing, p.Metric.Label())
	}
	nodes := float64(online + starting)
	up, down := load, load // as seen when asking for more nodes, or for fewer
	least := 0
	perNode := load
	if total {
		perNode /= max(nodes, 1)
	} else {
		up *= float64(online)
		down = up + float64(starting)*p.Value
		least = 1
	}
	s := Step{Rule: RuleTarget, From: o.Want, To: o.Want, Metric: p.Metric.Label(), Value: perNode, Bound: p.Value}
	full := p.Value * nodes // what these nodes should carry
	switch tolerance := p.tolerance(); {
	case up > full*(1+tolerance):
		s.To = max(o.Want, nodesFor(up, p.Value))
		if s.To == o.Want {
			s.Note = "enough nodes are wanted already"
		}
	case down < full*(1-tolerance):
		s.To = min(o.Want, max(nodesFor(down, p.Value), least))
	case nodes == 0:
		s.Note = "no node is online, and none is called for"
	case perNode > p.Value*(1+tolerance) || perNode < p.Value*(1-tolerance):
		s.Note = "counting the nodes that are starting"
	default:
		s.Rule, s.Bound, s.Upper = RuleWithin, p.Value*(1-tolerance), p.Value*(1+tolerance)
		s.Note = "around the target"
	}
	d := Decision{Want: o.Want}
	d.Add(s)
	return d
}

// nodesFor returns ceil(load / value), allowing for the last bits of both.
func nodesFor(load, value float64) int {
	return int(min(math.Ceil(load/value-1e-9), maxWant))
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p Target) MarshalJSON() ([]byte, error) {
	w := struct {
		Kind      string   `json:"kind"`
		Metric    Metric   `json:"metric"`
		Value     float64  `json:"value"`
		Tolerance *float64 `json:"tolerance,omitempty"`
	}{"target", p.Metric, p.Value, nil}
	if t := p.tolerance(); p.Tolerance != 0 {
		w.Tolerance = &t
	}
	return json.Marshal(w)
}
