package elastic

import "github.com/elastipod/elastipod/metrics"

// Metric is what a policy looks at, by its name on the wire.
type Metric string

// The metrics.
const (
	MetricCPU      Metric = "cpu"       // mean over online nodes, fraction of a node's limit
	MetricMemory   Metric = "memory"    // mean over online nodes, fraction of a node's limit
	MetricInFlight Metric = "in_flight" // requests in flight per node, those that wait included
	MetricRate     Metric = "rate"      // requests a second per node
)

// Label returns the metric's name as it stands in a [Step]: "CPU", "memory",
// "in flight per node" or "requests/s per node".
func (m Metric) Label() string {
	switch m {
	case MetricCPU:
		return "CPU"
	case MetricInFlight:
		return "in flight per node"
	case MetricRate:
		return "requests/s per node"
	}
	return string(m)
}

// of returns the metric's value in an observation; total says that it is a sum
// over all nodes and not a mean.
func (m Metric) of(o *Observation) (value metrics.Value, total bool) {
	switch m {
	case MetricCPU:
		return o.CPU, false
	case MetricMemory:
		return o.Memory, false
	case MetricInFlight:
		return o.InFlight, true
	case MetricRate:
		return o.Rate, true
	}
	return metrics.Missing, false
}
