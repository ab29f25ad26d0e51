package elastic

// Policy decides how many nodes a pod should have.
//
// Decide is called once a tick, by one goroutine, with observations whose times
// go forward. It does no I/O, reads no clock, and allocates nothing. What it
// must remember it keeps to itself; a policy with memory also implements
// [encoding.BinaryMarshaler] and [encoding.BinaryUnmarshaler] and, restored at
// any tick, decides exactly as if it had never stopped.
//
// elastictest.Run checks all of that.
type Policy interface {
	Decide(Observation) Decision
}

// MaxSteps is how many steps a decision can hold; further ones replace the last.
const MaxSteps = 8

// Decision is a number of nodes and how it came about. It is a plain value:
// nothing in it is allocated until [Decision.String] or another method renders
// it.
type Decision struct {
	Want  int            // how many nodes there should be
	Steps [MaxSteps]Step // how that came about; the first N are set
	N     int            // how many of Steps are set
}

// Step is one rule's part in a decision. Which fields mean something depends on
// the rule; [Step.String] renders it for a person.
type Step struct {
	Rule Rule // what kind of reasoning it stands for
	From int  // nodes before this step
	To   int  // nodes after it
	// Metric names what was looked at, such as "CPU" or "in flight per node".
	Metric string
	// Value is what was measured, Bound the threshold, target or limit that it
	// was held against. For waiting rules they are seconds.
	Value, Bound float64
	// Upper is the other bound where a rule has two: [RuleWithin] says that
	// Value lies between Bound and Upper.
	Upper float64
	// Note says in words what the other fields can't; constant, or made once
	// when the policy was made.
	Note string
}

// Hold returns the decision to keep want nodes, because of rule.
func Hold(want int, rule Rule, metric string) Decision {
	d := Decision{Want: want}
	d.Add(Step{Rule: rule, From: want, To: want, Metric: metric})
	return d
}

// Add appends a step and makes its To the wanted number.
func (d *Decision) Add(s Step) {
	if d.N < MaxSteps {
		d.N++
	}
	d.Steps[d.N-1] = s
	d.Want = s.To
}

// Clamp brings the wanted number inside of lo and hi, and adds a step that says
// so where it had to. Where lo is above hi, hi counts.
func (d *Decision) Clamp(lo, hi int) {
	switch {
	case d.Want > hi:
		d.Add(Step{Rule: RuleMax, From: d.Want, To: hi, Bound: float64(hi)})
	case d.Want < lo && lo <= hi:
		d.Add(Step{Rule: RuleMin, From: d.Want, To: lo, Bound: float64(lo)})
	}
}

// Last returns the step that set the wanted number; the zero Step when there is
// none.
func (d *Decision) Last() Step {
	if d.N == 0 {
		return Step{}
	}
	return d.Steps[d.N-1]
}
