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

// A node is recorded, then started with all that it needs, and online once it is
// ready; how long that took is remembered.
func TestLifeOfAStart(t *testing.T) {
	s := newSim(t, 3, "a")
	s.hosts["a"].digests["shop"] = "sha256:7"
	s.pod.SetWant(1)
	p := s.turn()
	assert.Equal(t, []Resolve{{Node: "n1", Host: "a", Revision: 1, Workload: s.pod.Spec.Workload}}, actions[Resolve](p.After))
	assert.Empty(t, actions[Start](p.After))
	assert.True(t, s.mem.Nodes["n1"].Start.Resolving)
	ordered := s.now
	s.pass(time.Second)
	require.Len(t, actions[Start](s.began), 1)
	start := actions[Start](s.began)[0]
	settings, err := s.pod.SettingsOf(1, []string{"a"})
	require.NoError(t, err)
	assert.Equal(t, Start{Node: "n1", Host: "a", Revision: 1, Spec: s.pod.Spec.Spec, Digest: "sha256:7", Settings: settings, Ordered: ordered}, start)
	assert.False(t, s.mem.Nodes["n1"].Start.Resolving)
	assert.Equal(t, pod.StateStarting, s.pod.Nodes[0].State)
	s.pass(5 * time.Second)
	n := s.pod.Nodes[0]
	assert.Equal(t, pod.StateOnline, n.State)
	assert.Equal(t, "c-n1", n.Handle)
	assert.Equal(t, map[string]string{"http": "10.0.0.1:8080"}, n.Endpoints)
	assert.Equal(t, []time.Duration{n.ReadyAt.Sub(ordered)}, s.pod.Boots)
	assert.Equal(t, n.ReadyAt, s.mem.Nodes["n1"].Ready)
	assert.Equal(t, StartMemory{}, s.mem.Nodes["n1"].Start)
	assert.Empty(t, s.mem.Digests)
	assert.Equal(t, []string{"node n1 starts on host a"}, s.eventsOf(EventNodeStarting))
	assert.Equal(t, []string{fmt.Sprintf("node n1 is online after %s", s.pod.Boots[0])}, s.eventsOf(EventNodeOnline))
	assert.Equal(t, 3, s.saves, "ordered, resolved, online; and none for what nobody changed")
}

// What a process runs has no image: nobody is asked.
func TestStartWithoutAnImage(t *testing.T) {
	s := newSim(t, 3, "a")
	spec := s.pod.Spec.Clone()
	spec.Workload.Image, spec.Workload.Command = "", []string{"/shop"}
	s.pod = state.NewPod(spec, s.now)
	s.pod.SetWant(2)
	p := s.turn()
	assert.Empty(t, actions[Resolve](p.After))
	assert.Len(t, actions[Start](p.After), 2)
	assert.Empty(t, actions[Start](p.After)[0].Digest)
}

// A start that fails makes its host be tried ever more seldom, one node at a time;
// others take what they can, and what failed is told until all have started.
func TestHostOnWhichStartsFail(t *testing.T) {
	s := serving(t, 2, 10, "a", "b")
	fails := true
	s.do = func(a Action, r *Result) time.Duration {
		if start, ok := a.(Start); ok && start.Host == "a" && fails {
			r.Fault = Fault{FaultOther, "disk on fire"}
		}
		return 0
	}
	s.hosts["b"].refused = "cordoned"
	s.pod.SetWant(6)
	s.turn()
	s.pass(3500 * time.Millisecond)
	assert.Equal(t, 4, s.pod.Count(pod.StateFailed))
	assert.Equal(t, "disk on fire", s.pod.Nodes[len(s.pod.Nodes)-2].Reason)
	assert.Equal(t, 1, s.mem.Starts["a"].Failures, "those that began together count as one")
	assert.Equal(t, 1, s.pod.Count(pod.StateStarting), "one is tried")
	require.Equal(t, []Code{ProblemStart}, codes(s.plan))
	assert.Contains(t, s.sentences()[0], "could not be started on host a: disk on fire; it is tried again now")
	s.pass(2 * time.Minute)
	tries := len(actions[Start](s.began))
	assert.Greater(t, tries, 8)
	assert.Less(t, tries, 16)
	s.hosts["b"].refused = ""
	s.turn()
	s.pass(5 * time.Second)
	assert.Equal(t, 6, s.online(), "b has room")
	assert.Empty(t, s.plan.Problems, "all are there")
	assert.NotZero(t, s.mem.Starts["a"].Failures)
	s.hosts["b"].refused = "cordoned"
	fails = false
	s.pod.SetWant(8)
	s.turn()
	s.pass(65 * time.Second)
	assert.Equal(t, 8, s.online())
	assert.Empty(t, s.mem.Starts)
}

