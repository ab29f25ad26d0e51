package serve

import (
	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// builtinPods are light, medium and heavy, whose nodes run this program. A
// program without a workload has none.
func (st *stack) builtinPods() []cms.PodSpec {
	if st.image == nil {
		return nil
	}
	var out []cms.PodSpec
	for _, p := range []struct {
		name, listen string
		cpu          float64
		memory       int64
		nodes        int
	}{
		{"light", "127.0.0.1:5000", 0.3, 100 << 20, 20},
		{"medium", "127.0.0.1:5001", 0.5, 300 << 20, 15},
		{"heavy", "127.0.0.1:5002", 0.8, 500 << 20, 10},
	} {
		out = append(out, cms.PodSpec{
			Spec: pod.Spec{
				Name: p.name, MaxNodes: p.nodes, Limits: pod.Limits{CPU: p.cpu, Memory: p.memory},
				Workload: st.workload(p.name),
			},
			Fronts: []cms.Front{{Front: balancer.Front{Name: p.name, Listen: p.listen}}},
		})
	}
	return out
}

func (st *stack) workload(kind string) pod.Workload {
	w := pod.Workload{Ports: map[string]int{"http": 8080}, Probe: pod.Probe{Path: "/healthz"}}
	if st.stack == stackDocker {
		w.Image, w.Pull = st.image.ref, pod.PullNever
		w.Command, w.User, w.Security = []string{kind}, "65534:65534", pod.SecurityStrict
		return w
	}
	w.Command = []string{st.link, cmdWorkload, "--bind", "127.0.0.1", kind}
	return w
}
