//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/internal/openloop"
)

const (
	// serverTimeout is that of the front of these tests. It is longer than a
	// connection to a machine that is gone lives, so that they can be told apart.
	serverTimeout = 16 * time.Second
	// connectionLives is how long HAProxy keeps a connection with a request that
	// had reached a machine which says nothing any more.
	connectionLives = 10 * time.Second
)

// startMachines is startPair with a as a machine of its own, which the server
// reaches over the network alone, as it reaches the nodes there.
func startMachines(t *testing.T, edit func(*wire.Pod)) *pair {
	p := &pair{a: dockertest.Start(t, dockertest.Options{Remote: true, TLS: true}), b: dockertest.Start(t, dockertest.Options{})}
	for _, e := range []*dockertest.Engine{p.a, p.b} {
		e.BuildScratch(t, workloadImage, serverBinary)
	}
	p.server = start(t, &stack{
		name: "docker", engine: p.a, config: "host_timeout: " + hostTimeout.String() + "\n",
		hosts: []wire.Host{
			{Name: "a", Runtime: "docker", Address: p.a.TCP, Bind: p.a.IP, TLS: wire.HostTLS{CA: p.a.TLS.CA, Cert: p.a.TLS.Cert, Key: p.a.TLS.Key}},
			{Name: "b", Runtime: "docker", Address: p.b.Address()},
		},
		sockets: map[string]string{p.a.TCP: p.a.Address()},
	})
	t.Cleanup(func() { assert.NoError(t, p.a.Plug(context.Background())) }) // before the server stops its nodes
	p.web = p.service("web", func(w *wire.Pod) {
		w.Drain = wire.Duration(5 * time.Second)
		w.Workload.Pull = "never"
		w.Fronts[0].Timeouts.Server = wire.Duration(serverTimeout)
		edit(w)
	})
	p.web.launch(4)
	p.other = p.service("other", func(w *wire.Pod) { w.Hosts = []string{"b"} })
	p.other.launch(1)
	require.Len(t, p.on("web", "a"), 2)
	return p
}

// A machine vanishes without a word, its engine and its nodes, and is back later
// with its nodes still running: no request that may be sent again fails, others
// run in place of its nodes, and what is too many afterwards is drained, also
// where the manager is killed meanwhile.
func TestFaultMachineVanishes(t *testing.T) {
	ways := []struct {
		name   string
		edit   func(*wire.Pod)
		killed func(p *pair) // when the manager is, if it is
	}{
		{"for a while", func(*wire.Pod) {}, nil},
		{"manager killed at once", func(*wire.Pod) {}, func(*pair) { time.Sleep(2 * time.Second) }},
		{"manager killed when probes have told", func(w *wire.Pod) {
			w.Workload.Probe.Timeout, w.Workload.Probe.LiveInterval = wire.Duration(500*time.Millisecond), wire.Duration(time.Second)
		}, func(p *pair) {
			p.eventually("others run in their place", 30*time.Second, func() bool { return len(p.on("web", "b")) == 4 })
		}},
	}
	for _, how := range ways[:rounds(2, len(ways))] {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			p := startMachines(t, how.edit)
			f := newFault(t, "machine vanishes, "+how.name)
			l := p.loads(f)
			quiet := p.launchTime()
			for range rounds(1, 5) {
				p.spread()
				time.Sleep(2 * time.Second) // under load
				begun := time.Now()
				f.inject(func() { require.NoError(t, p.a.Unplug(t.Context())) })
				l.vanished = append(l.vanished, begun)
				if how.killed != nil {
					how.killed(p)
					p.killManager()
				}
				p.isReplaced(begun, quiet)
				p.checkQuiet(begun)
				time.Sleep(time.Until(begun.Add(connectionLives + 4*time.Second)))
				require.NoError(t, p.a.Plug(t.Context()))
				p.comesBack(f)
			}
			l.end()
			p.checkInvariants()
		})
	}
}

// killManager kills the manager and starts the next, which knows nothing of the
// machine but what is stored.
func (p *pair) killManager() {
	p.t.Helper()
	known := p.names("web")
	p.signal(syscall.SIGKILL)
	p.run()
	assert.Subset(p.t, p.names("web"), known, "nodes that nobody can see are not forgotten")
}

// isReplaced waits until others run in place of the nodes of the machine that is
// gone.
func (p *pair) isReplaced(begun time.Time, quiet time.Duration) {
	p.t.Helper()
	p.eventually("the host is marked", 30*time.Second, func() bool { return !p.reachable("a") })
	p.t.Logf("marked after %s", time.Since(begun))
	p.eventually("others run in their place", 30*time.Second, func() bool { return len(p.on("web", "b")) == 4 })
	p.t.Logf("four on the other host after %s", time.Since(begun))
	assert.Len(p.t, containers(p.t, engineClient(p.t, p.b), "web"), 4, "and no more")
	took := p.launchTime()
	p.t.Logf("a node of the other pod is launched in %s; %s before", took, quiet)
	assert.Less(p.t, took, 3*quiet+2*time.Second)
}

