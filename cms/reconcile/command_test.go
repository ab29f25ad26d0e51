package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// obey gives a command, makes a turn and returns the answer.
func (s *sim) obey(c Command) Answer {
	id := s.command(c)
	s.turn()
	a := s.answers[id]
	require.Equal(s.t, id, a.ID, "it is answered in the same turn")
	return a
}

func TestNodesByHand(t *testing.T) {
	s := newSim(t, 2, "a")
	s.pod.Spec.MaxNodes = 2
	a := s.obey(Command{Kind: CommandRegister})
	require.NotNil(t, a.Node)
	assert.Equal(t, "n1", a.Node.Name)
	assert.Equal(t, pod.StateNew, a.Node.State)
	assert.Equal(t, []string{"node n1 was registered"}, s.eventsOf(EventNodeRegistered))
	assert.Equal(t, Answer{ID: 2, Kind: AnswerExists, Text: `node "n1" of pod "web" exists already`}, s.obey(Command{Kind: CommandRegister, Node: "n1"}))
	assert.Equal(t, "mine", s.obey(Command{Kind: CommandRegister, Node: "mine"}).Node.Name)
	full := s.obey(Command{Kind: CommandRegister})
	assert.Equal(t, AnswerConflict, full.Kind)
	assert.Equal(t, "pod web has 2 nodes, its limit; raise max_nodes or remove one", full.Text)

	a = s.obey(Command{Kind: CommandLaunch})
	require.NotNil(t, a.Node, a.Text)
	assert.Equal(t, "n1", a.Node.Name, "the oldest one")
	assert.Equal(t, pod.StateStarting, a.Node.State)
	assert.Equal(t, 1, s.pod.Want)
	assert.Equal(t, "mine", s.obey(Command{Kind: CommandLaunch}).Node.Name)
	assert.Equal(t, "pod web has no new node; register one first", s.obey(Command{Kind: CommandLaunch}).Text)
	s.pod.Spec.MaxNodes = 3
	s.obey(Command{Kind: CommandRegister})
	assert.Equal(t, "no room: host a 0 of 2 CPUs free", s.obey(Command{Kind: CommandLaunch}).Text)
	assert.Equal(t, 2, s.pod.Want)
	s.pod.Spec.MaxNodes = 2
	assert.Equal(t, "pod web has 2 launched nodes, its limit; raise max_nodes or remove one", s.obey(Command{Kind: CommandLaunch}).Text)
	s.pass(time.Minute)

	assert.Equal(t, Answer{Kind: AnswerNotFound, Text: `there is no node "nobody" in pod "web"`, ID: uint64(len(s.answers) + 1)}, s.obey(Command{Kind: CommandRemove, Node: "nobody"}))
	a = s.obey(Command{Kind: CommandRemove, Node: "n2"})
	require.NotNil(t, a.Node)
	assert.Equal(t, pod.StateGone, a.Node.State, "there was nothing to stop")
	assert.Equal(t, 2, s.pod.Want)
	a = s.obey(Command{Kind: CommandRemove, Node: "n1"})
	require.NotNil(t, a.Node)
	assert.Equal(t, pod.StateDraining, a.Node.State)
	assert.Equal(t, "removed", a.Node.Reason)
	assert.Equal(t, 1, s.pod.Want, "it is not replaced")
	a = s.obey(Command{Kind: CommandRemove, Node: "n1"})
	assert.Equal(t, pod.StateDraining, a.Node.State)
	assert.Equal(t, 1, s.pod.Want, "twice is no harm")
	s.pass(time.Minute)
	assert.Len(t, s.pod.Nodes, 1)

	// A failed node is removed at once where nothing is left of it.
	s.exit("mine", 1)
	s.turn()
	busy := s.failedAndBusy("mine")
	assert.Equal(t, "node mine is being cleaned up; try again", busy.Text)
	assert.Nil(t, busy.Node)
	s.pass(10 * time.Second)
	assert.Equal(t, pod.StateGone, s.obey(Command{Kind: CommandRemove, Node: "mine"}).Node.State)
	assert.Equal(t, 1, s.pod.Want)
	assert.Equal(t, 1, s.online(), "it was replaced")
}

