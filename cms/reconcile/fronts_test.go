package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

func frontAt(name, listen string) state.Front {
	return state.Front{Front: balancer.Front{Name: name, Listen: listen}}
}

// changed returns the pod's spec with other fronts.
func (s *sim) changed(fronts ...state.Front) *state.PodSpec {
	spec := s.pod.Spec.Clone()
	spec.Fronts = fronts
	spec = spec.WithDefaults()
	return &spec
}

// inFlight sets the requests of a server.
func (s *sim) inFlight(front, node string, n int) {
	f := s.fronts[front]
	f.InFlight = 0
	for i := range f.Servers {
		if f.Servers[i].Name == node {
			f.Servers[i].InFlight = n
		}
		f.InFlight += f.Servers[i].InFlight
	}
}

// fails makes the balancer answer so to actions of a type.
func fails[A Action](why Fault) func(Action, *Result) time.Duration {
	return func(a Action, r *Result) time.Duration {
		if _, ok := a.(A); ok {
			r.Fault, r.Step, r.Front, r.Served = why, StepNone, nil, nil
		}
		return 0
	}
}

// A pod is made once the balancer has its fronts: these are set first, then the
// record is saved, then the caller is answered.
func TestCreateSetsTheFrontsFirst(t *testing.T) {
	s := newSim(t, 3, "a")
	spec := s.changed(frontAt("web", "127.0.0.1:1"), frontAt("admin", "127.0.0.1:2"))
	s.pod = state.Pod{}
	id := s.command(Command{Kind: CommandCreate, Spec: spec})
	p := s.turn()
	assert.Len(t, actions[SetFront](p.Before), 2)
	assert.False(t, p.Changed)
	assert.False(t, p.Gone)
	assert.Empty(t, p.Answers)
	assert.Len(t, p.Claims, 2, "nobody else may have them")
	s.pass(time.Second)
	assert.Equal(t, Answer{ID: id}, s.answers[id])
	assert.Equal(t, 1, s.saves)
	assert.Equal(t, []string{"pod web was created"}, s.eventsOf(EventPodCreated))
	assert.EqualValues(t, 1, s.pod.Revision)
	assert.Len(t, s.fronts, 2)

	again := s.command(Command{Kind: CommandCreate, Spec: spec})
	s.turn()
	assert.Equal(t, AnswerExists, s.answers[again].Kind)
	assert.Equal(t, `pod "web" exists already`, s.answers[again].Text)
}

// A pod whose fronts cannot be set is not made: the fronts that were set go, then
// the caller is answered, and the loop ends.
func TestCreateThatCannotSetAFront(t *testing.T) {
	for name, c := range map[string]struct {
		why  Fault
		kind AnswerKind
		text string
	}{
		"the address is taken": {Fault{FaultAddress, "another program listens there"}, AnswerConflict, "the address 127.0.0.1:2 of front admin is in use: another program listens there; choose another address, or end what listens there"},
		"the balancer refuses": {Fault{FaultBalancer, "no more files"}, AnswerFailed, "front admin cannot be set: no more files"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, 3, "a")
			spec := s.changed(frontAt("web", "127.0.0.1:1"), frontAt("admin", "127.0.0.1:2"))
			s.pod = state.Pod{}
			s.do = func(a Action, r *Result) time.Duration {
				if set, ok := a.(SetFront); ok && set.Front.Name == "admin" {
					r.Fault, r.Step, r.Front = c.why, StepNone, nil
				}
				return 0
			}
			id := s.command(Command{Kind: CommandCreate, Spec: spec})
			s.check = func(_ state.Pod, p Plan) {
				if len(p.Answers) > 0 {
					assert.True(t, p.Gone)
				}
			}
			s.turn()
			s.pass(time.Second)
			assert.Equal(t, Answer{ID: id, Kind: c.kind, Text: c.text}, s.answers[id])
			assert.True(t, s.gone)
			assert.Empty(t, s.fronts)
			assert.Equal(t, 1, s.saves, "there is nothing to delete, and the loop says that it ends")
			assert.True(t, s.pod.CreatedAt.IsZero())
		})
	}
}

// A new spec has its new fronts set before it is saved; the old ones drain and go
// before the caller is answered.
func TestUpdateChangesFronts(t *testing.T) {
	s := serving(t, 2, 3, "a")
	id := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("shop", "127.0.0.1:7"))})
	p := s.turn()
	assert.Empty(t, p.Answers)
	assert.False(t, p.Changed)
	assert.Equal(t, "shop", actions[SetFront](p.Before)[0].Front.Name)
	assert.False(t, actions[SetFront](p.Before)[0].Apply, "no server before the change is made")
	saved := false
	s.check = func(before state.Pod, p Plan) {
		for _, a := range p.After {
			if remove, ok := a.(RemoveFront); ok {
				assert.Equal(t, "web", remove.Front)
				assert.True(t, saved)
			}
		}
		saved = saved || p.Changed
		if len(p.Answers) > 0 {
			assert.NotContains(t, p.Memory.Fronts, "web", "the old one is gone before the answer")
		}
	}
	s.pass(100 * time.Millisecond)
	assert.Equal(t, Answer{ID: id}, s.answers[id])
	assert.Len(t, s.fronts, 1)
	assert.Equal(t, []string{"n1", "n2"}, s.servers("shop"))
	assert.Equal(t, []string{"pod web was changed"}, s.eventsOf(EventPodUpdated))
	assert.True(t, s.plan.Status.Converged)
	assert.Len(t, s.plan.Claims, 3, "of the record, as set and as claimed")
}

