package cms_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

func TestNodesAreSpreadOverHosts(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(6)
		assert.Len(t, running(w.hosts["a"]), 3)
		assert.Len(t, running(w.hosts["b"]), 3)
		h, err := w.Host("a")
		require.NoError(t, err)
		assert.Equal(t, 3, h.Nodes)
		assert.Equal(t, pod.Resources{CPU: 1.5, Memory: 300 << 20}, h.Reserved)
		w.assertConsistent()
	})
}

func TestFullClusterSaysSoInTheDecision(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["a"].Capacity = pod.Resources{CPU: 2, Memory: 350 << 20}
		w.restart()
		w.pod(1)
		w.elasticity(1, 8)
		for range 30 {
			w.load(0.95)
			time.Sleep(time.Second)
		}
		s := w.converge()
		assert.Equal(t, 3, s.Want, "memory for three")
		assert.Contains(t, s.LastTick.Decision.String(), "host a 50MiB of 350MiB memory free")
		w.assertConsistent()

		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{})
		require.NoError(t, err)
		_, err = w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		_, err = w.Launch(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "50MiB of 350MiB memory free")
	})
}

func TestUnreachableHostFreezesTheNumber(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.load(0.5)
		w.elasticity(1, 8)
		w.hosts["b"].SetUnreachable(true)
		for range 30 {
			w.load(0.95)
			time.Sleep(time.Second)
		}
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 4, s.Want)
		assert.Contains(t, s.LastTick.Decision.String(), "host b does not answer")
		assert.Len(t, w.servers(balancer.Ready), 4, "its nodes may well answer: they stay servers")

		// Replacing dead nodes goes on meanwhile.
		id := w.hosts["a"].Nodes()[0].ID
		w.hosts["a"].Kill(id)
		s = w.wait("replaced", func(s cms.PodStatus) bool {
			return len(names(s, pod.StateFailed)) == 1 && len(names(s, pod.StateOnline)) == 4
		})
		assert.NotContains(t, names(s, pod.StateOnline), id.Name)
		h, err := w.Host("b")
		require.NoError(t, err)
		assert.False(t, h.Reachable)

		w.hosts["b"].SetUnreachable(false)
		w.load(0.5)
		time.Sleep(3 * time.Second)
		w.converge()
		w.assertConsistent()
	})
}

func TestHostsComeAndGoAtRunTime(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.pod(2)
		_, err := w.AddHost(ctx, pod.Host{Name: "c", Runtime: "fake"})
		require.ErrorIs(t, err, cms.ErrConflict, "it does not answer")
		_, err = w.AddHost(ctx, pod.Host{Name: "Bad", Runtime: "fake"})
		var faults cms.Faults
		require.ErrorAs(t, err, &faults)
		w.hosts["b"] = podtest.NewFakeHost()
		_, err = w.AddHost(ctx, pod.Host{Name: "b", Runtime: "fake"})
		require.NoError(t, err)
		_, err = w.AddHost(ctx, pod.Host{Name: "b", Runtime: "fake"})
		require.ErrorIs(t, err, cms.ErrExists)
		w.launch()
		w.converge()
		assert.Len(t, running(w.hosts["b"]), 1, "the emptier host")

		_, err = w.CordonHost(ctx, "b", true)
		require.NoError(t, err)
		w.launch()
		w.converge()
		assert.Len(t, running(w.hosts["b"]), 1, "no new node")
		w.restart()
		time.Sleep(5 * time.Second)
		h, err := w.Host("b")
		require.NoError(t, err, "hosts survive a restart")
		assert.True(t, h.Host.Cordoned)

		_, err = w.RemoveHost(ctx, "b", false)
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "drain")
		fewest := 4
		_, err = w.RemoveHost(ctx, "b", true)
		require.NoError(t, err)
		for range 100 {
			fewest = min(fewest, len(w.servers(balancer.Ready)))
			time.Sleep(50 * time.Millisecond)
		}
		w.converge()
		assert.Empty(t, running(w.hosts["b"]))
		assert.Len(t, running(w.hosts["a"]), 4)
		assert.Equal(t, 4, fewest, "moved, the new one first")
		_, err = w.Host("b")
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Zero(t, w.balancer.Cut())
		_, err = w.RemoveHost(ctx, "a", true)
		require.ErrorIs(t, err, cms.ErrConflict, "it is in the configuration")
	})
}

// A host that is being removed and does not answer when the manager starts again is
// not dropped with nodes on it that may serve.
func TestHostThatIsBeingRemovedIsAwayAtTheStart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["b"] = podtest.NewFakeHost()
		_, err := w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
		require.NoError(t, err)
		w.pod(4)
		require.NotEmpty(t, running(w.hosts["b"]))
		_, err = w.CordonHost(t.Context(), "a", true)
		require.NoError(t, err, "so that b's nodes have no other place")
		_, err = w.RemoveHost(t.Context(), "b", true)
		require.NoError(t, err)
		w.hosts["b"].SetUnreachable(true)
		w.restart()
		time.Sleep(10 * time.Second)
		_, err = w.Host("b")
		require.NoError(t, err)
		assert.Len(t, w.servers(balancer.Ready), 4)
		_, err = w.CordonHost(t.Context(), "a", false)
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		_, err = w.Host("b")
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Len(t, w.servers(balancer.Ready), 4)
		assert.Len(t, running(w.hosts["a"]), 4)
	})
}

