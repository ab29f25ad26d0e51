package cms_test

import (
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

// Whatever the strategy, there are never fewer servers than wanted, nor more
// nodes than it may have.
func TestStrategiesKeepTheirBounds(t *testing.T) {
	steps := []cms.CanaryStep{{Weight: 60, Pause: 10 * time.Second}, {Weight: 80, Pause: 10 * time.Second}}
	for name, c := range map[string]struct {
		update   cms.Update
		maxNodes int
		most     int
	}{
		"canary":                  {cms.Update{Strategy: cms.Canary, Steps: steps}, 10, 7},
		"canary with little room": {cms.Update{Strategy: cms.Canary, Steps: steps}, 5, 5},
		"blue-green":              {cms.Update{Strategy: cms.BlueGreen}, 10, 8},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(4)
				w.update(func(s *cms.PodSpec) { s.Update, s.MaxNodes = c.update, c.maxNodes })
				w.hosts["a"].SetStartDelay(5 * time.Second)
				w.converge()
				least, most := w.during(func() {
					w.update(version(2))
					w.rolled(cms.RolloutDone)
				})
				assert.Equal(t, 4, least)
				assert.Equal(t, c.most, most)
				assert.Equal(t, map[string]int{"2": 4}, w.runs())
				w.assertConsistent()
			})
		})
	}
}

// A pod that shrinks amid a rollout shrinks at once, as far as its strategy allows.
func TestPodShrinksAmidARollout(t *testing.T) {
	for name, c := range map[string]struct {
		update cms.Update
		paused bool
		runs   map[string]int // with two nodes wanted
	}{
		"rolling":    {cms.Update{}, false, map[string]int{"": 2, "2": 1}},
		"paused":     {cms.Update{}, true, map[string]int{"": 2}}, // in proportion: five are old, one is new
		"blue-green": {cms.Update{Strategy: cms.BlueGreen}, false, map[string]int{"": 2, "2": 2}},
		"canary":     {cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 50}}}, false, map[string]int{"": 2, "2": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(5)
				c.update.MinReady = time.Hour
				w.update(func(s *cms.PodSpec) { s.Update = c.update })
				w.update(version(2))
				time.Sleep(10 * time.Second)
				if c.paused {
					_, err := w.PauseRollout(t.Context(), "web")
					require.NoError(t, err)
				}
				w.want(2)
				time.Sleep(10 * time.Second)
				assert.Equal(t, c.runs, w.runs())
			})
		})
	}
}

// A blue-green rollout that is paused changes nothing over: the old nodes serve
// on, and are replaced by ones of their kind.
func TestPausedBlueGreenServesOn(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		old := names(w.converge(), pod.StateOnline)
		w.update(func(s *cms.PodSpec) { s.Update = cms.Update{Strategy: cms.BlueGreen, MinReady: time.Minute} })
		w.update(version(2))
		time.Sleep(30 * time.Second)
		_, err := w.PauseRollout(t.Context(), "web")
		require.NoError(t, err)
		for range 300 {
			require.Equal(t, old, w.servers(balancer.Ready))
			time.Sleep(time.Second)
		}
		assert.Equal(t, map[string]int{"": 3, "2": 3}, w.runs())
		w.kill("n2")
		time.Sleep(10 * time.Second)
		assert.Equal(t, map[string]int{"": 3, "2": 3}, w.runs())
		assert.Len(t, w.servers(balancer.Ready), 3)
		assert.Contains(t, w.servers(balancer.Ready), "n1")
		w.want(2)
		time.Sleep(10 * time.Second)
		assert.Equal(t, map[string]int{"": 2, "2": 2}, w.runs())
		w.want(3)
		time.Sleep(10 * time.Second)
		assert.Equal(t, map[string]int{"": 3, "2": 2}, w.runs(), "what is started meanwhile is of the proven revision")
		assert.Len(t, w.servers(balancer.Ready), 3)
		_, err = w.ResumeRollout(t.Context(), "web")
		require.NoError(t, err)
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"2": 3}, w.runs())
		assert.Zero(t, w.balancer.Cut())
		w.assertConsistent()
	})
}

