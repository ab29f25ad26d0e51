package cms_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// While nothing can be saved a start that is over in no time is not repeated
// without a pause.
func TestStartThatCannotBeSavedIsNotRepeatedWithoutAPause(t *testing.T) {
	for _, startErr := range []error{nil, pod.ErrImage} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			w.pod(0)
			w.launch()
			w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
			if startErr != nil {
				w.hosts["a"].FailStarts(1000, startErr)
			}
			time.Sleep(200 * time.Millisecond)
			w.hosts["a"].SetStartDelay(0)
			time.Sleep(10 * time.Second)
			assert.Less(t, len(w.hosts["a"].Calls("start")), 10)
			assert.Empty(t, w.told(cms.EventNodeOnline))
			assert.Empty(t, w.told(cms.EventNodeFailed))
			w.hosts["a"].FailStarts(0, nil)
			w.store.OnSave(nil)
			w.converge()
			w.assertConsistent()
		})
	}
}

func TestProblemOfTheStoreIsOverWhenItIs(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		_, err := w.Pause(t.Context(), "web")
		require.ErrorContains(t, err, "disk full")
		time.Sleep(3 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.NotEmpty(t, s.Problems)
		w.store.OnSave(nil)
		time.Sleep(2 * time.Second)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Empty(t, s.Problems)
	})
}

func TestProblemOfStartsIsOverWhenNothingIsToBeStarted(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.load(0.5)
		w.hosts["a"].FailStarts(-1, pod.ErrImage)
		w.elasticity(3, 4)
		time.Sleep(30 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.NotEmpty(t, s.Problems)
		w.load(0.5)
		w.elasticity(1, 1)
		s = w.wait("at rest", func(s cms.PodStatus) bool { return s.Converged && len(s.Problems) == 0 })
		assert.Equal(t, 1, s.Want)
	})
}

func TestNodesThatDieYoungAreStartedEverMoreSeldom(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		told := false
		for range 600 {
			for _, name := range running(w.hosts["a"]) {
				w.hosts["a"].Kill(pod.NodeID{Pod: "web", Name: name})
			}
			time.Sleep(time.Second)
			s, err := w.Pod("web")
			require.NoError(t, err)
			told = told || strings.Contains(strings.Join(sentences(s.Problems), "; "), "the next try is in")
		}
		assert.Less(t, len(w.hosts["a"].Calls("start")), 40)
		assert.True(t, told)
		s := w.converge()
		assert.Equal(t, 1, s.Want)
		w.assertConsistent()
	})
}

func TestRemovedNodeThatCannotBeForgottenIsAnError(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.hosts["a"].Kill(pod.NodeID{Pod: "web", Name: "n1"})
		w.wait("replaced", func(s cms.PodStatus) bool { return len(names(s, pod.StateFailed)) == 1 && s.Converged })
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.ErrorContains(t, err, "disk full")
		w.store.OnSave(nil)
		time.Sleep(time.Minute)
		n, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		assert.Equal(t, pod.StateGone, n.State)
	})
}

// stubborn is a host whose stops fail while broken says so.
type stubborn struct {
	pod.Runtime
	broken *atomic.Bool
}

func (s stubborn) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	if s.broken.Load() {
		_, _ = s.Runtime.Stop(ctx, pod.NodeID{Pod: "counted", Name: id.Name}, 0) // so that the host counts it
		return nil, errors.New("device busy")
	}
	return s.Runtime.Stop(ctx, id, grace)
}

func TestOrphanThatCannotBeStoppedIsTriedEverMoreSeldom(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		cluster := pod.Cluster{Name: cms.DefaultName, ID: w.Cluster().ID}
		w.end()
		rt := w.hosts["a"].Open(cluster)
		_, err := rt.Start(t.Context(), pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: "stray"}, Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
		require.NoError(t, err)
		require.NoError(t, rt.Close())
		var broken atomic.Bool
		broken.Store(true)
		open := w.config.OpenRuntime
		w.config.OpenRuntime = func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			rt, err := open(ctx, h, c)
			return stubborn{rt, &broken}, err
		}
		w.restart()
		time.Sleep(time.Minute)
		assert.Less(t, len(w.hosts["a"].Calls("stop")), 15)
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.NotEmpty(t, s.Problems)
		assert.Contains(t, sentences(s.Problems)[0], "device busy")
		broken.Store(false)
		time.Sleep(time.Minute)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Empty(t, s.Problems)
		w.assertConsistent()
	})
}

func TestDeletionWithAnUnreachableHostSaysWhatItWaitsFor(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.hosts["a"].SetUnreachable(true)
		_, err := w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.NotEmpty(t, s.Problems)
		assert.Contains(t, strings.Join(sentences(s.Problems), "; "), "node n1 cannot be stopped and removed yet: the host does not answer")
		w.hosts["a"].SetUnreachable(false)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Empty(t, running(w.hosts["a"]))
	})
}

