package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// running returns a pod of n nodes that serve since a while.
func serving(t *testing.T, n, room int, hosts ...string) *sim {
	s := newSim(t, room, hosts...)
	s.pod.Revisions[0].Pin("sha256:1")
	s.pod.SetWant(n)
	s.pass(time.Minute)
	require.Equal(t, n, s.online(), "%v", s.sentences())
	require.True(t, s.plan.Status.Converged)
	s.events, s.began = nil, nil
	return s
}

// A paused rollout follows the wanted number in proportion, replaces what dies by
// its kind, and moves nothing over; it goes on when it is resumed.
func TestPausedRolloutMovesNothingOver(t *testing.T) {
	for name, c := range map[string]struct {
		update       state.Update
		then         time.Duration // until it is paused
		was          [2]int        // old and new
		want         int
		left         [2]int
		dies         uint64 // of which revision one dies after that
		afterOneDied [2]int
	}{
		"rolling, 6 → 2": {state.Update{MaxSurge: 2, MinReady: time.Minute}, 10 * time.Second, [2]int{6, 2}, 2, [2]int{2, 0}, 1, [2]int{2, 0}},
		"rolling, 6 → 4": {state.Update{MaxSurge: 2, MinReady: time.Minute}, 10 * time.Second, [2]int{6, 2}, 4, [2]int{3, 1}, 1, [2]int{3, 1}},
		"rolling, 6 → 9": {state.Update{MaxSurge: 1, MinReady: time.Minute}, 10 * time.Second, [2]int{6, 1}, 9, [2]int{8, 1}, 1, [2]int{8, 1}},
		"canary, 6 → 1":  {state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 20, Pause: time.Hour}}}, 30 * time.Second, [2]int{4, 2}, 1, [2]int{1, 0}, 1, [2]int{1, 0}},
		"canary, 6 → 3":  {state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 20, Pause: time.Hour}}}, 30 * time.Second, [2]int{4, 2}, 3, [2]int{2, 1}, 2, [2]int{2, 1}},
		"canary, 6 → 10": {state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 20, Pause: time.Hour}}}, 30 * time.Second, [2]int{4, 2}, 10, [2]int{7, 3}, 1, [2]int{7, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 6, 10, "a", "b")
			s.watchRollout()
			s.revise("2", c.update)
			s.turn()
			s.pass(c.then)
			s.pause(true)
			s.pass(10 * time.Minute)
			require.Equal(t, c.was, [2]int{s.live(1), s.live(2)})
			s.pod.SetWant(c.want)
			s.turn()
			s.pass(10 * time.Minute)
			assert.Equal(t, c.left, [2]int{s.live(1), s.live(2)})
			assert.Equal(t, state.RolloutPaused, s.pod.Rollout.State)
			for i := range s.pod.Nodes {
				if n := &s.pod.Nodes[i]; n.Live() && n.Revision == c.dies {
					s.exit(n.Name, 1)
					break
				}
			}
			s.turn()
			s.pass(10 * time.Minute)
			assert.Equal(t, c.afterOneDied, [2]int{s.live(1), s.live(2)})
			s.pause(false)
			s.turn()
			s.pass(2 * time.Hour)
			assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
			assert.Equal(t, [2]int{0, c.want}, [2]int{s.live(1), s.live(2)})
		})
	}
}

