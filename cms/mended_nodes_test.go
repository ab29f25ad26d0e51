package cms_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// busy keeps the CPU of every node at a fraction of its limit for d, and requires
// that there are never more nodes than the pod may have.
func (w *world) busy(d time.Duration, fraction float64) cms.PodStatus {
	w.t.Helper()
	for range int(d / time.Second) {
		w.load(fraction)
		w.each(time.Second, func(s cms.PodStatus) {
			live := len(names(s, pod.StateStarting)) + len(names(s, pod.StateOnline))
			require.LessOrEqual(w.t, live, s.Spec.MaxNodes)
			require.LessOrEqual(w.t, len(running(w.hosts["a"]))+len(running(w.hosts["b"])), s.Spec.MaxNodes+len(names(s, pod.StateDraining)))
		})
	}
	return w.now()
}

// hangs makes host a hang and starts a node there.
func (w *world) hangs() (node string) {
	w.t.Helper()
	w.hosts["a"].HangPrepare(true)
	s := w.busy(3*time.Second, 0.95)
	starting := names(s, pod.StateStarting)
	require.Len(w.t, starting, 1)
	n, err := w.Node("web", starting[0])
	require.NoError(w.t, err)
	require.Equal(w.t, "a", n.Host)
	return n.Name
}

// A start that takes far longer than starts do holds up nothing: another node is
// started elsewhere, and the policy scales in both directions.
func TestOverdueStartHoldsUpNothing(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
			w.pod(2)
			w.load(0.5)
			w.elasticity(1, 6)
			w.busy(5*time.Second, 0.5)
			hung, begun := w.hangs(), time.Now()
			if restarts {
				w.busy(10*time.Second, 0.95)
				w.restart()
				begun = time.Now()
			}
			s := w.busy(15*time.Second, 0.95)
			require.Equal(t, 3, s.Want, "it is not overdue yet")
			require.Len(t, names(s, pod.StateOnline), 2)
			require.Nil(t, problem(s, cms.ProblemOverdue))
			prepared := len(w.hosts["a"].Calls("prepare"))

			s = w.busy(10*time.Second, 0.5)
			require.Less(t, time.Since(begun), 30*time.Second)
			assert.Len(t, names(s, pod.StateOnline), 3, "another one runs elsewhere")
			p := problem(s, cms.ProblemOverdue)
			require.NotNil(t, p, "%v", sentences(s.Problems))
			assert.Equal(t, []string{hung, "a"}, []string{p.Node, p.Host})
			assert.Contains(t, p.Sentence(time.Now()), "20s")
			s = w.busy(20*time.Second, 0.95)
			assert.Greater(t, s.Want, 3, "it scales out")
			assert.Len(t, names(s, pod.StateOnline), s.Want)
			s = w.busy(time.Minute, 0.05)
			assert.Equal(t, 1, s.Want, "and in")
			assert.Len(t, names(s, pod.StateOnline), 1)
			assert.Equal(t, []string{hung}, names(s, pod.StateStarting))
			assert.Len(t, w.hosts["a"].Calls("prepare"), prepared, "its host gets no other start")

			w.hosts["a"].HangPrepare(false)
			s = w.busy(10*time.Second, 0.5)
			assert.True(t, s.Converged)
			assert.Equal(t, 1, s.Want)
			assert.Len(t, s.Nodes, 1, "one of the two was drained")
			assert.Empty(t, s.Problems)
			w.assertConsistent()
		})
	}
}

// What comes after all is kept where it is wanted.
func TestOverdueStartThatComesIsKeptWhereWanted(t *testing.T) {
	for _, maxNodes := range []int{3, 4} {
		inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
			w.pod(2)
			w.update(func(s *cms.PodSpec) { s.MaxNodes = maxNodes })
			w.load(0.5)
			w.elasticity(1, maxNodes)
			w.busy(5*time.Second, 0.5)
			hung := w.hangs()
			s := w.busy(time.Minute, 0.95)
			require.Equal(t, maxNodes, s.Want)
			assert.Len(t, names(s, pod.StateOnline), maxNodes-1, "it counts against max_nodes")
			w.hosts["a"].HangPrepare(false)
			s = w.busy(5*time.Second, 0.6)
			assert.True(t, s.Converged)
			assert.Len(t, names(s, pod.StateOnline), maxNodes)
			assert.Contains(t, names(s, pod.StateOnline), hung)
			assert.Empty(t, s.Problems)
		})
	}
}

