package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

func drawUpdate(t *rapid.T) state.Update {
	u := state.Update{
		Strategy:       rapid.SampledFrom([]state.UpdateStrategy{state.Rolling, state.Canary, state.BlueGreen}).Draw(t, "strategy"),
		MaxSurge:       rapid.SampledFrom([]int{-1, 1, 2, 5}).Draw(t, "surge"),
		MaxUnavailable: rapid.IntRange(0, 2).Draw(t, "unavailable"),
		MinReady:       rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Second, 30 * time.Second}).Draw(t, "min ready"),
		Failures:       -1,
	}
	if u.MaxSurge < 0 && u.MaxUnavailable == 0 {
		u.MaxUnavailable = 1
	}
	if u.Strategy == state.Canary {
		u.Steps = []state.CanaryStep{{Weight: rapid.IntRange(1, 60).Draw(t, "weight"), Pause: 10 * time.Second}, {Weight: 70, Pause: 5 * time.Second}}
	}
	return u
}

// watchRollout makes each plan be checked: it never has more nodes than it may,
// and drains no ready node that the update does not allow to go.
func (s *sim) watchRollout() {
	s.check = func(before state.Pod, p Plan) {
		live, ready, gone, gaveWay := 0, 0, 0, false
		for i := range p.Pod.Nodes {
			n := &p.Pod.Nodes[i]
			m := p.Memory.Nodes[n.Name]
			was := before.Node(n.Name)
			h := s.hosts[n.Host]
			proven := !h.fault.OK() || s.probes[n.Name].Failures < 3 && h.nodes[n.Name].Phase == pod.PhaseRunning // of a host that is away nobody knows better
			if r := p.Pod.Rolling(); r != nil && n.Revision == r.To && s.now.Sub(m.Ready) < p.Pod.Spec.Update.MinReady {
				proven = false
			}
			switch {
			case s.lost(n.Host):
			case n.Live():
				live++
				if n.State == pod.StateOnline && proven {
					ready++
				}
			case n.State == pod.StateDraining && m.Drain.Told.Equal(s.now) && was != nil && was.State == pod.StateOnline && proven:
				gone++
				gaveWay = gaveWay || strings.HasPrefix(n.Reason, "gives way")
			}
		}
		started := false
		for i := range p.Pod.Nodes {
			n := &p.Pod.Nodes[i]
			started = started || n.State == pod.StateStarting && before.Node(n.Name) == nil
		}
		if started {
			assert.LessOrEqual(s.t, live, p.Pod.Spec.MaxNodes, "more than max_nodes")
		}
		u, want := p.Pod.Spec.Update, p.Pod.Want
		least := want - u.MaxUnavailable
		if gaveWay || min(want+max(u.MaxSurge, 0), p.Pod.Spec.MaxNodes) <= want {
			least = min(least, want-1)
		}
		assert.GreaterOrEqual(s.t, ready, min(ready+gone, least), "%d ready nodes drained, %d left of %d wanted: %+v", gone, ready, want, u)
		if gone > 0 && u.MaxUnavailable == 0 && want > 0 {
			assert.Positive(s.t, ready, "the last ready node was drained")
		}
	}
}

// lost says that a host has been away for so long that others run in place of its
// nodes.
func (s *sim) lost(host string) bool {
	h := s.hosts[host]
	return !h.fault.OK() && s.now.Sub(h.since) >= 30*time.Second
}

// waits says that the rollout waits for room, as documented: its only ready node
// would have to go first.
func (s *sim) waits() bool { return slices.Contains(codes(s.plan), ProblemWaits) }

