package wire

import "time"

// Event is something that happened in the cluster.
type Event struct {
	ID      uint64    `json:"id,omitempty" doc:"Grows with each event, also over restarts; absent for ticks, which are not kept."`
	At      time.Time `json:"at"`
	Type    string    `json:"type" doc:"Such as \"pod.scaled\", \"node.online\" or \"tick\"."`
	Pod     string    `json:"pod,omitempty"`
	Node    string    `json:"node,omitempty"`
	Host    string    `json:"host,omitempty"`
	Message string    `json:"message,omitempty" doc:"A sentence for a person."`
	Tick    *Tick     `json:"tick,omitempty" doc:"Of types \"tick\" and \"pod.scaled\"."`
}

// Types of events that a client may want to treat apart.
const (
	// EventTick is one turn of a pod's loop.
	EventTick = "tick"
	// EventReset says that events before the next are lost: read the state anew.
	EventReset = "reset"
	// EventScaled says that a pod's wanted number changed.
	EventScaled = "pod.scaled"
)
