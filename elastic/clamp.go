package elastic

// Clamp keeps what another policy wants inside of the bounds Min and Max of the
// observation. The manager does that with every decision; inside of another
// wrapper a Clamp makes it happen earlier, such as before a [Stabilize]
// remembers a wish.
type Clamp struct {
	Policy Policy // the one that is bounded
}

// Validate returns every fault of the policy and what it wraps as [Faults], or nil.
func (p *Clamp) Validate() error { return validateWrapped(nil, p.Policy) }

// Decide bounds the decision of the wrapped policy.
func (p *Clamp) Decide(o Observation) Decision {
	if p.Policy == nil {
		return invalid(o.Want)
	}
	d := p.Policy.Decide(o)
	d.Clamp(o.Min, o.Max)
	return d
}

// MarshalBinary returns the memory of the wrapped policy.
func (p *Clamp) MarshalBinary() ([]byte, error) { return saveMemory("clamp", struct{}{}, p.Policy) }

// UnmarshalBinary restores it. See [ErrMemory].
func (p *Clamp) UnmarshalBinary(data []byte) error {
	return loadMemory(data, "clamp", &struct{}{}, p.Policy)
}

// MarshalJSON writes the wire form, which [Registry.Parse] reads.
func (p *Clamp) MarshalJSON() ([]byte, error) { return wireWindows{}.marshal("clamp", p.Policy) }