// Whatever happened before, and at whatever moment, a rollout ends once nothing
// fails any more; meanwhile as many nodes are ready as its update asks for.
func TestRolloutsEnd(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		hosts := []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(r, "hosts")]
		room := rapid.IntRange(1, 6).Draw(r, "room")
		s := newSim(r, room, hosts...)
		room *= len(hosts)
		s.boot = time.Duration(rapid.IntRange(1, 8).Draw(r, "boot")) * time.Second
		want := rapid.IntRange(1, min(4, room)).Draw(r, "want")
		s.pod.Spec.MaxNodes = min(want+rapid.IntRange(0, 4).Draw(r, "more"), room)
		s.pod.SetWant(want)
		s.pass(time.Minute)
		s.watchRollout()
		s.revise("2", drawUpdate(r))
		s.turn()
		for range rapid.IntRange(0, 6).Draw(r, "events") {
			s.disturb(r, hosts)
			s.pass(time.Duration(rapid.IntRange(0, 20).Draw(r, "pause")) * time.Second)
		}
		s.mend()
		s.pass(10 * time.Minute)
		if s.waits() {
			return
		}
		require.Equal(r, state.RolloutDone, s.pod.Rollout.State, "%v\n%v\n%+v", s.pod.Nodes, s.sentences(), s.pod.Spec.Update)
		require.Equal(r, s.pod.Want, s.live(s.pod.Revision), "%v", s.sentences())
		require.Zero(r, len(s.pod.Nodes)-s.online()-s.pod.Count(pod.StateFailed), "%v", s.pod.Nodes)
		require.True(r, s.plan.Status.Converged, "%v", s.sentences())
	})
}

// disturb has something happen to the pod or to its nodes.
func (s *sim) disturb(r *rapid.T, hosts []string) {
	var online []string
	for i := range s.pod.Nodes {
		if s.pod.Nodes[i].State == pod.StateOnline {
			online = append(online, s.pod.Nodes[i].Name)
		}
	}
	switch what := rapid.SampledFrom([]string{"want", "want", "pause", "resume", "exit", "hang", "frozen", "away", "back", "slow", "restart", "remove host", "keep host"}).Draw(r, "event"); what {
	case "want":
		s.pod.SetWant(rapid.IntRange(1, s.pod.Spec.MaxNodes).Draw(r, "want"))
	case "pause", "resume":
		if s.pod.Rolling() != nil {
			s.pause(what == "pause")
		}
	case "exit":
		if len(online) > 0 {
			s.exit(rapid.SampledFrom(online).Draw(r, "node"), 1)
		}
	case "hang":
		if len(online) > 0 {
			s.probes[rapid.SampledFrom(online).Draw(r, "node")] = Probed{Failures: 3, Text: "connection refused"}
		}
	case "frozen":
		for _, h := range s.hosts {
			for name, n := range h.nodes {
				if n.Phase == pod.PhaseRunning && len(online) > 0 && name == online[0] {
					n.Phase = pod.PhaseFrozen
					h.nodes[name] = n
				}
			}
		}
	case "away":
		s.away(rapid.SampledFrom(hosts).Draw(r, "host"), true)
	case "back":
		for name, h := range s.hosts {
			if !h.fault.OK() {
				s.away(name, false)
			}
		}
	case "remove host", "keep host":
		s.hosts[rapid.SampledFrom(hosts).Draw(r, "host")].draining = what == "remove host"
	case "slow":
		s.boot = time.Duration(rapid.IntRange(1, 60).Draw(r, "boot")) * time.Second
	case "restart":
		s.mem = Memory{}
	}
	s.turn()
}

// mend ends every fault.
func (s *sim) mend() {
	for name, h := range s.hosts {
		h.draining = false
		if !h.fault.OK() {
			s.away(name, false)
		}
		for node, n := range h.nodes {
			if n.Phase == pod.PhaseFrozen {
				n.Phase = pod.PhaseRunning
				h.nodes[node] = n
			}
		}
	}
	clear(s.probes)
	s.boot = time.Second
	if s.pod.Rolling() != nil {
		s.pause(false)
	}
	s.turn()
}

