package openloop

import (
	"math"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Shape is a rate in requests a second as a function of the time since the load
// began. Below 0 and NaN mean 0. The Rate method of any [vegeta.Pacer] is a
// Shape:
//
//	openloop.Config{Shape: vegeta.LinearPacer{…}.Rate}
type Shape func(since time.Duration) float64

// Constant is a rate that does not change.
func Constant(rate float64) Shape {
	return func(time.Duration) float64 { return rate }
}

// Ramp goes evenly from one rate to another and then stays there.
func Ramp(from, to float64, over time.Duration) Shape {
	p := vegeta.LinearPacer{StartAt: perSecond(from), Slope: (to - from) / over.Seconds()}
	return func(since time.Duration) float64 {
		if since >= over {
			return to
		}
		return p.Rate(since)
	}
}

// Wave goes up and down between two rates, beginning at the lower one.
func Wave(low, high float64, period time.Duration) Shape {
	if low >= high {
		return Constant(low)
	}
	return vegeta.SinePacer{
		Period:  period,
		Mean:    perSecond((low + high) / 2),
		Amp:     perSecond((high - low) / 2),
		StartAt: vegeta.Trough,
	}.Rate
}

// Step is one part of [Steps].
type Step struct {
	Rate float64
	For  time.Duration
}

// Steps keeps each rate for its time, then sends nothing more.
func Steps(steps ...Step) Shape {
	return func(since time.Duration) float64 {
		for _, s := range steps {
			if since < s.For {
				return s.Rate
			}
			since -= s.For
		}
		return 0
	}
}

// perSecond keeps six digits after the point: vegeta counts whole hits.
func perSecond(rate float64) vegeta.Rate {
	return vegeta.Rate{Freq: int(math.Round(rate * 1e6)), Per: 1e6 * time.Second}
}
