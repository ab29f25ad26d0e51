package cms_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

func TestLaunchByHand(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		ctx := t.Context()
		_, err := w.CreatePod(ctx, spec())
		require.NoError(t, err)
		_, err = w.Launch(ctx, "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "register one first")

		n, err := w.RegisterNode(ctx, "web", "first")
		require.NoError(t, err)
		assert.Equal(t, pod.StateNew, n.State)
		_, err = w.RegisterNode(ctx, "web", "first")
		require.ErrorIs(t, err, cms.ErrExists)
		time.Sleep(time.Millisecond)
		_, err = w.RegisterNode(ctx, "web", "second")
		require.NoError(t, err)

		n, err = w.Launch(ctx, "web")
		require.NoError(t, err)
		assert.Equal(t, "first", n.Name, "the oldest")
		assert.Equal(t, pod.StateStarting, n.State)
		s := w.converge()
		assert.Equal(t, []string{"first"}, names(s, pod.StateOnline))
		assert.Equal(t, []string{"second"}, names(s, pod.StateNew), "registered nodes wait to be launched")
		w.assertConsistent()

		n, err = w.RemoveNode(ctx, "web", "second")
		require.NoError(t, err)
		assert.Equal(t, pod.StateGone, n.State)
		n, err = w.RemoveNode(ctx, "web", "first")
		require.NoError(t, err)
		assert.Equal(t, pod.StateDraining, n.State)
		s = w.converge()
		assert.Empty(t, s.Nodes)
		assert.Zero(t, s.Want)
		w.assertConsistent()
		_, err = w.RemoveNode(ctx, "web", "first")
		require.ErrorIs(t, err, cms.ErrNotFound)
	})
}

func TestRegisterStopsAtTheLimit(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		sp := spec()
		sp.MaxNodes = 2
		_, err := w.CreatePod(t.Context(), sp)
		require.NoError(t, err)
		w.launch()
		w.launch()
		_, err = w.RegisterNode(t.Context(), "web", "")
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "max_nodes")
	})
}

func TestPauseDrainsAndResumeReturns(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 3)
		_, err := w.Pause(t.Context(), "web")
		require.NoError(t, err)
		s := w.converge()
		assert.Equal(t, cms.PodPaused, s.State)
		assert.Empty(t, w.servers(balancer.Ready))
		assert.Equal(t, []string{"n1", "n2"}, w.servers(balancer.Drain))
		assert.Zero(t, w.balancer.Cut(), "pausing cuts nothing")
		_, err = w.Resume(t.Context(), "web")
		require.NoError(t, err)
		w.converge()
		w.assertConsistent()
	})
}

func TestElasticityRefusesManualCommands(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.elasticity(1, 3)
		_, err := w.RegisterNode(t.Context(), "web", "x")
		require.ErrorIs(t, err, cms.ErrConflict)
		_, err = w.Launch(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "disable it first")
	})
}

func TestEnablingElasticityBringsInsideBounds(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.load(0.5)
		w.elasticity(3, 6)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 3, s.Want, "at once, not at the next tick")
		require.NotZero(t, s.LastChange.Seq)
		assert.Equal(t, 1, s.LastChange.Before)
		w.converge()
		w.assertConsistent()
		w.load(0.5)
		w.elasticity(1, 2)
		s = w.converge()
		assert.Equal(t, 2, s.Want)
	})
}

// Nodes that were registered before the limit was lowered, or while a node that
// failed was not replaced yet, are not launched above it.
func TestLaunchKeepsToTheLimit(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for range 2 {
			_, err := w.RegisterNode(t.Context(), "web", "")
			require.NoError(t, err)
		}
		lower := spec()
		lower.MaxNodes = 2
		_, err := w.UpdatePod(t.Context(), lower)
		require.NoError(t, err)
		_, err = w.Launch(t.Context(), "web")
		require.NoError(t, err)
		_, err = w.Launch(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		require.ErrorContains(t, err, "2 launched nodes, its limit")
		assert.Equal(t, 2, w.converge().Want)
	})
}

// Bounds that are set while a pod is paused hold from the moment on at which it
// is resumed.
func TestResumingBringsInsideBounds(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(0)
		_, err := w.Pause(t.Context(), "web")
		require.NoError(t, err)
		w.elasticity(2, 4)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Zero(t, s.Want, "the number of a paused pod stays")
		s, err = w.Resume(t.Context(), "web")
		require.NoError(t, err)
		assert.Equal(t, 2, s.Want)
		w.converge()
		w.assertConsistent()
	})
}