// While requests go on over an old front the caller is answered, and the front
// stays until they end, or their time is over: that is told.
func TestOldFrontDrains(t *testing.T) {
	for name, ends := range map[string]bool{"its requests end": true, "its time is over": false} {
		t.Run(name, func(t *testing.T) {
			s := serving(t, 2, 3, "a")
			s.pod.Spec.Drain = 20 * time.Second
			s.inFlight("web", "n2", 3)
			id := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("shop", "127.0.0.1:7"))})
			s.turn()
			s.pass(5 * time.Second)
			assert.Equal(t, Answer{ID: id}, s.answers[id])
			assert.Empty(t, s.servers("web"), "nothing new comes")
			require.Len(t, s.fronts["web"].Servers, 2)
			assert.Equal(t, 1, s.plan.Look.Waiting)
			if ends {
				s.inFlight("web", "n2", 0)
				s.pass(200 * time.Millisecond)
				assert.NotContains(t, s.fronts, "web")
				assert.Empty(t, s.eventsOf(EventNodeCut))
				return
			}
			s.pass(15*time.Second - 50*time.Millisecond)
			assert.Contains(t, s.fronts, "web")
			s.pass(100 * time.Millisecond)
			assert.NotContains(t, s.fronts, "web")
			assert.Equal(t, []string{"front web, which was removed, still had 3 requests and connections in flight at its drain deadline of 20s; they were cut"}, s.eventsOf(EventNodeCut))
			assert.EqualValues(t, 3, s.pod.Cut)
		})
	}
}

// A front whose new address cannot be set is set back, and the caller hears why;
// nothing of the change is kept.
func TestUpdateThatCannotSetAFront(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.do = func(a Action, r *Result) time.Duration {
		if set, ok := a.(SetFront); ok && set.Front.Listen == "127.0.0.1:7" {
			r.Fault, r.Step, r.Front, r.Served = Fault{FaultAddress, "another program listens there"}, StepNone, nil, nil
		}
		return 0
	}
	before, saves := s.pod.Spec, s.saves
	id := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("web", "127.0.0.1:7"), frontAt("more", "127.0.0.1:8"))})
	s.turn()
	s.pass(5 * time.Second)
	assert.Equal(t, AnswerConflict, s.answers[id].Kind)
	assert.Equal(t, "the address 127.0.0.1:7 of front web is in use: another program listens there; choose another address, or end what listens there", s.answers[id].Text)
	assert.Equal(t, before, s.pod.Spec)
	assert.Len(t, s.fronts, 1, "the other one that was set is gone")
	assert.Equal(t, []string{"n1"}, s.servers("web"))
	assert.True(t, s.plan.Status.Converged, "%v", s.sentences())
	assert.Equal(t, saves, s.saves)
}

// One command at a time changes fronts; the next one waits for it.
func TestUpdatesWaitForEachOther(t *testing.T) {
	s := serving(t, 1, 3, "a")
	first := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("one", "127.0.0.1:7"))})
	second := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("two", "127.0.0.1:8"))})
	pause := s.command(Command{Kind: CommandPause, On: true})
	p := s.turn()
	assert.Len(t, actions[SetFront](p.Before), 1)
	assert.Contains(t, s.answers, pause, "what needs no front does not wait")
	s.pass(time.Second)
	assert.Equal(t, Answer{ID: first}, s.answers[first])
	assert.Equal(t, Answer{ID: second}, s.answers[second])
	assert.Equal(t, "two", s.pod.Spec.Fronts[0].Name)
	assert.Len(t, s.fronts, 1)
}

// A caller who gives up before the fronts are set leaves nothing behind.
func TestWithdrawnUpdate(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("one", "127.0.0.1:7"))})
	s.turn()
	s.waiting = nil
	s.pass(time.Second)
	assert.Equal(t, "web", s.pod.Spec.Fronts[0].Name)
	assert.Len(t, s.fronts, 1)
	assert.True(t, s.plan.Status.Converged)
}

// A path at which fronts are checked is dropped before nodes of both kinds serve,
// and set once all of them are new.
func TestCheckPathChangesWithTheNodes(t *testing.T) {
	s := serving(t, 2, 5, "a")
	spec := s.pod.Spec.Clone()
	spec.Workload.Probe.Path = "/ready"
	spec.Fronts[0].CheckPath = ""
	spec = spec.WithDefaults()
	require.Equal(t, "/ready", spec.Fronts[0].CheckPath)
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	p := s.turn()
	assert.Empty(t, actions[SetFront](p.Before)[0].Front.CheckPath)
	s.pass(time.Minute)
	var paths []string
	for _, set := range actions[SetFront](s.began) {
		paths = append(paths, set.Front.CheckPath)
	}
	assert.Equal(t, []string{"", "/ready"}, paths)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.True(t, s.plan.Status.Converged)
}

// What the balancer does not do is tried again, ever more seldom, and is a problem
// until it does.
func TestBalancerThatFails(t *testing.T) {
	s := serving(t, 1, 5, "a")
	s.do = fails[Apply](Fault{FaultBalancer, "the socket is gone"})
	s.pod.SetWant(2)
	s.turn()
	s.pass(2 * time.Minute)
	require.Equal(t, []Code{ProblemServers}, codes(s.plan))
	assert.Contains(t, s.sentences()[0], "the balancer does not have the servers of front web that it should: the socket is gone; the next try is in ")
	tries := len(actions[Apply](s.began))
	assert.Greater(t, tries, 6)
	assert.Less(t, tries, 14)
	assert.False(t, s.plan.Status.Converged)
	s.do = nil
	s.pass(time.Minute)
	assert.Empty(t, s.plan.Problems)
	assert.True(t, s.plan.Status.Converged)
	assert.Equal(t, []string{"n1", "n2"}, s.servers("web"))

	// The front is gone: it is set again at once, with its servers.
	s.began = nil
	s.do = fails[Apply](Fault{FaultNoFront, "the balancer does not have the front"})
	s.pod.SetWant(3)
	s.turn()
	s.pass(10 * time.Second)
	s.do = nil
	assert.Len(t, actions[SetFront](s.began), 1)
	assert.True(t, actions[SetFront](s.began)[0].Apply)
	assert.Equal(t, []string{"n1", "n2", "n3"}, s.servers("web"))

	s.do = fails[SetFront](Fault{FaultBalancer, "the socket is gone"})
	delete(s.fronts, "web")
	s.turn()
	s.pass(5 * time.Second)
	assert.Equal(t, []Code{ProblemFront}, codes(s.plan))
	assert.Contains(t, s.sentences()[0], "front web cannot be set: the socket is gone")
}

