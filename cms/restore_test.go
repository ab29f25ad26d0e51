package cms_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

func (w *world) backup() []byte {
	w.t.Helper()
	var b bytes.Buffer
	require.NoError(w.t, w.Backup(w.t.Context(), &b))
	return b.Bytes()
}

func (w *world) restore(backup []byte, o cms.RestoreOptions) cms.Restored {
	w.t.Helper()
	r, err := w.Restore(w.t.Context(), bytes.NewReader(backup), o)
	require.NoError(w.t, err)
	return r
}

// makePod makes a pod of that name with a front at that address, or none.
func (w *world) makePod(name, listen string, nodes int) {
	w.t.Helper()
	s := spec()
	s.Name, s.Fronts[0].Listen = name, listen
	if listen == "" {
		s.Fronts = nil
	}
	_, err := w.CreatePod(w.t.Context(), s)
	require.NoError(w.t, err)
	for range nodes {
		_, err := w.RegisterNode(w.t.Context(), name, "")
		require.NoError(w.t, err)
		_, err = w.Launch(w.t.Context(), name)
		require.NoError(w.t, err)
	}
}

func TestRestoreWhileItRuns(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.pod(2)
		w.makePod("gone", "127.0.0.1:5200", 1)
		w.makePod("same", "", 1)
		w.makePod("paused", "", 1)
		_, err := w.Pause(ctx, "paused")
		require.NoError(t, err)
		w.elasticity(2, 4)
		w.converge()
		before, backup := w.converge(), w.backup()

		// Everything is changed since.
		changed := spec()
		changed.Workload.Command = []string{"/web", "-new"}
		changed.MaxNodes = 20
		_, err = w.UpdatePod(ctx, changed)
		require.NoError(t, err)
		w.elasticity(8, 8)
		w.wait("8 nodes", func(s cms.PodStatus) bool { return s.Converged && len(s.Nodes) == 8 })
		_, err = w.DeletePod(ctx, "gone")
		require.NoError(t, err)
		_, err = w.Resume(ctx, "paused")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		w.makePod("new", "127.0.0.1:5200", 1) // at the address of the one that is gone

		plan := w.restore(backup, cms.RestoreOptions{DryRun: true})
		want := cms.Restored{
			EventID: plan.EventID, Created: []string{"gone"}, Updated: []string{"paused", "web"}, Deleted: []string{"new"}, Unchanged: []string{"same"},
		}
		assert.Equal(t, want, plan)
		assert.Empty(t, w.store.Kept(), "a dry run keeps nothing")
		_, err = w.Pod("gone")
		require.ErrorIs(t, err, cms.ErrNotFound)

		done := w.restore(backup, cms.RestoreOptions{})
		want.Kept = done.Kept
		assert.Equal(t, want, done)
		var kept cms.State
		require.NoError(t, json.Unmarshal([]byte(w.store.Kept()[done.Kept]), &kept), "the store as it was is kept")
		assert.Equal(t, "-new", kept.Pods[slices.IndexFunc(kept.Pods, func(p cms.PodRecord) bool { return p.Spec.Name == "web" })].Spec.Workload.Command[1])

		after := w.wait("as before", func(s cms.PodStatus) bool { return s.Converged && len(s.Nodes) == 4 })
		assert.Equal(t, before.Spec, after.Spec)
		assert.Equal(t, before.Elasticity, after.Elasticity)
		assert.Equal(t, 4, after.Want, "a pod that scales by itself keeps its number inside the bounds of then")
		time.Sleep(time.Minute)
		assert.Zero(t, w.balancer.Cut(), "a request was cut")
		for name, state := range map[string]cms.PodState{"gone": cms.PodActive, "same": cms.PodActive, "paused": cms.PodPaused} {
			s, err := w.Pod(name)
			require.NoError(t, err)
			assert.Equal(t, state, s.State, name)
			assert.Len(t, names(s, pod.StateOnline), 1, name)
		}
		_, err = w.Pod("new")
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Len(t, w.balancer.Servers("gone"), 1)
		types := []cms.EventType{}
		events, _ := w.Events(0)
		for _, e := range events {
			types = append(types, e.Type)
		}
		assert.Contains(t, types, cms.EventStoreRestored)

		again := w.restore(backup, cms.RestoreOptions{})
		assert.Len(t, again.Unchanged, 4, "%+v", again)
		assert.Empty(t, slices.Concat(again.Created, again.Updated, again.Deleted, again.Problems))
	})
}

