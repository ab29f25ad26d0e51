package podtest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/pod"
)

// Salvage implements [pod.Salvager].
func (f *Fake) Salvage(ctx context.Context) ([]pod.Salvaged, error) {
	done, err := f.begin(ctx, FakeCall{Op: "salvage"})
	if err != nil {
		return nil, err
	}
	h := f.host
	h.mu.Lock()
	var out []pod.Salvaged
	for k, n := range h.nodes {
		if k.cluster.Name != f.cluster.Name || k.cluster.ID == f.cluster.ID || n.node.Phase == "" {
			continue
		}
		s := pod.Salvaged{
			ClusterID: k.cluster.ID, Node: n.view(), Settings: n.request.Settings,
			Entrypoint: slices.Clone(n.request.Workload.Entrypoint), Command: slices.Clone(n.request.Workload.Command), Env: fakeEnv(n, n.request),
		}
		s.Node.Usage = pod.Usage{}
		out = append(out, s)
	}
	h.mu.Unlock()
	slices.SortFunc(out, func(a, b pod.Salvaged) int {
		return cmp.Or(strings.Compare(a.ClusterID, b.ClusterID), strings.Compare(a.Node.ID.Pod, b.Node.ID.Pod), strings.Compare(a.Node.ID.Name, b.Node.ID.Name))
	})
	return out, done(nil)
}