// A front that cannot be removed is a problem, also after its pod has no node any
// more; the pod is gone only when it is.
func TestFrontThatCannotBeRemoved(t *testing.T) {
	s := serving(t, 1, 5, "a")
	s.do = fails[RemoveFront](Fault{FaultBalancer, "the socket is gone"})
	id := s.command(Command{Kind: CommandDelete})
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, AnswerDone, s.answers[id].Kind)
	assert.Equal(t, []string{"pod web is being deleted"}, s.eventsOf(EventPodDeleting))
	assert.Empty(t, s.pod.Nodes)
	assert.Equal(t, []Code{ProblemLeftFront}, codes(s.plan))
	assert.Contains(t, s.sentences()[0], "front web could not be removed from the balancer: the socket is gone; the next try is in ")
	assert.False(t, s.gone)
	s.do = nil
	s.pass(time.Minute)
	assert.True(t, s.gone)
	assert.Empty(t, s.fronts)
}

// What others change in the balancer is set again, each front once, and told in
// the order of their names.
func TestWhatOthersChangeInTheBalancerIsSetAgain(t *testing.T) {
	s := newSim(t, 3, "a")
	var fronts []state.Front
	for i := range 8 {
		fronts = append(fronts, frontAt(fmt.Sprintf("f%d", i), fmt.Sprintf("127.0.0.1:%d", i+1)))
	}
	s.pod = state.NewPod(*s.changed(fronts...), s.now)
	s.pod.SetWant(1)
	s.pass(time.Minute)
	require.True(t, s.plan.Status.Converged)
	s.began = nil
	for _, f := range s.fronts {
		f.Servers[0].Weight = 7
	}
	s.now = s.now.Add(time.Second)
	first := asJSON(t, Reconcile(s.world()))
	for range 20 {
		require.Equal(t, first, asJSON(t, Reconcile(s.world())))
	}
	s.turn()
	s.pass(time.Second)
	assert.Len(t, actions[Apply](s.began), 8)
	assert.Equal(t, balancer.DefaultWeight, s.fronts["f3"].Servers[0].Weight)
	told := s.eventsOf(EventProblem)
	require.Len(t, told, 8)
	assert.Equal(t, "the balancer has other servers behind front f0 than were set; they are set again", told[0])
	assert.Contains(t, told[7], "front f7")
}

// What the balancer showed before it answered last, or while it is being told, says
// nothing.
func TestOldStatisticsAreNotCompared(t *testing.T) {
	for name, change := range map[string]func(s *sim, w *World){
		"asked before":       func(s *sim, w *World) { w.Balancer.Asked = s.mem.Fronts["web"].At },
		"it does not answer": func(_ *sim, w *World) { w.Balancer.Fault = Fault{FaultBalancer, "away"} },
		"being told":         func(s *sim, w *World) { w.Running[FrontKey("web")] = s.now },
	} {
		s := serving(t, 1, 5, "a")
		s.now = s.now.Add(time.Second)
		w := s.world()
		web := w.Balancer.Fronts["web"]
		web.Servers = nil
		w.Balancer.Fronts["web"] = web
		require.Len(t, Reconcile(w).Before, 1)
		change(s, &w)
		assert.Empty(t, Reconcile(w).Before, name)
	}
}

// The fronts of a paused pod have its nodes, and these get nothing new.
func TestPausedPod(t *testing.T) {
	s := serving(t, 2, 5, "a")
	id := s.command(Command{Kind: CommandPause, On: true})
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, Answer{ID: id}, s.answers[id])
	assert.Empty(t, s.servers("web"))
	assert.Len(t, s.fronts["web"].Servers, 2)
	assert.Equal(t, []string{"pod web was paused: its fronts answer 503"}, s.eventsOf(EventPodPaused))
	s.command(Command{Kind: CommandPause, On: true})
	s.command(Command{Kind: CommandPause})
	s.turn()
	s.pass(time.Second)
	assert.Len(t, s.servers("web"), 2)
	assert.Len(t, s.eventsOf(EventPodPaused), 1)
	assert.Equal(t, []string{"pod web was resumed"}, s.eventsOf(EventPodResumed))
}

