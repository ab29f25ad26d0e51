package cms_test

import (
	"context"
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

// inImageWorld is inWorld with hosts that fetch from one registry, and a pod of n
// nodes that run the image web:1.
func inImageWorld(t *testing.T, hosts []string, n int, edit func(*cms.PodSpec), f func(t *testing.T, w *world, registry *podtest.FakeRegistry)) {
	inWorld(t, hosts, func(t *testing.T, w *world) {
		w.end()
		registry := podtest.NewFakeRegistry()
		for _, h := range w.hosts {
			h.Registry = registry
		}
		w.restart()
		w.imagePod(n, edit)
		f(t, w, registry)
	})
}

// imagePod makes the pod of spec with n nodes that run the image web:1.
func (w *world) imagePod(n int, edit func(*cms.PodSpec)) {
	w.t.Helper()
	s := spec()
	s.Workload.Image = "web:1"
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

// digests counts the nodes that run by what their image is.
func (w *world) digests() map[string]int {
	out := map[string]int{}
	for _, h := range w.hosts {
		for _, n := range running(h) {
			out[h.Digest(id(n))]++
		}
	}
	return out
}

// unpinned returns how many times hosts were asked for the image of that name
// without a digest.
func (w *world) unpinned(image string) (n int) {
	for _, h := range w.hosts {
		for _, c := range h.Calls("prepare") {
			if c.Image == image && c.Digest == "" {
				n++
			}
		}
	}
	return n
}

// A registry that does not deliver for a while undoes no rollout: the old nodes
// serve until it does.
func TestRegistryThatFailsUndoesNoRollout(t *testing.T) {
	for _, failures := range []int{1, 3, 10, -1} {
		for _, strategy := range []cms.UpdateStrategy{cms.Rolling, cms.Canary, cms.BlueGreen} {
			t.Run(fmt.Sprintf("failures %d, %s", failures, strategy), func(t *testing.T) {
				inImageWorld(t, []string{"a", "b"}, 3, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
					registry.Fail(fmt.Errorf("%w: 429 Too Many Requests", pod.ErrRegistry))
					w.update(func(s *cms.PodSpec) {
						s.Workload.Image, s.Update = "web:2", cms.Update{Strategy: strategy, Failures: failures}
					})
					check := func(s cms.PodStatus) {
						require.Equal(t, cms.RolloutProgressing, rollout(s))
						require.Zero(t, s.Rollout.Failures)
						require.Len(t, w.servers(balancer.Ready), 3)
					}
					w.each(time.Second, check)
					s := w.now()
					p := problem(s, cms.ProblemStart)
					require.NotNil(t, p, "%v", s.Problems)
					assert.False(t, p.Again.IsZero())
					assert.Contains(t, p.Sentence(time.Now()), "429 Too Many Requests; ")
					registry.Fail(fmt.Errorf("get manifest: %w: 503 Service Unavailable", pod.ErrRegistry))
					w.each(3*time.Minute, check)
					w.restart()
					w.each(3*time.Minute, check)
					p = problem(w.now(), cms.ProblemStart)
					require.NotNil(t, p, "%v", sentences(w.now().Problems))
					assert.LessOrEqual(t, time.Until(p.Again), time.Minute)
					assert.Less(t, w.unpinned("web:2"), 50, "it is asked ever more seldom")
					registry.Fail(nil)
					w.ready(90*time.Second, 3)
					s = w.rolled(cms.RolloutDone)
					assert.Empty(t, s.Problems)
					assert.Equal(t, map[string]int{"sha256:web:2": 3}, w.digests())
				})
			})
		}
	}
}

// Neither does one that fails in the middle of it, for one host only.
func TestRegistryThatFailsInTheMiddleOfARollout(t *testing.T) {
	inImageWorld(t, []string{"a", "b"}, 4, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
		w.update(func(s *cms.PodSpec) {
			s.Workload.Image, s.Update = "web:2", cms.Update{MinReady: 20 * time.Second, Failures: 1}
		})
		time.Sleep(5 * time.Second)
		require.Equal(t, 1, w.digests()["sha256:web:2"])
		registry.Fail(pod.ErrRegistry)
		w.ready(5*time.Minute, 4)
		s := w.now()
		assert.Zero(t, s.Rollout.Failures)
		assert.NotEqual(t, cms.RolloutRolledBack, rollout(s), "the host that has the image may take all")
		registry.Fail(nil)
		w.ready(3*time.Minute, 4)
		w.rolled(cms.RolloutDone)
		assert.Equal(t, map[string]int{"sha256:web:2": 4}, w.digests())
	})
}