// A host that works again is told of until all nodes have started.
func TestStartThatWorksAgain(t *testing.T) {
	s := newSim(t, 3, "a", "b")
	turn := s.begun()
	turn.startFailed("a", "n1", Fault{FaultOther, "x"})
	turn.startWorked("a")
	assert.Equal(t, map[string]Retry{"a": {Node: "n1", Fault: Fault{FaultOther, "x"}}}, turn.mem.Starts)
	turn.startWorked("b")
	assert.Len(t, turn.mem.Starts, 1)
	turn.startFailed("b", "n2", Fault{FaultOther, "y"})
	turn.forgetFaults(true)
	assert.NotContains(t, turn.mem.Starts, "a")
	assert.Contains(t, turn.mem.Starts, "b")
	turn.mem.Vacant, turn.mem.Room = []Vacancy{{}}, NoRoom{Why: "x"}
	turn.forgiveStarts()
	assert.Empty(t, turn.mem.Starts)
	assert.Empty(t, turn.mem.Vacant)
	assert.Equal(t, NoRoom{}, turn.mem.Room)
}

// Where there is no room a start is tried again with the next tick.
func TestNoRoomIsTriedAgainWithTheNextTick(t *testing.T) {
	s := newSim(t, 1, "a")
	s.pod.SetWant(2)
	s.turn()
	assert.Equal(t, []string{"cannot start a node: no room: host a 0 of 1 CPUs free"}, s.sentences())
	assert.Equal(t, s.now.Add(time.Second), s.mem.Room.Until)
	s.hosts["a"].capacity.CPU, s.hosts["a"].capacity.Memory = 2, 2<<30
	s.pass(900 * time.Millisecond)
	assert.Equal(t, 1, s.pod.Count(pod.StateStarting))
	s.pass(200 * time.Millisecond)
	assert.Equal(t, 2, s.pod.Count(pod.StateStarting))
	assert.Empty(t, s.sentences())
	s.pod.SetWant(3)
	s.turn()
	assert.NotEmpty(t, s.sentences())
	s.pod.SetWant(2)
	s.turn()
	assert.Empty(t, s.sentences(), "nothing is to be started")
}

// A start on a host that does not answer is given up where another one has room, and
// else when the host is lost; it was given up because of the host.
func TestStartsOnAHostThatIsAwayAreGivenUp(t *testing.T) {
	for name, elsewhere := range map[string]bool{"another host has room": true, "none has": false} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 1, 10, "a", "b")
			s.hosts["b"].refused = "cordoned"
			s.boot = time.Hour
			s.pod.SetWant(2)
			s.turn()
			s.pass(time.Second)
			if elsewhere {
				s.hosts["b"].refused = ""
			}
			s.away("a", true)
			s.boot = 3 * time.Second
			p := s.turn()
			if !elsewhere {
				assert.Empty(t, actions[Cancel](p.Before))
				s.pass(29 * time.Second)
				s.turn()
				assert.Empty(t, actions[Cancel](s.plan.Before))
				s.pass(time.Second)
				p = s.turn()
			}
			require.Equal(t, []Cancel{{Of: NodeKey("n2")}}, actions[Cancel](p.Before))
			s.hosts["b"].refused = ""
			s.pass(time.Second)
			assert.Equal(t, "given up: the host does not answer", s.pod.Node("n2").Reason)
			s.turn()
			s.pass(5 * time.Second)
			assert.Equal(t, "b", s.pod.Nodes[len(s.pod.Nodes)-1].Host)
		})
	}
}