// Who removes a node in whose place another one runs does not want fewer.
func TestRemoveWhatWasReplaced(t *testing.T) {
	s := newSim(t, 4, "a", "b")
	names := func() (out []string) {
		for i := range s.pod.Nodes {
			out = append(out, s.pod.Nodes[i].Name)
		}
		return out
	}
	s.pod.SetWant(2)
	s.pass(time.Minute)
	s.away("a", true)
	s.pass(30 * time.Second)
	s.turn()
	s.pass(time.Minute)
	require.Equal(t, []string{"n1", "n2", "n3"}, names())
	assert.Equal(t, pod.StateDraining, s.obey(Command{Kind: CommandRemove, Node: "n1"}).Node.State)
	assert.Equal(t, 2, s.pod.Want, "n3 runs in the place of n1")
	s.away("a", false)
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, []string{"n2", "n3"}, names())

	s.do = func(a Action, _ *Result) time.Duration {
		if start, ok := a.(Start); ok && start.Node == "n4" {
			return time.Hour
		}
		return 0
	}
	s.pod.SetWant(3)
	s.turn()
	s.turn()
	s.pass(time.Minute)
	require.Equal(t, []string{"n2", "n3", "n4", "n5"}, names())
	s.obey(Command{Kind: CommandRemove, Node: "n4"})
	assert.Equal(t, 3, s.pod.Want, "n5 was started, as n4 took too long")
	s.pass(time.Minute)
	assert.Equal(t, []string{"n2", "n3", "n5"}, names())
	s.obey(Command{Kind: CommandRemove, Node: "n5"})
	assert.Equal(t, 2, s.pod.Want)
}

// failedAndBusy asks to remove a node that is being cleaned up.
func (s *sim) failedAndBusy(name string) Answer {
	for i := 0; s.running[NodeKey(name)] == nil; i++ {
		require.Less(s.t, i, 5000)
		s.pass(time.Millisecond)
	}
	return s.obey(Command{Kind: CommandRemove, Node: name})
}

// A person may try a host on which starts fail.
func TestLaunchByHandOnAHostThatFails(t *testing.T) {
	s := newSim(t, 4, "a")
	s.obey(Command{Kind: CommandRegister})
	s.mem.Starts = map[string]Retry{"a": {Failures: 9, Next: s.now.Add(time.Hour), Node: "n0", Fault: Fault{FaultOther, "x"}}}
	assert.Equal(t, AnswerDone, s.obey(Command{Kind: CommandLaunch}).Kind)
	assert.Equal(t, "a", s.pod.Node("n1").Host)

	s = newSim(t, 4, "a", "b")
	s.obey(Command{Kind: CommandRegister})
	s.mem.Starts = map[string]Retry{"a": {Failures: 9, Next: s.now.Add(time.Hour), Node: "n0", Fault: Fault{FaultOther, "x"}}}
	s.obey(Command{Kind: CommandLaunch})
	assert.Equal(t, "b", s.pod.Node("n1").Host, "another one is better")
}

// While a rollout is paused, what a person launches is what is proven.
func TestLaunchByHandDuringARollout(t *testing.T) {
	for paused, revision := range map[bool]uint64{true: 1, false: 2} {
		s := serving(t, 2, 9, "a")
		s.revise("2", state.Update{MinReady: time.Hour})
		s.turn()
		s.pass(10 * time.Second)
		s.obey(Command{Kind: CommandRollout, On: paused})
		s.obey(Command{Kind: CommandRegister})
		n := s.obey(Command{Kind: CommandLaunch}).Node
		require.NotNil(t, n)
		assert.Equal(t, revision, n.Revision)
		s.pass(10 * time.Second)
		if paused {
			assert.Equal(t, [2]int{3, 1}, [2]int{s.live(1), s.live(2)})
		}
	}
}

