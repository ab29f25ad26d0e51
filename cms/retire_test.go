package cms_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// stops returns how often a node was told to stop.
func (w *world) stops(node string) (n int) {
	for _, h := range w.hosts {
		for _, c := range h.Calls("stop") {
			if c.ID == id(node) {
				n++
			}
		}
	}
	return n
}

// makeStubborn makes the hosts fail stops while broken says so.
func (w *world) makeStubborn() (broken *atomic.Bool) {
	broken = new(atomic.Bool)
	open := w.config.OpenRuntime
	w.config.OpenRuntime = func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
		rt, err := open(ctx, h, c)
		return stubborn{rt, broken}, err
	}
	w.restart()
	return broken
}

// A node that is removed while it starts is not waited for.
func TestStartingNodeThatIsRemovedIsGoneAtOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.hosts["a"].SetStartDelay(time.Minute)
		w.launch()
		time.Sleep(time.Second)
		begun := time.Now()
		_, err := w.RemoveNode(t.Context(), "web", "n2")
		require.NoError(t, err)
		w.converge()
		assert.Less(t, time.Since(begun), time.Second)
		assert.Empty(t, w.told(cms.EventNodeDrained), "it had nothing")
		assert.Empty(t, w.told(cms.EventNodeFailed))
		w.assertConsistent()
	})
}

func TestNodeIsStoppedOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.hosts["a"].SetStopDelay(3 * time.Second)
		time.Sleep(300 * time.Millisecond)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		w.converge()
		time.Sleep(5 * time.Second)
		assert.Equal(t, 1, w.stops("n1"))
		assert.Len(t, w.told(cms.EventNodeGone), 1)
	})
}

// A node that cannot be stopped says so, and is tried ever more seldom until it
// can be.
func TestNodeThatCannotBeStopped(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		broken := w.makeStubborn()
		w.pod(2)
		broken.Store(true)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, []string{"n1"}, names(s, pod.StateDraining))
		require.Len(t, s.Problems, 1)
		assert.Equal(t, "node n1 cannot be stopped and removed yet: device busy", before(sentences(s.Problems)[0]))
		tries := len(w.hosts["a"].Calls("stop"))
		assert.Less(t, tries, 20)
		assert.Greater(t, tries, 5)
		broken.Store(false)
		s = w.converge()
		assert.Empty(t, s.Problems)
		assert.Equal(t, []string{"n2"}, names(s, pod.StateOnline))
		assert.Len(t, s.Nodes, 1)
		w.assertConsistent()
	})
}

// A node whose end cannot be recorded is stopped again, as nobody knows better,
// ever more seldom.
func TestEndThatCannotBeRecorded(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.refuse(func(next cms.PodRecord) bool { return len(next.Nodes) < 2 })
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		assert.Less(t, w.stops("n1"), 20)
		assert.Empty(t, w.told(cms.EventNodeGone))
		h, err := w.Host("a")
		require.NoError(t, err)
		assert.Equal(t, 2, h.Nodes)
		w.store.OnSave(nil)
		w.converge()
		assert.Len(t, w.told(cms.EventNodeGone), 1)
		h, err = w.Host("a")
		require.NoError(t, err)
		assert.Equal(t, 1, h.Nodes)
	})
}

// What a node gets before the balancer has said that it gets nothing new is
// waited for.
func TestRequestsThatComeBeforeTheDrainIsConfirmed(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		time.Sleep(3 * time.Second)
		w.balancer.Delay(balancertest.Apply, 3*time.Second)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(2900 * time.Millisecond)
		w.balancer.SetInFlight("web", "n1", 1)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"n1"}, w.servers(balancer.Drain))
		assert.Equal(t, []string{"n1", "n2"}, running(w.hosts["a"]))
		w.balancer.SetInFlight("web", "n1", 0)
		w.converge()
		assert.Zero(t, w.balancer.Cut())
		assert.Len(t, w.told(cms.EventNodeDrained), 1)
	})
}

// A drain that the balancer never confirms ends at its deadline; nothing is cut
// where there was nothing.
func TestDrainThatIsNeverConfirmed(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.Fail(balancertest.Apply, balancer.ErrUnavailable)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(pod.DefaultDrain - time.Second)
		assert.Empty(t, w.told(cms.EventNodeDrained))
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Contains(t, strings.Join(sentences(s.Problems), "\n"), "the balancer does not have the servers of front web that it should: ")
		time.Sleep(2 * time.Second)
		assert.Len(t, w.told(cms.EventNodeDrained), 1)
		w.balancer.Fail(balancertest.Apply, nil)
		s = w.converge()
		assert.Empty(t, s.Problems)
		assert.Zero(t, s.Cut)
		assert.Empty(t, w.told(cms.EventNodeCut))
		w.assertConsistent()
	})
}

// What the balancer said before it ceased to answer is no reason to stop a node.
func TestNodeIsNotStoppedByWhatTheBalancerSaidBefore(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		time.Sleep(3 * time.Second)
		w.balancer.Fail(balancertest.Observe, balancer.ErrUnavailable)
		time.Sleep(2 * time.Second)
		w.balancer.SetInFlight("web", "n1", 1)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"n1"}, w.servers(balancer.Drain))
		assert.Equal(t, []string{"n1", "n2"}, running(w.hosts["a"]))
		w.balancer.Fail(balancertest.Observe, nil)
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"n1", "n2"}, running(w.hosts["a"]))
		w.balancer.SetInFlight("web", "n1", 0)
		w.converge()
		assert.Zero(t, w.balancer.Cut())
	})
}

// A node that ends while it drains is gone, and none that failed.
func TestDrainingNodeThatEndsIsGone(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.balancer.SetInFlight("web", "n1", 1)
		_, err := w.RemoveNode(t.Context(), "web", "n1")
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		w.kill("n1")
		time.Sleep(3 * time.Second)
		s := w.converge()
		assert.Len(t, s.Nodes, 1)
		assert.Empty(t, w.told(cms.EventNodeFailed))
		assert.Len(t, w.told(cms.EventNodeGone), 1)
		assert.Len(t, w.hosts["a"].Calls("start"), 2, "nothing took its place")
		w.assertConsistent()
	})
}

// A death that cannot be recorded is neither told nor acted on before it can be.
func TestDeathThatCannotBeRecorded(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		time.Sleep(time.Minute)
		w.refuse(func(cms.PodRecord) bool { return true })
		w.kill("n1")
		time.Sleep(10 * time.Second)
		assert.Empty(t, w.told(cms.EventNodeFailed))
		assert.Len(t, w.hosts["a"].Calls("start"), 2)
		w.store.OnSave(nil)
		s := w.wait("replaced", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateFailed)) == 1 })
		assert.Equal(t, []string{"n2", "n3"}, names(s, pod.StateOnline))
		assert.Len(t, w.told(cms.EventNodeFailed), 1)
		assert.Empty(t, s.Problems)
		w.assertConsistent()
	})
}