// What waits for a slot behind an overdue start on the same host goes elsewhere, and
// the overdue one gives its slot up.
func TestOverdueStartsHoldNobodyUp(t *testing.T) {
	s := serving(t, 1, 10, "a", "b")
	overdue, waits, other := s.launch(1, "a", time.Hour), s.launch(1, "a", 0), s.launch(1, "b", 0)
	s.running[NodeKey(waits)].since, s.running[NodeKey(other)].since = time.Time{}, time.Time{}
	p := s.turn()
	assert.Equal(t, []Action{Cancel{Of: NodeKey(waits)}, Release{Of: NodeKey(overdue)}}, p.Before, "in this order: who waits gets no slot")
}

// So does what waits there until the image is known, and others are asked for that.
func TestOverdueResolveHoldsNobodyUp(t *testing.T) {
	s := newSim(t, 4, "a", "b")
	s.hosts["b"].taken.CPU = 3
	s.pod.SetWant(3)
	s.do = func(a Action, _ *Result) time.Duration {
		if r, ok := a.(Resolve); ok && r.Host == "a" {
			return time.Hour
		}
		return 0
	}
	s.turn()
	require.Equal(t, 3, s.pod.Count(pod.StateStarting))
	s.hosts["b"].taken.CPU = 0
	s.pass(s.pod.Spec.Workload.Probe.StartDeadline + time.Minute - time.Second)
	woken := false
	s.check = func(_ state.Pod, p Plan) {
		for _, m := range p.Memory.Nodes {
			woken = woken || m.Start.Failed.Code == FaultCanceled && !p.Wake.After(s.now)
		}
	}
	s.pass(2 * time.Second)
	s.turn()
	s.pass(10 * time.Second)
	assert.True(t, woken, "they are given up at once")
	assert.Equal(t, 3, s.online())
	for _, a := range actions[Start](s.began) {
		assert.Equal(t, "b", a.Host)
	}
}

// A node is not started where one of its name is being stopped.
func TestNoStartBesideTheStopOfAnOrphan(t *testing.T) {
	s := serving(t, 1, 9, "a")
	late := s.launch(1, "a", time.Second)
	delete(s.running, NodeKey(late))
	s.running[orphanKey("a", late)] = &simRun{action: Stop{Node: late, Host: "a", Orphan: true}, due: s.now.Add(time.Minute)}
	s.pod.SetWant(2)
	assert.Empty(t, actions[Start](s.turn().After))
	delete(s.running, orphanKey("a", late))
	assert.Len(t, actions[Start](s.turn().After), 1)
}

// A start that ended while nothing could be saved is recorded later, and is not done
// again meanwhile.
func TestStartsThatCannotBeRecordedYet(t *testing.T) {
	for name, fault := range map[string]Fault{"it came up": {}, "it failed": {FaultExited, "exit code 1"}} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 1, 10, "a")
			s.do = func(a Action, r *Result) time.Duration {
				if _, ok := a.(Start); ok {
					r.Fault = fault
				}
				return 0
			}
			s.pod.SetWant(2)
			s.turn()
			s.pass(time.Second)
			s.store = Fault{FaultStoreFull, "no space"}
			s.pass(time.Minute)
			assert.Equal(t, pod.StateStarting, s.pod.Node("n2").State)
			assert.Len(t, actions[Start](s.began), 1)
			s.do = nil
			s.store = Fault{}
			s.turn()
			s.pass(time.Minute)
			assert.Equal(t, 2, s.online())
			if fault.OK() {
				assert.Equal(t, pod.StateOnline, s.pod.Node("n2").State)
			} else {
				assert.Equal(t, "exit code 1", s.pod.Node("n2").Reason)
			}
		})
	}
}

