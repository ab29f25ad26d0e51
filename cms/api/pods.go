package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

type podParam struct {
	Pod string `path:"pod" doc:"The pod's name." example:"web"`
}

func (a *API) podRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/pods", id: "list-pods", tag: "pods", role: Viewer, summary: "All pods, by name",
	}, func(ctx context.Context, in *pageParams) (*output[wire.List[wire.Pod]], error) {
		return answer(http.StatusOK, page(in.Limit, in.After, shownPods(ctx, podList(a.m.Pods()).Items), func(p wire.Pod) string { return p.Name })), nil
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/pods", id: "create-pod", tag: "pods", role: Operator, summary: "Create a pod",
		description: "It has no nodes at first: register and launch them, or switch its elasticity on.",
		body:        schemaOf[wire.Pod](a.schemas), statuses: []int{http.StatusCreated}, errors: []int{http.StatusConflict},
	}, a.createPod)
	register(a, route{
		method: http.MethodGet, path: "/v1/pods/{pod}", id: "get-pod", tag: "pods", role: Viewer, summary: "One pod",
		errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *podParam) (*output[wire.Pod], error) {
		s, err := a.pod(in.Pod)
		if err != nil {
			return nil, err
		}
		return answer(http.StatusOK, shownPod(ctx, Pod(s, time.Now()))), nil
	})
	changed := []int{http.StatusOK, http.StatusAccepted}
	register(a, route{
		method: http.MethodPut, path: "/v1/pods/{pod}", id: "replace-pod", tag: "pods", role: Operator, summary: "Replace a pod's settings",
		description: "Settings that are left out get their defaults. 202 while its nodes are still being replaced.",
		body:        schemaOf[wire.Pod](a.schemas), statuses: changed, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.replacePod)
	register(a, route{
		method: http.MethodPatch, path: "/v1/pods/{pod}", id: "change-pod", tag: "pods", role: Operator, summary: "Change some of a pod's settings",
		description: "Naming one kind of probe (http, tcp, healthcheck or none), or another strategy of updates, takes the place of what is set. 202 while its nodes are still being replaced.",
		body:        patchSchema[wire.Pod](a), statuses: changed, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.changePod)
	begun := []int{http.StatusAccepted, http.StatusOK}
	register(a, route{
		method: http.MethodDelete, path: "/v1/pods/{pod}", id: "delete-pod", tag: "pods", role: Operator, summary: "Drain and remove a pod",
		description: "With wait, its state is gone once nothing is left of it.",
		statuses:    begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
		out, err := a.podAction(ctx, in, a.m.DeletePod, never)
		if err == nil && out.Status == http.StatusOK {
			out.Body.Status.State = "gone"
		}
		return out, err
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/pods/{pod}/restart", id: "restart-pod", tag: "pods", role: Operator, summary: "Replace every node of a pod",
		description: "Makes a new revision of the same settings and rolls it out as the pod's update says. The image's tag is resolved anew. With wait, until all nodes are replaced.",
		statuses:    begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
		return a.podAction(ctx, in, a.m.RestartPod, converged)
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/pods/{pod}/pause", id: "pause-pod", tag: "pods", role: Operator, summary: "Take a pod's nodes out of the balancer",
		description: "Requests in flight are finished; new ones get 503. The nodes go on, and their wanted number stays.",
		statuses:    begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
		return a.podAction(ctx, in, a.m.Pause, converged)
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/pods/{pod}/resume", id: "resume-pod", tag: "pods", role: Operator, summary: "Put a pod's nodes back into the balancer",
		statuses: begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
		return a.podAction(ctx, in, a.m.Resume, converged)
	})
}

// pod returns a pod, or an error that names one like it.
func (a *API) pod(name string) (cms.PodStatus, error) {
	s, err := a.m.Pod(name)
	return s, a.explain(err, name)
}

// explain adds to "not found" which pod may have been meant.
func (a *API) explain(err error, name string) error {
	if !errors.Is(err, cms.ErrNotFound) {
		return err
	}
	names := each(a.m.Pods(), func(p cms.PodStatus) string { return p.Spec.Name })
	if slices.Contains(names, name) {
		return err // something of the pod is missing, not the pod
	}
	return noSuch("there is no pod", name, names, "/v1/pods")
}

func (a *API) createPod(ctx context.Context, in *waitParam) (*created[wire.Pod], error) {
	p, refused := decode[wire.Pod](bodyOf(ctx))
	if refused != nil {
		return nil, refused
	}
	spec, err := PodSpec(p)
	if err != nil {
		return nil, err
	}
	s, err := a.m.CreatePod(ctx, spec)
	if err != nil {
		return nil, err
	}
	if s, _, err = a.await(ctx, s, in.Wait, converged); err != nil {
		return nil, err
	}
	return &created[wire.Pod]{Location: "/v1/pods/" + spec.Name, Body: Pod(s, time.Now())}, nil
}

func (a *API) replacePod(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
	object, refused := parseObject(bodyOf(ctx))
	if refused != nil {
		return nil, refused
	}
	if object["name"] == nil {
		object["name"] = in.Pod
	}
	if _, err := a.pod(in.Pod); err != nil {
		return nil, err
	}
	p, refused := fill[wire.Pod](object)
	if refused != nil {
		return nil, refused
	}
	return a.updatePod(ctx, in, p)
}

func (a *API) changePod(ctx context.Context, in *podWait) (*output[wire.Pod], error) {
	patch, refused := parseObject(bodyOf(ctx))
	if refused != nil {
		return nil, refused
	}
	now, err := a.pod(in.Pod)
	if err != nil {
		return nil, err
	}
	oneProbe(patch)
	oneStrategy(patch)
	p, refused := patched(PodSettings(now.Spec), patch)
	if refused != nil {
		return nil, refused
	}
	return a.updatePod(ctx, in, p)
}

// oneProbe makes a patch that names one kind of probe take away the others:
// they exclude each other, and a user who wants one did not choose the default.
func oneProbe(patch map[string]any) {
	workload, _ := patch["workload"].(map[string]any)
	probe, _ := workload["probe"].(map[string]any)
	kinds := []string{"http", "tcp", "healthcheck", "none"}
	for _, kind := range kinds {
		if v, named := probe[kind]; !named || v == nil || v == false {
			continue
		}
		for _, other := range kinds {
			if _, named := probe[other]; !named {
				probe[other] = nil
			}
		}
		return
	}
}

// oneStrategy makes a patch that names a strategy take away what only another
// has.
func oneStrategy(patch map[string]any) {
	update, _ := patch["update"].(map[string]any)
	strategy, named := update["strategy"]
	if !named {
		return
	}
	own := []string{"max_errors"} // whose default the strategy decides
	if strategy != string(cms.Canary) {
		own = append(own, "steps")
	}
	for _, field := range own {
		if _, named := update[field]; !named {
			update[field] = nil
		}
	}
}

func (a *API) updatePod(ctx context.Context, in *podWait, p wire.Pod) (*output[wire.Pod], error) {
	var faults cms.Faults
	if p.Name != in.Pod {
		faults.Add("name", "leave it out, or create another pod", "%.80q is not the name of this pod, %q: pods cannot be renamed", p.Name, in.Pod)
	}
	spec, err := PodSpec(p)
	faults.NestErr("", err)
	if len(faults) > 0 {
		return nil, faults
	}
	return a.podAction(ctx, in, func(ctx context.Context, _ string) (cms.PodStatus, error) {
		return a.m.UpdatePod(ctx, spec)
	}, converged)
}

// podAction begins something and waits for it as long as was asked for.
func (a *API) podAction(ctx context.Context, in *podWait, begin func(context.Context, string) (cms.PodStatus, error), until func(cms.PodStatus) bool) (*output[wire.Pod], error) {
	s, err := begin(ctx, in.Pod)
	if err != nil {
		return nil, a.explain(err, in.Pod)
	}
	s, done, err := a.await(ctx, s, in.Wait, until)
	if err != nil {
		return nil, err
	}
	return answer(doneStatus(done), Pod(s, time.Now())), nil
}
