package cms_test

import (
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

// update changes the pod's spec.
func (w *world) update(edit func(*cms.PodSpec)) cms.PodStatus {
	w.t.Helper()
	s, err := w.Pod("web")
	require.NoError(w.t, err)
	next := s.Spec.Clone()
	edit(&next)
	s, err = w.UpdatePod(w.t.Context(), next)
	require.NoError(w.t, err)
	return s
}

// version makes nodes run version n.
func version(n int) func(*cms.PodSpec) {
	return func(s *cms.PodSpec) { s.Workload.Env = map[string]string{"VERSION": fmt.Sprint(n)} }
}

// runs returns how many online nodes run each version, as their host was told.
func (w *world) runs() map[string]int {
	byNode := map[pod.NodeID]string{}
	for _, h := range w.hosts {
		for _, c := range h.Calls("start") {
			if c.Err == nil {
				byNode[c.ID] = c.Request.Workload.Env["VERSION"]
			}
		}
	}
	s, err := w.Pod("web")
	require.NoError(w.t, err)
	out := map[string]int{}
	for _, n := range names(s, pod.StateOnline) {
		out[byNode[id(n)]]++
	}
	return out
}

func rollout(s cms.PodStatus) cms.RolloutState {
	if s.Rollout == nil {
		return ""
	}
	return s.Rollout.State
}

func (w *world) rolled(state cms.RolloutState) cms.PodStatus {
	w.t.Helper()
	return w.wait("rollout "+string(state), func(s cms.PodStatus) bool { return rollout(s) == state && s.Converged })
}

// lowest watches for the time of f how few and how many nodes were online and
// took requests.
func (w *world) during(f func()) (least, most int) {
	least, most = len(w.servers(balancer.Ready)), 0
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			s, err := w.Pod("web")
			if err == nil {
				n := len(names(s, pod.StateOnline)) + len(names(s, pod.StateStarting))
				least, most = min(least, len(w.servers(balancer.Ready))), max(most, n)
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return least, most
}

func TestARolloutReplacesTheNodesWithinItsBounds(t *testing.T) {
	for _, c := range []struct {
		surge, unavailable int
		least, most        int
	}{{0, 0, 4, 5}, {2, 0, 4, 6}, {-1, 2, 2, 4}, {1, 1, 3, 5}} {
		t.Run(fmt.Sprintf("surge %d unavailable %d", c.surge, c.unavailable), func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(4)
				w.update(func(s *cms.PodSpec) {
					s.Update = cms.Update{MaxSurge: c.surge, MaxUnavailable: c.unavailable}
				})
				assert.Nil(t, w.converge().Rollout, "how it is updated is not what it runs")
				least, most := w.during(func() {
					s := w.update(version(2))
					require.Equal(t, cms.RolloutProgressing, rollout(s))
					assert.Positive(t, s.Rollout.Old)
					w.rolled(cms.RolloutDone)
				})
				assert.Equal(t, c.least, least)
				assert.Equal(t, c.most, most)
				assert.Equal(t, map[string]int{"2": 4}, w.runs())
				w.assertConsistent()
			})
		})
	}
}

func TestANodeMustBeReadyForAsLongAsAsked(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.update(func(s *cms.PodSpec) { s.Update.MinReady = 20 * time.Second })
		begun := time.Now()
		w.update(version(2))
		w.rolled(cms.RolloutDone)
		assert.Greater(t, time.Since(begun), 60*time.Second)
		assert.Less(t, time.Since(begun), 75*time.Second)
	})
}

func TestABadImageNeverTakesTheGoodNodes(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		good := names(w.converge(), pod.StateOnline)
		w.hosts["a"].FailStarts(-1, fmt.Errorf("%w: no such image", pod.ErrImage))
		w.update(version(2))
		s := w.wait("back", func(s cms.PodStatus) bool { return rollout(s) == cms.RolloutRolledBack && s.Converged })
		assert.Contains(t, s.Rollout.Reason, "no such image")
		assert.Equal(t, good, names(s, pod.StateOnline))
		assert.Empty(t, s.Spec.Workload.Env, "what is stored is what runs")
		assert.Len(t, w.hosts["a"].Calls("start"), 4, "trying the same again does not help")
		w.hosts["a"].FailStarts(0, nil)
		w.restart()
		assert.Equal(t, good, names(w.converge(), pod.StateOnline))
	})
}

