package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// begun returns the turn that sees a sim as it is now.
func (s *sim) begun() *turn {
	s.now = s.now.Add(time.Millisecond)
	t := begin(s.world())
	adopt(t)
	return t
}

// set changes a node of the record.
func (s *sim) set(name string, change func(*state.Node)) { change(s.pod.Node(name)) }

// show changes what a node's host shows of it.
func (s *sim) show(name string, change func(*pod.Node)) {
	h := s.hosts[s.pod.Node(name).Host]
	n := h.nodes[name]
	change(&n)
	h.nodes[name] = n
}

// launch puts a node into the record that is starting since a while.
func (s *sim) launch(revision uint64, host string, since time.Duration) string {
	n := s.pod.Register("", s.now)
	n.Launch(host, revision)
	s.running[NodeKey(n.Name)] = &simRun{action: Start{Node: n.Name, Host: host}, since: s.now.Add(-since), due: s.now.Add(time.Hour)}
	if s.mem.Nodes == nil {
		s.mem.Nodes = map[string]*NodeMemory{}
	}
	s.mem.Nodes[n.Name] = &NodeMemory{Ordered: s.now.Add(-since)}
	return n.Name
}

func TestCensus(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *sim) // of a pod with three nodes on a and b: n1 and n3 on a, n2 on b
		want   Census
	}{
		"all are new":                    {func(*sim) {}, Census{Fresh: 3, FreshReady: 3}},
		"another revision":               {func(s *sim) { s.revise("2", state.Update{}) }, Census{Old: 3, OldOnline: 3, OldReady: 3}},
		"one starts":                     {func(s *sim) { s.launch(1, "a", time.Second) }, Census{Fresh: 4, FreshReady: 3, Starting: 1}},
		"an old one starts":              {func(s *sim) { s.launch(7, "a", time.Second) }, Census{Fresh: 3, FreshReady: 3, Old: 1, Starting: 1}},
		"one is overdue":                 {func(s *sim) { s.launch(1, "a", time.Hour) }, Census{Fresh: 3, FreshReady: 3, Overdue: 1}},
		"an old one is overdue":          {func(s *sim) { s.launch(7, "a", time.Hour) }, Census{Fresh: 3, FreshReady: 3, Old: 1, Starting: 1}},
		"one drains":                     {func(s *sim) { s.set("n1", func(n *state.Node) { n.Drain(s.now, "") }) }, Census{Fresh: 2, FreshReady: 2, Draining: 1}},
		"one failed":                     {func(s *sim) { s.set("n1", func(n *state.Node) { n.Fail("") }) }, Census{Fresh: 2, FreshReady: 2}},
		"one is new":                     {func(s *sim) { s.pod.Register("", s.now) }, Census{Fresh: 3, FreshReady: 3}},
		"one does not answer":            {func(s *sim) { s.probes["n1"] = Probed{Failures: 3} }, Census{Fresh: 2, FreshReady: 2, Old: 1, OldOnline: 1}},
		"two probes failed":              {func(s *sim) { s.probes["n1"] = Probed{Failures: 2} }, Census{Fresh: 3, FreshReady: 3}},
		"a host is away":                 {func(s *sim) { s.away("a", true); s.now = s.now.Add(29 * time.Second) }, Census{Fresh: 3, FreshReady: 3}},
		"a host is lost":                 {func(s *sim) { s.away("a", true); s.now = s.now.Add(30 * time.Second) }, Census{Fresh: 1, FreshReady: 1}},
		"a host was removed":             {func(s *sim) { delete(s.hosts, "a") }, Census{Fresh: 3, FreshReady: 3}},
		"a host is being removed":        {func(s *sim) { s.hosts["a"].draining = true }, Census{Fresh: 1, FreshReady: 1, Old: 2, OldOnline: 2, OldReady: 2}},
		"a host is not allowed any more": {func(s *sim) { s.pod.Spec.Hosts = []string{"b", "c"} }, Census{Fresh: 1, FreshReady: 1, Old: 2, OldOnline: 2, OldReady: 2}},
		"all hosts are":                  {func(s *sim) { s.pod.Spec.Hosts = []string{"a", "b"} }, Census{Fresh: 3, FreshReady: 3}},
		"not proven": {func(s *sim) {
			s.revise("2", state.Update{MinReady: time.Minute})
			s.add(1, 2, "b")
			s.mem.Nodes["n4"].Ready = s.now.Add(-time.Minute + 2*time.Millisecond)
		}, Census{Fresh: 1, Old: 3, OldOnline: 3, OldReady: 3}},
		"nor is one that leaves its host": {func(s *sim) {
			s.revise("2", state.Update{MinReady: time.Minute})
			s.add(1, 2, "b")
			s.mem.Nodes["n4"].Ready = s.now.Add(-time.Minute + 2*time.Millisecond)
			s.hosts["b"].draining = true
		}, Census{Old: 4, OldOnline: 4, OldReady: 3}},
		"proven": {func(s *sim) {
			s.revise("2", state.Update{MinReady: time.Minute})
			s.add(1, 2, "b")
			s.mem.Nodes["n4"].Ready = s.now.Add(-time.Minute)
		}, Census{Fresh: 1, FreshReady: 1, Old: 3, OldOnline: 3, OldReady: 3}},
		"an old one that a paused rollout started is overdue": {func(s *sim) {
			s.revise("2", state.Update{})
			s.pause(true)
			s.launch(1, "a", time.Hour)
		}, Census{Old: 3, OldOnline: 3, OldReady: 3, Overdue: 1}},
		"or a canary": {func(s *sim) {
			s.revise("2", state.Update{Strategy: state.Canary})
			s.launch(1, "a", time.Hour)
		}, Census{Old: 3, OldOnline: 3, OldReady: 3, Overdue: 1}},
		"but not once its steps are over": {func(s *sim) {
			s.revise("2", state.Update{Strategy: state.Canary})
			s.pod.Rollout.Next(2)
			s.launch(1, "a", time.Hour)
		}, Census{Old: 4, OldOnline: 3, OldReady: 3, Starting: 1}},
		"nor of another revision": {func(s *sim) {
			s.revise("2", state.Update{})
			s.pause(true)
			s.launch(7, "a", time.Hour)
		}, Census{Old: 4, OldOnline: 3, OldReady: 3, Starting: 1}},
		"nor of a rollout that goes on": {func(s *sim) {
			s.revise("2", state.Update{})
			s.launch(1, "a", time.Hour)
		}, Census{Old: 4, OldOnline: 3, OldReady: 3, Starting: 1}},
		"no rollout: nobody asks for how long": {func(s *sim) {
			s.pod.Spec.Update.MinReady = time.Hour
			s.mem.Nodes["n1"].Ready = s.now
		}, Census{Fresh: 3, FreshReady: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a", "b")
			s.add(1, 1, "a")
			s.add(1, 1, "b")
			s.add(1, 1, "a")
			c.change(s)
			assert.Equal(t, c.want, s.begun().census())
		})
	}
}

