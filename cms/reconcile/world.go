package reconcile

import (
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// World is all that one turn of a pod's loop knows. It is made once a turn and
// never changed after that. It holds values only, so that it can be written as
// JSON and read back.
type World struct {
	Now, Wall time.Time // steady, to decide by; the wall clock, only to be written down
	Settings  Settings  // of the manager
	Name      string    // the pod's
	Pod       state.Pod // the record; zero before the pod is created
	Memory    Memory    // what the last plan remembered
	Tick      *Deciding // in a deciding turn
	// Checkpoint is what to keep of the policy when the manager ends.
	Checkpoint *Checkpoint
	// PolicyTime is the time that the policy sees now, Last what it saw last.
	PolicyTime time.Time
	Last       elastic.Observation
	Hosts      map[string]Host   // all hosts of the cluster, by name
	Probes     map[string]Probed // of online nodes, by name; those without a failure may be left out
	Balancer   Balancer          // the last observation of the balancer
	Room       []Room            // what the ledger grants this pod on each host, sorted by name
	Running    map[Key]time.Time // actions that have not ended, and since when they run; zero for those that wait for a slot
	Results    []Result          // of actions that ended since the last turn, oldest first
	Commands   []Command         // that are not answered yet, oldest first
	Policy     Fault             // why the pod's policy cannot be made; zero otherwise
	Store      Fault             // why nothing can be saved; zero otherwise
	Mode       Mode              // what the manager is doing
	Jitter     uint64            // drawn once a turn, so that a plan can be made again
	Cause      string            // trace context of the turn; empty where nobody traces
}

// Settings are those of the manager that a plan depends on.
type Settings struct {
	Tick        time.Duration // the time between two ticks
	HostTimeout time.Duration // how long a host may be away before its nodes are replaced
}

// Mode is what the manager is doing.
type Mode string

// The modes of a manager.
const (
	Managing Mode = ""        // it keeps each pod as it should be
	Halting  Mode = "halting" // it stops all nodes, whatever is wanted
	Ending   Mode = "ending"  // it ends; nothing is begun any more
)

// Deciding is what a tick brings: an observation, and what the pod's policy made
// of it. Where the policy was not asked, Asked is false.
type Deciding struct {
	Seq         uint64              // counts the ticks of the loop
	Observation elastic.Observation // what the policy sees
	Asked       bool
	Decision    elastic.Decision // what the policy wants
	Missing     string           // what could not be observed, for a person
	// Memory is what the policy remembers after this tick; Keep says that it is
	// time to save it, whatever was decided.
	Memory []byte
	Keep   bool
	Took   time.Duration // so far
}

// Checkpoint is what a policy remembers at a time of its own.
type Checkpoint struct {
	Memory []byte    // as the policy marshals it
	At     time.Time // by the time of the policy
}

// Host is what is known of a host, and of this pod's nodes on it.
type Host struct {
	Draining bool      // it is being removed
	Known    bool      // it was observed at least once
	Begun    time.Time // when the last observation was asked for: what happened before is in it
	Since    time.Time // since when it answers, or does not
	Fault    Fault     // why it does not answer; zero where it does
	Nodes    Nodes     // of this pod; from before where it does not answer
}

// Nodes are nodes of one pod as a host shows them, sorted by name.
type Nodes []pod.Node

// noNode is what Find returns where there is none.
var noNode pod.Node

// Find returns the node of that name, and whether it is there. What it returns is
// not to be changed.
func (n Nodes) Find(name string) (*pod.Node, bool) {
	i, ok := slices.BinarySearchFunc(n, name, func(n pod.Node, name string) int { return strings.Compare(n.ID.Name, name) })
	if !ok {
		return &noNode, false
	}
	return &n[i], true
}

// Probed is what the liveness probes of a node said.
type Probed struct {
	Failures int    // in a row
	Text     string // why the last one failed, for a person
}

// Balancer is the last observation of the balancer, with this pod's fronts.
type Balancer struct {
	Asked  time.Time                      // when it was asked; zero: never
	At     time.Time                      // when the statistics were taken
	Fault  Fault                          // why the statistics are old; zero where they are not
	Fronts map[string]balancer.FrontStats // this pod's, by name
}

// Room is what a pod may use on a host.
type Room struct {
	Host     string        // its name
	Capacity pod.Resources // CPU with the overcommit in it
	Free     pod.Resources // what no node has reserved
	Nodes    int           // that are placed there, of all pods
	Refused  string        // why the host takes no nodes now, for a person; empty when it does
}

// Failing returns the world of a turn whose plan could not be saved: what was
// begun before the commit goes on.
func (w World) Failing(p Plan, why Fault) World {
	w.Store = why
	w.Memory.Fronts = p.Memory.Fronts
	w.Results = slices.DeleteFunc(slices.Clone(w.Results), Result.OfFront) // which are in there
	running := make(map[Key]time.Time, len(w.Running)+len(p.Before))
	for k, since := range w.Running {
		running[k] = since
	}
	for _, a := range p.Before {
		running[a.Key()] = w.Now
	}
	w.Running = running
	return w
}

// WithoutSecrets returns the world without the values of environment variables,
// for a report.
func (w World) WithoutSecrets() World {
	hide := func(x pod.Workload) pod.Workload {
		x = x.Clone()
		for name := range x.Env {
			x.Env[name] = ""
		}
		return x
	}
	w.Pod = w.Pod.Clone()
	w.Pod.Spec.Workload = hide(w.Pod.Spec.Workload)
	for i := range w.Pod.Revisions {
		w.Pod.Revisions[i].Workload = hide(w.Pod.Revisions[i].Workload)
	}
	commands := make([]Command, len(w.Commands))
	for i, c := range w.Commands {
		if c.Spec != nil {
			spec := *c.Spec
			spec.Workload = hide(spec.Workload)
			c.Spec = &spec
		}
		commands[i] = c
	}
	w.Commands = commands
	return w
}
