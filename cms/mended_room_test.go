package cms_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// large makes a pod of n nodes of that much memory on one host of 24 GiB, with
// elasticity off.
func (w *world) large(n int, memory int64, edit func(*cms.PodSpec)) {
	w.t.Helper()
	w.end()
	w.hosts["a"].Capacity = pod.Resources{CPU: 8, Memory: 24 << 30}
	w.restart()
	s := spec()
	s.Limits.Memory = memory
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

// ready requires for d that at least so many servers take requests.
func (w *world) ready(d time.Duration, least int) {
	w.t.Helper()
	w.each(d, func(s cms.PodStatus) {
		if n := len(w.servers(balancer.Ready)); n < least {
			w.t.Fatalf("%d servers, want at least %d: nodes %v", n, least, s.Nodes)
		}
	})
}

// A rollout without room for a surge does not stop the only ready node, unless
// the update allows that. It waits, and names the setting.
func TestRolloutWaitsForRoomBesideTheOnlyNode(t *testing.T) {
	large := func(s *cms.PodSpec) { s.Limits.Memory = 14 << 30 }
	for name, edit := range map[string]func(*cms.PodSpec){
		"rolling":             large,
		"rolling, surge of 3": func(s *cms.PodSpec) { large(s); s.Update.MaxSurge = 3 },
		"rolling, min ready":  func(s *cms.PodSpec) { large(s); s.Update.MinReady = 10 * time.Second },
		"canary":              func(s *cms.PodSpec) { large(s); s.Update = canary(20, 50) },
		"blue-green":          func(s *cms.PodSpec) { large(s); s.Update.Strategy = cms.BlueGreen },
		"max nodes":           func(s *cms.PodSpec) { s.MaxNodes = 1 },
		"max nodes, canary":   func(s *cms.PodSpec) { s.MaxNodes, s.Update = 1, canary(50) },
		"max nodes, blue":     func(s *cms.PodSpec) { s.MaxNodes, s.Update.Strategy = 1, cms.BlueGreen },
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarts %v", name, restarts), func(t *testing.T) {
				inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
					w.large(1, 1<<30, edit)
					w.update(version(2))
					w.ready(time.Minute, 1)
					if restarts {
						w.restart()
						w.ready(time.Minute, 1)
					}
					s := w.now()
					p := problem(s, cms.ProblemWaits)
					require.NotNil(t, p, "%v", sentences(s.Problems))
					assert.Contains(t, p.Sentence(time.Now()), "update.max_unavailable")
					assert.Len(t, s.Problems, 1)
					assert.Equal(t, map[string]int{"": 1}, w.runs())
					assert.Equal(t, cms.RolloutProgressing, rollout(s))

					w.update(func(s *cms.PodSpec) { s.Update.MaxUnavailable = 1 })
					s = w.rolled(cms.RolloutDone)
					assert.Equal(t, map[string]int{"2": 1}, w.runs())
					assert.Empty(t, s.Problems)
					w.assertConsistent()
				})
			})
		}
	}
}

// Of several nodes that fill their hosts one gives way, and the others serve.
// Where the new one cannot start, they go on, and so does the last one.
func TestOneOfSeveralNodesGivesWay(t *testing.T) {
	for _, strategy := range []cms.UpdateStrategy{cms.Rolling, cms.Canary, cms.BlueGreen} {
		for _, nodes := range []int{2, 3} {
			for _, fails := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d nodes, fails %v", strategy, nodes, fails), func(t *testing.T) {
					inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
						w.large(nodes, int64(23<<30/nodes), func(s *cms.PodSpec) { s.Update.Strategy = strategy })
						if !fails {
							w.update(version(2))
							w.ready(3*time.Minute, nodes-1)
							w.rolled(cms.RolloutDone)
							assert.Equal(t, map[string]int{"2": nodes}, w.runs())
							w.assertConsistent()
							return
						}
						w.hosts["a"].FailStarts(-1, fmt.Errorf("%w: exit code 127", pod.ErrExited))
						w.update(version(2))
						w.ready(3*time.Minute, nodes-1)
						s := w.now()
						assert.Equal(t, cms.RolloutRolledBack, rollout(s))
						w.hosts["a"].FailStarts(0, nil)
						w.converge()
						assert.Equal(t, map[string]int{"": nodes}, w.runs())
					})
				})
			}
		}
	}
}

