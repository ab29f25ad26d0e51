package wire

import "time"

// Node is one running copy of a pod's workload.
type Node struct {
	Name      string            `json:"name" doc:"Unique in its pod."`
	Pod       string            `json:"pod" doc:"The pod that it belongs to."`
	Host      string            `json:"host" doc:"Empty until the node is placed."`
	State     string            `json:"state" doc:"\"new\", \"starting\", \"online\", \"standby\", \"draining\", \"failed\" or \"gone\"."`
	Endpoints map[string]string `json:"endpoints" doc:"The address of each named port."`
	Revision  uint64            `json:"revision" doc:"Number of the pod's revision that it runs; 0 before it is launched."`
	Digest    string            `json:"digest,omitempty" doc:"Content of its image, such as sha256:…; absent where there is none."`
	Handle    string            `json:"handle,omitempty" doc:"The runtime's own name for it, such as a container's id."`
	CreatedAt time.Time         `json:"created_at" doc:"When it was registered."`
	StartedAt time.Time         `json:"started_at,omitzero" doc:"Absent before."`
	ReadyAt   time.Time         `json:"ready_at,omitzero" doc:"Absent before."`
	InFlight  *float64          `json:"in_flight" doc:"Requests that it has now; null where not measured."`
	CPU       *float64          `json:"cpu" doc:"Fraction of its CPU limit; null where not measured."`
	Memory    *float64          `json:"memory" doc:"Bytes; null where not measured."`
	DrainBy   time.Time         `json:"drain_by,omitzero" doc:"When a draining node is stopped at the latest; absent for others."`
	Cut       uint64            `json:"cut,omitempty" doc:"Requests and connections that it had when that time came."`
	Reason    string            `json:"reason" doc:"Why it is in this state."`
}

// NewNode asks for a node to be registered.
type NewNode struct {
	Name string `json:"name,omitempty" doc:"Unique in its pod and never used before. Default: the server chooses one."`
}

// NodeCounts is how many nodes of a pod are in each state.
type NodeCounts struct {
	New      int `json:"new" doc:"Registered and not launched."`
	Starting int `json:"starting" doc:"Launched and not ready yet."`
	Online   int `json:"online" doc:"Take requests."`
	Standby  int `json:"standby" doc:"Frozen, ready to be thawed."`
	Draining int `json:"draining" doc:"Finish what they have."`
	Failed   int `json:"failed" doc:"Ended, or did not become ready."`
	Unseen   int `json:"unseen,omitempty" doc:"In none of these: launched before the server started, on a host that it has not reached yet."`
}
