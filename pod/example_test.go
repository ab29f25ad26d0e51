package pod_test

import (
	"errors"
	"fmt"

	"github.com/elastipod/elastipod/pod"
)

// Validate reports every fault at once, so that a person can mend a spec in one
// go.
func ExampleSpec_Validate() {
	s := pod.Spec{
		Name:     "Web",
		MaxNodes: 5000,
		Workload: pod.Workload{Image: "nginx:1.27", Ports: map[string]int{"http": 80}, Probe: pod.Probe{Path: "healthz"}},
	}
	var faults pod.Faults
	if errors.As(s.Validate(), &faults) {
		for _, f := range faults {
			fmt.Println(f)
		}
	}
	// Output:
	// name: "Web" is not a name; use 1 to 40 of a-z, 0-9 and -, a letter first
	// workload.probe.http: "healthz" is not a path; use a path such as "/healthz"
	// max_nodes: 5000 is out of range; use 1 to 1000
}

// A spec needs a name and something to run; all else has a default.
func ExampleSpec_WithDefaults() {
	s := pod.Spec{
		Name:     "web",
		Workload: pod.Workload{Image: "nginx:1.27", Ports: map[string]int{"http": 80}},
	}.WithDefaults()
	fmt.Println(s.Kind, s.MaxNodes, s.Limits.CPU, s.Limits.Memory>>20, s.Workload.Probe.Kind)
	// Output: service 10 1 256 tcp
}