// New nodes that fail too many of their requests end their rollout, once they had
// enough of them.
func TestGateOfErrors(t *testing.T) {
	for name, c := range map[string]struct {
		most             float64
		requests, errors [2]uint64 // of the two new nodes
		old              uint64    // errors of an old one
		down             bool
		want             string
	}{
		"none":                    {0.05, [2]uint64{50, 50}, [2]uint64{0, 0}, 0, false, ""},
		"as many as are allowed":  {0.05, [2]uint64{50, 50}, [2]uint64{2, 3}, 0, false, ""},
		"one too many":            {0.05, [2]uint64{50, 50}, [2]uint64{3, 3}, 0, false, "its nodes failed 6 of 100 requests, 6.0 %, and 5 % are allowed"},
		"just enough requests":    {0.05, [2]uint64{10, 10}, [2]uint64{0, 2}, 0, false, "its nodes failed 2 of 20 requests, 10.0 %, and 5 % are allowed"},
		"too few requests":        {0.05, [2]uint64{10, 9}, [2]uint64{9, 9}, 0, false, ""},
		"errors of old nodes":     {0.05, [2]uint64{50, 50}, [2]uint64{0, 0}, 99, false, ""},
		"nobody looks":            {1, [2]uint64{50, 50}, [2]uint64{50, 50}, 0, false, ""},
		"none is allowed":         {0, [2]uint64{50, 50}, [2]uint64{0, 1}, 0, false, "its nodes failed 1 of 100 requests, 1.0 %, and 0 % are allowed"},
		"no requests":             {0, [2]uint64{0, 0}, [2]uint64{0, 0}, 0, false, ""},
		"what was counted before": {0.05, [2]uint64{50, 50}, [2]uint64{9, 9}, 0, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 3, 9, "a")
			s.revise("2", state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 40, Pause: time.Hour}}})
			s.turn()
			s.pass(20 * time.Second)
			require.Equal(t, [2]int{1, 2}, [2]int{s.live(1), s.live(2)})
			s.pod.Spec.Update.MaxErrors = c.most
			for i := range s.fronts["web"].Servers {
				srv := &s.fronts["web"].Servers[i]
				srv.Requests, srv.Errors = 1000, c.old
				if n := map[string]int{"n4": 1, "n5": 2}[srv.Name]; n > 0 {
					srv.Requests, srv.Errors = c.requests[n-1], c.errors[n-1]
				}
			}
			s.fronts["web"].Servers = append(s.fronts["web"].Servers, balancer.ServerStats{Name: "nobody", Requests: 500, Errors: 500})
			if c.down {
				s.down = Fault{FaultBalancer, "no answer"}
			}
			turn := s.begun()
			assert.Equal(t, c.want, turn.gate(turn.pod.Rollout))
			s.turn()
			if c.want == "" {
				assert.Equal(t, state.RolloutProgressing, s.pod.Rollout.State)
				return
			}
			assert.Equal(t, state.RolloutRolledBack, s.pod.Rollout.State)
			assert.Equal(t, c.want, s.pod.Rollout.Reason)
			assert.EqualValues(t, 1, s.pod.Revision)
		})
	}
}

