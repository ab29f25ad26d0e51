package cms_test

import (
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

func TestInitMakesTheDefaultPodsOnce(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		other := spec()
		other.Name, other.Fronts = "other", nil
		w.config.DefaultPods = []cms.PodSpec{spec(), other}
		w.restart()
		for range 2 {
			pods, err := w.Init(t.Context())
			require.NoError(t, err)
			require.Len(t, pods, 2)
			assert.Equal(t, "web", pods[0].Spec.Name)
			assert.Equal(t, "other", pods[1].Spec.Name)
		}
		assert.Len(t, w.Pods(), 2)
	})
}

func TestLogs(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.pod(1)
		id := pod.NodeID{Pod: "web", Name: "n1"}
		w.hosts["a"].Log(id, "hello")
		out, err := w.Logs(ctx, "web", "n1", pod.LogOptions{})
		require.NoError(t, err)
		text, err := io.ReadAll(out)
		require.NoError(t, err)
		require.NoError(t, out.Close())
		assert.Equal(t, "hello\n", string(text))

		_, err = w.Logs(ctx, "web", "n9", pod.LogOptions{})
		require.ErrorIs(t, err, cms.ErrNotFound)
		_, err = w.Logs(ctx, "nope", "n1", pod.LogOptions{})
		require.ErrorIs(t, err, cms.ErrNotFound)
		_, err = w.RegisterNode(ctx, "web", "fresh")
		require.NoError(t, err)
		_, err = w.Logs(ctx, "web", "fresh", pod.LogOptions{})
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "has not been started")

		w.hosts["a"].Kill(id)
		w.wait("replaced", func(s cms.PodStatus) bool { return s.Converged && len(names(s, pod.StateFailed)) == 1 })
		time.Sleep(5 * time.Second)
		_, err = w.Logs(ctx, "web", "n1", pod.LogOptions{})
		require.ErrorIs(t, err, cms.ErrConflict)
		assert.ErrorContains(t, err, "nothing is left")
		w.hosts["a"].SetUnreachable(true)
		_, err = w.Logs(ctx, "web", "n2", pod.LogOptions{})
		require.ErrorIs(t, err, cms.ErrConflict)
		w.hosts["a"].SetUnreachable(false)
	})
}

func TestTicksAndSamplesAreKeptForAWhile(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.load(0.5)
		w.elasticity(2, 3)
		time.Sleep(time.Hour)
		ticks, err := w.Ticks("web", 10_000)
		require.NoError(t, err)
		assert.Less(t, len(ticks), 1000, "bounded")
		assert.GreaterOrEqual(t, len(ticks), 300)
		for i := 1; i < len(ticks); i++ {
			require.Less(t, ticks[i].Seq, ticks[i-1].Seq)
		}
		oldest := ticks[len(ticks)-1]
		assert.Equal(t, 1, oldest.Before, "the one that changed the number is kept longest")
		assert.Equal(t, 2, oldest.Decision.Want)
		few, err := w.Ticks("web", 3)
		require.NoError(t, err)
		assert.Len(t, few, 3)
		_, err = w.Ticks("nope", 3)
		require.ErrorIs(t, err, cms.ErrNotFound)

		samples, err := w.Samples("web", time.Now().Add(-10*time.Second))
		require.NoError(t, err)
		require.InDelta(t, 10, len(samples), 1)
		last := samples[len(samples)-1]
		assert.Equal(t, 2, last.Want)
		assert.Equal(t, 2, last.Nodes.Online)
		_, err = w.Samples("nope", time.Time{})
		require.ErrorIs(t, err, cms.ErrNotFound)
	})
}

func TestPolicyKeepsItsMemoryOverARestart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 5,
			PolicyJSON: json.RawMessage(`{"kind":"cooldown","down":"10m","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}`)})
		require.NoError(t, err)
		grown := false
		for range 60 {
			w.load(0.95)
			time.Sleep(time.Second)
			s, err := w.Pod("web")
			require.NoError(t, err)
			grown = grown || s.Want == 5
		}
		require.True(t, grown)
		for range 60 {
			w.load(0.01)
			time.Sleep(time.Second)
		}
		require.NotEmpty(t, w.store.State().Pods[0].PolicyMemory)
		w.restart()
		begun := time.Now()
		for range 120 {
			w.load(0.01)
			time.Sleep(time.Second)
		}
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 5, s.Want, "two minutes after %s it still cools down", begun)
		for range 600 {
			w.load(0.01)
			time.Sleep(time.Second)
		}
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Less(t, s.Want, 5)
	})
}

