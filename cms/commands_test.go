package cms_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// The answer of a command shows what it changed, also while the loop is held up
// by what it does about that.
func TestCommandAnswersWithWhatItChanged(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.store.OnSave(func(_ context.Context, c cms.Change) error {
			if len(c.PutPods) > 0 && len(c.PutPods[0].Nodes) > 1 {
				time.Sleep(5 * time.Second)
			}
			return nil
		})
		begun := time.Now()
		s, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 3, Max: 6})
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(begun), 10*time.Second, "at most two writes")
		assert.Equal(t, 3, s.Want)
		assert.True(t, s.Elasticity.Enabled)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 3, s.Want)
		w.converge()
	})
}

// A launch that cannot be saved reserves nothing, and leaves the node as it was.
func TestLaunchThatCannotBeSaved(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(0)
		_, err := w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		_, err = w.Launch(t.Context(), "web")
		require.ErrorContains(t, err, "disk full")
		h, err := w.Host("a")
		require.NoError(t, err)
		assert.Zero(t, h.Nodes)
		assert.Zero(t, h.Reserved)
		assert.Empty(t, w.told(cms.EventNodeStarting))
		w.store.OnSave(nil)
		s := w.converge()
		assert.Equal(t, []string{"n1"}, names(s, pod.StateNew))
		assert.Empty(t, w.hosts["a"].Calls("start"))
		_, err = w.Launch(t.Context(), "web")
		require.NoError(t, err)
		assert.Equal(t, []string{"n1"}, names(w.converge(), pod.StateOnline))
	})
}