func TestHungNodes(t *testing.T) {
	for name, c := range map[string]struct {
		probe  pod.Probe
		change func(s *sim)
		want   string
	}{
		"it answers":           {pod.Probe{Kind: pod.ProbeTCP}, func(*sim) {}, ""},
		"three failed":         {pod.Probe{Kind: pod.ProbeTCP}, func(s *sim) { s.probes["n1"] = Probed{3, "connection refused"} }, "does not answer: 3 probes failed in a row, the last with: connection refused"},
		"two failed":           {pod.Probe{Kind: pod.ProbeTCP}, func(s *sim) { s.probes["n1"] = Probed{2, "connection refused"} }, ""},
		"five are asked for":   {pod.Probe{Kind: pod.ProbeTCP, Failures: 5}, func(s *sim) { s.probes["n1"] = Probed{4, "connection refused"} }, ""},
		"no liveness":          {pod.Probe{Kind: pod.ProbeTCP, Failures: -1}, func(s *sim) { s.probes["n1"] = Probed{9, "connection refused"} }, ""},
		"no probe":             {pod.Probe{Kind: pod.ProbeNone}, func(s *sim) { s.probes["n1"] = Probed{9, "connection refused"} }, ""},
		"frozen":               {pod.Probe{Kind: pod.ProbeNone}, func(s *sim) { s.show("n1", func(n *pod.Node) { n.Phase = pod.PhaseFrozen }) }, "is paused on its host by somebody else"},
		"unhealthy":            {pod.Probe{Kind: pod.ProbeHealthcheck}, func(s *sim) { s.show("n1", func(n *pod.Node) { n.Health = pod.HealthUnhealthy }) }, "is unhealthy, says its HEALTHCHECK"},
		"healthy":              {pod.Probe{Kind: pod.ProbeHealthcheck}, func(s *sim) { s.show("n1", func(n *pod.Node) { n.Health = pod.HealthGood }) }, ""},
		"health is not asked":  {pod.Probe{Kind: pod.ProbeTCP}, func(s *sim) { s.show("n1", func(n *pod.Node) { n.Health = pod.HealthUnhealthy }) }, ""},
		"no liveness, of that": {pod.Probe{Kind: pod.ProbeHealthcheck, Failures: -1}, func(s *sim) { s.show("n1", func(n *pod.Node) { n.Health = pod.HealthUnhealthy }) }, ""},
		"its host is away":     {pod.Probe{Kind: pod.ProbeTCP}, func(s *sim) { s.away("a", true); s.show("n1", func(n *pod.Node) { n.Phase = pod.PhaseFrozen }) }, ""},
		"it is gone":           {pod.Probe{Kind: pod.ProbeTCP}, func(s *sim) { delete(s.hosts["a"].nodes, "n1"); s.probes["n1"] = Probed{3, ""} }, ""},
		"it drains":            {pod.Probe{Kind: pod.ProbeTCP}, func(s *sim) { s.probes["n1"] = Probed{3, ""}; s.set("n1", func(n *state.Node) { n.Drain(s.now, "") }) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a")
			spec := s.pod.Spec.Clone()
			c.probe.Port = "http"
			spec.Workload.Probe = c.probe
			s.pod = state.NewPod(spec, s.now)
			s.add(1, 1, "a")
			c.change(s)
			turn := s.begun()
			assert.Equal(t, c.want, turn.hung(turn.pod.Node("n1")))
		})
	}
	t.Run("the probe is that of what it runs", func(t *testing.T) {
		s := newSim(t, 10, "a")
		s.add(1, 1, "a")
		spec := s.pod.Spec.Clone()
		spec.Workload.Probe.Failures = 5
		s.pod.Revise(spec, "", s.now)
		s.add(1, 2, "a")
		s.probes["n1"], s.probes["n2"] = Probed{Failures: 4}, Probed{Failures: 4}
		turn := s.begun()
		assert.NotEmpty(t, turn.hung(turn.pod.Node("n1")))
		assert.Empty(t, turn.hung(turn.pod.Node("n2")))
	})
}

