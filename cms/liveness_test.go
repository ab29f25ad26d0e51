package cms_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// checked makes a pod with n nodes whose image has a health check.
func (w *world) checked(n int, edit func(*cms.PodSpec)) {
	s := spec()
	s.Workload.Command, s.Workload.Image = nil, "web:1"
	s.Workload.Probe = pod.Probe{Kind: pod.ProbeHealthcheck}
	if edit != nil {
		edit(&s)
	}
	_, err := w.CreatePod(w.t.Context(), s)
	require.NoError(w.t, err)
	for range n {
		w.launch()
	}
	w.converge()
}

func id(node string) pod.NodeID { return pod.NodeID{Pod: "web", Name: node} }

func ids(nodes []string) []pod.NodeID {
	var out []pod.NodeID
	for _, n := range nodes {
		out = append(out, id(n))
	}
	return out
}

func TestAHungNodeIsDrainedAndReplaced(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(3, nil)
		time.Sleep(time.Minute)
		hung, begun := names(w.converge(), pod.StateOnline)[1], time.Now()
		w.hosts["a"].SetHealth(pod.HealthUnhealthy, id(hung))
		s := w.wait("it drains", func(s cms.PodStatus) bool {
			return len(names(s, pod.StateOnline)) == 2 && len(names(s, pod.StateStarting)) == 1
		})
		assert.Less(t, time.Since(begun), 100*time.Millisecond, "the engine's event, not the next poll")
		for _, n := range s.Nodes {
			if n.Name == hung {
				assert.Equal(t, pod.StateDraining, n.State)
				assert.Contains(t, n.Reason, "HEALTHCHECK")
			}
		}
		s = w.converge()
		assert.Len(t, names(s, pod.StateOnline), 3)
		assert.NotContains(t, names(s, pod.StateOnline), hung)
		w.assertConsistent()
		told := w.told(cms.EventNodeHung)
		require.Len(t, told, 1)
		assert.Equal(t, "node "+hung+" is unhealthy, says its HEALTHCHECK", told[0].Message)
	})
}

func TestNodesThatAllHangAreReplacedOneAtATime(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(4, nil)
		old := names(w.converge(), pod.StateOnline)
		w.hosts["a"].SetNewHealth(pod.HealthUnknown) // and new ones do not come up: what they need is away
		w.hosts["a"].SetHealth(pod.HealthUnhealthy, ids(old)...)
		time.Sleep(5 * time.Minute)
		assert.Equal(t, old, w.servers(balancer.Ready), "nothing better is there, so they stay")
		w.hosts["a"].SetHealth(pod.HealthGood, ids(old)...)
		time.Sleep(time.Minute)
		w.hosts["a"].SetNewHealth(pod.HealthGood)
		s := w.wait("the old ones are kept", func(s cms.PodStatus) bool { return s.Converged })
		assert.Equal(t, old, names(s, pod.StateOnline))

		w.hosts["a"].SetHealth(pod.HealthUnhealthy, ids(old)...)
		least := 4
		s = w.wait("all are replaced", func(s cms.PodStatus) bool {
			least = min(least, len(names(s, pod.StateOnline)))
			return s.Converged && names(s, pod.StateOnline)[0] != "n1"
		})
		assert.Len(t, names(s, pod.StateOnline), 4)
		for _, n := range names(s, pod.StateOnline) {
			assert.NotContains(t, old, n)
		}
		assert.GreaterOrEqual(t, least, 2, "half of them answer, or hang no worse than before")
		w.assertConsistent()
	})
}

func TestANodeOfAPodAtItsLimitIsReplacedToo(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(1, func(s *cms.PodSpec) { s.MaxNodes = 1 })
		w.hosts["a"].SetHealth(pod.HealthUnhealthy, id("n1"))
		time.Sleep(time.Minute)
		s := w.converge()
		assert.Equal(t, []string{"n2"}, names(s, pod.StateOnline))
	})
}

func TestLivenessCanBeSwitchedOff(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(2, func(s *cms.PodSpec) { s.Workload.Probe.Failures = -1 })
		w.hosts["a"].SetHealth(pod.HealthUnhealthy, id("n1"))
		time.Sleep(10 * time.Minute)
		assert.Equal(t, []string{"n1", "n2"}, names(w.converge(), pod.StateOnline))
	})
}

func TestAHostThatIsAwaySaysNothingOfItsNodes(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(2, nil)
		w.hosts["a"].SetUnreachable(true)
		w.hosts["a"].SetHealth(pod.HealthUnhealthy, id("n1"))
		time.Sleep(20 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, []string{"n1", "n2"}, names(s, pod.StateOnline))
		w.hosts["a"].SetHealth(pod.HealthGood, id("n1"))
		w.hosts["a"].SetUnreachable(false)
		assert.Equal(t, []string{"n1", "n2"}, names(w.converge(), pod.StateOnline))
	})
}

