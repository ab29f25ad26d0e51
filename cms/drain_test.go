package cms_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// sentences returns the kept events of a type.
func (w *world) told(kind cms.EventType) (out []cms.Event) {
	past, _ := w.Events(0)
	for _, e := range past {
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out
}

func TestWhatIsCutAtTheDeadlineIsCounted(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.balancer.SetInFlight("web", "n1", 2)
		w.balancer.SetInFlight("web", "n2", 3)
		w.balancer.SetInFlight("web", "n3", 1)
		for _, n := range []string{"n1", "n2"} {
			_, err := w.RemoveNode(t.Context(), "web", n)
			require.NoError(t, err)
		}
		n, err := w.Node("web", "n1")
		require.NoError(t, err)
		assert.Equal(t, time.Now().Add(pod.DefaultDrain), n.DrainBy)
		w.balancer.SetInFlight("web", "n2", 0)
		time.Sleep(pod.DefaultDrain - time.Second)
		assert.Equal(t, []string{"n1", "n3"}, running(w.hosts["a"]), "it waits until the deadline")
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Zero(t, s.Cut)
		w.hosts["a"].SetStopDelay(5 * time.Second)
		time.Sleep(2 * time.Second)
		n, err = w.Node("web", "n1")
		require.NoError(t, err)
		assert.EqualValues(t, 2, n.Cut, "as long as it is there")
		s = w.converge()
		assert.EqualValues(t, 2, s.Cut)
		assert.Equal(t, 2, w.balancer.Cut())
		cut := w.told(cms.EventNodeCut)
		require.Len(t, cut, 1)
		assert.Equal(t, "n1", cut[0].Node)
		assert.Equal(t, 2, cut[0].Cut)
		assert.Equal(t, "node n1 still had 2 requests and connections in flight at its drain deadline of 30s; they were cut", cut[0].Message)
		drained := w.told(cms.EventNodeDrained)
		require.Len(t, drained, 1)
		assert.Equal(t, "n2", drained[0].Node)

		w.restart()
		s = w.converge()
		assert.EqualValues(t, 2, s.Cut, "kept")
		_, err = w.RemoveNode(t.Context(), "web", "n3")
		require.NoError(t, err)
		s = w.converge()
		assert.EqualValues(t, 3, s.Cut)
		assert.Equal(t, "node n3 still had 1 request or connection in flight at its drain deadline of 30s; they were cut", w.told(cms.EventNodeCut)[0].Message)
	})
}

// A balancer that does not answer when the deadline comes, and a store that does
// not take the count, change nothing of what is counted.
func TestWhatIsCutIsCountedThroughFaults(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 2)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(pod.DefaultDrain - time.Second)
		w.balancer.Fail(balancertest.Observe, errors.New("away"))
		w.balancer.Fail(balancertest.Apply, errors.New("away"))
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.EqualValues(t, 2, s.Cut)
		assert.Equal(t, []string{"n1", "n2"}, running(w.hosts["a"]), "the balancer may give it requests")
		w.store.OnSave(nil)
		w.balancer.Fail(balancertest.Observe, nil)
		w.balancer.Fail(balancertest.Apply, nil)
		s = w.converge()
		assert.EqualValues(t, 2, s.Cut)
		w.restart()
		assert.EqualValues(t, 2, w.converge().Cut)
	})
}

// A manager that dies between the cut and the end of the node counts it once.
func TestCutIsCountedOnceOverARestart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 2)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.hosts["a"].SetStopDelay(5 * time.Second)
		time.Sleep(pod.DefaultDrain + time.Second)
		require.Len(t, w.told(cms.EventNodeCut), 1)
		w.restart()
		s := w.converge()
		assert.EqualValues(t, 2, s.Cut)
		assert.Equal(t, 2, w.balancer.Cut())
		assert.Empty(t, w.told(cms.EventNodeCut))
		assert.Empty(t, w.told(cms.EventNodeDrained))
		assert.Equal(t, []string{"n2"}, running(w.hosts["a"]))
	})
}

