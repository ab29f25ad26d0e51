package openloop

import (
	"sync"
	"time"
)

// recorder adds up outcomes. Its lock also makes Observe be called one at a time.
type recorder struct {
	keepIDs bool
	observe func(Outcome)

	mu      sync.Mutex
	result  Result
	latency histogram
	lag     histogram
	ended   time.Time // of the last outcome
}

func newRecorder(c Config, began time.Time) *recorder {
	return &recorder{
		keepIDs: c.KeepIDs,
		observe: c.Observe,
		result:  Result{IDPrefix: c.IDPrefix, Began: began, Codes: map[int]int{}, Errors: map[ErrorKind]int{}},
		latency: newHistogram(),
		lag:     newHistogram(),
	}
}

func (r *recorder) sent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Sent++
}

func (r *recorder) abandoned() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Abandoned++
}

// record notes a request that was handed to the network that late.
func (r *recorder) record(o Outcome, lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag.record(lag)
	x := &r.result
	if o.Code > 0 {
		x.Codes[o.Code]++
	}
	if o.Kind != "" {
		x.Errors[o.Kind]++
	}
	if o.Kind == "" || o.Kind == ErrTimeout {
		r.latency.record(o.Latency)
	}
	if o.OK() {
		x.OK++
		if r.keepIDs {
			x.OKIDs = append(x.OKIDs, o.ID)
		}
	} else {
		x.Failed++
		if r.keepIDs || len(x.Failures) < MaxFailures {
			x.Failures = append(x.Failures, o)
		}
	}
	if end := o.At.Add(o.Latency); end.After(r.ended) {
		r.ended = end
	}
	if r.observe != nil {
		r.observe(o)
	}
}

func (r *recorder) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.result
	return Progress{
		Elapsed:  time.Since(x.Began),
		Sent:     x.Sent,
		OK:       x.OK,
		Failed:   x.Failed,
		InFlight: x.Sent - x.OK - x.Failed - x.Abandoned,
		Latency:  r.latency.latency(),
	}
}

// finish returns the result of a load that was sent for that long.
func (r *recorder) finish(sending time.Duration, connections int) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.result
	x.Sending = sending
	x.Took = max(sending, r.ended.Sub(x.Began))
	x.Connections = connections
	x.Latency, x.Lag = r.latency.latency(), r.lag.latency()
	if s := x.Sending.Seconds(); s > 0 {
		x.Rate = float64(x.Sent) / s
	}
	if s := x.Took.Seconds(); s > 0 {
		x.Throughput = float64(x.OK) / s
	}
	return x
}
