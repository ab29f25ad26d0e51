package openloop

import (
	"math"
	"math/rand/v2"
	"time"
)

// Shape is a rate in requests a second as a function of the time since the load
// began. Below 0 and NaN mean 0. The Rate method of any vegeta.Pacer is a Shape.
type Shape func(since time.Duration) float64

// Ramp goes evenly from one rate to another and then stays there.
func Ramp(from, to float64, over time.Duration) Shape {
	return func(since time.Duration) float64 {
		if since >= over {
			return to
		}
		return from + (to-from)*since.Seconds()/over.Seconds()
	}
}

const (
	// maxRate bounds what a shape may ask for, so that a slip of the pen does
	// not fill the memory.
	maxRate = 1e6
	// step is how finely a shape is integrated.
	step = time.Millisecond
	// slack absorbs rounding, so that 50/s for 30 s is 1500 and never 1501.
	slack = 1e-6
)

// schedule yields the moments at which requests are meant to be sent: those at
// which the integral of the rate reaches 0, 1, 2, … (even arrivals), or a sum of
// exponentially distributed steps of mean 1 (a Poisson process, whose time is
// stretched by the rate). The number of arrivals is so the rate's integral.
type schedule struct {
	rate Shape
	end  time.Duration // 0: none
	gap  func() float64

	due  float64       // value of the integral at the next arrival
	area float64       // the integral up to at
	at   time.Duration // how far the integral is known
	now  float64       // rate at at
}

func newSchedule(c Config) *schedule {
	s := &schedule{rate: c.Shape, end: c.Duration}
	if s.rate == nil {
		s.rate = func(time.Duration) float64 { return c.Rate }
	}
	s.gap = func() float64 { return 1 }
	if c.Poisson {
		s.gap = rand.ExpFloat64
		s.due = s.gap()
	}
	s.now = s.rateAt(0)
	return s
}

func (s *schedule) rateAt(t time.Duration) float64 {
	r := s.rate(t)
	if !(r > 0) { // NaN too
		return 0
	}
	return min(r, maxRate)
}

// next returns the next arrival, if there is one before horizon. When there is
// not, more says whether there may be one later.
func (s *schedule) next(horizon time.Duration) (at time.Duration, ok, more bool) {
	for {
		if s.end > 0 && s.at >= s.end {
			return 0, false, false
		}
		dt := step
		if s.end > 0 {
			dt = min(dt, s.end-s.at)
		}
		then := s.rateAt(s.at + dt)
		area := (s.now + then) / 2 * dt.Seconds()
		if s.due+slack < s.area+area {
			at := s.at + within(s.now, then, dt, s.due-s.area)
			s.due += s.gap()
			return at, true, true
		}
		if s.at >= horizon {
			return 0, false, true
		}
		s.area += area
		s.at += dt
		s.now = then
	}
}

// until returns when the arrival after the one at at would come: n requests sent
// at a rate stand for n gaps.
func (s *schedule) until(at time.Duration) time.Duration {
	if next, ok, _ := s.next(at + lookAhead); ok {
		return next
	}
	return at
}

// within returns when the integral of a rate that goes evenly from r0 to r1 over
// dt reaches area.
func within(r0, r1 float64, dt time.Duration, area float64) time.Duration {
	if area <= 0 {
		return 0
	}
	slope := (r1 - r0) / dt.Seconds()
	// r0·t + slope·t²/2 = area, solved so that nothing cancels out.
	t := 2 * area / (r0 + math.Sqrt(max(r0*r0+2*slope*area, 0)))
	return min(time.Duration(t*float64(time.Second)), dt)
}
