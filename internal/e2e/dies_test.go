//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/internal/openloop"
)

// misbehave tells a node of the demo workload to.
func (s *server) misbehave(n wire.Node, how string) {
	s.t.Helper()
	resp, err := http.Post("http://"+n.Endpoints["http"]+"/fault?"+how, "", nil)
	if err != nil {
		return // it is what was asked for
	}
	_ = resp.Body.Close()
	require.Equal(s.t, http.StatusAccepted, resp.StatusCode, "fault on demand: %s", how)
}

// engineClient returns a client of an engine, which is closed with the test.
func engineClient(t *testing.T, e *dockertest.Engine) *client.Client {
	t.Helper()
	cli, err := e.Client()
	require.NoError(t, err)
	t.Cleanup(func() { _ = cli.Close() })
	return cli
}

// containers returns all containers of a pod, running or not.
func containers(t *testing.T, cli *client.Client, pod string) []container.Summary {
	t.Helper()
	list, err := cli.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "io.elastipod.pod="+pod))})
	require.NoError(t, err)
	return list
}

// deaths notes when containers died, by the engine's own clock.
type deaths struct {
	mu sync.Mutex
	at map[string]time.Time // by container id
}

func watchDeaths(t *testing.T, cli *client.Client) *deaths {
	d := &deaths{at: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	messages, errs := cli.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("event", "die"))})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case m := <-messages:
				d.mu.Lock()
				d.at[m.Actor.ID] = time.Unix(0, m.TimeNano)
				d.mu.Unlock()
			case <-errs:
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return d
}

func (d *deaths) of(id string) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.at[id]
	return at, ok
}

// firstAnswers notes when each node answered through the balancer for the first
// time.
type firstAnswers struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (a *firstAnswers) observe(o openloop.Outcome) {
	if o.Code != http.StatusOK {
		return
	}
	node := o.Header.Get("X-Node")
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.at[node]; !ok {
		a.at[node] = o.At.Add(o.Latency)
	}
}

func (a *firstAnswers) of(node string) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.at[node]
	return at, ok
}

// Nodes die in every way that there is: each is out of the balancer and
// replaced within a second, and no request that may be sent again fails. Each
// victim has lived for so long that its place does not count as one in which
// nodes keep dying.
func TestFaultNodeDies(t *testing.T) {
	const young = 13 * time.Second // ten, and four probes
	srv := start(t, onDocker(t))
	cli := engineClient(t, srv.stack.engine)
	died := watchDeaths(t, cli)
	const nodes = 5
	web := srv.service("web", func(p *wire.Pod) {
		p.MaxNodes = nodes
		p.Limits.CPU, p.Limits.Memory = 0.5, wire.Bytes(48<<20)
		p.Workload.Env["FAULTS"] = "on"
		p.Workload.Probe.LiveInterval = wire.Duration(500 * time.Millisecond)
	})
	web.launch(nodes)
	for _, way := range []struct {
		name, reason string
		cause        func(n wire.Node)
	}{
		{"docker kill", "killed by signal 9", func(n wire.Node) { require.NoError(t, cli.ContainerKill(t.Context(), n.Handle, "KILL")) }},
		{"out of memory", "out of memory", func(n wire.Node) { srv.misbehave(n, "memory=200MiB") }},
		{"exit 1", "exit code 1", func(n wire.Node) { srv.misbehave(n, "exit=1") }},
		{"exit 0", "exit code 0", func(n wire.Node) { srv.misbehave(n, "exit=0") }},
	} {
		t.Run(way.name, func(t *testing.T) {
			f := newFault(t, "node dies, "+way.name)
			n := rounds(1, 25)
			answers := &firstAnswers{at: map[string]time.Time{}}
			stop := make(chan struct{})
			wait := f.load(web, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 100, Duration: 10 * time.Minute, Stop: stop, Observe: answers.observe})
			for range n {
				time.Sleep(1500 * time.Millisecond)
				before := srv.nodes("web", "online")
				victim := before[0] // the oldest
				if !strings.HasPrefix(victim.Name, "hand") {
					time.Sleep(time.Until(victim.ReadyAt.Add(young)))
				}
				f.inject(func() { way.cause(victim) })
				var fresh wire.Node
				var answered time.Time
				srv.eventually("another answers in its place", 20*time.Second, func() bool {
					for _, n := range srv.nodes("web", "online") {
						if !slices.ContainsFunc(before, func(b wire.Node) bool { return b.Name == n.Name }) {
							var ok bool
							answered, ok = answers.of(n.Name)
							fresh = n
							return ok
						}
					}
					return false
				})
				at, ok := died.of(victim.Handle)
				require.True(t, ok)
				f.recovered(answered.Sub(at))
				t.Logf("noticed after %s, ready after %s, answers after %s", fresh.CreatedAt.Sub(at), fresh.ReadyAt.Sub(at), answered.Sub(at))
				for _, n := range srv.nodes("web", "failed") {
					if n.Name == victim.Name {
						assert.Contains(t, n.Reason, way.reason)
					}
				}
			}
			close(stop)
			r := wait()
			assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
			assert.Equal(t, r.Sent, r.OK)
			srv.eventually("nothing else is left", 20*time.Second, func() bool { return len(containers(t, cli, "web")) == nodes })
		})
	}
}

// A place in which every node dies waits ever longer, which the API and the
// command say with the reason; the pod's other node and another pod are left
// alone, and a bad image kills no good node.
func TestFaultNodeKeepsDying(t *testing.T) {
	srv := start(t, onDocker(t))
	cli := engineClient(t, srv.stack.engine)
	web := srv.service("web", nil)
	web.launch(2)
	good := srv.nodes("web", "online")[0]
	f := newFault(t, "node dies again and again")
	stop := make(chan struct{})
	wait := f.load(web, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 40, Duration: time.Hour, Stop: stop})
	killed := 0
	for end := time.Now().Add(time.Duration(rounds(8, 120)) * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, n := range srv.nodes("web", "online") {
			if n.Name != good.Name && cli.ContainerKill(t.Context(), n.Handle, "KILL") == nil {
				f.inject(func() { killed++ })
				srv.eventually("noticed", 10*time.Second, func() bool { return !slices.Contains(srv.online("web"), n.Name) })
			}
		}
	}
	assert.LessOrEqual(t, killed, rounds(7, 16))
	srv.eventually("the API says so", 10*time.Second, func() bool {
		for _, n := range srv.nodes("web", "online") {
			if n.Name != good.Name {
				_ = cli.ContainerKill(t.Context(), n.Handle, "KILL")
			}
		}
		return !problemOf(srv.pod("web").Status.Problems, "crash-loop").Again.IsZero()
	})
	assert.Contains(t, problemOf(srv.pod("web").Status.Problems, "crash-loop").Text, "killed by signal 9")
	assert.Contains(t, srv.cloud("pod", "show", "web"), "ever more seldom")
	begun := time.Now()
	srv.eventually("all is well once it lives", 90*time.Second, func() bool { return srv.pod("web").Status.Converged })
	f.recovered(time.Since(begun))

	missing := `{"workload":{"image":"elastipod-missing:1","pull":"never"}}`
	srv.patch("/v1/pods/web", missing)
	srv.eventually("gone back", 30*time.Second, func() bool {
		p := srv.pod("web")
		return p.Status.Rollout != nil && p.Status.Rollout.State == "rolled-back" && p.Status.Converged
	})
	close(stop)
	r := wait()
	assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	assert.Contains(t, srv.online("web"), good.Name)
	srv.checkInvariants()
}