func TestElasticityLaunchesRegisteredNodesFirst(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(0)
		_, err := w.RegisterNode(t.Context(), "web", "mine")
		require.NoError(t, err)
		w.elasticity(2, 4)
		s := w.converge()
		assert.Equal(t, []string{"mine", "n1"}, names(s, pod.StateOnline))
	})
}

func TestGrowsAndShrinksWithTheLoad(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.elasticity(1, 4)
		for range 60 {
			w.load(0.95)
			time.Sleep(time.Second)
		}
		s := w.converge()
		assert.Equal(t, 4, s.Want)
		w.assertConsistent()
		for range 60 {
			w.load(0.01)
			time.Sleep(time.Second)
		}
		s = w.converge()
		assert.Equal(t, 1, s.Want)
		w.assertConsistent()
		assert.Zero(t, w.balancer.Cut())

		ticks, err := w.Ticks("web", 1000)
		require.NoError(t, err)
		moves := 0
		for _, tick := range ticks {
			if tick.Before != tick.Decision.Want {
				moves++
				assert.NotEmpty(t, tick.Decision.Reason(), "each change explains itself")
			}
		}
		assert.Equal(t, 6, moves, "three up, three down")
	})
}

func TestScaleInWaitsForRequestsAndTakesTheIdlest(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.balancer.SetInFlight("web", "n1", 2)
		w.balancer.SetInFlight("web", "n2", 1)
		w.balancer.SetInFlight("web", "n3", 4)
		time.Sleep(2 * time.Second)
		w.load(0.5)
		w.elasticity(1, 2)
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, []string{"n2"}, names(s, pod.StateDraining), "the one with the fewest requests")
		assert.Equal(t, []string{"n2"}, w.servers(balancer.Drain))
		assert.Equal(t, []string{"n1", "n2", "n3"}, running(w.hosts["a"]), "runs while it has a request")
		w.balancer.SetInFlight("web", "n2", 0)
		w.converge()
		w.assertConsistent()
		assert.Zero(t, w.balancer.Cut())
	})
}

func TestDrainDeadlineEndsTheWait(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.SetInFlight("web", "n1", 1)
		begun := time.Now()
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.converge()
		assert.InDelta(t, pod.DefaultDrain.Seconds(), time.Since(begun).Seconds(), 2)
		assert.Equal(t, 1, w.balancer.Cut())
		past, _ := w.Events(0)
		found := false
		for _, e := range past {
			found = found || e.Type == cms.EventNodeCut && e.Node == "n1" && e.Cut == 1
		}
		assert.True(t, found, "what was cut is told")
	})
}

func TestDeadNodeIsReplacedAtOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		time.Sleep(time.Minute)
		w.hosts["a"].Exit(pod.NodeID{Pod: "web", Name: "n1"}, pod.Exit{Code: 3, LastLog: []string{"no such table"}})
		begun := time.Now()
		s := w.wait("replaced", func(s cms.PodStatus) bool { return len(names(s, pod.StateFailed)) == 1 && s.Converged })
		assert.Less(t, time.Since(begun), 500*time.Millisecond, "the runtime's event is acted on, not the next poll")
		assert.Equal(t, []string{"n2", "n3"}, names(s, pod.StateOnline))
		w.assertConsistent()
		n, err := w.Node("web", "n1")
		require.NoError(t, err)
		assert.Equal(t, pod.StateFailed, n.State)
		assert.Equal(t, "exit code 3: no such table", n.Reason)
	})
}

func TestFailedStartsBackOff(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["a"].FailStarts(-1, pod.ErrImage)
		_, err := w.CreatePod(t.Context(), spec())
		require.NoError(t, err)
		w.elasticity(3, 5)
		time.Sleep(10 * time.Minute)
		starts := len(w.hosts["a"].Calls("start"))
		assert.Less(t, starts, 30, "ever more seldom")
		assert.Greater(t, starts, 8, "but not never")
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.NotEmpty(t, s.Problems)
		assert.Contains(t, sentences(s.Problems)[0], "there is no such image or program")
		assert.LessOrEqual(t, len(s.Nodes), 6, "failed nodes do not pile up")
		w.hosts["a"].FailStarts(0, nil)
		w.converge()
		w.assertConsistent()
	})
}