// A digest that was resolved while nothing could be saved is kept until it can.
func TestDigestThatCannotBeRecordedYet(t *testing.T) {
	s := newSim(t, 9, "a")
	s.hosts["a"].digests["shop"] = "sha256:7"
	s.pod.SetWant(2)
	s.turn()
	s.store = Fault{FaultStoreFull, "no space"}
	s.pass(time.Minute)
	assert.Len(t, actions[Resolve](s.began), 1)
	assert.Empty(t, actions[Start](s.began))
	s.store = Fault{}
	s.turn()
	assert.Equal(t, "sha256:7", s.pod.Revisions[0].Digest)
	assert.Len(t, actions[Start](s.began), 2)
}

// A node that drains while its image is resolved does not decide for others.
func TestNodeThatLeavesWhileItResolves(t *testing.T) {
	s := newSim(t, 9, "a", "b")
	s.hosts["a"].digests["shop"], s.hosts["b"].digests["shop"] = "sha256:a", "sha256:b"
	s.pod.SetWant(2)
	s.do = func(a Action, _ *Result) time.Duration {
		if _, ok := a.(Resolve); ok {
			return time.Minute
		}
		return 0
	}
	s.turn()
	assert.True(t, s.mem.Nodes["n1"].Start.Resolving)
	s.set("n1", func(n *state.Node) { n.Drain(s.now, "") })
	s.do = nil
	s.turn()
	s.pass(2 * time.Minute)
	assert.Len(t, actions[Resolve](s.began), 2)
	assert.Equal(t, 2, s.online())
}

// Settings that are too long are a problem, and nodes are started without them.
func TestSettingsThatAreTooLong(t *testing.T) {
	s := newSim(t, 9, "a")
	spec := s.pod.Spec.Clone()
	spec.Workload.Env = map[string]string{}
	for i := range 3000 {
		spec.Workload.Env[fmt.Sprintf("A_VARIABLE_WITH_A_LONG_NAME_%d", i)] = "x"
	}
	s.pod = state.NewPod(spec, s.now)
	s.pod.SetWant(1)
	s.turn()
	s.pass(10 * time.Second)
	assert.Equal(t, 1, s.online())
	assert.Empty(t, actions[Start](s.began)[0].Settings)
	require.Equal(t, []Code{ProblemSettings}, codes(s.plan))
	defer func() {
		spec.Workload.Env = nil
		s.pod.Revise(spec, "", s.now)
		s.turn()
		s.pass(time.Minute)
		assert.Empty(t, s.plan.Problems, "until they are short enough")
	}()
	assert.Contains(t, s.sentences()[0], "keep backups; they have ")
}

// When the manager ends only what has happened is recorded; a start that was broken
// off is the next manager's.
func TestEnding(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.launch(1, "a", time.Second)
	s.launch(1, "a", time.Second)
	s.launch(1, "a", time.Second)
	made := s.hosts["a"].start("n3", s.now)
	s.set("n2", func(n *state.Node) { n.Drain(s.now, "") })
	s.pod.SetWant(9)
	s.now = s.now.Add(time.Second)
	w := s.world()
	w.Mode = Ending
	w.Running = nil
	w.Results = []Result{
		{Key: NodeKey("n3"), Kind: StartEnded, Node: "n3", Host: "a", Made: &made},
		{Key: NodeKey("n4"), Kind: StartEnded, Node: "n4", Host: "a", Fault: Fault{FaultCanceled, "given up"}},
		{Key: NodeKey("n5"), Kind: StartEnded, Node: "n5", Host: "a", Fault: Fault{FaultExited, "exit code 1"}},
		{Key: NodeKey("n2"), Kind: StopEnded, Node: "n2", Host: "a"},
	}
	p := Reconcile(w)
	assert.True(t, p.Changed)
	assert.Empty(t, p.Before)
	assert.Empty(t, p.After)
	states := map[string]pod.State{}
	for _, n := range p.Pod.Nodes {
		states[n.Name] = n.State
	}
	assert.Equal(t, map[string]pod.State{"n1": pod.StateOnline, "n3": pod.StateOnline, "n4": pod.StateStarting, "n5": pod.StateFailed}, states)
}

