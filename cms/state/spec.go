package state

import (
	"slices"
	"strconv"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/internal/fault"
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

// Validate returns every fault of the spec as [fault.List], or nil.
func (s PodSpec) Validate() error {
	var f fault.List
	f.NestErr("", s.Spec.Validate())
	f.NestErr("update", s.Update.Validate())
	full := s.WithDefaults()
	names, addrs := map[string]bool{}, map[string]bool{}
	for i, front := range full.Fronts {
		at := "fronts[" + strconv.Itoa(i) + "]"
		f.NestErr(at, front.Validate())
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

// Named says whether one of the fronts has that name.
func Named(fronts []Front, name string) bool {
	return slices.ContainsFunc(fronts, func(f Front) bool { return f.Name == name })
}

// Equal says whether two fronts are the same.
func (f Front) Equal(o Front) bool { return f.Port == o.Port && f.Front.Equal(o.Front) }