// Nodes that get no requests any more, as the strategy of the update became
// another one, finish those that they have.
func TestStrategyChangedAmidARolloutCutsNothing(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.update(func(s *cms.PodSpec) { s.Update.MinReady = time.Minute })
		w.update(version(2))
		s := w.wait("a new node", func(s cms.PodStatus) bool {
			return s.Rollout.Ready+s.Rollout.Fresh > 0 && len(names(s, pod.StateOnline)) == 5
		})
		time.Sleep(time.Second)
		fresh := names(s, pod.StateOnline)[4]
		require.Contains(t, w.servers(balancer.Ready), fresh)
		w.balancer.SetInFlight("web", fresh, 3)
		w.update(func(s *cms.PodSpec) { s.Update.Strategy = cms.BlueGreen })
		time.Sleep(10 * time.Second)
		assert.Contains(t, w.servers(balancer.Drain), fresh)
		assert.Zero(t, w.balancer.Cut())
		w.restart()
		time.Sleep(10 * time.Second)
		assert.Contains(t, w.servers(balancer.Drain), fresh, "nor does a restart")
		w.rolled(cms.RolloutDone)
		assert.Zero(t, w.balancer.Cut())
		w.assertConsistent()
	})
}

// What the store says of nodes is of another time: a node that ended while no
// manager looked is not online, neither before nor after its host answers.
func TestStatesAreNotTrustedBeforeHostsAreSeen(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(2)
		s := w.converge()
		require.Equal(t, []string{"n1", "n2"}, names(s, pod.StateOnline))
		onA, err := w.Node("web", "n1")
		require.NoError(t, err)
		w.end()
		w.hosts[onA.Host].Exit(id("n1"), pod.Exit{Code: 1})
		w.start()
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.NotContains(t, names(s, pod.StateOnline), "n1", "once the manager is ready it is known to be dead")
		w.converge()

		w.end()
		for _, h := range w.hosts {
			h.SetUnreachable(true)
		}
		require.NoError(t, w.store.Close())
		w.store, err = w.store.Reopen()
		require.NoError(t, err)
		w.start()
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.False(t, s.Converged)
		for _, n := range s.Nodes {
			assert.Equal(t, n.State.Live(), n.Unseen, n.Name)
		}
		require.Positive(t, s.Counts.Unseen)
		assert.Zero(t, s.Counts.Online, "nobody knows whether they still run")
		for _, h := range w.hosts {
			h.SetUnreachable(false)
		}
		s = w.converge()
		for _, n := range s.Nodes {
			assert.False(t, n.Unseen, n.Name)
		}
		assert.Zero(t, s.Counts.Unseen)
		assert.Positive(t, s.Counts.Online)
		w.hosts["a"].SetUnreachable(true)
		time.Sleep(5 * time.Second)
		s, err = w.Pod("web")
		require.NoError(t, err)
		for _, n := range s.Nodes {
			assert.False(t, n.Unseen, "%s: it was seen, though it is not now", n.Name)
		}
	})
}

// Filters and completions know every type that there is.
func TestEventTypesAreComplete(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reconcile/event.go", nil, 0)
	require.NoError(t, err)
	var declared []cms.EventType
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := v.Type.(*ast.Ident); ok && kind.Name == "EventType" {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				declared = append(declared, cms.EventType(text))
			}
		}
		return true
	})
	require.NotEmpty(t, declared)
	assert.Equal(t, declared, cms.EventTypes())
}

// A node that has nothing to do is gone at once, and not with the next tick.
func TestIdleNodeIsGoneAtOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		time.Sleep(10*time.Second + 100*time.Millisecond) // amid two ticks
		begun := time.Now()
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.converge()
		assert.Less(t, time.Since(begun), 200*time.Millisecond)
		w.assertConsistent()
	})
}

