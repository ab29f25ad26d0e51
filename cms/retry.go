package cms

import (
	"math/rand/v2"
	"time"
)

const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = time.Minute
)

// retry says when something that failed may be tried again: exponentially later,
// with jitter. The zero retry may be tried at once.
type retry struct {
	failures int
	next     time.Time
}

// failed records a failure. One that comes while the last is waited for began
// before it, and is counted as the same.
func (r *retry) failed(now time.Time) {
	if now.Before(r.next) {
		return
	}
	r.failures++
	r.next = now.Add(pauseAfter(r.failures))
}

// pauseAfter is the pause after so many failures in a row, at least 1.
func pauseAfter(failures int) time.Duration {
	pause := lastRetry
	if failures <= 10 {
		pause = min(firstRetry<<(failures-1), lastRetry)
	}
	return pause/2 + rand.N(pause/2)
}

// ready says whether it may be tried now.
func (r *retry) ready(now time.Time) bool { return !now.Before(r.next) }

// reset forgets all failures.
func (r *retry) reset() { *r = retry{} }