// While no start is known to have worked, one is overdue after the probe's
// deadline and a minute.
func TestFirstStartIsOverdueAfterItsDeadline(t *testing.T) {
	for _, deadline := range []time.Duration{20 * time.Second, time.Minute} {
		for _, image := range []string{"", "web:1"} {
			inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
				s := spec()
				s.Workload.Probe.StartDeadline, s.Workload.Image = deadline, image
				_, err := w.CreatePod(t.Context(), s)
				require.NoError(t, err)
				w.hosts["a"].HangPrepare(true)
				w.elasticity(1, 4)
				now := w.busy(deadline+time.Minute-time.Second, 0.5)
				require.Equal(t, []string{"n1"}, names(now, pod.StateStarting))
				require.Empty(t, now.Problems)
				now = w.busy(3*time.Second, 0.5)
				assert.Equal(t, []string{"n2"}, names(now, pod.StateOnline))
				p := problem(now, cms.ProblemOverdue)
				require.NotNil(t, p, "%v", sentences(now.Problems))
				assert.Equal(t, "n1", p.Node)
				now = w.busy(30*time.Second, 0.95)
				assert.Greater(t, now.Want, 1)
				assert.Greater(t, len(names(now, pod.StateOnline)), 1)
				assert.Len(t, w.hosts["a"].Calls("prepare"), 1)
				now = w.busy(time.Minute, 0.05)
				assert.Equal(t, 1, now.Want)
				w.hosts["a"].HangPrepare(false)
				now = w.busy(10*time.Second, 0.5)
				assert.True(t, now.Converged)
				assert.Len(t, now.Nodes, 1)
				assert.Empty(t, now.Problems)
				w.assertConsistent()
			})
		}
	}
}

// Each host that hangs gets one start; the others take what is wanted.
func TestOverdueStartsOnSeveralHosts(t *testing.T) {
	inWorld(t, []string{"a", "b", "c"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.load(0.5)
		w.elasticity(3, 8)
		w.hosts["a"].HangPrepare(true)
		w.hosts["b"].HangPrepare(true)
		w.want(6)
		time.Sleep(2 * time.Minute)
		s := w.now()
		assert.Len(t, names(s, pod.StateOnline), 6)
		assert.Len(t, names(s, pod.StateStarting), 2)
		assert.Len(t, s.Problems, 2)
		for _, h := range []string{"a", "b"} {
			assert.Len(t, running(w.hosts[h]), 1)
		}
		w.hosts["a"].HangPrepare(false)
		w.hosts["b"].HangPrepare(false)
		time.Sleep(time.Minute)
		s = w.converge()
		assert.Len(t, s.Nodes, 6)
		w.assertConsistent()
	})
}

// A rollout goes on elsewhere, too. What hangs in the start itself comes or fails.
func TestOverdueStartDoesNotHoldUpARollout(t *testing.T) {
	for name, hang := range map[string]func(w *world, on bool){
		"prepare": func(w *world, on bool) { w.hosts["a"].HangPrepare(on) },
		"start": func(w *world, on bool) {
			delay := 200 * time.Millisecond
			if on {
				delay = 100 * time.Second
			}
			w.hosts["a"].SetStartDelay(delay)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
				w.pod(3)
				hang(w, true)
				w.update(version(2))
				w.provenFor(90*time.Second, 3)
				s := w.now()
				assert.Equal(t, cms.RolloutDone, rollout(s))
				assert.Equal(t, map[string]int{"2": 3}, w.runs())
				assert.NotNil(t, problem(s, cms.ProblemOverdue), "%v", sentences(s.Problems))
				hang(w, false)
				w.provenFor(time.Minute, 3)
				assert.Len(t, w.converge().Nodes, 3)
				w.assertConsistent()
			})
		})
	}
}

