package cmstest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	disks := map[string]*cmstest.Store{}
	cmstest.RunStore(t, cmstest.Harness{Open: func(dir string) (state.Store, error) {
		old, ok := disks[dir]
		if !ok {
			disks[dir] = cmstest.NewStore()
			return disks[dir], nil
		}
		s, err := old.Reopen()
		if err != nil {
			return nil, err
		}
		disks[dir] = s
		return s, nil
	}})
}

func TestSaveHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cmstest.NewStore()
		refused := errors.New("disk full")
		change := state.Change{PutPods: []state.Pod{{Spec: state.PodSpec{Spec: pod.Spec{Name: "web"}}}}}

		s.OnSave(func(context.Context, state.Change) error { return refused })
		require.ErrorIs(t, s.Save(t.Context(), change), refused)
		assert.Empty(t, s.State().Pods)
		assert.Zero(t, s.Saves())

		// While one save is slow, another one and readers go on.
		s.OnSave(func(_ context.Context, c state.Change) error {
			if len(c.PutPods) > 0 {
				time.Sleep(time.Hour)
			}
			return nil
		})
		began, done := time.Now(), make(chan error)
		go func() { done <- s.Save(t.Context(), change) }()
		synctest.Wait()
		require.NoError(t, s.Save(t.Context(), state.Change{EventID: 4}))
		assert.Empty(t, s.State().Pods)
		require.NoError(t, <-done)
		assert.Equal(t, time.Hour, time.Since(began))
		assert.Len(t, s.State().Pods, 1)
		assert.Equal(t, 2, s.Saves())

		// A context that ends while the hook blocks changes nothing.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.OnSave(func(ctx context.Context, _ state.Change) error { <-ctx.Done(); return nil })
		require.ErrorIs(t, s.Save(ctx, state.Change{DeletePods: []string{"web"}}), context.DeadlineExceeded)
		assert.Len(t, s.State().Pods, 1)

		s.OnLoad(func(context.Context) error { return refused })
		_, err := s.Load(t.Context())
		require.ErrorIs(t, err, refused)
	})
}

func TestReopenIsWithoutHooks(t *testing.T) {
	s := cmstest.NewStore()
	s.OnSave(func(context.Context, state.Change) error { return errors.New("no") })
	_, err := s.Reopen()
	require.ErrorIs(t, err, state.ErrStoreLocked)
	require.NoError(t, s.Close())
	again, err := s.Reopen()
	require.NoError(t, err)
	require.NoError(t, again.Save(t.Context(), state.Change{EventID: 8}))
	assert.EqualValues(t, 8, again.State().EventID)
}