// Several nodes of one kind go at once while a rollout is paused or at a step of a
// canary: they come back as they were, and nothing moves over.
func TestHeldRolloutBringsOldNodesBack(t *testing.T) {
	for name, c := range map[string]struct {
		update state.Update
		paused bool
	}{
		"rolling, paused": {state.Update{MinReady: time.Minute}, true},
		"canary, paused":  {state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 10, Pause: time.Hour}}}, true},
		"canary":          {state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 10, Pause: time.Hour}}}, false},
	} {
		for lost := range 2 {
			t.Run(fmt.Sprintf("%s, lost %d", name, lost), func(t *testing.T) {
				s := serving(t, 4, 9, "a", "b")
				s.revise("2", c.update)
				s.turn()
				s.pass(30 * time.Second)
				if c.paused {
					s.pause(true)
				}
				s.turn()
				s.pass(5 * time.Second)
				was := [2]int{s.live(1), s.live(2)}
				require.Positive(t, was[1])
				for i := range s.pod.Nodes {
					if n := &s.pod.Nodes[i]; n.Revision == 1 {
						s.exit(n.Name, 1)
					}
				}
				if lost == 1 {
					s.away("b", true)
				}
				s.turn()
				s.pass(40 * time.Second)
				s.turn()
				s.pass(20 * time.Second)
				if c := s.begun().census(); c.Fresh > was[1] || c.Live() < 4 {
					t.Fatalf("of %v: %+v", was, c)
				}
				require.NotNil(t, s.pod.Rolling(), "it is not over")
			})
		}
	}
}

// Of old and new nodes that are to be started on one host, those that cannot start do
// not keep the others waiting.
func TestNodesThatCannotStartHoldUpNoOtherRevision(t *testing.T) {
	for _, broken := range []uint64{1, 2} {
		s := newSim(t, 20, "a")
		s.pod.Revisions[0].Pin("sha256:1")
		s.pod.SetWant(6)
		s.add(2, 1, "a")
		s.revise("2", state.Update{Strategy: state.Canary, Failures: -1, Steps: []state.CanaryStep{{Weight: 50, Pause: time.Hour}}})
		s.do = func(a Action, r *Result) time.Duration {
			if start, ok := a.(Start); ok && start.Revision == broken {
				r.Fault = Fault{FaultRegistry, "503 Service Unavailable"}
			}
			return 0
		}
		s.mem.Starts = map[string]Retry{"a": {Failures: 3, Next: s.now.Add(time.Second), Node: "n0", Fault: Fault{FaultRegistry, "503 Service Unavailable"}}}
		s.turn()
		s.pass(20 * time.Minute)
		assert.Equal(t, map[uint64][2]int{1: {2, 3}, 2: {3, 0}}[broken], [2]int{s.live(1), s.live(2)}, "revision %d cannot start", broken)
	}
}

// A host can be removed also where max_nodes leaves no room beside a blue-green rollout
// that is paused: one old node goes first.
func TestHostLeavesAPausedBlueGreenRolloutAtMaxNodes(t *testing.T) {
	s := newSim(t, 9, "a", "b")
	s.pod.Spec.MaxNodes = 6
	s.pod.SetWant(3)
	s.add(2, 1, "a")
	s.add(1, 1, "b")
	s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: time.Minute})
	s.add(3, 2, "a")
	s.pause(true)
	s.turn()
	s.pass(time.Minute)
	s.hosts["b"].draining = true
	s.boot = 10 * time.Second
	s.turn()
	least := 3
	for range 60 {
		s.pass(5 * time.Second)
		least = min(least, len(s.servers("web")))
	}
	assert.Empty(t, s.hosts["b"].nodes)
	assert.Equal(t, 2, least)
	assert.Equal(t, [2]int{3, 3}, [2]int{s.live(1), s.live(2)})
}

// New nodes of a blue-green rollout take requests where no old one can.
func TestBlueGreenServesWhereOldNodesCannot(t *testing.T) {
	for name, harm := range map[string]func(s *sim){
		"lost": func(s *sim) { s.away("a", true) },
		"they hang": func(s *sim) {
			for _, n := range []string{"n1", "n2"} {
				s.probes[n] = Probed{Failures: 3, Text: "connection refused"}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 2, 2, "a")
			s.hosts["b"] = newSim(t, 2, "b").hosts["b"]
			s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: time.Hour})
			s.turn()
			s.pass(time.Minute)
			require.Equal(t, []string{"n1", "n2"}, s.servers("web"))
			harm(s)
			s.turn()
			s.pass(40 * time.Second)
			s.turn()
			s.pass(time.Second)
			assert.Subset(t, s.servers("web"), []string{"n3", "n4"})
		})
	}
}

