package cms_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/pod"
)

// loads is a store whose Load takes until free is closed, or fails.
type loads struct {
	*cmstest.Store
	free chan struct{}
	err  error
}

func (s loads) Load(ctx context.Context) (cms.State, error) {
	select {
	case <-s.free:
	case <-ctx.Done():
		return cms.State{}, ctx.Err()
	}
	if s.err != nil {
		return cms.State{}, s.err
	}
	return s.Store.Load(ctx)
}

func TestStart(t *testing.T) {
	free := make(chan struct{})
	close(free)
	var store *cmstest.Store // of the last manager
	manager := func(t *testing.T, free chan struct{}, err error) *cms.Manager {
		store = cmstest.NewStore()
		m, failed := cms.New(cms.Config{
			Store: loads{store, free, err}, Balancer: balancertest.NewFake(),
			OpenRuntime: func(context.Context, pod.Host, pod.Cluster) (pod.Runtime, error) { return nil, pod.ErrUnreachable },
		})
		require.NoError(t, failed)
		return m
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	t.Run("ready, and stopped by several at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := manager(t, free, nil)
			ctx, cancel := context.WithCancel(t.Context())
			stop, err := m.Start(ctx)
			require.NoError(t, err)
			cancel()
			synctest.Wait()
			_, err = m.CreatePod(t.Context(), spec())
			require.NoError(t, err, "the end of Start's context is not that of the manager")
			_, err = m.Start(t.Context())
			require.ErrorContains(t, err, "was started before")
			for range 3 {
				go func() { assert.NoError(t, stop(context.Background())) }()
			}
			require.NoError(t, stop(t.Context()))
			require.NoError(t, stop(ended))
			_, err = m.CreatePod(t.Context(), spec())
			require.ErrorIs(t, err, cms.ErrNotRunning)
		})
	})
	t.Run("several at once: one begins", func(t *testing.T) {
		for range 200 {
			m := manager(t, free, nil)
			stops := make(chan func(context.Context) error, 3)
			var calling sync.WaitGroup
			for range cap(stops) {
				calling.Go(func() {
					if stop, err := m.Start(t.Context()); err == nil {
						stops <- stop
					}
				})
			}
			calling.Wait()
			require.Len(t, stops, 1)
			require.NoError(t, (<-stops)(t.Context()))
		}
	})
	t.Run("stop that may not wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := manager(t, free, nil)
			stop, err := m.Start(t.Context())
			require.NoError(t, err)
			store.OnSave(func(context.Context, cms.Change) error {
				time.Sleep(time.Second)
				return nil
			})
			go func() { _, _ = m.CreatePod(t.Context(), spec()) }() // the manager waits for what it saves
			synctest.Wait()
			require.ErrorIs(t, stop(ended), context.Canceled)
			require.NoError(t, stop(t.Context()))
		})
	})
	t.Run("Run fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broken := errors.New("broken")
			stop, err := manager(t, free, broken).Start(t.Context())
			require.ErrorIs(t, err, broken)
			assert.Nil(t, stop)
		})
	})
	t.Run("ctx ends first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := manager(t, make(chan struct{}), nil).Start(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
}