func TestEndedNodes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *sim)
		want   string
	}{
		"it runs":             {func(*sim) {}, ""},
		"it exited":           {func(s *sim) { s.exit("n1", 3) }, "exit code 3"},
		"nobody knows how":    {func(s *sim) { s.show("n1", func(n *pod.Node) { n.Phase = pod.PhaseExited }) }, "ended"},
		"it is gone":          {func(s *sim) { delete(s.hosts["a"].nodes, "n1") }, "is not on host a any more"},
		"its host is away":    {func(s *sim) { s.exit("n1", 3); s.away("a", true) }, ""},
		"its host is gone":    {func(s *sim) { delete(s.hosts, "a") }, "host a was removed"},
		"seen before":         {func(s *sim) { s.exit("n1", 3); s.mem.Nodes["n1"].Settled = s.now.Add(time.Millisecond) }, ""},
		"seen a moment after": {func(s *sim) { s.exit("n1", 3); s.mem.Nodes["n1"].Settled = s.now }, "exit code 3"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a")
			s.add(1, 1, "a")
			c.change(s)
			turn := s.begun()
			assert.Equal(t, c.want, turn.ended(turn.pod.Node("n1")))
		})
	}
}

func TestStaleNodesSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *sim)
		want   string
	}{
		"it is as it should be": {func(*sim) {}, ""},
		"it hangs":              {func(s *sim) { s.probes["n1"] = Probed{Failures: 3}; s.hosts["a"].draining = true }, "does not answer"},
		"its host is excluded":  {func(s *sim) { s.pod.Spec.Hosts = []string{"b"}; s.hosts["a"].draining = true }, "the pod may not use host a any more"},
		"its host goes":         {func(s *sim) { s.hosts["a"].draining = true; s.revise("2", state.Update{}) }, "host a is being removed"},
		"another revision":      {func(s *sim) { s.revise("2", state.Update{}) }, "replaced by revision 2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 10, "a")
			s.add(1, 1, "a")
			c.change(s)
			turn := s.begun()
			assert.Equal(t, c.want, turn.staleWhy(turn.pod.Node("n1")))
		})
	}
}

