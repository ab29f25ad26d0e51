package elastic

import "time"

// Cooldown leaves time between changes. Nodes are added at the earliest Up
// after nodes were last added, and removed at the earliest Down after the number
// last changed in either direction. So a burst that follows a removal is met at
// once, and nodes that a burst brought stay for a while.
//
// It goes by the wanted number that observations show, whoever changed it, and
// by their times only. A clock that was set back starts the running cooldowns
// again, so that they last at most twice.
type Cooldown struct {
	// Up and Down are at most 24 hours; 0 means that there is nothing to wait for.
	Up, Down time.Duration
	Policy   Policy // the one whose changes are held

	memory cooldownMemory
}

type cooldownMemory struct {
	Changes changes
	Added   moment // when nodes were last added
	Changed moment // when the number last changed
}

// Validate returns every fault of the policy and what it wraps as [Faults], or nil.
func (p *Cooldown) Validate() error { return validateWrapped(p.faults(), p.Policy) }

func (p *Cooldown) faults() Faults {
	var f Faults
	checkDuration(&f, "up", p.Up)
	checkDuration(&f, "down", p.Down)
	return f
}

// Decide holds a change of the wrapped policy back while a cooldown runs.
func (p *Cooldown) Decide(o Observation) Decision {
	if p.Policy == nil {
		return invalid(o.Want)
	}
	now := nanos(o.At)
	m := &p.memory
	m.Added.notAfter(now)
	m.Changed.notAfter(now)
	if delta, at := m.Changes.observe(now, o.Want); delta != 0 {
		m.Changed.put(at)
		if delta > 0 {
			m.Added.put(at)
		}
	}
	d := p.Policy.Decide(o)
	switch {
	case d.Want > o.Want:
		m.Added.hold(&d, now, p.Up, o.Want)
	case d.Want < o.Want:
		m.Changed.hold(&d, now, p.Down, o.Want)
	}
	m.Changes.decide(now, d.Want)
	return d
}

// MarshalBinary returns the memory of the policy and of what it wraps.
func (p *Cooldown) MarshalBinary() ([]byte, error) { return saveMemory("cooldown", p.memory, p.Policy) }

// UnmarshalBinary restores it. See [ErrMemory].
func (p *Cooldown) UnmarshalBinary(data []byte) error {
	return loadMemory(data, "cooldown", &p.memory, p.Policy)
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p *Cooldown) MarshalJSON() ([]byte, error) {
	return wireWindows{Up: Duration(p.Up), Down: Duration(p.Down)}.marshal("cooldown", p.Policy)
}

// moment is a time that may not have come yet.
type moment struct {
	Set bool
	At  int64
}

func (m *moment) put(at int64) { m.Set, m.At = true, at }

// notAfter moves a moment that a clock set back has put in the future.
func (m *moment) notAfter(now int64) { m.At = min(m.At, now) }

// hold takes a change back when less than d has passed since the moment.
func (m *moment) hold(dec *Decision, now int64, d time.Duration, want int) {
	if m.Set && d > 0 && elapsed(now, m.At) < d.Seconds() {
		dec.Add(Step{Rule: RuleCooldown, From: dec.Want, To: want, Value: elapsed(now, m.At), Bound: d.Seconds()})
	}
}