// A canary's new nodes get their share of the requests by their weight.
func TestWeightsOfACanary(t *testing.T) {
	for _, c := range []struct {
		weight, fresh, old int
		want               [2]int // of a new node and of an old one
	}{
		{10, 1, 9, [2]int{100, 100}},
		{10, 1, 4, [2]int{44, 100}},
		{50, 1, 1, [2]int{100, 100}},
		{50, 1, 3, [2]int{256, 85}},
		{99, 1, 4, [2]int{256, 1}},
		{1, 4, 1, [2]int{1, 100}},
		{50, 0, 3, [2]int{100, 100}},
		{50, 3, 0, [2]int{100, 100}},
	} {
		s := newSim(t, 20, "a")
		s.add(c.old, 1, "a")
		s.revise("2", state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: c.weight}}})
		s.add(c.fresh, 2, "a")
		s.launch(2, "a", 0)
		fresh, old := s.begun().weights()
		assert.Equal(t, c.want, [2]int{fresh, old}, "%+v", c)
		s.pod.Rollout.Next(1)
		fresh, old = s.begun().weights()
		assert.Equal(t, [2]int{100, 100}, [2]int{fresh, old}, "all steps are over")
	}
	s := serving(t, 3, 9, "a")
	s.revise("2", state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 10, Pause: time.Hour}}})
	s.turn()
	s.pass(time.Minute)
	var weights []string
	for _, srv := range s.fronts["web"].Servers {
		weights = append(weights, fmt.Sprintf("%s %d", srv.Name, srv.Weight))
	}
	assert.Equal(t, []string{"n1 100", "n2 100", "n4 22"}, weights)
}

// New nodes of a blue-green rollout get no requests before it changes over, unless
// there is nobody else.
func TestBlueGreenWithholdsNewNodes(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: time.Minute})
	s.turn()
	s.pass(30 * time.Second)
	assert.Equal(t, [2]int{2, 2}, [2]int{s.live(1), s.live(2)})
	assert.Equal(t, []string{"n1", "n2"}, s.servers("web"))
	assert.Len(t, s.fronts["web"].Servers, 2, "the new ones are not there at all")
	w := s.world()
	in, _ := w.Observe()
	assert.Equal(t, 2, in.Online, "the others do the work")
	s.pod.SetWant(3)
	s.exit("n1", 1)
	s.exit("n2", 1)
	s.turn()
	s.pass(2 * time.Second)
	assert.Equal(t, []string{"n3", "n4"}, s.servers("web"), "nobody else is there")
	s.pass(5 * time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.Len(t, s.servers("web"), 3)

	s = serving(t, 2, 9, "a")
	s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: 10 * time.Second})
	s.turn()
	s.pass(13*time.Second + 50*time.Millisecond)
	assert.Equal(t, []string{"n3", "n4"}, s.servers("web"), "all at once")
	assert.Equal(t, 1, s.pod.Rollout.Step)
	assert.Equal(t, []string{"pod web changes over to 2 new nodes"}, s.eventsOf(EventRolloutStep))
}

// A new node that served while there was no old one, and drains while there is one
// again, goes for good.
func TestBlueGreenNodeThatServedGoes(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.revise("2", state.Update{Strategy: state.BlueGreen, MinReady: time.Minute})
	s.turn()
	s.pass(10 * time.Second)
	s.pause(true)
	s.exit("n1", 1)
	s.turn()
	s.pass(2 * time.Second)
	assert.Equal(t, []string{"n2"}, s.servers("web"), "nobody else is there")
	s.pass(time.Minute)
	assert.Equal(t, []int{1, 1}, []int{s.live(1), s.live(2)}, "%v", s.pod.Nodes)
	s.probes["n2"] = Probed{Failures: 3, Text: "connection refused"}
	s.turn()
	s.pass(time.Minute)
	assert.Nil(t, s.pod.Node("n2"), "%v", s.pod.Nodes)
	assert.NotContains(t, s.servers("web"), "n2")
}

// A node that is added may be there before the balancer has answered, and one that
// is removed may still be.
func TestUnion(t *testing.T) {
	a, b, c := balancer.Server{Name: "a", Weight: 1}, balancer.Server{Name: "b"}, balancer.Server{Name: "c"}
	other := balancer.Server{Name: "a", Weight: 2}
	assert.Equal(t, []balancer.Server{a, b, c}, union([]balancer.Server{a, b}, []balancer.Server{other, c}))
	assert.Empty(t, union(nil, nil))
}

// Nodes without an endpoint of the front's port are not behind it.
func TestFrontsOfSeveralPorts(t *testing.T) {
	s := newSim(t, 3, "a")
	spec := s.pod.Spec.Clone()
	spec.Workload.Ports = map[string]int{"http": 8080, "admin": 9090}
	admin := frontAt("admin", "127.0.0.1:2")
	admin.Port = "admin"
	spec.Fronts = []state.Front{spec.Fronts[0], admin}
	s.pod = state.NewPod(spec, s.now)
	s.pod.SetWant(1)
	s.pass(time.Minute)
	assert.Equal(t, []string{"n1"}, s.servers("web"))
	assert.Empty(t, s.servers("admin"))
	s.set("n1", func(n *state.Node) {
		n.Endpoints = map[string]string{"http": "10.0.0.1:8080", "admin": "10.0.0.1:9090"}
	})
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, "10.0.0.1:9090", s.fronts["admin"].Servers[0].Addr)
	assert.Equal(t, "10.0.0.1:8080", s.fronts["web"].Servers[0].Addr)
	s.set("n1", func(n *state.Node) { assert.Equal(t, pod.StateOnline, n.State) })
}

// A front that leaves and could not be told to drain is told again.
func TestOldFrontIsToldToDrainAgain(t *testing.T) {
	s := serving(t, 2, 3, "a")
	s.inFlight("web", "n2", 3)
	s.do = fails[Apply](Fault{FaultBalancer, "the socket is gone"})
	id := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("shop", "127.0.0.1:7"))})
	s.turn()
	s.pass(2 * time.Second)
	assert.Len(t, s.servers("web"), 2)
	assert.Equal(t, Answer{ID: id}, s.answers[id], "the caller does not wait for that")
	s.do = nil
	s.pass(3 * time.Second)
	assert.Empty(t, s.servers("web"))
	assert.Contains(t, s.fronts, "web")
	s.inFlight("web", "n2", 0)
	s.pass(time.Second)
	assert.NotContains(t, s.fronts, "web")
}