// What a spec of then forbids now is no obstacle: there are more nodes than it
// allows, and a pod of the name is being deleted.
func TestRestoreOfLessThanThereIs(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		small := spec()
		small.MaxNodes = 2
		_, err := w.CreatePod(t.Context(), small)
		require.NoError(t, err)
		w.launch()
		w.makePod("other", "", 1)
		w.converge()
		backup := w.backup()
		big := spec()
		big.MaxNodes = 6
		_, err = w.UpdatePod(t.Context(), big)
		require.NoError(t, err)
		w.elasticity(5, 6)
		w.wait("5 nodes", func(s cms.PodStatus) bool { return s.Converged && len(s.Nodes) == 5 })
		w.hosts["a"].SetStopDelay(5 * time.Second)
		_, err = w.DeletePod(t.Context(), "other")
		require.NoError(t, err)
		done := w.restore(backup, cms.RestoreOptions{})
		assert.Empty(t, done.Problems)
		s := w.wait("one node", func(s cms.PodStatus) bool { return s.Converged && len(s.Nodes) == 1 })
		assert.Equal(t, 2, s.Spec.MaxNodes)
		assert.False(t, s.Elasticity.Enabled)
		time.Sleep(time.Minute)
		other, err := w.Pod("other")
		require.NoError(t, err)
		assert.Equal(t, cms.PodActive, other.State)
		assert.Len(t, names(other, pod.StateOnline), 1)
	})
}

func TestRestoreAddsHostsAndTellsOfThoseThatDoNotAnswer(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for _, name := range []string{"b", "c"} {
			w.hosts[name] = podtest.NewFakeHost()
			_, err := w.AddHost(t.Context(), pod.Host{Name: name, Runtime: "fake"})
			require.NoError(t, err)
		}
		_, err := w.CordonHost(t.Context(), "a", true)
		require.NoError(t, err)
		backup := w.backup()
		_, err = w.CordonHost(t.Context(), "a", false)
		require.NoError(t, err)
		for _, name := range []string{"b", "c"} {
			_, err := w.RemoveHost(t.Context(), name, true)
			require.NoError(t, err)
		}
		time.Sleep(10 * time.Second)
		require.Len(t, w.Hosts(), 1)
		delete(w.hosts, "c")
		done := w.restore(backup, cms.RestoreOptions{})
		assert.Equal(t, []string{"b", "c"}, done.Hosts)
		require.Len(t, done.Problems, 1)
		assert.Contains(t, done.Problems[0], "host c")
		assert.Len(t, w.Hosts(), 2)
		h, err := w.Host("a")
		require.NoError(t, err)
		assert.True(t, h.Host.Cordoned)
	})
}

func TestRestoreIsRefused(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		backup := w.backup()
		saves := w.store.Saves()
		edited := func(edit func(*cms.State)) []byte {
			var s cms.State
			require.NoError(t, json.Unmarshal(backup, &s))
			edit(&s)
			text, err := json.Marshal(s)
			require.NoError(t, err)
			return text
		}
		var faults cms.Faults
		for name, c := range map[string]struct {
			backup []byte
			want   error
			says   string
		}{
			"damaged":          {[]byte("{"), cms.ErrStoreCorrupt, ""},
			"another cluster":  {edited(func(s *cms.State) { s.ClusterID = "OTHER" }), cms.ErrConflict, "any_cluster"},
			"an invalid pod":   {edited(func(s *cms.State) { s.Pods[0].Spec.MaxNodes = -1 }), nil, "pods[web]"},
			"an unknown host":  {edited(func(s *cms.State) { s.Pods[0].Spec.Hosts = []string{"nowhere"} }), nil, "nowhere"},
			"of another kind":  {edited(func(s *cms.State) { s.Pods[0].Spec.Kind = pod.KindJob }), nil, "kind"},
			"no room for copy": {backup, errNoCopy, ""},
		} {
			if name == "no room for copy" {
				w.store.OnKeep(func() error { return errNoCopy })
			}
			_, err := w.Restore(t.Context(), bytes.NewReader(c.backup), cms.RestoreOptions{})
			require.Error(t, err, name)
			if c.want != nil {
				assert.ErrorIs(t, err, c.want, name)
			} else {
				assert.ErrorAs(t, err, &faults, name)
			}
			assert.ErrorContains(t, err, c.says, name)
			w.store.OnKeep(nil)
		}
		assert.Equal(t, saves, w.store.Saves(), "something was changed")
		done := w.restore(edited(func(s *cms.State) { s.ClusterID = "OTHER" }), cms.RestoreOptions{AnyCluster: true})
		assert.Equal(t, []string{"web"}, done.Unchanged)
	})
}