// An image that does not exist, or that the registry denies, is final.
func TestImageThatCannotBeHadIsFinal(t *testing.T) {
	for code, err := range map[cms.ProblemCode]error{
		cms.ProblemImage:  fmt.Errorf("%w: manifest unknown", pod.ErrImage),
		cms.ProblemDenied: fmt.Errorf("%w: authentication required", pod.ErrImageDenied),
	} {
		for _, failures := range []int{1, 3, 10} {
			inImageWorld(t, []string{"a", "b"}, 2, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
				registry.Fail(err)
				w.update(func(s *cms.PodSpec) { s.Workload.Image, s.Update.Failures = "web:2", failures })
				w.ready(time.Minute, 2)
				s := w.rolled(cms.RolloutRolledBack)
				assert.Equal(t, 1, w.unpinned("web:2"), "trying again does not help")
				assert.Equal(t, 1, s.Rollout.Failures)
				assert.Regexp(t, "1 of its nodes failed, .*(manifest unknown|authentication required)$", s.Rollout.Reason)
				assert.Equal(t, map[string]int{"sha256:web:1": 2}, w.digests())
				assert.Empty(t, s.Problems)
			})
		}
		inImageWorld(t, []string{"a", "b"}, 2, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
			registry.Fail(err)
			w.update(func(s *cms.PodSpec) { s.Workload.Image, s.Update.Failures = "web:2", -1 })
			for range 10 {
				w.ready(time.Minute, 2)
				s := w.now()
				assert.Equal(t, cms.RolloutProgressing, rollout(s), "it never goes back by itself")
				p := problem(s, code)
				require.NotNil(t, p, "%v", sentences(s.Problems))
				assert.True(t, p.Code.Hopeless())
			}
			registry.Fail(nil)
			w.ready(2*time.Minute, 2)
			assert.Empty(t, w.rolled(cms.RolloutDone).Problems)
		})
	}
}

// Every node of a revision runs the same content, wherever and whenever it is
// started, and whatever the tag means then.
func TestEveryNodeOfARevisionRunsOneDigest(t *testing.T) {
	for _, pull := range []pod.PullPolicy{pod.PullMissing, pod.PullAlways} {
		t.Run(string(pull), func(t *testing.T) {
			inImageWorld(t, []string{"a", "b", "c"}, 1, func(s *cms.PodSpec) { s.Workload.Pull = pull }, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
				w.end()
				w.config.Tick = time.Minute // days pass
				w.restart()
				all := func(n int, digest string) {
					t.Helper()
					s := w.converge()
					require.Equal(t, map[string]int{digest: n}, w.digests())
					for _, node := range s.Nodes {
						if node.State == pod.StateOnline {
							require.Equal(t, digest, node.Digest)
						}
					}
				}
				registry.Tag("web:1", "sha256:moved")
				w.launch()
				w.launch()
				all(3, "sha256:web:1")
				for i, pause := range []time.Duration{time.Hour, 30 * time.Hour, time.Minute} {
					time.Sleep(pause)
					registry.Tag("web:1", fmt.Sprint("sha256:moved again ", i))
					for _, n := range names(w.now(), pod.StateOnline) {
						w.kill(n)
						time.Sleep(time.Minute)
					}
					all(3+i, "sha256:web:1")
					w.restart()
					w.launch()
					all(4+i, "sha256:web:1")
				}
				require.Equal(t, 1, w.unpinned("web:1"))

				w.update(version(2)) // another revision, for which the tag is looked up
				w.rolled(cms.RolloutDone)
				assert.Len(t, w.digests(), 1)
				assert.Equal(t, 2, w.unpinned("web:1"))
			})
		})
	}
}

// No second host is asked before the record has what the first one answered.
func TestDigestIsRecordedBeforeASecondHostIsAsked(t *testing.T) {
	for _, slow := range []bool{false, true} {
		inImageWorld(t, []string{"a", "b", "c"}, 0, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
			var recorded time.Time
			w.store.OnSave(func(_ context.Context, c cms.Change) error {
				time.Sleep(time.Second)
				if len(c.PutPods) > 0 && c.PutPods[0].Revisions[0].Digest != "" && recorded.IsZero() {
					recorded = time.Now()
					assert.Equal(t, 1, w.unpinned("web:1"))
					registry.Tag("web:1", "sha256:moved")
				}
				return nil
			})
			if slow {
				w.hosts["a"].HangPrepare(true)
				time.AfterFunc(10*time.Second, func() { w.hosts["a"].HangPrepare(false) })
			}
			w.want(6)
			w.wait("all", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 6 })
			assert.Equal(t, map[string]int{"sha256:web:1": 6}, w.digests())
			for _, h := range w.hosts {
				for _, c := range h.Calls("prepare", "start") {
					if c.Op == "prepare" && c.Digest == "" {
						continue
					}
					assert.False(t, c.At.Before(recorded), "%s %s", c.Op, c.ID)
				}
			}
			assert.Equal(t, 1, w.unpinned("web:1"))
		})
	}
}

