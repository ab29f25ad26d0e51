package cms_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// each looks at the pod every 50 ms for d, when all that is due is done.
func (w *world) each(d time.Duration, look func(cms.PodStatus)) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		synctest.Wait()
		s, err := w.Pod("web")
		require.NoError(w.t, err)
		look(s)
	}
}

// proven counts the servers that take requests and whose nodes are proven: those
// of the rollout have been online for min_ready.
func (w *world) proven(s cms.PodStatus) (n int) {
	ready := map[string]bool{}
	for _, name := range w.servers(balancer.Ready) {
		ready[name] = true
	}
	for _, node := range s.Nodes {
		fresh := s.Rollout != nil && !s.Rollout.State.Over() && node.Revision == s.Rollout.To
		if ready[node.Name] && (!fresh || time.Since(node.ReadyAt) >= s.Spec.Update.MinReady) {
			n++
		}
	}
	return n
}

// provenFor requires for d that at least so many proven servers take requests.
func (w *world) provenFor(d time.Duration, least int) {
	w.t.Helper()
	w.each(d, func(s cms.PodStatus) { w.requireProven(s, least) })
}

func (w *world) requireProven(s cms.PodStatus, least int) {
	w.t.Helper()
	if n := w.proven(s); n < least {
		w.t.Fatalf("%d proven servers, want at least %d of %d: nodes %v, servers %v", n, least, s.Want, s.Nodes, w.balancer.Servers("web"))
	}
}

// provenUntilDone requires the same until the rollout is done.
func (w *world) provenUntilDone(least int) {
	w.t.Helper()
	for begun := time.Now(); rollout(w.now()) != cms.RolloutDone; {
		require.Less(w.t, time.Since(begun), 20*time.Minute)
		w.provenFor(time.Second, least)
	}
	w.rolled(cms.RolloutDone)
}

// problem returns the pod's problem of that code, or nil.
func problem(s cms.PodStatus, code cms.ProblemCode) *cms.Problem {
	for i := range s.Problems {
		if s.Problems[i].Code == code {
			return &s.Problems[i]
		}
	}
	return nil
}

// now returns the pod as it is.
func (w *world) now() cms.PodStatus {
	w.t.Helper()
	s, err := w.Pod("web")
	require.NoError(w.t, err)
	return s
}

// canary returns an update with steps of these weights, each of a minute.
func canary(weights ...int) cms.Update {
	u := cms.Update{Strategy: cms.Canary}
	for _, weight := range weights {
		u.Steps = append(u.Steps, cms.CanaryStep{Weight: weight, Pause: time.Minute})
	}
	return u
}

// A paused rollout follows the wanted number in the proportion that its nodes
// have, and moves nothing over. When it goes on, it ends.
func TestPausedRolloutScalesInProportion(t *testing.T) {
	type at struct{ want, old, fresh int }
	for name, c := range map[string]struct {
		update cms.Update
		nodes  int
		pause  time.Duration // after the rollout began
		paused map[string]int
		scale  []at
	}{
		"rolling": {
			cms.Update{MinReady: 10 * time.Second}, 4, 15 * time.Second, map[string]int{"": 3, "2": 2},
			[]at{{1, 1, 0}, {6, 6, 0}, {2, 2, 0}},
		},
		"rolling, half of it": {
			cms.Update{MaxSurge: 2, MinReady: 10 * time.Second}, 6, 15 * time.Second, map[string]int{"": 4, "2": 4},
			[]at{{4, 2, 2}, {6, 3, 3}, {1, 1, 0}},
		},
		"canary": {
			canary(50), 4, 30 * time.Second, map[string]int{"": 2, "2": 2},
			[]at{{1, 1, 0}, {5, 5, 0}},
		},
		"canary that grows": {
			canary(50), 4, 30 * time.Second, map[string]int{"": 2, "2": 2},
			[]at{{8, 4, 4}, {4, 2, 2}, {2, 1, 1}},
		},
		"blue-green": {
			cms.Update{Strategy: cms.BlueGreen, MinReady: time.Minute}, 3, 30 * time.Second, map[string]int{"": 3, "2": 3},
			[]at{{1, 1, 1}, {4, 4, 1}, {2, 2, 1}},
		},
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarts %v", name, restarts), func(t *testing.T) {
				inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
					w.pod(c.nodes)
					w.update(func(s *cms.PodSpec) { s.Update = c.update })
					w.update(version(2))
					time.Sleep(c.pause)
					_, err := w.PauseRollout(t.Context(), "web")
					require.NoError(t, err)
					time.Sleep(time.Minute)
					require.Equal(t, c.paused, w.runs())
					for _, a := range c.scale {
						before := w.now()
						w.want(a.want)
						w.provenFor(time.Minute, min(before.Want, a.want))
						if restarts {
							w.restart()
							w.provenFor(time.Minute, a.want)
						}
						want := map[string]int{"": a.old, "2": a.fresh}
						if a.fresh == 0 {
							delete(want, "2")
						}
						require.Equal(t, want, w.runs(), "%d are wanted", a.want)
						require.Equal(t, cms.RolloutPaused, rollout(w.now()))
					}
					_, err = w.ResumeRollout(t.Context(), "web")
					require.NoError(t, err)
					last := c.scale[len(c.scale)-1].want
					w.provenUntilDone(last)
					assert.Equal(t, map[string]int{"2": last}, w.runs())
					w.assertConsistent()
				})
			})
		}
	}
}

