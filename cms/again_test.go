package cms_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

func (w *world) kill(name string) {
	w.t.Helper()
	for _, h := range w.hosts {
		h.Kill(id(name))
	}
}

// want sets the number of nodes by elasticity that has no say.
func (w *world) want(n int) {
	w.t.Helper()
	w.load(0.5)
	w.elasticity(n, n)
}

// A node that dies for the first time is replaced at once, however young it was.
func TestFirstDeathIsNotWaitedFor(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(5)
		for _, n := range []string{"n1", "n2", "n3", "n4", "n5"} {
			time.Sleep(10 * time.Millisecond)
			begun := time.Now()
			w.kill(n)
			w.wait("replaced", func(s cms.PodStatus) bool {
				return len(names(s, pod.StateOnline)) == 5 && s.Converged && !slices.Contains(names(s, pod.StateOnline), n)
			})
			assert.Equal(t, 200*time.Millisecond, time.Since(begun).Round(time.Millisecond), "the time of a start")
		}
		w.assertConsistent()
	})
}

// One place in which every node dies at once does not keep the pod from growing,
// nor its other nodes from being replaced.
func TestOnePlaceThatKeepsDyingStarvesNobody(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		// Whatever takes the place of n3 dies.
		good := map[string]bool{"n1": true, "n2": true}
		kill := func() {
			for _, n := range running(w.hosts["a"]) {
				if !good[n] {
					w.kill(n)
				}
			}
		}
		for range 60 {
			kill()
			time.Sleep(time.Second)
		}
		s, err := w.Pod("web")
		for ; err == nil && len(s.Problems) == 0; s, err = w.Pod("web") {
			kill()
			time.Sleep(time.Second)
		}
		require.NoError(t, err)
		assert.Regexp(t, `^nodes end or hang within 10s of being ready, so others are started ever more seldom; the last, of \d in a row: node n\d+ killed by signal 9.*; the next try is in `, sentences(s.Problems)[0])
		assert.Equal(t, []string{"n1", "n2"}, names(s, pod.StateOnline))

		begun := time.Now()
		w.want(6)
		s = w.wait("grown", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 5 })
		assert.Less(t, time.Since(begun), time.Second, "the others do not wait for it")
		for _, n := range names(s, pod.StateOnline) {
			good[n] = true
		}
		begun = time.Now()
		w.kill("n1")
		delete(good, "n1")
		s = w.wait("replaced", func(s cms.PodStatus) bool {
			return len(names(s, pod.StateOnline)) == 5 && names(s, pod.StateOnline)[0] != "n1"
		})
		assert.Less(t, time.Since(begun), time.Second)
		for _, n := range names(s, pod.StateOnline) {
			good[n] = true
		}
		starts := len(w.hosts["a"].Calls("start"))
		for range 300 {
			kill()
			time.Sleep(time.Second)
		}
		assert.Less(t, len(w.hosts["a"].Calls("start"))-starts, 20, "in five minutes")
		for s, err = w.Pod("web"); err == nil && len(s.Problems) == 0; s, err = w.Pod("web") {
			kill()
			time.Sleep(time.Second)
		}
		require.NoError(t, err)
		w.want(5)
		w.wait("nothing is to be started", func(s cms.PodStatus) bool { return s.Converged && len(s.Problems) == 0 })
		begun = time.Now()
		w.want(6)
		s = w.converge() // the last one lives
		assert.Less(t, time.Since(begun), time.Second, "that place is no more, and this is another")
		assert.Len(t, names(s, pod.StateOnline), 6)
		assert.Empty(t, s.Problems)
		w.assertConsistent()
	})
}

// A host that refuses every start is the emptiest one, and does not keep a pod
// from growing on the others; it is tried ever more seldom, with one node.
func TestHostThatRefusesStartsStarvesNobody(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.hosts["b"].FailStarts(-1, errors.New("no space left on device"))
		before := len(w.hosts["b"].Calls("start"))
		begun := time.Now()
		w.want(8)
		w.wait("grown", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 8 })
		assert.Less(t, time.Since(begun), 3*time.Second)
		assert.Len(t, running(w.hosts["b"]), 1)
		assert.Len(t, running(w.hosts["a"]), 7)
		for range 20 { // each death is a chance to try the host again
			w.kill(running(w.hosts["a"])[0])
			time.Sleep(15 * time.Second)
			s := w.converge()
			require.Len(t, names(s, pod.StateOnline), 8)
		}
		assert.Less(t, len(w.hosts["b"].Calls("start"))-before, 20)
		w.hosts["b"].FailStarts(0, nil)
		for range 8 {
			w.kill(running(w.hosts["a"])[0])
			time.Sleep(70 * time.Second)
			w.converge()
		}
		assert.Greater(t, len(running(w.hosts["b"])), 2, "it is used again")
		w.assertConsistent()
	})
}

// What dies on a host as soon as it runs is tried on another one.
func TestReplacementAvoidsTheHostOfADeath(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(4)
		for range 100 {
			for _, n := range running(w.hosts["b"]) {
				w.kill(n)
			}
			time.Sleep(100 * time.Millisecond)
		}
		s := w.converge()
		assert.Len(t, names(s, pod.StateOnline), 4)
		assert.Len(t, running(w.hosts["a"]), 4)
		w.assertConsistent()
	})
}

