package cms_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// counting is a policy that wants what it is told, and remembers how often it
// was asked.
type counting struct {
	tell  *atomic.Int64 // 0: what is wanted already
	asked uint32
}

func (p *counting) Decide(o elastic.Observation) elastic.Decision {
	p.asked++
	want := cmp.Or(int(p.tell.Load()), o.Want)
	d := elastic.Decision{}
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: want, Note: "as told"})
	return d
}

func (p *counting) MarshalBinary() ([]byte, error) {
	return binary.BigEndian.AppendUint32(nil, p.asked), nil
}

func (p *counting) UnmarshalBinary(data []byte) error {
	p.asked = binary.BigEndian.Uint32(data)
	return nil
}

// inCountingWorld is inWorld with a pod of n nodes that such a policy scales.
func inCountingWorld(t *testing.T, n int, f func(t *testing.T, w *world, tell *atomic.Int64)) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		var tell atomic.Int64
		w.config.Policies = elastic.NewRegistry()
		require.NoError(t, w.config.Policies.Register(elastic.Kind{Name: "counting", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
			return &counting{tell: &tell}, nil
		}}))
		w.restart()
		w.pod(n)
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 10, PolicyJSON: json.RawMessage(`{"kind":"counting"}`)})
		require.NoError(t, err)
		f(t, w, &tell)
	})
}

// stored is what the store has of the pod.
func (w *world) stored() cms.PodRecord { return w.store.State().Pods[0] }

// What the policy remembers is kept together with the number that it changed,
// and otherwise every now and then: not at each tick.
func TestMemoryOfThePolicyIsKept(t *testing.T) {
	inCountingWorld(t, 1, func(t *testing.T, w *world, tell *atomic.Int64) {
		asked := func() int { return int(binary.BigEndian.Uint32(w.stored().PolicyMemory)) }
		time.Sleep(31 * time.Second)
		first, saves := asked(), w.store.Saves()
		time.Sleep(5 * time.Minute)
		assert.Equal(t, 10, w.store.Saves()-saves, "every 30 ticks")
		assert.Equal(t, 300, asked()-first)

		before := asked()
		w.store.OnSave(func(context.Context, cms.Change) error { time.Sleep(70 * time.Millisecond); return nil })
		tell.Store(3)
		s := w.wait("told", func(s cms.PodStatus) bool { return s.Want == 3 })
		require.Equal(t, 3, w.stored().Want)
		assert.Greater(t, asked(), before, "what it knew when it decided so")
		assert.True(t, s.LastTick.Observation.At.Equal(w.stored().PolicyAt), "and when that was")
		assert.Equal(t, 70*time.Millisecond, s.LastTick.Took)
		assert.Equal(t, 3, s.Sample.Want)

		time.Sleep(10 * time.Second)
		before, last := asked(), w.converge().LastTick
		w.end()
		assert.Equal(t, int(last.Seq), asked(), "all that it knew")
		assert.Greater(t, asked(), before)
		time.Sleep(time.Hour)
		w.restart()
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Less(t, s.LastTick.Observation.At.Sub(last.Observation.At), 10*time.Second, "for the policy no time passes while no manager runs")
		assert.True(t, s.LastTick.Observation.At.After(last.Observation.At))
		assert.Equal(t, s.LastTick.At, s.Sample.At, "for people it does")
	})
}

// constant is a policy whose memory never changes.
type constant struct{ elastic.Policy }

func (constant) MarshalBinary() ([]byte, error) { return []byte("always this"), nil }

func (constant) UnmarshalBinary([]byte) error { return nil }

// Where nothing changes nothing is saved; at the end it is kept how far the time
// of a policy with a memory was.
func TestNothingIsSavedWhereNothingChanges(t *testing.T) {
	for kind, saves := range map[string]int{"threshold": 0, "constant": 1} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			w.end()
			w.config.Policies = elastic.NewRegistry()
			require.NoError(t, w.config.Policies.Register(elastic.Kind{Name: "constant", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
				return constant{&elastic.Threshold{Lower: 0.3, Upper: 0.7}}, nil
			}}))
			w.restart()
			w.pod(1)
			_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 2, Max: 5,
				PolicyJSON: json.RawMessage(`{"kind":"` + kind + `","lower":0.3,"upper":0.7}`)})
			require.NoError(t, err)
			w.converge()
			w.load(0.5)
			time.Sleep(time.Minute)
			before := w.store.Saves()
			time.Sleep(10 * time.Minute)
			assert.Equal(t, before, w.store.Saves(), kind)
			last := w.converge().LastTick
			w.end()
			assert.Equal(t, before+saves, w.store.Saves(), kind)
			if saves > 0 {
				assert.Less(t, w.stored().PolicyAt.Sub(last.Observation.At).Abs(), 2*time.Second)
			}
		})
	}
}

// A number that cannot be saved is not acted on, and the tick says why.
func TestDecisionThatCannotBeSaved(t *testing.T) {
	inCountingWorld(t, 1, func(t *testing.T, w *world, tell *atomic.Int64) {
		w.store.OnSave(func(context.Context, cms.Change) error { return errors.New("disk full") })
		tell.Store(2)
		time.Sleep(5 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 1, s.Want)
		assert.Len(t, s.Nodes, 1)
		assert.Contains(t, s.LastTick.Err, "disk full")
		assert.Equal(t, 2, s.LastTick.Decision.Want, "what it would have done")
		assert.Zero(t, s.LastChange.Seq)
		w.store.OnSave(nil)
		time.Sleep(3 * time.Second)
		s = w.converge()
		assert.Equal(t, 2, s.Want)
		assert.Empty(t, s.LastTick.Err)
	})
}

