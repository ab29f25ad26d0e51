package cms_test

import (
	"context"
	"errors"
	"sync/atomic"
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

// A deletion whose last step fails says so, is tried ever more seldom, and is
// done in the end.
func TestDeletionThatIsHeldUp(t *testing.T) {
	for name, c := range map[string]struct {
		hold  func(w *world)
		free  func(w *world)
		tries func(w *world) int
		says  string
	}{
		"by the balancer": {
			hold:  func(w *world) { w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable) },
			free:  func(w *world) { w.balancer.Fail(balancertest.RemoveFront, nil) },
			tries: func(w *world) int { return w.balancer.Count(balancertest.RemoveFront) },
			says:  "front web could not be removed from the balancer: ",
		},
		"by the store": {
			hold: func(w *world) {
				w.store.OnSave(func(_ context.Context, c cms.Change) error {
					if len(c.DeletePods) > 0 {
						return errors.New("disk full")
					}
					return nil
				})
			},
			free: func(w *world) { w.store.OnSave(nil) },
			says: "nothing can be saved, so nothing is changed: disk full",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(2)
				_, err := w.RegisterNode(t.Context(), "web", "")
				require.NoError(t, err)
				c.hold(w)
				_, err = w.DeletePod(t.Context(), "web")
				require.NoError(t, err)
				time.Sleep(5 * time.Minute)
				s, err := w.Pod("web")
				require.NoError(t, err)
				assert.Equal(t, cms.PodDeleting, s.State)
				assert.Empty(t, s.Nodes)
				require.Len(t, s.Problems, 1)
				assert.Contains(t, sentences(s.Problems)[0], c.says)
				if c.tries != nil {
					assert.Less(t, c.tries(w), 20)
					assert.Greater(t, c.tries(w), 5)
				}
				_, err = w.UpdatePod(t.Context(), spec())
				require.ErrorIs(t, err, cms.ErrConflict)
				_, err = w.CreatePod(t.Context(), spec())
				require.ErrorIs(t, err, cms.ErrExists)
				c.free(w)
				_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
				require.ErrorIs(t, err, cms.ErrNotFound)
				assert.Empty(t, w.balancer.Fronts())
				assert.Empty(t, w.store.State().Pods)
				w.pod(1)
			})
		})
	}
}

// A node that should not be there and cannot be stopped is no problem any more
// once its host is gone for good.
func TestOrphanOnAHostThatIsGone(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["b"] = podtest.NewFakeHost()
		var broken atomic.Bool
		broken.Store(true)
		open := w.config.OpenRuntime
		w.end()
		w.config.OpenRuntime = func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			rt, err := open(ctx, h, c)
			if h.Name == "b" {
				rt = stubborn{rt, &broken}
			}
			return rt, err
		}
		w.restart()
		_, err := w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
		require.NoError(t, err)
		_, err = w.CordonHost(t.Context(), "b", true)
		require.NoError(t, err)
		w.pod(1)
		rt := w.hosts["b"].Open(pod.Cluster{Name: cms.DefaultName, ID: w.Cluster().ID})
		_, err = rt.Start(t.Context(), pod.StartRequest{ID: id("stray"), Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.Len(t, s.Problems, 1)
		assert.Equal(t, "node stray runs on host b and should not, but cannot be stopped: device busy", before(sentences(s.Problems)[0]))
		w.hosts["b"].Vanish(id("stray"))
		time.Sleep(2 * time.Second)
		assert.Empty(t, w.converge().Problems, "it has ended by itself")
		_, err = rt.Start(t.Context(), pod.StartRequest{ID: id("stray"), Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
		require.NoError(t, err)
		require.NoError(t, rt.Close())
		time.Sleep(10 * time.Second)
		_, err = w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		s, err = w.Pod("web")
		require.NoError(t, err, "it waits for the node")
		assert.Empty(t, s.Nodes)
		w.hosts["b"].SetUnreachable(true)
		time.Sleep(time.Minute)
		_, err = w.Pod("web")
		require.NoError(t, err)
		_, err = w.RemoveHost(t.Context(), "b", true)
		require.NoError(t, err)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		_, err = w.Host("b")
		require.ErrorIs(t, err, cms.ErrNotFound)
	})
}

// A node with the name of a registered one, or of one that is known elsewhere,
// should not be there.
func TestNodesWithNamesOfOthersAreStopped(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(1)
		_, err := w.RegisterNode(t.Context(), "web", "mine")
		require.NoError(t, err)
		n, err := w.Node("web", "n1")
		require.NoError(t, err)
		elsewhere := map[string]string{"a": "b", "b": "a"}[n.Host]
		rt := w.hosts[elsewhere].Open(pod.Cluster{Name: cms.DefaultName, ID: w.Cluster().ID})
		w.hosts[elsewhere].SetStopDelay(3 * time.Second)
		for _, name := range []string{"mine", "n1"} {
			_, err := rt.Start(t.Context(), pod.StartRequest{ID: id(name), Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
			require.NoError(t, err)
		}
		require.NoError(t, rt.Close())
		time.Sleep(10 * time.Second)
		assert.Empty(t, running(w.hosts[elsewhere]))
		assert.Len(t, w.hosts[elsewhere].Calls("stop"), 2, "each of them once")
		assert.Equal(t, []string{"n1"}, running(w.hosts[n.Host]))
		s := w.converge()
		assert.Equal(t, []string{"mine"}, names(s, pod.StateNew))
		assert.Empty(t, s.Problems)
		w.assertConsistent()
	})
}

// Of failed nodes the last five are kept to be read about, and what is left of
// them on their hosts is cleared away, however long that cannot be done.
func TestFailedNodesAreClearedAway(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		var broken atomic.Bool
		open := w.config.OpenRuntime
		w.end()
		w.config.OpenRuntime = func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			rt, err := open(ctx, h, c)
			return stubborn{rt, &broken}, err
		}
		w.restart()
		w.pod(1)
		for range 7 {
			time.Sleep(time.Minute)
			w.kill(running(w.hosts["a"])[0])
			time.Sleep(5 * time.Second)
		}
		s := w.converge()
		assert.Equal(t, []string{"n3", "n4", "n5", "n6", "n7"}, names(s, pod.StateFailed))
		assert.Len(t, w.hosts["a"].Nodes(), 1)
		h, err := w.Host("a")
		require.NoError(t, err)
		assert.Equal(t, 1, h.Nodes, "they reserve nothing")

		broken.Store(true)
		w.kill("n8")
		time.Sleep(time.Minute)
		stops := len(w.hosts["a"].Calls("stop"))
		time.Sleep(10 * time.Minute)
		assert.Less(t, len(w.hosts["a"].Calls("stop"))-stops, 20, "ever more seldom")
		s, err = w.Pod("web")
		require.NoError(t, err)
		require.Len(t, s.Problems, 1)
		assert.Equal(t, "node n8 cannot be stopped and removed yet: device busy", before(sentences(s.Problems)[0]))
		assert.Len(t, w.hosts["a"].Nodes(), 2)
		h, err = w.Host("a")
		require.NoError(t, err)
		assert.Equal(t, 2, h.Nodes, "as long as it may be there")
		w.restart()
		time.Sleep(time.Minute)
		h, err = w.Host("a")
		require.NoError(t, err)
		assert.Equal(t, 6, h.Nodes, "nobody knows what is left of the others any more")
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		s = w.converge()
		assert.Empty(t, s.Problems)
		assert.Len(t, w.hosts["a"].Nodes(), 1)
		assert.Equal(t, []string{"n4", "n5", "n6", "n7", "n8"}, names(s, pod.StateFailed))
		_, err = w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		h, err = w.Host("a")
		require.NoError(t, err)
		assert.Zero(t, h.Nodes)
	})
}