// The next manager goes on with what the record says.
func TestAdoption(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.boot = time.Minute
	s.pod.SetWant(3)
	s.turn()
	s.pass(time.Second)
	s.mem, s.running, s.plan.Holds, s.began = Memory{}, map[Key]*simRun{}, nil, nil
	s.turn()
	assert.Len(t, actions[Start](s.began), 1, "the start is begun again")
	for _, name := range []string{"n1", "n2", "n3"} {
		m := s.mem.Nodes[name]
		assert.True(t, m.Adopted)
		assert.Equal(t, s.now, m.Ordered)
		assert.Equal(t, s.now, m.Ready)
	}
	assert.Len(t, actions[SetFront](s.began), 1)
	s.pass(2 * time.Minute)
	assert.False(t, s.mem.Nodes["n3"].Adopted)
	assert.Equal(t, 3, s.online())
	assert.True(t, s.plan.Status.Converged)
}

// A host that is lost has its nodes replaced; when it is back there are too many,
// and one goes.
func TestLostHostsAreReplaced(t *testing.T) {
	s := serving(t, 4, 9, "a", "b")
	s.away("a", true)
	s.turn()
	s.turn() // a tick
	s.pass(29 * time.Second)
	s.turn()
	assert.Len(t, s.pod.Nodes, 4)
	s.pass(time.Second)
	s.turn()
	assert.Len(t, s.pod.Nodes, 6)
	require.Contains(t, codes(s.plan), ProblemLost)
	assert.Empty(t, actions[Cancel](s.plan.Before), "nothing is being started there")
	assert.Contains(t, s.sentences(), "host a has not answered for more than 30s, so others run in place of 2 nodes there")
	s.pass(10 * time.Second)
	assert.Len(t, s.servers("web"), 6, "those that are lost stay where they answer")
	assert.True(t, s.plan.Status.Converged)
	s.away("a", false)
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, 4, s.online())
	assert.Empty(t, s.plan.Problems)
}

// Nodes on a host that is lost are given up when it is removed, once others serve,
// and when no node is wanted.
func TestLostNodesAreDrained(t *testing.T) {
	for name, c := range map[string]struct {
		then func(s *sim)
		left int
	}{
		"the host is removed":     {func(s *sim) { s.hosts["a"].draining = true }, 4},
		"no node is wanted":       {func(s *sim) { s.pod.SetWant(0) }, 2}, // its host cannot be asked to stop them
		"it is removed before":    {func(*sim) {}, 4},
		"others cannot be placed": {func(s *sim) { s.hosts["a"].draining = true }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 4, 9, "a", "b")
			s.hosts["a"].draining = name == "it is removed before"
			if name == "others cannot be placed" {
				s.hosts["b"].refused = "cordoned"
			}
			s.away("a", true)
			s.turn()
			s.pass(31 * time.Second)
			s.turn()
			s.pass(10 * time.Second)
			c.then(s)
			s.turn()
			s.pass(10 * time.Second)
			if name == "others cannot be placed" {
				assert.Len(t, s.servers("web"), 4, "they may answer")
				s.hosts["b"].refused = ""
				s.turn()
				s.pass(time.Minute)
			}
			s.turn()
			s.pass(5 * time.Minute)
			assert.Len(t, s.servers("web"), s.pod.Want)
			assert.Len(t, s.pod.Nodes, c.left)
		})
	}
}

// A host that was not observed yet is not lost.
func TestHostThatWasNotObserved(t *testing.T) {
	s := serving(t, 4, 9, "a", "b")
	s.away("a", true)
	s.hosts["a"].since = time.Time{}
	s.turn()
	s.pass(time.Second)
	assert.Len(t, s.pod.Nodes, 4)
}

