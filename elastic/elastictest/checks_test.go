package elastictest

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/elastic"
)

// policyFunc is a policy without memory.
type policyFunc func(elastic.Observation) elastic.Decision

func (f policyFunc) Decide(o elastic.Observation) elastic.Decision { return f(o) }

// to is the decision for want nodes, well explained.
func to(o elastic.Observation, want int) elastic.Decision {
	d := elastic.Decision{Want: o.Want}
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: want, Note: "because"})
	return d
}

// counter is sound but for what restore says: it adds a node each third tick.
type counter struct {
	ticks   byte
	save    func(*counter) ([]byte, error)
	restore func(*counter, []byte) error
}

func (c *counter) Decide(o elastic.Observation) elastic.Decision {
	c.ticks = (c.ticks + 1) % 3
	if _, measured := o.CPU.Get(); measured && c.ticks == 0 {
		return to(o, o.Want+1)
	}
	return to(o, o.Want)
}

func (c *counter) MarshalBinary() ([]byte, error)    { return c.save(c) }
func (c *counter) UnmarshalBinary(data []byte) error { return c.restore(c, data) }

func saves(c *counter) ([]byte, error) { return []byte{c.ticks}, nil }

func restores(c *counter, data []byte) error {
	if len(data) != 1 {
		return errors.New("damaged")
	}
	c.ticks = data[0]
	return nil
}

// halfMemory can save its memory and not restore it.
type halfMemory struct{ policyFunc }

func (halfMemory) MarshalBinary() ([]byte, error) { return nil, nil }

// Each check finds the policies that break it, and none in one that is sound.
func TestChecksCanFail(t *testing.T) {
	stay := func(o elastic.Observation) elastic.Decision { return to(o, o.Want) }
	stateless := func(f policyFunc) func() elastic.Policy { return func() elastic.Policy { return f } }
	with := func(save func(*counter) ([]byte, error), restore func(*counter, []byte) error) func() elastic.Policy {
		return func() elastic.Policy { return &counter{save: save, restore: restore} }
	}
	calls := 0
	var sink []byte
	bad := map[string]map[string]func() elastic.Policy{
		"never negative": {
			"removes below 0": stateless(func(o elastic.Observation) elastic.Decision { return to(o, o.Want-1) }),
		},
		"deterministic": {
			"goes by something else": stateless(func(o elastic.Observation) elastic.Decision { calls++; return to(o, calls) }),
			"other words": stateless(func(o elastic.Observation) elastic.Decision {
				calls++
				d := stay(o)
				d.Steps[0].Value = float64(calls)
				return d
			}),
		},
		"explains itself": {
			"no step": stateless(func(o elastic.Observation) elastic.Decision { return elastic.Decision{Want: o.Want} }),
			"no rule": stateless(func(o elastic.Observation) elastic.Decision {
				d := stay(o)
				d.Steps[0].Rule = elastic.RuleNone
				return d
			}),
			"wrong start": stateless(func(o elastic.Observation) elastic.Decision { d := stay(o); d.Steps[0].From++; return d }),
			"wrong end":   stateless(func(o elastic.Observation) elastic.Decision { d := stay(o); d.Want++; return d }),
			"no text":     stateless(func(o elastic.Observation) elastic.Decision { d := stay(o); d.Steps[0].Note = "\xff"; return d }),
			"many steps":  stateless(func(o elastic.Observation) elastic.Decision { d := stay(o); d.N = elastic.MaxSteps + 1; return d }),
			"a gap inside": stateless(func(o elastic.Observation) elastic.Decision {
				d := stay(o)
				d.Add(d.Steps[0])
				d.Steps[1].From++
				return d
			}),
		},
		"allocates nothing": {
			"allocates": stateless(func(o elastic.Observation) elastic.Decision { sink = make([]byte, o.Max+1); return stay(o) }),
		},
		"holds when blind": {
			"missing is 0": stateless(func(o elastic.Observation) elastic.Decision {
				if o.CPU.Or(0) < 0.3 {
					return to(o, max(o.Want-1, 0))
				}
				return stay(o)
			}),
		},
		"remembers": {
			"forgets":        with(saves, func(*counter, []byte) error { return nil }),
			"can't save":     with(func(*counter) ([]byte, error) { return nil, errors.New("no") }, restores),
			"can't restore":  with(saves, func(*counter, []byte) error { return errors.New("no") }),
			"never saves":    func() elastic.Policy { return &forgetful{} },
			"only saves":     func() elastic.Policy { return halfMemory{stay} },
			"saves too much": with(func(c *counter) ([]byte, error) { return []byte{c.ticks, 1}, nil }, restores),
		},
		"survives damaged memory": {
			"panics": with(saves, func(c *counter, data []byte) error { c.ticks = data[0]; return nil }),
			"goes below 0": func() elastic.Policy {
				return &trusting{}
			},
		},
	}
	for _, c := range checks {
		require.NotEmpty(t, bad[c.name], "no policy breaks the check %q", c.name)
		for name, newPolicy := range bad[c.name] {
			assert.Error(t, find(c, newPolicy), "%s: %s", c.name, name)
		}
		assert.NoError(t, find(c, with(saves, restores)), c.name)
		assert.NoError(t, find(c, stateless(stay)), c.name)
	}
	_ = sink
}

// forgetful has a memory that it can't save.
type forgetful struct{ ticks int }

func (p *forgetful) Decide(o elastic.Observation) elastic.Decision {
	p.ticks++
	return to(o, p.ticks)
}

// trusting takes whatever its memory says.
type trusting struct{ want int64 }

func (p *trusting) Decide(o elastic.Observation) elastic.Decision { return to(o, int(p.want)) }

func (p *trusting) MarshalBinary() ([]byte, error) { return binary.AppendVarint(nil, p.want), nil }

func (p *trusting) UnmarshalBinary(data []byte) error {
	var n int
	if p.want, n = binary.Varint(data); n <= 0 {
		return errors.New("damaged")
	}
	return nil
}

// find looks for a history on which the check fails.
func find(c check, newPolicy func() elastic.Policy) error {
	for seed := range 30 {
		for _, calm := range []bool{true, false} {
			if err := c.check(newPolicy, histories(calm).Example(seed)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Histories hold what the checks need to see.
func TestHistories(t *testing.T) {
	var backwards, far, missing, above, obeyed int
	for seed := range 50 {
		h := histories(false).Example(seed)
		for i, x := range h {
			if i > 0 && x.o.At.Before(h[i-1].o.At) {
				backwards++
			}
			if i > 0 && x.o.At.Sub(h[i-1].o.At) > time.Hour {
				far++
			}
			if !x.o.CPU.OK() {
				missing++
			}
			if x.o.Want > x.o.Max {
				above++
			}
			if x.obeyed {
				obeyed++
			}
		}
		calm := histories(true).Example(seed)
		for i, x := range calm {
			assert.False(t, i > 0 && x.o.At.Before(calm[i-1].o.At))
			assert.True(t, x.o.Want >= x.o.Min && x.o.Want <= x.o.Max)
		}
	}
	for name, n := range map[string]int{"backwards": backwards, "far": far, "missing": missing, "above": above, "obeyed": obeyed} {
		assert.Positive(t, n, name)
	}
}