// Old nodes that die while the rollout is paused are replaced by old ones.
func TestPausedRolloutReplacesTheDead(t *testing.T) {
	for name, update := range map[string]cms.Update{"rolling": {MinReady: 10 * time.Second}, "canary": canary(40)} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(5)
				w.update(func(s *cms.PodSpec) { s.Update = update })
				w.update(version(2))
				time.Sleep(25 * time.Second)
				_, err := w.PauseRollout(t.Context(), "web")
				require.NoError(t, err)
				time.Sleep(time.Minute)
				before := w.runs()
				require.Greater(t, before["2"], 0)
				for range 2 * before[""] {
					for _, n := range w.now().Nodes {
						if n.State == pod.StateOnline && n.Revision == 1 {
							w.kill(n.Name)
							break
						}
					}
					time.Sleep(time.Minute)
				}
				assert.Equal(t, before["2"], w.runs()["2"])
				assert.GreaterOrEqual(t, w.runs()[""], 5-before["2"])
				_, err = w.ResumeRollout(t.Context(), "web")
				require.NoError(t, err)
				w.rolled(cms.RolloutDone)
				assert.Equal(t, map[string]int{"2": 5}, w.runs())
			})
		})
	}
}

// Whenever fewer or more are wanted during a rollout, at least as many proven
// nodes serve as the update allows, and at least one.
func TestRolloutKeepsProvenNodesWhileThePodScales(t *testing.T) {
	for _, strategy := range []cms.UpdateStrategy{cms.Rolling, cms.Canary, cms.BlueGreen} {
		for unavailable := range 3 {
			for _, scale := range [][]int{{1}, {2, 1}, {7, 3, 2}} {
				for _, after := range []time.Duration{time.Second, 25 * time.Second, 65 * time.Second} {
					t.Run(fmt.Sprintf("%s, unavailable %d, to %v after %s", strategy, unavailable, scale, after), func(t *testing.T) {
						inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
							u := cms.Update{Strategy: strategy, MaxUnavailable: unavailable, MinReady: 20 * time.Second}
							if strategy == cms.Canary {
								u.Steps = canary(20, 60).Steps
							}
							w.pod(4)
							w.update(func(s *cms.PodSpec) { s.Update = u })
							w.update(version(2))
							w.provenFor(after, 4-unavailable)
							least := 4
							for i, n := range scale {
								w.want(n)
								least = min(least, n)
								if i == 1 && after == 25*time.Second {
									w.restart()
								}
								w.provenFor(15*time.Second, max(least-unavailable, 1))
							}
							last := scale[len(scale)-1]
							w.provenUntilDone(max(least-unavailable, 1))
							assert.Equal(t, map[string]int{"2": last}, w.runs())
							w.assertConsistent()
						})
					})
				}
			}
		}
	}
}

// A canary that has no room for a surge takes one old node at a time, the next
// once all new ones are proven.
func TestCanaryWithoutASurgeTakesOneNodeAtATime(t *testing.T) {
	for name, c := range map[string]struct {
		nodes       int
		unavailable int
		weights     []int
		minReady    time.Duration
	}{
		"five":                   {5, 0, []int{20, 50}, 20 * time.Second},
		"five, some unavailable": {5, 2, []int{20, 50}, 20 * time.Second},
		"five at once":           {5, 1, []int{50}, 45 * time.Second},
		"three":                  {3, 0, []int{50, 80}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(c.nodes)
				w.hosts["a"].SetStartDelay(5 * time.Second)
				w.update(func(s *cms.PodSpec) {
					s.MaxNodes, s.Update = c.nodes, canary(c.weights...)
					s.Update.MinReady, s.Update.MaxUnavailable = c.minReady, c.unavailable
				})
				w.update(version(2))
				w.each(15*time.Minute, func(s cms.PodStatus) {
					least := c.nodes - 1
					if s.Rollout.Step == len(c.weights) { // the rest is rolled
						least = c.nodes - max(c.unavailable, 1)
					}
					w.requireProven(s, least)
				})
				w.rolled(cms.RolloutDone)
				assert.Equal(t, map[string]int{"2": c.nodes}, w.runs())
			})
		})
	}
}

// What a person launches while a rollout is paused is what serves already.
func TestLaunchByHandMovesNoPausedRolloutOver(t *testing.T) {
	for _, u := range []cms.Update{{MinReady: time.Minute}, canary(20), {Strategy: cms.BlueGreen, MinReady: time.Hour}} {
		inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
			w.pod(4)
			w.update(func(s *cms.PodSpec) { s.Update = u })
			w.update(version(2))
			time.Sleep(5 * time.Second)
			_, err := w.PauseRollout(t.Context(), "web")
			require.NoError(t, err)
			time.Sleep(5 * time.Second)
			before := w.runs()
			for range 2 {
				w.launch()
			}
			time.Sleep(10 * time.Second)
			assert.Equal(t, before["2"], w.runs()["2"], u.Strategy)
			assert.Equal(t, before[""]+2, w.runs()[""], u.Strategy)
		})
	}
}

// A limit that is lowered while a rollout is paused holds for what is launched.
func TestPausedRolloutKeepsToALowerLimit(t *testing.T) {
	for limit, runs := range map[int]map[string]int{4: {"": 4}, 5: {"": 4, "2": 1}} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			w.pod(4)
			w.update(func(s *cms.PodSpec) { s.Update = cms.Update{MaxSurge: 4, MinReady: 10 * time.Second} })
			w.update(version(2))
			time.Sleep(5 * time.Second)
			_, err := w.PauseRollout(t.Context(), "web")
			require.NoError(t, err)
			w.update(func(s *cms.PodSpec) { s.MaxNodes = limit })
			w.provenFor(time.Minute, 4)
			assert.Equal(t, runs, w.runs(), "those that are not proven go")
		})
	}
}