// How long a start may take before it is overdue.
func TestPatience(t *testing.T) {
	for _, c := range []struct {
		boots []time.Duration
		want  time.Duration
	}{
		{nil, 100 * time.Second}, // the deadline and a minute
		{[]time.Duration{time.Second}, 20 * time.Second},
		{[]time.Duration{6 * time.Second}, 20 * time.Second},
		{[]time.Duration{7 * time.Second}, 21 * time.Second},
		{[]time.Duration{time.Hour, 8 * time.Second, time.Second}, 24 * time.Second},
	} {
		s := newSim(t, 10, "a")
		s.pod.Boots = c.boots
		s.pod.Spec.Workload.Probe.StartDeadline = 40 * time.Second
		assert.Equal(t, c.want, s.begun().patience(1), "%v", c.boots)
		name := s.launch(1, "a", c.want-time.Millisecond)
		turn := s.begun()
		assert.True(t, turn.overdue(turn.pod.Node(name)), "begun %s ago", c.want)
		s.running[NodeKey(name)].since = s.now.Add(time.Millisecond).Add(-c.want + time.Nanosecond)
		turn = s.begun()
		assert.False(t, turn.overdue(turn.pod.Node(name)))
		assert.Equal(t, time.Nanosecond, turn.overdueAt(turn.pod.Node(name)).Sub(turn.w.Now))
	}
	t.Run("the deadline is that of the revision", func(t *testing.T) {
		s := newSim(t, 10, "a")
		s.pod.Spec.Workload.Probe.StartDeadline = 40 * time.Second
		spec := s.pod.Spec.Clone()
		s.pod = state.NewPod(spec, s.now)
		spec.Workload.Probe.StartDeadline = 7 * time.Second
		s.pod.Revise(spec, "", s.now)
		assert.Equal(t, 100*time.Second, s.begun().patience(1))
		assert.Equal(t, 67*time.Second, s.begun().patience(2))
	})
	t.Run("what waits for a slot, or does not start, is not overdue", func(t *testing.T) {
		s := newSim(t, 10, "a")
		name := s.launch(1, "a", 0)
		s.running[NodeKey(name)].since = time.Time{}
		s.add(1, 1, "a")
		s.now = s.now.Add(time.Hour)
		turn := s.begun()
		assert.False(t, turn.overdue(turn.pod.Node(name)))
		assert.True(t, turn.overdueAt(turn.pod.Node(name)).IsZero())
		assert.True(t, turn.overdueAt(turn.pod.Node("n2")).IsZero())
		delete(s.running, NodeKey(name))
		turn = s.begun()
		assert.False(t, turn.overdue(turn.pod.Node(name)))
	})
}

