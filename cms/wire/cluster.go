package wire

import "time"

// Cluster sums up a cluster.
type Cluster struct {
	Name      string    `json:"name" doc:"What nodes carry."`
	ID        string    `json:"id" doc:"Made by the server's store."`
	Version   string    `json:"version" doc:"Of the server."`
	StartedAt time.Time `json:"started_at" doc:"When the server started."`
	Pods      int       `json:"pods" doc:"How many there are."`
	Nodes     int       `json:"nodes" doc:"How many there are, in every state."`
	Hosts     int       `json:"hosts" doc:"How many there are."`
	Problems  []Problem `json:"problems" doc:"What is wrong now: of the cluster itself, and of every pod."`
}

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string `json:"status" doc:"\"ok\"."`
}

// Balancer is every front and server with statistics.
type Balancer struct {
	At       time.Time    `json:"at,omitzero" doc:"When the balancer was observed; absent before the first time."`
	Error    string       `json:"error,omitempty" doc:"Why the statistics are old."`
	Problems []string     `json:"problems,omitempty" doc:"In sentences, what is wrong with the balancer itself, although it answers: somebody else changed its configuration, its directory cannot be written."`
	Fronts   []FrontStats `json:"fronts" doc:"Sorted by name."`
}

// FrontStats are the figures of one front.
type FrontStats struct {
	Name     string        `json:"name" doc:"Unique in the cluster."`
	Pod      string        `json:"pod" doc:"Whose front it is; empty where no pod has it."`
	Listen   string        `json:"listen" doc:"Address on which it takes requests."`
	Requests uint64        `json:"requests" doc:"Taken so far."`
	Errors   uint64        `json:"errors" doc:"Of these answered 5xx, or not answered."`
	InFlight int           `json:"in_flight" doc:"Taken and not answered in full."`
	Waiting  int           `json:"waiting" doc:"Of these, how many wait for a server."`
	Latency  *Latency      `json:"latency,omitempty" doc:"Absent where nothing was measured."`
	Servers  []ServerStats `json:"servers" doc:"Sorted by name."`
}

// Latency holds quantiles of response times over about the last ten seconds.
type Latency struct {
	Count uint64  `json:"count" doc:"Requests that the quantiles come from."`
	P50   Seconds `json:"p50" doc:"Seconds."`
	P95   Seconds `json:"p95" doc:"Seconds."`
	P99   Seconds `json:"p99" doc:"Seconds."`
}

// ServerStats are the figures of one node's port, as the balancer sees it.
type ServerStats struct {
	Name     string `json:"name" doc:"Unique in its front."`
	Addr     string `json:"addr" doc:"Address that is dialled."`
	State    string `json:"state" doc:"\"ready\" or \"drain\"."`
	Weight   int    `json:"weight" doc:"1 to 256."`
	Up       bool   `json:"up" doc:"The balancer's own checks and attempts say that it answers."`
	InFlight int    `json:"in_flight" doc:"Requests that it has now."`
	Requests uint64 `json:"requests" doc:"Given to it so far."`
	Errors   uint64 `json:"errors" doc:"Of these answered 5xx or broken off by it."`
}
