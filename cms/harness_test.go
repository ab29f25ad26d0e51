package cms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a cluster of fakes and the manager that looks after it. It lives
// inside a synctest bubble: its time is a fake one.
type world struct {
	*cms.Manager
	t        *testing.T
	hosts    map[string]*podtest.FakeHost
	balancer *balancertest.Fake
	store    *cmstest.Store
	config   cms.Config
	end      func()
	read     uint64 // the last event that story returned
	// before, when set, has the last word on the configuration of each manager.
	before func(*cms.Config)
	// turned, when set, is told of each turn of each pod's loop.
	turned func(reconcile.World, reconcile.Plan)
}

// inWorld runs f in a bubble with a running manager over the named hosts.
func inWorld(t *testing.T, hosts []string, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, hosts: map[string]*podtest.FakeHost{}, balancer: balancertest.NewFake(), store: cmstest.NewStore()}
		for _, name := range hosts {
			w.hosts[name] = podtest.NewFakeHost()
			w.hosts[name].SetStartDelay(200 * time.Millisecond)
			w.config.Hosts = append(w.config.Hosts, pod.Host{Name: name, Runtime: "fake"})
		}
		w.config.OpenRuntime = func(_ context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			fake, ok := w.hosts[h.Name]
			if !ok {
				return nil, fmt.Errorf("open: %w", pod.ErrUnreachable)
			}
			return fake.Open(c), nil
		}
		w.start()
		defer func() { w.end() }()
		f(t, w)
	})
}

// start runs a manager and waits until it is ready.
func (w *world) start() {
	w.config.Store, w.config.Balancer = w.store, w.balancer
	config := w.config
	if w.before != nil {
		w.before(&config)
	}
	m, err := cms.New(config)
	require.NoError(w.t, err)
	m.OnTurn(w.turned)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	w.Manager = m
	w.end = func() {
		w.assertSentences()
		cancel()
		require.NoError(w.t, <-ended)
		w.end = func() {}
	}
	<-m.Ready()
}

// restart ends the manager and starts another on what is left.
func (w *world) restart() {
	w.end()
	require.NoError(w.t, w.store.Close())
	store, err := w.store.Reopen()
	require.NoError(w.t, err)
	w.store = store
	w.start()
}

// spec is a pod named web with one front.
func spec() cms.PodSpec {
	return cms.PodSpec{
		Spec: pod.Spec{
			Name: "web",
			Workload: pod.Workload{
				Command: []string{"/web"},
				Ports:   map[string]int{"http": 8080},
				Probe:   pod.Probe{Kind: pod.ProbeNone},
			},
			Limits: pod.Limits{CPU: 0.5, Memory: 100 << 20},
		},
		Fronts: []cms.Front{{Front: balancer.Front{Listen: "127.0.0.1:5100"}}},
	}
}

// pod makes the pod of spec with n nodes, launched by hand.
func (w *world) pod(n int) {
	_, err := w.CreatePod(w.t.Context(), spec())
	require.NoError(w.t, err)
	for range n {
		w.launch()
	}
	w.converge()
}

func (w *world) launch() {
	_, err := w.RegisterNode(w.t.Context(), "web", "")
	require.NoError(w.t, err)
	_, err = w.Launch(w.t.Context(), "web")
	require.NoError(w.t, err)
}

// converge waits until what runs is what should.
func (w *world) converge() cms.PodStatus {
	w.t.Helper()
	return w.wait("converged", func(s cms.PodStatus) bool { return s.Converged })
}

func (w *world) wait(what string, done func(cms.PodStatus) bool) cms.PodStatus {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	s, err := w.WaitPod(ctx, "web", done)
	require.NoError(w.t, err, "%s: %+v", what, s)
	return s
}

// elasticity switches it on with a threshold policy on CPU.
func (w *world) elasticity(low, high int) {
	w.t.Helper()
	_, err := w.SetElasticity(w.t.Context(), "web", cms.Elasticity{Enabled: true, Min: low, Max: high, PolicyJSON: json.RawMessage(cms.DefaultPolicy)})
	require.NoError(w.t, err)
}

// load sets the CPU of every node that runs, as a fraction of its limit.
func (w *world) load(fraction float64) {
	for _, h := range w.hosts {
		for _, n := range h.Nodes() {
			h.SetUsage(n.ID, fraction*0.5, 50<<20)
		}
	}
}

// names returns the names of the nodes in a state, sorted.
func names(s cms.PodStatus, state pod.State) []string {
	var out []string
	for _, n := range s.Nodes {
		if n.State == state {
			out = append(out, n.Name)
		}
	}
	slices.Sort(out)
	return out
}

// servers returns the names of the servers behind the pod's front by state.
func (w *world) servers(state balancer.ServerState) []string {
	var out []string
	for _, s := range w.balancer.Servers("web") {
		if s.WithDefaults().State == state {
			out = append(out, s.Name)
		}
	}
	slices.Sort(out)
	return out
}

// running returns the names of the nodes that run on a host.
func running(h *podtest.FakeHost) []string {
	var out []string
	for _, n := range h.Nodes() {
		if n.Phase == pod.PhaseRunning {
			out = append(out, n.ID.Name)
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) assertConsistent() {
	w.t.Helper()
	s, err := w.Pod("web")
	require.NoError(w.t, err)
	var all []string
	for _, h := range w.hosts {
		all = append(all, running(h)...)
	}
	slices.Sort(all)
	assert.Equal(w.t, names(s, pod.StateOnline), all, "nodes that run are those that are online")
	assert.Equal(w.t, names(s, pod.StateOnline), w.servers(balancer.Ready), "servers are the nodes that are online")
}

// goError finds what a chain of Go errors, or a format that went wrong, leaves in a
// sentence.
var goError = regexp.MustCompile(`(^|[^a-z ] ?)(pod|cms|balancer|elastic|podtest|context|observe host \w+): |%!`)

// assertSentences checks that people read sentences, and no chains of Go errors.
func (w *world) assertSentences() {
	w.t.Helper()
	read := func(what, text string) {
		w.t.Helper()
		if goError.MatchString(text) {
			w.t.Errorf("%s: a Go error is shown: %q", what, text)
		}
	}
	for _, p := range w.Cluster().Problems { // with those of pods
		read(string(p.Code), p.Sentence(time.Now()))
	}
	for _, s := range w.Pods() {
		read("tick", s.LastTick.Err)
		if s.Rollout != nil {
			read("rollout", s.Rollout.Reason)
		}
		for _, n := range s.Nodes {
			read("node", n.Reason)
		}
	}
	past, _ := w.Events(0)
	for _, e := range past {
		if e.Type != cms.EventBalancerIncident { // that begins with who says it
			read(string(e.Type), e.Message)
		}
	}
}

// before returns a sentence without when the next try is.
func before(sentence string) string {
	sentence, _, _ = strings.Cut(sentence, "; the next try")
	return sentence
}

// sentences returns what problems say now.
func sentences(problems []cms.Problem) (out []string) {
	for _, p := range problems {
		text := p.Sentence(time.Now())
		if goError.MatchString(text) {
			panic("a Go error is shown: " + text)
		}
		out = append(out, text)
	}
	return out
}
