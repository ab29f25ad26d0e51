package wire

import "time"

// Event is something that happened in the cluster.
type Event struct {
	ID      uint64    `json:"id,omitempty" doc:"Grows with each event, also over restarts; absent for ticks, which are not kept."`
	At      time.Time `json:"at" doc:"When it happened."`
	Type    string    `json:"type" doc:"Such as \"pod.scaled\", \"node.online\" or \"tick\"."`
	Pod     string    `json:"pod,omitempty" doc:"The pod that it is about."`
	Node    string    `json:"node,omitempty" doc:"The node that it is about."`
	Host    string    `json:"host,omitempty" doc:"The host that it is about."`
	Message string    `json:"message,omitempty" doc:"A sentence for a person."`
	Cut     int       `json:"cut,omitempty" doc:"Requests and connections that were cut; of type \"node.cut\"."`
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