// A limit that is lowered amid a rollout holds for what is launched already.
func TestLimitIsLoweredAmidARollout(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) { s.Update = cms.Update{MaxSurge: 4, MinReady: time.Hour} })
		w.update(version(2))
		w.wait("eight", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 8 })
		w.update(func(s *cms.PodSpec) { s.MaxNodes = 4 })
		time.Sleep(10 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Len(t, s.Nodes, 4)
		assert.Len(t, w.servers(balancer.Ready), 4)
	})
}

// A canary that is paused stays at its step, which begins anew when it goes on.
func TestPausedCanaryStaysAtItsStep(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) {
			s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 25, Pause: time.Minute}, {Weight: 50, Pause: time.Minute}}}
		})
		w.update(version(2))
		time.Sleep(40 * time.Second)
		_, err := w.PauseRollout(t.Context(), "web")
		require.NoError(t, err)
		at := func(wait time.Duration, step int, runs map[string]int) {
			t.Helper()
			time.Sleep(wait)
			s, err := w.Pod("web")
			require.NoError(t, err)
			assert.Equal(t, step, s.Rollout.Step)
			assert.Equal(t, runs, w.runs())
		}
		at(10*time.Minute, 0, map[string]int{"": 3, "2": 1})
		_, err = w.ResumeRollout(t.Context(), "web")
		require.NoError(t, err)
		at(50*time.Second, 0, map[string]int{"": 3, "2": 1})
		at(20*time.Second, 1, map[string]int{"": 2, "2": 2})
	})
}

// A step lasts its pause from when all its nodes are ready, and begins anew when
// one of them is not any more.
func TestCanaryStepWaitsForItsNodes(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) {
			s.Update = cms.Update{Strategy: cms.Canary, MinReady: 90 * time.Second, Steps: []cms.CanaryStep{{Weight: 25, Pause: time.Minute}}}
		})
		old := names(w.converge(), pod.StateOnline)
		w.hosts["a"].SetStartDelay(10 * time.Second)
		w.update(version(2))
		time.Sleep(5 * time.Second)
		for _, s := range w.balancer.Servers("web") {
			assert.Equal(t, balancer.DefaultWeight, s.Weight, "as long as there is no new one")
		}
		step := func(wait time.Duration) int {
			time.Sleep(wait)
			s, err := w.Pod("web")
			require.NoError(t, err)
			return s.Rollout.Step
		}
		assert.Equal(t, 0, step(145*time.Second)) // of 10 s, 90 s and 60 s
		s, err := w.Pod("web")
		require.NoError(t, err)
		for _, n := range names(s, pod.StateOnline) {
			if !slices.Contains(old, n) {
				w.kill(n)
			}
		}
		assert.Equal(t, 0, step(155*time.Second))
		assert.Equal(t, 1, step(10*time.Second))
	})
}

// Steps that have the same number of nodes last as long as others.
func TestStepsOfACanaryOfTwo(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.update(func(s *cms.PodSpec) {
			s.Update = cms.Update{Strategy: cms.Canary, Steps: []cms.CanaryStep{{Weight: 10, Pause: time.Minute}, {Weight: 50, Pause: time.Minute}, {Weight: 90, Pause: time.Minute}}}
		})
		w.update(version(2))
		time.Sleep(10 * time.Second)
		for _, share := range []float64{0.1, 0.5, 0.9} {
			assert.InDelta(t, share, w.share("2"), 0.01)
			assert.Equal(t, cms.RolloutProgressing, rollout(w.wait("", func(cms.PodStatus) bool { return true })))
			time.Sleep(time.Minute)
		}
		w.rolled(cms.RolloutDone)
	})
}

// What share of the requests may fail counts, not how many.
func TestCanaryMayFailSomeRequests(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.update(func(s *cms.PodSpec) {
			s.Update = cms.Update{Strategy: cms.Canary, MaxErrors: 0.25, Steps: []cms.CanaryStep{{Weight: 10, Pause: time.Hour}}}
		})
		old := names(w.converge(), pod.StateOnline)
		w.update(version(2))
		time.Sleep(10 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		fresh := slices.DeleteFunc(names(s, pod.StateOnline), func(n string) bool { return slices.Contains(old, n) })
		require.Len(t, fresh, 1)
		left := slices.DeleteFunc(names(s, pod.StateOnline), func(n string) bool { return n == fresh[0] })
		w.balancer.AddRequests("web", left[0], 1000, 1000) // that the old ones fail is no fault of the new ones
		w.balancer.AddRequests("web", fresh[0], 100, 25)
		time.Sleep(10 * time.Second)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, cms.RolloutProgressing, rollout(s))
		w.balancer.AddRequests("web", fresh[0], 4, 2)
		s = w.rolled(cms.RolloutRolledBack)
		assert.Equal(t, "its nodes failed 27 of 104 requests, 26.0 %, and 25 % are allowed", s.Rollout.Reason)
	})
}