func TestARolloutWhoseNodesFailGoesBackByItself(t *testing.T) {
	for name, fail := range map[string]func(w *world, node string){
		"dead":      func(w *world, node string) { w.hosts["a"].Kill(id(node)) },
		"unhealthy": func(w *world, node string) { w.hosts["a"].SetHealth(pod.HealthUnhealthy, id(node)) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.checked(3, nil)
				good := names(w.converge(), pod.StateOnline)
				w.update(func(s *cms.PodSpec) { s.Update.MinReady = 10 * time.Second })
				w.update(version(2))
				for range 300 {
					time.Sleep(time.Second)
					for _, n := range running(w.hosts["a"]) {
						if !slices.Contains(good, n) {
							fail(w, n)
						}
					}
				}
				s := w.rolled(cms.RolloutRolledBack)
				assert.Contains(t, s.Rollout.Reason, "3 of its nodes failed")
				assert.Equal(t, good, names(s, pod.StateOnline))
				w.assertConsistent()
			})
		})
	}
}

func TestARolloutPausesAndThePodGoesOnScaling(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.load(0.5)
		w.elasticity(2, 8)
		w.update(func(s *cms.PodSpec) { s.Update.MinReady = 30 * time.Second })
		w.update(version(2))
		time.Sleep(10 * time.Second)
		_, err := w.PauseRollout(t.Context(), "web")
		require.NoError(t, err)
		_, err = w.PauseRollout(t.Context(), "web")
		require.NoError(t, err, "twice is no harm")
		time.Sleep(5 * time.Minute)
		assert.Equal(t, map[string]int{"": 4, "2": 1}, w.runs())
		w.load(0.9)
		time.Sleep(10 * time.Second)
		w.load(0.5)
		time.Sleep(30 * time.Second)
		grown := w.runs()
		assert.Greater(t, grown[""], 4, "what is started meanwhile is of the proven revision")
		assert.Equal(t, 1, grown["2"])
		w.restart()
		assert.Equal(t, cms.RolloutPaused, rollout(w.wait("", func(cms.PodStatus) bool { return true })))
		_, err = w.ResumeRollout(t.Context(), "web")
		require.NoError(t, err)
		for range 60 {
			w.load(0.5)
			time.Sleep(10 * time.Second)
		}
		s := w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"2": s.Want}, w.runs())
		_, err = w.PauseRollout(t.Context(), "web")
		require.ErrorIs(t, err, cms.ErrConflict)
		_, err = w.ResumeRollout(t.Context(), "nope")
		require.ErrorIs(t, err, cms.ErrNotFound)
	})
}

func TestUndoGoesBack(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		_, err := w.UndoRollout(t.Context(), "web", 0)
		require.ErrorIs(t, err, cms.ErrConflict, "nothing was before")
		for v := 2; v <= 4; v++ {
			w.update(version(v))
			w.rolled(cms.RolloutDone)
		}
		s, err := w.UndoRollout(t.Context(), "web", 0)
		require.NoError(t, err)
		assert.Equal(t, cms.RolloutProgressing, rollout(s))
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"3": 2}, w.runs())
		_, err = w.UndoRollout(t.Context(), "web", 1)
		require.NoError(t, err)
		s = w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"": 2}, w.runs())
		var numbers []uint64
		for _, r := range s.Revisions {
			numbers = append(numbers, r.Number)
		}
		assert.Equal(t, []uint64{1, 2, 3, 4}, numbers, "each is there once, and keeps its number when it is run again")
		_, err = w.UndoRollout(t.Context(), "web", 77)
		require.ErrorIs(t, err, cms.ErrConflict)
		_, err = w.UndoRollout(t.Context(), "web", 1)
		require.ErrorIs(t, err, cms.ErrConflict, "it runs that")

		// In the middle of a rollout it ends it.
		w.update(func(s *cms.PodSpec) { s.Update.MinReady = time.Hour })
		w.update(version(9))
		time.Sleep(time.Minute)
		_, err = w.UndoRollout(t.Context(), "web", 0)
		require.NoError(t, err)
		s = w.rolled(cms.RolloutRolledBack)
		assert.Equal(t, map[string]int{"": 2}, w.runs())
		assert.Contains(t, s.Rollout.Reason, "by hand")
	})
}

