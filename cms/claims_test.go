package cms_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
)

// fronted is a pod with one front.
func fronted(name, front, listen string) cms.PodSpec {
	s := spec()
	s.Name, s.Fronts[0].Name, s.Fronts[0].Listen = name, front, listen
	return s
}

// While a pod is being made nobody else may have its name, or the names and
// addresses of its fronts.
func TestNamesAreTakenWhileAPodIsBeingMade(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.balancer.Delay(balancertest.SetFront, 5*time.Second)
		created := make(chan error, 1)
		go func() {
			_, err := w.CreatePod(t.Context(), fronted("web", "web", "127.0.0.1:5100"))
			created <- err
		}()
		time.Sleep(time.Second)
		for _, c := range []struct {
			spec cms.PodSpec
			err  error
			says string
		}{
			{fronted("web", "second", "127.0.0.1:5101"), cms.ErrExists, "is being created"},
			{fronted("other", "web", "127.0.0.1:5101"), cms.ErrConflict, `pod web has a front named "web" already`},
			{fronted("other", "other", "127.0.0.1:5100"), cms.ErrConflict, "pod web has a front on 127.0.0.1:5100 already"},
		} {
			_, err := w.CreatePod(t.Context(), c.spec)
			require.ErrorIs(t, err, c.err)
			assert.ErrorContains(t, err, c.says)
		}
		require.NoError(t, <-created)
		_, err := w.CreatePod(t.Context(), fronted("web", "second", "127.0.0.1:5101"))
		require.ErrorIs(t, err, cms.ErrExists)
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())
	})
}

// A pod that was changed has the names and addresses that it has now.
func TestUpdateTakesAndGivesBackNamesAndAddresses(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		_, err := w.UpdatePod(t.Context(), fronted("web", "web", "127.0.0.1:5200"))
		require.NoError(t, err)
		_, err = w.CreatePod(t.Context(), fronted("other", "other", "127.0.0.1:5200"))
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "pod web has a front on 127.0.0.1:5200 already")
		_, err = w.CreatePod(t.Context(), fronted("other", "web", "127.0.0.1:5100"))
		require.ErrorIs(t, err, cms.ErrConflict)
		_, err = w.CreatePod(t.Context(), fronted("other", "other", "127.0.0.1:5100"))
		require.NoError(t, err)
	})
}

// An update that cannot be saved leaves the fronts as they were, in the end also
// where the balancer fails meanwhile, and keeps no names of those that it had
// added.
func TestUpdateThatFailsGivesBackWhatItTook(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		next := spec()
		next.Fronts[0].Name, next.Fronts[0].Algorithm = "web", balancer.RoundRobin
		next.Fronts = append(next.Fronts, fronted("", "second", "127.0.0.1:5101").Fronts...)
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		w.balancer.FailNext(balancertest.SetFront, nil, nil, balancer.ErrUnavailable)
		_, err := w.UpdatePod(t.Context(), next)
		require.ErrorContains(t, err, "disk full")
		w.store.OnSave(nil)
		_, err = w.CreatePod(t.Context(), fronted("other", "second", "127.0.0.1:5102"))
		require.NoError(t, err)
		_, err = w.CreatePod(t.Context(), fronted("third", "third", "127.0.0.1:5101"))
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		w.converge()
		f, _ := w.balancer.Front("web")
		assert.Equal(t, balancer.LeastConn, f.Algorithm)
		w.assertConsistent()
	})
}

// A manager that ends with a front that cannot be removed leaves that to the
// next one.
func TestEndWithAFrontThatCannotBeRemoved(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		w.balancer.Fail(balancertest.RemoveFront, balancer.ErrUnavailable)
		_, err := w.CreatePod(t.Context(), spec())
		require.Error(t, err)
		time.Sleep(10 * time.Second)
		begun := time.Now()
		w.end()
		assert.Less(t, time.Since(begun), time.Second)
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())

		w.restart() // it cannot be removed yet
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())
		w.balancer.Fail(balancertest.RemoveFront, nil)
		time.Sleep(10 * time.Second)
		assert.Empty(t, w.balancer.Fronts())
		_, err = w.CreatePod(t.Context(), fronted("other", "web", "127.0.0.1:5101"))
		require.NoError(t, err)
	})
}

// Fronts that no pod has are looked for once all pods are there: one that takes
// long to come keeps its own.
func TestFrontsOfPodsThatComeLateAreNoStrays(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		var slow atomic.Int64 // a time.Duration
		w.config.Policies = elastic.NewRegistry()
		require.NoError(t, w.config.Policies.Register(elastic.Kind{Name: "slow", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
			time.Sleep(time.Duration(slow.Load()))
			return &elastic.Threshold{Lower: 0.3, Upper: 0.7}, nil
		}}))
		w.restart()
		w.pod(1)
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 2, PolicyJSON: json.RawMessage(`{"kind":"slow"}`)})
		require.NoError(t, err)
		require.NoError(t, w.balancer.SetFront(t.Context(), balancer.Front{Name: "stray", Listen: "127.0.0.1:5999"}))
		w.balancer.SetInFlight("web", "n1", 1)
		slow.Store(int64(5 * time.Second))
		w.balancer.FailNext(balancertest.Observe, balancer.ErrUnavailable)
		w.restart()
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"web"}, w.balancer.Fronts())
		assert.Zero(t, w.balancer.Cut(), "it was there all the time")
		w.assertConsistent()
	})
}
