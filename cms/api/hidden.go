package api

import (
	"context"
	"maps"
	"slices"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

// hidden stands for a value that only operators may read.
const hidden = "[redacted]"

// seesEnv says whether who asks may read the values of environment variables:
// who may set them may, others may not, as passwords are put there.
func seesEnv(ctx context.Context) bool {
	role := tokenOf(ctx).role // none where there are no tokens
	return role == "" || role.rank() >= Operator.rank()
}

// shownPod returns a pod as the one who asks may see it.
func shownPod(ctx context.Context, p wire.Pod) wire.Pod {
	if !seesEnv(ctx) {
		p.Workload = withoutEnv(p.Workload)
	}
	return p
}

func shownPods(ctx context.Context, pods []wire.Pod) []wire.Pod {
	for i := range pods {
		pods[i] = shownPod(ctx, pods[i])
	}
	return pods
}

func shownRollouts(ctx context.Context, r wire.Rollouts) wire.Rollouts {
	if !seesEnv(ctx) {
		for i := range r.Revisions {
			r.Revisions[i].Workload = withoutEnv(r.Revisions[i].Workload)
		}
	}
	return r
}

// withoutEnv returns a workload with the names of its variables only.
func withoutEnv(w wire.Workload) wire.Workload {
	env := make(map[string]string, len(w.Env))
	for name := range w.Env {
		env[name] = hidden
	}
	if w.Env != nil {
		w.Env = env
	}
	return w
}

// checkHidden keeps what a viewer read from being written back as if it were a
// value.
func checkHidden(f *cms.Faults, env map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if env[name] == hidden {
			f.Add("workload.env."+name, "read the pod with the token of an operator, and write that back", "is what stands for a value that only operators may read")
		}
	}
}