func TestOldRevisionsAreForgotten(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for v := 2; v < 20; v++ {
			w.update(version(v))
			w.rolled(cms.RolloutDone)
		}
		s := w.converge()
		assert.Len(t, s.Revisions, 10)
		assert.EqualValues(t, 19, s.Revisions[9].Number)
	})
}

func TestBlueGreenChangesOverAtOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) { s.Update.Strategy = cms.BlueGreen })
		w.hosts["a"].SetStartDelay(5 * time.Second)
		mixed := false
		blue := names(w.converge(), pod.StateOnline)
		w.update(version(2))
		w.wait("all are there", func(s cms.PodStatus) bool {
			ready := w.servers(balancer.Ready)
			for _, n := range ready {
				mixed = mixed || slices.Contains(blue, n) != slices.Contains(blue, ready[0])
			}
			return rollout(s) == cms.RolloutDone && s.Converged
		})
		assert.False(t, mixed, "old and new never serve side by side")
		assert.Equal(t, map[string]int{"2": 4}, w.runs())
		w.assertConsistent()
	})
}

func TestBlueGreenWithoutRoomRollsTheRest(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) { s.Update.Strategy, s.MaxNodes = cms.BlueGreen, 6 })
		_, most := w.during(func() {
			w.update(version(2))
			w.rolled(cms.RolloutDone)
		})
		assert.LessOrEqual(t, most, 6)
		assert.Equal(t, map[string]int{"2": 4}, w.runs())
		w.update(func(s *cms.PodSpec) { s.MaxNodes = 4 })
		w.update(version(3))
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"3": 4}, w.runs())
	})
}

func TestCanaryIsGivenItsShareStepByStep(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) {
			s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 10, Pause: time.Minute}, {Weight: 50, Pause: time.Minute}}}
		})
		w.update(version(2))
		time.Sleep(30 * time.Second)
		assert.Equal(t, map[string]int{"": 3, "2": 1}, w.runs())
		assert.InDelta(t, 0.10, w.share("2"), 0.01)
		time.Sleep(time.Minute)
		assert.Equal(t, map[string]int{"": 2, "2": 2}, w.runs())
		assert.InDelta(t, 0.50, w.share("2"), 0.01)
		w.restart()
		time.Sleep(30 * time.Second)
		assert.Equal(t, map[string]int{"": 2, "2": 2}, w.runs(), "a step begins anew with the manager")
		time.Sleep(time.Minute)
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"2": 4}, w.runs())
		for _, s := range w.balancer.Servers("web") {
			assert.Equal(t, balancer.DefaultWeight, s.Weight)
		}
	})
}

// share returns which part of all weight the nodes of a version have.
func (w *world) share(version string) float64 {
	of := map[string]string{}
	for _, c := range w.hosts["a"].Calls("start") {
		of[c.ID.Name] = c.Request.Workload.Env["VERSION"]
	}
	var all, mine float64
	for _, s := range w.balancer.Servers("web") {
		all += float64(s.Weight)
		if of[s.Name] == version {
			mine += float64(s.Weight)
		}
	}
	return mine / all
}

func TestCanaryThatFailsRequestsGoesBack(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) {
			s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 10, Pause: time.Minute}}}
		})
		good := names(w.converge(), pod.StateOnline)
		w.update(version(2))
		time.Sleep(10 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		var canary string
		for _, n := range names(s, pod.StateOnline) {
			if !slices.Contains(good, n) {
				canary = n
			}
		}
		w.balancer.AddRequests("web", canary, 19, 19)
		time.Sleep(2 * time.Second)
		s, _ = w.Pod("web")
		assert.Equal(t, cms.RolloutProgressing, rollout(s), "too few to say")
		w.balancer.AddRequests("web", canary, 1, 0)
		s = w.wait("back", func(s cms.PodStatus) bool { return rollout(s) == cms.RolloutRolledBack && s.Converged })
		assert.Contains(t, s.Rollout.Reason, "19 of 20 requests")
		assert.Equal(t, map[string]int{"": 4}, w.runs())
	})
}