// Each step of a canary lasts its pause from when its nodes are ready, begins anew
// when one of them is not any more, and is told.
func TestCanarySteps(t *testing.T) {
	s := serving(t, 4, 9, "a")
	s.revise("2", state.Update{Strategy: state.Canary, Failures: -1, Steps: []state.CanaryStep{{Weight: 20, Pause: time.Minute}, {Weight: 25, Pause: 2 * time.Minute}, {Weight: 60, Pause: time.Minute}}})
	s.turn()
	s.pass(50 * time.Second)
	assert.Equal(t, [2]int{3, 1}, [2]int{s.live(1), s.live(2)})
	s.exit("n5", 1)
	s.turn()
	assert.True(t, s.mem.Rollout.StepReady.IsZero())
	s.pass(60 * time.Second)
	assert.Zero(t, s.pod.Rollout.Step, "it began anew")
	s.pass(4 * time.Second)
	assert.Equal(t, 1, s.pod.Rollout.Step)
	s.pass(119 * time.Second)
	assert.Equal(t, 1, s.pod.Rollout.Step, "of as many nodes, and yet with a pause of its own")
	s.pass(2 * time.Second)
	assert.Equal(t, 2, s.pod.Rollout.Step)
	s.pass(10 * time.Second)
	assert.Equal(t, [2]int{1, 3}, [2]int{s.live(1), s.live(2)})
	s.pass(2 * time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.Equal(t, []string{
		"pod web gives new nodes 25 % of the requests", "pod web gives new nodes 60 % of the requests", "pod web rolls all other nodes: its canary passed",
	}, s.eventsOf(EventRolloutStep))
}

// A blue-green rollout changes over once as many new nodes are ready as there is
// room for: within max_nodes, or on the hosts.
func TestBlueGreenWithLittleRoom(t *testing.T) {
	for name, c := range map[string]struct {
		room, max int
		over      int // how many new nodes there are when it changes over
		first     int // how many old ones are left then
		short     bool
	}{
		"room for all":       {9, 9, 3, 3, false},
		"max_nodes for two":  {9, 5, 2, 3, true},
		"max_nodes for none": {9, 3, 1, 2, true},
		"a host for two":     {5, 9, 2, 3, false},
		"a host for none":    {3, 9, 1, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 3, c.room, "a")
			s.pod.Spec.MaxNodes = c.max
			changed := false
			watch := func(before state.Pod, p Plan) {
				if r := p.Pod.Rollout; r.Step == 1 && !changed && before.Rollout.Step == 0 {
					changed = true
					old, fresh := 0, 0
					for i := range before.Nodes {
						if n := &before.Nodes[i]; n.State == pod.StateOnline {
							if n.Revision == 1 {
								old++
							} else {
								fresh++
							}
						}
					}
					assert.Equal(t, [2]int{c.first, c.over}, [2]int{old, fresh})
				}
			}
			s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: 5 * time.Second})
			s.watchRollout()
			rules := s.check
			short := false
			s.check = func(before state.Pod, p Plan) {
				rules(before, p)
				watch(before, p)
				for _, problem := range p.Problems {
					if problem.Code == ProblemSurge {
						short = true
						assert.Equal(t, fmt.Sprintf("there is room for %s beside the old ones, as max_nodes is %d; the rest will be rolled", plural(c.over, "new node"), c.max), problem.Sentence(s.now))
					}
				}
			}
			boots := time.Second
			s.do = func(a Action, _ *Result) time.Duration {
				if _, ok := a.(Start); ok {
					boots += 6 * time.Second
					return boots // one after another
				}
				return 0
			}
			s.turn()
			s.pass(5 * time.Minute)
			assert.True(t, changed)
			assert.Len(t, s.eventsOf(EventRolloutStep), 1)
			assert.Equal(t, c.short, short)
			assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
			assert.Equal(t, 3, s.live(2))
		})
	}
}

// Nodes that end or hang after they were ready count against the rollout that
// brought them, as those that cannot be started do.
func TestRolloutWhoseNodesDieIsUndone(t *testing.T) {
	for name, dies := range map[string]func(s *sim, node string){
		"they end":  func(s *sim, node string) { s.exit(node, 1) },
		"they hang": func(s *sim, node string) { s.probes[node] = Probed{Failures: 3, Text: "connection refused"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 2, 9, "a")
			s.revise("2", state.Update{Failures: 3, MinReady: time.Minute})
			s.turn()
			for range 3000 {
				if s.pod.Rollout.State.Over() {
					break
				}
				s.pass(100 * time.Millisecond)
				for i := range s.pod.Nodes {
					if n := &s.pod.Nodes[i]; n.State == pod.StateOnline && n.Revision == 2 && s.probes[n.Name].Failures == 0 && s.hosts["a"].nodes[n.Name].Phase == pod.PhaseRunning {
						dies(s, n.Name)
						s.turn()
						break
					}
				}
			}
			assert.Equal(t, state.RolloutRolledBack, s.pod.Rollout.State)
			assert.Equal(t, 3, s.pod.Rollout.Failures)
			assert.Contains(t, s.pod.Rollout.Reason, "3 of its nodes failed, the last, ")
			s.pass(10 * time.Second)
			assert.Equal(t, []string{"n1", "n2"}, s.servers("web"))
		})
	}
}