// A restart makes a new revision with what the tag means then, replaces the nodes
// as the update says, and can be undone.
func TestRestartOfAPodLooksUpTheTagAnew(t *testing.T) {
	for _, c := range []struct {
		pull   pod.PullPolicy
		digest string // after the restart
	}{{pod.PullAlways, "sha256:moved"}, {pod.PullMissing, "sha256:web:1"}} {
		for _, update := range []cms.Update{{MinReady: 5 * time.Second}, {MaxSurge: -1, MaxUnavailable: 2}, canary(50), {Strategy: cms.BlueGreen}} {
			t.Run(fmt.Sprintf("%s, %s", c.pull, update.Strategy), func(t *testing.T) {
				inImageWorld(t, []string{"a", "b"}, 4, func(s *cms.PodSpec) { s.Workload.Pull, s.Update = c.pull, update }, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
					registry.Tag("web:1", "sha256:moved")
					before := names(w.now(), pod.StateOnline)
					s, err := w.RestartPod(t.Context(), "web")
					require.NoError(t, err)
					assert.EqualValues(t, 2, s.Revision)
					assert.Equal(t, cms.RolloutProgressing, rollout(s))
					w.provenUntilDone(4 - update.MaxUnavailable)
					s = w.now()
					for _, n := range before {
						assert.NotContains(t, names(s, pod.StateOnline), n)
					}
					assert.Equal(t, map[string]int{c.digest: 4}, w.digests())
					assert.Equal(t, c.digest, s.Revisions[1].Digest)

					registry.Tag("web:1", "sha256:moved again")
					_, err = w.UndoRollout(t.Context(), "web", 0)
					require.NoError(t, err)
					w.provenUntilDone(4 - update.MaxUnavailable)
					assert.Equal(t, map[string]int{"sha256:web:1": 4}, w.digests())
					assert.EqualValues(t, 1, w.now().Revision)
					assert.Equal(t, 2, w.unpinned("web:1"))
					w.assertConsistent()
				})
			})
		}
	}
}

// An image without a registry is pinned by its id. A host that lacks it is refused
// with words, and what it cannot do is no fault of the rollout.
func TestImageOfOneHostRunsThere(t *testing.T) {
	for _, failures := range []int{1, 3} {
		for _, full := range []bool{false, true} {
			inImageWorld(t, []string{"a", "b"}, 2, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
				if full {
					w.end()
					w.hosts["a"].Capacity = pod.Resources{CPU: 8, Memory: 350 << 20}
					w.restart()
				}
				w.hosts["a"].SetImage("web:dev", "id:sha256:11")
				registry.Remove("web:dev")
				w.update(func(s *cms.PodSpec) {
					s.Workload.Image, s.Update = "web:dev", cms.Update{MinReady: time.Second, Failures: failures}
				})
				w.ready(time.Minute, 2)
				s := w.rolled(cms.RolloutDone)
				assert.Equal(t, map[string]int{"id:sha256:11": 2}, w.digests())
				assert.Zero(t, s.Rollout.Failures)
				w.want(5)
				time.Sleep(time.Minute)
				s = w.now()
				if !full {
					assert.Equal(t, map[string]int{"id:sha256:11": 5}, w.digests())
					assert.Empty(t, running(w.hosts["b"]))
					return
				}
				assert.Equal(t, map[string]int{"id:sha256:11": 3}, w.digests(), "all that fit on its host")
				p := problem(s, cms.ProblemStart)
				require.NotNil(t, p, "%v", sentences(s.Problems))
				assert.Equal(t, "b", p.Host)
				assert.Contains(t, p.Sentence(time.Now()), "push it to a registry")
				assert.False(t, p.Again.IsZero())
				w.hosts["b"].SetImage("web:dev", "id:sha256:11")
				time.Sleep(2 * time.Minute)
				assert.Equal(t, map[string]int{"id:sha256:11": 5}, w.digests())
				assert.Empty(t, w.converge().Problems)
			})
		}
	}
}

// A manager that takes over after its store was lost goes on with the revisions and
// digests that the nodes carry.
func TestTakeOverKeepsDigestsAndRevisions(t *testing.T) {
	for _, amid := range []bool{false, true} {
		inImageWorld(t, []string{"a", "b"}, 3, nil, func(t *testing.T, w *world, registry *podtest.FakeRegistry) {
			w.update(version(2))
			w.rolled(cms.RolloutDone)
			registry.Tag("web:1", "sha256:moved")
			w.update(func(s *cms.PodSpec) {
				s.Workload.Image = "web:2"
				if amid {
					s.Update.MinReady = time.Hour
				}
			})
			time.Sleep(time.Minute)
			before := w.now()
			require.EqualValues(t, 3, before.Revision)
			w.lose()
			registry.Tag("web:2", "sha256:moved, too")
			w.config.TakeOver = true
			w.start()
			if amid {
				time.Sleep(time.Minute)
			}
			after := w.converge()
			assert.EqualValues(t, 3, after.Revision)
			for _, r := range after.Revisions {
				for _, b := range before.Revisions {
					if b.Number == r.Number {
						assert.Equal(t, b.Digest, r.Digest)
						assert.True(t, r.Resolved)
					}
				}
			}
			w.launch()
			time.Sleep(time.Minute)
			w.converge()
			for digest := range w.digests() {
				assert.Contains(t, []string{"sha256:web:1", "sha256:web:2"}, digest)
			}
			assert.Equal(t, 1, w.unpinned("web:2"))
			w.update(func(s *cms.PodSpec) { s.Update.MinReady = 0 })
			_, err := w.RestartPod(t.Context(), "web")
			require.NoError(t, err)
			s := w.rolled(cms.RolloutDone)
			assert.EqualValues(t, 4, s.Revision, "numbers go on")
		})
	}
}
