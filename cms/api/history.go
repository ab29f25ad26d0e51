package api

import (
	"context"
	"net/http"
	"time"

	"github.com/elastipod/elastipod/cms/wire"
)

type decisionParams struct {
	Pod   string `path:"pod" doc:"The pod's name." example:"web"`
	Limit int    `query:"limit" minimum:"1" maximum:"100000" default:"20" doc:"The most ticks in the answer."`
}

type metricsParams struct {
	Pod   string `path:"pod" doc:"The pod's name." example:"web"`
	Since string `query:"since" maxLength:"64" doc:"A time (RFC 3339), or a duration before now. Default: everything kept." example:"5m"`
}

func (a *API) historyRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/pods/{pod}/decisions", id: "list-decisions", tag: "elasticity", role: Viewer,
		summary: "The last ticks of a pod, newest first: what was seen, decided and why", errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *decisionParams) (*output[wire.List[wire.Tick]], error) {
		ticks, err := a.m.Ticks(in.Pod, in.Limit)
		if err != nil {
			return nil, a.explain(err, in.Pod)
		}
		return answer(http.StatusOK, wire.List[wire.Tick]{Items: each(ticks, Tick)}), nil
	})
	register(a, route{
		method: http.MethodGet, path: "/v1/pods/{pod}/metrics", id: "list-samples", tag: "elasticity", role: Viewer,
		summary: "What was measured of a pod, oldest first", errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *metricsParams) (*output[wire.List[wire.Sample]], error) {
		since, err := parseSince(in.Since)
		if err != nil {
			return nil, err
		}
		samples, err := a.m.Samples(in.Pod, since)
		if err != nil {
			return nil, a.explain(err, in.Pod)
		}
		return answer(http.StatusOK, wire.List[wire.Sample]{Items: each(samples, Sample)}), nil
	})
}

func parseSince(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if d, err := wire.ParseDuration(s); err == nil {
		return time.Now().Add(-d.Std()), nil
	}
	return time.Time{}, invalidField("since", `use a time such as "2026-11-05T10:00:00Z", or a duration such as "5m"`, "%.64q is neither", s)
}