func TestRestartAdopts(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.load(0.5)
		w.elasticity(2, 5)
		before := w.converge()
		starts, applies := len(w.hosts["a"].Calls("start")), w.balancer.Count(balancertest.Apply)
		w.restart()
		time.Sleep(10 * time.Second)
		after := w.converge()
		assert.Equal(t, before.Spec, after.Spec)
		assert.Equal(t, before.Elasticity, after.Elasticity)
		assert.Equal(t, names(before, pod.StateOnline), names(after, pod.StateOnline))
		assert.Len(t, w.hosts["a"].Calls("start"), starts, "nothing was started anew")
		assert.Zero(t, w.balancer.Cut())
		assert.LessOrEqual(t, w.balancer.Count(balancertest.Apply), applies+1)
		for _, list := range w.balancer.History("web")[3:] {
			assert.Len(t, list, 3, "no server was ever taken away")
		}
		w.assertConsistent()
	})
}

func TestRestartRepairs(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		cluster := pod.Cluster{Name: cms.DefaultName, ID: w.Cluster().ID}
		w.end()
		w.hosts["a"].Vanish(pod.NodeID{Pod: "web", Name: "n1"})
		rt := w.hosts["a"].Open(cluster)
		for _, id := range []pod.NodeID{{Pod: "web", Name: "stray"}, {Pod: "ghost", Name: "n1"}} {
			_, err := rt.Start(context.Background(), pod.StartRequest{ID: id, Workload: spec().WithDefaults().Workload, Limits: spec().Limits})
			require.NoError(t, err)
		}
		require.NoError(t, rt.Close())
		w.restart()
		w.wait("replaced", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateOnline)) == 2 })
		time.Sleep(30 * time.Second)
		assert.Equal(t, []string{"n2", "n3"}, running(w.hosts["a"]), "the lost one is replaced, the strays are gone")
		w.assertConsistent()
	})
}

func TestRestartResumesUnfinishedStartsAndDrains(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 1)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.launch()
		s, err := w.Pod("web")
		require.NoError(t, err)
		require.Equal(t, []string{"n3"}, names(s, pod.StateStarting))
		before, err := w.Node("web", "n1")
		require.NoError(t, err)
		time.Sleep(100 * time.Millisecond)
		w.restart()
		time.Sleep(5 * time.Second)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, []string{"n2", "n3"}, names(s, pod.StateOnline))
		assert.Equal(t, []string{"n1"}, names(s, pod.StateDraining), "its request still runs")
		n, err := w.Node("web", "n1")
		require.NoError(t, err)
		assert.Greater(t, n.DrainBy, before.DrainBy, "nobody can tell how much of it has passed")
		w.balancer.SetInFlight("web", "n1", 0)
		w.converge()
		w.assertConsistent()
		assert.Zero(t, w.balancer.Cut())
	})
}

func TestDeleteFinishesAfterARestart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 1)
		s, err := w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		assert.Equal(t, cms.PodDeleting, s.State)
		_, err = w.CreatePod(t.Context(), spec())
		require.ErrorIs(t, err, cms.ErrExists)
		time.Sleep(3 * time.Second)
		w.restart()
		_, err = w.Pause(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		w.balancer.SetInFlight("web", "n1", 0)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Empty(t, running(w.hosts["a"]))
		_, there := w.balancer.Front("web")
		assert.False(t, there)
		assert.Zero(t, w.balancer.Cut())
		w.pod(1) // its name and address are free again
	})
}

func TestCreateLeavesNothingHalfMade(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		ctx := t.Context()
		bad := spec()
		bad.Name, bad.Limits.CPU, bad.Hosts, bad.Fronts[0].Port = "Web!", -1, []string{"b"}, "https"
		_, err := w.CreatePod(ctx, bad)
		var faults cms.Faults
		require.ErrorAs(t, err, &faults)
		assert.GreaterOrEqual(t, len(faults), 4, "every fault at once: %v", faults)

		w.balancer.Occupy("127.0.0.1:5100", true)
		_, err = w.CreatePod(ctx, spec())
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "127.0.0.1:5100")
		w.balancer.Occupy("127.0.0.1:5100", false)

		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		_, err = w.CreatePod(ctx, spec())
		require.ErrorContains(t, err, "disk full")
		_, there := w.balancer.Front("web")
		assert.False(t, there)
		w.store.OnSave(nil)
		assert.Empty(t, w.Pods())

		w.pod(1)
		other := spec()
		other.Name = "other"
		_, err = w.CreatePod(ctx, other)
		require.ErrorIs(t, err, cms.ErrConflict, "same address")
		other.Fronts[0].Listen, other.Fronts[0].Name = "127.0.0.1:5101", "web"
		_, err = w.CreatePod(ctx, other)
		require.ErrorIs(t, err, cms.ErrConflict, "same front name")
		other.Fronts[0].Name = "other"
		_, err = w.CreatePod(ctx, other)
		require.NoError(t, err)
	})
}

