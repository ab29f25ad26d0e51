package cms_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
)

// The balancer has confirmed long ago that servers of a paused pod drain.
func TestNodeOfPausedPodLeavesAtOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		_, err := w.Pause(t.Context(), "web")
		require.NoError(t, err)
		w.converge()
		time.Sleep(3 * time.Second)
		begun := time.Now()
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.converge()
		assert.Less(t, time.Since(begun), time.Second)
		assert.Zero(t, w.balancer.Cut())
	})
}

func TestUpdateAndDeleteAtTheSameTimeLeaveNothing(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.Delay(balancertest.SetFront, 20*time.Second)
		next := spec()
		next.Fronts[0].Name, next.Fronts[0].Listen = "web", "127.0.0.1:5200"
		second := next.Fronts[0]
		second.Name, second.Listen = "second", "127.0.0.1:5201"
		next.Fronts = append(next.Fronts, second)
		updated := make(chan error, 1)
		go func() {
			_, err := w.UpdatePod(t.Context(), next)
			updated <- err
		}()
		time.Sleep(time.Second)
		_, err := w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		require.ErrorIs(t, <-updated, cms.ErrConflict)
		_, err = w.WaitPod(t.Context(), "web", func(cms.PodStatus) bool { return false })
		require.ErrorIs(t, err, cms.ErrNotFound)
		for _, name := range []string{"web", "second"} {
			_, there := w.balancer.Front(name)
			assert.False(t, there, name)
		}
		_, err = w.UpdatePod(t.Context(), next)
		require.ErrorIs(t, err, cms.ErrNotFound)
		w.balancer.Delay(balancertest.SetFront, 0)
		next.Name = "other" // all its names and addresses are free
		_, err = w.CreatePod(t.Context(), next)
		require.NoError(t, err)
	})
}

func TestFrontThatIsNotAsItShouldBeAtStartIsSetLater(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.end()
		ctx := context.Background()
		require.NoError(t, w.balancer.SetFront(ctx, balancer.Front{Name: "web", Listen: "127.0.0.1:5999"}))
		require.NoError(t, w.balancer.SetFront(ctx, balancer.Front{Name: "stray", Listen: "127.0.0.1:5998"}))
		w.balancer.FailNext(balancertest.SetFront, balancer.ErrUnavailable, balancer.ErrUnavailable, balancer.ErrUnavailable)
		w.restart()
		w.converge()
		f, _ := w.balancer.Front("web")
		assert.Equal(t, "127.0.0.1:5100", f.Listen)
		_, there := w.balancer.Front("stray")
		assert.False(t, there)
		w.assertConsistent()
	})
}

// A front that no pod has may hold the address of one that a pod has.
func TestStrayFrontGivesItsAddressBack(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.end()
		ctx := context.Background()
		require.NoError(t, w.balancer.RemoveFront(ctx, "web"))
		require.NoError(t, w.balancer.SetFront(ctx, balancer.Front{Name: "stray", Listen: "127.0.0.1:5100"}))
		w.restart()
		w.converge()
		_, there := w.balancer.Front("web")
		assert.True(t, there)
		w.assertConsistent()
	})
}

func TestFrontThatCannotBeRemovedIsTriedAgain(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		two := spec()
		two.Fronts[0].Name = "web"
		second := two.Fronts[0]
		second.Name, second.Listen = "second", "127.0.0.1:5201"
		two.Fronts = append(two.Fronts, second)
		_, err := w.CreatePod(t.Context(), two)
		require.NoError(t, err)
		w.launch()
		w.converge()
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		_, err = w.UpdatePod(t.Context(), spec())
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.False(t, s.Converged)
		require.NotEmpty(t, s.Problems)
		assert.Contains(t, sentences(s.Problems)[0], "second")
		other := spec()
		other.Name = "other"
		other.Fronts[0] = second
		_, err = w.CreatePod(t.Context(), other)
		require.ErrorIs(t, err, cms.ErrConflict, "it is still there")

		w.balancer.Fail(balancertest.RemoveFront, nil)
		s = w.converge()
		assert.Empty(t, s.Problems)
		_, there := w.balancer.Front("second")
		assert.False(t, there)
		_, err = w.CreatePod(t.Context(), other)
		require.NoError(t, err)
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.converge()
	})
}

