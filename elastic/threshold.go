package elastic

import (
	"encoding/json"
	"math"
)

// MinThresholdGap is the least distance between the thresholds of a [Threshold].
const MinThresholdGap = 0.1

// Threshold is the classic rule: above the upper threshold it adds nodes, below
// the lower one it removes some, and in between it keeps what there is.
//
// It waits while nodes are starting, since what they take over is not seen yet,
// and it doesn't remove where the rest would predictably come out above the
// upper threshold, which would only bring the nodes back. It never removes the
// last node: without one there is no CPU that could bring it back.
//
// It is a plain value without memory. [Threshold.Validate] says whether it is
// sound; one that is not keeps the number of nodes.
type Threshold struct {
	// Metric is [MetricCPU], the default, or [MetricMemory].
	Metric Metric
	// Lower and Upper are fractions of a node's limit, in [0,1] and at least
	// [MinThresholdGap] apart.
	Lower, Upper float64
	// Step is how many nodes are added or removed at a time. Default 1.
	Step int
}

// Validate returns every fault of the policy as [Faults], or nil.
func (p Threshold) Validate() error {
	var f Faults
	if m := p.metric(); m != MetricCPU && m != MetricMemory {
		f.Add("metric", `use "cpu" or "memory"`, "%.40q has no thresholds", string(m))
	}
	if !(p.Lower >= 0 && p.Lower <= 1) {
		f.Add("lower", "use a fraction of the node's limit from 0 to 1, such as 0.3", "%v is out of range", p.Lower)
	}
	if !(p.Upper >= 0 && p.Upper <= 1) {
		f.Add("upper", "use a fraction of the node's limit from 0 to 1, such as 0.7", "%v is out of range", p.Upper)
	}
	if len(f) == 0 && !p.apart() {
		f.Add("upper", "use an upper threshold that is at least 0.1 above the lower one", "%v is too close to lower %v", p.Upper, p.Lower)
	}
	if p.Step < 0 || p.Step > maxStep {
		f.Add("step", "use 1 to 1000 nodes", "%d is out of range", p.Step)
	}
	return f.Err()
}

// apart allows for the last bit: 0.7 - 0.6 is a little less than 0.1.
func (p Threshold) apart() bool { return p.Upper-p.Lower >= MinThresholdGap-1e-9 }

const maxStep = 1000

func (p Threshold) metric() Metric {
	if p.Metric == "" {
		return MetricCPU
	}
	return p.Metric
}

// Decide applies the rule relative to o.Want.
func (p Threshold) Decide(o Observation) Decision {
	m := p.metric()
	if !(p.Lower >= 0 && p.Upper <= 1 && p.apart() && p.Step >= 0) {
		return invalid(o.Want)
	}
	measured, total := m.of(&o)
	value, ok := measured.Get()
	if !ok || total || o.Online <= 0 {
		return Hold(o.Want, RuleMissing, m.Label())
	}
	step := max(p.Step, 1)
	d := Decision{Want: o.Want}
	switch {
	case value > p.Upper:
		d.Add(Step{Rule: RuleAboveUpper, From: o.Want, To: plus(o.Want, step), Metric: m.Label(), Value: value, Bound: p.Upper})
		p.wait(&d, &o)
	case value < p.Lower:
		s := Step{Rule: RuleBelowLower, From: o.Want, To: min(max(o.Want-step, 1), o.Want), Metric: m.Label(), Value: value, Bound: p.Lower}
		if s.To == s.From {
			s.Note = "the last node stays"
		}
		d.Add(s)
		if !p.wait(&d, &o) {
			p.project(&d, &o, value)
		}
	default:
		d.Add(Step{Rule: RuleWithin, From: o.Want, To: o.Want, Metric: m.Label(), Value: value, Bound: p.Lower, Upper: p.Upper})
	}
	return d
}

// wait takes a change back while nodes are starting, and says whether it did.
func (p Threshold) wait(d *Decision, o *Observation) bool {
	if o.Starting <= 0 || d.Want == o.Want {
		return false
	}
	d.Add(Step{Rule: RuleStarting, From: d.Want, To: o.Want, Value: float64(o.Starting)})
	return true
}

// project takes a removal back that would bring the others over the upper
// threshold: they would share the same work.
func (p Threshold) project(d *Decision, o *Observation, value float64) {
	left := min(o.Online, d.Want)
	if left >= o.Online || left <= 0 {
		return
	}
	if after := value * float64(o.Online) / float64(left); after > p.Upper {
		d.Add(Step{Rule: RuleProjected, From: d.Want, To: o.Want, Metric: p.metric().Label(), Value: after, Bound: p.Upper})
	}
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p Threshold) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind   string  `json:"kind"`
		Metric Metric  `json:"metric,omitempty"`
		Lower  float64 `json:"lower"`
		Upper  float64 `json:"upper"`
		Step   int     `json:"step,omitempty"`
	}{"threshold", p.Metric, p.Lower, p.Upper, p.Step})
}

// invalid keeps the number where a policy was made without being validated.
func invalid(want int) Decision {
	d := Decision{Want: want}
	d.Add(Step{Rule: RuleNote, From: want, To: want, Note: "the policy's settings are not valid"})
	return d
}

// plus adds without wrapping around.
func plus(a, b int) int {
	if b > 0 && a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}