// Of the room on the hosts only those decisions speak which it limits.
func TestDecisionSpeaksOfRoomWhereThatIsShort(t *testing.T) {
	inCountingWorld(t, 1, func(t *testing.T, w *world, tell *atomic.Int64) {
		w.end()
		w.hosts["a"].Capacity = pod.Resources{CPU: 2, Memory: 550 << 20} // for five nodes
		w.restart()
		for _, c := range []struct {
			tell int64
			want int
			says string
		}{
			{4, 4, "as told: 1 → 4"},
			{5, 5, "as told: 4 → 5"},
			{9, 5, "as told: 5 → 9; want 9, room for 5: host a 50MiB of 550MiB memory free"},
			{2, 2, "as told: 5 → 2"},
		} {
			tell.Store(c.tell)
			time.Sleep(2 * time.Second)
			s := w.converge()
			require.Equal(t, c.want, s.Want)
			ticks, err := w.Ticks("web", 100)
			require.NoError(t, err)
			i := slices.IndexFunc(ticks, func(t cms.Tick) bool { return t.Before != int(c.tell) })
			assert.Equal(t, c.says, ticks[i].Decision.String())
		}
	})
}

// What was measured and counted at a tick is what the pod's status and its
// series say.
func TestSampleOfATick(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		w.hosts["a"].Exit(id("n1"), pod.Exit{Code: 1})
		for range 2 {
			_, err := w.RegisterNode(t.Context(), "web", "")
			require.NoError(t, err)
		}
		time.Sleep(3 * time.Second)
		s, err := w.Pod("web")
		require.NoError(t, err)
		got := s.Sample
		assert.Equal(t, 3, got.Want)
		assert.Equal(t, metrics.Nodes{New: 2, Online: 3, Failed: 1}, got.Nodes)
		assert.Equal(t, s.LastTick.At, got.At)
		assert.Less(t, time.Since(got.At), time.Second+50*time.Millisecond)
		kept, err := w.Samples("web", got.At.Add(-time.Millisecond))
		require.NoError(t, err)
		assert.Equal(t, []metrics.Sample{got}, kept)

		w.hosts["a"].SetUsage(id("n2"), 0.25, 40<<20)
		w.balancer.SetInFlight("web", "n3", 2)
		time.Sleep(2 * time.Second)
		n, err := w.Node("web", "n2")
		require.NoError(t, err)
		assert.Equal(t, metrics.V(40<<20), n.Memory)
		assert.Equal(t, metrics.V(0.5), n.CPU, "of its limit")
		_, err = w.RemoveNode(t.Context(), "web", "n3")
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		s, err = w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, metrics.Nodes{New: 2, Online: 2, Draining: 1, Failed: 1}, s.Sample.Nodes)
		n, err = w.Node("web", "n3")
		require.NoError(t, err)
		assert.Equal(t, metrics.V(2), n.InFlight)
		assert.Equal(t, metrics.Missing, n.Memory)
	})
}

// A balancer that does not answer freezes the number, and is the reason.
func TestBalancerThatDoesNotAnswerFreezesTheNumber(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.load(0.5)
		w.elasticity(1, 4)
		time.Sleep(3 * time.Second)
		w.balancer.Fail(balancertest.Observe, balancer.ErrUnavailable)
		for range 10 {
			time.Sleep(time.Second)
			w.load(0.95)
		}
		s, err := w.Pod("web")
		require.NoError(t, err)
		assert.Equal(t, 1, s.Want)
		assert.Contains(t, s.LastTick.Err, "the balancer does not answer: ")
		assert.Contains(t, s.LastTick.Decision.String(), "the balancer does not answer: ")
		w.balancer.Fail(balancertest.Observe, nil)
		w.load(0.95)
		w.wait("grown", func(s cms.PodStatus) bool { return s.Want > 1 })
	})
}

// A policy that this program has in another way, or not at all, is no reason not
// to run the pod.
func TestPolicyOfAnotherProgram(t *testing.T) {
	for name, c := range map[string]struct {
		policy elastic.Policy // nil: there is no such kind
		says   string
	}{
		"unknown":           {nil, "the policy cannot be used, so the number of nodes is kept: "},
		"without memory":    {&elastic.Target{Metric: "in_flight", Value: 1}, ""},
		"of another memory": {&elastic.Cooldown{Down: time.Minute, Policy: &elastic.Target{Metric: "in_flight", Value: 1}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inCountingWorld(t, 2, func(t *testing.T, w *world, _ *atomic.Int64) {
				time.Sleep(time.Minute)
				w.end()
				require.NotEmpty(t, w.stored().PolicyMemory)
				w.config.Policies = elastic.NewRegistry()
				if c.policy != nil {
					require.NoError(t, w.config.Policies.Register(elastic.Kind{Name: "counting", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
						return c.policy, nil
					}}))
				}
				w.restart()
				w.balancer.SetInFlight("web", "n1", 4)
				time.Sleep(10 * time.Second)
				s := w.converge()
				if c.policy != nil {
					assert.Equal(t, 4, s.Want)
					assert.Empty(t, s.Problems)
					return
				}
				assert.Equal(t, 2, s.Want)
				require.Len(t, s.Problems, 1)
				assert.Contains(t, sentences(s.Problems)[0], c.says)
				assert.Contains(t, s.LastTick.Decision.String(), c.says)
				w.elasticity(3, 3)
				assert.Empty(t, w.converge().Problems, "another one was chosen")
			})
		})
	}
}