func TestNothingByHandWhereElasticityIsOn(t *testing.T) {
	s := serving(t, 2, 9, "a")
	e := state.Elasticity{Enabled: true, Min: 1, Max: 5}.For(s.pod.Spec.Spec)
	s.obey(Command{Kind: CommandElasticity, Elasticity: &e})
	for kind, what := range map[CommandKind]string{CommandRegister: "register a node", CommandLaunch: "launch a node", CommandRemove: "remove a node"} {
		a := s.obey(Command{Kind: kind, Node: "n1"})
		assert.Equal(t, AnswerConflict, a.Kind)
		assert.Nil(t, a.Node)
		assert.Equal(t, 2, s.online(), "nothing is done")
		assert.Equal(t, "elasticity of pod web is on, so you cannot "+what+" by hand; disable it first (PATCH its elasticity with enabled false, or cloud elasticity disable web)", a.Text)
	}
	s.exit("n1", 1)
	s.turn()
	s.pass(10 * time.Second)
	assert.Equal(t, AnswerDone, s.obey(Command{Kind: CommandRemove, Node: "n1"}).Kind, "of a failed one nobody loses anything")

	s = serving(t, 2, 9, "a")
	s.mode = Halting
	assert.Equal(t, "the manager is stopping all nodes", s.obey(Command{Kind: CommandRegister}).Text)
	s.pass(time.Minute)
	assert.Empty(t, s.pod.Nodes)
	assert.Equal(t, 2, s.pod.Want, "the next manager starts as many again")
	assert.False(t, s.gone)
	s.mode = Managing
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, 2, s.online())
}

// Registered nodes are used first where elasticity starts them.
func TestElasticityUsesRegisteredNodes(t *testing.T) {
	s := newSim(t, 9, "a")
	s.obey(Command{Kind: CommandRegister, Node: "mine"})
	e := state.Elasticity{Enabled: true, Min: 2, Max: 5}.For(s.pod.Spec.Spec)
	s.obey(Command{Kind: CommandElasticity, Elasticity: &e})
	assert.Equal(t, pod.StateStarting, s.pod.Node("mine").State)
	assert.Len(t, s.pod.Nodes, 2)

	s = newSim(t, 9, "a")
	s.obey(Command{Kind: CommandRegister, Node: "mine"})
	s.pod.SetWant(1)
	s.turn()
	assert.Equal(t, pod.StateNew, s.pod.Node("mine").State, "it is a person's to launch")
}

func TestCommandElasticity(t *testing.T) {
	s := serving(t, 2, 9, "a")
	a := s.obey(Command{Kind: CommandElasticity, Elasticity: &state.Elasticity{Enabled: true, Min: 5, Max: 3}})
	assert.Equal(t, AnswerInvalid, a.Kind)
	require.Len(t, a.Faults, 1)
	assert.Equal(t, "max", a.Faults[0].Path)
	assert.False(t, s.pod.Elasticity.Enabled)

	w := s.now.Add(time.Millisecond)
	a = s.obey(Command{Kind: CommandElasticity, Elasticity: &state.Elasticity{Enabled: true, Min: 4, Max: 6}})
	assert.Equal(t, AnswerDone, a.Kind)
	assert.Equal(t, 4, s.pod.Want)
	assert.Equal(t, w, s.plan.Wake, "the policy is made at once")
	assert.Equal(t, []string{"elasticity of pod web is on, for 4 to 6 nodes"}, s.eventsOf(EventElasticityChanged))
	require.Len(t, s.plan.Ticks, 1)
	tick := s.plan.Ticks[0]
	assert.Equal(t, 2, tick.Before)
	assert.Equal(t, 4, tick.Decision.Want)
	assert.Equal(t, 4, tick.Sample.Want)
	assert.Equal(t, [3]int{2, 4, 6}, [3]int{tick.Observation.Want, tick.Observation.Min, tick.Observation.Max})
	assert.Equal(t, elastic.RuleEnabled, tick.Decision.Steps[0].Rule)
	assert.Equal(t, s.now, tick.At)
	s.obey(Command{Kind: CommandElasticity, Elasticity: &state.Elasticity{Enabled: true, Min: 1, Max: 6}})
	assert.Empty(t, s.plan.Ticks, "the number stays")
	s.pass(time.Minute)

	// A paused pod keeps its number; it is brought inside when it goes on.
	s.obey(Command{Kind: CommandPause, On: true})
	s.obey(Command{Kind: CommandElasticity, Elasticity: &state.Elasticity{Enabled: true, Min: 1, Max: 3}})
	assert.Equal(t, 4, s.pod.Want)
	s.obey(Command{Kind: CommandPause})
	assert.Equal(t, 3, s.pod.Want)
	require.Len(t, s.plan.Ticks, 1)

	// A job's pod may have no node.
	job := s.pod.Spec.Clone()
	job.Kind = pod.KindJob
	s.pod.Spec = job
	assert.Equal(t, AnswerDone, s.obey(Command{Kind: CommandElasticity, Elasticity: &state.Elasticity{Enabled: true, Max: 3}}).Kind)
	assert.Zero(t, s.pod.Elasticity.Min)
}

