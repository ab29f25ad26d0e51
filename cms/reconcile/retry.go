package reconcile

import "time"

const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = time.Minute
)

// Retry says when something that failed may be tried again: exponentially later,
// with jitter. The zero Retry may be tried at once.
type Retry struct {
	Failures int       `json:",omitempty"` // in a row
	Next     time.Time `json:",omitzero"`  // when it may be tried again
	Node     string    `json:",omitempty"` // the last that failed, where several share the retry
	Fault    Fault     `json:",omitzero"`  // of the last failure
}

// failed records a failure. One that comes while the last is waited for began
// before it, and is counted as the same.
func (r *Retry) failed(now time.Time, jitter *jitter, node string, why Fault) {
	r.Node, r.Fault = node, why
	if now.Before(r.Next) {
		return
	}
	r.Failures++
	r.Next = now.Add(jitter.pause(r.Failures))
}

// blocked notes why it is not even tried now.
func (r *Retry) blocked(why Fault) { r.Fault = why }

// ready says whether it may be tried now.
func (r *Retry) ready(now time.Time) bool { return !now.Before(r.Next) }

// jitter draws numbers from the one that a World brings.
type jitter struct{ state uint64 }

// fraction returns a number in [0,1), another one each time (SplitMix64).
func (j *jitter) fraction() float64 {
	j.state += 0x9e3779b97f4a7c15
	z := j.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// pause is the pause after so many failures in a row, at least 1.
func (j *jitter) pause(failures int) time.Duration {
	pause := lastRetry
	if failures <= 10 {
		pause = min(firstRetry<<(failures-1), lastRetry)
	}
	return pause/2 + time.Duration(j.fraction()*float64(pause/2))
}
