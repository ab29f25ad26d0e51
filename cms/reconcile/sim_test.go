package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// sim plays the world around one pod: each turn it builds a World, reconciles it,
// and does what the plan says. Time passes only when the test says so.
type sim struct {
	t       require.TestingT
	now     time.Time
	pod     state.Pod
	mem     Memory
	hosts   map[string]*simHost
	fronts  map[string]*balancer.FrontStats // in the balancer
	down    Fault                           // why the balancer does not answer
	probes  map[string]Probed
	running map[Key]*simRun
	results []Result
	waiting []Command
	tick    *Deciding
	store   Fault
	mode    Mode
	turns   uint64
	looked  time.Time // when the last turn was

	boot time.Duration // of nodes that start, unless do says otherwise
	// do says how an action goes that is no Cancel: how long it takes, and what
	// goes wrong. It may fill in the result.
	do func(a Action, r *Result) time.Duration

	answers map[uint64]Answer
	events  []Event
	began   []Action // every action that was begun, oldest first
	plan    Plan     // the last
	saves   int
	gone    bool
	check   func(before state.Pod, p Plan) // of each plan, when set
}

// simHost is a host of a sim.
type simHost struct {
	capacity pod.Resources
	taken    pod.Resources // by other pods
	nodes    map[string]pod.Node
	fault    Fault
	since    time.Time
	draining bool
	refused  string
	digests  map[string]string // of images, as this host resolves them
}

// simRun is an action that has not ended.
type simRun struct {
	action Action
	since  time.Time
	due    time.Time
	result Result
}

var simEpoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newSim returns a world of hosts that each have room for so many nodes, and the
// pod "web" with one front, created and wanting nothing.
func newSim(t require.TestingT, room int, hosts ...string) *sim {
	s := &sim{
		t: t, now: simEpoch, hosts: map[string]*simHost{}, fronts: map[string]*balancer.FrontStats{}, probes: map[string]Probed{},
		running: map[Key]*simRun{}, boot: 3 * time.Second, answers: map[uint64]Answer{},
	}
	for _, name := range hosts {
		s.hosts[name] = &simHost{
			capacity: pod.Resources{CPU: float64(room), Memory: int64(room) << 30}, nodes: map[string]pod.Node{},
			since: s.now.Add(-time.Hour), digests: map[string]string{},
		}
	}
	s.pod = state.NewPod(simSpec(), s.now)
	return s
}

// simSpec is a pod whose nodes each take one CPU and one GiB.
func simSpec() state.PodSpec {
	return state.PodSpec{
		Spec: pod.Spec{
			Name: "web",
			Workload: pod.Workload{
				Image: "shop", Env: map[string]string{"VERSION": "1"}, Ports: map[string]int{"http": 8080},
				Probe: pod.Probe{Kind: pod.ProbeHTTP, Path: "/healthz", Port: "http"},
			},
			Limits: pod.Limits{CPU: 1, Memory: 1 << 30},
		},
		Fronts: []state.Front{{Front: balancer.Front{Listen: "127.0.0.1:5100"}}},
	}.WithDefaults()
}

// revise changes what the pod runs, and how it is replaced.
func (s *sim) revise(version string, update state.Update) {
	spec := s.pod.Spec.Clone()
	spec.Workload.Env = map[string]string{"VERSION": version}
	spec.Update = update.WithDefaults()
	s.pod.Revise(spec, "changed by hand", s.now)
}

// pause pauses the rollout, or lets it go on.
func (s *sim) pause(on bool) { s.pod.Rollout.Hold(on) }

// add puts nodes into the record and onto a host, as they are online since long
// ago.
func (s *sim) add(n int, revision uint64, host string) (names []string) {
	for range n {
		rec := s.pod.Register("", s.now)
		rec.Launch(host, revision)
		made := s.hosts[host].start(rec.Name, s.now.Add(-time.Hour))
		rec.Online(made, s.now.Add(-time.Hour))
		if s.mem.Nodes == nil {
			s.mem.Nodes = map[string]*NodeMemory{}
		}
		s.mem.Nodes[rec.Name] = &NodeMemory{Ready: s.now.Add(-time.Hour), Ordered: s.now.Add(-time.Hour)}
		names = append(names, rec.Name)
	}
	return names
}

func (h *simHost) start(name string, at time.Time) pod.Node {
	n := pod.Node{
		ID: pod.NodeID{Pod: "web", Name: name}, Kind: pod.NodeService, Handle: "c-" + name, Phase: pod.PhaseRunning, StartedAt: at,
		Endpoints: map[string]string{"http": "10.0.0." + strings.TrimPrefix(name, "n") + ":8080"},
	}
	h.nodes[name] = n
	return n
}