// The age below which a node that ends never worked is the one in which no probe
// could have failed often enough.
func TestYoungNodesAreThoseThatNoProbeCouldFail(t *testing.T) {
	for _, c := range []struct {
		kind     pod.ProbeKind
		failures int
		want     time.Duration
	}{
		{pod.ProbeNone, 3, 10 * time.Second},
		{pod.ProbeHTTP, -1, 10 * time.Second},
		{pod.ProbeHTTP, 1, 20 * time.Second},
		{pod.ProbeHTTP, 3, 30 * time.Second},
	} {
		s := newSim(t, 10, "a")
		s.pod.Spec.Workload.Probe = pod.Probe{Kind: c.kind, Failures: c.failures, LiveInterval: 5 * time.Second}
		assert.Equal(t, c.want, s.begun().young(), "%s, %d", c.kind, c.failures)
	}
}

// Of several nodes the one goes whose loss hurts least: first one that starts, then
// one that does not answer, that is not proven, that the balancer finds down, that
// has the fewest requests, and last the youngest.
func TestVictims(t *testing.T) {
	s := newSim(t, 20, "a", "b", "away")
	s.pod.Spec.Update.MinReady = time.Minute
	s.revise("2", state.Update{MinReady: time.Minute})
	s.add(9, 2, "a")
	stats := &balancer.FrontStats{Name: "web"}
	for i, name := range []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"} {
		stats.Servers = append(stats.Servers, balancer.ServerStats{Name: name, Up: true, InFlight: i / 2})
	}
	s.fronts["web"] = stats
	starting := s.launch(2, "a", time.Second)
	s.probes["n2"] = Probed{Failures: 3}
	s.mem.Nodes["n3"].Ready = s.now
	s.fronts["web"].Servers[3].Up = false
	s.add(1, 2, "away")
	s.away("away", true)
	s.now = s.now.Add(30 * time.Second)
	s.set("n9", func(n *state.Node) { n.Drain(s.now, "") })

	all := func(*state.Node) bool { return true }
	turn := s.begun()
	order := []string{starting, "n2", "n3", "n4", "n1", "n6", "n5", "n8", "n7"}
	assert.Equal(t, order, turn.victims(20, all))
	assert.Equal(t, order[:4], turn.victims(4, all))
	assert.Empty(t, turn.victims(0, all))
	assert.Equal(t, []string{"n5", "n7"}, turn.victims(20, func(n *state.Node) bool { return n.Name == "n5" || n.Name == "n7" }))

	// What the balancer said before it ceased to answer does not count.
	s.down = Fault{Code: FaultBalancer, Text: "away"}
	assert.Equal(t, []string{starting, "n2", "n3", "n8", "n7", "n6", "n5", "n4", "n1"}, s.begun().victims(20, all))
}

func TestWatchedNodes(t *testing.T) {
	online, probe := state.Node{State: pod.StateOnline}, pod.Probe{Kind: pod.ProbeTCP, Failures: 1}
	assert.True(t, Watched(&online, &probe))
	assert.False(t, Watched(&state.Node{State: pod.StateStarting}, &probe))
	assert.False(t, Watched(&online, &pod.Probe{Kind: pod.ProbeNone, Failures: 1}))
	assert.False(t, Watched(&online, &pod.Probe{Kind: pod.ProbeTCP}))
}

