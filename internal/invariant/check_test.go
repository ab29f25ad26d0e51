package invariant

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// well is a cluster at rest in which all is as it should be: an elastic pod on
// two hosts, with a registered node and one that failed, and a paused pod.
func well() View {
	node := func(name, host, addr string) Node {
		return Node{Name: name, State: online, Host: host, Revision: 2, Endpoints: map[string]string{"http": addr}, CPU: 0.1, Memory: 100}
	}
	return View{
		AtRest: true,
		Pods: []Pod{
			{
				Name: "web", State: active, Want: 3, MaxNodes: 5, Elastic: true, Min: 2, Max: 4, Revision: 2, Converged: true,
				Fronts:  []PodFront{{Name: "web", Listen: "127.0.0.1:5100", Port: "http"}},
				Rollout: PodRollout{State: "done", From: 1, To: 2},
				Nodes: []Node{
					node("n1", "a", "10.0.0.1:80"), node("n2", "a", "10.0.0.2:80"), node("n3", "b", "10.0.1.1:80"),
					{Name: "n4", State: fresh}, {Name: "n5", State: failed, Host: "b", Revision: 1},
				},
			},
			{
				Name: "idle", State: paused, Want: 1, MaxNodes: 1, Revision: 2, Converged: true,
				Fronts:  []PodFront{{Name: "idle", Listen: "127.0.0.1:5101", Port: "http"}},
				Rollout: PodRollout{State: "rolled-back", From: 2, To: 3},
				Nodes:   []Node{node("n1", "b", "10.0.1.2:80")},
			},
		},
		Hosts: []Host{
			{Name: "a", Reachable: true, Nodes: 2, CPU: 0.2, Memory: 200, Capacity: 1000, Running: &[]Instance{{"web", "n1", true}, {"web", "n2", true}}},
			{Name: "b", Reachable: true, Nodes: 2, CPU: 0.1 + 0.1, Memory: 200, Running: &[]Instance{{"idle", "n1", true}, {"web", "n3", true}}},
			{Name: "old", Reachable: true, Removed: true, Running: &[]Instance{}},
		},
		Fronts: &[]Front{
			{Name: "web", Listen: "127.0.0.1:5100", Servers: []Server{{"n1", "10.0.0.1:80", ready}, {"n2", "10.0.0.2:80", ready}, {"n3", "10.0.1.1:80", ready}}},
			{Name: "idle", Listen: "127.0.0.1:5101", Servers: []Server{{"n1", "10.0.1.2:80", "drain"}}},
		},
		Stored: &Stored{
			Hosts: []string{"b", "a"},
			Pods: []StoredPod{
				{Name: "idle", State: paused, Want: 1, Nodes: map[string]string{"n1": online}},
				{Name: "web", State: active, Want: 3, Nodes: map[string]string{"n1": online, "n2": online, "n3": online, "n4": fresh, "n5": failed}},
			},
		},
	}
}

func TestWell(t *testing.T) {
	assert.NoError(t, Check(well()))
	assert.NoError(t, Check(View{AtRest: true}), "an empty cluster")
}