// checkQuiet checks that nobody else is affected, nor the machine asked again and
// again.
func (p *pair) checkQuiet(begun time.Time) {
	p.t.Helper()
	var reads []time.Duration
	for range 40 {
		for _, path := range []string{"/v1/pods", "/v1/pods/web", "/v1/hosts", "/v1/pods/other/nodes"} {
			asked := time.Now()
			require.Equal(p.t, http.StatusOK, status(p.t, http.MethodGet, p.url+path))
			reads = append(reads, time.Since(asked))
		}
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(reads)
	p.t.Logf("%d reads: median %s, worst %s", len(reads), reads[len(reads)/2], reads[len(reads)-1])
	assert.Less(p.t, reads[len(reads)*95/100], 50*time.Millisecond)
	p.checkTicks("other", begun)
	knocks, err := p.a.Knocks(p.t.Context())
	require.NoError(p.t, err)
	away := time.Since(begun)
	p.t.Logf("%d tries to connect to the engine in %s", knocks, away)
	assert.Less(p.t, knocks, 20+2*int(away/time.Second), "no storm of retries")
}

// comesBack waits until all is well again, on both machines.
func (p *pair) comesBack(f *fault) {
	p.t.Helper()
	back := time.Now()
	p.eventually("the host is back", 40*time.Second, func() bool { return p.reachable("a") })
	p.t.Logf("found again after %s", time.Since(back))
	p.eventually("the surplus is drained", 40*time.Second, func() bool {
		online := p.online("web")
		assert.GreaterOrEqual(p.t, len(online), 4, "never too few")
		return len(online) == 4 && p.pod("web").Status.Converged
	})
	p.settled(f, back)
	assert.Equal(p.t, p.online("web"), p.containersOf("web"), "each node is there once, and nothing else")
}

// spread moves nodes to the machine that was away.
func (p *pair) spread() {
	p.t.Helper()
	for i := range 2 - len(p.on("web", "a")) { // a has the most room
		p.cloud("rm", p.on("web", "b")[0], "web")
		name := fmt.Sprintf("more-%d-%d", time.Now().UnixMilli()%100000, i)
		p.cloud("register", name, "web")
		p.cloud("launch", "web")
	}
	require.Len(p.t, p.on("web", "a"), 2)
}

// containersOf returns the nodes whose containers run on either machine, sorted.
func (p *pair) containersOf(pod string) (out []string) {
	p.t.Helper()
	for _, e := range []*dockertest.Engine{p.a, p.b} {
		list, err := engineClient(p.t, e).ContainerList(p.t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "io.elastipod.pod="+pod))})
		require.NoError(p.t, err)
		for _, c := range list {
			out = append(out, c.Labels["io.elastipod.node"])
		}
	}
	slices.Sort(out)
	return out
}

// names returns the names of all nodes of a pod, whatever their state.
func (p *pair) names(pod string) (out []string) {
	var list wire.List[wire.Node]
	p.get("/v1/pods/"+pod+"/nodes", &list)
	for _, n := range list.Items {
		out = append(out, n.Name)
	}
	return out
}

// threeLoads are requests that may be sent again, short ones and ones that a
// node has for a while, and requests that may not.
type threeLoads struct {
	t        *testing.T
	v        *service
	stop     chan struct{}
	ends     []func() openloop.Result
	vanished []time.Time

	mu   sync.Mutex
	long []openloop.Outcome
}

const longRequest = 2 * time.Second

func (p *pair) loads(f *fault) *threeLoads {
	l := &threeLoads{t: p.t, v: p.web, stop: make(chan struct{})}
	of := func(c openloop.Config) openloop.Config {
		c.Duration, c.Stop = time.Hour, l.stop
		return c
	}
	l.ends = []func() openloop.Result{
		f.load(p.web, of(openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 60})),
		f.load(p.web, of(openloop.Config{URL: "/work?sleep=" + longRequest.String(), Method: http.MethodGet, Rate: 5, Observe: func(o openloop.Outcome) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.long = append(l.long, o)
		}})),
		f.loadWith(p.web, of(openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodPost, Rate: 20, IDPrefix: "post"}), reached),
	}
	return l
}

// reached says that a request may have reached a node which did not answer, and
// was not one to be sent again: its connection was found dead, its time was over,
// or its node was drained for as long as its pod allows.
func reached(o openloop.Outcome) bool {
	switch o.Kind {
	case openloop.ErrClosed, openloop.ErrStale, openloop.ErrReset:
		return true
	}
	return o.Code == http.StatusBadGateway || o.Code == http.StatusGatewayTimeout
}

// end ends the loads and checks what became of the requests.
func (l *threeLoads) end() {
	l.t.Helper()
	close(l.stop)
	for _, wait := range l.ends[:2] {
		r := wait()
		assert.Zero(l.t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
		assert.Equal(l.t, r.Sent, r.OK)
	}
	r := l.ends[2]()
	for _, o := range r.Failures {
		assert.True(l.t, reached(o), "a POST fails only where it had reached a node: %v", o)
	}
	l.t.Logf("%d of %d POST failed: %v", r.Failed, r.Sent, r.Codes)
	assert.Equal(l.t, r.Sent, r.OK+r.Failed)
	text, err := os.ReadFile(l.v.seen)
	require.NoError(l.t, err)
	ran := map[string]int{}
	for id := range strings.FieldsSeq(string(text)) {
		if strings.HasPrefix(id, "post-") {
			ran[id]++
		}
	}
	for id, n := range ran {
		assert.Equal(l.t, 1, n, "runs of %s", id)
	}
	for _, id := range r.OKIDs {
		assert.Contains(l.t, ran, id, "it was answered")
	}
	l.checkLong()
}

// checkLong checks that a request which the machine had when it vanished was
// tried elsewhere as soon as its connection was found dead.
func (l *threeLoads) checkLong() {
	l.t.Helper()
	for _, at := range l.vanished {
		var stuck []time.Duration
		for _, o := range l.long {
			if had := at.Sub(o.At); had > longRequest/10 && had < longRequest*9/10 && o.Latency > longRequest+time.Second {
				stuck = append(stuck, o.Latency)
				assert.Less(l.t, o.Latency, connectionLives+longRequest+3*time.Second)
			}
		}
		l.t.Logf("requests that the machine had took %s", stuck)
		assert.NotEmpty(l.t, stuck, "some were there")
	}
}
