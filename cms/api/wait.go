package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// maxWait is the longest that a request may wait.
const maxWait = 10 * time.Minute

type waitParam struct {
	Wait waitFor `query:"wait" maxLength:"40" doc:"Wait until it is done, at most so long: a duration up to 10m. Default: do not wait." example:"30s"`
}

type podWait struct {
	Pod  string  `path:"pod" doc:"The pod's name." example:"web"`
	Wait waitFor `query:"wait" maxLength:"40" doc:"Wait until it is done, at most so long: a duration up to 10m. Default: do not wait." example:"30s"`
}

// waitFor is how long a request waits; 0 does not.
type waitFor struct{ time.Duration }

// UnmarshalText reads a duration.
func (w *waitFor) UnmarshalText(text []byte) error {
	d, err := wire.ParseDuration(string(text))
	if err != nil || d.Std() > maxWait {
		return errors.New(`use a duration up to 10m, such as "30s"`)
	}
	w.Duration = d.Std()
	return nil
}

func doneStatus(done bool) int {
	if done {
		return http.StatusOK
	}
	return http.StatusAccepted
}

func converged(s cms.PodStatus) bool { return s.Converged }

// never waits until the pod is gone.
func never(cms.PodStatus) bool { return false }

// limited bounds how long a request waits. One that still waits when the server ends
// answers how far it got.
func (a *API) limited(ctx context.Context, wait waitFor) (context.Context, func()) {
	limited, cancel := context.WithTimeout(ctx, wait.Duration)
	stop := context.AfterFunc(a.streams.ctx, cancel)
	return limited, func() { stop(); cancel() }
}

// await waits for a pod that is in state s now, and returns how it is then and
// whether it was done in time. A pod that is gone is done.
func (a *API) await(ctx context.Context, s cms.PodStatus, wait waitFor, until func(cms.PodStatus) bool) (cms.PodStatus, bool, error) {
	if until(s) {
		return s, true, nil
	}
	if wait.Duration == 0 {
		return s, false, nil
	}
	limited, cancel := a.limited(ctx, wait)
	defer cancel()
	last, err := a.m.WaitPod(limited, s.Spec.Name, func(now cms.PodStatus) bool {
		s = now
		return until(now)
	})
	switch {
	case err == nil:
		return last, true, nil
	case errors.Is(err, cms.ErrNotFound):
		return s, true, nil
	case limited.Err() != nil && ctx.Err() == nil:
		return s, false, nil // what was begun goes on
	}
	return s, false, err
}

// awaitNode waits until the node is in one of the states, or gone, and returns
// it as it is then.
func (a *API) awaitNode(ctx context.Context, n cms.NodeStatus, wait waitFor, states ...pod.State) (cms.NodeStatus, bool, error) {
	until := func(s cms.PodStatus) bool {
		n = nodeIn(s, n)
		return n.State == pod.StateGone || slices.Contains(states, n.State)
	}
	if slices.Contains(states, n.State) || n.State == pod.StateGone {
		return n, true, nil
	}
	if wait.Duration == 0 {
		return n, false, nil
	}
	s, err := a.m.Pod(n.Pod)
	if err != nil {
		return n, false, err
	}
	_, done, err := a.await(ctx, s, wait, until)
	if done && !slices.Contains(states, n.State) {
		n.State = pod.StateGone // with its pod
	}
	return n, done, err
}

// nodeIn returns the node as it is in s. One that is not there is gone.
func nodeIn(s cms.PodStatus, n cms.NodeStatus) cms.NodeStatus {
	for _, now := range s.Nodes {
		if now.Name == n.Name {
			return now
		}
	}
	n.State = pod.StateGone
	return n
}