// All old nodes die while a rollout is paused: they come back as they were.
func TestPausedRolloutBringsOldNodesBack(t *testing.T) {
	s := serving(t, 2, 4, "a")
	s.revise("2", state.Update{MinReady: time.Minute})
	s.turn()
	s.pass(10 * time.Second)
	s.pause(true)
	for _, name := range []string{"n1", "n2", "n3"} {
		s.exit(name, 1)
	}
	s.turn()
	s.pass(5 * time.Minute)
	assert.Equal(t, [2]int{2, 0}, [2]int{s.live(1), s.live(2)})
}

// A rollout that is held where it is still replaces nodes that do not answer or must
// leave their host, without fewer nodes that serve than wanted.
func TestHeldRolloutReplacesWhatMustGo(t *testing.T) {
	rolling := state.Update{MaxSurge: 2, MinReady: time.Minute}
	canary := state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 20, Pause: 10 * time.Hour}}}
	harms := map[string]func(s *sim, n *state.Node){
		"it hangs": func(s *sim, n *state.Node) {
			made := s.hosts[n.Host].nodes[n.Name]
			made.Phase = pod.PhaseFrozen
			s.hosts[n.Host].nodes[n.Name] = made
		},
		"its host leaves": func(s *sim, n *state.Node) { s.hosts[n.Host].draining = true },
		"it may not be on its host": func(s *sim, n *state.Node) {
			s.pod.Spec.Hosts = []string{"a", "b", "c"}
			s.pod.Spec.Hosts = slices.DeleteFunc(s.pod.Spec.Hosts, func(h string) bool { return h == n.Host })
		},
	}
	for name, c := range map[string]struct {
		update state.Update
		paused bool
		max    int
	}{
		"rolling, paused":                {rolling, true, 10},
		"rolling, paused, without surge": {rolling, true, 6},
		"canary":                         {canary, false, 10},
		"canary, paused":                 {canary, true, 10},
		"blue-green, paused":             {state.Update{Strategy: state.BlueGreen, MinReady: time.Minute}, true, 20},
	} {
		for harm, do := range harms {
			for _, revision := range []uint64{1, 2} {
				t.Run(fmt.Sprintf("%s, revision %d, %s", name, revision, harm), func(t *testing.T) {
					s := serving(t, 6, 10, "a", "b", "c")
					s.pod.Spec.MaxNodes = c.max
					s.watchRollout()
					s.revise("2", c.update)
					s.turn()
					s.pass(10 * time.Second)
					if c.paused {
						s.pause(true)
					}
					s.pass(10 * time.Minute)
					require.Positive(t, s.live(2))
					for i := range s.pod.Nodes {
						if n := &s.pod.Nodes[i]; n.Live() && n.Revision == revision {
							do(s, n)
							break
						}
					}
					least := 6
					s.turn()
					for range 60 {
						s.pass(10 * time.Second)
						least = min(least, len(s.servers("web")))
					}
					for i := range s.pod.Nodes {
						assert.Empty(t, s.begun().unfit(&s.pod.Nodes[i]), s.pod.Nodes[i].Name)
					}
					assert.Equal(t, 6, least, "servers")
					assert.LessOrEqual(t, s.live(1)+s.live(2), c.max)
				})
			}
		}
	}
}

// A scale-in amid a rollout keeps the nodes that are proven, as many as the update
// asks for.
func TestScaleInAmidARolloutKeepsProvenNodes(t *testing.T) {
	for name, c := range map[string]struct {
		update state.Update
		want   int
		proven int // left of the old ones before min_ready is over
	}{
		"none may be unavailable":    {state.Update{MaxSurge: 2, MinReady: time.Minute}, 2, 2},
		"one may":                    {state.Update{MaxSurge: 2, MaxUnavailable: 1, MinReady: time.Minute}, 3, 2},
		"but never the last one":     {state.Update{MaxSurge: 2, MaxUnavailable: 3, MinReady: time.Minute}, 1, 1},
		"whatever may be unavailabe": {state.Update{MaxSurge: 4, MaxUnavailable: 4, MinReady: time.Minute}, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 5, 10, "a", "b")
			s.watchRollout()
			s.revise("2", c.update)
			s.turn()
			s.pass(20 * time.Second)
			require.Positive(t, s.live(2))
			s.pod.SetWant(c.want)
			s.turn()
			s.pass(20 * time.Second)
			assert.GreaterOrEqual(t, s.live(1), c.proven)
			s.pass(10 * time.Minute)
			assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
			assert.Equal(t, c.want, s.live(2))
		})
	}
}