// away makes a host not answer, or answer again.
func (s *sim) away(host string, on bool) {
	h := s.hosts[host]
	h.fault = Fault{}
	if on {
		h.fault = Fault{Code: FaultUnreachable, Text: "the host does not answer"}
	}
	h.since = s.now
}

// exit ends a node on its own.
func (s *sim) exit(name string, code int) {
	for _, h := range s.hosts {
		if n, ok := h.nodes[name]; ok {
			n.Phase, n.Exit = pod.PhaseExited, &pod.Exit{Code: code}
			h.nodes[name] = n
		}
	}
}

// world is what the manager sees now.
func (s *sim) world() World {
	w := World{
		Now: s.now, Wall: s.now, Settings: Settings{Tick: time.Second, HostTimeout: 30 * time.Second}, Name: "web",
		Pod: s.pod, Memory: s.mem, Tick: s.tick, PolicyTime: s.now, Hosts: map[string]Host{}, Probes: maps.Clone(s.probes),
		Balancer: Balancer{Asked: s.now, At: s.now, Fault: s.down, Fronts: map[string]balancer.FrontStats{}},
		Running:  map[Key]time.Time{}, Results: slices.Clone(s.results), Commands: slices.Clone(s.waiting), Store: s.store, Mode: s.mode, Jitter: s.turns,
	}
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		h := s.hosts[name]
		w.Hosts[name] = Host{Draining: h.draining, Known: true, Begun: s.now, Since: h.since, Fault: h.fault}
		shown := w.Hosts[name]
		for _, node := range slices.Sorted(maps.Keys(h.nodes)) {
			shown.Nodes = append(shown.Nodes, h.nodes[node])
		}
		w.Hosts[name] = shown
		r := Room{Host: name, Capacity: h.capacity, Free: h.capacity, Refused: h.refused}
		r.Free.CPU -= h.taken.CPU
		r.Free.Memory -= h.taken.Memory
		switch {
		case !h.fault.OK():
			r.Refused = "unreachable"
		case h.draining:
			r.Refused = "is being removed"
		}
		for _, hold := range s.plan.Holds {
			if hold.Host == name {
				r.Free.CPU -= hold.Limits.CPU
				r.Free.Memory -= hold.Limits.Memory
				r.Nodes++
			}
		}
		w.Room = append(w.Room, r)
	}
	for name, f := range s.fronts {
		c := *f
		c.Servers = slices.Clone(f.Servers)
		w.Balancer.Fronts[name] = c
	}
	for k, r := range s.running {
		w.Running[k] = r.since
	}
	return w
}

// turn reconciles once, a millisecond after the last turn, and does what the plan
// says. It checks what is true of every plan.
func (s *sim) turn() Plan {
	if s.plan.Holds == nil { // what the nodes use from the start on
		s.plan = Reconcile(World{Name: "web", Pod: s.pod, Mode: Ending, Store: Fault{Code: FaultStore}})
	}
	s.now = s.now.Add(time.Millisecond)
	s.turns++
	w := s.world()
	before, err := json.Marshal(w)
	require.NoError(s.t, err)
	p := Reconcile(w)
	after, err := json.Marshal(w)
	require.NoError(s.t, err)
	require.Equal(s.t, string(before), string(after), "a World is never changed")
	var again World
	require.NoError(s.t, json.Unmarshal(before, &again))
	require.Empty(s.t, difference(asJSON(s.t, p), asJSON(s.t, Reconcile(again))), "a World that was written and read back makes the same plan")
	s.checkPlan(&w, p)
	if s.check != nil {
		s.check(w.Pod, p)
	}
	s.begin(p.Before)
	if p.Changed || p.Gone {
		s.saves++
	}
	s.begin(p.After)
	s.pod, s.mem, s.plan, s.results, s.tick, s.gone = p.Pod, p.Memory, p, nil, nil, p.Gone
	s.events = append(s.events, p.Events...)
	for _, a := range p.Answers {
		s.answers[a.ID] = a
		s.waiting = slices.DeleteFunc(s.waiting, func(c Command) bool { return c.ID == a.ID })
	}
	return p
}

