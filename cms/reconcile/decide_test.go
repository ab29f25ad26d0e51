package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// proposes returns a tick in which the policy wants so many nodes.
func proposes(from, want int) *Deciding {
	d := elastic.Decision{}
	d.Add(elastic.Step{Rule: elastic.RuleAboveUpper, From: from, To: want, Metric: "CPU", Value: 0.9, Bound: 0.7})
	return &Deciding{Seq: 3, Asked: true, Decision: d, Memory: []byte("memory"), Observation: elastic.Observation{At: simEpoch.Add(time.Hour), Want: from}}
}

// What a policy proposes is kept inside of the bounds and of the room.
func TestDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *sim)
		tick   *Deciding
		want   int
		rules  []elastic.Rule
		err    string
	}{
		"it grows":                             {func(*sim) {}, proposes(2, 4), 4, []elastic.Rule{elastic.RuleAboveUpper}, ""},
		"it shrinks":                           {func(*sim) {}, proposes(2, 1), 1, []elastic.Rule{elastic.RuleAboveUpper}, ""},
		"above its bounds":                     {func(*sim) {}, proposes(2, 9), 6, []elastic.Rule{elastic.RuleAboveUpper, elastic.RuleMax}, ""},
		"below its bounds":                     {func(*sim) {}, proposes(2, 0), 1, []elastic.Rule{elastic.RuleAboveUpper, elastic.RuleMin}, ""},
		"more than there is room for":          {func(s *sim) { s.hosts["a"].taken = pod.Resources{CPU: 6} }, proposes(2, 5), 3, []elastic.Rule{elastic.RuleAboveUpper, elastic.RuleCapacity}, ""},
		"no room at all":                       {func(s *sim) { s.hosts["a"].refused = "cordoned" }, proposes(2, 5), 2, []elastic.Rule{elastic.RuleAboveUpper, elastic.RuleCapacity}, ""},
		"no room, and fewer":                   {func(s *sim) { s.hosts["a"].refused = "cordoned" }, proposes(2, 1), 1, []elastic.Rule{elastic.RuleAboveUpper}, ""},
		"no room, and fewer nodes than wanted": {func(s *sim) { s.hosts["a"].refused = "cordoned"; s.pod.Want = 4 }, proposes(4, 5), 4, []elastic.Rule{elastic.RuleAboveUpper, elastic.RuleCapacity}, ""},
		"dry run":                              {func(s *sim) { s.pod.Elasticity.Mode = state.ModeDryRun }, proposes(2, 4), 2, []elastic.Rule{elastic.RuleAboveUpper, elastic.RuleDryRun}, ""},
		"dry run, no change":                   {func(s *sim) { s.pod.Elasticity.Mode = state.ModeDryRun }, proposes(2, 2), 2, []elastic.Rule{elastic.RuleAboveUpper}, ""},
		"paused":                               {func(s *sim) { s.pod.Paused = true }, proposes(2, 4), 2, []elastic.Rule{elastic.RulePaused}, ""},
		"elasticity is off":                    {func(s *sim) { s.pod.Elasticity.Enabled = false }, proposes(2, 4), 2, []elastic.Rule{elastic.RuleManual}, ""},
		"it is being deleted":                  {func(s *sim) { s.pod.Deleting = true }, proposes(2, 4), 2, []elastic.Rule{elastic.RuleManual}, ""},
		"the manager halts":                    {func(s *sim) { s.mode = Halting }, proposes(2, 4), 2, []elastic.Rule{elastic.RuleManual}, ""},
		"it was not asked":                     {func(*sim) {}, &Deciding{Seq: 3}, 2, []elastic.Rule{elastic.RuleManual}, ""},
		"not all was observed":                 {func(*sim) {}, &Deciding{Seq: 3, Missing: "host a does not answer"}, 2, []elastic.Rule{elastic.RuleUnobserved}, "host a does not answer"},
		"nothing can be saved":                 {func(s *sim) { s.store = Fault{FaultStoreFull, "no space"} }, proposes(2, 4), 2, []elastic.Rule{elastic.RuleAboveUpper}, "the wanted number stays, as it cannot be saved: no space"},
		"nor need be":                          {func(s *sim) { s.store = Fault{FaultStoreFull, "no space"} }, proposes(2, 2), 2, []elastic.Rule{elastic.RuleAboveUpper}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 9, "a")
			s.add(2, 1, "a")
			s.pod.SetWant(2)
			s.pod.Elasticity = state.Elasticity{Enabled: true, Min: 1, Max: 6}.For(s.pod.Spec.Spec)
			s.turn()
			c.change(s)
			s.tick = c.tick
			s.turn()
			require.Len(t, s.plan.Ticks, 1)
			tick := s.plan.Ticks[0]
			assert.Equal(t, c.want, s.pod.Want)
			var rules []elastic.Rule
			for _, step := range tick.Decision.Steps[:tick.Decision.N] {
				rules = append(rules, step.Rule)
			}
			assert.Equal(t, c.rules, rules)
			assert.Equal(t, c.err, tick.Err)
			assert.EqualValues(t, 3, tick.Seq)
			assert.Equal(t, s.now, tick.At)
			assert.Equal(t, c.want, tick.Sample.Want)
			if c.want != 2 && s.pod.Want != tick.Before {
				assert.Equal(t, []byte("memory"), s.pod.PolicyMemory, "what the policy remembers is saved with what it decided")
			}
		})
	}
}

