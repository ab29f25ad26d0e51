package elastic

import (
	"time"

	"github.com/elastipod/elastipod/metrics"
)

const (
	// minSpan is the shortest time over which a rate is taken: two of the
	// kernel's periods for CPU quotas. Over less, a node that is held to half a
	// core shows two cores or none.
	minSpan = 200 * time.Millisecond
	// keepRate is how long the last known rate of a counter counts when there
	// is no newer reading.
	keepRate = 3 * time.Second
	// forget is how long a counter that is not reported any more is remembered.
	forget = time.Minute
)

// Builder turns the counters of an [Input] into the rates of an [Observation].
// It is the only place where that is done, live and in replay. It remembers the
// last readings, so each pod has its own and calls it from one goroutine, once
// a tick. It allocates when a node or a front is new, and otherwise nothing.
//
// The rules:
//   - A node's CPU is the growth of its CPU time over the time between its own
//     two readings, as a fraction of the limit; CPU is the mean over the online
//     nodes that have one. A new node is left out until it has two readings, at
//     least 200 ms apart. One without a newer reading keeps its last rate for 3
//     seconds. A counter that shrank began anew, and so does its rate.
//   - Memory is the mean over the nodes with a reading not older than that.
//   - Rate and Errors are the growth of the counters over the time between two
//     readings, of at least 200 ms, else the last rate counts. They and InFlight and Waiting are sums over
//     the fronts. A counter that shrank leaves its front the last rate for up to
//     3 seconds; a new front is left out until it has two readings.
//   - P50, P95 and P99 are those of the front, and of several fronts the
//     greatest: no user of the pod had it worse.
//   - What has no reading at all is missing, never 0.
type Builder struct {
	now    time.Time // of the last observation
	nodes  map[string]nodeReading
	fronts map[string]frontReading
}

// nodeReading is what is remembered of a node. Readings carry the clock of the
// node's host; seen, fresh and rated are by our own.
type nodeReading struct {
	at     time.Time     // of the reading that cpu is from
	cpu    time.Duration // CPU time used until then
	newest time.Time     // of the last reading, by its own clock
	fresh  time.Time     // when we saw newest for the first time
	seen   time.Time     // when the node was reported last
	cores  float64       // the last rate
	rated  time.Time     // when that was made; zero: never
}

type frontReading struct {
	at               time.Time
	requests, errors uint64
	seen             time.Time
	rate, errorRate  float64
	rated            time.Time
}

// NewBuilder returns a Builder that has seen nothing yet.
func NewBuilder() *Builder {
	return &Builder{nodes: map[string]nodeReading{}, fronts: map[string]frontReading{}}
}

// Observe returns what a policy shall see of in. Times of in should go forward;
// when they don't, rates begin anew.
func (b *Builder) Observe(in Input) Observation {
	o := Observation{
		At:       in.At,
		Want:     in.Want,
		Online:   in.Online,
		Starting: in.Starting,
		Draining: in.Draining,
		Min:      in.Min,
		Max:      in.Max,
		Boot:     in.Boot,
	}
	b.now = in.At
	b.observeNodes(in, &o)
	b.observeFronts(in, &o)
	return o
}

func (b *Builder) observeNodes(in Input, o *Observation) {
	var cores, memory mean
	for i := range in.Nodes {
		n := &in.Nodes[i]
		r, known := b.nodes[n.Name]
		r.read(n, in.At, known)
		b.nodes[n.Name] = r
		if within(in.At, r.rated, keepRate) {
			cores.add(r.cores)
		}
		if !n.At.IsZero() && within(in.At, r.fresh, keepRate) {
			memory.add(float64(max(n.Memory, 0)))
		}
	}
	o.CPU = cores.over(in.CPULimit)
	o.Memory = memory.over(float64(in.MemoryLimit))
	for name, r := range b.nodes {
		if !within(in.At, r.seen, forget) {
			delete(b.nodes, name)
		}
	}
}

