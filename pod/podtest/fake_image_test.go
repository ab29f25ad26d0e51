package podtest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func imageRequest(name, image, digest string) pod.StartRequest {
	return pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: name}, Digest: digest, Workload: pod.Workload{Image: image, Pull: pod.PullMissing}}
}

// Hosts that share a registry keep what they fetched when a tag moves.
func TestFakeRegistryIsShared(t *testing.T) {
	reg, a, b := NewFakeRegistry(), NewFakeHost(), NewFakeHost()
	a.Registry, b.Registry = reg, reg
	one, two := a.Open(testCluster), b.Open(testCluster)
	defer one.Close()
	defer two.Close()
	prepare := func(f *Fake, policy pod.PullPolicy, digest string) (string, error) {
		p, err := f.Prepare(t.Context(), pod.Workload{Image: "web:1", Pull: policy}, digest, nil)
		return p.Digest, err
	}
	resolves := func(f *Fake, policy pod.PullPolicy, digest, want string) {
		t.Helper()
		got, err := prepare(f, policy, digest)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	resolves(one, pod.PullMissing, "", "sha256:web:1")
	reg.Tag("web:1", "sha256:bb")
	resolves(one, pod.PullMissing, "", "sha256:web:1")
	resolves(two, pod.PullMissing, "", "sha256:bb")
	resolves(two, pod.PullAlways, "sha256:web:1", "sha256:web:1")
	assert.Equal(t, []string{"web:1", "web:1", "web@sha256:web:1"}, reg.Requests())

	_, err := two.Start(t.Context(), imageRequest("n1", "web:1", "sha256:web:1"))
	require.NoError(t, err)
	_, err = two.Start(t.Context(), imageRequest("n2", "web:1", ""))
	require.NoError(t, err)
	assert.Equal(t, "sha256:web:1", b.Digest(pod.NodeID{Pod: "web", Name: "n1"}))
	assert.Equal(t, "sha256:bb", b.Digest(pod.NodeID{Pod: "web", Name: "n2"}))
	assert.Empty(t, b.Digest(pod.NodeID{Pod: "web", Name: "n3"}))
	assert.Equal(t, []string{"", "sha256:web:1"}, []string{b.Calls("prepare")[0].Digest, b.Calls("prepare")[1].Digest})
	assert.Equal(t, "web:1", b.Calls("prepare")[0].Image)
	assert.Equal(t, "sha256:web:1", b.Calls("start")[0].Request.Digest)

	reg.Fail(pod.ErrRegistry)
	_, err = prepare(two, pod.PullAlways, "")
	require.ErrorIs(t, err, pod.ErrRegistry)
	resolves(two, pod.PullAlways, "sha256:bb", "sha256:bb")
	reg.Fail(nil)
	reg.Remove("web:1")
	_, err = prepare(two, pod.PullAlways, "")
	require.ErrorIs(t, err, pod.ErrImage)
	a.RemoveImage("web:1")
	reg.Remove("web@sha256:web:1")
	_, err = prepare(one, pod.PullMissing, "sha256:web:1")
	require.ErrorIs(t, err, pod.ErrImage, "the content is gone, too")
	resolves(one, pod.PullMissing, "sha256:bb", "sha256:bb")
}

func TestFakeHostHasImagesOfItsOwn(t *testing.T) {
	h, other := NewFakeHost(), NewFakeHost()
	rt := h.Open(testCluster)
	defer rt.Close()
	w := pod.Workload{Image: "web:1", Pull: pod.PullNever}
	_, err := rt.Prepare(t.Context(), w, "", nil)
	require.ErrorIs(t, err, pod.ErrImage)
	h.SetImage("web:1", "id:sha256:11")
	p, err := rt.Prepare(t.Context(), w, "", nil)
	require.NoError(t, err)
	assert.Equal(t, "id:sha256:11", p.Digest)
	h.SetImage("web:1", "id:sha256:22") // built anew
	_, err = rt.Start(t.Context(), imageRequest("n1", "web:1", p.Digest))
	require.NoError(t, err)
	assert.Equal(t, "id:sha256:11", h.Digest(testID))
	assert.Empty(t, rt.Fetched())
	assert.Empty(t, h.Registry.Requests())

	elsewhere := other.Open(testCluster)
	defer elsewhere.Close()
	_, err = elsewhere.Start(t.Context(), imageRequest("n1", "web:1", p.Digest))
	require.ErrorIs(t, err, pod.ErrImageElsewhere)
	assert.Empty(t, other.Nodes())

	_, err = rt.Prepare(t.Context(), pod.Workload{Command: []string{"x"}}, "sha256:aa", nil)
	require.ErrorIs(t, err, pod.ErrUnsupported)
}

func TestFakePrepareHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewFakeHost()
		rt := h.Open(testCluster)
		h.HangPrepare(true)
		h.HangPrepare(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		_, err := rt.Prepare(ctx, pod.Workload{Image: "web:1"}, "", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Minute, time.Since(begun))
		_, err = rt.Observe(t.Context())
		require.NoError(t, err, "all else goes on")

		done := make(chan error)
		go func() {
			_, err := rt.Prepare(t.Context(), pod.Workload{Image: "web:1"}, "", nil)
			done <- err
		}()
		synctest.Wait()
		h.HangPrepare(false)
		require.NoError(t, <-done)
		_, err = rt.Prepare(t.Context(), pod.Workload{Image: "web:1"}, "", nil)
		require.NoError(t, err)
		h.HangPrepare(true)
		go func() {
			_, err := rt.Prepare(t.Context(), pod.Workload{Image: "web:1"}, "", nil)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, rt.Close())
		require.ErrorIs(t, <-done, errFakeClosed)
	})
}

func TestFakeFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewFakeHost()
		rt := h.Open(testCluster)
		defer rt.Close()
		r := imageRequest("n1", "web:1", "")
		r.Workload.Probe.Kind = pod.ProbeHealthcheck
		_, err := rt.Start(t.Context(), r)
		require.NoError(t, err)
		var events []pod.EventKind
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = rt.Watch(ctx, func(e pod.Event) { events = append(events, e.Kind) }) }()
		synctest.Wait()
		seen := func() pod.Node {
			snap, err := rt.Observe(t.Context())
			require.NoError(t, err)
			return snap.Nodes[0]
		}
		h.SetUsage(testID, 1, 1<<20)
		time.Sleep(time.Second)
		h.Freeze(testID, true)
		h.Freeze(testID, true)
		time.Sleep(time.Minute)
		assert.Equal(t, pod.PhaseFrozen, seen().Phase)
		assert.Equal(t, pod.HealthUnknown, seen().Health)
		assert.Equal(t, time.Second, seen().Usage.CPU)
		h.Freeze(testID, false)
		time.Sleep(time.Second)
		assert.Equal(t, pod.PhaseRunning, seen().Phase)
		assert.Equal(t, pod.HealthGood, seen().Health)
		assert.Equal(t, 2*time.Second, seen().Usage.CPU)
		h.Freeze(testID, true)
		h.OOM(testID)
		h.Freeze(testID, false)
		assert.Equal(t, pod.PhaseExited, seen().Phase)
		synctest.Wait()
		assert.Equal(t, []pod.EventKind{pod.EventFrozen, pod.EventThawed, pod.EventFrozen, pod.EventEnded}, events)
	})
}

func TestFakeStopReturnsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewFakeHost()
		rt := h.Open(testCluster)
		defer rt.Close()
		_, err := rt.Start(t.Context(), testRequest())
		require.NoError(t, err)
		for i := range 150 {
			h.Log(testID, fmt.Sprintf("line %d", i))
		}
		tail, err := rt.Stop(t.Context(), testID, time.Second)
		require.NoError(t, err)
		require.Len(t, tail, pod.TailLines)
		assert.Equal(t, "line 50", tail[0])
		tail, err = rt.Stop(t.Context(), testID, time.Second)
		require.NoError(t, err)
		assert.Nil(t, tail)
	})
}
