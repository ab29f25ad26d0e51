package wire

import "time"

// Node is one running copy of a pod's workload.
type Node struct {
	Name      string            `json:"name"`
	Pod       string            `json:"pod"`
	Host      string            `json:"host" doc:"Empty until the node is placed."`
	State     string            `json:"state" doc:"\"new\", \"starting\", \"online\", \"standby\", \"draining\", \"failed\" or \"gone\"."`
	Endpoints map[string]string `json:"endpoints" doc:"The address of each named port."`
	Revision  string            `json:"revision"`
	Handle    string            `json:"handle,omitempty" doc:"The runtime's own name for it, such as a container's id."`
	CreatedAt time.Time         `json:"created_at"`
	StartedAt time.Time         `json:"started_at,omitzero" doc:"Absent before."`
	ReadyAt   time.Time         `json:"ready_at,omitzero" doc:"Absent before."`
	InFlight  *float64          `json:"in_flight" doc:"Requests that it has now; null where not measured."`
	CPU       *float64          `json:"cpu" doc:"Fraction of its CPU limit; null where not measured."`
	Memory    *float64          `json:"memory" doc:"Bytes; null where not measured."`
	Reason    string            `json:"reason" doc:"Why it is in this state."`
}

// NewNode asks for a node to be registered.
type NewNode struct {
	Name string `json:"name,omitempty" doc:"Unique in its pod and never used before. Default: the server chooses one."`
}

// NodeCounts is how many nodes of a pod are in each state.
type NodeCounts struct {
	New      int `json:"new"`
	Starting int `json:"starting"`
	Online   int `json:"online"`
	Standby  int `json:"standby"`
	Draining int `json:"draining"`
	Failed   int `json:"failed"`
}
