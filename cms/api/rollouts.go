package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *API) rolloutRoutes() {
	const path = "/v1/pods/{pod}/rollout"
	register(a, route{
		method: http.MethodGet, path: path, id: "get-rollout", tag: "rollouts", role: Viewer,
		summary: "How far the last change of what a pod runs is, and what it ran so far", errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *podParam) (*output[wire.Rollouts], error) {
		s, err := a.pod(in.Pod)
		if err != nil {
			return nil, err
		}
		return answer(http.StatusOK, shownRollouts(ctx, Rollouts(s))), nil
	})
	begun := []int{http.StatusAccepted, http.StatusOK}
	register(a, route{
		method: http.MethodPost, path: path + "/pause", id: "pause-rollout", tag: "rollouts", role: Operator, summary: "Halt a rollout where it is",
		description: "The pod goes on growing and shrinking; old and new nodes keep their shares.",
		errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podParam) (*output[wire.Pod], error) {
		s, err := a.m.PauseRollout(ctx, in.Pod)
		if err != nil {
			return nil, a.explain(err, in.Pod)
		}
		return answer(http.StatusOK, Pod(s, time.Now())), nil
	})
	register(a, route{
		method: http.MethodPost, path: path + "/resume", id: "resume-rollout", tag: "rollouts", role: Operator, summary: "Let a paused rollout go on",
		statuses: begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
		return a.podAction(ctx, in, a.m.ResumeRollout, converged)
	})
	register(a, route{
		method: http.MethodPost, path: path + "/undo", id: "undo-rollout", tag: "rollouts", role: Operator, summary: "Go back to what a pod ran before",
		description: "A rollout that is under way is ended. With wait, until all nodes are replaced.",
		body:        schemaOf[wire.Undo](a.schemas), bodyOptional: true,
		statuses: begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
		var to wire.Undo
		if data := bodyOf(ctx); len(data) > 0 {
			var refused *problem
			if to, refused = decode[wire.Undo](data); refused != nil {
				return nil, refused
			}
		}
		return a.podAction(ctx, in, func(ctx context.Context, pod string) (cms.PodStatus, error) {
			return a.m.UndoRollout(ctx, pod, to.Revision)
		}, converged)
	})
}

// Rollouts returns the last rollout and the revisions of a pod as users see them.
func Rollouts(s cms.PodStatus) wire.Rollouts {
	return wire.Rollouts{Rollout: rollout(s), Revisions: each(s.Revisions, func(r cms.RevisionRecord) wire.RevisionRecord {
		return wire.RevisionRecord{
			Number: r.Number, At: r.At, Digest: r.Digest, Reason: r.Reason, Current: r.Number == s.Revision,
			Workload: workload(r.Workload), Limits: limits(r.Limits),
		}
	})}
}

func rollout(s cms.PodStatus) *wire.Rollout {
	r := s.Rollout
	if r == nil {
		return nil
	}
	out := &wire.Rollout{
		State: string(r.State), Reason: r.Reason, Strategy: string(r.Strategy), From: r.From, To: r.To,
		Step: r.Step, Steps: r.Steps, Weight: r.Weight, Failures: r.Failures, New: r.Fresh, Ready: r.Ready, Old: r.Old, StartedAt: r.StartedAt,
	}
	if !r.EndedAt.IsZero() {
		out.EndedAt = &r.EndedAt
	}
	return out
}

func updateSpec(f *cms.Faults, w wire.Update) cms.Update {
	out := cms.Update{
		Strategy: cms.UpdateStrategy(w.Strategy), MaxUnavailable: w.MaxUnavailable, MinReady: w.MinReady.Std(), MaxErrors: w.MaxErrors,
		MaxSurge: noneIsMinus(f, "update.max_surge", "none", w.MaxSurge), Failures: noneIsMinus(f, "update.failures", "never", w.Failures),
	}
	for _, s := range w.Steps {
		out.Steps = append(out.Steps, cms.CanaryStep{Weight: s.Weight, Pause: s.Pause.Std()})
	}
	return out
}

// noneIsMinus turns a number whose zero means something, and whose absence means
// the default, into one whose zero is the default.
func noneIsMinus(f *cms.Faults, at, zero string, n *int) int {
	switch {
	case n == nil:
		return 0
	case *n < 0:
		f.Add(at, "use 0 or more; 0 is "+zero, "%s is negative", strconv.Itoa(*n))
		return 0
	case *n == 0:
		return -1
	}
	return *n
}

func updateSettings(u cms.Update) wire.Update {
	out := wire.Update{
		Strategy: string(u.Strategy), MaxSurge: minusIsNone(u.MaxSurge), MaxUnavailable: u.MaxUnavailable,
		MinReady: wire.Duration(u.MinReady), Failures: minusIsNone(u.Failures), MaxErrors: u.MaxErrors,
	}
	for _, s := range u.Steps {
		out.Steps = append(out.Steps, wire.CanaryStep{Weight: s.Weight, Pause: wire.Duration(s.Pause)})
	}
	return out
}

// minusIsNone is the way back of noneIsMinus.
func minusIsNone(n int) *int {
	if n == 0 {
		return nil
	}
	n = max(n, 0)
	return &n
}