// The loop looks again when something is due, and no later.
func TestWake(t *testing.T) {
	at := func(d time.Duration) time.Time { return simEpoch.Add(d) }
	for name, c := range map[string]struct {
		change func(t *turn)
		want   time.Duration
	}{
		"nothing is due": {func(*turn) {}, time.Hour},
		"in the past":    {func(t *turn) { t.due(at(0)); t.due(at(-time.Second)) }, time.Hour},
		"the next":       {func(t *turn) { t.due(at(5 * time.Second)); t.due(at(3 * time.Second)); t.due(at(4 * time.Second)) }, 3 * time.Second},
		"at once":        {func(t *turn) { t.due(at(5 * time.Second)); t.again() }, 0},
		"a start":        {func(t *turn) { t.mem.Starts = map[string]Retry{"a": {Next: at(7 * time.Second)}} }, 7 * time.Second},
		"a vacancy":      {func(t *turn) { t.mem.Vacant = []Vacancy{{Due: at(7 * time.Second)}} }, 7 * time.Second},
		"an orphan":      {func(t *turn) { t.mem.Orphans = map[string]Orphan{"x": {Try: Retry{Next: at(7 * time.Second)}}} }, 7 * time.Second},
		"room":           {func(t *turn) { t.mem.Room.Until = at(7 * time.Second) }, 7 * time.Second},
		"a stop":         {func(t *turn) { t.mem.Nodes["n1"].Stop.Try.Next = at(7 * time.Second) }, 7 * time.Second},
		"a drain": {func(t *turn) {
			t.pod.Nodes[0].State = pod.StateDraining
			t.mem.Nodes["n1"].Drain.By = at(7 * time.Second)
		}, 7 * time.Second},
		"no drain":          {func(t *turn) { t.mem.Nodes["n1"].Drain.By = at(7 * time.Second) }, time.Hour},
		"an overdue start":  {func(t *turn) { t.pod.Nodes[0].State = pod.StateStarting; t.w.Running[NodeKey("n1")] = at(0) }, 2 * time.Minute},
		"a front":           {func(t *turn) { t.mem.Fronts["web"] = &FrontMemory{Try: Retry{Next: at(7 * time.Second)}} }, 7 * time.Second},
		"a removal":         {func(t *turn) { t.mem.Fronts["web"] = &FrontMemory{Leave: &Leave{By: at(7 * time.Second)}} }, 7 * time.Second},
		"one that is empty": {func(t *turn) { t.mem.Fronts["web"] = &FrontMemory{Leave: &Leave{By: at(7 * time.Second), Empty: true}} }, time.Hour},
		"one that failed": {func(t *turn) {
			t.mem.Fronts["web"] = &FrontMemory{Leave: &Leave{Empty: true, Try: Retry{Next: at(7 * time.Second)}}}
		}, 7 * time.Second},
	} {
		s := newSim(t, 9, "a")
		s.add(1, 1, "a")
		w := s.world()
		turn := begin(w)
		adopt(turn)
		c.change(turn)
		turn.dueAll()
		assert.Equal(t, at(c.want), turn.plan.Wake, name)
	}
}

// Why a start failed: what was given up, or could not reach its host, was so because
// the host is away.
func TestWhyAStartFailed(t *testing.T) {
	away := Fault{FaultUnreachable, "no route to host"}
	for _, c := range []struct {
		fault, host, want Fault
	}{
		{Fault{FaultCanceled, "it was given up"}, away, Fault{FaultUnreachable, "given up: no route to host"}},
		{Fault{FaultUnreachable, "the host does not answer"}, away, Fault{FaultUnreachable, "given up: no route to host"}},
		{Fault{FaultExited, "exit code 1"}, away, Fault{FaultExited, "exit code 1"}},
		{Fault{FaultCanceled, "it was given up"}, Fault{}, Fault{FaultCanceled, "it was given up"}},
		{Fault{FaultUnreachable, "the host does not answer"}, Fault{}, Fault{FaultUnreachable, "the host does not answer"}},
	} {
		turn := begin(World{Hosts: map[string]Host{"a": {Fault: c.host}}})
		assert.Equal(t, c.want, turn.startFault(Result{Host: "a", Fault: c.fault}), "%v on %v", c.fault, c.host)
	}
}

