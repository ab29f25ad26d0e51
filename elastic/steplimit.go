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
	changes        changes
	added, removed ledger
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
	delta, at := m.changes.observe(now, o.Want)
	m.added.put(at, delta)
	m.removed.put(at, -delta)
	m.added.expire(now, int64(p.Period))
	m.removed.expire(now, int64(p.Period))
	d := p.Policy.Decide(o)
	switch {
	case d.Want > o.Want && p.Up > 0:
		if left := max(p.Up-m.added.sum(), 0); d.Want-o.Want > left {
			d.Add(p.step(d.Want, o.Want+left, p.Up))
		}
	case d.Want < o.Want && p.Down > 0:
		if left := max(p.Down-m.removed.sum(), 0); o.Want-d.Want > left {
			d.Add(p.step(d.Want, o.Want-left, p.Down))
		}
	}
	m.changes.decide(now, d.Want)
	return d
}

func (p *StepLimit) step(from, to, bound int) Step {
	return Step{Rule: RuleStepLimit, From: from, To: to, Value: p.Period.Seconds(), Bound: float64(bound)}
}

// MarshalBinary returns the memory of the policy and of what it wraps.
func (p *StepLimit) MarshalBinary() ([]byte, error) {
	w := newMemory(memoryStepLimit)
	p.memory.changes.write(w)
	p.memory.added.write(w)
	p.memory.removed.write(w)
	return w.nested(p.Policy)
}

// UnmarshalBinary restores it. See [ErrMemory].
func (p *StepLimit) UnmarshalBinary(data []byte) error {
	var m stepMemory
	r := readMemory(data, memoryStepLimit)
	m.changes.read(r)
	m.added.read(r)
	m.removed.read(r)
	if err := r.nested(p.Policy); err != nil {
		return err
	}
	p.memory = m
	return nil
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p *StepLimit) MarshalJSON() ([]byte, error) {
	return marshalWrapper("step-limit", []wireField{
		{"up", countField(p.Up)},
		{"down", countField(p.Down)},
		{"period", durationField(p.Period)},
	}, p.Policy)
}

// ledgerSize is how many changes a ledger tells apart.
const ledgerSize = 32

// ledger holds the changes of a period, oldest first. When it is full the two
// oldest are merged and count until the later of them expires.
type ledger struct {
	n     int
	entry [ledgerSize]struct {
		at    int64
		nodes int
	}
}

// put enters a change; one of 0 or less is none.
func (l *ledger) put(at int64, nodes int) {
	if nodes <= 0 {
		return
	}
	if l.n == ledgerSize {
		l.entry[1].nodes = plus(l.entry[0].nodes, l.entry[1].nodes)
		copy(l.entry[:], l.entry[1:])
		l.n--
	}
	l.entry[l.n].at, l.entry[l.n].nodes = at, nodes
	l.n++
}

// expire drops what happened length ago or before, and moves what a clock set
// back has put in the future.
func (l *ledger) expire(now, length int64) {
	kept := 0
	for i := range l.n {
		e := l.entry[i]
		e.at = min(e.at, now)
		if now-e.at < length {
			l.entry[kept] = e
			kept++
		}
	}
	l.n = kept
}

func (l *ledger) sum() int {
	total := 0
	for i := range l.n {
		total = plus(total, l.entry[i].nodes)
	}
	return total
}

func (l *ledger) write(w *memoryWriter) {
	w.int(int64(l.n))
	for i := range l.n {
		w.int(l.entry[i].at)
		w.int(int64(l.entry[i].nodes))
	}
}

func (l *ledger) read(r *memoryReader) {
	n := r.int()
	if n < 0 || n > ledgerSize {
		r.failed = true
		return
	}
	l.n = int(n)
	for i := range l.n {
		l.entry[i].at = r.int()
		l.entry[i].nodes = max(int(r.int()), 0)
	}
}
