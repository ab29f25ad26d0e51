package elastictest

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

// check is one thing that policies must keep. It is plain code over a history,
// so that it can itself be tested on policies that break it.
type check struct {
	name    string
	sighted bool // left out for policies that don't go by measurements
	check   func(newPolicy func() elastic.Policy, h history) error
}

var checks = []check{
	{name: "never negative", check: neverNegative},
	{name: "deterministic", check: deterministic},
	{name: "explains itself", check: explains},
	{name: "allocates nothing", check: allocatesNothing},
	{name: "holds when blind", check: holdsWhenBlind, sighted: true},
	{name: "remembers", check: remembers},
	{name: "survives damaged memory", check: survivesDamage},
}

func neverNegative(newPolicy func() elastic.Policy, h history) error {
	_, made, err := h.play(newPolicy(), nil)
	for i, d := range made {
		if d.Want < 0 {
			return fmt.Errorf("tick %d: wants %d nodes: %s", i, d.Want, d)
		}
	}
	return err
}

func deterministic(newPolicy func() elastic.Policy, h history) error {
	_, first, err := h.play(newPolicy(), nil)
	if err != nil {
		return err
	}
	_, second, err := h.play(newPolicy(), nil)
	if err != nil {
		return err
	}
	return same(first, second, "the second time")
}

// same compares decisions.
func same(want, got []elastic.Decision, when string) error {
	for i := range want {
		if want[i] != got[i] {
			return fmt.Errorf("tick %d: decides %q, and %s %q", i, want[i], when, got[i])
		}
	}
	return nil
}

func explains(newPolicy func() elastic.Policy, h history) error {
	seen, made, err := h.play(newPolicy(), nil)
	if err != nil {
		return err
	}
	for i, d := range made {
		if err := explained(seen[i].Want, d); err != nil {
			return fmt.Errorf("tick %d: %w", i, err)
		}
	}
	return nil
}

// explained says what is missing of the explanation of a decision.
func explained(before int, d elastic.Decision) error {
	if d.N < 1 || d.N > elastic.MaxSteps {
		return fmt.Errorf("the decision has %d steps and not 1 to %d", d.N, elastic.MaxSteps)
	}
	number := before
	for i, s := range d.Steps[:d.N] {
		// The last step may stand for several when there were too many.
		if s.From != number && !(d.N == elastic.MaxSteps && i == d.N-1) {
			return fmt.Errorf("step %d of %q begins at %d and not at %d", i, d, s.From, number)
		}
		if s.Rule == elastic.RuleNone {
			return fmt.Errorf("step %d of %q has no rule", i, d)
		}
		if text := s.String(); strings.TrimSpace(text) == "" || !utf8.ValidString(text) {
			return fmt.Errorf("step %d reads %q", i, text)
		}
		number = s.To
	}
	if number != d.Want {
		return fmt.Errorf("the last step of %q goes to %d, and %d are wanted", d, number, d.Want)
	}
	if strings.TrimSpace(d.Reason()) == "" {
		return fmt.Errorf("the decision for %d has no reason", d.Want)
	}
	if _, err := d.MarshalJSON(); err != nil {
		return fmt.Errorf("the decision %q can't be written: %w", d, err)
	}
	return nil
}

func allocatesNothing(newPolicy func() elastic.Policy, h history) error {
	p := newPolicy()
	seen, _, err := h.play(p, nil)
	if err != nil {
		return err
	}
	// The same observations again, on a policy that is warm.
	if n := testing.AllocsPerRun(1, func() {
		for _, o := range seen {
			p.Decide(o)
		}
	}); n > 0 {
		return fmt.Errorf("%d decisions allocate %v times", len(seen), n)
	}
	return nil
}

func holdsWhenBlind(newPolicy func() elastic.Policy, h history) error {
	p := newPolicy()
	for i, t := range h {
		o := t.o
		if o.Want < o.Min || o.Want > o.Max {
			continue
		}
		before := p.Decide(o)
		o.CPU, o.Memory, o.InFlight, o.Waiting = metrics.Missing, metrics.Missing, metrics.Missing, metrics.Missing
		o.Rate, o.Errors, o.P50, o.P95, o.P99, o.Boot = metrics.Missing, metrics.Missing, metrics.Missing, metrics.Missing, metrics.Missing, metrics.Missing
		o.Want = max(min(before.Want, o.Max), o.Min)
		if d := p.Decide(o); d.Want != o.Want {
			return fmt.Errorf("tick %d: nothing is measured, and it goes from %d to %d: %s", i, o.Want, d.Want, d)
		}
	}
	return nil
}

func remembers(newPolicy func() elastic.Policy, h history) error {
	if err := paired(newPolicy()); err != nil {
		return err
	}
	_, straight, err := h.play(newPolicy(), nil)
	if err != nil {
		return err
	}
	_, restored, err := h.play(newPolicy(), func(i int, p elastic.Policy) (elastic.Policy, error) {
		m, ok := p.(encoding.BinaryMarshaler)
		if !ok {
			return newPolicy(), nil // no memory, so none is needed
		}
		data, err := m.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("tick %d: save memory: %w", i, err)
		}
		q := newPolicy()
		if err := q.(encoding.BinaryUnmarshaler).UnmarshalBinary(data); err != nil {
			return nil, fmt.Errorf("tick %d: restore memory: %w", i, err)
		}
		return q, nil
	})
	if err != nil {
		return err
	}
	return same(straight, restored, "with its memory saved and restored before each tick")
}

// paired says whether a policy can only save or only restore.
func paired(p elastic.Policy) error {
	_, saves := p.(encoding.BinaryMarshaler)
	_, restores := p.(encoding.BinaryUnmarshaler)
	if saves != restores {
		return fmt.Errorf("%T has one of MarshalBinary and UnmarshalBinary and needs both", p)
	}
	return nil
}

func survivesDamage(newPolicy func() elastic.Policy, h history) (err error) {
	p := newPolicy()
	if _, ok := p.(encoding.BinaryMarshaler); !ok {
		return nil
	}
	if err := paired(p); err != nil {
		return err
	}
	if _, _, err := h.play(p, nil); err != nil {
		return err
	}
	data, err := p.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("save memory: %w", err)
	}
	last := h[len(h)-1].o
	for _, damaged := range damages(data) {
		if err := survives(newPolicy(), damaged, last); err != nil {
			return err
		}
	}
	return nil
}

// damages returns what may have become of data: nothing, a part, other bytes.
func damages(data []byte) [][]byte {
	all := [][]byte{nil, {0}, []byte("{}")}
	for i := range min(len(data), 64) {
		flipped := append([]byte(nil), data...)
		flipped[i] ^= 0xff
		all = append(all, data[:i], flipped)
	}
	return all
}

// survives checks that a policy given damaged memory either refuses it and is as
// new, or goes on and never wants less than nothing.
func survives(p elastic.Policy, damaged []byte, o elastic.Observation) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panics on the memory %x: %v", damaged, r)
		}
	}()
	_ = p.(encoding.BinaryUnmarshaler).UnmarshalBinary(damaged)
	if d := p.Decide(o); d.Want < 0 {
		return fmt.Errorf("with the memory %x it wants %d nodes", damaged, d.Want)
	}
	return nil
}