func TestUpdateThatIsRefused(t *testing.T) {
	s := serving(t, 4, 9, "a")
	spec := s.pod.Spec.Clone()
	spec.Kind, spec.MaxNodes = pod.KindJob, 3
	a := s.obey(Command{Kind: CommandUpdate, Spec: &spec})
	assert.Equal(t, AnswerInvalid, a.Kind)
	require.Len(t, a.Faults, 2)
	assert.Equal(t, "kind: cannot be changed from service to job; create another pod", a.Faults[0].String())
	assert.Equal(t, "max_nodes: 3 is below the number of nodes; use at least 4, or remove nodes first", a.Faults[1].String())
	s.obey(Command{Kind: CommandElasticity, Elasticity: &state.Elasticity{Enabled: true, Min: 1, Max: 6}})
	spec = s.pod.Spec.Clone()
	spec.MaxNodes = 5
	assert.Equal(t, "max_nodes: 5 is below elasticity's max; use at least 6, or lower elasticity's max first", s.obey(Command{Kind: CommandUpdate, Spec: &spec}).Faults[0].String())
	spec.MaxNodes = 6
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, 6, s.pod.Spec.MaxNodes)
	assert.Nil(t, s.pod.Rollout, "nothing else runs")
	s.pod.Elasticity.Enabled = false
	spec.MaxNodes = s.pod.Want
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, 4, s.pod.Spec.MaxNodes, "as many as there are")
	assert.Equal(t, 4, s.pod.Elasticity.Max, "its bounds follow")
}

func TestRolloutCommands(t *testing.T) {
	s := serving(t, 2, 9, "a")
	for _, c := range []Command{{Kind: CommandRollout, On: true}, {Kind: CommandRollout}} {
		assert.Equal(t, "pod web has no rollout under way", s.obey(c).Text)
	}
	assert.Equal(t, "pod web has run nothing else before", s.obey(Command{Kind: CommandUndo}).Text)
	assert.Equal(t, "revision 7 of pod web is not kept", s.obey(Command{Kind: CommandUndo, Number: 7}).Text)
	assert.Equal(t, "pod web runs revision 1 already", s.obey(Command{Kind: CommandUndo, Number: 1}).Text)

	spec := s.pod.Spec.Clone()
	spec.Workload.Env = map[string]string{"VERSION": "2"}
	spec.Update = state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 30, Pause: 30 * time.Second}}}.WithDefaults()
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	s.turn()
	assert.Equal(t, []string{"pod web changes from revision 1 to 2"}, s.eventsOf(EventRolloutStarted))
	s.pass(20 * time.Second)
	require.False(t, s.mem.Rollout.StepReady.IsZero())
	s.obey(Command{Kind: CommandRollout, On: true})
	saves := s.saves
	s.obey(Command{Kind: CommandRollout, On: true})
	assert.Equal(t, saves, s.saves, "twice changes nothing")
	assert.Equal(t, []string{"the rollout of pod web was paused"}, s.eventsOf(EventRolloutPaused))
	s.pass(time.Hour)
	assert.Zero(t, s.pod.Rollout.Step)
	s.obey(Command{Kind: CommandRollout})
	assert.Equal(t, []string{"the rollout of pod web goes on"}, s.eventsOf(EventRolloutResumed))
	s.pass(29 * time.Second)
	assert.Zero(t, s.pod.Rollout.Step, "the step begins anew")
	s.pass(2 * time.Second)
	assert.Equal(t, []string{"pod web rolls all other nodes: its canary passed"}, s.eventsOf(EventRolloutStep))

	// Back amid the rollout, by hand.
	s.obey(Command{Kind: CommandUndo})
	assert.Equal(t, state.RolloutRolledBack, s.pod.Rollout.State)
	assert.Equal(t, []string{"pod web goes back to revision 1: back to revision 1, by hand"}, s.eventsOf(EventRolloutRolledBack))
	s.pass(time.Minute)
	assert.Equal(t, 2, s.live(1))
	assert.True(t, s.plan.Status.Converged)

	// And to what was undone.
	s.obey(Command{Kind: CommandUndo})
	assert.EqualValues(t, 2, s.pod.Revision)
	s.pass(10 * time.Minute)
	assert.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.Equal(t, []string{"pod web runs revision 2"}, s.eventsOf(EventRolloutDone))
	s.obey(Command{Kind: CommandUndo})
	assert.EqualValues(t, 1, s.pod.Revision)
	s.obey(Command{Kind: CommandRestart})
	assert.EqualValues(t, 3, s.pod.Revision)
	assert.Equal(t, "restarted by hand", s.pod.Rollout.Reason)
	assert.EqualValues(t, 2, s.pod.Rollout.From, "what was proven last")
}