func TestPolicyThatIsNotKnownAnyMoreKeepsTheNumber(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		w.end()
		rec := w.store.State().Pods[0]
		rec.Elasticity = cms.Elasticity{Enabled: true, Min: 1, Max: 5, Mode: cms.ModeAct, PolicyJSON: json.RawMessage(`{"kind":"oracle"}`)}
		require.NoError(t, w.store.Save(context.Background(), cms.Change{PutPods: []cms.PodRecord{rec}}))
		w.restart()
		time.Sleep(10 * time.Second)
		s := w.converge()
		assert.Equal(t, 2, s.Want)
		require.NotEmpty(t, s.Problems)
		assert.Contains(t, sentences(s.Problems)[0], "oracle")
		w.load(0.5)
		w.elasticity(1, 3)
		s = w.converge()
		assert.Empty(t, s.Problems)
	})
}

func TestPolicyThatPanicsKeepsTheNumber(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		w.config.Policies = panicRegistry(t)
		w.restart()
		assert.Same(t, w.config.Policies, w.Policies())
		w.pod(2)
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 5, PolicyJSON: json.RawMessage(`{"kind":"panics"}`)})
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		s := w.converge()
		assert.Equal(t, 2, s.Want)
		assert.Contains(t, s.LastTick.Decision.String(), "index out of range")
	})
}

type panics struct{}

func (panics) Decide(elastic.Observation) elastic.Decision { panic("index out of range") }

func TestSubscriptionsEndWithTheManager(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		_, next := w.Events(0)
		sub := w.Subscribe(next-1, 10)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := sub.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		w.end()
		_, err = sub.Next(context.Background())
		require.ErrorIs(t, err, cms.ErrNotRunning)
		_, err = w.Subscribe(next-1, 10).Next(context.Background())
		require.ErrorIs(t, err, cms.ErrNotRunning)
		sub.Close()
	})
}

func TestElasticityBounds(t *testing.T) {
	policies := elastic.NewRegistry()
	service, job := pod.Spec{Kind: pod.KindService, MaxNodes: 5}, pod.Spec{Kind: pod.KindJob, MaxNodes: 5}
	assert.Equal(t, 1, cms.Elasticity{}.For(service).Min)
	assert.Equal(t, 0, cms.Elasticity{}.For(job).Min, "jobs wait in a queue")
	require.NoError(t, cms.Elasticity{}.For(job).ValidateFor(job, policies))
	require.NoError(t, cms.Elasticity{}.WithDefaults(5).Validate(5, policies))
	bad := cms.Elasticity{Min: -1, Max: -2, Mode: "dry", PolicyJSON: json.RawMessage(`{"kind":"none"}`)}
	for _, s := range []pod.Spec{service, job} {
		var faults cms.Faults
		require.ErrorAs(t, bad.ValidateFor(s, policies), &faults)
		assert.Len(t, faults, 4)
	}
	require.ErrorContains(t, cms.Elasticity{Min: 2, Max: 9}.For(service).ValidateFor(service, policies), "max")

	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		s := spec()
		s.Kind, s.Fronts = pod.KindJob, nil
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		p, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Max: 3})
		require.NoError(t, err)
		assert.Zero(t, p.Want)
		assert.Zero(t, p.Elasticity.Min)
		s.MaxNodes = 2
		_, err = w.UpdatePod(t.Context(), s)
		var faults cms.Faults
		require.ErrorAs(t, err, &faults)
		assert.Equal(t, "max_nodes", faults[0].Path)
		_, err = w.SetElasticity(t.Context(), "web", cms.Elasticity{Max: 3})
		require.NoError(t, err)
		p, err = w.UpdatePod(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, 2, p.Elasticity.Max, "what is read can be written back")
	})
}

func panicRegistry(t *testing.T) *elastic.Registry {
	r := elastic.NewRegistry()
	require.NoError(t, r.Register(elastic.Kind{Name: "panics", Summary: "Panics.", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
		return panics{}, nil
	}}))
	return r
}
