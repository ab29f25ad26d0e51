package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

type nodeParam struct {
	Pod  string `path:"pod" doc:"The pod's name." example:"web"`
	Node string `path:"node" doc:"The node's name." example:"web-1"`
}

type podPage struct {
	Pod   string `path:"pod" doc:"The pod's name." example:"web"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" doc:"The most items in the answer. Default: all."`
	After string `query:"after" maxLength:"400" doc:"The next of the previous answer."`
}

type nodeWait struct {
	Pod  string  `path:"pod" doc:"The pod's name." example:"web"`
	Node string  `path:"node" doc:"The node's name." example:"web-1"`
	Wait waitFor `query:"wait" maxLength:"40" doc:"Wait until it is done, at most so long: a duration up to 10m. Default: do not wait." example:"30s"`
}

func (a *API) nodeRoutes() {
	register(a, route{
		method: http.MethodGet, path: "/v1/pods/{pod}/nodes", id: "list-nodes", tag: "nodes", role: Viewer, summary: "A pod's nodes, oldest first",
		errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *podPage) (*output[wire.List[wire.Node]], error) {
		s, err := a.pod(in.Pod)
		if err != nil {
			return nil, err
		}
		return answer(http.StatusOK, page(in.Limit, in.After, each(s.Nodes, Node), byAge)), nil
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/pods/{pod}/nodes", id: "register-node", tag: "nodes", role: Operator, summary: "Register a node",
		description: "It is new until it is launched. The body may be left out.",
		body:        schemaOf[wire.NewNode](a.schemas), bodyOptional: true,
		statuses: []int{http.StatusCreated}, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.registerNode)
	register(a, route{
		method: http.MethodGet, path: "/v1/pods/{pod}/nodes/{node}", id: "get-node", tag: "nodes", role: Viewer, summary: "One node",
		errors: []int{http.StatusNotFound},
	}, func(_ context.Context, in *nodeParam) (*output[wire.Node], error) {
		n, err := a.m.Node(in.Pod, in.Node)
		if err != nil {
			return nil, a.explainNode(err, in.Pod, in.Node)
		}
		return answer(http.StatusOK, Node(n)), nil
	})
	begun := []int{http.StatusAccepted, http.StatusOK}
	register(a, route{
		method: http.MethodDelete, path: "/v1/pods/{pod}/nodes/{node}", id: "remove-node", tag: "nodes", role: Operator, summary: "Drain, stop and remove a node",
		statuses: begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *nodeWait) (*output[wire.Node], error) {
		n, err := a.m.RemoveNode(ctx, in.Pod, in.Node)
		if err != nil {
			return nil, a.explainNode(err, in.Pod, in.Node)
		}
		return a.nodeAnswer(ctx, n, in.Wait, pod.StateGone)
	})
	register(a, route{
		method: http.MethodPost, path: "/v1/pods/{pod}/launch", id: "launch-node", tag: "nodes", role: Operator, summary: "Start the oldest new node",
		description: "With wait, until it is online or has failed; its state tells which.",
		statuses:    begun, errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *podWait) (*output[wire.Node], error) {
		n, err := a.m.Launch(ctx, in.Pod)
		if err != nil {
			return nil, a.explain(err, in.Pod)
		}
		return a.nodeAnswer(ctx, n, in.Wait, pod.StateOnline, pod.StateFailed)
	})
	a.logRoute()
}

// byAge is what lists of nodes are sorted by, as the manager sorts them.
func byAge(n wire.Node) string {
	return fmt.Sprintf("%020d.%s", n.CreatedAt.UnixNano(), n.Name)
}

func (a *API) registerNode(ctx context.Context, in *podParam) (*created[wire.Node], error) {
	var want wire.NewNode
	if data := bodyOf(ctx); len(data) > 0 {
		var refused *problem
		if want, refused = decode[wire.NewNode](data); refused != nil {
			return nil, refused
		}
	}
	if want.Name != "" && !pod.ValidName(want.Name) {
		return nil, invalidField("name", "use 1 to 40 of a-z, 0-9 and -, a letter first, or leave it out", "%.80q is not a name", want.Name)
	}
	n, err := a.m.RegisterNode(ctx, in.Pod, want.Name)
	if err != nil {
		return nil, a.explain(err, in.Pod)
	}
	return &created[wire.Node]{Location: "/v1/pods/" + n.Pod + "/nodes/" + n.Name, Body: Node(n)}, nil
}

func (a *API) nodeAnswer(ctx context.Context, n cms.NodeStatus, wait waitFor, states ...pod.State) (*output[wire.Node], error) {
	n, done, err := a.awaitNode(ctx, n, wait, states...)
	if err != nil {
		return nil, err
	}
	return answer(doneStatus(done), Node(n)), nil
}

// explainNode adds to "not found" which pod or node may have been meant.
func (a *API) explainNode(err error, podName, node string) error {
	if !errors.Is(err, cms.ErrNotFound) && !errors.Is(err, pod.ErrNotFound) {
		return err
	}
	s, podErr := a.pod(podName)
	if podErr != nil {
		return podErr
	}
	names := each(s.Nodes, func(n cms.NodeStatus) string { return n.Name })
	if slices.Contains(names, node) {
		return err // something of the node is missing, not the node
	}
	return noSuch(fmt.Sprintf("pod %q has no node", podName), node, names, "/v1/pods/"+podName+"/nodes")
}