// A canary without room for a surge takes one old node and no second one before
// its first new one is proven, however long that takes.
func TestCanaryTakesOneOldNodeFirst(t *testing.T) {
	s := serving(t, 3, 2, "a", "b")
	s.pod.Spec.MaxNodes = 3
	s.do = func(a Action, _ *Result) time.Duration {
		if start, ok := a.(Start); ok && start.Revision == 2 {
			return 10 * time.Minute // its image is pulled
		}
		return 0
	}
	s.revise("2", state.Update{Strategy: state.Canary, MinReady: time.Minute, Steps: []state.CanaryStep{{Weight: 40, Pause: time.Minute}}})
	s.turn()
	s.pass(9 * time.Minute)
	assert.Equal(t, [2]int{2, 1}, [2]int{s.live(1), s.live(2)})
	assert.Contains(t, codes(s.plan), ProblemOverdue)
	s.pass(90 * time.Second) // it came, and is not proven yet
	assert.Equal(t, [2]int{2, 1}, [2]int{s.live(1), s.live(2)})
	s.do = nil
	s.pass(10 * time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
}

// A rollout that has no room beside its only ready node waits, says why, and
// names the setting; with that setting it goes on.
func TestRolloutWithoutRoomWaitsForTheLastNode(t *testing.T) {
	for _, starts := range []bool{true, false} {
		s := serving(t, 1, 1, "a")
		if !starts {
			s.do = func(a Action, r *Result) time.Duration {
				if start, ok := a.(Start); ok && start.Revision == 2 {
					r.Fault = Fault{Code: FaultExited, Text: "exit code 127"}
				}
				return 0
			}
		}
		s.revise("2", state.Update{Failures: 3})
		s.turn()
		s.pass(10 * time.Minute)
		assert.Equal(t, []string{"n1"}, s.servers("web"))
		assert.Empty(t, actions[Stop](s.began))
		assert.Equal(t, []string{
			"the rollout waits: no host has room for a new node beside the only ready one (host a 0 of 1 CPUs free); make room, or set update.max_unavailable to 1 or more to stop the old node first",
		}, s.sentences())

		spec := s.pod.Spec.Clone()
		spec.Update.MaxUnavailable = 1
		s.pod.Revise(spec, "changed by hand", s.now)
		s.turn()
		s.pass(10 * time.Minute)
		assert.Empty(t, s.sentences())
		if starts {
			assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
		} else {
			assert.Equal(t, state.RolloutRolledBack, s.pod.Rollout.State)
		}
		assert.Equal(t, 1, s.live(s.pod.Revision))
	}
}

// With max_nodes as the reason the sentence says that.
func TestRolloutWithoutASurgeWaitsForTheLastNode(t *testing.T) {
	s := serving(t, 1, 8, "a")
	s.pod.Spec.MaxNodes = 1
	s.revise("2", state.Update{})
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, []string{
		"the rollout waits: no host has room for a new node beside the only ready one (max_nodes is 1); make room, or set update.max_unavailable to 1 or more to stop the old node first",
	}, s.sentences())
	assert.Equal(t, 1, s.live(1))
}

