package cms_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// A node that ends before it is ready is not waited for until its deadline.
func TestNodeThatEndsBeforeItIsReady(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world)
		says string
	}{
		"exits":    {func(w *world) { w.hosts["a"].Exit(id("n1"), pod.Exit{Code: 3, LastLog: []string{"no such table"}}) }, "exit code 3: no such table"},
		"vanishes": {func(w *world) { w.hosts["a"].Vanish(id("n1")) }, "it is not on host a any more"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.checked(0, nil)
				w.hosts["a"].SetNewHealth(pod.HealthUnknown)
				w.launch()
				time.Sleep(5 * time.Second)
				n, err := w.Node("web", "n1")
				require.NoError(t, err)
				require.Equal(t, pod.StateStarting, n.State)
				begun := time.Now()
				c.end(w)
				w.hosts["a"].SetNewHealth(pod.HealthGood)
				w.wait("failed", func(s cms.PodStatus) bool { return len(names(s, pod.StateFailed)) == 1 })
				assert.Less(t, time.Since(begun), 2*time.Second)
				n, err = w.Node("web", "n1")
				require.NoError(t, err)
				assert.Contains(t, n.Reason, c.says)
				s, err := w.Pod("web")
				require.NoError(t, err)
				require.Len(t, s.Problems, 1)
				assert.Regexp(t, "^node n1 could not be started on host a: .*"+c.says+"; the next try is in [0-9.]+m?s$", sentences(s.Problems)[0])
				s = w.converge()
				assert.Equal(t, []string{"n2"}, names(s, pod.StateOnline))
				assert.Empty(t, s.Problems)
			})
		})
	}
}

// pulling is a host that takes two seconds to fetch an image, and tells of it
// ten times a second. It can do nothing else that a host need not do.
type pulling struct{ pod.Runtime }

func (p pulling) Extras() pod.Extras { return pod.Extras{Preparer: p} }

func (pulling) Prepare(_ context.Context, w pod.Workload, _ string, progress func(pod.Progress)) (pod.Prepared, error) {
	progress(pod.Progress{Message: "looking for " + w.Image})
	for i := range int64(20) {
		time.Sleep(99 * time.Millisecond)
		progress(pod.Progress{Message: "pulling " + w.Image, Done: i + 1, Total: 20})
	}
	return pod.Prepared{Digest: "sha256:web:1"}, nil
}

// How an image is fetched is told once a second; which one it was is part of the
// node's revision.
func TestImageIsFetchedBeforeTheStart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		open := w.config.OpenRuntime
		w.end()
		w.config.OpenRuntime = func(ctx context.Context, h pod.Host, c pod.Cluster) (pod.Runtime, error) {
			rt, err := open(ctx, h, c)
			return pulling{rt}, err
		}
		w.restart()
		w.checked(1, nil)
		var said []string
		for _, e := range w.told(cms.EventImagePulling) {
			assert.Equal(t, []string{"web", "n1", "a"}, []string{e.Pod, e.Node, e.Host})
			if !slices.Contains(said, e.Message) { // once for the digest, once for the node
				said = append(said, e.Message)
			}
		}
		assert.Equal(t, []string{"looking for web:1", "pulling web:1: 55 %"}, said)
		s := w.converge()
		assert.Equal(t, "sha256:web:1", s.Nodes[0].Digest)
		assert.Equal(t, s.Nodes[0].Digest, w.stored().Revisions[0].Digest)
	})
}

// Of nodes that start side by side one that could not is told of, whatever came
// of the others, and the host takes several at a time again once it could.
func TestStartsSideBySide(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.hosts["a"].FailStarts(1, errors.New("no space left on device"))
		w.want(4)
		time.Sleep(250 * time.Millisecond)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Len(t, names(s, pod.StateOnline), 3)
		assert.Contains(t, strings.Join(sentences(s.Problems), "; "), "no space left on device")
		s = w.wait("tried again", func(s cms.PodStatus) bool { return len(names(s, pod.StateStarting)) == 1 })
		assert.Contains(t, strings.Join(sentences(s.Problems), "; "), "no space left on device")
		s = w.converge()
		assert.Empty(t, s.Problems)
		begun := time.Now()
		w.want(8)
		w.wait("grown", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) == 8 })
		assert.Equal(t, 200*time.Millisecond, time.Since(begun).Round(time.Millisecond), "the time of one start")
	})
}

// How long starts take, in the middle, is part of what policies see.
func TestStartsAreTimed(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(0)
		boot := func() metrics.Value {
			time.Sleep(2 * time.Second)
			s := w.converge()
			return s.LastTick.Observation.Boot
		}
		assert.Equal(t, metrics.Missing, boot())
		for _, d := range []time.Duration{3 * time.Second, 700 * time.Millisecond, time.Second} {
			w.hosts["a"].SetStartDelay(d)
			begun := time.Now()
			w.launch()
			s := w.converge()
			n := s.Nodes[len(s.Nodes)-1]
			assert.Equal(t, begun.Add(d), n.ReadyAt)
		}
		assert.Equal(t, metrics.V(1), boot(), "the median")
		replace := func(times int, d time.Duration) {
			w.hosts["a"].SetStartDelay(d)
			for range times {
				time.Sleep(time.Minute)
				w.kill(running(w.hosts["a"])[0])
				time.Sleep(5 * time.Second)
			}
		}
		replace(12, 100*time.Millisecond)
		assert.Equal(t, metrics.V(0.1), boot())
		replace(7, 2*time.Second)
		assert.Equal(t, metrics.V(0.1), boot())
		replace(1, 2*time.Second)
		assert.Equal(t, metrics.V(2), boot(), "of the last fifteen")
	})
}

// A start that the end of the manager breaks off is none that failed or was done.
func TestStartThatIsBrokenOff(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(0)
		w.hosts["a"].SetStartDelay(20 * time.Second)
		w.launch()
		time.Sleep(time.Second)
		w.end()
		n := w.stored().Nodes[0]
		assert.Equal(t, pod.StateStarting, n.State)
		assert.Equal(t, "a", n.Host)
		assert.Zero(t, n.ReadyAt)
		w.hosts["a"].SetStartDelay(0)
		w.restart()
		s := w.converge()
		require.Len(t, s.Nodes, 1)
		assert.Equal(t, []string{"n1"}, names(s, pod.StateOnline))
		w.assertConsistent()
	})
}

// A pod with nodes that failed shrinks all the same.
func TestPodWithFailedNodesShrinks(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.hosts["a"].FailStarts(-1, errors.New("no space left on device"))
		w.want(4)
		time.Sleep(5 * time.Second)
		w.want(2)
		s := w.converge()
		assert.Equal(t, []string{"n1", "n2"}, names(s, pod.StateOnline))
		assert.NotEmpty(t, names(s, pod.StateFailed))
		w.assertConsistent()
	})
}