// A front that the balancer lost while it left has nothing to wait for.
func TestOldFrontThatIsLost(t *testing.T) {
	s := serving(t, 2, 3, "a")
	s.inFlight("web", "n2", 3)
	s.do = func(a Action, r *Result) time.Duration {
		if apply, ok := a.(Apply); ok && apply.Front == "web" {
			r.Fault, r.Step, r.Served = Fault{FaultNoFront, "the balancer does not have the front"}, StepNone, nil
		}
		return 0
	}
	s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("shop", "127.0.0.1:7"))})
	s.turn()
	s.pass(time.Second)
	assert.NotContains(t, s.fronts, "web")
	assert.Len(t, actions[Apply](s.began), 2)
}

// When a front that leaves has nothing left.
func TestFrontEmpties(t *testing.T) {
	now := simEpoch
	ready, drain := balancer.Server{Name: "n1", State: balancer.Ready}, balancer.Server{Name: "n1", State: balancer.Drain}
	front := func() (*FrontMemory, *turn) {
		w := World{Now: now, Name: "web", Pod: state.NewPod(simSpec(), now)}
		w.Balancer = Balancer{Asked: now, Fronts: map[string]balancer.FrontStats{"old": {Name: "old"}}}
		f := frontAt("old", "127.0.0.1:1")
		return &FrontMemory{
			Set: &f, Applied: []balancer.Server{drain}, Trusted: true,
			Drained: map[string]time.Time{"n1": now.Add(-2)}, Leave: &Leave{Since: now.Add(-3), By: now.Add(time.Second)},
		}, begin(w)
	}
	for name, c := range map[string]struct {
		change func(m *FrontMemory, t *turn)
		want   bool
		cut    int
	}{
		"idle":                   {func(*FrontMemory, *turn) {}, true, 0},
		"it was before":          {func(m *FrontMemory, t *turn) { m.Leave.Empty, t.w.Balancer.Fronts = true, nil }, true, 0},
		"it has requests":        {func(_ *FrontMemory, t *turn) { t.w.Balancer.Fronts["old"] = balancer.FrontStats{InFlight: 1} }, false, 0},
		"not told to drain":      {func(m *FrontMemory, _ *turn) { m.Applied = []balancer.Server{ready} }, false, 0},
		"not confirmed":          {func(m *FrontMemory, _ *turn) { m.Trusted = false }, false, 0},
		"seen before it left":    {func(m *FrontMemory, t *turn) { m.Leave.Since, m.Drained = t.w.Balancer.Asked, nil }, false, 0},
		"seen before it drained": {func(m *FrontMemory, t *turn) { m.Drained["n1"] = t.w.Balancer.Asked }, false, 0},
		"without servers":        {func(m *FrontMemory, t *turn) { m.Applied, m.Trusted, t.w.Balancer.Asked = nil, false, time.Time{} }, true, 0},
		"it is lost":             {func(m *FrontMemory, _ *turn) { m.Set, m.Trusted = nil, false }, true, 0},
		"one look failed":        {func(_ *FrontMemory, t *turn) { t.w.Balancer.Fault = Fault{FaultBalancer, "away"} }, false, 0},
		"nobody can tell":        {func(m *FrontMemory, t *turn) { m.Trusted, t.w.Balancer.Fault = false, Fault{FaultBalancer, "away"} }, true, 0},
		"out of time": {func(m *FrontMemory, t *turn) {
			m.Leave.By, t.w.Balancer.Fronts["old"] = now, balancer.FrontStats{InFlight: 4}
		}, true, 4},
		"out of time, and idle": {func(m *FrontMemory, _ *turn) { m.Leave.By, m.Trusted = now, false }, true, 0},
	} {
		m, turn := front()
		c.change(m, turn)
		assert.Equal(t, c.want, m.empties(turn, "old"), name)
		assert.Equal(t, c.want, m.Leave.Empty, name)
		assert.EqualValues(t, c.cut, turn.pod.Cut, name)
		assert.Equal(t, c.cut > 0, len(turn.plan.Events) > 0, name)
	}
}

// A node that ended lingers in the balancer also where an earlier manager put it there,
// whether that manager had noticed its end or not.
func TestServersOfAnEarlierManagerLinger(t *testing.T) {
	for _, noticed := range []bool{false, true} {
		s := serving(t, 2, 9, "a")
		s.inFlight("web", "n2", 1)
		s.exit("n2", 137)
		if noticed {
			s.turn()
		}
		s.mem = Memory{}
		clear(s.running)
		s.results = nil
		s.turn()
		s.pass(900 * time.Millisecond)
		i := slices.IndexFunc(s.fronts["web"].Servers, func(srv balancer.ServerStats) bool { return srv.Name == "n2" })
		require.GreaterOrEqual(t, i, 0, "its requests are tried on others")
		assert.Equal(t, balancer.Drain, s.fronts["web"].Servers[i].State)
		assert.Contains(t, s.hosts["a"].nodes, "n2", "and it stays until then")
		s.pass(time.Minute)
		assert.Len(t, s.fronts["web"].Servers, 2)
		assert.NotContains(t, s.hosts["a"].nodes, "n2")
	}
}

