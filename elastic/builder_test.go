package elastic

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/metrics"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

const ms = time.Millisecond

// input is an input for nodes of half a core and 100 bytes.
func input(at time.Duration, nodes ...NodeInput) Input {
	return Input{At: after(at), CPULimit: 0.5, MemoryLimit: 100, Nodes: nodes}
}

func node(name string, at, cpu time.Duration, memory int64) NodeInput {
	return NodeInput{Name: name, At: after(at), CPU: cpu, Memory: memory}
}

func near(t *testing.T, want float64, got metrics.Value, args ...any) {
	t.Helper()
	x, ok := got.Get()
	assert.True(t, ok, args...)
	assert.InDelta(t, want, x, 1e-9, args...)
}

func TestBuilderPassesOn(t *testing.T) {
	o := NewBuilder().Observe(Input{
		At: noon, Want: 5, Online: 3, Starting: 2, Draining: 1, Min: 1, Max: 9, Boot: metrics.V(0.25),
	})
	assert.Equal(t, Observation{At: noon, Want: 5, Online: 3, Starting: 2, Draining: 1, Min: 1, Max: 9, Boot: metrics.V(0.25)}, o,
		"and everything that has no reading is missing")
}

func TestBuilderCPU(t *testing.T) {
	b := NewBuilder()
	o := b.Observe(input(0, node("a", 0, time.Second, 50)))
	assert.False(t, o.CPU.OK(), "one reading is no rate")
	near(t, 0.5, o.Memory)

	// By the node's own clock: 0.3 s of CPU in 1.2 s.
	o = b.Observe(input(1000*ms, node("a", 1200*ms, 1300*ms, 60)))
	near(t, 0.25/0.5, o.CPU)

	// A new node is left out of the mean until it has a rate.
	o = b.Observe(input(2000*ms, node("a", 2200*ms, 1800*ms, 60), node("b", 2000*ms, 0, 80)))
	near(t, 1, o.CPU)
	near(t, 0.7, o.Memory)
	o = b.Observe(input(3000*ms, node("a", 3200*ms, 2300*ms, 60), node("b", 3000*ms, 100*ms, 80)))
	near(t, (0.5+0.1)/2/0.5, o.CPU)

	// One that goes takes its rate along.
	o = b.Observe(input(4000*ms, node("b", 4000*ms, 200*ms, 80)))
	near(t, 0.1/0.5, o.CPU)
	o = b.Observe(input(5000 * ms))
	assert.False(t, o.CPU.OK())
	assert.False(t, o.Memory.OK())
}

func TestBuilderKeepsTheLastRateForAWhile(t *testing.T) {
	b := NewBuilder()
	b.Observe(input(0, node("a", 0, 0, 50)))
	reading := node("a", 1000*ms, 250*ms, 50)
	near(t, 0.5, b.Observe(input(1000*ms, reading)).CPU)
	for at := 2000 * ms; at <= 4000*ms; at += 1000 * ms {
		o := b.Observe(input(at, reading))
		near(t, 0.5, o.CPU, at)
		near(t, 0.5, o.Memory, at)
	}
	o := b.Observe(input(4001*ms, reading))
	assert.False(t, o.CPU.OK())
	assert.False(t, o.Memory.OK())

	// The next reading says what was used in all that time.
	near(t, 0.1, b.Observe(input(6000*ms, node("a", 6000*ms, 500*ms, 50))).CPU)

	// A reading that failed is one that did not advance.
	near(t, 0.1, b.Observe(input(7000*ms, NodeInput{Name: "a"})).CPU)
	assert.False(t, b.Observe(input(7000*ms, NodeInput{Name: "a"})).Memory.OK(), "that of a failed reading is not known")
}

// What a person is shown of a node is what the policy saw of it.
func TestBuilderTellsTheCoresOfANode(t *testing.T) {
	b := NewBuilder()
	b.Observe(input(0, node("a", 0, 0, 50)))
	assert.False(t, b.Cores("a").OK())
	b.Observe(input(1000*ms, node("a", 1000*ms, 250*ms, 50)))
	near(t, 0.25, b.Cores("a"))
	b.Observe(input(4000*ms, node("a", 1000*ms, 250*ms, 50)))
	near(t, 0.25, b.Cores("a"), "there is no newer reading")
	o := b.Observe(input(4001*ms, node("a", 1000*ms, 250*ms, 50)))
	assert.False(t, o.CPU.OK())
	assert.False(t, b.Cores("a").OK(), "nor has there been one for long")
	assert.False(t, b.Cores("b").OK())
}