// checkPlan checks what is true of every plan, whatever happened before.
func (s *sim) checkPlan(w *World, p Plan) {
	assert.False(s.t, p.Wake.Before(w.Now), "the next turn is not in the past")
	if !w.Store.OK() {
		assert.False(s.t, p.Changed, "nothing is changed that cannot be saved")
	}
	placed := map[string]pod.Resources{}
	for _, r := range p.Reserve {
		placed[r.Host] = pod.Resources{CPU: placed[r.Host].CPU + r.Limits.CPU, Memory: placed[r.Host].Memory + r.Limits.Memory}
	}
	for _, r := range w.Room {
		more := placed[r.Host]
		if more == (pod.Resources{}) {
			continue
		}
		assert.Empty(s.t, r.Refused, "nothing is placed on a host that refuses")
		assert.LessOrEqual(s.t, more.CPU, r.Free.CPU+1e-3, "host %s", r.Host)
		assert.LessOrEqual(s.t, more.Memory, r.Free.Memory, "host %s", r.Host)
	}
	keys := map[Key]bool{}
	for _, a := range slices.Concat(p.Before, p.After) {
		if _, ok := a.(Cancel); ok {
			continue
		}
		_, running := w.Running[a.Key()]
		assert.False(s.t, running, "%T %s is begun while one of its key runs", a, a.Key())
		assert.False(s.t, keys[a.Key()], "two actions of %s in one plan", a.Key())
		keys[a.Key()] = true
	}
	for _, problem := range p.Problems {
		assertSentence(s.t, problem.Sentence(w.Now))
		assert.Equal(s.t, "web", problem.Pod)
	}
	for _, e := range p.Events {
		assertSentence(s.t, e.Message)
		assert.Equal(s.t, "web", e.Pod)
		if e.Type == EventNodeCut && w.Store.OK() {
			assert.True(s.t, p.Changed, "what was cut is saved")
		}
	}
	for _, a := range p.Answers {
		assert.True(s.t, slices.ContainsFunc(w.Commands, func(c Command) bool { return c.ID == a.ID }), "an answer to nobody")
	}
	assert.LessOrEqual(s.t, len(p.Answers), len(w.Commands), "an answer is given once")
	for i := range p.Pod.Nodes {
		assert.NotNil(s.t, p.Memory.Nodes[p.Pod.Nodes[i].Name], "each node is remembered")
	}
}

// begin begins actions; those of a key that runs are left out, as the executor
// does.
func (s *sim) begin(actions []Action) {
	for _, a := range actions {
		if _, ok := a.(Release); ok {
			continue // there are slots enough
		}
		if c, ok := a.(Cancel); ok {
			if r := s.running[c.Of]; r != nil {
				r.due = s.now
				r.result = Result{Key: c.Of, Kind: r.result.Kind, Node: r.result.Node, Host: r.result.Host, Fault: Fault{Code: FaultCanceled, Text: "it was given up"}}
			}
			continue
		}
		if s.running[a.Key()] != nil {
			continue
		}
		s.began = append(s.began, a)
		r := &simRun{action: a, since: s.now, result: result(a)}
		took := 10 * time.Millisecond
		if _, ok := a.(Start); ok {
			took = s.boot
		}
		if s.do != nil {
			if other := s.do(a, &r.result); other != 0 {
				took = other
			}
		}
		r.due = s.now.Add(took)
		s.running[a.Key()] = r
	}
}

// result is how an action goes that goes well, as far as it is known before.
func result(a Action) Result {
	switch a := a.(type) {
	case Resolve:
		return Result{Key: a.Key(), Kind: ResolveEnded, Node: a.Node, Host: a.Host}
	case Start:
		return Result{Key: a.Key(), Kind: StartEnded, Node: a.Node, Host: a.Host}
	case Stop:
		return Result{Key: a.Key(), Kind: StopEnded, Node: a.Node, Host: a.Host}
	case SetFront:
		r := Result{Key: a.Key(), Kind: FrontEnded, Front: &a.Front, Step: StepSet}
		if a.Apply {
			r.Step, r.Served = StepApplied, a.Servers
		}
		return r
	case Apply:
		return Result{Key: a.Key(), Kind: FrontEnded, Step: StepApplied, Served: a.Servers}
	case RemoveFront:
		return Result{Key: a.Key(), Kind: RemoveEnded}
	}
	panic(fmt.Sprintf("no result of %T", a))
}

// finish ends the actions that are due, in the order of their keys, and has their
// effect on the world.
func (s *sim) finish() {
	for _, k := range slices.Sorted(maps.Keys(s.running)) {
		r := s.running[k]
		if r.due.After(s.now) {
			continue
		}
		delete(s.running, k)
		if r.result.Fault.OK() {
			s.happen(r)
		}
		s.results = append(s.results, r.result)
	}
}

func (s *sim) happen(r *simRun) {
	switch a := r.action.(type) {
	case Resolve:
		if r.result.Digest == "" {
			r.result.Digest = s.hosts[a.Host].digests[a.Workload.Image]
		}
	case Start:
		made := s.hosts[a.Host].start(a.Node, s.now)
		made.Revision = RevisionName(a.Revision)
		s.hosts[a.Host].nodes[a.Node] = made
		r.result.Made = &made
	case Stop:
		if h := s.hosts[a.Host]; h != nil {
			delete(h.nodes, a.Node)
		}
	case SetFront:
		f := s.fronts[a.Front.Name]
		if f == nil {
			f = &balancer.FrontStats{Name: a.Front.Name, Listen: a.Front.Listen}
			s.fronts[a.Front.Name] = f
		}
		if a.Apply {
			apply(f, a.Servers)
		}
	case Apply:
		apply(s.fronts[a.Front], a.Servers)
	case RemoveFront:
		delete(s.fronts, a.Front)
	}
}