// A revision that does not go with the fronts of today is not gone back to.
func TestUndoThatDoesNotFit(t *testing.T) {
	s := serving(t, 1, 9, "a")
	spec := s.pod.Spec.Clone()
	spec.Workload.Ports = map[string]int{"web": 8080}
	spec.Workload.Probe.Port, spec.Fronts[0].Port = "web", "web"
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	s.turn()
	s.pass(time.Minute)
	require.EqualValues(t, 2, s.pod.Revision)
	a := s.obey(Command{Kind: CommandUndo})
	assert.Equal(t, AnswerConflict, a.Kind)
	assert.Contains(t, a.Text, `revision 1 does not go with the pod's fronts: fronts[0].port: "web" is not a port of the workload`)
	assert.EqualValues(t, 2, s.pod.Revision)
}

// A rollout that fails and cannot go back stays where it is, and says so.
func TestRolloutThatCannotGoBack(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.do = func(a Action, r *Result) time.Duration {
		if start, ok := a.(Start); ok && start.Revision == 2 {
			r.Fault = Fault{FaultExited, "exit code 1"}
		}
		return 0
	}
	spec := s.pod.Spec.Clone()
	spec.Workload.Ports = map[string]int{"web": 8080}
	spec.Workload.Probe.Port, spec.Fronts[0].Port = "web", "web"
	spec.Update.Failures = 1
	s.command(Command{Kind: CommandUpdate, Spec: &spec})
	s.turn()
	s.pass(time.Minute)
	assert.EqualValues(t, 2, s.pod.Revision)
	assert.Contains(t, codes(s.plan), ProblemRollback)
	assert.Contains(t, s.sentences()[len(s.sentences())-1], "the rollout failed, and the pod cannot go back: ")
	failed := *s
	s.obey(Command{Kind: CommandRestart})
	assert.NotContains(t, codes(s.plan), ProblemRollback, "another rollout begins")
	s = &failed
	s.do = nil
	s.turn()
	s.pass(10 * time.Minute)
	require.Equal(t, state.RolloutDone, s.pod.Rollout.State)
	assert.NotContains(t, codes(s.plan), ProblemRollback, "its nodes start after all")
}

func TestDeletedPodTakesNoCommands(t *testing.T) {
	s := serving(t, 1, 9, "a")
	s.inFlight("web", "n1", 1)
	s.obey(Command{Kind: CommandDelete})
	for _, kind := range []CommandKind{CommandUpdate, CommandPause, CommandElasticity, CommandRegister, CommandLaunch, CommandRollout, CommandUndo, CommandRestart, CommandRestore, CommandCreate} {
		a := s.obey(Command{Kind: kind})
		assert.Equal(t, AnswerConflict, a.Kind, kind)
		assert.Equal(t, "pod web is being deleted", a.Text)
	}
	saves := s.saves
	assert.Equal(t, AnswerDone, s.obey(Command{Kind: CommandDelete}).Kind, "twice is no harm")
	assert.Equal(t, saves, s.saves)
	assert.Equal(t, AnswerDone, s.obey(Command{Kind: CommandRemove, Node: "n1"}).Kind)
	assert.Equal(t, AnswerDone, s.obey(Command{Kind: CommandFit, Record: &s.pod}).Kind)
	assert.Len(t, s.eventsOf(EventPodDeleting), 1)
}