func TestPolicyThatCannotBeMade(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.pod.Elasticity = state.Elasticity{Enabled: true, Min: 1, Max: 6}.For(s.pod.Spec.Spec)
	w := s.world()
	w.Now = w.Now.Add(time.Second)
	w.Policy = Fault{FaultOther, "no such kind"}
	w.Tick = proposes(2, 4)
	assert.False(t, w.Asks())
	p := Reconcile(w)
	assert.Equal(t, 2, p.Pod.Want)
	assert.Equal(t, elastic.RuleUnobserved, p.Ticks[0].Decision.Steps[0].Rule)
	assert.Equal(t, "the policy cannot be used, so the number of nodes is kept: no such kind", p.Ticks[0].Decision.Steps[0].Note)
	require.Equal(t, []Code{ProblemPolicy}, codes(p))
	other := s.pod.Elasticity
	other.PolicyJSON = []byte(`{"kind":"threshold","lower":0.2,"upper":0.6}`)
	w.Commands = []Command{{ID: 1, Kind: CommandElasticity, Elasticity: &other}}
	assert.Empty(t, codes(Reconcile(w)), "of the new one nobody knows yet")
}

func TestWhenThePolicyIsAsked(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.pod.Elasticity = state.Elasticity{Enabled: true, Min: 1, Max: 6}.For(s.pod.Spec.Spec)
	for name, c := range map[string]struct {
		change func(w *World)
		want   bool
	}{
		"at a tick":     {func(*World) {}, true},
		"paused":        {func(w *World) { w.Pod.Paused = true }, false},
		"off":           {func(w *World) { w.Pod.Elasticity.Enabled = false }, false},
		"being deleted": {func(w *World) { w.Pod.Deleting = true }, false},
		"halting":       {func(w *World) { w.Mode = Halting }, false},
		"ending":        {func(w *World) { w.Mode = Ending }, false},
		"a dry run":     {func(w *World) { w.Pod.Elasticity.Mode = state.ModeDryRun }, true},
	} {
		w := s.world()
		c.change(&w)
		assert.Equal(t, c.want, w.Asks(), name)
	}
}

// What a policy remembers is saved with each decision, now and then, and at the end.
func TestPolicyMemoryIsKept(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.pod.Elasticity = state.Elasticity{Enabled: true, Min: 1, Max: 6}.For(s.pod.Spec.Spec)
	tick := func(change func(d *Deciding)) bool {
		s.tick = proposes(2, 2)
		change(s.tick)
		return s.turn().Changed
	}
	assert.False(t, tick(func(*Deciding) {}), "it is not time")
	assert.False(t, tick(func(d *Deciding) { d.Keep, d.Asked = true, false }))
	assert.True(t, tick(func(d *Deciding) { d.Keep = true }))
	assert.Equal(t, []byte("memory"), s.pod.PolicyMemory)
	assert.Equal(t, simEpoch.Add(time.Hour), s.pod.PolicyAt)
	assert.False(t, tick(func(d *Deciding) { d.Keep = true }), "it is as it was saved")

	w := s.world()
	w.Mode, w.Checkpoint = Ending, &Checkpoint{Memory: []byte("last"), At: simEpoch.Add(2 * time.Hour)}
	p := Reconcile(w)
	assert.True(t, p.Changed)
	assert.Equal(t, []byte("last"), p.Pod.PolicyMemory)
	assert.Equal(t, simEpoch.Add(2*time.Hour), p.Pod.PolicyAt)
	w.Store = Fault{FaultStoreFull, "x"}
	assert.Equal(t, []byte("memory"), Reconcile(w).Pod.PolicyMemory)
	w.Pod = state.Pod{}
	w.Store = Fault{}
	assert.False(t, Reconcile(w).Changed, "of no pod")
}