var errNoCopy = errors.New("no room for a copy")

// One restore at a time.
func TestRestoreSideBySideIsRefused(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		backup := w.backup()
		w.store.OnKeep(func() error { time.Sleep(time.Second); return nil })
		first := make(chan error, 1)
		go func() {
			_, err := w.Restore(context.Background(), bytes.NewReader(backup), cms.RestoreOptions{})
			first <- err
		}()
		synctest.Wait()
		_, err := w.Restore(t.Context(), bytes.NewReader(backup), cms.RestoreOptions{})
		require.ErrorIs(t, err, cms.ErrConflict)
		require.NoError(t, <-first)
	})
}

// A disk that is full: commands fail and say so, what runs serves on, the
// problem and its end are told, and all goes on once there is room.
func TestStoreThatCannotBeWritten(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		servers := w.balancer.Servers("web")
		var full atomic.Bool
		full.Store(true)
		w.store.OnSave(func(context.Context, cms.Change) error {
			if full.Load() {
				return cms.ErrStoreFull
			}
			return nil
		})
		_, err := w.RegisterNode(t.Context(), "web", "late")
		require.ErrorIs(t, err, cms.ErrStoreFull)
		require.ErrorIs(t, w.StoreError(), cms.ErrStoreFull)
		_, err = w.CreatePod(t.Context(), cms.PodSpec{Spec: pod.Spec{Name: "other", Workload: pod.Workload{Command: []string{"x"}}}})
		require.ErrorIs(t, err, cms.ErrStoreFull)
		require.ErrorIs(t, err, cms.ErrUnsaved)
		_, err = w.CordonHost(t.Context(), "a", true)
		require.ErrorIs(t, err, cms.ErrUnsaved)
		_, err = w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
		require.Error(t, err)
		assert.Contains(t, strings.Join(sentences(w.Cluster().Problems), "|"), "nothing can be saved")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, servers, w.balancer.Servers("web"))
		assert.Len(t, running(w.hosts["a"]), 2)
		full.Store(false)
		time.Sleep(5 * time.Second)
		require.NoError(t, w.StoreError())
		assert.Empty(t, w.Cluster().Problems)
		w.launch()
		w.converge()
		w.assertConsistent()
		var told []cms.EventType
		events, _ := w.Events(0)
		for _, e := range events {
			if strings.HasPrefix(string(e.Type), "store.") {
				told = append(told, e.Type)
			}
		}
		assert.Equal(t, []cms.EventType{cms.EventStoreFailed, cms.EventStoreRecovered}, told, "once each")
	})
}

// A store that hangs, and does not look at the time that it has, counts as one that
// cannot be written.
func TestStoreThatHangs(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		hangs := make(chan struct{})
		w.store.OnSave(func(context.Context, cms.Change) error { <-hangs; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.RegisterNode(ctx, "web", "late")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, w.StoreError())
		time.Sleep(10 * time.Second)
		require.Error(t, w.StoreError())
		close(hangs)
		time.Sleep(5 * time.Second)
		require.NoError(t, w.StoreError())
		w.converge()
	})
}

// A store that no pod writes to is tried by itself, too.
func TestStoreIsTriedUntilItCanBeWritten(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var full atomic.Bool
		full.Store(true)
		w.store.OnSave(func(context.Context, cms.Change) error {
			if full.Load() {
				return cms.ErrStoreFull
			}
			return nil
		})
		_, err := w.CreatePod(t.Context(), spec())
		require.ErrorIs(t, err, cms.ErrStoreFull)
		time.Sleep(time.Minute)
		require.Error(t, w.StoreError())
		full.Store(false)
		time.Sleep(3 * time.Second)
		require.NoError(t, w.StoreError())
	})
}