// A change that was made is answered so, also where the pod is deleted before its old
// front is gone and another change is refused.
func TestAnswerOfAChangeBeforeADeletion(t *testing.T) {
	s := serving(t, 1, 9, "a")
	stuck := true
	s.do = func(a Action, _ *Result) time.Duration {
		if _, ok := a.(RemoveFront); ok && stuck {
			return time.Minute
		}
		return 0
	}
	first := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("shop", "127.0.0.1:7"))})
	s.turn()
	s.pass(time.Second)
	require.NotContains(t, s.answers, first)
	require.Equal(t, "shop", s.pod.Spec.Fronts[0].Name, "it is made")
	s.inFlight("shop", "n1", 1)
	s.command(Command{Kind: CommandDelete})
	s.turn()
	second := s.command(Command{Kind: CommandUpdate, Spec: s.changed(frontAt("other", "127.0.0.1:8"))})
	s.turn()
	assert.Equal(t, "pod web is being deleted", s.answers[second].Text)
	s.pass(2 * time.Minute)
	assert.Equal(t, Answer{ID: first}, s.answers[first])
}

func TestCommandsToAPodThatIsNotThere(t *testing.T) {
	s := newSim(t, 9, "a")
	s.pod = state.Pod{}
	a := s.obey(Command{Kind: CommandPause, On: true})
	assert.Equal(t, Answer{ID: 1, Kind: AnswerNotFound, Text: `there is no pod "web"`}, a)
	assert.True(t, s.gone)
}

func TestRestoreOfSettings(t *testing.T) {
	s := serving(t, 3, 9, "a")
	backup := s.pod.Clone()
	backup.Paused, backup.Want, backup.Serial = true, 2, 50
	backup.Elasticity = state.Elasticity{Enabled: true, Min: 4, Max: 6}.For(backup.Spec.Spec)
	s.obey(Command{Kind: CommandRestore, Record: &backup})
	assert.True(t, s.pod.Paused)
	assert.Equal(t, 4, s.pod.Want, "a pod that scales by itself knows better than its backup")
	assert.Equal(t, backup.Elasticity, s.pod.Elasticity)
	assert.Equal(t, "n51", s.pod.Nodes[3].Name)
	s.obey(Command{Kind: CommandRestore, Record: &backup, Fresh: true})
	assert.Equal(t, 2, s.pod.Want)
	fit := s.pod.Clone()
	fit.Spec.MaxNodes = 1
	s.obey(Command{Kind: CommandFit, Record: &fit})
	assert.Equal(t, [3]int{1, 1, 1}, [3]int{s.pod.Want, s.pod.Elasticity.Min, s.pod.Elasticity.Max})
}

// Where nothing can be saved commands are refused, with the reason, and nothing is
// changed.
func TestCommandsWhileNothingCanBeSaved(t *testing.T) {
	s := serving(t, 2, 9, "a")
	s.store = Fault{FaultStoreFull, "no space left"}
	a := s.obey(Command{Kind: CommandDelete})
	assert.Equal(t, Answer{ID: 1, Kind: AnswerUnsaved, Text: "no space left"}, a)
	s.exit("n1", 1)
	s.pod.SetWant(5)
	saves := s.saves
	s.pass(time.Minute)
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, saves, s.saves)
	assert.Len(t, s.pod.Nodes, 2)
	assert.Equal(t, pod.StateOnline, s.pod.Node("n1").State)
	assert.Equal(t, []string{"n2"}, s.servers("web"), "the dead one is out")
	assert.Equal(t, []Code{ProblemStore}, codes(s.plan))
	s.store = Fault{}
	s.turn()
	s.pass(time.Minute)
	assert.Equal(t, 5, s.online())
}

// What a turn begins belongs to the trace of what caused it: its own, or that of
// the first command or result in it.
func TestCauses(t *testing.T) {
	s := serving(t, 1, 9, "a")
	w := s.world()
	w.Now = w.Now.Add(time.Second)
	w.Pod.Want = 2
	cause := func(w World) string { return Reconcile(w).Memory.Nodes["n2"].Cause }
	assert.Empty(t, cause(w))
	w.Results = []Result{{Kind: StopEnded, Key: "node/x", Node: "x"}, {Kind: StopEnded, Key: "node/x", Node: "x", Cause: "result"}}
	assert.Equal(t, "result", cause(w))
	w.Commands = []Command{{ID: 1, Kind: CommandPause, Cause: "command"}, {ID: 2, Kind: CommandPause, Cause: "later"}}
	assert.Equal(t, "command", cause(w))
	w.Cause = "tick"
	assert.Equal(t, "tick", cause(w))
}