func TestCanaryOfOneNode(t *testing.T) {
	for _, most := range []int{1, 2} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			w.pod(1)
			// Where there is no room for another one, the only one goes first.
			w.update(func(s *cms.PodSpec) { s.Update.Strategy, s.MaxNodes, s.Update.MaxUnavailable = cms.Canary, most, 1 })
			w.update(version(2))
			w.rolled(cms.RolloutDone)
			assert.Equal(t, map[string]int{"2": 1}, w.runs())
		})
	}
}

func TestRolloutOfAPodWithoutNodesIsOverAtOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(0)
		w.update(version(2))
		w.rolled(cms.RolloutDone)
		w.launch()
		w.converge()
		assert.Equal(t, map[string]int{"2": 1}, w.runs())
	})
}

func TestRolloutGoesOnAfterARestart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) { s.Update.MinReady = 5 * time.Second })
		w.update(version(2))
		for range 10 {
			time.Sleep(2 * time.Second)
			w.restart()
		}
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"2": 4}, w.runs())
		w.assertConsistent()
	})
}

func TestUpdateFaults(t *testing.T) {
	for _, c := range []struct {
		u    cms.Update
		want string
	}{
		{cms.Update{Strategy: "slow"}, "update.strategy"},
		{cms.Update{MaxSurge: -2}, "update.max_surge"},
		{cms.Update{MaxUnavailable: -1}, "update.max_unavailable"},
		{cms.Update{MaxSurge: -1}, "update.max_unavailable"},
		{cms.Update{MinReady: -1}, "update.min_ready"},
		{cms.Update{Failures: -2}, "update.failures"},
		{cms.Update{MaxErrors: 1.5}, "update.max_errors"},
		{cms.Update{Steps: []cms.CanaryStep{{Weight: 1}}}, "update.steps"},
		{cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 0}}}, "update.steps[0].weight"},
		{cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 50}, {Weight: 50}}}, "update.steps[1].weight"},
		{cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 50, Pause: -1}}}, "update.steps[0].pause"},
	} {
		s := spec()
		s.Update = c.u
		var f cms.Faults
		require.ErrorAs(t, s.Validate(), &f, c.want)
		require.Len(t, f, 1)
		assert.Equal(t, c.want, f[0].Path)
		assert.NotEmpty(t, f[0].Allowed)
	}
}

func TestAHostThatIsAwayForLongIsReplaced(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(4)
		all := names(w.converge(), pod.StateOnline)
		onA := running(w.hosts["a"])
		require.Len(t, onA, 2)
		w.hosts["a"].SetUnreachable(true)
		time.Sleep(50 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, all, names(s, pod.StateOnline), "it may come back")
		time.Sleep(20 * time.Second)
		assert.Len(t, running(w.hosts["b"]), 4, "its nodes run elsewhere")
		assert.Len(t, w.servers(balancer.Ready), 6, "and stay in the balancer while they answer")
		assert.True(t, w.converge().Converged)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Contains(t, strings.Join(sentences(s.Problems), "\n"), "host a")

		w.hosts["a"].SetUnreachable(false)
		time.Sleep(time.Minute)
		s = w.converge()
		assert.Len(t, names(s, pod.StateOnline), 4, "what is too many is drained")
		assert.Empty(t, s.Problems)
		assert.Zero(t, w.balancer.Cut())
		w.assertConsistent()
	})
}

func TestElasticityGoesOnWithoutALostHost(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.load(0.5)
		w.elasticity(2, 6)
		w.hosts["a"].SetUnreachable(true)
		time.Sleep(20 * time.Second)
		w.load(0.95)
		time.Sleep(20 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 2, s.Want, "what cannot be observed is not decided on")
		for range 60 {
			w.load(0.95)
			time.Sleep(time.Second)
		}
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 6, s.Want, "the others are known")
	})
}

