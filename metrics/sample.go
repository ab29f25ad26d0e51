package metrics

import "time"

// Sample is what was measured of a pod in one tick.
type Sample struct {
	At time.Time `json:"at"` // when it was taken
	// Want is the number of nodes that the pod should have.
	Want  int   `json:"want"`
	Nodes Nodes `json:"nodes"` // how many nodes are in each state
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
	New      int `json:"new"`      // registered and not launched
	Starting int `json:"starting"` // run, or will soon, and are not ready
	Online   int `json:"online"`   // take requests
	Standby  int `json:"standby"`  // frozen, ready to be thawed
	Draining int `json:"draining"` // finish what they have
	Failed   int `json:"failed"`   // ended or did not become ready
}
