package elastic

import "time"

// StepLimit bounds how many nodes are added or removed at a time, or within a
// period.
//
// With a period it goes by the wanted number that observations show, whoever
// changed it, and by their times only.
type StepLimit struct {
	// Up and Down are numbers of nodes; 0 means no limit.
	Up, Down int
	// Period is the time to which Up and Down apply, at most 24 hours. 0: each
	// decision by itself.
	Period time.Duration
	Policy Policy // the one whose changes are limited

	memory stepMemory
}

type stepMemory struct {
	Changes        changes
	Added, Removed marks // numbers of nodes
}

// Validate returns every fault of the policy and what it wraps as [Faults], or nil.
func (p *StepLimit) Validate() error { return validateWrapped(p.faults(), p.Policy) }

func (p *StepLimit) faults() Faults {
	var f Faults
	for _, x := range []struct {
		name string
		n    int
	}{{"up", p.Up}, {"down", p.Down}} {
		if x.n < 0 || x.n > maxStep {
			f.Add(x.name, "use 1 to 1000 nodes, or leave it out for no limit", "%d is out of range", x.n)
		}
	}
	checkDuration(&f, "period", p.Period)
	return f
}

// Decide bounds the change that the wrapped policy wants.
func (p *StepLimit) Decide(o Observation) Decision {
	if p.Policy == nil {
		return invalid(o.Want)
	}
	now := nanos(o.At)
	m := &p.memory
	switch delta, at := m.Changes.observe(now, o.Want); {
	case delta > 0:
		m.Added.add(at, delta, plus)
	case delta < 0:
		m.Removed.add(at, -delta, plus)
	}
	m.Added.expire(now, int64(p.Period))
	m.Removed.expire(now, int64(p.Period))
	d := p.Policy.Decide(o)
	switch {
	case d.Want > o.Want && p.Up > 0:
		if left := max(p.Up-sum(&m.Added), 0); d.Want-o.Want > left {
			d.Add(p.step(d.Want, o.Want+left, p.Up))
		}
	case d.Want < o.Want && p.Down > 0:
		if left := max(p.Down-sum(&m.Removed), 0); o.Want-d.Want > left {
			d.Add(p.step(d.Want, o.Want-left, p.Down))
		}
	}
	m.Changes.decide(now, d.Want)
	return d
}

func (p *StepLimit) step(from, to, bound int) Step {
	return Step{Rule: RuleStepLimit, From: from, To: to, Value: p.Period.Seconds(), Bound: float64(bound)}
}

// MarshalBinary returns the memory of the policy and of what it wraps.
func (p *StepLimit) MarshalBinary() ([]byte, error) {
	return saveMemory("step-limit", p.memory, p.Policy)
}

// UnmarshalBinary restores it. See [ErrMemory].
func (p *StepLimit) UnmarshalBinary(data []byte) error {
	return loadMemory(data, "step-limit", &p.memory, p.Policy)
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p *StepLimit) MarshalJSON() ([]byte, error) {
	return wireSteps{Up: p.Up, Down: p.Down, Period: Duration(p.Period)}.marshal("step-limit", p.Policy)
}

func sum(m *marks) (total int) {
	for _, x := range m.mark[:m.n] {
		total = plus(total, x.N)
	}
	return total
}
