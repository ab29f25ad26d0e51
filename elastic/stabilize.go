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

type stabilizeMemory struct {
	seen    bool
	newest  int64 // time of the last observation
	highest window
	lowest  window
}

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
	if m.seen && now < m.newest {
		m.highest.notAfter(now)
		m.lowest.notAfter(now)
	}
	if !m.seen {
		// Nothing is known of the time before: take it that what is wanted was
		// what had been wished.
		m.highest.push(now, o.Want, true)
		m.lowest.push(now, o.Want, false)
	}
	m.seen, m.newest = true, now
	m.highest.expire(now, int64(p.Down))
	m.lowest.expire(now, int64(p.Up))
	highest := m.highest.push(now, d.Want, true)
	lowest := m.lowest.push(now, d.Want, false)
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
	w := newMemory(memoryStabilize)
	w.bool(p.memory.seen)
	w.int(p.memory.newest)
	p.memory.highest.write(w)
	p.memory.lowest.write(w)
	return w.nested(p.Policy)
}

// UnmarshalBinary restores it. See [ErrMemory].
func (p *Stabilize) UnmarshalBinary(data []byte) error {
	var m stabilizeMemory
	r := readMemory(data, memoryStabilize)
	m.seen = r.bool()
	m.newest = r.int()
	m.highest.read(r)
	m.lowest.read(r)
	if err := r.nested(p.Policy); err != nil {
		return err
	}
	p.memory = m
	return nil
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p *Stabilize) MarshalJSON() ([]byte, error) {
	return marshalWrapper("stabilize", []wireField{
		{"up", durationField(p.Up)},
		{"down", durationField(p.Down)},
	}, p.Policy)
}

// windowLevels is how many levels a window can tell apart.
const windowLevels = 64

// window knows the extreme of the numbers pushed during a stretch of time. Of
// all that was pushed it keeps, oldest first, only what can still become the
// extreme: each level is beaten by all before it.
type window struct {
	n     int
	level [windowLevels]struct {
		at   int64 // when it was pushed last
		want int
	}
}

// push adds a number and returns the extreme: the highest, or the lowest.
func (w *window) push(now int64, want int, highest bool) int {
	for w.n > 0 {
		last := w.level[w.n-1].want
		if last != want && (last > want) == highest {
			break
		}
		w.n--
	}
	if w.n == windowLevels {
		// Merge the two oldest: the more extreme number with the later time.
		w.level[1].want = w.level[0].want
		copy(w.level[:], w.level[1:])
		w.n--
	}
	w.level[w.n].at, w.level[w.n].want = now, want
	w.n++
	return w.level[0].want
}

// expire drops what was pushed length ago or before.
func (w *window) expire(now, length int64) {
	old := 0
	for old < w.n && now-w.level[old].at >= length {
		old++
	}
	copy(w.level[:], w.level[old:w.n])
	w.n -= old
}

// notAfter moves levels that a clock set back has put in the future.
func (w *window) notAfter(now int64) {
	for i := range w.n {
		w.level[i].at = min(w.level[i].at, now)
	}
}

func (w *window) write(m *memoryWriter) {
	m.int(int64(w.n))
	for i := range w.n {
		m.int(w.level[i].at)
		m.int(int64(w.level[i].want))
	}
}

func (w *window) read(m *memoryReader) {
	n := m.int()
	if n < 0 || n > windowLevels {
		m.failed = true
		return
	}
	w.n = int(n)
	for i := range w.n {
		w.level[i].at = m.int()
		w.level[i].want = int(m.int())
	}
}