// Whatever is bent is found, as what it is.
func TestEveryViolationIsFound(t *testing.T) {
	type bend func(*View)
	for name, c := range map[string]struct {
		want error
		bend bend
		// always says that it is found at any moment, not at rest only.
		always bool
	}{
		"wants more than it may have":        {ErrBounds, func(v *View) { v.Pods[0].MaxNodes = 2 }, true},
		"wants less than nothing":            {ErrBounds, func(v *View) { v.Pods[1].Want = -1 }, true},
		"wants less than its min":            {ErrBounds, func(v *View) { v.Pods[0].Min = 4 }, true},
		"wants more than its max":            {ErrBounds, func(v *View) { v.Pods[0].Max = 2 }, true},
		"has fewer than wanted":              {ErrBounds, func(v *View) { v.Pods[0].Want = 4 }, false},
		"has more than wanted":               {ErrBounds, func(v *View) { v.Pods[0].Want = 2 }, false},
		"has more than it may have, excused": {ErrBounds, func(v *View) { v.Pods[1].MaxNodes, v.Pods[1].Want, v.Pods[1].Excuse = 0, 0, "no room" }, false},
		"pod twice":                          {ErrDuplicate, func(v *View) { v.Pods = append(v.Pods, v.Pods[1]) }, true},
		"node twice":                         {ErrDuplicate, func(v *View) { v.Pods[0].Nodes = append(v.Pods[0].Nodes, v.Pods[0].Nodes[4]) }, true},
		"node runs twice on a host":          {ErrDuplicate, func(v *View) { addTo(v, 0, Instance{"web", "n1", true}) }, true},
		"node runs on two hosts":             {ErrDuplicate, func(v *View) { addTo(v, 1, Instance{"web", "n1", true}) }, true},
		"more memory reserved than there is": {ErrReserved, func(v *View) { v.Hosts[0].Capacity = 199 }, true},
		"pod is still being deleted":         {ErrUnrest, func(v *View) { v.Pods[0].State = deleting; v.Stored.Pods[1].State = deleting }, false},
		"node is still starting":             {ErrUnrest, func(v *View) { setState(v, 0, 0, starting) }, false},
		"node is still draining":             {ErrUnrest, func(v *View) { setState(v, 0, 0, draining) }, false},
		"not converged":                      {ErrUnrest, func(v *View) { v.Pods[0].Converged = false }, false},
		"a problem":                          {ErrUnrest, func(v *View) { v.Pods[0].Problems = []string{"bad"} }, false},
		"runs what it ran before":            {ErrUnrest, func(v *View) { v.Pods[0].Nodes[0].Revision = 1 }, false},
		"rollout goes on":                    {ErrUnrest, func(v *View) { v.Pods[0].Rollout.State = "progressing" }, false},
		"rollout is done and was not":        {ErrUnrest, func(v *View) { v.Pods[0].Rollout.To = 3 }, false},
		"rolled back and was not":            {ErrUnrest, func(v *View) { v.Pods[1].Rollout.From = 1 }, false},
		"orphan":                             {ErrOrphan, func(v *View) { addTo(v, 1, Instance{"web", "n9", true}) }, false},
		"orphan on a host that was removed":  {ErrOrphan, func(v *View) { addTo(v, 2, Instance{"web", "n9", true}) }, false},
		"orphan of a failed node":            {ErrOrphan, func(v *View) { addTo(v, 1, Instance{"web", "n5", true}) }, false},
		"remains":                            {ErrOrphan, func(v *View) { addTo(v, 1, Instance{"web", "n5", false}) }, false},
		"node does not run":                  {ErrMissing, func(v *View) { v.Hosts[0].Running = &[]Instance{{"web", "n2", true}} }, false},
		"node has ended":                     {ErrOrphan, func(v *View) { (*v.Hosts[0].Running)[0].Running = false }, false},
		"node is on a host that is not there": {ErrMissing, func(v *View) {
			v.Hosts = v.Hosts[1:]
			v.Stored.Hosts = []string{"b"}
		}, false},
		"reservation leaked":        {ErrReserved, func(v *View) { v.Hosts[0].Memory += 100 }, false},
		"reservation of CPU leaked": {ErrReserved, func(v *View) { v.Hosts[0].CPU += 0.1 }, false},
		"a node holds nothing":      {ErrReserved, func(v *View) { v.Hosts[0].Nodes-- }, false},
		"empty host is still there": {ErrUnrest, func(v *View) {
			v.Hosts = append(v.Hosts, Host{Name: "c", Draining: true})
			v.Stored.Hosts = append(v.Stored.Hosts, "c")
		}, false},
		"front is not there":             {ErrBalancer, func(v *View) { *v.Fronts = (*v.Fronts)[1:] }, false},
		"front is nobody's":              {ErrBalancer, func(v *View) { *v.Fronts = append(*v.Fronts, Front{Name: "x"}) }, false},
		"front twice":                    {ErrDuplicate, func(v *View) { *v.Fronts = append(*v.Fronts, (*v.Fronts)[0]) }, false},
		"front listens elsewhere":        {ErrBalancer, func(v *View) { (*v.Fronts)[0].Listen = "127.0.0.1:5109" }, false},
		"server of nobody":               {ErrBalancer, func(v *View) { addServer(v, Server{"n9", "10.0.0.9:80", ready}) }, false},
		"server of a failed node":        {ErrBalancer, func(v *View) { addServer(v, Server{"n5", "10.0.1.1:80", "drain"}) }, false},
		"server twice":                   {ErrDuplicate, func(v *View) { addServer(v, Server{"n1", "10.0.0.1:80", ready}) }, false},
		"node without a server":          {ErrBalancer, func(v *View) { (*v.Fronts)[0].Servers = (*v.Fronts)[0].Servers[1:] }, false},
		"server drains":                  {ErrBalancer, func(v *View) { (*v.Fronts)[0].Servers[0].State = "drain" }, false},
		"server has another address":     {ErrBalancer, func(v *View) { (*v.Fronts)[0].Servers[0].Addr = "10.0.0.2:80" }, false},
		"paused pod gets requests":       {ErrBalancer, func(v *View) { (*v.Fronts)[1].Servers[0].State = ready }, false},
		"pod is not kept":                {ErrStore, func(v *View) { v.Stored.Pods = v.Stored.Pods[1:] }, false},
		"pod is kept and not shown":      {ErrStore, func(v *View) { v.Stored.Pods = append(v.Stored.Pods, StoredPod{Name: "x"}) }, false},
		"another wanted number is kept":  {ErrStore, func(v *View) { v.Stored.Pods[1].Want++ }, false},
		"another state of a pod is kept": {ErrStore, func(v *View) { v.Stored.Pods[0].State = active }, false},
		"another state of a node is kept": {ErrStore, func(v *View) {
			v.Stored.Pods[1].Nodes["n1"] = starting
		}, false},
		"a node is kept and not shown": {ErrStore, func(v *View) { v.Stored.Pods[1].Nodes["n9"] = fresh }, false},
		"a host is not kept":           {ErrStore, func(v *View) { v.Stored.Hosts = v.Stored.Hosts[1:] }, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := well()
			c.bend(&v)
			require.ErrorIs(t, Check(v), c.want)
			v.AtRest = false
			if err := Check(v); c.always {
				assert.ErrorIs(t, err, c.want)
			} else {
				assert.NoError(t, err, "it may be on its way")
			}
		})
	}
}