// One of several ready nodes gives way, one after another, and each only when the
// one before it was replaced by a proven one.
func TestRolloutWithoutRoomGivesWay(t *testing.T) {
	s := serving(t, 3, 3, "a")
	s.watchRollout()
	least := 3
	watch := s.check
	s.check = func(before state.Pod, p Plan) {
		watch(before, p)
		ready := 0
		for i := range p.Pod.Nodes {
			if n := &p.Pod.Nodes[i]; n.State == pod.StateOnline && (n.Revision == 1 || s.now.Sub(p.Memory.Nodes[n.Name].Ready) >= 30*time.Second) {
				ready++
			}
		}
		least = min(least, ready)
	}
	s.revise("2", state.Update{MinReady: 30 * time.Second})
	s.turn()
	s.pass(5 * time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.Equal(t, 2, least)
	assert.Contains(t, s.eventsOf(EventNodeDraining), "node n3 drains: gives way to its replacement: there is no room for both")
}

// A start that hangs is overdue after three times the median boot, at least 20 s.
// From then on it counts nowhere, its host gets no other start, and one more node
// comes elsewhere.
func TestOneHostThatHangsDoesNotStopThePod(t *testing.T) {
	for name, c := range map[string]struct{ boot, overdue time.Duration }{
		"quick starts": {3 * time.Second, 20 * time.Second},
		"slow starts":  {15 * time.Second, 3 * (15*time.Second + 12*time.Millisecond)}, // with resolving and reporting
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a", "b")
			s.boot = c.boot
			s.pod.SetWant(2)
			s.pass(2 * time.Minute)
			hangs := true
			s.do = func(a Action, _ *Result) time.Duration {
				if start, ok := a.(Start); ok && start.Host == "a" && hangs {
					return 30 * time.Minute
				}
				return 0
			}
			s.hosts["b"].refused = "cordoned" // so that they come to a
			s.pod.SetWant(4)
			s.turn()
			s.hosts["b"].refused = ""
			s.turn() // a tick
			w := s.world()
			in, _ := w.Observe()
			assert.Equal(t, [2]int{2, 2}, [2]int{in.Online, in.Starting})
			s.pass(c.overdue - 10*time.Millisecond)
			assert.Equal(t, 4, s.pod.Count(pod.StateOnline, pod.StateStarting))
			assert.Empty(t, s.sentences())
			s.pass(20 * time.Millisecond)
			assert.Equal(t, 6, s.pod.Count(pod.StateOnline, pod.StateStarting), "two more")
			assert.Equal(t, []Code{ProblemOverdue, ProblemOverdue}, codes(s.plan))
			assert.Contains(t, s.sentences()[0], fmt.Sprintf("node n3 has been starting on host a for longer than %s, so another one is started on another host", c.overdue))
			w = s.world()
			in, _ = w.Observe()
			assert.Equal(t, [2]int{2, 2}, [2]int{in.Online, in.Starting}, "the policy sees those that are not overdue")
			s.pass(c.boot + time.Second)
			assert.Equal(t, 4, s.online())
			for _, name := range s.servers("web")[2:] {
				assert.Equal(t, "b", s.pod.Node(name).Host)
			}
			s.pod.SetWant(5)
			s.turn()
			s.pass(c.boot + time.Second)
			assert.Equal(t, 5, s.online())
			assert.Equal(t, "b", s.pod.Nodes[len(s.pod.Nodes)-1].Host, "a has a start that takes too long")
			assert.False(t, s.plan.Status.Converged)

			// One is wanted when they come after all; the other one is drained.
			s.pod.SetWant(6)
			s.hosts["b"].refused = "cordoned"
			s.turn()
			hangs = false
			s.pass(time.Hour)
			assert.Equal(t, 6, s.online())
			assert.Zero(t, s.pod.Count(pod.StateStarting, pod.StateDraining))
		})
	}
}