// However few nodes are started side by side, starts that hang on one host hold up
// none on the others.
func TestOverdueStartsLeaveSlotsToOthers(t *testing.T) {
	for _, slots := range []int{1, 2, 10} {
		inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
			w.end()
			w.hosts["a"].Capacity = pod.Resources{CPU: 100, Memory: 1 << 40}
			w.before = func(c *cms.Config) { c.StartParallel = slots }
			w.restart()
			w.pod(0)
			w.update(func(s *cms.PodSpec) { s.MaxNodes = 40 })
			w.want(1)
			w.wait("one", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 1 })
			w.hosts["a"].HangPrepare(true)
			w.want(16)
			w.busy(2*time.Minute, 0.5)
			s := w.now()
			assert.Len(t, names(s, pod.StateOnline), 16)
			assert.LessOrEqual(t, len(w.hosts["a"].Calls("prepare")), 1+slots, "its host gets no other start")
			w.want(3)
			w.busy(10*time.Second, 0.5)
			w.want(5)
			s = w.busy(10*time.Second, 0.5)
			assert.Len(t, names(s, pod.StateOnline), 5)
			w.hosts["a"].HangPrepare(false)
			s = w.busy(time.Minute, 0.5)
			assert.True(t, s.Converged)
			assert.Len(t, names(s, pod.StateOnline), 5)
			assert.Empty(t, s.Problems)
			w.assertConsistent()
		})
	}
}

// Neither does it hold up a rollout that is paused, whose nodes of before are
// started on purpose.
func TestOverdueStartWhileARolloutIsPaused(t *testing.T) {
	for name, u := range map[string]cms.Update{"rolling": {MinReady: time.Hour}, "canary": canary(20), "blue-green": {Strategy: cms.BlueGreen, MinReady: time.Hour}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
				w.pod(2)
				w.update(func(s *cms.PodSpec) { s.Update = u })
				w.update(version(2))
				time.Sleep(10 * time.Second)
				_, err := w.PauseRollout(t.Context(), "web")
				require.NoError(t, err)
				time.Sleep(10 * time.Second)
				fresh := w.runs()["2"]
				w.hosts["a"].HangPrepare(true)
				w.want(6)
				time.Sleep(2 * time.Minute)
				s := w.now()
				assert.GreaterOrEqual(t, len(names(s, pod.StateOnline)), 6, "%v", sentences(s.Problems))
				assert.NotNil(t, problem(s, cms.ProblemOverdue), "%v", sentences(s.Problems))
				w.hosts["a"].HangPrepare(false)
				time.Sleep(time.Minute)
				w.want(2)
				time.Sleep(time.Minute)
				assert.LessOrEqual(t, w.runs()["2"], fresh)
				assert.Empty(t, names(w.now(), pod.StateStarting))
				w.update(func(s *cms.PodSpec) { s.Update.MinReady = 0 })
				_, err = w.ResumeRollout(t.Context(), "web")
				require.NoError(t, err)
				w.rolled(cms.RolloutDone)
				assert.Equal(t, map[string]int{"2": 2}, w.runs())
			})
		})
	}
}

// A pod whose start hangs can be deleted, and its host be removed.
func TestOverdueStartDoesNotKeepAPod(t *testing.T) {
	for name, end := range map[string]func(w *world) error{
		"delete": func(w *world) error { _, err := w.DeletePod(w.t.Context(), "web"); return err },
		"halt":   func(w *world) error { return w.Halt(w.t.Context()) },
		"remove": func(w *world) error { _, err := w.RemoveHost(w.t.Context(), "a", true); return err },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"b"}, func(t *testing.T, w *world) {
				w.hosts["a"] = podtest.NewFakeHost()
				_, err := w.AddHost(t.Context(), pod.Host{Name: "a", Runtime: "fake"})
				require.NoError(t, err)
				w.pod(2)
				w.hosts["a"].HangPrepare(true)
				w.want(4)
				time.Sleep(time.Minute)
				require.Len(t, names(w.now(), pod.StateStarting), 1)
				require.NoError(t, end(w))
				time.Sleep(time.Minute)
				assert.Empty(t, running(w.hosts["a"]))
				s, err := w.Pod("web")
				if name == "delete" {
					require.ErrorIs(t, err, cms.ErrNotFound)
					return
				}
				require.NoError(t, err)
				assert.Empty(t, names(s, pod.StateStarting))
				assert.Len(t, names(s, pod.StateOnline), map[string]int{"halt": 0, "remove": 4}[name])
			})
		})
	}
}
