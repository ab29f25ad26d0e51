package cms

import "time"

// clock is the one place from which the manager has its times. Whatever is
// decided, waited for or kept hangs on now alone; wall is for the store and for
// people, and nothing is decided by it: it may jump.
type clock struct {
	wall  func() time.Time
	base  time.Time // the wall clock when this was made
	began time.Time // the same moment, with its monotonic reading
}

func newClock(wall func() time.Time) clock {
	return clock{wall: wall, base: wall(), began: time.Now()}
}

// now is the time at which this was made and what has passed since by the
// monotonic clock, so that even its date and its nanoseconds never jump.
func (c clock) now() time.Time { return c.base.Add(time.Since(c.began)) }

func (c clock) since(t time.Time) time.Duration { return c.now().Sub(t) }

// untilTick returns the time until the next multiple of tick after epoch.
func (c clock) untilTick(epoch time.Time, tick time.Duration) time.Duration {
	return tick - c.since(epoch)%tick
}