// While no boot is known, a start has its deadline and a minute.
func TestFirstStartIsOverdueAMinuteAfterItsDeadline(t *testing.T) {
	s := newSim(t, 10, "a", "b")
	s.do = func(a Action, _ *Result) time.Duration {
		if start, ok := a.(Start); ok && start.Host == "a" {
			return time.Hour
		}
		return 0
	}
	s.pod.Revisions[0].Pin("")
	s.pod.Spec.Workload.Probe.StartDeadline = 40 * time.Second
	s.pod.SetWant(1)
	s.turn()
	s.turn() // a tick
	s.pass(100*time.Second - 10*time.Millisecond)
	assert.Equal(t, 1, s.pod.Count(pod.StateStarting))
	s.pass(time.Second)
	assert.Equal(t, 2, s.pod.Count(pod.StateStarting))
	s.pass(10 * time.Second)
	assert.Equal(t, 1, s.online())
}

// Not even an overdue start makes the pod have more nodes than it may.
func TestOverdueStartsCountAgainstMaxNodes(t *testing.T) {
	s := serving(t, 2, 10, "a", "b")
	s.pod.Spec.MaxNodes = 3
	s.do = func(a Action, _ *Result) time.Duration {
		if _, ok := a.(Start); ok {
			return time.Hour
		}
		return 0
	}
	s.pod.SetWant(3)
	s.turn()
	s.turn() // a tick
	s.pass(30 * time.Minute)
	assert.Len(t, s.pod.Nodes, 3)
	assert.Equal(t, []Code{ProblemOverdue}, codes(s.plan))
}

// What a registry does not deliver now it may deliver later: the rollout goes on,
// with ever longer pauses, and the old nodes serve.
func TestPassingFaultsDoNotUndoARollout(t *testing.T) {
	for _, code := range []FaultCode{FaultRegistry, FaultUnreachable, FaultElsewhere, FaultTimeout, FaultForeign} {
		s := serving(t, 3, 10, "a", "b")
		broken := true
		s.do = func(a Action, r *Result) time.Duration {
			if _, ok := a.(Resolve); ok && broken {
				r.Fault = Fault{Code: code, Text: "429 Too Many Requests"}
			}
			return 0
		}
		s.revise("2", state.Update{Failures: 1})
		s.turn()
		s.pass(20 * time.Minute)
		tries := actions[Resolve](s.began)
		assert.Greater(t, len(tries), 20, "it tries again, on each host at least once a minute")
		assert.Less(t, len(tries), 80, "and ever more seldom")
		assert.Equal(t, state.RolloutProgressing, s.pod.Rollout.State)
		assert.Zero(t, s.pod.Rollout.Failures)
		assert.Equal(t, []string{"n1", "n2", "n3"}, s.servers("web"))
		assert.Contains(t, codes(s.plan), ProblemStart)
		broken = false
		s.pass(5 * time.Minute)
		assert.Equal(t, state.RolloutDone, s.pod.Rollout.State, code)
		assert.Empty(t, s.plan.Problems)
	}
}

// A failure that trying again cannot mend goes back at once, one of the node only
// when there are enough of them, and none where the pod shall never go back.
func TestFaultsThatUndoARollout(t *testing.T) {
	for name, c := range map[string]struct {
		fault    Fault
		failures int
		starts   int // of new nodes
		back     bool
		code     Code
	}{
		"no such image":                {Fault{FaultImage, "there is no such image"}, 10, 1, true, ""},
		"access denied":                {Fault{FaultDenied, "the registry denies access"}, 10, 1, true, ""},
		"it exits":                     {Fault{FaultExited, "exit code 1"}, 4, 4, true, ""},
		"it is not ready":              {Fault{FaultNotReady, "503"}, 2, 2, true, ""},
		"no such image, and no way":    {Fault{FaultImage, "there is no such image"}, -1, 0, false, ProblemImage},
		"access denied, and no way":    {Fault{FaultDenied, "the registry denies access"}, -1, 0, false, ProblemDenied},
		"it exits, and there's no way": {Fault{FaultExited, "exit code 1"}, -1, 0, false, ProblemStart},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 2, 10, "a", "b")
			s.pod.Revisions[0].Pin("sha256:1")
			s.do = func(a Action, r *Result) time.Duration {
				if start, ok := a.(Start); ok && start.Revision == 2 {
					r.Fault = c.fault
				}
				return 0
			}
			s.revise("2", state.Update{Failures: c.failures})
			s.turn()
			s.pass(10 * time.Minute)
			assert.Equal(t, []string{"n1", "n2"}, s.servers("web"))
			if !c.back {
				assert.Equal(t, state.RolloutProgressing, s.pod.Rollout.State)
				assert.Contains(t, codes(s.plan), c.code)
				assert.Greater(t, len(actions[Start](s.began)), 10, "it goes on trying")
				return
			}
			assert.Equal(t, state.RolloutRolledBack, s.pod.Rollout.State)
			assert.Len(t, actions[Start](s.began), c.starts)
			assert.Equal(t, c.starts, s.pod.Rollout.Failures)
			assert.EqualValues(t, 1, s.pod.Revision)
			assert.Contains(t, s.pod.Rollout.Reason, c.fault.Text)
			assert.True(t, s.plan.Status.Converged)
			assert.Empty(t, s.plan.Problems)
		})
	}
}

