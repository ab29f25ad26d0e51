package podtest

import (
	"cmp"
	"context"
	"slices"

	"github.com/elastipod/elastipod/pod"
)

// Salvage implements [pod.Salvager].
func (f *Fake) Salvage(ctx context.Context) ([]pod.Salvaged, error) {
	return do(ctx, f, FakeCall{Op: "salvage"}, f.salvage)
}

func (f *Fake) salvage() (out []pod.Salvaged, err error) {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	for k, n := range f.host.nodes {
		if k.cluster.Name != f.cluster.Name || k.cluster.ID == f.cluster.ID || n.node.Phase == "" {
			continue
		}
		w := n.request.Workload.Clone()
		s := pod.Salvaged{
			ClusterID: k.cluster.ID, Node: n.view(), Settings: n.request.Settings,
			Entrypoint: w.Entrypoint, Command: w.Command, Env: n.env(),
		}
		s.Node.Usage = pod.Usage{}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b pod.Salvaged) int {
		return cmp.Or(cmp.Compare(a.ClusterID, b.ClusterID), a.Node.ID.Compare(b.Node.ID))
	})
	return out, nil
}
