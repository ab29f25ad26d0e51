package cms

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// PodSpec is what a user sets of a pod: what runs, and where it takes requests.
type PodSpec struct {
	pod.Spec
	Fronts []Front // where requests are taken
	// Update says how nodes are replaced when what they run changes.
	Update Update
}

// Front is a front of a pod. Its name is unique in the cluster; default: the
// pod's name.
type Front struct {
	balancer.Front
	// Port names the port of the workload that gets the requests; default: the
	// main port.
	Port string
}

// WithDefaults returns the spec with every unset field filled in.
func (s PodSpec) WithDefaults() PodSpec {
	s.Spec = s.Spec.WithDefaults()
	s.Update = s.Update.WithDefaults()
	s.Fronts = slices.Clone(s.Fronts)
	for i := range s.Fronts {
		f := &s.Fronts[i]
		if f.Name == "" && len(s.Fronts) == 1 {
			f.Name = s.Name
		}
		if f.Port == "" {
			f.Port = s.Workload.MainPort()
		}
		if f.CheckPath == "" && s.Workload.Probe.Kind == pod.ProbeHTTP && f.Port == s.Workload.Probe.Port {
			f.CheckPath = s.Workload.Probe.Path
		}
		f.Front = f.Front.WithDefaults()
	}
	return s
}

// Clone returns a deep copy.
func (s PodSpec) Clone() PodSpec {
	s.Spec = s.Spec.Clone()
	s.Fronts = slices.Clone(s.Fronts)
	s.Update.Steps = slices.Clone(s.Update.Steps)
	return s
}

// Validate returns every fault of the spec as [Faults], or nil.
func (s PodSpec) Validate() error {
	var f Faults
	nest(&f, "", s.Spec.Validate())
	nest(&f, "update", s.Update.Validate())
	full := s.WithDefaults()
	names, addrs := map[string]bool{}, map[string]bool{}
	for i, front := range full.Fronts {
		at := "fronts[" + strconv.Itoa(i) + "]"
		nest(&f, at, front.Validate())
		if _, ok := s.Workload.Ports[front.Port]; !ok {
			f.Add(at+".port", "name one of workload.ports", "%q is not a port of the workload", front.Port)
		}
		if names[front.Name] {
			f.Add(at+".name", "give each front a name of its own", "%q is used twice", front.Name)
		}
		if addrs[front.Listen] {
			f.Add(at+".listen", "give each front an address of its own", "%q is used twice", front.Listen)
		}
		names[front.Name], addrs[front.Listen] = true, true
	}
	return f.Err()
}

// Mode is whether an elastic pod's decisions are carried out.
type Mode string

// The modes of elasticity.
const (
	ModeAct    Mode = "act"     // decisions are carried out
	ModeDryRun Mode = "dry-run" // decisions are recorded only
)

// Elasticity is whether and how a pod grows and shrinks by itself.
type Elasticity struct {
	Enabled bool // false: people set the number of nodes
	// Min and Max bound the number of nodes: 1 <= Min <= Max <= MaxNodes,
	// and for a pod for jobs 0 <= Min.
	Min, Max int
	Mode     Mode // default [ModeAct]
	// Policy is the policy's JSON, as [elastic.Registry.Parse] takes it.
	Policy json.RawMessage
}

// DefaultPolicy is the policy of a pod whose user chose none.
const DefaultPolicy = `{"kind":"threshold","lower":0.3,"upper":0.7}`

// WithDefaults returns the elasticity with unset fields filled in for a service
// pod of at most maxNodes nodes.
func (e Elasticity) WithDefaults(maxNodes int) Elasticity {
	return e.For(pod.Spec{Kind: pod.KindService, MaxNodes: maxNodes})
}

// For returns the elasticity with unset fields filled in for a pod. A pod for
// jobs may have no node at all: its Min stays 0 where it is.
func (e Elasticity) For(s pod.Spec) Elasticity {
	if e.Min == 0 {
		e.Min = leastMin(s)
	}
	if e.Max == 0 {
		e.Max = s.MaxNodes
	}
	if e.Mode == "" {
		e.Mode = ModeAct
	}
	if len(e.Policy) == 0 {
		e.Policy = json.RawMessage(DefaultPolicy)
	}
	e.Policy = slices.Clone(e.Policy)
	return e
}

// leastMin is the least number of nodes to which a pod may shrink: jobs wait in
// a queue while there is no node, requests cannot.
func leastMin(s pod.Spec) int {
	if s.Kind == pod.KindJob {
		return 0
	}
	return 1
}

// Validate returns every fault for a service pod as [Faults], or nil.
func (e Elasticity) Validate(maxNodes int, policies *elastic.Registry) error {
	return e.ValidateFor(pod.Spec{Kind: pod.KindService, MaxNodes: maxNodes}, policies)
}

// ValidateFor returns every fault for a pod as [Faults], or nil.
func (e Elasticity) ValidateFor(s pod.Spec, policies *elastic.Registry) error {
	var f Faults
	maxNodes := s.MaxNodes
	if least := leastMin(s); e.Min < least {
		allowed := "use at least 0"
		if least > 0 {
			allowed = "use at least 1: requests cannot wait while there is no node"
		}
		f.Add("min", allowed, "%d is too small", e.Min)
	}
	if e.Max < e.Min {
		f.Add("max", "use at least min ("+strconv.Itoa(e.Min)+")", "%d is below min", e.Max)
	}
	if e.Max > maxNodes {
		f.Add("max", "use at most the pod's max_nodes ("+strconv.Itoa(maxNodes)+")", "%d is above it", e.Max)
	}
	switch e.Mode {
	case ModeAct, ModeDryRun:
	default:
		f.Add("mode", `use "act" or "dry-run"`, "%q is unknown", e.Mode)
	}
	if _, err := policies.Parse(e.Policy); err != nil {
		nest(&f, "policy", err)
	}
	return f.Err()
}