// A caller does not wait for requests over an old front, nor while the balancer
// fails.
func TestBusyLeaving(t *testing.T) {
	drain := []balancer.Server{{Name: "n1", State: balancer.Drain}}
	for name, c := range map[string]struct {
		m        FrontMemory
		inFlight int
		want     bool
	}{
		"with requests":       {FrontMemory{Trusted: true, Applied: drain}, 1, true},
		"without":             {FrontMemory{Trusted: true, Applied: drain}, 0, false},
		"not confirmed":       {FrontMemory{Applied: drain}, 1, false},
		"not told to drain":   {FrontMemory{Trusted: true, Applied: []balancer.Server{{Name: "n1", State: balancer.Ready}}}, 1, false},
		"the balancer failed": {FrontMemory{Try: Retry{Fault: Fault{FaultBalancer, "x"}}}, 0, true},
	} {
		turn := begin(World{Balancer: Balancer{Fronts: map[string]balancer.FrontStats{"web": {InFlight: c.inFlight}}}})
		assert.Equal(t, c.want, c.m.busyLeaving(turn, "web"), name)
	}
	unseen := begin(World{Balancer: Balancer{Fault: Fault{FaultBalancer, "away"}}})
	assert.True(t, (&FrontMemory{Trusted: true, Applied: drain}).busyLeaving(unseen, "web"), "nobody can tell")
}

// Of several fronts of which one cannot be set, those that were are set back before
// the caller hears of it.
func TestUpdateIsSetBack(t *testing.T) {
	s := newSim(t, 3, "a")
	s.pod = state.NewPod(*s.changed(frontAt("web", "127.0.0.1:1"), frontAt("admin", "127.0.0.1:2")), s.now)
	s.pod.SetWant(1)
	s.pass(time.Minute)
	s.do = func(a Action, r *Result) time.Duration {
		set, ok := a.(SetFront)
		switch {
		case ok && set.Front.Listen == "127.0.0.1:4":
			r.Fault, r.Step, r.Front, r.Served = Fault{FaultAddress, "another program listens there"}, StepNone, nil, nil
		case ok && set.Front.Listen == "127.0.0.1:1":
			return 100 * time.Millisecond
		}
		return 0
	}
	s.began = nil
	id := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("web", "127.0.0.1:3"), frontAt("admin", "127.0.0.1:4"))})
	s.check = func(_ state.Pod, p Plan) {
		if len(p.Answers) > 0 {
			assert.Equal(t, "127.0.0.1:1", p.Memory.Fronts["web"].Set.Listen, "set back before the answer")
		}
	}
	s.turn()
	s.pass(5 * time.Second)
	assert.Equal(t, AnswerConflict, s.answers[id].Kind)
	assert.Contains(t, s.answers[id].Text, "the address 127.0.0.1:4 of front admin is in use")
	tries := map[string]int{}
	for _, set := range actions[SetFront](s.began) {
		tries[set.Front.Listen]++
	}
	assert.Equal(t, map[string]int{"127.0.0.1:3": 1, "127.0.0.1:4": 1, "127.0.0.1:1": 1}, tries)
	assert.True(t, s.plan.Status.Converged)
}

// Where the old front cannot be removed the caller is answered all the same.
func TestUpdateIsAnsweredThoughTheOldFrontStays(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.do = fails[RemoveFront](Fault{FaultBalancer, "the socket is gone"})
	id := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("shop", "127.0.0.1:7"))})
	answered := false
	s.check = func(_ state.Pod, p Plan) {
		if len(p.Answers) > 0 {
			answered = true
			assert.Equal(t, 1, p.Memory.Fronts["web"].Leave.Try.Failures, "after it was tried once")
		}
	}
	s.turn()
	s.pass(time.Second)
	assert.True(t, answered)
	assert.Equal(t, Answer{ID: id}, s.answers[id])
	assert.Contains(t, s.sentences()[0], "front web could not be removed from the balancer: the socket is gone")
}

// A pod that could not be made, and whose fronts cannot be removed: the caller hears
// of it, and the loop goes on until they are.
func TestCreateThatCannotBeTakenBack(t *testing.T) {
	s := newSim(t, 3, "a")
	spec := s.changed(frontAt("web", "127.0.0.1:1"), frontAt("admin", "127.0.0.1:2"))
	s.pod = state.Pod{}
	s.do = func(a Action, r *Result) time.Duration {
		switch a := a.(type) {
		case SetFront:
			if a.Front.Name == "admin" {
				r.Fault, r.Step, r.Front = Fault{FaultBalancer, "no more files"}, StepNone, nil
			}
		case RemoveFront:
			r.Fault = Fault{FaultBalancer, "the socket is gone"}
		}
		return 0
	}
	id := s.command(Command{Kind: CommandCreate, Spec: spec})
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, AnswerFailed, s.answers[id].Kind)
	assert.False(t, s.gone)
	assert.Contains(t, codes(s.plan), ProblemLeftFront)
	s.do = nil
	s.pass(2 * time.Minute)
	assert.True(t, s.gone)
	assert.Empty(t, s.fronts)
}

// The answer to a caller who does not wait any more holds up nobody.
func TestWithdrawnWhileItIsHeld(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.do = func(a Action, _ *Result) time.Duration {
		if remove, ok := a.(RemoveFront); ok && remove.Front == "web" {
			return time.Hour
		}
		return 0
	}
	first := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("one", "127.0.0.1:7"))})
	s.turn()
	s.pass(5 * time.Second)
	require.NotContains(t, s.answers, first)
	require.NotNil(t, s.mem.Answer)
	s.waiting = nil
	s.answers[first] = Answer{} // nobody hears it
	second := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("two", "127.0.0.1:8"))})
	s.turn()
	s.pass(5 * time.Second)
	assert.Equal(t, "two", s.pod.Spec.Fronts[0].Name)
	require.NotContains(t, s.answers, second, "an old front is still there")
	s.waiting = nil
	s.turn()
	assert.Nil(t, s.mem.Answer)
}