// New nodes that wait for the change over serve when none of the old ones is left.
func TestBlueGreenWhoseOldNodesDie(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		old := names(w.converge(), pod.StateOnline)
		w.update(func(s *cms.PodSpec) { s.Update = cms.Update{Strategy: cms.BlueGreen, MinReady: time.Hour} })
		w.update(version(2))
		time.Sleep(time.Minute)
		require.Equal(t, old, w.servers(balancer.Ready))
		w.kill(old[0])
		time.Sleep(2 * time.Second)
		require.Equal(t, old[1:], w.servers(balancer.Ready))
		w.kill(old[1])
		time.Sleep(100 * time.Millisecond)
		assert.Equal(t, map[string]int{"2": 2}, w.runs())
		assert.Len(t, w.servers(balancer.Ready), 2)
	})
}

// Blue-green without room for all says so, until it is over.
func TestBlueGreenWithoutRoomSaysSo(t *testing.T) {
	for maxNodes, says := range map[int][]string{
		5: {"there is room for 2 new nodes beside the old ones, as max_nodes is 5; the rest will be rolled"},
		6: nil,
	} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			w.pod(3)
			w.update(func(s *cms.PodSpec) {
				s.Update, s.MaxNodes = cms.Update{Strategy: cms.BlueGreen, MinReady: time.Minute}, maxNodes
			})
			w.update(version(2))
			time.Sleep(30 * time.Second)
			s, err := w.Pod("web")
			require.NoError(t, err)
			assert.Equal(t, says, sentences(s.Problems))
			assert.Len(t, names(s, pod.StateOnline), maxNodes)
			s = w.rolled(cms.RolloutDone)
			assert.Empty(t, s.Problems)
		})
	}
}

// A pod that fills its host gives way one node at a time, also where nodes have
// requests that last.
func TestRolloutOnAFullHostWithRequests(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		w.hosts["a"].Capacity = pod.Resources{CPU: 2, Memory: 350 << 20}
		w.restart()
		w.pod(3)
		w.update(func(s *cms.PodSpec) { s.Drain = 10 * time.Second })
		for _, n := range running(w.hosts["a"]) {
			w.balancer.SetInFlight("web", n, 1)
		}
		least, most := w.during(func() {
			w.update(version(2))
			w.rolled(cms.RolloutDone)
		})
		assert.Equal(t, 2, least)
		assert.Equal(t, 3, most)
		reason := "gives way to its replacement: there is no room for both"
		assert.Equal(t, 3, strings.Count(strings.Join(w.story(), "\n"), reason))
	})
}

// A pod that has fewer nodes than it should, as its host is full, takes none away.
func TestRolloutOnAHostThatIsTooSmall(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		w.hosts["a"].Capacity = pod.Resources{CPU: 2, Memory: 250 << 20}
		w.restart()
		w.pod(2)
		w.want(3)
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, []string{"cannot start a node: no room: host a 50MiB of 250MiB memory free"}, sentences(s.Problems))
		w.update(version(2))
		for range 60 {
			require.Len(t, w.servers(balancer.Ready), 2)
			time.Sleep(time.Second)
		}
		w.want(2)
		s = w.rolled(cms.RolloutDone)
		assert.Empty(t, s.Problems)
	})
}

// A blue-green rollout that is paused keeps to the limit, too.
func TestPausedBlueGreenKeepsToTheLimit(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.update(func(s *cms.PodSpec) {
			s.Update, s.MaxNodes = cms.Update{Strategy: cms.BlueGreen, MinReady: time.Hour}, 5
		})
		w.update(version(2))
		time.Sleep(10 * time.Second)
		_, err := w.PauseRollout(t.Context(), "web")
		require.NoError(t, err)
		w.want(5)
		time.Sleep(10 * time.Second)
		assert.Equal(t, map[string]int{"": 3, "2": 2}, w.runs())
	})
}
