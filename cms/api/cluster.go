package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

type health = wire.Health

type balancerParams struct {
	Pod string `query:"pod" maxLength:"100" doc:"Only fronts of this pod."`
}

func (a *API) clusterRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/cluster", id: "get-cluster", tag: "cluster", role: Viewer,
		summary: "The cluster in short",
	}, func(context.Context, *noInput) (*output[wire.Cluster], error) {
		return answer(http.StatusOK, Cluster(a.m.Cluster(), a.cfg.Version, time.Now())), nil
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/cluster/init", id: "init-cluster", tag: "cluster", role: Operator,
		summary:     "Create the default pods",
		description: "Creates those of the server's default pods that are missing, and answers with all of them. Asking twice changes nothing.",
		errors:      []int{http.StatusConflict},
	}, func(ctx context.Context, _ *noInput) (*output[wire.List[wire.Pod]], error) {
		pods, err := a.m.Init(ctx)
		if err != nil {
			return nil, err
		}
		return answer(http.StatusOK, podList(pods)), nil
	})
	register(a, route{
		method: http.MethodGet, path: "/v1/balancer", id: "get-balancer", tag: "cluster", role: Viewer,
		summary: "Every front and server with statistics",
	}, func(_ context.Context, in *balancerParams) (*output[wire.Balancer], error) {
		b := Balancer(a.m.Balancer())
		if in.Pod != "" {
			b.Fronts = slices.DeleteFunc(b.Fronts, func(f wire.FrontStats) bool { return f.Pod != in.Pod })
		}
		return answer(http.StatusOK, b), nil
	})
}

func podList(pods []cms.PodStatus) wire.List[wire.Pod] {
	now := time.Now()
	return wire.List[wire.Pod]{Items: each(pods, func(p cms.PodStatus) wire.Pod { return Pod(p, now) })}
}