// A pod without fronts lives on, and does not need the balancer.
func TestPodWithoutFronts(t *testing.T) {
	s := newSim(t, 3, "a")
	s.pod = state.NewPod(*s.changed(), s.now)
	s.down = Fault{FaultBalancer, "no answer"}
	s.pod.SetWant(1)
	s.pass(time.Minute)
	assert.False(t, s.gone)
	assert.Equal(t, 1, s.online())
	assert.True(t, s.plan.Status.Converged)
	assert.Empty(t, s.plan.Problems)
	s.pod.SetWant(0)
	s.turn()
	s.pass(time.Minute)
	assert.False(t, s.gone)
	s.command(Command{Kind: CommandDelete})
	s.turn()
	assert.True(t, s.gone)
}

// The fronts of a pod that is deleted go, also those that an earlier manager set.
func TestFrontsOfADeletedPodThatWasAdopted(t *testing.T) {
	s := serving(t, 0, 3, "a")
	require.Contains(t, s.fronts, "web")
	s.pod.Delete()
	s.mem = Memory{}
	s.turn()
	s.pass(time.Second)
	assert.True(t, s.gone)
	assert.NotContains(t, s.fronts, "web")
}

// While the balancer is told of a node it may have it already: a node that leaves
// then waits for the answer.
func TestNodeThatLeavesBeforeTheBalancerHasAnswered(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.do = func(a Action, _ *Result) time.Duration {
		if _, ok := a.(Apply); ok {
			return 20 * time.Second
		}
		return 0
	}
	s.pod.SetWant(2)
	s.turn()
	s.pass(5 * time.Second)
	require.Equal(t, pod.StateOnline, s.pod.Node("n2").State)
	s.pod.SetWant(1)
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, pod.StateDraining, s.pod.Node("n2").State)
	assert.Empty(t, actions[Stop](s.began), "the balancer may give it requests by now")
	assert.True(t, s.mem.Fronts["web"].has("n2"))
	assert.False(t, s.mem.Fronts["web"].Trusted)
	s.do = nil
	s.pass(time.Minute)
	assert.Nil(t, s.pod.Node("n2"))
}

// Each difference between what was set and what the balancer shows counts.
func TestDifferencesOfServers(t *testing.T) {
	for name, change := range map[string]func(f *balancer.ServerStats){
		"name":   func(f *balancer.ServerStats) { f.Name = "x" },
		"addr":   func(f *balancer.ServerStats) { f.Addr = "10.9.9.9:1" },
		"state":  func(f *balancer.ServerStats) { f.State = balancer.Drain },
		"weight": func(f *balancer.ServerStats) { f.Weight = 7 },
	} {
		s := serving(t, 1, 3, "a")
		s.now = s.now.Add(time.Second)
		turn := s.begun()
		turn.compare()
		assert.True(t, turn.mem.Fronts["web"].Trusted)
		change(&s.fronts["web"].Servers[0])
		turn = s.begun()
		turn.compare()
		assert.False(t, turn.mem.Fronts["web"].Trusted, name)
		assert.NotNil(t, turn.mem.Fronts["web"].Set)
		assert.Equal(t, turn.w.Now, turn.mem.Fronts["web"].At)
		for how, other := range map[string]func(m *FrontMemory){
			"it leaves":   func(m *FrontMemory) { m.Leave = &Leave{} },
			"not trusted": func(m *FrontMemory) { m.Trusted = false },
		} {
			turn = s.begun()
			m := turn.mem.Fronts["web"]
			other(m)
			at := m.At
			turn.compare()
			assert.Equal(t, at, m.At, how)
		}
	}
	s := serving(t, 1, 3, "a")
	s.now = s.now.Add(time.Second)
	delete(s.fronts, "web")
	turn := s.begun()
	turn.compare()
	assert.Nil(t, turn.mem.Fronts["web"].Set, "it is lost")
}

// Since when a node gets no new requests: since the last of its fronts confirmed it.
func TestDrainedOnAllFronts(t *testing.T) {
	at := func(d time.Duration) time.Time { return simEpoch.Add(d) }
	front := func(since time.Duration) *FrontMemory {
		return &FrontMemory{Applied: []balancer.Server{{Name: "n1"}}, Trusted: true, Drained: map[string]time.Time{"n1": at(since)}}
	}
	turn := begin(World{Running: map[Key]time.Time{}})
	set := func(change func(b *FrontMemory)) time.Time {
		b := front(2)
		change(b)
		turn.mem.Fronts = map[string]*FrontMemory{"a": front(1), "b": b, "c": front(1), "other": {Applied: []balancer.Server{{Name: "x"}}}}
		return turn.drained("n1")
	}
	assert.Equal(t, at(2), set(func(*FrontMemory) {}))
	assert.Zero(t, set(func(b *FrontMemory) { b.Drained = nil }))
	assert.Zero(t, set(func(b *FrontMemory) { b.Trusted = false }))
	turn.w.Running[FrontKey("b")] = at(0)
	assert.Zero(t, set(func(*FrontMemory) {}))
	assert.Zero(t, turn.drained("nobody"))
	assert.True(t, turn.serving("n1"))
	assert.False(t, turn.serving("nobody"))
}

// Whether a front has a node; before the first answer by what was left there.
func TestHasServer(t *testing.T) {
	turn := begin(World{Balancer: Balancer{Fronts: map[string]balancer.FrontStats{"web": {Servers: []balancer.ServerStats{{Name: "left"}}}}}})
	applied := []balancer.Server{{Name: "n1"}}
	for _, c := range []struct {
		m    FrontMemory
		node string
		want bool
	}{
		{FrontMemory{Tried: true, Applied: applied}, "n1", true},
		{FrontMemory{Tried: true, Applied: applied}, "left", false},
		{FrontMemory{Tried: true}, "left", false},
		{FrontMemory{Applied: applied}, "n1", true},
		{FrontMemory{Applied: applied}, "left", false},
		{FrontMemory{}, "left", true},
		{FrontMemory{}, "n1", false},
	} {
		assert.Equal(t, c.want, turn.hasServer(&c.m, "web", c.node), "%+v %s", c.m, c.node)
	}
}