func TestBuilderTicksInQuickSuccession(t *testing.T) {
	b := NewBuilder()
	in := func(at, cpu time.Duration, requests uint64) Input {
		in := input(at, node("a", at, cpu, 50))
		in.Fronts = []FrontInput{{Name: "web", Requests: requests}}
		return in
	}
	b.Observe(in(0, 0, 0))
	o := b.Observe(in(10*ms, 10*ms, 100))
	assert.False(t, o.CPU.OK(), "10 ms are too short for a rate")
	assert.False(t, o.Rate.OK())
	b.Observe(in(1000*ms, 250*ms, 100))
	o = b.Observe(in(1001*ms, 251*ms, 200))
	near(t, 0.5, o.CPU, "the last rate counts")
	near(t, 100, o.Rate)
	o = b.Observe(in(2000*ms, 500*ms, 300))
	near(t, 0.5, o.CPU, "and the next one is over all the time since")
	near(t, 200, o.Rate)
}

func TestBuilderRestartsAndClocks(t *testing.T) {
	b := NewBuilder()
	b.Observe(input(0, node("a", 0, 10*time.Second, 50)))
	near(t, 0.2, b.Observe(input(1000*ms, node("a", 1000*ms, 10*time.Second+100*ms, 50))).CPU)
	assert.False(t, b.Observe(input(2000*ms, node("a", 2000*ms, 50*ms, 50))).CPU.OK(), "its CPU time shrank: another process")
	near(t, 0.5, b.Observe(input(3000*ms, node("a", 3000*ms, 300*ms, 50))).CPU)
	assert.False(t, b.Observe(input(4000*ms, node("a", -9000*ms, 400*ms, 50))).CPU.OK(), "its clock was set back")
	near(t, 0.5, b.Observe(input(5000*ms, node("a", -8000*ms, 650*ms, 50))).CPU)
	assert.False(t, b.Observe(input(-5000*ms, node("a", -7000*ms, 900*ms, 50))).CPU.OK(), "ours was")
	near(t, 0.5, b.Observe(input(-4000*ms, node("a", -6000*ms, 1150*ms, 50))).CPU)
}

func TestBuilderWithoutLimits(t *testing.T) {
	b := NewBuilder()
	for i := range 3 {
		at := time.Duration(i) * time.Second
		o := b.Observe(Input{At: after(at), Nodes: []NodeInput{node("a", at, at, 10)}})
		assert.False(t, o.CPU.OK())
		assert.False(t, o.Memory.OK())
	}
}

func TestBuilderFronts(t *testing.T) {
	b := NewBuilder()
	in := func(at time.Duration, fronts ...FrontInput) Input { return Input{At: after(at), Fronts: fronts} }
	o := b.Observe(in(0, FrontInput{Name: "web", Requests: 1000, Errors: 10, InFlight: 7, Waiting: 2, LatencyCount: 5, P50: 10 * ms, P95: 50 * ms, P99: 200 * ms}))
	near(t, 7, o.InFlight)
	near(t, 2, o.Waiting)
	assert.False(t, o.Rate.OK(), "one reading is no rate")
	assert.False(t, o.Errors.OK())
	near(t, 0.01, o.P50)
	near(t, 0.05, o.P95)
	near(t, 0.2, o.P99)

	o = b.Observe(in(2000*ms,
		FrontInput{Name: "web", Requests: 1100, Errors: 12, InFlight: 0},
		FrontInput{Name: "admin", Requests: 500, InFlight: 1, LatencyCount: 1, P50: 20 * ms, P95: 21 * ms, P99: 22 * ms}))
	near(t, 1, o.InFlight)
	near(t, 0, o.Waiting, "nothing waits, and that is known")
	near(t, 50, o.Rate, "of the front that has two readings")
	near(t, 1, o.Errors)
	near(t, 0.02, o.P50, "of the front that has quantiles")

	o = b.Observe(in(3000*ms,
		FrontInput{Name: "web", Requests: 1100, Errors: 12, LatencyCount: 3, P50: 10 * ms, P95: 50 * ms, P99: 200 * ms},
		FrontInput{Name: "admin", Requests: 510, Errors: 5, LatencyCount: 1, P50: 20 * ms, P95: 21 * ms, P99: 22 * ms}))
	near(t, 10, o.Rate, "the sum")
	near(t, 5, o.Errors)
	near(t, 0.02, o.P50, "the greatest")
	near(t, 0.05, o.P95)
	near(t, 0.2, o.P99)

	o = b.Observe(in(4000 * ms))
	for name, v := range map[string]metrics.Value{"rate": o.Rate, "errors": o.Errors, "in flight": o.InFlight, "waiting": o.Waiting, "p50": o.P50, "p95": o.P95, "p99": o.P99} {
		assert.False(t, v.OK(), "%s without a front", name)
	}

	o = b.Observe(in(5000*ms, FrontInput{Name: "web", Requests: 1300, Errors: 12, InFlight: -1}))
	near(t, 100, o.Rate, "over the time in which it was not observed too")
	near(t, 0, o.InFlight)
	assert.False(t, o.P50.OK())
}

