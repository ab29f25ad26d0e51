package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// A node that leaves gets no new requests, finishes what it has, leaves the
// balancer, is stopped, and is forgotten: in this order.
func TestLifeOfADrain(t *testing.T) {
	s := serving(t, 2, 5, "a")
	s.inFlight("web", "n2", 4)
	s.inFlight("web", "n1", 9)
	s.began = nil
	s.pod.SetWant(1)
	s.turn()
	n := s.pod.Node("n2")
	assert.Equal(t, pod.StateDraining, n.State)
	assert.Equal(t, "scaled in", n.Reason)
	assert.Equal(t, s.now.Add(s.pod.Spec.Drain), n.DrainBy)
	told := s.now
	s.pass(5 * time.Second)
	assert.Equal(t, 1, s.plan.Look.Waiting)
	assert.Empty(t, actions[Stop](s.began), "it has requests")
	assert.Len(t, s.fronts["web"].Servers, 2)
	assert.Equal(t, []string{"n1"}, s.servers("web"))
	s.inFlight("web", "n2", 0)
	s.pass(time.Second)
	assert.Zero(t, s.plan.Look.Waiting)
	var order []string
	for _, a := range s.began {
		order = append(order, fmt.Sprintf("%T", a))
	}
	assert.Equal(t, []string{"reconcile.Apply", "reconcile.Apply", "reconcile.Stop"}, order)
	stop := actions[Stop](s.began)[0]
	assert.Equal(t, Stop{Node: "n2", Host: "a", Grace: 10 * time.Second, Why: "scaled in", Told: told, Idle: stop.Idle}, stop)
	assert.True(t, stop.Idle.After(told.Add(5*time.Second)))
	assert.Nil(t, s.pod.Node("n2"))
	assert.Equal(t, []string{"node n2 drains: scaled in"}, s.eventsOf(EventNodeDraining))
	assert.Equal(t, []string{"node n2 has finished what it had"}, s.eventsOf(EventNodeDrained))
	assert.Equal(t, []string{"node n2 is gone"}, s.eventsOf(EventNodeGone))
	assert.NotContains(t, s.mem.Nodes, "n2")
}

// What a node still has when its time is over is cut, and that is told and counted.
func TestDrainThatIsOutOfTime(t *testing.T) {
	for requests, words := range map[int]string{1: "1 request or connection", 2: "2 requests and connections"} {
		s := serving(t, 2, 5, "a")
		s.pod.Spec.Drain = 15 * time.Second
		s.inFlight("web", "n1", 9)
		s.inFlight("web", "n2", requests)
		s.pod.SetWant(1)
		s.turn()
		s.pass(15*time.Second - time.Millisecond)
		assert.NotNil(t, s.pod.Node("n2"))
		s.pass(time.Second)
		assert.Nil(t, s.pod.Node("n2"))
		assert.Equal(t, []string{"node n2 still had " + words + " in flight at its drain deadline of 15s; they were cut"}, s.eventsOf(EventNodeCut))
		assert.Empty(t, s.eventsOf(EventNodeDrained))
		assert.EqualValues(t, requests, s.pod.Cut)
	}
}

// Where the balancer does not answer nobody knows what a node has: it has its time.
func TestDrainWhileTheBalancerIsAway(t *testing.T) {
	s := serving(t, 2, 5, "a")
	s.pod.Spec.Drain = 15 * time.Second
	s.pod.SetWant(1)
	s.turn()
	s.down = Fault{Code: FaultBalancer, Text: "no answer"}
	s.pass(14 * time.Second)
	assert.Equal(t, pod.StateDraining, s.pod.Node("n2").State)
	assert.Contains(t, s.sentences(), "the balancer does not answer: no answer")
	s.pass(2 * time.Second)
	assert.Nil(t, s.pod.Node("n2"))
	assert.Equal(t, []string{"node n2 has finished what it had"}, s.eventsOf(EventNodeDrained))
}