func TestFrontRenamedOnItsAddressIsRefusedWithTheWayOut(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		next := spec()
		next.Fronts[0].Name = "www"
		_, err := w.UpdatePod(t.Context(), next)
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "give front www another address")
		w.converge()
		w.assertConsistent()
	})
}

func TestCreateWhileEndingMakesAllOrNothing(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.store.OnSave(func(context.Context, cms.Change) error { time.Sleep(3 * time.Second); return nil })
		created := make(chan error, 1)
		go func() {
			_, err := w.CreatePod(context.Background(), spec())
			created <- err
		}()
		time.Sleep(time.Second)
		w.end()
		err := <-created
		w.restart()
		_, there := w.balancer.Front("web")
		if err == nil { // it was saved, and that was told
			assert.Len(t, w.Pods(), 1)
			assert.True(t, there)
			return
		}
		require.ErrorIs(t, err, cms.ErrNotRunning)
		time.Sleep(5 * time.Second)
		assert.Empty(t, w.Pods())
		_, there = w.balancer.Front("web")
		assert.False(t, there)
	})
}

// A node that drains keeps its requests while an update sets its fronts anew,
// also when a call to the balancer is under way then.
func TestUpdateCutsNothingOfDrainingNodes(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 1)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(time.Second)
		w.balancer.Fail(balancertest.Apply, errors.New("busy"))
		w.launch()
		time.Sleep(2 * time.Second)
		next := spec()
		next.Fronts[0].Algorithm = balancer.RoundRobin
		_, err = w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		w.balancer.Fail(balancertest.Apply, nil)
		time.Sleep(5 * time.Second)
		assert.Zero(t, w.balancer.Cut())
		w.balancer.SetInFlight("web", "n1", 0)
		w.converge()
		assert.Zero(t, w.balancer.Cut())
	})
}

func TestPodWithoutFronts(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		s := spec()
		s.Fronts = nil
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		w.launch()
		w.launch()
		w.converge()
		w.restart()
		p := w.converge()
		assert.Len(t, p.Nodes, 2)
		begun := time.Now()
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.converge()
		assert.Less(t, time.Since(begun), time.Second, "there are no requests to wait for")
	})
}

func TestFrontOfAPodThatWasNotMadeIsRemovedInTheEnd(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		_, err := w.CreatePod(t.Context(), spec())
		require.ErrorContains(t, err, "disk full")
		w.store.OnSave(nil)
		other := spec()
		other.Name = "other"
		_, err = w.CreatePod(t.Context(), other)
		require.ErrorIs(t, err, cms.ErrConflict, "its address is still taken")
		other.Fronts[0].Name, other.Fronts[0].Listen = "web", "127.0.0.1:5101"
		_, err = w.CreatePod(t.Context(), other)
		require.ErrorIs(t, err, cms.ErrConflict, "and its name")
		time.Sleep(5 * time.Minute)
		assert.Less(t, w.balancer.Count(balancertest.RemoveFront), 20, "it is tried ever more seldom")
		w.balancer.Fail(balancertest.RemoveFront, nil)
		time.Sleep(time.Minute)
		_, there := w.balancer.Front("web")
		assert.False(t, there)
		_, err = w.CreatePod(t.Context(), other)
		require.NoError(t, err)
	})
}

func TestFrontThatCannotBeSetIsNotMissedOnceItShouldBeGone(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.Fail(balancertest.SetFront, balancer.ErrUnavailable)
		w.restart()
		time.Sleep(5 * time.Second)
		p, err := w.Pod("web")
		require.NoError(t, err)
		assert.False(t, p.Converged)
		assert.NotEmpty(t, p.Problems)
		next := spec()
		next.Fronts = nil
		_, err = w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		w.balancer.Fail(balancertest.SetFront, nil)
		w.wait("at rest", func(s cms.PodStatus) bool { return s.Converged && len(s.Problems) == 0 })
	})
}

func TestFrontThatCannotBeRemovedIsNotMissedOnceItIsWantedAgain(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		next := spec()
		next.Fronts = nil
		p, err := w.UpdatePod(t.Context(), next)
		require.NoError(t, err)
		require.Len(t, p.Problems, 1)
		assert.Contains(t, sentences(p.Problems)[0], "front web could not be removed from the balancer: ")
		_, err = w.UpdatePod(t.Context(), spec())
		require.NoError(t, err)
		w.wait("at rest", func(s cms.PodStatus) bool { return s.Converged && len(s.Problems) == 0 })
		w.assertConsistent()
	})
}

