package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// dieYoung makes the last node end each time it is online, for a while, and
// returns how often it came up.
func (s *sim) dieYoung(d time.Duration) (ups int) {
	end := s.now.Add(d)
	for s.now.Before(end) {
		s.pass(100 * time.Millisecond)
		last := &s.pod.Nodes[len(s.pod.Nodes)-1]
		if last.State == pod.StateOnline && s.now.Sub(s.mem.Nodes[last.Name].Ready) > 500*time.Millisecond {
			ups++
			require.Less(s.t, ups, 100, "they are started ever more seldom")
			s.exit(last.Name, 1)
			s.turn()
		}
	}
	return ups
}

// A node that keeps dying young is started ever more seldom; the others of the pod
// do not wait for it, and neither do those that are wanted beside it.
func TestNodesThatDieYoungAreStartedEverMoreSeldom(t *testing.T) {
	s := serving(t, 3, 10, "a", "b")
	s.boot = 100 * time.Millisecond
	s.pod.SetWant(4)
	s.turn()
	first := s.dieYoung(30 * time.Second)
	assert.Greater(t, first, 4, "the first one again at once, the next ones soon")
	assert.Less(t, first, 12)
	then := s.dieYoung(10 * time.Minute)
	assert.Greater(t, then, 9, "at least once a minute")
	assert.Less(t, then, 30)
	for len(s.mem.Vacant) == 0 {
		s.dieYoung(time.Second)
	}
	require.Equal(t, []Code{ProblemDeaths}, codes(s.plan))
	p := s.plan.Problems[0]
	assert.Greater(t, p.Count, 10)
	assert.Contains(t, p.Sentence(s.now), "nodes end or hang within 30s of being ready, so others are started ever more seldom; the last, of ")
	assert.Contains(t, p.Sentence(s.now), " in a row: node "+p.Node+" exit code 1; the next try is in ")

	due := s.mem.Vacant[0].Due
	require.Greater(t, due.Sub(s.now), 5*time.Second)
	s.pod.SetWant(5)
	s.turn()
	s.pass(time.Second)
	assert.Equal(t, 4, s.online(), "one more comes at once")
	s.pass(due.Sub(s.now) - time.Millisecond)
	assert.Equal(t, 4, s.online())
	s.pass(time.Second)
	assert.Equal(t, 5, s.online(), "and the other one when it is due")
	assert.Equal(t, p.Count, s.mem.Nodes[s.pod.Nodes[len(s.pod.Nodes)-1].Name].Deaths)
	s.pass(10 * time.Minute)
	assert.Empty(t, s.mem.Vacant)
	assert.Empty(t, s.plan.Problems)
}

// The first death, that of a node that had worked, and that of a node that an
// earlier manager started do not make anybody wait.
func TestDeathsThatMakeNobodyWait(t *testing.T) {
	s := newSim(t, 9, "a")
	s.add(4, 1, "a")
	s.mem.Nodes["n1"].Ready = s.now
	s.mem.Nodes["n2"].Ready = s.now.Add(time.Millisecond - s.begun().young())
	s.mem.Nodes["n3"] = &NodeMemory{Ready: s.now, Adopted: true}
	s.mem.Nodes["n4"] = &NodeMemory{Ready: s.now, Deaths: 3}
	turn := begin(s.world())
	for _, name := range []string{"n1", "n2", "n3", "n4"} {
		turn.vacate(turn.pod.Node(name), "exit code 1")
	}
	require.Len(t, turn.mem.Vacant, 3)
	assert.Equal(t, Vacancy{Deaths: 1, Due: turn.w.Now, Host: "a", Node: "n1", Why: "exit code 1"}, turn.mem.Vacant[0])
	assert.Equal(t, "n2", turn.mem.Vacant[1].Node)
	waits := turn.mem.Vacant[2]
	assert.Equal(t, 4, waits.Deaths)
	pause := waits.Due.Sub(turn.w.Now)
	assert.GreaterOrEqual(t, pause, time.Second)
	assert.LessOrEqual(t, pause, 2*time.Second)

	s.now = s.now.Add(time.Millisecond)
	turn = begin(s.world())
	turn.vacate(turn.pod.Node("n2"), "exit code 1")
	assert.Empty(t, turn.mem.Vacant, "it had worked")
}