// What a host showed before something was done to a node says nothing of it.
func TestOldViewsSayNothingOfANode(t *testing.T) {
	for kind, r := range map[string]Result{
		"it was started":  {Kind: StartEnded, Key: NodeKey("n2"), Node: "n2", Host: "a"},
		"it was resolved": {Kind: ResolveEnded, Key: NodeKey("n2"), Node: "n2", Host: "a"},
		"it was stopped":  {Kind: StopEnded, Key: NodeKey("n2"), Node: "n2", Host: "a", Fault: Fault{FaultOther, "busy"}},
	} {
		s := serving(t, 1, 9, "a")
		s.launch(1, "a", time.Second)
		clear(s.running)
		s.results = []Result{r}
		s.turn()
		assert.Equal(t, s.now, s.mem.Nodes["n2"].Settled, kind)
	}
	s := serving(t, 1, 9, "a")
	s.mem.Orphans = map[string]Orphan{string(orphanKey("a", "n1")): {Host: "a", Node: "n1"}}
	s.results = []Result{{Kind: StopEnded, Key: orphanKey("a", "n1"), Node: "n1", Host: "a"}}
	s.turn()
	assert.Equal(t, s.now, s.mem.Nodes["n1"].Settled)
	assert.Equal(t, s.now, s.mem.Forgotten)
	assert.False(t, s.mem.Nodes["n1"].Stop.Done, "it is the orphan that was stopped")

	// A node that has just come up and is not in the view yet has not ended.
	s = serving(t, 1, 9, "a")
	s.pod.SetWant(2)
	s.turn()
	s.pass(10 * time.Second)
	w := s.world()
	w.Now = w.Now.Add(time.Second)
	h := w.Hosts["a"]
	h.Nodes = h.Nodes[:1]
	h.Begun = s.mem.Nodes["n2"].Settled
	w.Hosts["a"] = h
	p := Reconcile(w)
	assert.Zero(t, p.Pod.Count(pod.StateFailed))
	h.Begun = h.Begun.Add(1)
	w.Hosts["a"] = h
	p = Reconcile(w)
	assert.Equal(t, 1, p.Pod.Count(pod.StateFailed))
}

// What runs and takes requests is what should.
func TestConverged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *sim, w *World)
		want   bool
	}{
		"all is as it should be": {func(*sim, *World) {}, true},
		"one starts": {func(s *sim, w *World) {
			s.launch(1, "a", 0)
			w.Pod, w.Memory = s.pod, s.mem
			w.Running[NodeKey("n3")] = s.now
			w.Pod.Want = 3
		}, false},
		"one is missing": {func(_ *sim, w *World) { w.Pod.Want = 3; w.Room = nil }, false},
		"one drains": {func(s *sim, w *World) {
			s.set("n2", func(n *state.Node) { n.Drain(s.now, "") })
			w.Pod = s.pod
			w.Pod.Want = 1
		}, false},
		"one drains on a host that is lost": {func(s *sim, w *World) {
			s.set("n2", func(n *state.Node) { n.Drain(s.now, "") })
			w.Pod = s.pod
			w.Pod.Want = 1
			w.Pod.Nodes[1].Host = "b"
			h := w.Hosts["b"]
			h.Fault, h.Since = Fault{FaultUnreachable, "x"}, w.Now.Add(-time.Hour)
			w.Hosts["b"] = h
		}, false},
		"a rollout is under way":    {func(s *sim, w *World) { s.revise("2", state.Update{}); s.pause(true); w.Pod = s.pod }, false},
		"a host was never observed": {func(_ *sim, w *World) { w.Hosts["a"] = Host{Fault: Fault{FaultUnreachable, "x"}, Since: w.Now} }, false},
		"the front is not set": {func(_ *sim, w *World) {
			f := *w.Memory.Fronts["web"]
			f.Set = nil
			w.Memory.Fronts = map[string]*FrontMemory{"web": &f}
		}, false},
		"a front is left": {func(_ *sim, w *World) {
			w.Memory.Fronts = map[string]*FrontMemory{"web": w.Memory.Fronts["web"], "old": {Leave: &Leave{}}}
		}, false},
		"servers are being set": {func(_ *sim, w *World) { w.Running[FrontKey("web")] = w.Now }, false},
		"a lost host's nodes are others' by now": {func(_ *sim, w *World) {
			h := w.Hosts["b"]
			w.Pod = w.Pod.Clone()
			w.Pod.Register("", w.Now).Launch("b", 1)
			w.Memory.Nodes["n3"] = &NodeMemory{}
			h.Fault, h.Since = Fault{FaultUnreachable, "x"}, w.Now.Add(-time.Hour)
			w.Hosts["b"] = h
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 2, 9, "a")
			s.hosts["b"] = &simHost{nodes: map[string]pod.Node{}, since: s.now.Add(-time.Hour)}
			s.now = s.now.Add(time.Second)
			w := s.world()
			w.Memory = w.Memory.Clone()
			c.change(s, &w)
			assert.Equal(t, c.want, Reconcile(w).Status.Converged)
		})
	}
}
