// Package clock is the one place from which a manager has its times.
package clock

import "time"

// Clock tells a steady time and the wall clock's. Whatever is decided, waited for
// or kept hangs on Now alone; Wall is for the store and for people, and nothing
// is decided by it: it may jump.
type Clock struct {
	wall  func() time.Time
	base  time.Time // the wall clock when this was made
	began time.Time // the same moment, with its monotonic reading
}

// New returns a clock that shows the time of wall, and begins with it.
func New(wall func() time.Time) Clock {
	return Clock{wall: wall, base: wall().Round(0).UTC(), began: time.Now()}
}

// Now is the time at which the clock was made and what has passed since by the
// monotonic clock, so that even its date and its nanoseconds never jump.
func (c Clock) Now() time.Time { return c.base.Add(time.Since(c.began)) }

// Wall is the time of the wall clock.
func (c Clock) Wall() time.Time { return c.wall() }

// Since returns the time that has passed since a time of Now.
func (c Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// UntilTick returns the time until the next multiple of tick after epoch.
func (c Clock) UntilTick(epoch time.Time, tick time.Duration) time.Duration {
	return tick - c.Since(epoch)%tick
}

// ToWall turns a time of Now into one of the wall clock.
func (c Clock) ToWall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return c.wall().Add(t.Sub(c.Now()))
}
