//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/invariant"
)

// checkInvariants waits until the cluster has come to rest, and fails the test
// when it does not within a minute: the last thing that was not as it must be is
// told. The API says what should be; engines and the kernel say what is.
func (s *server) checkInvariants() {
	s.t.Helper()
	err := s.invariantsWithin(time.Minute)
	require.NoError(s.t, err, "the server's log:\n%s", s.logText())
}

// invariantsWithin returns what is not as it must be, as soon as that is nothing
// or the time is up.
func (s *server) invariantsWithin(d time.Duration) (err error) {
	s.t.Helper()
	for deadline := time.Now().Add(d); ; time.Sleep(100 * time.Millisecond) {
		if err = invariant.Check(s.view()); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// view asks everybody, one after another.
func (s *server) view() invariant.View {
	s.t.Helper()
	var cluster wire.Cluster
	var pods wire.List[wire.Pod]
	var hosts wire.List[wire.Host]
	var b wire.Balancer
	s.get("/v1/cluster", &cluster)
	s.get("/v1/pods", &pods)
	v := invariant.View{AtRest: true, Fronts: &[]invariant.Front{}}
	for _, p := range pods.Items {
		v.Pods = append(v.Pods, s.podView(p))
	}
	s.get("/v1/hosts", &hosts)
	for _, h := range hosts.Items {
		v.Hosts = append(v.Hosts, s.hostView(cluster, h))
	}
	s.get("/v1/balancer", &b)
	for _, f := range b.Fronts {
		front := invariant.Front{Name: f.Name, Listen: f.Listen}
		for _, srv := range f.Servers {
			front.Servers = append(front.Servers, invariant.Server{Name: srv.Name, Addr: srv.Addr, State: srv.State})
		}
		*v.Fronts = append(*v.Fronts, front)
	}
	return v
}

// problemOf returns the problem of that code; a zero one where there is none.
func problemOf(problems []wire.Problem, code string) wire.Problem {
	for _, p := range problems {
		if p.Code == code {
			return p
		}
	}
	return wire.Problem{}
}

func (s *server) podView(p wire.Pod) invariant.Pod {
	s.t.Helper()
	var nodes wire.List[wire.Node]
	var rollouts wire.Rollouts
	s.get("/v1/pods/"+p.Name+"/nodes", &nodes)
	s.get("/v1/pods/"+p.Name+"/rollout", &rollouts)
	e := p.Status.Elasticity
	out := invariant.Pod{
		Name: p.Name, State: p.Status.State, Want: p.Status.Want, MaxNodes: int(p.MaxNodes),
		Elastic: e.Enabled && e.Mode == "act", Min: int(e.Min), Max: int(e.Max),
		Revision: p.Status.Revision, Converged: p.Status.Converged,
	}
	for _, problem := range p.Status.Problems {
		out.Problems = append(out.Problems, problem.Code+": "+problem.Text)
		if problem.Code == "no-room" || problem.Code == "rollout-waits" {
			out.Excuse = problem.Text
		}
	}
	if r := p.Status.Rollout; r != nil {
		out.Rollout = invariant.PodRollout{State: r.State, From: r.From, To: r.To}
	}
	for _, f := range p.Fronts {
		out.Fronts = append(out.Fronts, invariant.PodFront{Name: f.Name, Listen: f.Listen, Port: f.Port})
	}
	for _, n := range nodes.Items {
		limits := p.Limits
		for _, r := range rollouts.Revisions {
			if r.Number == n.Revision {
				limits = r.Limits
			}
		}
		out.Nodes = append(out.Nodes, invariant.Node{
			Name: n.Name, State: n.State, Host: n.Host, Revision: n.Revision, Endpoints: n.Endpoints,
			CPU: float64(limits.CPU), Memory: int64(limits.Memory),
		})
	}
	return out
}

func (s *server) hostView(c wire.Cluster, h wire.Host) invariant.Host {
	s.t.Helper()
	st := h.Status
	out := invariant.Host{
		Name: h.Name, Reachable: st.Reachable, Draining: st.Draining, Nodes: st.Nodes,
		CPU: st.Reserved.CPU, Memory: st.Reserved.Memory, Capacity: st.Capacity.Memory,
	}
	switch {
	case !st.Reachable:
	case h.Runtime == "process":
		out.Running = s.processes(h.Name)
	case strings.HasPrefix(h.Address, "unix://"):
		out.Running = s.containers(c.Name, h.Address)
	case s.stack.sockets[h.Address] != "":
		out.Running = s.containers(c.Name, s.stack.sockets[h.Address])
	}
	return out
}

// containers returns the nodes of every cluster of that name on an engine, also
// those that have ended: nothing may be left of a node that is not online.
func (s *server) containers(cluster, address string) *[]invariant.Instance {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cli, err := client.NewClientWithOpts(client.WithHost(address), client.WithAPIVersionNegotiation())
	require.NoError(s.t, err)
	defer cli.Close()
	list, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", "io.elastipod.cluster="+cluster), filters.Arg("label", "io.elastipod.kind=node"))})
	require.NoError(s.t, err)
	out := []invariant.Instance{}
	for _, c := range list {
		out = append(out, invariant.Instance{
			Pod: c.Labels["io.elastipod.pod"], Node: c.Labels["io.elastipod.node"],
			Running: c.State == container.StateRunning || c.State == container.StatePaused,
		})
	}
	return &out
}

// processes returns the nodes whose supervisors run, as the kernel shows them by
// the directory that each of them is given. A directory without a supervisor is
// what is left of a node.
func (s *server) processes(host string) *[]invariant.Instance {
	s.t.Helper()
	dirs := map[string]bool{} // of nodes, and whether one runs there
	under := filepath.Join(s.dir, "data", "nodes", host) + "/"
	states, err := filepath.Glob(under + "*/*/*/state.json")
	require.NoError(s.t, err)
	for _, state := range states {
		dirs[filepath.Dir(state)] = false
	}
	entries, err := os.ReadDir("/proc")
	require.NoError(s.t, err)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil {
			continue // it has ended
		}
		for arg := range strings.SplitSeq(string(line), "\x00") {
			if strings.HasPrefix(arg, under) {
				dirs[arg] = true
			}
		}
	}
	out := []invariant.Instance{}
	for dir, running := range dirs {
		p, node, _ := strings.Cut(filepath.Base(dir), ".")
		out = append(out, invariant.Instance{Pod: p, Node: node, Running: running})
	}
	return &out
}
