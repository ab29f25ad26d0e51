package openloop

import (
	"net/http"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is what came of a load.
type Result struct {
	// IDPrefix begins the ids of this load.
	IDPrefix string
	// Began is when the first request could have been sent, Sending how long
	// requests were sent, Took the time until the last one ended.
	Began   time.Time
	Sending time.Duration
	Took    time.Duration

	// Sent counts the requests that came due. It is OK + Failed + Abandoned.
	Sent int
	// OK counts those answered in full with a status below 400.
	OK int
	// Failed counts all others that ended.
	Failed int
	// Abandoned counts those in flight when the context ended; nobody knows what
	// would have come of them.
	Abandoned int
	// Codes counts answers by status.
	Codes map[int]int
	// Errors counts requests without a usable answer by what went wrong.
	Errors map[ErrorKind]int
	// Connections is how many were opened.
	Connections int

	// Rate is requests sent a second while sending; Throughput is requests
	// answered OK a second until the last one ended.
	Rate, Throughput float64
	// Latency is the time from the moment at which a request was meant to be
	// sent until its answer was there in full, over all that were answered, with
	// whatever status, or timed out.
	Latency Latency
	// Lag is how late requests were handed to the network: by the generator's
	// own clock, and by waiting below MaxInFlight. Much of it says that the
	// generator, not the server, was the bottleneck. It is part of Latency.
	Lag Latency

	// OKIDs holds the ids of the requests answered OK, in the order of their
	// answers, where they were asked for.
	OKIDs []string
	// Failures holds the failed requests, in the order of their ends: all of them
	// where ids were asked for, otherwise the first [MaxFailures].
	Failures []Outcome
}

// MaxFailures is how many failures a [Result] keeps when ids were not asked for.
const MaxFailures = 20

// Success is the share of requests that were answered OK, of those that ended.
// It is 1 when none did.
func (r Result) Success() float64 {
	if r.OK+r.Failed == 0 {
		return 1
	}
	return float64(r.OK) / float64(r.OK+r.Failed)
}

// Latency is a distribution of times, kept with three significant digits.
type Latency struct {
	Count                    int64
	Mean, P50, P95, P99, Max time.Duration
}

// Progress is how far a load is.
type Progress struct {
	Elapsed time.Duration
	Sent    int
	OK      int
	Failed  int
	// InFlight counts the requests that were sent, or wait to be, and have not
	// ended.
	InFlight int
	// Rate is requests sent a second since the previous progress.
	Rate float64
	// Latency is that of all requests so far.
	Latency Latency
	// Done says that this is the last one.
	Done bool
}

// Outcome is one request that has ended.
type Outcome struct {
	ID string
	// At is when it was meant to be sent.
	At time.Time
	// Latency counts from At.
	Latency time.Duration
	// Code is the status of the answer, 0 where there was none.
	Code int
	// Header is the answer's, nil where there was none.
	Header http.Header
	// Kind is what went wrong, empty when the answer was complete.
	Kind ErrorKind
	// Err is the error of that kind, nil when the answer was complete.
	Err error
}

// OK says whether the request was answered in full with a status below 400.
func (o Outcome) OK() bool { return o.Kind == "" && o.Code > 0 && o.Code < 400 }

// histogram counts times from 1 µs to 1 h.
type histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, time.Hour.Microseconds(), 3)}
}

func (h histogram) record(d time.Duration) {
	// What is out of range counts as the longest: it cannot fail then.
	_ = h.h.RecordValue(min(max(d.Microseconds(), 1), time.Hour.Microseconds()))
}

func (h histogram) latency() Latency {
	us := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	if h.h.TotalCount() == 0 {
		return Latency{}
	}
	q := h.h.ValueAtPercentiles([]float64{50, 95, 99})
	return Latency{
		Count: h.h.TotalCount(),
		Mean:  us(int64(h.h.Mean())),
		P50:   us(q[50]),
		P95:   us(q[95]),
		P99:   us(q[99]),
		Max:   us(h.h.Max()),
	}
}