// One host resolves a tag, the record keeps what it found, and only then others
// start: every node runs the same, wherever the tag goes meanwhile.
func TestOneHostResolvesTheTag(t *testing.T) {
	s := newSim(t, 10, "a", "b", "c")
	for i, name := range []string{"a", "b", "c"} {
		s.hosts[name].digests["shop"] = fmt.Sprintf("sha256:%d", i) // each sees another one
	}
	kept := false
	s.check = func(before state.Pod, p Plan) {
		for _, a := range p.After {
			if start, ok := a.(Start); ok {
				assert.True(t, p.Pod.RevisionOf(start.Revision).Resolved, "a start before the record has the digest")
				assert.Equal(t, p.Pod.RevisionOf(start.Revision).Digest, start.Digest)
			}
		}
		kept = kept || before.Revisions[0].Resolved
	}
	s.pod.SetWant(5)
	s.turn()
	s.pass(time.Minute)
	require.Len(t, actions[Resolve](s.began), 1)
	first := actions[Resolve](s.began)[0].Host
	want := s.hosts[first].digests["shop"]
	for _, start := range actions[Start](s.began) {
		assert.Equal(t, want, start.Digest)
	}
	assert.True(t, kept)
	assert.Equal(t, 5, s.online())

	// The tag moves; a node of the same revision runs what the others run.
	for _, h := range s.hosts {
		h.digests["shop"] = "sha256:moved"
	}
	s.began = nil
	s.exit("n2", 1)
	s.turn()
	s.pod.SetWant(7)
	s.pass(time.Minute)
	s.mem = Memory{} // another manager goes on
	s.pod.SetWant(8)
	s.turn()
	s.pass(time.Minute)
	assert.Empty(t, actions[Resolve](s.began))
	require.Len(t, actions[Start](s.began), 4)
	for _, start := range actions[Start](s.began) {
		assert.Equal(t, want, start.Digest)
	}

	// A restart asks anew; going back runs what was pinned.
	s.began = nil
	s.command(Command{Kind: CommandRestart})
	s.turn()
	s.pass(5 * time.Minute)
	assert.Len(t, actions[Resolve](s.began), 1)
	assert.Equal(t, "sha256:moved", s.pod.RevisionOf(2).Digest)
	assert.Equal(t, 8, s.live(2))
	s.began = nil
	s.command(Command{Kind: CommandUndo})
	s.turn()
	s.pass(5 * time.Minute)
	assert.Empty(t, actions[Resolve](s.began))
	assert.Equal(t, 8, s.live(1))
	assert.Equal(t, want, actions[Start](s.began)[0].Digest)
}