// A node that comes up after it was given up, as its host had not told of it, is
// stopped.
func TestNodeThatComesUpAfterItHasFailed(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		time.Sleep(time.Minute)
		w.kill("n1")
		time.Sleep(10 * time.Second)
		s := w.converge()
		require.Equal(t, []string{"n1"}, names(s, pod.StateFailed))
		require.Equal(t, 1, w.stops("n1"))
		rt := w.hosts["a"].Open(pod.Cluster{Name: cms.DefaultName, ID: w.Cluster().ID})
		_, err := rt.Start(t.Context(), pod.StartRequest{ID: id("n1"), Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
		require.NoError(t, err)
		require.NoError(t, rt.Close())
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"n2"}, running(w.hosts["a"]))
		assert.Equal(t, 2, w.stops("n1"))
		assert.Empty(t, w.converge().Problems)
	})
}

// A node that never becomes ready is stopped, once, and says what was amiss.
func TestNodeThatIsNeverReady(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(1, func(s *cms.PodSpec) { s.Workload.Probe.StartDeadline = 10 * time.Second })
		w.hosts["a"].SetNewHealth(pod.HealthUnknown)
		w.hosts["a"].SetStopDelay(3 * time.Second)
		w.launch()
		time.Sleep(time.Second)
		w.hosts["a"].SetNewHealth(pod.HealthGood)
		time.Sleep(10 * time.Second)
		n, err := w.Node("web", "n2")
		require.NoError(t, err)
		assert.Equal(t, pod.StateFailed, n.State)
		assert.Equal(t, "not ready after 10s: its HEALTHCHECK has not passed yet", n.Reason)
		time.Sleep(10 * time.Second)
		assert.Equal(t, 1, w.stops("n2"))
		assert.Equal(t, []string{"n1", "n3"}, running(w.hosts["a"]))
		w.assertConsistent()
	})
}

// A host that the store does not know, as a backup of another time was put in
// its place, took its nodes with it.
func TestNodesOfAHostThatNobodyKnows(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.end()
		rec := w.stored()
		rec.Nodes[0].Host = "gone"
		require.NoError(t, w.store.Save(context.Background(), cms.Change{PutPods: []cms.PodRecord{rec}}))
		w.restart()
		s := w.wait("replaced", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateOnline)) == 2 })
		assert.Equal(t, []string{"n2", "n3"}, names(s, pod.StateOnline))
		n, err := w.Node("web", "n1")
		require.NoError(t, err)
		assert.Equal(t, pod.StateFailed, n.State)
		assert.Equal(t, "host gone was removed", n.Reason)
		_, err = w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
	})
}

// A manager that begins with a pod of which only its record and fronts are left
// becomes ready, and removes them.
func TestDeletionOfWhatIsLeftGoesOnAfterARestart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		_, err := w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		w.wait("no node is left", func(s cms.PodStatus) bool { return len(s.Nodes) == 0 })
		w.restart()
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"web"}, w.balancer.Fronts(), "it cannot be removed yet")
		assert.Len(t, w.Pods(), 1)
		w.balancer.Fail(balancertest.RemoveFront, nil)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Empty(t, w.balancer.Fronts())
		assert.Empty(t, w.store.State().Pods)
	})
}