func TestNodesLeaveHostsThatThePodMayNotUseAnyMore(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(4)
		next := spec()
		next.Hosts = []string{"b"}
		_, err := w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		fewest := 4
		for range 100 {
			fewest = min(fewest, len(w.servers(balancer.Ready)))
			time.Sleep(50 * time.Millisecond)
		}
		w.converge()
		assert.Equal(t, 4, fewest)
		assert.Empty(t, running(w.hosts["a"]))
		w.assertConsistent()
	})
}

// A rollout whose new nodes cannot start takes no old one away.
func TestRolloutThatFailsKeepsTheOldNodes(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.hosts["a"].FailStarts(-1, pod.ErrImage)
		next := spec()
		next.Workload.Env = map[string]string{"VERSION": "2"}
		_, err := w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		for range 120 {
			require.Len(t, w.servers(balancer.Ready), 3)
			time.Sleep(time.Second)
		}
		_, err = w.UpdatePod(t.Context(), spec())
		require.NoError(t, err)
		s := w.wait("back", func(s cms.PodStatus) bool { return s.Converged && len(s.Problems) == 0 })
		assert.Equal(t, []string{"n1", "n2", "n3"}, names(s, pod.StateOnline))
	})
}

func TestRolloutOfAPodThatIsAtItsLimit(t *testing.T) {
	for _, size := range []int{1, 3} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			sp := spec()
			sp.MaxNodes = size
			if size == 1 {
				sp.Update.MaxUnavailable = 1 // else the only one stays
			}
			_, err := w.CreatePod(t.Context(), sp)
			require.NoError(t, err)
			for range size {
				w.launch()
			}
			w.converge()
			sp.Workload.Env = map[string]string{"VERSION": "2"}
			_, err = w.UpdatePod(t.Context(), sp)
			require.NoError(t, err)
			fewest := size
			for range 100 {
				fewest = min(fewest, len(w.servers(balancer.Ready)))
				time.Sleep(50 * time.Millisecond)
			}
			s := w.converge()
			assert.Equal(t, size-1, fewest, "one goes first")
			for _, n := range s.Nodes {
				assert.Equal(t, s.Revision, n.Revision)
			}
			assert.Zero(t, w.balancer.Cut())
		})
	}
}

func TestClockSetBackDoesNotKeepADrainingNode(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.SetInFlight("web", "n1", 1)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		w.end()
		rec := w.store.State().Pods[0]
		rec.Nodes[0].DrainBy = time.Now().Add(24 * time.Hour)
		require.NoError(t, w.store.Save(context.Background(), cms.Change{PutPods: []cms.PodRecord{rec}}))
		w.restart()
		begun := time.Now()
		w.converge()
		assert.Less(t, time.Since(begun), time.Minute)
	})
}

func TestHaltFreezesTheNumberOfAnElasticPod(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 4, PolicyJSON: []byte(`{"kind":"target","metric":"in_flight","value":1}`)})
		require.NoError(t, err)
		w.balancer.SetInFlight("web", "n1", 4)
		w.wait("grown", func(s cms.PodStatus) bool { return s.Want == 4 && s.Converged })
		w.balancer.SetInFlight("web", "n1", 0)
		w.balancer.SetInFlight("web", "n2", 4)
		halted := make(chan error, 1)
		go func() { halted <- w.Halt(t.Context()) }()
		time.Sleep(10 * time.Second)
		_, err = w.SetElasticity(t.Context(), "web", cms.Elasticity{})
		require.NoError(t, err)
		_, err = w.Launch(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		_, err = w.RegisterNode(t.Context(), "web", "")
		require.ErrorIs(t, err, cms.ErrConflict)
		w.balancer.SetInFlight("web", "n2", 0)
		require.NoError(t, <-halted)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 4, s.Want)
		w.restart()
		assert.Len(t, names(w.converge(), pod.StateOnline), 4)
	})
}

func TestCommandsWhileEndingLeaveNothingBehind(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.hosts["a"].SetStartDelay(20 * time.Second)
		w.hosts["a"].SetStopDelay(20 * time.Second)
		w.launch()
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		_, err = w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		w.balancer.Delay(balancertest.Apply, 20*time.Second)
		time.Sleep(time.Second)
		answers := make(chan error, 10)
		for range cap(answers) {
			go func() {
				_, err := w.Launch(context.Background(), "web")
				answers <- err
			}()
		}
		begun := time.Now()
		w.end()
		assert.Less(t, time.Since(begun), 2*time.Second, "starts, stops and calls that do not end soon are called off")
		for range cap(answers) {
			<-answers
		}
		_, err = w.CordonHost(context.Background(), "a", true)
		require.ErrorIs(t, err, cms.ErrNotRunning)
		_, err = w.AddHost(context.Background(), pod.Host{Name: "b", Runtime: "fake"})
		require.ErrorIs(t, err, cms.ErrNotRunning)
		w.hosts["a"].SetStopDelay(0)
		w.hosts["a"].SetStartDelay(0)
		w.balancer.Delay(balancertest.Apply, 0)
		w.restart()
		time.Sleep(time.Minute)
		w.converge()
		w.assertConsistent()
	})
}

