package elastictest

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

// A history is what a policy is shown, tick after tick. The wanted number of an
// observation stands for what the manager made of the decision before.
type history []tick

// tick is an observation but for Want, which follows from the decision before.
type tick struct {
	o elastic.Observation
	// obeyed says that the manager did what was decided before, within the
	// bounds; otherwise the number is o.Want, as if somebody had set it.
	obeyed bool
}

// play shows a history to a policy and returns its decisions with the
// observations that it saw. visit is called before each tick, may return another
// policy to go on with, and may be nil.
func (h history) play(p elastic.Policy, visit func(i int, p elastic.Policy) (elastic.Policy, error)) ([]elastic.Observation, []elastic.Decision, error) {
	seen := make([]elastic.Observation, 0, len(h))
	made := make([]elastic.Decision, 0, len(h))
	for i, t := range h {
		if visit != nil {
			var err error
			if p, err = visit(i, p); err != nil {
				return nil, nil, err
			}
		}
		o := t.o
		if i > 0 && t.obeyed {
			o.Want = max(min(made[i-1].Want, o.Max), o.Min)
		}
		seen = append(seen, o)
		made = append(made, p.Decide(o))
	}
	return seen, made, nil
}

// histories generates histories: calm ones with a tick of about a second, and
// others in which clocks jump and numbers are far out.
func histories(calm bool) *rapid.Generator[history] {
	return rapid.Custom(func(t *rapid.T) history {
		now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
		lo := rapid.IntRange(0, 3).Draw(t, "min")
		hi := lo + rapid.IntRange(0, 20).Draw(t, "span")
		h := make(history, rapid.IntRange(1, 40).Draw(t, "ticks"))
		for i := range h {
			now = now.Add(step(t, calm))
			h[i] = tick{o: observation(t, calm), obeyed: rapid.IntRange(0, 4).Draw(t, "obeyed") > 0}
			o := &h[i].o
			o.At, o.Min, o.Max = now, lo, hi
			if calm || rapid.Bool().Draw(t, "inside") {
				o.Want = rapid.IntRange(lo, hi).Draw(t, "want")
			} else {
				o.Want = rapid.OneOf(rapid.IntRange(0, 100), rapid.Just(math.MaxInt32)).Draw(t, "want")
			}
		}
		return h
	})
}

// step generates the time from one tick to the next.
func step(t *rapid.T, calm bool) time.Duration {
	usual := rapid.Int64Range(0, int64(3*time.Second))
	if calm {
		return time.Duration(usual.Draw(t, "step"))
	}
	far := rapid.Int64Range(-int64(48*time.Hour), int64(300*24*time.Hour))
	eternity := rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, int64(100 * 365 * 24 * time.Hour)})
	return time.Duration(rapid.OneOf(usual, usual, far, eternity).Draw(t, "step"))
}

func observation(t *rapid.T, calm bool) elastic.Observation {
	most := 30
	if !calm {
		most = rapid.SampledFrom([]int{0, 1, 30, math.MaxInt32}).Draw(t, "most nodes")
	}
	nodes := rapid.IntRange(0, most)
	fraction := value(rapid.Float64Range(0, 1.5), calm)
	number := value(rapid.Float64Range(0, 1000), calm)
	return elastic.Observation{
		Online:   nodes.Draw(t, "online"),
		Starting: rapid.OneOf(rapid.Just(0), nodes).Draw(t, "starting"),
		Draining: rapid.OneOf(rapid.Just(0), nodes).Draw(t, "draining"),
		CPU:      fraction.Draw(t, "cpu"),
		Memory:   fraction.Draw(t, "memory"),
		InFlight: number.Draw(t, "in flight"),
		Waiting:  number.Draw(t, "waiting"),
		Rate:     number.Draw(t, "rate"),
		Errors:   number.Draw(t, "errors"),
		P50:      number.Draw(t, "p50"),
		P95:      number.Draw(t, "p95"),
		P99:      number.Draw(t, "p99"),
		Boot:     number.Draw(t, "boot"),
	}
}

// value generates values, of which some are missing and, unless calm, some far out.
func value(usual *rapid.Generator[float64], calm bool) *rapid.Generator[metrics.Value] {
	return rapid.Custom(func(t *rapid.T) metrics.Value {
		switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case kind == 0:
			return metrics.Missing
		case kind == 1 && !calm:
			return metrics.V(rapid.SampledFrom([]float64{0, -1, math.SmallestNonzeroFloat64, 1e18, math.MaxFloat64}).Draw(t, "far"))
		}
		return metrics.V(usual.Draw(t, "value"))
	})
}