// A command that cannot start does not take the last ready node, however often
// it may fail.
func TestCommandThatCannotStartLeavesTheLastNode(t *testing.T) {
	for _, strategy := range []cms.UpdateStrategy{cms.Rolling, cms.Canary, cms.BlueGreen} {
		for _, nodes := range []int{1, 2} {
			for _, unavailable := range []int{0, 1} {
				if nodes == 1 && unavailable == 1 {
					continue // then the only one may go
				}
				t.Run(fmt.Sprintf("%s, %d nodes, %d unavailable", strategy, nodes, unavailable), func(t *testing.T) {
					inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
						w.large(nodes, int64(23<<30/nodes), func(s *cms.PodSpec) {
							s.Update = cms.Update{Strategy: strategy, MaxUnavailable: unavailable, Failures: -1}
						})
						w.hosts["a"].FailStarts(-1, fmt.Errorf("%w: exit code 127", pod.ErrExited))
						w.update(version(2))
						w.ready(3*time.Minute, 1)
						w.restart()
						w.ready(3*time.Minute, 1)
						w.hosts["a"].FailStarts(0, nil)
						if nodes > 1 {
							w.rolled(cms.RolloutDone)
							assert.Equal(t, map[string]int{"2": nodes}, w.runs())
						}
					})
				})
			}
		}
	}
}

// What hosts have room for is started beside the old nodes, and changed over to;
// the rest is rolled.
func TestBlueGreenOnHostsWithRoomForSome(t *testing.T) {
	for nodes, memory := range map[int]int64{2: 7 << 30, 3: 5 << 30, 4: 4500 << 20} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			w.large(nodes, memory, func(s *cms.PodSpec) { s.Update = cms.Update{Strategy: cms.BlueGreen, MinReady: 10 * time.Second} })
			w.update(version(2))
			w.ready(5*time.Minute, nodes)
			s := w.rolled(cms.RolloutDone)
			assert.Equal(t, map[string]int{"2": nodes}, w.runs())
			assert.Empty(t, s.Problems)
		})
	}
}

// Also where the pod grows and shrinks meanwhile, a full host loses one proven node
// at a time.
func TestRolloutOnAFullHostWhileThePodScales(t *testing.T) {
	for _, strategy := range []cms.UpdateStrategy{cms.Rolling, cms.Canary, cms.BlueGreen} {
		for _, scale := range [][]int{{3}, {2}, {1}, {4, 2}, {2, 3}} {
			for _, after := range []time.Duration{time.Second, 15 * time.Second, 40 * time.Second} {
				t.Run(fmt.Sprintf("%s, to %v after %s", strategy, scale, after), func(t *testing.T) {
					inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
						w.large(3, 7<<30, func(s *cms.PodSpec) { s.Update = cms.Update{Strategy: strategy, MinReady: 10 * time.Second} })
						w.update(version(2))
						least := 2
						w.provenFor(after, least)
						for _, n := range scale {
							w.want(n)
							least = min(least, max(n-1, 1))
							w.provenFor(20*time.Second, least)
						}
						w.want(min(scale[len(scale)-1], 2)) // so that one fits beside the others
						w.provenUntilDone(1)
						w.assertConsistent()
					})
				})
			}
		}
	}
}

// A rollout that waits goes on when there is room.
func TestRolloutThatWaitsGoesOnWithRoom(t *testing.T) {
	for name, u := range map[string]cms.Update{"rolling": {}, "canary": canary(50), "blue-green": {Strategy: cms.BlueGreen}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.large(1, 14<<30, func(s *cms.PodSpec) { s.Update = u })
				w.update(version(2))
				w.ready(time.Minute, 1)
				require.NotNil(t, problem(w.now(), cms.ProblemWaits))
				w.hosts["b"] = podtest.NewFakeHost()
				w.hosts["b"].Capacity = pod.Resources{CPU: 8, Memory: 24 << 30}
				_, err := w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
				require.NoError(t, err)
				w.ready(2*time.Minute, 1)
				assert.Empty(t, w.rolled(cms.RolloutDone).Problems)
				assert.Equal(t, map[string]int{"2": 1}, w.runs())
			})
		})
	}
}
