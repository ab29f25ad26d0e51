package openloop

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"
	"pgregory.net/rapid"
)

const far = time.Duration(math.MaxInt64 / 4)

func arrivals(c Config) []time.Duration {
	s := newSchedule(c)
	var all []time.Duration
	for {
		at, ok, _ := s.next(far)
		if !ok {
			return all
		}
		all = append(all, at)
	}
}

func constant(rate float64) Shape {
	return func(time.Duration) float64 { return rate }
}

// part is a rate that is kept for a time.
type part struct {
	rate float64
	over time.Duration
}

func steps(parts ...part) Shape {
	return func(since time.Duration) float64 {
		for _, p := range parts {
			if since < p.over {
				return p.rate
			}
			since -= p.over
		}
		return 0
	}
}

func TestConstantRateIsEven(t *testing.T) {
	all := arrivals(Config{Rate: 50, Duration: 30 * time.Second})
	require.Len(t, all, 1500)
	for i, at := range all {
		require.InDelta(t, float64(i)*20e6, float64(at), 1e3, "arrival %d in ns", i)
	}
}

func TestNumberOfArrivalsIsTheIntegral(t *testing.T) {
	for name, c := range map[string]struct {
		shape Shape
		over  time.Duration
		want  float64
	}{
		"constant":        {constant(33), 3 * time.Second, 99},
		"fraction":        {constant(0.7), 10 * time.Second, 7},
		"ramp":            {Ramp(0, 100, 10*time.Second), 10 * time.Second, 500},
		"ramp, then flat": {Ramp(100, 0, time.Second), 5 * time.Second, 50},
		"wave":            {func(at time.Duration) float64 { return 40 - 40*math.Cos(at.Seconds()*math.Pi/2) }, 8 * time.Second, 320},
		"steps":           {steps(part{10, time.Second}, part{0, 2 * time.Second}, part{200, time.Second}), time.Minute, 210},
		"negative is 0":   {func(at time.Duration) float64 { return 10 - at.Seconds() }, 20 * time.Second, 50},
		"NaN is 0":        {func(time.Duration) float64 { return math.NaN() }, time.Second, 0},
		"a vegeta pacer":  {vegeta.LinearPacer{StartAt: vegeta.Rate{Freq: 10, Per: time.Second}, Slope: 10}.Rate, 2 * time.Second, 40},
	} {
		t.Run(name, func(t *testing.T) {
			got := len(arrivals(Config{Shape: c.shape, Duration: c.over}))
			// A jump is seen up to one step late.
			assert.InDelta(t, c.want, got, 1.01)
		})
	}
}

func TestArrivalsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Float64Range(0, 300).Draw(t, "from")
		to := rapid.Float64Range(0, 300).Draw(t, "to")
		over := time.Duration(rapid.Int64Range(1, int64(5*time.Second)).Draw(t, "over"))
		all := arrivals(Config{Shape: Ramp(from, to, over), Duration: over})
		integral := (from + to) / 2 * over.Seconds()
		if math.Abs(float64(len(all))-math.Ceil(integral)) > 1 {
			t.Fatalf("%d arrivals for an integral of %v", len(all), integral)
		}
		last := time.Duration(0)
		for i, at := range all {
			if at < last || at > over {
				t.Fatalf("arrival %d at %s after %s, of %s", i, at, last, over)
			}
			last = at
		}
	})
}

func TestPoissonHasTheRateAndItsSpread(t *testing.T) {
	c := Config{Rate: 1000, Duration: 20 * time.Second, Poisson: true}
	all := arrivals(c)
	// Five standard deviations of a Poisson count.
	assert.InDelta(t, 20_000, len(all), 5*math.Sqrt(20_000))
	var sum, squares float64
	for i := 1; i < len(all); i++ {
		gap := (all[i] - all[i-1]).Seconds()
		sum += gap
		squares += gap * gap
	}
	n := float64(len(all) - 1)
	mean := sum / n
	spread := math.Sqrt(squares/n-mean*mean) / mean
	assert.InDelta(t, 1, spread, 0.05, "an exponential's standard deviation is its mean")

	assert.NotEqual(t, all, arrivals(c), "each load has its own")
}

func TestScheduleLooksOnlySoFarAhead(t *testing.T) {
	s := newSchedule(Config{Shape: steps(part{0, time.Hour}, part{1, time.Second}), Requests: 1})
	_, ok, more := s.next(time.Second)
	assert.False(t, ok)
	assert.True(t, more)
	assert.Equal(t, time.Second, s.at)
	at, ok, _ := s.next(2 * time.Hour)
	assert.True(t, ok)
	assert.InDelta(t, time.Hour, at, float64(step))
}

func TestRampValues(t *testing.T) {
	r := Ramp(10, 30, 10*time.Second)
	assert.InDelta(t, 10, r(0), 1e-3)
	assert.InDelta(t, 20, r(5*time.Second), 1e-3)
	assert.InDelta(t, 30, r(time.Hour), 1e-3)
}