// Where nodes fail while the pod is deleted there is nothing to go back to.
func TestDeletedPodDoesNotGoBack(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.revise("2", state.Update{Failures: 1, MinReady: time.Hour})
	s.turn()
	s.pass(10 * time.Second)
	require.Equal(t, 1, s.live(2))
	s.pod.Delete()
	s.exit("n3", 1)
	s.turn()
	assert.EqualValues(t, 2, s.pod.Revision)
	assert.Empty(t, s.eventsOf(EventRolloutRolledBack))
}

// Another revision may start where the last one could not.
func TestAnotherRevisionForgivesHosts(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.mem.Starts = map[string]Retry{"a": {Failures: 9, Next: s.now.Add(time.Hour), Node: "n0", Fault: Fault{FaultOther, "x"}}}
	s.mem.Vacant = []Vacancy{{Deaths: 9, Due: s.now.Add(time.Hour), Node: "n0"}}
	s.obey(Command{Kind: CommandRestart})
	assert.Empty(t, s.mem.Starts)
	assert.Empty(t, s.mem.Vacant)
	assert.Len(t, s.pod.Nodes, 2, "it is tried at once")
	assert.Equal(t, []string{"pod web changes from revision 1 to 2"}, s.eventsOf(EventRolloutStarted))
	s.obey(Command{Kind: CommandUndo})
	assert.Len(t, s.eventsOf(EventRolloutStarted), 1, "going back is told as that")
	assert.Len(t, s.eventsOf(EventRolloutRolledBack), 1)
}

// What gives way is a node whose place the new one fits into.
func TestWhatGivesWay(t *testing.T) {
	s := serving(t, 2, 1, "a", "b")
	s.hosts["a"].refused = "cordoned"
	s.revise("2", state.Update{})
	var onA, onB string
	for _, n := range s.pod.Nodes {
		if n.Host == "a" {
			onA = n.Name
		} else {
			onB = n.Name
		}
	}
	turn := s.begun()
	assert.Equal(t, onB, turn.gives(turn.stale).Name)
	s.probes[onA] = Probed{Failures: 3}
	turn = s.begun()
	assert.Equal(t, onB, turn.gives(turn.stale).Name, "that it hangs helps nobody")
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, []string{onB}, s.servers("web")[:1], "it is the last one that answers")
	s.hosts["b"].refused = "cordoned"
	turn = s.begun()
	assert.Nil(t, turn.gives(turn.stale))
	s.hosts["b"].refused = ""
	s.set(onB, func(n *state.Node) { n.State = pod.StateStarting })
	turn = s.begun()
	assert.Nil(t, turn.gives(turn.stale), "one that starts has no place of its own yet")
}

// The share of new nodes is that of the last time when none was missing.
func TestShareOfARollout(t *testing.T) {
	s := newSim(t, 20, "a")
	s.add(4, 1, "a")
	s.pod.SetWant(4)
	turn := s.begun()
	turn.noteShare(Census{Old: 4})
	assert.Zero(t, turn.mem.Rollout.Share, "there is no rollout")
	s.revise("2", state.Update{MaxSurge: 1})
	turn = s.begun()
	for _, c := range []struct {
		now  Census
		want Share
	}{
		{Census{Fresh: 1, Old: 4}, Share{1, 5}},
		{Census{Fresh: 1, Old: 5}, Share{1, 5}},
		{Census{Fresh: 1, Old: 2}, Share{1, 5}},
		{Census{Fresh: 2, Old: 2}, Share{2, 4}},
	} {
		turn.noteShare(c.now)
		assert.Equal(t, c.want, turn.mem.Rollout.Share)
	}
}

// What a launch by hand brings during a paused rollout keeps its share.
func TestRevisionByHand(t *testing.T) {
	for _, c := range []struct {
		old, fresh, want int
		paused           bool
		revision         uint64
	}{
		{3, 1, 4, true, 1},
		{3, 1, 4, false, 2},
		{1, 1, 3, true, 2},
		{1, 1, 2, true, 1},
		{0, 0, 0, true, 1},
	} {
		s := newSim(t, 20, "a")
		s.add(c.old, 1, "a")
		s.revise("2", state.Update{})
		s.add(c.fresh, 2, "a")
		s.pause(c.paused)
		s.mem.Rollout.Share = Share{c.fresh, c.old + c.fresh}
		s.pod.SetWant(c.want)
		assert.Equal(t, c.revision, s.begun().revisionByHand(), "%+v", c)
	}
}

