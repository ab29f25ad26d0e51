package docker

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/elastipod/elastipod/pod"
)

// Salvage implements [pod.Salvager]: it lists the containers of other clusters
// of our name and inspects each.
func (r *Runtime) Salvage(ctx context.Context) ([]pod.Salvaged, error) {
	return call(ctx, r, "look for nodes of another manager", r.salvage)
}

func (r *Runtime) salvage(ctx context.Context) ([]pod.Salvaged, error) {
	list, err := r.named(ctx)
	if err != nil {
		return nil, err
	}
	f, err := r.engineFacts(ctx)
	if err != nil {
		return nil, err
	}
	var out []pod.Salvaged
	for _, c := range list {
		if c.Labels[LabelClusterID] == r.cluster.ID || !r.isNode(c.Labels, c.Names...) || c.State == container.StateRemoving {
			continue
		}
		full, err := r.inspect(ctx, c.ID)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if labels := full.Config.Labels; labels[LabelClusterID] == r.cluster.ID || !r.isNode(labels, full.Name) {
			continue // another one by now
		}
		out = append(out, r.salvaged(full, f))
	}
	slices.SortFunc(out, func(a, b pod.Salvaged) int {
		return cmp.Or(strings.Compare(a.ClusterID, b.ClusterID), a.Node.ID.Compare(b.Node.ID))
	})
	return out, nil
}

// salvaged reads a container of another manager; it is not remembered.
func (r *Runtime) salvaged(c container.InspectResponse, f *facts) pod.Salvaged {
	n := r.nodeOf(c, f)
	if !c.State.Running && !c.State.Paused {
		n.Phase, n.Endpoints, n.Exit = pod.PhaseExited, nil, &pod.Exit{Code: c.State.ExitCode, OOMKilled: c.State.OOMKilled}
	}
	env := map[string]string{}
	for _, kv := range c.Config.Env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return pod.Salvaged{
		ClusterID: c.Config.Labels[LabelClusterID], Node: n, Settings: c.Config.Labels[LabelSettings],
		Entrypoint: slices.Clone(c.Config.Entrypoint), Command: slices.Clone(c.Config.Cmd), Env: env,
	}
}