// Of the places that are vacant those with most deaths are kept, where fewer are
// wanted than there are.
func TestVacancies(t *testing.T) {
	s := newSim(t, 9, "a")
	turn := s.begun()
	soon, now := turn.w.Now.Add(time.Second), turn.w.Now
	a, b, c := Vacancy{Deaths: 1, Due: now, Node: "a"}, Vacancy{Deaths: 3, Due: soon, Node: "b"}, Vacancy{Deaths: 2, Due: now, Node: "c"}
	all := func() { turn.mem.Vacant = []Vacancy{a, b, c} }
	all()
	due, waiting := turn.vacancies(5)
	assert.Equal(t, []Vacancy{c, a}, due)
	assert.Equal(t, 1, waiting)
	all()
	due, waiting = turn.vacancies(1)
	assert.Empty(t, due)
	assert.Equal(t, 1, waiting)
	assert.Equal(t, []Vacancy{b}, turn.mem.Vacant)
	all()
	due, waiting = turn.vacancies(0)
	assert.Empty(t, due)
	assert.Zero(t, waiting)

	all()
	next, waits := turn.nextVacancy()
	assert.True(t, waits)
	assert.Equal(t, "b", next.Node)
	turn.mem.Vacant = append(turn.mem.Vacant, Vacancy{Due: soon.Add(-1), Node: "d"}, Vacancy{Due: soon.Add(1), Node: "e"})
	next, _ = turn.nextVacancy()
	assert.Equal(t, "d", next.Node)
	turn.mem.Vacant = []Vacancy{a, c}
	_, waits = turn.nextVacancy()
	assert.False(t, waits)

	turn.mem.Nodes["x"] = &NodeMemory{}
	turn.vacateAgain(&state.Node{Name: "x", Host: "a"})
	assert.Equal(t, []Vacancy{a, c}, turn.mem.Vacant, "it took nobody's place")
	turn.take(a, "x")
	assert.Equal(t, []Vacancy{c}, turn.mem.Vacant)
	assert.Equal(t, 1, turn.mem.Nodes["x"].Deaths)
	turn.take(Vacancy{}, "x")
	assert.Equal(t, []Vacancy{c}, turn.mem.Vacant)
}

// The place of a node that died and whose next one could not even be started keeps
// its count; the host's retry says when.
func TestPlaceOfANodeThatCannotBeStartedKeepsItsDeaths(t *testing.T) {
	s := serving(t, 1, 10, "a")
	s.pod.SetWant(2)
	s.boot = 100 * time.Millisecond
	s.turn()
	s.dieYoung(10 * time.Second)
	for len(s.mem.Vacant) == 0 {
		s.dieYoung(time.Second)
	}
	deaths := s.mem.Vacant[0].Deaths
	s.do = func(a Action, r *Result) time.Duration {
		if _, ok := a.(Start); ok {
			r.Fault = Fault{Code: FaultRegistry, Text: "503"}
		}
		return 0
	}
	s.pass(2 * time.Minute)
	require.Len(t, s.mem.Vacant, 1)
	assert.Equal(t, deaths, s.mem.Vacant[0].Deaths)
	assert.Equal(t, "could not be started", s.mem.Vacant[0].Why)
	s.do = nil
	s.pass(2 * time.Minute)
	assert.Equal(t, 2, s.online())
	last := s.pod.Nodes[len(s.pod.Nodes)-1].Name
	assert.Equal(t, deaths, s.mem.Nodes[last].Deaths)
}

// While a rollout is paused both kinds may be missing: a vacancy holds one back.
func TestVacancyHoldsBackOneNode(t *testing.T) {
	s := serving(t, 4, 10, "a", "b")
	s.revise("2", state.Update{MaxSurge: 2, MinReady: time.Hour})
	s.turn()
	s.pass(10 * time.Second)
	require.Equal(t, [2]int{4, 2}, [2]int{s.live(1), s.live(2)})
	s.pause(true)
	s.pod.SetWant(12)
	s.pod.Spec.MaxNodes = 12
	s.mem.Vacant = []Vacancy{{Deaths: 3, Due: s.now.Add(time.Minute), Host: "a", Node: "n1", Why: "exit code 1"}}
	s.turn()
	assert.Len(t, s.pod.Nodes, 11)
	s.pass(2 * time.Minute)
	assert.Equal(t, 12, s.online())
}