// A start that is not wanted any more is broken off.
func TestDrainOfANodeThatStarts(t *testing.T) {
	s := serving(t, 1, 5, "a")
	s.pod.SetWant(2)
	s.turn()
	s.pass(time.Second)
	s.pod.SetWant(1)
	p := s.turn()
	assert.Equal(t, []Cancel{{Of: NodeKey("n2")}}, actions[Cancel](p.After))
	s.pass(5 * time.Second)
	assert.Len(t, s.pod.Nodes, 1)
	assert.Len(t, s.hosts["a"].nodes, 1)
	require.Len(t, actions[Stop](s.began), 1, "something of it may be there")
	assert.False(t, actions[Stop](s.began)[0].Orphan)
}

// A node that drains and ends on its own leaves the balancer a moment later, so
// that what it had is tried elsewhere.
func TestNodeThatEndsWhileItDrains(t *testing.T) {
	s := serving(t, 2, 5, "a")
	s.inFlight("web", "n1", 9)
	s.inFlight("web", "n2", 4)
	s.pod.SetWant(1)
	s.turn()
	s.pass(time.Second)
	s.exit("n2", 0)
	s.turn()
	s.pass(900 * time.Millisecond)
	assert.Len(t, s.fronts["web"].Servers, 2, "it lingers")
	s.pass(time.Second)
	assert.Len(t, s.fronts["web"].Servers, 1)
	assert.Nil(t, s.pod.Node("n2"))
}

// A node that ended stays behind its fronts for a second, gets nothing new, and is
// out at once where it has nothing.
func TestNodesThatEndedLinger(t *testing.T) {
	for name, busy := range map[string]bool{"with requests": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 2, 5, "a")
			if busy {
				s.inFlight("web", "n2", 1)
			}
			s.exit("n2", 1)
			p := s.turn()
			assert.Equal(t, pod.StateFailed, s.pod.Node("n2").State)
			assert.Equal(t, "exit code 1", s.pod.Node("n2").Reason)
			assert.Equal(t, []string{"node n2 failed: exit code 1"}, s.eventsOf(EventNodeFailed))
			require.Len(t, actions[Apply](p.Before), 1, "at once, before anything is saved")
			assert.Equal(t, s.now.Add(time.Second), p.Wake)
			s.pass(50 * time.Millisecond)
			assert.Equal(t, []string{"n1"}, s.servers("web"))
			if !busy {
				s.pass(200 * time.Millisecond)
				assert.Len(t, s.fronts["web"].Servers, 1)
				return
			}
			s.pass(800 * time.Millisecond)
			assert.Len(t, s.fronts["web"].Servers, 2)
			assert.Equal(t, 1, s.plan.Look.Waiting)
			s.pass(200 * time.Millisecond)
			assert.Len(t, s.fronts["web"].Servers, 1)
			assert.Zero(t, s.plan.Look.Waiting)
		})
	}
}

// A stop that fails is tried again, ever more seldom, and is a problem until then.
func TestStopThatFails(t *testing.T) {
	s := serving(t, 2, 5, "a")
	s.do = fails[Stop](Fault{FaultOther, "device busy"})
	s.pod.SetWant(1)
	s.turn()
	s.pass(2 * time.Minute)
	tries := len(actions[Stop](s.began))
	assert.Greater(t, tries, 6)
	assert.Less(t, tries, 14)
	assert.Equal(t, pod.StateDraining, s.pod.Node("n2").State)
	require.Equal(t, []Code{ProblemStop}, codes(s.plan))
	assert.Contains(t, s.sentences()[0], "node n2 cannot be stopped and removed yet: device busy; the next try is in ")
	failures := s.mem.Nodes["n2"].Stop.Try.Failures
	s.results = append(s.results, Result{Key: NodeKey("n2"), Kind: StopEnded, Node: "n2", Host: "a", Fault: Fault{FaultCanceled, "it was given up"}})
	s.turn()
	assert.Equal(t, failures, s.mem.Nodes["n2"].Stop.Try.Failures, "what was given up did not fail")
	s.do = nil
	s.pass(time.Minute)
	assert.Nil(t, s.pod.Node("n2"))
	assert.Empty(t, s.plan.Problems)
}