// hangs is a host whose calls hang while hung says so.
type hangs struct {
	pod.Runtime
	hung func() bool
}

func (h hangs) wait(ctx context.Context) error {
	if h.hung() {
		<-ctx.Done()
		return errors.Join(pod.ErrUnreachable, ctx.Err())
	}
	return nil
}

func (h hangs) Observe(ctx context.Context) (pod.Snapshot, error) {
	if err := h.wait(ctx); err != nil {
		return pod.Snapshot{}, err
	}
	return h.Runtime.Observe(ctx)
}

func (h hangs) Start(ctx context.Context, r pod.StartRequest) (pod.Node, error) {
	if err := h.wait(ctx); err != nil {
		return pod.Node{}, err
	}
	return h.Runtime.Start(ctx, r)
}

// inTroubledWorld is inWorld with hosts a and b, of which b hangs while told to.
func inTroubledWorld(t *testing.T, f func(t *testing.T, w *world, hang func(bool))) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		hung := make(chan bool, 1)
		hung <- false
		open := w.config.OpenRuntime
		w.config.OpenRuntime = func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			rt, err := open(ctx, h, c)
			if h.Name == "b" {
				rt = hangs{rt, func() bool { now := <-hung; hung <- now; return now }}
			}
			return rt, err
		}
		w.restart()
		f(t, w, func(on bool) { <-hung; hung <- on })
	})
}

// Starts on a host that turns out not to answer are given up as soon as that is
// known, and made elsewhere; a change of what the pod runs is not blamed for it.
func TestStartsOnAHostThatHangsAreMadeElsewhere(t *testing.T) {
	inTroubledWorld(t, func(t *testing.T, w *world, hang func(bool)) {
		w.pod(2)
		hang(true)
		begun := time.Now()
		w.want(6)
		s := w.wait("grown", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 6 })
		assert.Less(t, time.Since(begun), 20*time.Second, "before the host counts as lost")
		for _, n := range s.Nodes {
			if n.State == pod.StateFailed {
				assert.Equal(t, "b", n.Host)
				assert.Contains(t, n.Reason, "given up: ")
			}
		}
		time.Sleep(time.Second)
		assert.Len(t, w.servers(balancer.Ready), 6, "the node on it is still a server")
		hang(false)
		time.Sleep(time.Minute)
		w.converge()
		w.assertConsistent()
	})
}

// A host that does not answer is asked ever more seldom, and noticed soon when it
// is back; what was to be stopped there is stopped then, and not asked for before.
func TestHostThatIsAwayIsAskedEverMoreSeldom(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(4)
		w.hosts["b"].SetUnreachable(true)
		before := len(w.hosts["b"].Calls())
		_, err := w.RemoveNode(t.Context(), "web", running(w.hosts["b"])[0])
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)
		calls := len(w.hosts["b"].Calls()) - before
		assert.Less(t, calls, 150, "in ten minutes")
		assert.Less(t, len(w.hosts["b"].Calls("stop")), 3)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Contains(t, strings.Join(sentences(s.Problems), "\n"), "cannot be stopped and removed yet: the host does not answer")
		assert.Len(t, running(w.hosts["a"]), 3, "others run in their place")

		w.hosts["b"].SetUnreachable(false)
		begun := time.Now()
		w.wait("as it should be", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateOnline)) == 3 })
		assert.Less(t, time.Since(begun), 13*time.Second)
		w.assertConsistent()
	})
}

// Events come again as soon as a host is back, however long it was away.
func TestEventsComeAgainWhenAHostIsBack(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		for i := range 8 {
			w.hosts["a"].SetUnreachable(true)
			time.Sleep(10 * time.Minute)
			w.hosts["a"].SetUnreachable(false)
			for {
				if h, err := w.Host("a"); err == nil && h.Reachable {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Second)
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1300 * time.Millisecond))) // between two observations
			begun := time.Now()
			n := fmt.Sprintf("n%d", i+1)
			w.kill(n)
			w.wait("replaced", func(s cms.PodStatus) bool { return s.Converged && !slices.Contains(names(s, pod.StateOnline), n) })
			assert.Equal(t, 200*time.Millisecond, time.Since(begun).Round(time.Millisecond))
		}
	})
}

// When a host is back, of the nodes that are too many one is drained that the
// balancer finds down.
func TestSurplusIsWhatTheBalancerFindsDown(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(2)
		gone := running(w.hosts["b"])[0]
		w.hosts["b"].SetUnreachable(true)
		w.wait("replaced", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 3 })
		w.balancer.SetUp("web", gone, false)
		time.Sleep(2 * time.Second)
		w.hosts["b"].SetUnreachable(false)
		s := w.wait("drained", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateOnline)) == 2 })
		assert.Len(t, names(s, pod.StateOnline), 2)
		assert.NotContains(t, names(s, pod.StateOnline), gone)
		w.assertConsistent()
	})
}