// A manager that ends lets the actions end that it has begun, and begins none.
func TestActionsEndWithTheManager(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.hosts["a"].SetStartDelay(800 * time.Millisecond)
		w.hosts["a"].SetStopDelay(800 * time.Millisecond)
		w.launch()
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, []string{"n2"}, w.servers(balancer.Ready))
		begun := time.Now()
		w.end()
		assert.Less(t, time.Since(begun), time.Second)
		var states []string
		for _, n := range w.store.State().Pods[0].Nodes {
			states = append(states, n.Name+" "+n.State.String())
		}
		assert.Equal(t, []string{"n2 online", "n3 online"}, states, "what came of them is known")
		for _, c := range w.hosts["a"].Calls("stop") {
			assert.NoError(t, c.Err)
		}
		assert.Equal(t, []string{"n2"}, w.servers(balancer.Ready), "nothing is begun any more")
		w.start()
		w.converge()
		w.assertConsistent()
	})
}

// A front that an update removes finishes what it has, at most until the drain's
// deadline; nobody has its address meanwhile.
func TestRemovedFrontFinishesWhatItHas(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		two := spec()
		two.Fronts[0].Name = "web"
		second := two.Fronts[0]
		second.Name, second.Listen = "second", "127.0.0.1:5101"
		two.Fronts = append(two.Fronts, second)
		_, err := w.CreatePod(t.Context(), two)
		require.NoError(t, err)
		w.launch()
		w.launch()
		w.converge()
		one := two.Clone()
		one.Fronts = one.Fronts[:1]
		without := func() {
			t.Helper()
			s, err := w.UpdatePod(t.Context(), one)
			require.NoError(t, err)
			assert.Empty(t, s.Problems)
			assert.False(t, s.Converged)
			assert.Equal(t, []string{"second", "web"}, w.balancer.Fronts())
			for _, s := range w.balancer.Servers("second") {
				assert.Equal(t, balancer.Drain, s.State, "it gets nothing new")
			}
			_, err = w.CreatePod(t.Context(), other("127.0.0.1:5101"))
			require.ErrorIs(t, err, cms.ErrConflict, "its address is not free yet")
		}
		w.balancer.SetInFlight("second", "n1", 1)
		without()
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"second", "web"}, w.balancer.Fronts())
		w.balancer.SetInFlight("second", "n1", 0)
		w.converge()
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())
		assert.Zero(t, w.balancer.Cut())

		// Wanted again meanwhile.
		_, err = w.UpdatePod(t.Context(), two)
		require.NoError(t, err)
		w.converge()
		w.balancer.SetInFlight("second", "n1", 1)
		without()
		_, err = w.UpdatePod(t.Context(), two)
		require.NoError(t, err)
		w.converge()
		assert.Equal(t, balancer.Ready, w.balancer.Servers("second")[0].State)
		assert.Zero(t, w.balancer.Cut())

		// A node leaves meanwhile, and one request outlasts the drain.
		without()
		_, err = w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(pod.DefaultDrain / 2)
		assert.Contains(t, running(w.hosts["a"]), "n1", "it still has a request")
		s := w.converge()
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())
		assert.EqualValues(t, 1, s.Cut)
		assert.Equal(t, 1, w.balancer.Cut())
		require.Len(t, w.told(cms.EventNodeCut), 1)
		assert.Contains(t, w.told(cms.EventNodeCut)[0].Message, "front second, which was removed, still had 1 request")
		_, err = w.CreatePod(t.Context(), other("127.0.0.1:5101"))
		require.NoError(t, err)
		w.assertConsistent()

		// A pod that is deleted meanwhile waits for it, too.
		third := two.Clone()
		third.Fronts[1].Name, third.Fronts[1].Listen = "third", "127.0.0.1:5102"
		_, err = w.UpdatePod(t.Context(), third)
		require.NoError(t, err)
		w.converge()
		w.balancer.SetInFlight("third", "n2", 1)
		_, err = w.UpdatePod(t.Context(), one)
		require.NoError(t, err)
		_, err = w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.Contains(t, w.balancer.Fronts(), "third")
		w.balancer.SetInFlight("third", "n2", 0)
		time.Sleep(5 * time.Second)
		_, err = w.Pod("web")
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Equal(t, 1, w.balancer.Cut())
	})
}

// other is a pod with a front on an address.
func other(listen string) cms.PodSpec {
	s := spec()
	s.Name, s.Fronts[0].Name, s.Fronts[0].Listen = "other", "other", listen
	return s
}