func TestBuilderFrontsThatBeginAnew(t *testing.T) {
	b := NewBuilder()
	in := func(at time.Duration, requests, errors uint64) Input {
		return Input{At: after(at), Fronts: []FrontInput{{Name: "web", Requests: requests, Errors: errors}}}
	}
	b.Observe(in(0, 1000, 10))
	near(t, 100, b.Observe(in(1000*ms, 1100, 20)).Rate)
	o := b.Observe(in(2000*ms, 30, 1))
	near(t, 100, o.Rate, "the last rate, and neither a huge one nor 30")
	near(t, 10, o.Errors)
	near(t, 50, b.Observe(in(3000*ms, 80, 1)).Rate)
	near(t, 50, b.Observe(in(4000*ms, 180, 0)).Rate, "errors that shrank say the same")
	near(t, 50, b.Observe(in(-1000*ms, 280, 0)).Rate, "a clock set back too")
	near(t, 20, b.Observe(in(0*ms, 300, 0)).Rate)
	// When it begins anew at each tick there is no rate in the end.
	for i := range 5 {
		o = b.Observe(in(time.Duration(i+1)*time.Second, uint64(100-i), 0))
	}
	assert.False(t, o.Rate.OK())
}

func TestBuilderForgets(t *testing.T) {
	b := NewBuilder()
	b.Observe(Input{At: noon, Nodes: []NodeInput{node("a", 0, 0, 0)}, Fronts: []FrontInput{{Name: "web"}}})
	b.Observe(Input{At: after(forget)})
	assert.Len(t, b.nodes, 1)
	b.Observe(Input{At: after(forget + 1)})
	assert.Empty(t, b.nodes)
	assert.Empty(t, b.fronts)
}

func TestBuilderAllocatesNothingWhenWarm(t *testing.T) {
	b := NewBuilder()
	in := input(0, node("a", 0, 0, 50), node("b", 0, 0, 50), node("c", 0, 0, 50))
	in.Fronts = []FrontInput{{Name: "web", Requests: 1, LatencyCount: 1, P50: ms}, {Name: "admin"}}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		in.At = in.At.Add(time.Second)
		for i := range in.Nodes {
			in.Nodes[i].At = in.At
			in.Nodes[i].CPU += 100 * ms
		}
		in.Fronts[0].Requests += 100
		b.Observe(in)
	}))
}

// Whatever it is given, rates are neither negative nor greater than what the
// counters allow, and a steady load gives its rate from the second tick on.
func TestBuilderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder()
		now := noon
		for range rapid.IntRange(1, 30).Draw(t, "ticks") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "step")))
			in := Input{At: now, CPULimit: rapid.Float64Range(-1, 8).Draw(t, "limit"), MemoryLimit: rapid.Int64Range(-1, 100).Draw(t, "memory limit")}
			for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3).Draw(t, "nodes") {
				in.Nodes = append(in.Nodes, NodeInput{
					Name: name, At: now.Add(time.Duration(rapid.Int64Range(-int64(time.Minute), int64(time.Minute)).Draw(t, "skew"))),
					CPU: time.Duration(rapid.Int64().Draw(t, "cpu")), Memory: rapid.Int64().Draw(t, "memory"),
				})
			}
			for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y"}), 0, 2).Draw(t, "fronts") {
				in.Fronts = append(in.Fronts, FrontInput{
					Name: name, Requests: rapid.Uint64().Draw(t, "requests"), Errors: rapid.Uint64().Draw(t, "errors"),
					InFlight: rapid.Int().Draw(t, "in flight"), Waiting: rapid.Int().Draw(t, "waiting"),
				})
			}
			o := b.Observe(in)
			for _, v := range []metrics.Value{o.CPU, o.Memory, o.InFlight, o.Waiting, o.Rate, o.Errors, o.P50} {
				if v.Or(0) < 0 {
					t.Fatalf("negative: %+v", o)
				}
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		b := NewBuilder()
		tick := time.Duration(rapid.Int64Range(int64(200*ms), int64(10*time.Second)).Draw(t, "tick"))
		share := rapid.Float64Range(0, 1).Draw(t, "share")
		for i := range 10 {
			at := time.Duration(i) * tick
			cpu := time.Duration(share * 0.5 * float64(at))
			o := b.Observe(input(at, node("a", at, cpu, 10)))
			if got, ok := o.CPU.Get(); ok != (i > 0) || ok && (got < share-1e-6 || got > share+1e-6) {
				t.Fatalf("tick %d: %v and not %v", i, o.CPU, share)
			}
		}
	})
}

// Counters that were read at other times than the tick give rates over the time
// between their own readings.
func TestBuilderTakesRatesOverTheTimeOfReading(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	b := NewBuilder()
	read := func(tick, reading time.Duration, requests uint64) Observation {
		return b.Observe(Input{At: start.Add(tick), Fronts: []FrontInput{{Name: "web", At: start.Add(reading), Requests: requests}}})
	}
	read(time.Second, 0, 0)
	rate, ok := read(2*time.Second, 1500*time.Millisecond, 300).Rate.Get()
	assert.True(t, ok)
	assert.InDelta(t, 200, rate, 1e-9)
	rate, _ = read(3*time.Second, 1500*time.Millisecond, 300).Rate.Get()
	assert.InDelta(t, 200, rate, 1e-9, "the same reading again is no news")
}
