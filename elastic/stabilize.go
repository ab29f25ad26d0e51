package elastic

import "time"

// Stabilize smooths a jumpy policy: it removes nodes only down to the highest
// number that was wished during the last Down, and adds only up to the lowest
// one of the last Up. It is the stabilization window of the Kubernetes
// Horizontal Pod Autoscaler; there Down is 5 minutes and Up is 0.
//
// Its memory is of fixed size. It is exact for up to 64 levels within a window;
// beyond that the oldest ones are merged so that a change comes a little later
// rather than earlier.
type Stabilize struct {
	// Up and Down are at most 24 hours; 0 means that the wish counts at once.
	Up, Down time.Duration
	Policy   Policy // the one whose wishes are smoothed

	memory stabilizeMemory
}

// stabilizeMemory holds, of all that was wished during the windows, only what can
// still become the extreme: each number is beaten by all before it.
type stabilizeMemory struct{ Highest, Lowest marks }

// Validate returns every fault of the policy and what it wraps as [Faults], or nil.
func (p *Stabilize) Validate() error { return validateWrapped(p.faults(), p.Policy) }

func (p *Stabilize) faults() Faults {
	var f Faults
	checkDuration(&f, "up", p.Up)
	checkDuration(&f, "down", p.Down)
	return f
}

// Decide bounds the wish of the wrapped policy by those of the windows.
func (p *Stabilize) Decide(o Observation) Decision {
	if p.Policy == nil {
		return invalid(o.Want)
	}
	d := p.Policy.Decide(o)
	now := nanos(o.At)
	m := &p.memory
	if m.Highest.n == 0 {
		// Nothing is known of the time before: take it that what is wanted was
		// what had been wished.
		wish(&m.Highest, now, o.Want, true)
		wish(&m.Lowest, now, o.Want, false)
	}
	m.Highest.expire(now, int64(p.Down))
	m.Lowest.expire(now, int64(p.Up))
	highest := wish(&m.Highest, now, d.Want, true)
	lowest := wish(&m.Lowest, now, d.Want, false)
	switch {
	case d.Want < o.Want && p.Down > 0 && highest > d.Want:
		d.Add(Step{Rule: RuleStabilize, From: d.Want, To: min(highest, o.Want), Bound: p.Down.Seconds()})
	case d.Want > o.Want && p.Up > 0 && lowest < d.Want:
		d.Add(Step{Rule: RuleStabilize, From: d.Want, To: max(lowest, o.Want), Bound: p.Up.Seconds()})
	}
	return d
}

// MarshalBinary returns the memory of the policy and of what it wraps.
func (p *Stabilize) MarshalBinary() ([]byte, error) {
	return saveMemory("stabilize", p.memory, p.Policy)
}

// UnmarshalBinary restores it. See [ErrMemory].
func (p *Stabilize) UnmarshalBinary(data []byte) error {
	return loadMemory(data, "stabilize", &p.memory, p.Policy)
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p *Stabilize) MarshalJSON() ([]byte, error) {
	return wireWindows{Up: Duration(p.Up), Down: Duration(p.Down)}.marshal("stabilize", p.Policy)
}

// wish adds a number to a window and returns the extreme: the highest, or the lowest.
func wish(window *marks, now int64, want int, highest bool) int {
	for window.n > 0 {
		last := window.mark[window.n-1].N
		if last != want && (last > want) == highest {
			break
		}
		window.n--
	}
	window.add(now, want, func(older, _ int) int { return older }) // the more extreme one
	return window.mark[0].N
}