// What a policy is shown.
func TestObserve(t *testing.T) {
	s := serving(t, 3, 9, "a", "b")
	s.pod.Elasticity = state.Elasticity{Enabled: true, Min: 2, Max: 6}.For(s.pod.Spec.Spec)
	s.show("n1", func(n *pod.Node) { n.Usage = pod.Usage{At: s.now, CPU: time.Second, Memory: 7} })
	s.launch(1, "b", time.Second)
	s.launch(1, "b", time.Hour)
	s.fronts["web"].Requests, s.fronts["web"].Errors, s.fronts["web"].InFlight, s.fronts["web"].Waiting = 100, 3, 5, 1
	s.fronts["web"].Latency = balancer.Latency{Count: 9, P50: 1, P95: 2, P99: 3}
	s.fronts["other"] = &balancer.FrontStats{Name: "other", Requests: 1000}
	s.set("n3", func(n *state.Node) { n.Drain(s.now, "") })
	s.add(1, 1, "a")
	delete(s.mem.Nodes, "n6")
	w := s.world()
	in, missing := w.Observe()
	assert.Empty(t, missing)
	assert.Equal(t, [6]int{3, 3, 1, 1, 2, 6}, [6]int{in.Want, in.Online, in.Starting, in.Draining, in.Min, in.Max})
	assert.Equal(t, s.pod.Spec.Limits.CPU, in.CPULimit)
	assert.Equal(t, s.pod.Spec.Limits.Memory, in.MemoryLimit)
	assert.Equal(t, s.now, in.At)
	boots, ok := in.Boot.Get()
	assert.True(t, ok)
	assert.InDelta(t, 3, boots, 0.1)
	assert.Equal(t, []elastic.NodeInput{{Name: "n1", At: s.now, CPU: time.Second, Memory: 7}}, in.Nodes, "those that were measured")
	assert.Equal(t, []elastic.FrontInput{{Name: "web", At: s.now, Requests: 100, Errors: 3, InFlight: 5, Waiting: 1, LatencyCount: 9, P50: 1, P95: 2, P99: 3}}, in.Fronts)

	s.away("a", true)
	w = s.world()
	in, missing = w.Observe()
	assert.Equal(t, []string{"host a does not answer"}, missing, "once")
	assert.Equal(t, 3, in.Online)
	s.now = s.now.Add(30 * time.Second)
	w = s.world()
	in, missing = w.Observe()
	assert.Empty(t, missing, "others do the work of a host that is lost")
	assert.Equal(t, 1, in.Online)
	s.away("a", false)

	s.down = Fault{FaultBalancer, "no answer"}
	w = s.world()
	_, missing = w.Observe()
	assert.Equal(t, []string{"the balancer does not answer: no answer"}, missing)
	w.Balancer.Asked = time.Time{}
	_, missing = w.Observe()
	assert.Equal(t, []string{"the balancer has not been observed yet"}, missing)
	w.Pod.Spec.Fronts = nil
	_, missing = w.Observe()
	assert.Empty(t, missing)
	delete(w.Hosts, "a")
	_, missing = w.Observe()
	assert.Empty(t, missing)
	w.Pod.Boots = nil
	in, _ = w.Observe()
	_, ok = in.Boot.Get()
	assert.False(t, ok)
	unknown := w.Hosts["b"]
	unknown.Known = false
	w.Hosts["b"] = unknown
	_, missing = w.Observe()
	assert.Equal(t, []string{"host b does not answer"}, missing)

	w = s.world()
	w.Balancer.Fault = Fault{}
	delete(w.Balancer.Fronts, "web")
	in, _ = w.Observe()
	assert.Empty(t, in.Fronts, "of one that the balancer does not have there is nothing to see")
}

// A tick's sample counts the nodes as they are after it.
func TestSamples(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.pod.Register("", s.now)
	s.exit("n2", 1)
	s.turn()
	s.add(1, 1, "a")
	s.set(s.pod.Nodes[len(s.pod.Nodes)-1].Name, func(n *state.Node) { n.State = pod.StateStandby })
	s.tick = &Deciding{Seq: 1, Observation: elastic.Observation{Online: 7, CPU: metrics.V(0.5)}}
	s.turn()
	sample := s.plan.Ticks[0].Sample
	assert.Equal(t, 1, sample.Nodes.New)
	assert.Equal(t, 1, sample.Nodes.Failed)
	assert.Equal(t, 1, sample.Nodes.Standby)
	assert.Equal(t, 7, sample.Nodes.Online)
	assert.Equal(t, metrics.V(0.5), sample.CPU)
	assert.Equal(t, s.now, sample.At)
	w := s.world()
	w.Pod = state.Pod{}
	w.Tick = &Deciding{Seq: 1}
	assert.Empty(t, Reconcile(w).Ticks)
}