// A front that is being set, because the last rollout changed how it is checked,
// goes when an update removes it meanwhile.
func TestFrontThatIsRemovedWhileItIsSetIsGone(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.balancer.Delay(balancertest.Apply, time.Second)
		two := spec()
		second := two.Fronts[0]
		two.Fronts[0].Name = "first"
		second.Name, second.Listen = "second", "127.0.0.1:5101"
		two.Fronts = append(two.Fronts, second)
		_, err := w.CreatePod(t.Context(), two)
		require.NoError(t, err)
		w.converge()
		changed := two.Clone()
		changed.Workload.Env = map[string]string{"VERSION": "2"}
		_, err = w.UpdatePod(t.Context(), changed) // the rollout of no nodes is over at once
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond) // servers are applied to the first front
		one := changed.Clone()
		one.Fronts = one.Fronts[:1]
		_, err = w.UpdatePod(t.Context(), one)
		require.NoError(t, err)
		assert.Equal(t, []string{"first"}, w.balancer.Fronts(), "once the update has answered")
		w.converge()
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"first"}, w.balancer.Fronts())
	})
}

// Fronts that two updates leave behind are removed in the end, both of them, and
// until then nobody else may have their names or addresses, whatever else is
// updated meanwhile.
func TestFrontsThatSeveralUpdatesLeaveAreRemovedInTheEnd(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		s := spec()
		for i := range 3 {
			f := s.Fronts[0]
			f.Name, f.Listen = fmt.Sprintf("web-%d", i), fmt.Sprintf("127.0.0.1:520%d", i)
			s.Fronts = append(s.Fronts, f)
		}
		s.Fronts = s.Fronts[1:]
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		for len(s.Fronts) > 1 {
			s.Fronts = s.Fronts[:len(s.Fronts)-1]
			_, err := w.UpdatePod(t.Context(), s)
			require.NoError(t, err)
		}
		s.MaxNodes = 5
		_, err = w.UpdatePod(t.Context(), s)
		require.NoError(t, err)
		w.balancer.Fail(balancertest.SetFront, balancer.ErrUnavailable)
		refused := s.Clone()
		refused.Fronts[0].Algorithm = balancer.RoundRobin
		_, err = w.UpdatePod(t.Context(), refused)
		require.Error(t, err)
		w.balancer.Fail(balancertest.SetFront, nil)
		for _, taken := range []string{"web-1", "web-2"} {
			other := spec()
			other.Name, other.Fronts[0].Name = "other", taken
			_, err := w.CreatePod(t.Context(), other)
			require.ErrorIs(t, err, cms.ErrConflict, "front %s is still there", taken)
		}
		w.balancer.Fail(balancertest.RemoveFront, nil)
		w.wait("at rest", func(s cms.PodStatus) bool { return s.Converged && len(s.Problems) == 0 })
		assert.Equal(t, []string{"web-0"}, w.balancer.Fronts())
		other := spec()
		other.Name, other.Fronts[0].Name, other.Fronts[0].Listen = "other", "web-1", "127.0.0.1:5202"
		_, err = w.CreatePod(t.Context(), other)
		require.NoError(t, err, "names and addresses are free again")
	})
}

func TestFrontThatNoPodHasIsRemovedOnceTheBalancerTellsOfIt(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		require.NoError(t, w.balancer.SetFront(t.Context(), balancer.Front{Name: "stray", Listen: "127.0.0.1:5999"}))
		w.balancer.Fail(balancertest.Observe, balancer.ErrUnavailable)
		w.restart()
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"stray", "web"}, w.balancer.Fronts())
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		w.balancer.Fail(balancertest.Observe, nil)
		time.Sleep(5 * time.Second)
		next := spec()
		next.Name, next.Fronts[0].Name, next.Fronts[0].Listen = "other", "stray", "127.0.0.1:5998"
		assert.Equal(t, []string{"stray", "web"}, w.balancer.Fronts())
		w.balancer.Fail(balancertest.RemoveFront, nil)
		time.Sleep(20 * time.Second)
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())
		_, err := w.CreatePod(t.Context(), next)
		require.NoError(t, err, "its name is free")
		w.assertConsistent()
	})
}