// A new node that had requests before a blue-green rollout began finishes them.
func TestWithheldNodeFinishesWhatItHas(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.revise("2", state.Update{MinReady: time.Hour})
	s.turn()
	s.pass(10 * time.Second)
	require.Equal(t, []string{"n1", "n2"}, s.servers("web"))
	s.pod.Spec.Update = state.Update{Strategy: state.BlueGreen, MinReady: time.Hour}.WithDefaults()
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, []string{"n1"}, s.servers("web"))
	require.Len(t, s.fronts["web"].Servers, 2)
	assert.Equal(t, balancer.Drain, s.fronts["web"].Servers[1].State)
}

// A change of servers belongs to the departure of a node that is idle, or else to
// what the turn is busy with.
func TestServingCause(t *testing.T) {
	for name, c := range map[string]struct {
		drain  DrainMemory
		behind bool
		want   string
	}{
		"idle, and still behind a front": {DrainMemory{Cause: "drain", Idle: simEpoch}, true, "drain"},
		"idle, and gone from it":         {DrainMemory{Cause: "drain", Idle: simEpoch}, false, "turn"},
		"busy":                           {DrainMemory{Cause: "drain"}, true, "turn"},
		"nobody traced it":               {DrainMemory{Idle: simEpoch}, true, "turn"},
	} {
		s := newSim(t, 3, "a")
		s.add(1, 1, "a")
		turn := s.begun()
		turn.cause = "turn"
		turn.mem.Nodes["n1"].Drain = c.drain
		turn.mem.Fronts["web"] = &FrontMemory{}
		if c.behind {
			turn.mem.Fronts["web"].Applied = []balancer.Server{{Name: "n1"}}
		}
		assert.Equal(t, c.want, turn.servingCause(), name)
	}
}

func TestResultsOfFronts(t *testing.T) {
	for kind, want := range map[ResultKind]bool{FrontEnded: true, RemoveEnded: true, StartEnded: false, StopEnded: false, ResolveEnded: false} {
		assert.Equal(t, want, Result{Kind: kind}.OfFront(), kind)
	}
	assert.Equal(t, Key("cancel/node/n1"), Cancel{Of: NodeKey("n1")}.Key())
	assert.Equal(t, Key("release/node/n1"), Release{Of: NodeKey("n1")}.Key())
	assert.NotEqual(t, NodeKey("x"), FrontKey("x"))
	var m Memory
	fronts := map[string]*FrontMemory{"web": {}}
	m.KeepFronts(Memory{Fronts: fronts})
	assert.Equal(t, fronts, m.Fronts)
}

// What the balancer has from the start on is seen before the next tick.
func TestBalancerIsObservedAfterItsFirstAnswer(t *testing.T) {
	s := newSim(t, 3, "a")
	s.turn()
	s.now = s.now.Add(time.Second)
	s.finish()
	assert.True(t, s.turn().Look.Balancer)
	s.pod.SetWant(1)
	s.pass(time.Minute)
	s.pod.SetWant(2)
	s.turn()
	s.now = s.now.Add(5 * time.Second)
	s.finish()
	s.turn()
	s.now = s.now.Add(5 * time.Second)
	s.finish()
	assert.False(t, s.turn().Look.Balancer, "no server was drained")
}

// Servers are set in the order of their names, as the balancer shows them.
func TestServersAreSortedByName(t *testing.T) {
	s := newSim(t, 20, "a")
	s.pod.Spec.MaxNodes = 20
	s.pod.SetWant(12)
	s.pass(time.Minute)
	names := s.servers("web")
	require.Len(t, names, 12)
	assert.Equal(t, []string{"n1", "n10", "n11", "n12", "n2"}, names[:5])
}

// An answer to a caller who has gone is given to nobody.
func TestAnswerToACallerWhoHasGone(t *testing.T) {
	s := serving(t, 1, 3, "a")
	s.mem.Answer = &Answer{ID: 99}
	assert.Empty(t, s.turn().Answers)
	assert.Nil(t, s.mem.Answer)
}

// Of two callers that create a pod the first one is refused, and the second one makes
// it.
func TestTwoCreateAtTheSameTime(t *testing.T) {
	s := newSim(t, 3, "a")
	taken, free := s.changed(frontAt("web", "127.0.0.1:1")), s.changed(frontAt("shop", "127.0.0.1:2"))
	s.pod = state.Pod{}
	s.do = func(a Action, r *Result) time.Duration {
		set, ok := a.(SetFront)
		switch {
		case ok && set.Front.Name == "web":
			r.Fault, r.Step, r.Front = Fault{FaultAddress, "another program listens there"}, StepNone, nil
		case ok:
			return time.Second
		}
		return 0
	}
	first := s.command(Command{Kind: CommandCreate, Spec: taken})
	second := s.command(Command{Kind: CommandCreate, Spec: free})
	s.check = func(_ state.Pod, p Plan) {
		for _, a := range p.Answers {
			if a.ID == first {
				assert.Equal(t, AnswerConflict, a.Kind)
				assert.NotContains(t, p.Memory.Fronts, "web")
				assert.False(t, p.Pod.CreatedAt.IsZero(), "once it is known what becomes of the pod")
			}
		}
	}
	s.turn()
	s.pass(5 * time.Second)
	assert.Equal(t, AnswerConflict, s.answers[first].Kind)
	assert.Equal(t, Answer{ID: second}, s.answers[second])
	assert.Equal(t, "shop", s.pod.Spec.Fronts[0].Name)
	assert.False(t, s.gone)
}
