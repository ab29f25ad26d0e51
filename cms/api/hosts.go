package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

type hostParam struct {
	Host string `path:"host" doc:"The host's name." example:"local"`
}

type removeHostParams struct {
	Host  string  `path:"host" doc:"The host's name." example:"local"`
	Wait  waitFor `query:"wait" maxLength:"40" doc:"Wait until it is done, at most so long: a duration up to 10m. Default: do not wait." example:"30s"`
	Drain bool    `query:"drain" doc:"Move its nodes to other hosts first. Without it, a host with nodes stays."`
}

func (a *API) hostRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/hosts", id: "list-hosts", tag: "hosts", role: Viewer, summary: "All hosts, by name, with capacity, use and reachability",
	}, func(_ context.Context, in *pageParams) (*output[wire.List[wire.Host]], error) {
		return answer(http.StatusOK, page(in.Limit, in.After, each(a.m.Hosts(), Host), func(h wire.Host) string { return h.Name })), nil
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/hosts", id: "add-host", tag: "hosts", role: Operator, summary: "Add a host",
		body: schemaOf[wire.Host](a.schemas), statuses: []int{http.StatusCreated}, errors: []int{http.StatusConflict},
	}, func(ctx context.Context, _ *noInput) (*created[wire.Host], error) {
		h, refused := decode[wire.Host](bodyOf(ctx))
		if refused != nil {
			return nil, refused
		}
		spec, err := HostSpec(h)
		if err != nil {
			return nil, err
		}
		s, err := a.m.AddHost(ctx, spec)
		if err != nil {
			return nil, err
		}
		return &created[wire.Host]{Location: "/v1/hosts/" + spec.Name, Body: Host(s)}, nil
	})
	register(a, route{
		method: http.MethodGet, path: "/v1/hosts/{host}", id: "get-host", tag: "hosts", role: Viewer, summary: "One host",
		errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *hostParam) (*output[wire.Host], error) {
		s, err := a.host(in.Host)
		if err != nil {
			return nil, err
		}
		return answer(http.StatusOK, Host(s)), nil
	})
	register(a, route{
		method: http.MethodPatch, path: "/v1/hosts/{host}", id: "change-host", tag: "hosts", role: Operator, summary: "Cordon or uncordon a host",
		description: "Only cordoned can be changed; for anything else, remove the host and add it again.",
		body:        patchSchema[wire.Host](a), errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.changeHost)
	register(a, route{
		method: http.MethodDelete, path: "/v1/hosts/{host}", id: "remove-host", tag: "hosts", role: Operator, summary: "Remove a host",
		description: "409 while it has nodes, unless drain is asked for.",
		statuses:    []int{http.StatusAccepted, http.StatusOK}, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.removeHost)
}

func (a *API) host(name string) (cms.HostStatus, error) {
	s, err := a.m.Host(name)
	return s, a.explainHost(err, name)
}

func (a *API) explainHost(err error, name string) error {
	if !errors.Is(err, cms.ErrNotFound) {
		return err
	}
	names := each(a.m.Hosts(), func(h cms.HostStatus) string { return h.Host.Name })
	return noSuch("there is no host", name, names, "/v1/hosts")
}

func (a *API) changeHost(ctx context.Context, in *hostParam) (*output[wire.Host], error) {
	patch, refused := parseObject(bodyOf(ctx))
	if refused != nil {
		return nil, refused
	}
	now, err := a.host(in.Host)
	if err != nil {
		return nil, err
	}
	before := HostSettings(now.Host)
	after, refused := patched(before, patch)
	if refused != nil {
		return nil, refused
	}
	if err := onlyCordoned(before, after); err != nil {
		return nil, err
	}
	if after.Cordoned == before.Cordoned {
		return answer(http.StatusOK, Host(now)), nil
	}
	s, err := a.m.CordonHost(ctx, in.Host, after.Cordoned)
	if err != nil {
		return nil, a.explainHost(err, in.Host)
	}
	return answer(http.StatusOK, Host(s)), nil
}

// onlyCordoned returns a fault for each other field that differs.
func onlyCordoned(before, after wire.Host) error {
	x, refused := toObject(before)
	if refused != nil {
		return refused
	}
	y, refused := toObject(after)
	if refused != nil {
		return refused
	}
	var f cms.Faults
	names := maps.Clone(x)
	maps.Copy(names, y)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name != "cordoned" && !reflect.DeepEqual(x[name], y[name]) {
			f.Add(name, "change cordoned only, or remove the host and add it again", "cannot be changed while the host is there")
		}
	}
	return f.Err()
}

func (a *API) removeHost(ctx context.Context, in *removeHostParams) (*output[wire.Host], error) {
	s, err := a.m.RemoveHost(ctx, in.Host, in.Drain)
	if err != nil {
		return nil, a.explainHost(err, in.Host)
	}
	s, done, err := a.awaitNoHost(ctx, s, in.Wait)
	if err != nil {
		return nil, err
	}
	return answer(doneStatus(done), Host(s)), nil
}

// hostPoll is how often a request looks whether its host is gone.
const hostPoll = 100 * time.Millisecond

// awaitNoHost waits until the host is gone and returns how it was last.
func (a *API) awaitNoHost(ctx context.Context, s cms.HostStatus, wait waitFor) (cms.HostStatus, bool, error) {
	limited, cancel := a.limited(ctx, wait)
	defer cancel()
	poll := time.NewTicker(hostPoll)
	defer poll.Stop()
	for {
		now, err := a.m.Host(s.Host.Name)
		switch {
		case errors.Is(err, cms.ErrNotFound):
			return s, true, nil
		case err != nil:
			return s, false, err
		}
		s = now
		select {
		case <-limited.Done():
			return s, false, ctx.Err()
		case <-poll.C:
		}
	}
}