func apply(f *balancer.FrontStats, servers []balancer.Server) {
	before := f.Servers
	f.Servers = nil
	for _, srv := range servers {
		stats := balancer.ServerStats{Name: srv.Name, Addr: srv.Addr, State: srv.State, Weight: srv.Weight, Up: true}
		if i := slices.IndexFunc(before, func(b balancer.ServerStats) bool { return b.Name == srv.Name }); i >= 0 {
			stats.InFlight, stats.Requests, stats.Errors, stats.Up = before[i].InFlight, before[i].Requests, before[i].Errors, before[i].Up
		}
		f.Servers = append(f.Servers, stats)
	}
}

// pass lets time pass, turn by turn: at each moment for which the plan asks, and
// whenever an action ends.
func (s *sim) pass(d time.Duration) {
	end := s.now.Add(d)
	for turns := 0; !s.gone; turns++ {
		require.Less(s.t, turns, 5000, "the loop spins: %v", s.plan.Problems)
		s.finish()
		observed := s.now.Add(time.Hour)
		if s.plan.Look.Waiting > 0 { // the balancer is observed often
			observed = s.looked.Add(100 * time.Millisecond)
		}
		if len(s.results) > 0 || s.plan.Look.Balancer || !s.plan.Wake.After(s.now) || !observed.After(s.now) {
			s.turn()
			s.looked = s.now
			continue
		}
		next := earlier(observed, s.plan.Wake)
		for _, r := range s.running {
			next = earlier(next, r.due)
		}
		if !next.Before(end) {
			s.now = end
			return
		}
		s.now = next
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// command gives the pod a command; its answer comes in a later turn.
func (s *sim) command(c Command) uint64 {
	c.ID = uint64(len(s.answers) + len(s.waiting) + 1)
	s.waiting = append(s.waiting, c)
	return c.ID
}

// live counts the launched nodes of a revision.
func (s *sim) live(revision uint64) (n int) {
	for i := range s.pod.Nodes {
		if rec := &s.pod.Nodes[i]; rec.Live() && rec.Revision == revision {
			n++
		}
	}
	return n
}

// online counts the online nodes, whatever they run.
func (s *sim) online() int { return s.pod.Count(pod.StateOnline) }

// servers names those that get requests, of a front.
func (s *sim) servers(front string) (names []string) {
	if f := s.fronts[front]; f != nil {
		for _, srv := range f.Servers {
			if srv.State == balancer.Ready {
				names = append(names, srv.Name)
			}
		}
	}
	return names
}

// actions returns those of a type that were begun.
func actions[A Action](list []Action) (out []A) {
	for _, a := range list {
		if a, ok := a.(A); ok {
			out = append(out, a)
		}
	}
	return out
}

// codes returns what kinds of problems a plan has.
func codes(p Plan) (out []Code) {
	for _, problem := range p.Problems {
		out = append(out, problem.Code)
	}
	return out
}

// sentences returns what the problems of the last plan say.
func (s *sim) sentences() (out []string) {
	for _, p := range s.plan.Problems {
		out = append(out, p.Sentence(s.now))
	}
	return out
}

func (s *sim) eventsOf(typ EventType) (out []string) {
	for _, e := range s.events {
		if e.Type == typ {
			out = append(out, e.Message)
		}
	}
	return out
}

// assertSentence checks that a text is for people: complete, and without what a
// program leaves behind when it is written wrongly.
func assertSentence(t assert.TestingT, text string) {
	assert.NotEmpty(t, text)
	for _, bad := range []string{"%!", "%d", "%s", "%v", "<nil>", "0001-01-01", "reconcile:", "state:", "cms:", "pod:", "  ", ": :", "map[", "&{"} {
		assert.NotContains(t, text, bad)
	}
}

// difference shows where two long texts begin to differ.
func difference(a, b string) string {
	if a == b {
		return ""
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	around := func(s string) string { return s[max(at-60, 0):min(at+60, len(s))] }
	return around(a) + "\n" + around(b)
}

// asJSON returns a plan as JSON; actions with the name of their type.
func asJSON(t require.TestingT, p Plan) string {
	type action struct {
		Type   string
		Action Action
	}
	named := func(list []Action) (out []action) {
		for _, a := range list {
			out = append(out, action{reflect.TypeOf(a).Name(), a})
		}
		return out
	}
	text, err := json.Marshal(struct {
		Plan
		Before, After []action
	}{p, named(p.Before), named(p.After)})
	require.NoError(t, err)
	return string(text)
}