func addTo(v *View, host int, n Instance) { *v.Hosts[host].Running = append(*v.Hosts[host].Running, n) }

func addServer(v *View, s Server) { (*v.Fronts)[0].Servers = append((*v.Fronts)[0].Servers, s) }

// setState makes a node be in another state for the manager and the store.
func setState(v *View, pod, node int, state string) {
	v.Pods[pod].Nodes[node].State = state
	v.Stored.Pods[1].Nodes[v.Pods[pod].Nodes[node].Name] = state
}

// All violations are told, not the first one only.
func TestAllAreTold(t *testing.T) {
	v := well()
	v.Pods[0].Want = 4
	addTo(&v, 1, Instance{"web", "n9", true})
	err := Check(v)
	for _, want := range []error{ErrBounds, ErrOrphan, ErrStore} {
		assert.ErrorIs(t, err, want)
	}
	var joined interface{ Unwrap() []error }
	require.True(t, errors.As(err, &joined))
	assert.Len(t, joined.Unwrap(), 3)
}

// A pod with an excuse may have fewer nodes than wanted, and problems; what it
// has still must be right. A part of the world that nobody asked is not checked.
func TestExcusesAndTheUnknown(t *testing.T) {
	v := well()
	p := &v.Pods[0]
	p.Want, v.Stored.Pods[1].Want = 4, 4
	p.Excuse, p.Problems, p.Converged = "no room", []string{"no room"}, false
	assert.NoError(t, Check(v))
	(*v.Fronts)[0].Servers = nil
	assert.ErrorIs(t, Check(v), ErrBalancer)
	v.Fronts, v.Stored, v.Hosts[0].Running = nil, nil, nil
	assert.NoError(t, Check(v))
}

// A node on a host that does not answer takes no part in the count: another one
// runs in its place.
func TestAwayHost(t *testing.T) {
	v := well()
	v.Hosts[0].Reachable, v.Hosts[0].Running = false, nil
	assert.ErrorIs(t, Check(v), ErrBounds, "nothing runs in place of two nodes")
	v.Pods[0].Want, v.Stored.Pods[1].Want = 1, 1
	v.Pods[0].Min = 1
	assert.NoError(t, Check(v))
}