func TestNodesThatKeepHangingAreStartedEverMoreSeldom(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(2, nil)
		// Each new node answers once and hangs 3 s later; n1 is a good one.
		bad := func() {
			for _, n := range running(w.hosts["a"]) {
				if n != "n1" {
					w.hosts["a"].SetHealth(pod.HealthUnhealthy, id(n))
				}
			}
		}
		told := false
		for range 200 {
			time.Sleep(3 * time.Second)
			bad()
			s, err := w.Pod("web")
			require.NoError(t, err)
			told = told || strings.Contains(strings.Join(sentences(s.Problems), "\n"), "the next try is in")
		}
		starts := len(w.hosts["a"].Calls("start"))
		assert.Less(t, starts, 30, "in ten minutes")
		assert.Greater(t, starts, 8)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Contains(t, names(s, pod.StateOnline), "n1", "the good one is left alone")
		assert.True(t, told, "when the next one is tried")
	})
}

// The probes go over a real network here, so time is real too.
func TestAnOnlineNodeIsProbed(t *testing.T) {
	var mode atomic.Value // how the first node answers
	mode.Store("well")
	var mu sync.Mutex
	nodes := map[string]string{}
	host := podtest.NewFakeHost()
	host.Endpoint = func(id pod.NodeID, _ string) string {
		mu.Lock()
		defer mu.Unlock()
		if nodes[id.Name] == "" {
			s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if id.Name != "n1" || mode.Load() == "well" {
					return
				}
				if mode.Load() == "error" {
					rw.WriteHeader(http.StatusInternalServerError)
					return
				}
				<-r.Context().Done()
			}))
			t.Cleanup(s.Close)
			nodes[id.Name] = strings.TrimPrefix(s.URL, "http://")
		}
		return nodes[id.Name]
	}
	for _, how := range []string{"error", "silence"} {
		t.Run(how, func(t *testing.T) {
			mode.Store("well")
			w := &world{t: t, hosts: map[string]*podtest.FakeHost{"a": host}, balancer: balancertest.NewFake(), store: cmstest.NewStore()}
			w.config.Tick = 50 * time.Millisecond
			w.config.Name = how
			w.config.Hosts = []pod.Host{{Name: "a", Runtime: "fake"}}
			w.config.OpenRuntime = func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) { return host.Open(c), nil }
			w.start()
			defer func() { w.end() }()
			s := spec()
			s.Drain = time.Second
			s.Workload.Probe = pod.Probe{Kind: pod.ProbeHTTP, Path: "/healthz", Timeout: 100 * time.Millisecond, LiveInterval: 60 * time.Millisecond}
			_, err := w.CreatePod(t.Context(), s)
			require.NoError(t, err)
			w.launch()
			w.launch()
			w.converge()
			time.Sleep(500 * time.Millisecond)
			require.Equal(t, []string{"n1", "n2"}, names(w.converge(), pod.StateOnline), "they answer well")
			mode.Store(how)
			s2 := w.wait("n1 is gone", func(s cms.PodStatus) bool {
				return s.Converged && !slices.ContainsFunc(s.Nodes, func(n cms.NodeStatus) bool { return n.Name == "n1" })
			})
			assert.Equal(t, []string{"n2", "n3"}, names(s2, pod.StateOnline))
			past, _ := w.Events(0)
			assert.True(t, slices.ContainsFunc(past, func(e cms.Event) bool {
				return e.Type == cms.EventNodeDraining && e.Node == "n1" && strings.Contains(e.Message, "does not answer: 3 probes failed in a row")
			}))
		})
	}
}

// A node that could not be reached while its host was away is not taken for one
// that hangs when both are back.
func TestProbesThatFailWhileTheHostIsAwayDoNotCount(t *testing.T) {
	const probes = 100 * time.Millisecond
	host := podtest.NewFakeHost()
	var failing atomic.Bool
	node := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if failing.Load() {
			rw.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(node.Close)
	host.Endpoint = func(pod.NodeID, string) string { return strings.TrimPrefix(node.URL, "http://") }
	w := &world{t: t, hosts: map[string]*podtest.FakeHost{"a": host}, balancer: balancertest.NewFake(), store: cmstest.NewStore()}
	w.config.Tick = 50 * time.Millisecond
	w.config.Hosts = []pod.Host{{Name: "a", Runtime: "fake"}}
	w.config.OpenRuntime = func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) { return host.Open(c), nil }
	w.start()
	defer func() { w.end() }()
	s := spec()
	s.Workload.Probe = pod.Probe{Kind: pod.ProbeHTTP, Path: "/healthz", LiveInterval: probes}
	_, err := w.CreatePod(t.Context(), s)
	require.NoError(t, err)
	w.launch()
	w.launch()
	w.converge()

	seen := func(reachable bool) {
		t.Helper()
		host.SetUnreachable(!reachable)
		require.Eventually(t, func() bool {
			s, err := w.Host("a")
			return err == nil && s.Reachable == reachable
		}, 10*time.Second, time.Millisecond)
	}
	seen(false)
	failing.Store(true)
	time.Sleep(6 * probes)
	seen(true)
	failing.Store(false)
	time.Sleep(3 * probes)
	assert.Equal(t, []string{"n1", "n2"}, names(w.converge(), pod.StateOnline))
	past, _ := w.Events(0)
	assert.False(t, slices.ContainsFunc(past, func(e cms.Event) bool { return e.Type == cms.EventNodeHung }), "nobody was taken for one that hangs")
}
