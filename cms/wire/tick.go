package wire

import "time"

// Tick is one turn of a pod's loop.
type Tick struct {
	Seq         uint64      `json:"seq" doc:"Counts from 1 since the server started."`
	At          time.Time   `json:"at" doc:"When it began."`
	Before      int         `json:"before" doc:"The wanted number before this tick."`
	Want        int         `json:"want" doc:"The wanted number after it."`
	Reason      string      `json:"reason" doc:"The decision in a sentence."`
	Error       string      `json:"error,omitempty" doc:"What could not be observed."`
	Observation Observation `json:"observation,omitzero" doc:"What the policy saw."`
	Decision    Decision    `json:"decision,omitzero" doc:"What it wanted, and why."`
	Sample      Sample      `json:"sample" doc:"What was measured."`
	Took        Seconds     `json:"took" doc:"Seconds, without the actions that it began."`
}

// Observation is what a policy saw. Values that were not measured are null.
type Observation struct {
	At       time.Time `json:"at" doc:"When it was observed."`
	Want     int       `json:"want" doc:"The number of nodes that the pod should have had until then."`
	Online   int       `json:"online" doc:"Nodes that take requests."`
	Starting int       `json:"starting" doc:"Nodes that will soon."`
	Draining int       `json:"draining" doc:"Nodes that finish what they have."`
	Min      int       `json:"min" doc:"The bound that is set."`
	Max      int       `json:"max" doc:"The bound that is set."`
	CPU      *float64  `json:"cpu" doc:"Mean over online nodes, as a fraction of a node's limit."`
	Memory   *float64  `json:"memory" doc:"Mean over online nodes, as a fraction of a node's limit."`
	InFlight *float64  `json:"in_flight" doc:"Requests, over all nodes; those that wait included."`
	Waiting  *float64  `json:"waiting" doc:"Requests that wait for a node."`
	Rate     *float64  `json:"rate" doc:"Requests a second."`
	Errors   *float64  `json:"errors" doc:"Failed requests a second."`
	P50      *float64  `json:"p50" doc:"Seconds."`
	P95      *float64  `json:"p95" doc:"Seconds."`
	P99      *float64  `json:"p99" doc:"Seconds."`
	Boot     *float64  `json:"boot" doc:"Seconds from the decision to a node's first answer, median of the last starts."`
}

// Decision is a number of nodes and how it came about.
type Decision struct {
	Want   int    `json:"want" doc:"How many nodes there should be."`
	Reason string `json:"reason" doc:"All steps in a sentence."`
	Steps  []Step `json:"steps" doc:"Each rule's part, in their order."`
}

// Step is one rule's part in a decision.
type Step struct {
	Rule   string   `json:"rule" doc:"What kind of reasoning it stands for, such as \"above-upper\"."`
	From   int      `json:"from" doc:"Nodes before this step."`
	To     int      `json:"to" doc:"Nodes after it."`
	Metric string   `json:"metric,omitempty" doc:"What was looked at."`
	Value  *float64 `json:"value,omitempty" doc:"What was measured."`
	Bound  *float64 `json:"bound,omitempty" doc:"The threshold, target or limit that it was held against."`
	Upper  *float64 `json:"upper,omitempty" doc:"The other end, where there are two bounds."`
	Note   string   `json:"note,omitempty" doc:"In words what the other fields cannot say."`
	Text   string   `json:"text" doc:"The step in words."`
}

// Sample is what was measured of a pod in one tick. Values that were not
// measured are null.
type Sample struct {
	At       time.Time  `json:"at" doc:"When it was taken."`
	Want     int        `json:"want" doc:"The number of nodes that the pod should have."`
	Nodes    NodeCounts `json:"nodes" doc:"How many nodes are in each state."`
	CPU      *float64   `json:"cpu" doc:"Mean over online nodes, as a fraction of a node's limit."`
	Memory   *float64   `json:"memory" doc:"Mean over online nodes, as a fraction of a node's limit."`
	InFlight *float64   `json:"in_flight" doc:"Requests over all fronts; those that wait included."`
	Waiting  *float64   `json:"waiting" doc:"Requests that wait for a node."`
	Rate     *float64   `json:"rate" doc:"Requests a second."`
	Errors   *float64   `json:"errors" doc:"Failed requests a second."`
	P50      *float64   `json:"p50" doc:"Seconds."`
	P95      *float64   `json:"p95" doc:"Seconds."`
	P99      *float64   `json:"p99" doc:"Seconds."`
}