// While old and new nodes are checked at different paths the balancer must not
// take either for dead.
func TestCheckPathChangesWhenTheNodesHave(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(2, nil) // with a probe of the image, and a path for the balancer
		w.update(func(s *cms.PodSpec) { s.Fronts[0].CheckPath = "/old" })
		path := func() string {
			f, ok := w.balancer.Front("web")
			require.True(t, ok)
			return f.CheckPath
		}
		w.converge()
		require.Equal(t, "/old", path())
		both := func(v int) func(*cms.PodSpec) {
			return func(s *cms.PodSpec) {
				version(v)(s)
				s.Fronts[0].CheckPath = "/new"
			}
		}
		w.update(func(s *cms.PodSpec) { s.Update.MinReady = 20 * time.Second })
		w.update(both(2))
		time.Sleep(5 * time.Second)
		assert.Empty(t, path(), "both kinds of nodes are there")
		w.rolled(cms.RolloutDone)
		assert.Equal(t, "/new", path())
	})
}

// A change that is taken back by hand before it is done leaves the fronts as they
// were.
func TestChangeTakenBackByAnotherChange(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.checked(2, nil)
		w.update(func(s *cms.PodSpec) { s.Fronts[0].CheckPath, s.Update.MinReady = "/old", time.Hour })
		w.converge()
		w.update(func(s *cms.PodSpec) { version(2)(s); s.Fronts[0].CheckPath = "/new" })
		time.Sleep(5 * time.Second)
		w.update(func(s *cms.PodSpec) { s.Workload.Env, s.Fronts[0].CheckPath = nil, "/old" })
		w.rolled(cms.RolloutRolledBack)
		f, ok := w.balancer.Front("web")
		require.True(t, ok)
		assert.Equal(t, "/old", f.CheckPath)
		assert.Equal(t, map[string]int{"": 2}, w.runs())
	})
}

// A probe that does not fit the new nodes never harms the old ones.
func TestBadProbePathIsUndone(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		s := spec()
		s.Workload.Probe = pod.Probe{} // the fake's ports do not answer: nothing is launched here
		s.Workload.Probe.Path = "/good"
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		f, _ := w.balancer.Front("web")
		require.Equal(t, "/good", f.CheckPath)
		w.launch()
		time.Sleep(time.Second)
		w.update(func(s *cms.PodSpec) {
			s.Workload.Probe.Path, s.Workload.Probe.StartDeadline, s.Update.Failures = "/bad", 2*time.Second, 1
			s.Fronts[0].CheckPath = ""
		})
		f, _ = w.balancer.Front("web")
		assert.Empty(t, f.CheckPath)
		st := w.wait("back", func(s cms.PodStatus) bool { return rollout(s) == cms.RolloutRolledBack })
		assert.Equal(t, "/good", st.Spec.Workload.Probe.Path)
		time.Sleep(5 * time.Second)
		f, _ = w.balancer.Front("web")
		assert.Equal(t, "/good", f.CheckPath)
	})
}

func TestCanaryOfAPodThatShrinks(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		s := spec()
		s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 30, Pause: 10 * time.Minute}}}
		s.Workload.Env = map[string]string{"VERSION": "2"}
		_, err := w.UpdatePod(t.Context(), s)
		require.NoError(t, err)
		w.wait("two of four are new", func(s cms.PodStatus) bool { return s.Rollout.Ready == 2 && s.Rollout.Old == 2 })
		time.Sleep(time.Minute)
		starts := len(w.hosts["a"].Calls("start"))
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.wait("one of three is", func(s cms.PodStatus) bool {
			return s.Rollout.Ready == 1 && s.Rollout.Old == 2 && len(s.Nodes) == 3
		})
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, len(w.hosts["a"].Calls("start")), starts+1, "one in the place of the old one that was removed")
		got, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 0, got.Rollout.Step)
	})
}