// A host that does not answer is not asked to stop anything; when it is back it is,
// at once.
func TestStopOnAHostThatIsAway(t *testing.T) {
	s := serving(t, 4, 5, "a", "b")
	gone := s.pod.Nodes[3]
	require.Equal(t, "b", gone.Host)
	s.do = fails[Stop](Fault{FaultOther, "device busy"})
	s.pod.SetWant(3)
	s.turn()
	s.pass(10 * time.Second)
	require.Equal(t, pod.StateDraining, s.pod.Nodes[3].State)
	s.away("b", true)
	s.do, s.began = nil, nil
	s.turn()
	s.pass(20 * time.Second)
	assert.Empty(t, actions[Stop](s.began))
	assert.Contains(t, s.sentences()[0], "node "+gone.Name+" cannot be stopped and removed yet: the host does not answer")
	s.away("b", false)
	s.turn()
	s.pass(100 * time.Millisecond)
	assert.Nil(t, s.pod.Node(gone.Name))
}

// What is on a host that is being removed and does not answer is left there after a
// minute, and what is on one that is removed is gone.
func TestStopOnAHostThatIsRemoved(t *testing.T) {
	s := serving(t, 4, 5, "a", "b")
	gone := s.pod.Nodes[3].Name
	require.Equal(t, "b", s.pod.Nodes[3].Host)
	s.hosts["b"].draining = true
	s.away("b", true)
	since := s.now
	s.pod.SetWant(3)
	s.turn()
	s.pass(since.Add(time.Minute).Sub(s.now) - 10*time.Millisecond)
	assert.NotNil(t, s.pod.Node(gone))
	s.pass(20 * time.Millisecond)
	assert.Nil(t, s.pod.Node(gone))
	assert.Contains(t, s.eventsOf(EventProblem), "node "+gone+" was left on host b, which is being removed and does not answer; it may still run there")
	assert.Empty(t, actions[Stop](s.began))

	s = serving(t, 2, 5, "a", "b")
	s.pod.SetWant(1)
	s.turn()
	for i := range s.pod.Nodes {
		if n := &s.pod.Nodes[i]; n.State == pod.StateDraining {
			delete(s.hosts, n.Host)
		}
	}
	s.pass(time.Second)
	assert.Len(t, s.pod.Nodes, 1)
	assert.Empty(t, actions[Stop](s.began))
}

// A new manager does not know how much of a drain has passed: it begins anew; one
// that was cut before is not told again.
func TestDrainIsAdopted(t *testing.T) {
	s := newSim(t, 5, "a")
	s.add(2, 1, "a")
	s.pod.SetWant(1)
	s.set("n2", func(n *state.Node) {
		n.Drain(s.now.Add(-time.Hour), "scaled in")
		n.Cut = 3
	})
	s.mem = Memory{}
	s.turn()
	assert.Equal(t, s.now.Add(s.pod.Spec.Drain), s.pod.Node("n2").DrainBy)
	s.pass(time.Second)
	assert.Nil(t, s.pod.Node("n2"))
	assert.Empty(t, s.eventsOf(EventNodeDrained))
}

// Of failed nodes the last five are kept for people to read, once nothing is left
// of them on their hosts; with the pod all of them go.
func TestFailedNodesAreKeptForAWhile(t *testing.T) {
	s := serving(t, 1, 9, "a")
	for i := range 8 {
		s.mem.Vacant = nil
		s.exit(s.pod.Nodes[len(s.pod.Nodes)-1].Name, i)
		s.turn()
		s.pass(40 * time.Second)
	}
	assert.Equal(t, 5, s.pod.Count(pod.StateFailed))
	assert.Equal(t, "exit code 3", s.pod.Nodes[0].Reason)
	assert.Len(t, s.hosts["a"].nodes, 1, "nothing is left of them")
	s.pod.Register("new", s.now)
	s.command(Command{Kind: CommandDelete})
	s.turn()
	s.pass(time.Minute)
	assert.True(t, s.gone)
	assert.Empty(t, s.pod.Nodes)
}

