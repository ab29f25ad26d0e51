package cms_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// refuse makes the store not take changes of the pod of which no says so.
func (w *world) refuse(no func(next cms.PodRecord) bool) {
	w.store.OnSave(func(_ context.Context, c cms.Change) error {
		if len(c.PutPods) > 0 && no(c.PutPods[0]) {
			return errors.New("disk full")
		}
		return nil
	})
}

// A step that cannot be saved is neither taken nor told, and taken once it can be.
func TestStepsOfARolloutWaitForTheStore(t *testing.T) {
	for name, c := range map[string]struct {
		update cms.Update
		steps  int
		runs   map[string]int // while the step cannot be saved
		ready  int            // servers, then
	}{
		"canary": {cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 25, Pause: 10 * time.Second}}}, 1, map[string]int{"": 3, "2": 1}, 4},
		// New nodes and the step may share a write.
		"blue-green": {cms.Update{Strategy: cms.BlueGreen}, 1, map[string]int{"": 4, "2": 4}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(4)
				w.update(func(s *cms.PodSpec) { s.Update = c.update })
				w.refuse(func(next cms.PodRecord) bool { return next.Rollout != nil && next.Rollout.Step > 0 })
				w.update(version(2))
				time.Sleep(5 * time.Minute)
				s, err := w.Pod("web")
				require.NoError(t, err)
				assert.Equal(t, 0, s.Rollout.Step)
				assert.Equal(t, c.runs[""], w.runs()[""])
				assert.LessOrEqual(t, w.runs()["2"], c.runs["2"])
				assert.Len(t, w.servers(balancer.Ready), c.ready)
				assert.Empty(t, w.told(cms.EventRolloutStep))
				assert.Contains(t, strings.Join(sentences(s.Problems), "\n"), "nothing can be saved, so nothing is changed: disk full")
				w.refuse(func(next cms.PodRecord) bool { return next.Rollout != nil && next.Rollout.State == cms.RolloutDone })
				s = w.wait("all are new", func(s cms.PodStatus) bool { return s.Rollout.Ready == 4 && s.Rollout.Old == 0 })
				assert.Len(t, w.told(cms.EventRolloutStep), c.steps)
				time.Sleep(time.Minute)
				assert.Empty(t, w.told(cms.EventRolloutDone))
				s, err = w.Pod("web")
				require.NoError(t, err)
				assert.False(t, s.Converged)
				w.store.OnSave(nil)
				s = w.rolled(cms.RolloutDone)
				assert.Len(t, w.told(cms.EventRolloutDone), 1)
				assert.False(t, s.Rollout.EndedAt.IsZero())
				assert.Empty(t, s.Problems)
				w.assertConsistent()
			})
		})
	}
}

// A pod that must go back and cannot, as that cannot be saved, says so, and goes
// back when it can.
func TestRollBackThatCannotBeSaved(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		good := names(w.converge(), pod.StateOnline)
		w.refuse(func(next cms.PodRecord) bool {
			return next.Rollout != nil && next.Rollout.State == cms.RolloutRolledBack
		})
		w.hosts["a"].FailStarts(-1, pod.ErrImage)
		w.update(version(2))
		time.Sleep(time.Minute)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, cms.RolloutProgressing, rollout(s))
		assert.Contains(t, strings.Join(sentences(s.Problems), "\n"), "nothing can be saved, so nothing is changed: disk full")
		assert.Equal(t, good, names(s, pod.StateOnline))
		w.store.OnSave(nil)
		s = w.rolled(cms.RolloutRolledBack)
		assert.Empty(t, s.Problems)
		assert.Equal(t, good, names(s, pod.StateOnline))
		w.assertConsistent()
	})
}

// Failures of new nodes are counted over a restart, and only those: of nodes
// that ran before, and where the count has no say, there is none.
func TestFailuresOfARolloutAreCounted(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.update(func(s *cms.PodSpec) { s.Update.MinReady, s.Update.Failures = time.Hour, 3 })
		w.update(version(2))
		fresh := func() string {
			s := w.wait("a new one is online", func(s cms.PodStatus) bool { return s.Rollout.Fresh == 1 && len(names(s, pod.StateOnline)) == 4 })
			return names(s, pod.StateOnline)[3]
		}
		fresh()
		w.kill("n1") // an old one
		time.Sleep(time.Minute)
		for i := range 2 {
			s, err := w.Pod("web")
			require.NoError(t, err)
			require.Equal(t, i, s.Rollout.Failures)
			for _, n := range names(s, pod.StateOnline) {
				if !slices.Contains([]string{"n1", "n2", "n3"}, n) {
					w.kill(n)
					break
				}
			}
			time.Sleep(time.Minute)
		}
		w.restart()
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 2, s.Rollout.Failures)
		assert.Equal(t, cms.RolloutProgressing, rollout(s))
		for _, n := range names(s, pod.StateOnline) {
			if !slices.Contains([]string{"n1", "n2", "n3"}, n) {
				w.kill(n)
				break
			}
		}
		s = w.rolled(cms.RolloutRolledBack)
		assert.Contains(t, s.Rollout.Reason, "3 of its nodes failed, the last, ")

		w.update(func(s *cms.PodSpec) { s.Update.Failures = -1 })
		w.hosts["a"].FailStarts(-1, fmt.Errorf("%w: no such image", pod.ErrImage))
		w.update(version(3))
		time.Sleep(10 * time.Minute)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, cms.RolloutProgressing, rollout(s), "it never goes back by itself")
		assert.Zero(t, s.Rollout.Failures)
		assert.Len(t, names(s, pod.StateOnline), 3)
	})
}

// A change that cannot be saved leaves what is known of earlier ones alone.
func TestUndoThatCannotBeSaved(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for v := 2; v <= 4; v++ {
			w.update(version(v))
			w.rolled(cms.RolloutDone)
		}
		before := w.converge()
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		_, err := w.UndoRollout(t.Context(), "web", 2)
		require.ErrorContains(t, err, "disk full")
		w.store.OnSave(nil)
		time.Sleep(5 * time.Second)
		after := w.converge()
		assert.Equal(t, before.Revisions, after.Revisions)
		assert.Equal(t, before.Revision, after.Revision)
		assert.Equal(t, before.Rollout, after.Rollout)
		assert.Equal(t, map[string]int{"4": 1}, w.runs())
		_, err = w.UndoRollout(t.Context(), "web", 2)
		require.NoError(t, err)
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"2": 1}, w.runs())
	})
}

// New nodes that hang after they were ready count as ones that failed.
func TestNodesThatHangCountAgainstARollout(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(3, func(s *cms.PodSpec) { s.Update.MinReady = time.Hour })
		good := names(w.converge(), pod.StateOnline)
		w.update(version(2))
		for i := range 3 {
			s := w.wait("a new one is online", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 4 })
			require.Equal(t, i, s.Rollout.Failures)
			time.Sleep(5 * time.Minute)
			for _, n := range names(s, pod.StateOnline) {
				if !slices.Contains(good, n) {
					w.hosts["a"].SetHealth(pod.HealthUnhealthy, id(n))
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		s := w.rolled(cms.RolloutRolledBack)
		assert.Regexp(t, `^3 of its nodes failed, the last, n\d+, with: is unhealthy, says its HEALTHCHECK$`, s.Rollout.Reason)
		assert.Equal(t, good, names(s, pod.StateOnline))
	})
}