// A rolling update has no steps.
func TestRollingHasNoSteps(t *testing.T) {
	s := serving(t, 3, 9, "a")
	s.revise("2", state.Update{MaxSurge: 5})
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.Zero(t, s.pod.Rollout.Step)
	assert.Empty(t, s.eventsOf(EventRolloutStep))
}

// A rollout whose last new node leaves, and that had failed too many requests, is
// undone and not done.
func TestGateOfANodeThatLeaves(t *testing.T) {
	s := serving(t, 3, 9, "a")
	s.revise("2", state.Update{MaxErrors: 0.1, MinReady: time.Hour})
	s.turn()
	s.pass(10 * time.Second)
	require.Equal(t, 1, s.live(2))
	s.inFlight("web", "n4", 1)
	for i := range s.fronts["web"].Servers {
		if srv := &s.fronts["web"].Servers[i]; srv.Name == "n4" {
			srv.Requests, srv.Errors = 100, 50
		}
	}
	s.set("n4", func(n *state.Node) { n.Drain(s.now, "") })
	s.turn()
	assert.Equal(t, state.RolloutRolledBack, s.pod.Rollout.State)
	assert.Empty(t, s.eventsOf(EventRolloutDone))
}

// New nodes that take no requests yet are not counted on when a paused blue-green
// rollout must replace an old one.
func TestHeldBlueGreenCountsOnOldNodesOnly(t *testing.T) {
	s := serving(t, 3, 9, "a", "b")
	s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: time.Minute})
	s.turn()
	s.pass(10 * time.Second)
	s.pause(true)
	s.pass(10 * time.Minute)
	require.Equal(t, [2]int{3, 3}, [2]int{s.live(1), s.live(2)})
	s.hosts["b"].draining = true
	s.check = func(_ state.Pod, p Plan) {
		serving := 0
		for i := range p.Pod.Nodes {
			if n := &p.Pod.Nodes[i]; n.State == pod.StateOnline && n.Revision == 1 {
				serving++
			}
		}
		assert.GreaterOrEqual(t, serving, 3)
	}
	s.turn()
	s.pass(10 * time.Minute)
	assert.Empty(t, s.hosts["b"].nodes)
	assert.Equal(t, 3, s.live(1))
	s.check = nil
	s.pause(false)
	s.turn()
	s.pass(10 * time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.Equal(t, [2]int{0, 3}, [2]int{s.live(1), s.live(2)})
}

// Of a rollout that is held only what must go goes, and where that has no room it
// says so.
func TestHeldRolloutDrainsWhatMustGo(t *testing.T) {
	s := serving(t, 3, 9, "a", "b")
	leaves := ""
	for _, n := range s.pod.Nodes {
		if n.Host == "b" {
			leaves = n.Name
		}
	}
	s.revise("2", state.Update{MinReady: time.Minute})
	s.turn()
	s.pass(10 * time.Second)
	s.pause(true)
	s.pass(10 * time.Minute)
	s.events = nil
	s.hosts["b"].draining = true
	for i := range s.fronts["web"].Servers {
		if srv := &s.fronts["web"].Servers[i]; srv.Name != leaves {
			srv.Up = false // all others are worse
		}
	}
	s.turn()
	s.pass(10 * time.Minute)
	for _, text := range s.eventsOf(EventNodeDraining) {
		assert.Contains(t, text, "host b is being removed")
	}
	assert.Empty(t, s.hosts["b"].nodes)

	s = serving(t, 4, 2, "a", "b")
	s.revise("2", state.Update{})
	s.pause(true)
	s.hosts["b"].draining = true
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, []string{"cannot start a node: no room: host a 0 of 2 CPUs free, host b is being removed"}, s.sentences())
	assert.Equal(t, 4, s.online())
}