func TestUpdateReplacesNodesOneAtATime(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		old, err := w.Pod("web")
		require.NoError(t, err)
		next := spec()
		next.Workload.Env = map[string]string{"VERSION": "2"}
		_, err = w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		fewest := 3
		for range 200 {
			fewest = min(fewest, len(w.servers(balancer.Ready)))
			time.Sleep(50 * time.Millisecond)
		}
		s := w.converge()
		assert.Equal(t, 3, fewest, "never fewer servers than wanted")
		assert.Zero(t, w.balancer.Cut())
		assert.NotEqual(t, old.Revision, s.Revision)
		for _, n := range s.Nodes {
			assert.Equal(t, s.Revision, n.Revision)
		}
		assert.Len(t, s.Nodes, 3)
		w.assertConsistent()
	})
}

func TestUpdateMovesFronts(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		next := spec()
		next.Fronts[0].Listen = "127.0.0.1:5200"
		second := next.Fronts[0]
		second.Name, second.Listen = "second", "127.0.0.1:5201"
		next.Fronts[0].Name = "web"
		next.Fronts = append(next.Fronts, second)
		_, err := w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		w.converge()
		assert.Len(t, w.balancer.Servers("second"), 2)
		f, _ := w.balancer.Front("web")
		assert.Equal(t, "127.0.0.1:5200", f.Listen)

		next.Fronts = next.Fronts[1:]
		_, err = w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		_, there := w.balancer.Front("web")
		assert.False(t, there)

		w.balancer.Occupy("127.0.0.1:5300", true)
		next.Fronts[0].Listen = "127.0.0.1:5300"
		_, err = w.UpdatePod(t.Context(), next)
		require.ErrorIs(t, err, cms.ErrConflict)
		f, _ = w.balancer.Front("second")
		assert.Equal(t, "127.0.0.1:5201", f.Listen, "as it was")
		w.converge()
	})
}

func TestServersLostByTheBalancerComeBack(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		require.NoError(t, w.balancer.RemoveFront(t.Context(), "web"))
		time.Sleep(5 * time.Second)
		w.converge()
		w.assertConsistent()
		w.balancer.Fail(balancertest.Apply, balancer.ErrUnavailable)
		w.launch()
		time.Sleep(10 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.NotEmpty(t, s.Problems)
		w.balancer.Fail(balancertest.Apply, nil)
		s = w.converge()
		assert.Empty(t, s.Problems)
		w.assertConsistent()
	})
}

func TestStoreThatFailsChangesNothing(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 3, Max: 5})
		require.ErrorContains(t, err, "disk full")
		_, err = w.Pause(t.Context(), "web")
		require.ErrorContains(t, err, "disk full")
		_, err = w.RegisterNode(t.Context(), "web", "x")
		require.ErrorContains(t, err, "disk full")
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.False(t, s.Elasticity.Enabled)
		assert.Equal(t, cms.PodActive, s.State)
		assert.Len(t, s.Nodes, 1)
		w.store.OnSave(nil)
		_, err = w.Pause(t.Context(), "web")
		require.NoError(t, err)
	})
}

func TestDryRunOnlyTells(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 5, Mode: cms.ModeDryRun})
		require.NoError(t, err)
		for range 5 {
			w.load(0.95)
			time.Sleep(time.Second)
		}
		s := w.converge()
		assert.Equal(t, 1, s.Want)
		assert.Contains(t, s.LastTick.Decision.String(), "dry run")
	})
}

func TestHaltStopsNodesAndKeepsTheirNumber(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		require.NoError(t, w.Halt(t.Context()))
		assert.Empty(t, running(w.hosts["a"]))
		w.restart()
		s := w.converge()
		assert.Equal(t, 3, s.Want)
		assert.Len(t, names(s, pod.StateOnline), 3)
	})
}

func TestCommandsNeedARunningManager(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.end()
		_, err := w.Pause(context.Background(), "web")
		require.ErrorIs(t, err, cms.ErrNotRunning)
		_, err = w.CreatePod(context.Background(), spec())
		require.Error(t, err)
	})
	_, err := cms.New(cms.Config{Name: "Bad Name"})
	var faults cms.Faults
	require.ErrorAs(t, err, &faults)
	assert.GreaterOrEqual(t, len(faults), 4)
}