// read takes a reading of the node at the time now of our clock.
func (r *nodeReading) read(n *NodeInput, now time.Time, known bool) {
	r.seen = now
	if n.At.IsZero() {
		return
	}
	if !known || r.newest.IsZero() || n.At.Before(r.newest) || n.CPU < r.cpu || now.Before(r.fresh) {
		// New, restarted, or one of the clocks was set back: begin anew.
		*r = nodeReading{at: n.At, cpu: n.CPU, newest: n.At, fresh: now, seen: now}
		return
	}
	if n.At.After(r.newest) {
		r.newest, r.fresh = n.At, now
	}
	if span := n.At.Sub(r.at); span >= minSpan {
		r.cores = (float64(n.CPU) - float64(r.cpu)) / float64(span)
		r.at, r.cpu, r.rated = n.At, n.CPU, now
	}
}

func (b *Builder) observeFronts(in Input, o *Observation) {
	var rate, errors mean
	var inFlight, waiting float64
	var p50, p95, p99 metrics.Value
	for i := range in.Fronts {
		f := &in.Fronts[i]
		inFlight += float64(max(f.InFlight, 0))
		waiting += float64(max(f.Waiting, 0))
		if f.LatencyCount > 0 {
			p50, p95, p99 = greater(p50, f.P50), greater(p95, f.P95), greater(p99, f.P99)
		}
		r, known := b.fronts[f.Name]
		r.read(f, in.At, known)
		b.fronts[f.Name] = r
		if within(in.At, r.rated, keepRate) {
			rate.add(r.rate)
			errors.add(r.errorRate)
		}
	}
	if len(in.Fronts) > 0 {
		o.InFlight, o.Waiting = metrics.V(inFlight), metrics.V(waiting)
	}
	o.Rate, o.Errors = rate.total(), errors.total()
	o.P50, o.P95, o.P99 = p50, p95, p99
	for name, r := range b.fronts {
		if !within(in.At, r.seen, forget) {
			delete(b.fronts, name)
		}
	}
}

func (r *frontReading) read(f *FrontInput, now time.Time, known bool) {
	r.seen = now
	at := f.At
	if at.IsZero() {
		at = now
	}
	span := at.Sub(r.at)
	switch {
	case !known:
		*r = frontReading{at: at, requests: f.Requests, errors: f.Errors, seen: now}
	case span < 0 || f.Requests < r.requests || f.Errors < r.errors:
		// Began anew: what came before the first reading is not known, and a
		// guess would be too low. The last rate counts for a while.
		r.at, r.requests, r.errors = at, f.Requests, f.Errors
		if r.rated.After(now) {
			r.rated = now
		}
	case span >= minSpan:
		r.rate = float64(f.Requests-r.requests) / span.Seconds()
		r.errorRate = float64(f.Errors-r.errors) / span.Seconds()
		r.at, r.requests, r.errors, r.rated = at, f.Requests, f.Errors, now
	}
}

// within says whether then is set and at most d before now. A clock that was
// set back makes everything recent.
func within(now, then time.Time, d time.Duration) bool {
	return !then.IsZero() && now.Sub(then) <= d
}

// mean adds up measurements; the zero mean has none.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(x float64) { m.sum += x; m.n++ }

// over returns the mean as a fraction of limit, missing without either.
func (m *mean) over(limit float64) metrics.Value {
	if m.n == 0 || limit <= 0 {
		return metrics.Missing
	}
	return metrics.V(m.sum / float64(m.n) / limit)
}

// total returns the sum, missing where nothing was added.
func (m *mean) total() metrics.Value {
	if m.n == 0 {
		return metrics.Missing
	}
	return metrics.V(m.sum)
}

func greater(v metrics.Value, d time.Duration) metrics.Value {
	return metrics.V(max(v.Or(0), d.Seconds()))
}

// Cores returns the CPU that a node uses, in cores, as it went into the last
// observation.
func (b *Builder) Cores(node string) metrics.Value {
	if r := b.nodes[node]; within(b.now, r.rated, keepRate) {
		return metrics.V(r.cores)
	}
	return metrics.Missing
}