// Results of nodes that nobody knows any more, and of other kinds, change nothing.
func TestResultsThatNobodyWaitsFor(t *testing.T) {
	s := serving(t, 1, 9, "a")
	made := s.hosts["a"].nodes["n1"]
	s.results = []Result{
		{Kind: StartEnded, Key: NodeKey("nobody"), Node: "nobody", Host: "a", Made: &made},
		{Kind: ResolveEnded, Key: NodeKey("nobody"), Node: "nobody", Host: "a", Digest: "x"},
		{Kind: StopEnded, Key: NodeKey("nobody"), Node: "nobody", Host: "a"},
		{Kind: StopEnded, Key: orphanKey("a", "nobody"), Node: "nobody", Host: "a"},
		{Kind: FrontEnded, Key: FrontKey("nobody")},
		{Kind: RemoveEnded, Key: FrontKey("nobody")},
	}
	assert.False(t, s.turn().Changed)

	starting := s.launch(1, "a", time.Second)
	s.pod.SetWant(2)
	s.running = map[Key]*simRun{}
	s.results = []Result{{Kind: StopEnded, Key: NodeKey(starting), Node: starting, Host: "a", Fault: Fault{FaultOther, "busy"}}}
	s.turn()
	assert.Equal(t, pod.StateStarting, s.pod.Node(starting).State, "that a stop failed says nothing of a start")
}

// While a node that asked what its image is leaves, another one is asked only when
// that has ended; one that is being stopped asks nothing.
func TestWhoIsAskedForTheImage(t *testing.T) {
	for resolving, asked := range map[bool]int{true: 0, false: 1} {
		s := newSim(t, 9, "a", "b")
		first, second := s.launch(1, "a", time.Second), s.launch(1, "b", time.Second)
		delete(s.running, NodeKey(second))
		s.mem.Nodes[first].Start.Resolving = resolving
		s.set(first, func(n *state.Node) { n.Drain(s.now, "") })
		s.pod.SetWant(1)
		assert.Len(t, actions[Resolve](s.turn().After), asked)
	}
}

// A digest that comes after another one was recorded changes nothing.
func TestDigestIsRecordedOnce(t *testing.T) {
	s := serving(t, 1, 9, "a")
	turn := s.begun()
	turn.mem.Digests = map[uint64]string{1: "sha256:other", 77: "sha256:x"}
	recordStarts(turn)
	assert.Equal(t, "sha256:1", turn.pod.Revisions[0].Digest)
	assert.False(t, turn.plan.Changed)
	assert.Empty(t, turn.mem.Digests)
}

// The place of a node that died young is taken on another host, if there is room.
func TestNextNodeComesElsewhere(t *testing.T) {
	s := newSim(t, 9, "a", "b")
	s.hosts["b"].taken = pod.Resources{CPU: 4, Memory: 4 << 30} // so that a is the better one
	s.pod.SetWant(1)
	s.pass(10 * time.Second)
	require.Equal(t, "a", s.pod.Nodes[0].Host)
	s.exit("n1", 1)
	s.turn()
	s.turn()
	assert.Equal(t, "b", s.pod.Nodes[1].Host)
}

