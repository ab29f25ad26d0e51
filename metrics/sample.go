package metrics

import "time"

// Sample is what was measured of a pod in one tick.
type Sample struct {
	At time.Time `json:"at"`
	// Want is the number of nodes that the pod should have.
	Want  int   `json:"want"`
	Nodes Nodes `json:"nodes"`
	// CPU and Memory are the mean over online nodes, as a fraction of a node's
	// limit; CPU may exceed 1 for moments.
	CPU    Value `json:"cpu"`
	Memory Value `json:"memory"`
	// InFlight and Waiting are requests at the moment of the tick, over all
	// fronts of the pod; those that wait are in flight too.
	InFlight Value `json:"in_flight"`
	Waiting  Value `json:"waiting"`
	// Rate and Errors are requests a second since the previous tick, all and
	// those that failed.
	Rate   Value `json:"rate"`
	Errors Value `json:"errors"`
	// P50, P95 and P99 are quantiles of response times in seconds over about
	// the last ten seconds.
	P50 Value `json:"p50"`
	P95 Value `json:"p95"`
	P99 Value `json:"p99"`
}

// Nodes counts the nodes of a pod by state.
type Nodes struct {
	New      int `json:"new"`
	Starting int `json:"starting"`
	Online   int `json:"online"`
	Standby  int `json:"standby"`
	Draining int `json:"draining"`
	Failed   int `json:"failed"`
}