// Nodes of this pod on hosts that no record knows are stopped, and what cannot be
// is a problem; those of the record are left alone.
func TestOrphansAreStopped(t *testing.T) {
	s := serving(t, 2, 9, "a", "b")
	s.hosts["b"].start("n77", s.now)
	p := s.turn()
	assert.Equal(t, []Stop{{Node: "n77", Host: "b", Grace: 10 * time.Second, Orphan: true}}, actions[Stop](p.After))
	s.pass(time.Second)
	assert.NotContains(t, s.hosts["b"].nodes, "n77")
	assert.Empty(t, s.mem.Orphans)

	s.do = fails[Stop](Fault{FaultOther, "device busy"})
	s.hosts["b"].start("n78", s.now)
	s.turn()
	s.pass(time.Minute)
	require.Equal(t, []Code{ProblemOrphan}, codes(s.plan))
	assert.Contains(t, s.sentences()[0], "node n78 runs on host b and should not, but cannot be stopped: device busy; the next try is in ")
	tries := len(actions[Stop](s.began))
	assert.Less(t, tries, 14)
	s.away("b", true)
	s.turn()
	s.pass(time.Minute)
	assert.Contains(t, codes(s.plan), ProblemOrphan, "it is still there")
	delete(s.hosts["b"].nodes, "n78")
	s.turn()
	assert.NotEmpty(t, s.mem.Orphans, "nobody can tell")
	s.away("b", false)
	s.turn()
	assert.Empty(t, s.mem.Orphans, "it went by itself")
	s.mem.Orphans = map[string]Orphan{"orphan/x/n9": {Host: "x", Node: "n9"}}
	s.turn()
	assert.Empty(t, s.mem.Orphans, "with its host")
	s.do = nil

	// One that was stopped is no orphan any more, whatever was seen before.
	s.began = nil
	s.hosts["b"].start("n78", s.now)
	s.turn()
	s.pass(8 * time.Millisecond)
	s.now = s.now.Add(5 * time.Millisecond)
	s.finish()
	s.turn()
	assert.Empty(t, s.mem.Orphans)
	assert.Equal(t, s.now, s.mem.Forgotten)

	// A deleted pod is over when its orphans are.
	s.do = fails[Stop](Fault{FaultOther, "device busy"})
	s.hosts["b"].start("n79", s.now)
	s.command(Command{Kind: CommandDelete})
	s.turn()
	s.pass(time.Minute)
	assert.False(t, s.gone)
	s.do = nil
	s.pass(2 * time.Minute)
	assert.True(t, s.gone)
	assert.Empty(t, s.hosts["b"].nodes)
}

// What hosts showed before the last node was forgotten, or the last orphan stopped,
// proves nothing.
func TestOldViewsShowNoOrphans(t *testing.T) {
	s := serving(t, 1, 9, "a", "b")
	s.hosts["b"].start("n77", s.now)
	s.now = s.now.Add(time.Second)
	stops := func(change func(w *World)) int {
		w := s.world()
		change(&w)
		return len(actions[Stop](Reconcile(w).After))
	}
	change := func(f func(h *Host)) func(*World) {
		return func(w *World) { h := w.Hosts["b"]; f(&h); w.Hosts["b"] = h }
	}
	assert.Equal(t, 1, stops(func(*World) {}))
	assert.Zero(t, stops(func(w *World) { w.Memory.Forgotten = w.Hosts["b"].Begun }))
	assert.Equal(t, 1, stops(func(w *World) { w.Memory.Forgotten = w.Hosts["b"].Begun.Add(-1) }))
	assert.Zero(t, stops(change(func(h *Host) { h.Fault = Fault{FaultUnreachable, "away"} })))
	assert.Zero(t, stops(change(func(h *Host) { h.Known = false })))
	assert.Zero(t, stops(func(w *World) { w.Running[orphanKey("b", "n77")] = w.Now }))
	assert.Equal(t, Key("orphan/b/n77"), orphanKey("b", "n77"))
	assert.Zero(t, stops(func(w *World) {
		w.Memory.Orphans = map[string]Orphan{"orphan/b/n77": {Host: "b", Node: "n77", Try: Retry{Next: w.Now.Add(1)}}}
	}))
}

