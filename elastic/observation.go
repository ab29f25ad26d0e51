package elastic

import (
	"time"

	"github.com/elastipod/elastipod/metrics"
)

// Observation is what a policy sees of a pod in one tick. Fields are added over
// time, so literals name their fields. Values that were not measured are
// missing; a policy holds the number of nodes where it would have needed them.
type Observation struct {
	_ [0]func() // literals name their fields

	// At is the time of the observation. It is steady: it goes forward with the
	// time that passes and does not follow a wall clock that jumps, so it may
	// differ from that.
	At time.Time
	// Want is the number of nodes that the pod should have had until now.
	Want int
	// Online nodes take requests; Starting ones will soon; Draining ones finish
	// what they have.
	Online, Starting, Draining int
	// Min and Max are the bounds that the pod's user set. The manager keeps
	// every decision inside of them.
	Min, Max int
	// CPU and Memory are the mean over online nodes as a fraction of a node's
	// limit. Nodes in their first moments, of which no rate is known yet, are
	// left out.
	CPU, Memory metrics.Value
	// InFlight and Waiting are the requests in flight now, over all nodes, and
	// how many of these wait for a node.
	InFlight, Waiting metrics.Value
	// Rate and Errors are requests a second since the last observation.
	Rate, Errors metrics.Value
	// P50, P95 and P99 are response times in seconds.
	P50, P95, P99 metrics.Value
	// Boot is how long a node takes from the decision to its first answer, in
	// seconds, the median of the last starts.
	Boot metrics.Value
}

// Input is what a [Builder] is given at a tick: counters and gauges as runtimes
// and balancers report them. All counters only grow; one that shrank began anew.
type Input struct {
	_ [0]func() // literals name their fields

	At                         time.Time // of the tick
	Want                       int       // as in [Observation]
	Online, Starting, Draining int       // as in [Observation]
	Min, Max                   int       // as in [Observation]
	// CPULimit is in cores, MemoryLimit in bytes, of one node.
	CPULimit    float64
	MemoryLimit int64
	// Nodes holds the usage of each online node.
	Nodes []NodeInput
	// Fronts holds the counters of each front of the pod; empty where the
	// balancer could not be observed or the pod has none.
	Fronts []FrontInput
	// Boot is in seconds.
	Boot metrics.Value
}

// NodeInput is the usage of one online node.
type NodeInput struct {
	Name   string        // by which its counters of two ticks belong together
	At     time.Time     // when it was read
	CPU    time.Duration // CPU time used so far
	Memory int64         // bytes
}

// FrontInput holds the counters and gauges of one front.
type FrontInput struct {
	Name              string        // by which its counters of two ticks belong together
	At                time.Time     // when they were read; zero: at the time of the input
	Requests, Errors  uint64        // so far
	InFlight, Waiting int           // now
	LatencyCount      uint64        // requests that the quantiles come from; 0: unknown
	P50, P95, P99     time.Duration // response times
}

// Sample returns the observation as it is recorded. States of nodes that a
// policy doesn't see are left at 0 for the caller to fill in.
func (o Observation) Sample() metrics.Sample {
	return metrics.Sample{
		At:       o.At,
		Want:     o.Want,
		Nodes:    metrics.Nodes{Starting: o.Starting, Online: o.Online, Draining: o.Draining},
		CPU:      o.CPU,
		Memory:   o.Memory,
		InFlight: o.InFlight,
		Waiting:  o.Waiting,
		Rate:     o.Rate,
		Errors:   o.Errors,
		P50:      o.P50,
		P95:      o.P95,
		P99:      o.P99,
	}
}