// What was told of failed starts is forgotten once all nodes are there, and vacancies
// once all of them are new; a place that waits is kept while a rollout goes on.
func TestWhenFaultsAreForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(s *sim)
		faults, vacant int // left
	}{
		"all are there":  {func(*sim) {}, 0, 0},
		"one starts":     {func(s *sim) { s.pod.SetWant(3); s.launch(1, "a", time.Second) }, 1, 0},
		"one is missing": {func(s *sim) { s.pod.SetWant(3); s.hosts["a"].refused = "cordoned" }, 1, 1},
		"there are more": {func(s *sim) { s.pod.SetWant(1) }, 0, 0},
		"its host is gone": {func(s *sim) {
			s.pod.SetWant(3)
			s.hosts["a"].refused = "cordoned"
			s.mem.Starts["b"] = Retry{Failures: 3, Node: "n0", Fault: Fault{FaultOther, "x"}}
		}, 1, 1},
		"a rollout goes on": {func(s *sim) { s.revise("2", state.Update{MinReady: time.Hour}); s.add(1, 2, "a") }, 0, 1},
		"one that starts is old": {func(s *sim) {
			s.revise("2", state.Update{MinReady: time.Hour})
			s.pause(true)
			s.pod.SetWant(3)
			s.launch(1, "a", time.Second)
		}, 1, 1},
	} {
		s := newSim(t, 9, "a")
		s.add(2, 1, "a")
		s.pod.SetWant(2)
		s.pod.Revisions[0].Pin("")
		s.mem.Starts = map[string]Retry{"a": {Node: "n0", Fault: Fault{FaultOther, "x"}}}
		s.mem.Vacant = []Vacancy{{Deaths: 1, Due: s.now.Add(time.Hour), Node: "n0", Why: "exit code 1"}}
		c.change(s)
		s.turn()
		assert.Len(t, s.mem.Starts, c.faults, name)
		assert.Len(t, s.mem.Vacant, c.vacant, name)
	}
}

// A failed start is told while the next one is under way, also where all are there.
func TestFailedStartIsToldUntilAllHaveStarted(t *testing.T) {
	s := newSim(t, 9, "a")
	s.add(1, 1, "a")
	s.launch(1, "a", time.Second)
	s.pod.SetWant(2)
	s.mem.Starts = map[string]Retry{"a": {Failures: 1, Node: "n0", Fault: Fault{FaultOther, "disk on fire"}}}
	s.turn()
	assert.Equal(t, []string{"node n0 could not be started on host a: disk on fire"}, s.sentences())
}

// An overdue start is not drained for one that is there, but it is with all others.
func TestOverdueStartsAreNotScaledIn(t *testing.T) {
	for want, drained := range map[int][]string{2: {"n3"}, 0: {"n1", "n2", "n3", "n4"}} {
		s := newSim(t, 9, "a", "b")
		s.add(3, 1, "a")
		s.launch(1, "b", time.Hour)
		s.pod.SetWant(want)
		s.turn()
		var got []string
		for i := range s.pod.Nodes {
			if s.pod.Nodes[i].State == pod.StateDraining {
				got = append(got, s.pod.Nodes[i].Name)
			}
		}
		assert.Equal(t, drained, got, "%d wanted", want)
	}
}

// While nothing can be saved nothing is forgotten.
func TestNothingIsForgottenWhileNothingCanBeSaved(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.pod.SetWant(1)
	s.turn()
	s.store = Fault{FaultStoreFull, "no space"}
	s.pass(time.Minute)
	assert.True(t, s.mem.Nodes["n2"].Stop.Done)
	assert.NotNil(t, s.pod.Node("n2"))
	s.store = Fault{}
	s.turn()
	assert.Nil(t, s.pod.Node("n2"))
	assert.Equal(t, s.now, s.mem.Forgotten)
	assert.Equal(t, s.now, s.plan.Wake, "another node may take its place")
}

// What is not under way is not given up.
func TestOnlyStartsUnderWayAreGivenUp(t *testing.T) {
	s := newSim(t, 9, "a")
	name := s.launch(1, "a", time.Second)
	s.pod.SetWant(1)
	delete(s.running, NodeKey(name))
	s.away("a", true)
	s.now = s.now.Add(time.Hour)
	assert.Empty(t, actions[Cancel](s.turn().Before))
}