// Whether something of a node of the record may be on a host.
func TestUnwantedNodes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *sim)
		want   []string
	}{
		"it is there":               {func(*sim) {}, nil},
		"it is new":                 {func(s *sim) { s.set("n1", func(n *state.Node) { n.State = pod.StateNew }) }, []string{"n1 on a"}},
		"it failed, not cleaned up": {func(s *sim) { s.set("n1", func(n *state.Node) { n.State = pod.StateFailed }) }, nil},
		"it failed, and came back": {func(s *sim) {
			s.set("n1", func(n *state.Node) { n.State = pod.StateFailed })
			s.mem.Nodes["n1"].Stop.Done = true
		}, []string{"n1 on a"}},
		"it failed, seen before": {func(s *sim) {
			s.set("n1", func(n *state.Node) { n.State = pod.StateFailed })
			s.mem.Nodes["n1"].Stop.Done, s.mem.Nodes["n1"].Settled = true, s.now.Add(time.Millisecond)
		}, nil},
		"another one of its name":       {func(s *sim) { s.hosts["b"].start("n1", s.now); s.set("n1", func(n *state.Node) { n.Handle = "x" }) }, []string{"n1 on b"}},
		"one machine goes by two names": {func(s *sim) { s.hosts["b"].start("n1", s.now) }, nil},
		"it is busy": {func(s *sim) {
			s.set("n1", func(n *state.Node) { n.State = pod.StateNew })
			s.running[NodeKey("n1")] = &simRun{}
		}, nil},
		"nobody knows it":                 {func(s *sim) { s.hosts["a"].start("n9", s.now) }, []string{"n9 on a"}},
		"nobody knows it, instead of one": {func(s *sim) { s.hosts["a"].start("n9", s.now); delete(s.hosts["a"].nodes, "n1") }, []string{"n9 on a"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 9, "a", "b")
			s.add(1, 1, "a")
			s.pod.SetWant(1)
			c.change(s)
			turn := s.begun()
			turn.stopOrphans()
			var got []string
			for _, stop := range actions[Stop](turn.plan.After) {
				got = append(got, stop.Node+" on "+stop.Host)
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// Hung nodes are drained as long as at least half of the wanted number answers; the
// others are replaced, the new one first.
func TestHungNodesAreReplaced(t *testing.T) {
	for _, c := range []struct {
		hung    []string
		drained int // at once
	}{
		{[]string{"n1"}, 1},
		{[]string{"n1", "n2"}, 2},
		{[]string{"n1", "n2", "n3"}, 0},
		{[]string{"n1", "n2", "n3", "n4"}, 0},
	} {
		s := serving(t, 4, 9, "a")
		for _, name := range c.hung {
			s.probes[name] = Probed{Failures: 3, Text: "connection refused"}
		}
		s.turn()
		assert.Equal(t, c.drained, s.pod.Count(pod.StateDraining), "%v", c.hung)
		assert.Len(t, s.eventsOf(EventNodeHung), len(c.hung))
		s.pass(time.Minute)
		assert.Len(t, s.eventsOf(EventNodeHung), len(c.hung), "once")
		assert.Len(t, s.servers("web"), 4)
		assert.Equal(t, 4, s.online())
		for _, name := range c.hung {
			assert.Nil(t, s.pod.Node(name))
		}
	}
	s := serving(t, 1, 9, "a")
	s.probes["n1"] = Probed{Failures: 3, Text: "connection refused"}
	s.turn()
	clear(s.probes)
	s.turn()
	s.probes["n1"] = Probed{Failures: 3, Text: "connection refused"}
	s.turn()
	assert.Len(t, s.eventsOf(EventNodeHung), 2, "again, once it had answered")
	// On a full host one after the other gives way, as nobody answers.
	s = serving(t, 2, 2, "a")
	for _, name := range []string{"n1", "n2"} {
		s.probes[name] = Probed{Failures: 3, Text: "connection refused"}
	}
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, []string{"n3", "n4"}, s.servers("web"))
	// What hangs on hosts that answer is judged without those that are lost.
	s = serving(t, 4, 9, "a", "b")
	s.away("a", true)
	s.turn()
	s.pass(31 * time.Second)
	s.turn()
	s.pass(10 * time.Second)
	for i := range s.pod.Nodes {
		if n := &s.pod.Nodes[i]; n.Host == "b" {
			s.probes[n.Name] = Probed{Failures: 3, Text: "connection refused"}
		}
	}
	require.Len(t, s.probes, 4)
	s.turn()
	assert.Zero(t, s.pod.Count(pod.StateDraining))
}

// A drain that is adopted has its whole time again.
func TestDrainIsAdoptedWithRequests(t *testing.T) {
	s := serving(t, 2, 5, "a")
	s.inFlight("web", "n1", 9)
	s.inFlight("web", "n2", 1)
	s.pod.SetWant(1)
	s.turn()
	s.pass(20 * time.Second)
	s.mem = Memory{}
	s.turn()
	assert.Equal(t, s.now.Add(30*time.Second), s.pod.Node("n2").DrainBy)
	s.pass(29 * time.Second)
	assert.NotNil(t, s.pod.Node("n2"))
	assert.Empty(t, s.eventsOf(EventNodeCut))
	s.pass(2 * time.Second)
	assert.Nil(t, s.pod.Node("n2"))
	assert.Len(t, s.eventsOf(EventNodeCut), 1)
}

// Of the requests of a node that is cut those count that it has over fronts that
// stay; those over one that leaves are counted with that.
func TestRequestsAreCutOnce(t *testing.T) {
	s := newSim(t, 5, "a")
	s.pod = state.NewPod(*s.changed(frontAt("web", "127.0.0.1:1"), frontAt("old", "127.0.0.1:2")), s.now)
	s.pod.Spec.Drain = 15 * time.Second
	s.pod.SetWant(2)
	s.pass(time.Minute)
	for name, n := range map[string]int{"web": 2, "old": 3} {
		s.inFlight(name, "n1", 99)
		s.inFlight(name, "n2", n)
	}
	s.fronts["old"].InFlight = 3
	s.fronts["old"].Servers[0].InFlight = 0
	s.pod.SetWant(1)
	spec := s.changed(frontAt("web", "127.0.0.1:1"))
	spec.Drain = 15 * time.Second
	s.command(Command{Kind: CommandUpdate, Spec: spec})
	s.turn()
	require.Equal(t, pod.StateDraining, s.pod.Node("n2").State)
	s.pass(time.Minute)
	assert.EqualValues(t, 5, s.pod.Cut)
	assert.ElementsMatch(t, []string{
		"node n2 still had 2 requests and connections in flight at its drain deadline of 15s; they were cut",
		"front old, which was removed, still had 3 requests and connections in flight at its drain deadline of 15s; they were cut",
	}, s.eventsOf(EventNodeCut))
}

// A node that hangs young leaves a place that waits, as one that dies does.
func TestNodesThatHangYoungAreStartedEverMoreSeldom(t *testing.T) {
	s := serving(t, 3, 9, "a")
	s.boot = 100 * time.Millisecond
	s.pod.SetWant(4)
	ups := 0
	s.turn()
	for range 3000 {
		s.pass(200 * time.Millisecond)
		if n := &s.pod.Nodes[len(s.pod.Nodes)-1]; len(s.pod.Nodes) > 3 && n.State == pod.StateOnline {
			ups++
			require.Less(t, ups, 100)
			s.probes[n.Name] = Probed{Failures: 3, Text: "connection refused"}
			s.turn()
		}
	}
	assert.Greater(t, ups, 9)
	assert.Less(t, ups, 40)
}

// So does the only one of a pod, for which another is started before it goes.
func TestOnlyNodeThatHangsYoungIsStartedEverMoreSeldom(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.boot = 100 * time.Millisecond
	ups, last := 0, ""
	for range 3000 {
		s.pass(200 * time.Millisecond)
		if n := &s.pod.Nodes[len(s.pod.Nodes)-1]; n.Name != last && n.State == pod.StateOnline {
			ups++
			require.Less(t, ups, 100)
			last = n.Name
			s.probes[n.Name] = Probed{Failures: 3, Text: "connection refused"}
			s.turn()
		}
	}
	assert.Greater(t, ups, 9)
	assert.Less(t, ups, 40)
}

// When a stop may be given up, or tried at once.
func TestEndOfANode(t *testing.T) {
	away := Fault{FaultUnreachable, "no answer"}
	for name, c := range map[string]struct {
		host     func(h *simHost, now time.Time)
		stop     StopMemory
		cause    string
		asked    bool
		want     StopMemory
		problems int
	}{
		"it is stopped":             {func(*simHost, time.Time) {}, StopMemory{}, "", true, StopMemory{}, 0},
		"it was":                    {func(*simHost, time.Time) {}, StopMemory{Done: true}, "", false, StopMemory{Done: true}, 0},
		"it waits":                  {func(*simHost, time.Time) {}, StopMemory{Try: Retry{Failures: 1, Next: simEpoch.Add(time.Hour)}}, "", false, StopMemory{Try: Retry{Failures: 1, Next: simEpoch.Add(time.Hour)}}, 0},
		"its host is back":          {func(*simHost, time.Time) {}, StopMemory{Away: true, Try: Retry{Failures: 1, Next: simEpoch.Add(time.Hour)}}, "", true, StopMemory{}, 0},
		"its host is away":          {func(h *simHost, now time.Time) { h.fault, h.since = away, now.Add(-time.Hour) }, StopMemory{}, "", false, StopMemory{Away: true, Try: Retry{Fault: away}}, 0},
		"its host is being removed": {func(h *simHost, now time.Time) { h.draining, h.since = true, now.Add(-time.Hour) }, StopMemory{}, "", true, StopMemory{}, 0},
		"and is away for a minute":  {func(h *simHost, now time.Time) { h.fault, h.draining, h.since = away, true, now.Add(-time.Minute) }, StopMemory{}, "", false, StopMemory{Done: true}, 1},
		"and for less":              {func(h *simHost, now time.Time) { h.fault, h.draining, h.since = away, true, now.Add(1-time.Minute) }, StopMemory{}, "", false, StopMemory{Away: true, Try: Retry{Fault: away}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 9, "a")
			s.add(1, 1, "a")
			s.now = s.now.Add(time.Millisecond)
			c.host(s.hosts["a"], s.now)
			turn := begin(s.world())
			adopt(turn)
			m := turn.mem.Nodes["n1"]
			m.Stop = c.stop
			turn.cause = "turn"
			turn.endNode(turn.pod.Node("n1"), "scaled in")
			assert.Equal(t, c.want, m.Stop)
			assert.Len(t, turn.plan.Events, c.problems)
			require.Equal(t, c.asked, len(turn.plan.After) == 1)
			if !c.asked {
				return
			}
			assert.Equal(t, "turn", turn.plan.After[0].(Stop).Cause)
			m.Drain.Cause = "drain"
			turn.endNode(turn.pod.Node("n1"), "scaled in")
			assert.Equal(t, "drain", turn.plan.After[1].(Stop).Cause)
		})
	}
}

// An orphan is found on the only host, too.
func TestOrphanOnTheOnlyHost(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.hosts["a"].start("n77", s.now)
	assert.Len(t, actions[Stop](s.turn().After), 1)
}

// A node that leaves, and whose host is lost, is a problem; the pod is as it should
// be all the same.
func TestDrainOnAHostThatIsLost(t *testing.T) {
	s := serving(t, 2, 9, "a", "b")
	s.do = fails[Stop](Fault{FaultOther, "device busy"})
	s.pod.SetWant(1)
	s.turn()
	s.pass(time.Second)
	for i := range s.pod.Nodes {
		if n := &s.pod.Nodes[i]; n.State == pod.StateDraining {
			s.away(n.Host, true)
		}
	}
	s.pass(time.Minute)
	s.turn()
	require.Equal(t, 1, s.pod.Count(pod.StateDraining))
	assert.Len(t, s.fronts["web"].Servers, 1)
	assert.Equal(t, []Code{ProblemLost, ProblemStop}, codes(s.plan))
	assert.True(t, s.plan.Status.Converged)
}