// A host that does not answer any more can be removed, also once others run in place
// of its nodes.
func TestHostThatIsLostForGoodCanBeRemoved(t *testing.T) {
	for _, away := range []time.Duration{5 * time.Second, 2 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) { removeLostHost(t, away) })
	}
}

func removeLostHost(t *testing.T, away time.Duration) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["b"] = podtest.NewFakeHost()
		_, err := w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
		require.NoError(t, err)
		w.pod(4)
		require.Len(t, running(w.hosts["b"]), 2)
		w.hosts["b"].SetUnreachable(true)
		time.Sleep(away)
		_, err = w.RemoveHost(t.Context(), "b", true)
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		_, err = w.Host("b")
		require.ErrorIs(t, err, cms.ErrNotFound)
		s := w.converge()
		assert.Len(t, names(s, pod.StateOnline), 4)
		assert.Len(t, running(w.hosts["a"]), 4)
		past, _ := w.Events(0)
		told := 0
		for _, e := range past {
			if e.Type == cms.EventProblem && e.Host == "b" {
				told++
			}
		}
		assert.Equal(t, 2, told, "what was left there is told")
		_, err = w.CordonHost(t.Context(), "b", true)
		require.ErrorIs(t, err, cms.ErrNotFound)
	})
}

func TestHostThatFlapsIsToldOfOncePerChange(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for range 3 {
			w.hosts["a"].SetUnreachable(true)
			time.Sleep(10 * time.Second)
			w.hosts["a"].SetUnreachable(false)
			time.Sleep(10 * time.Second)
		}
		past, _ := w.Events(0)
		count := map[cms.EventType]int{}
		for _, e := range past {
			count[e.Type]++
		}
		assert.Equal(t, 3, count[cms.EventHostUnreachable])
		assert.Equal(t, 3, count[cms.EventHostReachable])
		assert.Zero(t, count[cms.EventNodeFailed])
		w.assertConsistent()
	})
}

func TestHostThatBecomesForeignTakesNoNodes(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.hosts["b"].FailObserve(fmt.Errorf("node web/x: %w", pod.ErrForeign))
		time.Sleep(3 * time.Second)
		w.launch()
		w.launch()
		s := w.wait("online", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateOnline)) == 4 })
		assert.Len(t, running(w.hosts["a"]), 3)
		assert.Len(t, running(w.hosts["b"]), 1, "its node stays")
		assert.Len(t, w.servers(balancer.Ready), 4)
		assert.NotEmpty(t, w.Cluster().Problems)
		assert.Equal(t, 4, s.Want)
		w.hosts["b"].FailObserve(nil)
		w.converge()
	})
}

// One pod whose changes take long to save holds up itself only.
func TestSlowStoreHoldsUpOnePodOnly(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		other := spec()
		other.Name, other.Fronts = "other", nil
		_, err := w.CreatePod(t.Context(), other)
		require.NoError(t, err)
		w.store.OnSave(func(_ context.Context, c cms.Change) error {
			if len(c.PutPods) > 0 && c.PutPods[0].Spec.Name == "web" {
				time.Sleep(8 * time.Second)
			}
			return nil
		})
		time.Sleep(2 * time.Second)
		before, err := w.Ticks("other", 1)
		require.NoError(t, err)
		begun := time.Now()
		_, err = w.Pause(t.Context(), "web")
		require.NoError(t, err)
		assert.Equal(t, 8*time.Second, time.Since(begun))
		after, err := w.Ticks("other", 1)
		require.NoError(t, err)
		assert.InDelta(t, before[0].Seq+8, after[0].Seq, 1)
	})
}

// A pod that fills its hosts is changed all the same: one node goes first. One
// whose new nodes would not fit at all keeps what it has.
func TestRolloutOnAFullHost(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["a"].Capacity = pod.Resources{CPU: 2, Memory: 350 << 20}
		w.restart()
		w.pod(3)
		next := spec()
		next.Workload.Env = map[string]string{"VERSION": "2"}
		_, err := w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		fewest := 3
		for range 400 {
			fewest = min(fewest, len(w.servers(balancer.Ready)))
			time.Sleep(50 * time.Millisecond)
		}
		s := w.converge()
		assert.Equal(t, 2, fewest)
		for _, n := range s.Nodes {
			assert.Equal(t, s.Revision, n.Revision)
		}
		assert.Zero(t, w.balancer.Cut())
		w.assertConsistent()

		next.Limits.Memory = 200 << 20
		_, err = w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		for range 60 {
			require.Len(t, w.servers(balancer.Ready), 3)
			time.Sleep(time.Second)
		}
		s, err = w.Pod("web")
		require.NoError(t, err)
		require.NotEmpty(t, s.Problems)
		assert.Contains(t, sentences(s.Problems)[0], "50MiB of 350MiB memory free")
	})
}
