package api

import (
	"context"
	"net/http"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *API) elasticityRoutes() {
	const path = "/v1/pods/{pod}/elasticity"
	register(a, route{
		method: http.MethodGet, path: path, id: "get-elasticity", tag: "elasticity", role: Viewer, summary: "How a pod grows and shrinks",
		errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *podParam) (*output[wire.Elasticity], error) {
		s, err := a.pod(in.Pod)
		if err != nil {
			return nil, err
		}
		return answer(http.StatusOK, Elasticity(s)), nil
	})
	statuses, errs := []int{http.StatusOK, http.StatusAccepted}, []int{http.StatusNotFound, http.StatusConflict}
	const more = "\n\nWhile it is enabled, registering, launching and removing nodes answer 409. 202 while the pod is being brought inside its bounds."
	register(a, route{
		method: http.MethodPut, path: path, id: "replace-elasticity", tag: "elasticity", role: Operator, summary: "Set how a pod grows and shrinks",
		description: "What is left out gets its default." + more,
		body:        schemaOf[wire.Elasticity](a.schemas), statuses: statuses, errors: errs,
	}, func(ctx context.Context, in *podWait) (*output[wire.Elasticity], error) {
		e, refused := decode[wire.Elasticity](bodyOf(ctx))
		if refused != nil {
			return nil, refused
		}
		return a.setElasticity(ctx, in, func(cms.PodStatus) (wire.Elasticity, error) { return e, nil })
	})
	register(a, route{
		method: http.MethodPatch, path: path, id: "change-elasticity", tag: "elasticity", role: Operator, summary: "Change how a pod grows and shrinks",
		description: "A policy of another kind takes the place of the whole policy, whose other settings would mean nothing to it." + more,
		body:        patchSchema[wire.Elasticity](a), statuses: statuses, errors: errs,
	}, func(ctx context.Context, in *podWait) (*output[wire.Elasticity], error) {
		patch, refused := parseObject(bodyOf(ctx))
		if refused != nil {
			return nil, refused
		}
		return a.setElasticity(ctx, in, func(now cms.PodStatus) (wire.Elasticity, error) {
			e, refused := patchElasticity(a, now, patch)
			if refused != nil {
				return e, refused
			}
			return e, nil
		})
	})
	register(a, route{
		method: http.MethodDelete, path: path, id: "reset-elasticity", tag: "elasticity", role: Operator, summary: "Switch elasticity off and forget its settings",
		description: "The pod keeps the nodes that it has. To keep the settings, PATCH {\"enabled\":false}.",
		statuses:    statuses, errors: errs,
	}, func(ctx context.Context, in *podWait) (*output[wire.Elasticity], error) {
		return a.setElasticity(ctx, in, func(cms.PodStatus) (wire.Elasticity, error) { return wire.Elasticity{}, nil })
	})
}

// patchElasticity merges a patch into the elasticity of a pod. A policy of
// another kind is taken whole.
func patchElasticity(a *API, now cms.PodStatus, patch map[string]any) (wire.Elasticity, *problem) {
	settings := elasticitySettings(now.Elasticity)
	if policy, ok := patch["policy"].(map[string]any); ok && policy["kind"] != nil {
		if old, refused := toObject(settings.Policy); refused != nil || old["kind"] != policy["kind"] {
			settings.Policy = nil
		}
	}
	return patched(settings, patch)
}

func (a *API) setElasticity(ctx context.Context, in *podWait, settings func(cms.PodStatus) (wire.Elasticity, error)) (*output[wire.Elasticity], error) {
	now, err := a.pod(in.Pod)
	if err != nil {
		return nil, err
	}
	e, err := settings(now)
	if err != nil {
		return nil, err
	}
	spec, err := ElasticitySpec(e, now.Spec.MaxNodes, a.m.Policies())
	if err != nil {
		return nil, err
	}
	s, err := a.m.SetElasticity(ctx, in.Pod, spec)
	if err != nil {
		return nil, a.explain(err, in.Pod)
	}
	s, done, err := a.await(ctx, s, in.Wait, converged)
	if err != nil {
		return nil, err
	}
	return answer(doneStatus(done), Elasticity(s)), nil
}