// Where the first host does not come to an answer, another one is asked.
func TestAnotherHostResolvesTheTag(t *testing.T) {
	for name, hangs := range map[string]bool{"it fails": false, "it hangs": true} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a", "b")
			s.hosts["a"].digests["shop"], s.hosts["b"].digests["shop"] = "sha256:a", "sha256:b"
			s.do = func(a Action, r *Result) time.Duration {
				resolve, ok := a.(Resolve)
				switch {
				case !ok || resolve.Host != "a":
				case hangs:
					return time.Hour
				default:
					r.Fault = Fault{Code: FaultRegistry, Text: "503 Service Unavailable"}
				}
				return 0
			}
			s.pod.SetWant(2)
			s.pod.Spec.Workload.Probe.StartDeadline = 10 * time.Second
			s.turn()
			s.turn() // a tick
			s.pass(10 * time.Minute)
			assert.Equal(t, 2, s.online())
			assert.Equal(t, "sha256:b", s.pod.Revisions[0].Digest)
			s.pass(2 * time.Hour)
			assert.Equal(t, "sha256:b", s.pod.Revisions[0].Digest, "it stays")
			for _, start := range actions[Start](s.began) {
				assert.Equal(t, "sha256:b", start.Digest)
			}
			assert.Equal(t, 2, s.online())
		})
	}
}

// A node that somebody pauses on its host does not answer, whatever its probe
// says; what the image's own check says counts where the probe is that.
func TestPausedAndUnhealthyNodesAreReplaced(t *testing.T) {
	for name, c := range map[string]struct {
		probe  pod.Probe
		change func(*pod.Node)
		why    string
	}{
		"docker pause, TCP":              {pod.Probe{Kind: pod.ProbeTCP, Port: "http"}, func(n *pod.Node) { n.Phase = pod.PhaseFrozen }, "is paused on its host by somebody else"},
		"docker pause, no probe":         {pod.Probe{Kind: pod.ProbeNone}, func(n *pod.Node) { n.Phase = pod.PhaseFrozen }, "is paused on its host by somebody else"},
		"docker pause, without liveness": {pod.Probe{Kind: pod.ProbeHTTP, Path: "/", Port: "http", Failures: -1}, func(n *pod.Node) { n.Phase = pod.PhaseFrozen }, "is paused on its host by somebody else"},
		"unhealthy":                      {pod.Probe{Kind: pod.ProbeHealthcheck}, func(n *pod.Node) { n.Health = pod.HealthUnhealthy }, "is unhealthy, says its HEALTHCHECK"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a")
			spec := s.pod.Spec.Clone()
			spec.Workload.Probe = c.probe
			s.pod = state.NewPod(spec, s.now)
			s.pod.SetWant(3)
			s.pass(time.Minute)
			n := s.hosts["a"].nodes["n2"]
			c.change(&n)
			s.hosts["a"].nodes["n2"] = n
			s.turn()
			assert.Equal(t, pod.StateDraining, s.pod.Node("n2").State)
			assert.Equal(t, c.why, s.pod.Node("n2").Reason)
			assert.Equal(t, []string{"node n2 " + c.why}, s.eventsOf(EventNodeHung))
			s.pass(time.Minute)
			assert.Equal(t, []string{"n1", "n3", "n4"}, s.servers("web"))
		})
	}
}

// Sentences are made when somebody reads them: the time that is left goes down.
func TestProblemsCountDown(t *testing.T) {
	s := serving(t, 1, 10, "a")
	s.do = func(a Action, r *Result) time.Duration {
		if _, ok := a.(Start); ok {
			r.Fault = Fault{Code: FaultRegistry, Text: "429 Too Many Requests"}
		}
		return 0
	}
	s.pod.SetWant(2)
	s.turn()
	for s.mem.Starts["a"].Failures < 8 {
		s.pass(time.Second)
	}
	require.Len(t, s.plan.Problems, 1)
	p := s.plan.Problems[0]
	assert.Equal(t, ProblemStart, p.Code)
	seen := map[string]bool{}
	for at := s.now; at.Before(p.Again); at = at.Add(time.Second) {
		text := p.Sentence(at)
		assert.Contains(t, text, "could not be started on host a: 429 Too Many Requests; the next try is in ")
		assert.False(t, seen[text])
		seen[text] = true
	}
	assert.Greater(t, len(seen), 20)
	assert.Contains(t, p.Sentence(p.Again), "; it is tried again now")
}