func TestForeignHostIsRefused(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		_, err := w.CreatePod(t.Context(), spec())
		require.NoError(t, err)
		w.end()
		rt := w.hosts["a"].Open(pod.Cluster{Name: cms.DefaultName, ID: "another"})
		_, err = rt.Start(t.Context(), pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: "n1"}, Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
		require.NoError(t, err)
		require.NoError(t, rt.Close())
		w.restart()
		time.Sleep(3 * time.Second)
		require.NotEmpty(t, w.Cluster().Problems)
		assert.Contains(t, sentences(w.Cluster().Problems)[0], "another")
		assert.Equal(t, []string{"n1"}, running(w.hosts["a"]), "not touched")
		_, err = w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		_, err = w.Launch(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "belongs to another manager")
	})
}

// A host and a balancer that take seconds for everything do not hold up the
// loops: ticks keep their pace and reads answer at once.
func TestSlowBackendsDoNotHoldUpTheLoops(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		time.Sleep(3 * time.Second)
		w.hosts["a"].SetStartDelay(20 * time.Second)
		w.hosts["a"].SetStopDelay(20 * time.Second)
		w.balancer.Delay(balancertest.Apply, 3*time.Second)
		w.balancer.Delay(balancertest.Observe, 3*time.Second)
		first, err := w.Ticks("web", 1)
		require.NoError(t, err)
		w.launch()
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		last, err := w.Ticks("web", 1)
		require.NoError(t, err)
		assert.Equal(t, first[0].Seq+10, last[0].Seq)
		w.converge()
		w.assertConsistent()
	})
}

func TestEventsGrowOverRestartsAndResume(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		past, next := w.Events(0)
		require.NotEmpty(t, past)
		for i, e := range past {
			assert.NotZero(t, e.ID)
			if i > 0 {
				assert.Equal(t, past[i-1].ID+1, e.ID)
			}
			assert.NotEmpty(t, e.Message, "%s", e.Type)
		}
		assert.Equal(t, next, w.NextEvent())
		half, _ := w.Events(past[3].ID)
		assert.Equal(t, past[4:], half)

		sub := w.Subscribe(past[len(past)-1].ID, 100)
		_, err := w.Pause(t.Context(), "web")
		require.NoError(t, err)
		for {
			e, err := sub.Next(t.Context())
			require.NoError(t, err)
			if e.Type != cms.EventTick {
				assert.Equal(t, cms.EventPodPaused, e.Type)
				assert.Equal(t, next, e.ID)
				break
			}
		}
		sub.Close()
		sub.Close()

		lazy := w.Subscribe(0, 1)
		time.Sleep(10 * time.Second)
		for err = nil; err == nil; _, err = lazy.Next(t.Context()) {
		}
		require.ErrorIs(t, err, cms.ErrLagged, "nobody waits for a subscriber")

		w.restart()
		_, err = w.Resume(t.Context(), "web")
		require.NoError(t, err)
		after, _ := w.Events(next)
		require.NotEmpty(t, after)
		assert.Equal(t, cms.EventReset, after[0].Type, "what was before the restart is not kept")
		assert.Greater(t, after[1].ID, next)
	})
}

func TestHundredPodsKeepTheirTick(t *testing.T) {
	inWorld(t, []string{"a", "b", "c"}, func(t *testing.T, w *world) {
		for _, h := range w.hosts {
			h.Capacity = pod.Resources{CPU: 1000, Memory: 1 << 40}
		}
		w.restart()
		for i := range 100 {
			s := spec()
			s.Name = fmt.Sprintf("p%d", i)
			s.Fronts[0].Listen = fmt.Sprintf("127.0.0.1:%d", 6000+i)
			_, err := w.CreatePod(t.Context(), s)
			require.NoError(t, err)
			_, err = w.SetElasticity(t.Context(), s.Name, cms.Elasticity{Enabled: true, Min: 5, Max: 10})
			require.NoError(t, err)
		}
		time.Sleep(20 * time.Second)
		for _, s := range w.Pods() {
			assert.True(t, s.Converged, s.Spec.Name)
			assert.InDelta(t, 19, float64(s.LastTick.Seq), 2)
		}
	})
}

// One machine under two names does no harm: its nodes are not taken for strays
// of the other, and adding the second name at run time is refused.
func TestOneMachineUnderTwoNames(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.hosts["b"] = w.hosts["a"]
		_, err := w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "host a")

		w.config.Hosts = append(w.config.Hosts, pod.Host{Name: "b", Runtime: "fake"})
		w.restart()
		time.Sleep(30 * time.Second)
		s := w.converge()
		assert.Equal(t, []string{"n1", "n2", "n3"}, names(s, pod.StateOnline))
		w.launch()
		time.Sleep(10 * time.Second)
		assert.Len(t, names(w.converge(), pod.StateOnline), 4)
		assert.Len(t, w.hosts["a"].Calls("stop"), 0)
	})
}
