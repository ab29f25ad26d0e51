package cms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// answering returns an address at which a program outside of any bubble answers
// whatever is asked over HTTP.
func answering(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return l.Addr().String()
}

// A node that somebody pauses counts as hung at once, whatever its probe: the
// kernel accepts connections for it.
func TestNodeThatSomebodyPausesIsHungAtOnce(t *testing.T) {
	addr := answering(t)
	for name, probe := range map[string]pod.Probe{
		"none":        {Kind: pod.ProbeNone},
		"tcp":         {Kind: pod.ProbeTCP, LiveInterval: time.Minute},
		"http":        {Kind: pod.ProbeHTTP, Path: "/", LiveInterval: time.Minute},
		"healthcheck": {Kind: pod.ProbeHealthcheck},
		"never hung":  {Kind: pod.ProbeTCP, Failures: -1},
	} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarts %v", name, restarts), func(t *testing.T) {
				inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
					w.end()
					w.hosts["a"].Endpoint = func(pod.NodeID, string) string { return addr }
					w.restart()
					w.imagePod(3, func(s *cms.PodSpec) { s.Workload.Probe = probe })
					time.Sleep(time.Minute)
					if restarts {
						w.end()
						w.hosts["a"].Freeze(id("n2"), true)
						w.restart()
					} else {
						w.hosts["a"].Freeze(id("n2"), true)
					}
					time.Sleep(100 * time.Millisecond)
					told := w.told(cms.EventNodeHung)
					require.Len(t, told, 1)
					assert.Equal(t, "node n2 is paused on its host by somebody else", told[0].Message)
					assert.NotContains(t, w.servers(balancer.Ready), "n2")
					s := w.converge()
					assert.Equal(t, []string{"n1", "n3", "n4"}, names(s, pod.StateOnline))
					assert.Len(t, running(w.hosts["a"]), 3)
					assert.Len(t, w.hosts["a"].Nodes(), 3, "nothing of it is left")
					w.assertConsistent()
				})
			})
		}
	}
}

// Where nothing better is there, paused nodes stay until others are. One that goes
// on before is kept.
func TestPausedNodeThatGoesOn(t *testing.T) {
	for _, n := range []int{1, 3} {
		for _, thaws := range []bool{false, true} {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(n)
				time.Sleep(time.Minute)
				old := names(w.now(), pod.StateOnline)
				w.hosts["a"].SetStartDelay(10 * time.Second)
				for _, name := range old {
					w.hosts["a"].Freeze(id(name), true)
				}
				time.Sleep(5 * time.Second)
				s := w.now()
				assert.Equal(t, old, w.servers(balancer.Ready), "nothing better is there")
				assert.NotEmpty(t, names(s, pod.StateStarting))
				assert.Len(t, w.told(cms.EventNodeHung), n)
				if thaws {
					for _, name := range old {
						w.hosts["a"].Freeze(id(name), false)
					}
					w.ready(time.Minute, n)
					s = w.converge()
					assert.Equal(t, old, names(s, pod.StateOnline))
					assert.Empty(t, s.Problems)
				} else {
					w.ready(5*time.Minute, (n+1)/2) // once half of them answer the others go at once
					for _, name := range names(w.converge(), pod.StateOnline) {
						assert.NotContains(t, old, name)
					}
				}
				assert.Len(t, w.told(cms.EventNodeHung), n, "each is told once")
				w.assertConsistent()
			})
		}
	}
}

// Problems say when the next try is, by the wall clock and as of now, also where
// that clock jumps.
func TestProblemsCountDown(t *testing.T) {
	for _, jump := range []time.Duration{0, time.Hour, -24 * time.Hour} {
		inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
			var ahead atomic.Int64
			wall := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			w.end()
			w.config.Wall = wall
			w.restart()
			w.pod(1)
			w.hosts["a"].FailStarts(-1, errors.New("no space left on device"))
			w.want(2)
			time.Sleep(4 * time.Minute)
			var p *cms.Problem
			for p == nil || p.Again.Sub(wall()) < 20*time.Second {
				time.Sleep(time.Second)
				p = problem(w.now(), cms.ProblemStart)
			}
			now := wall()
			left := p.Again.Sub(now)
			for _, later := range []time.Duration{0, 5 * time.Second, left - time.Second} {
				assert.Contains(t, p.Sentence(now.Add(later)), "; the next try is in "+(left-later).Round(100*time.Millisecond).String())
			}
			assert.Contains(t, p.Sentence(now.Add(left)), "; it is tried again now")
			tries := len(w.hosts["a"].Calls("start"))
			due := time.Now().Add(left)
			ahead.Store(int64(jump))
			w.each(left-100*time.Millisecond, func(s cms.PodStatus) {
				if time.Until(due) < left-1100*time.Millisecond { // after the next tick
					p := problem(s, cms.ProblemStart)
					require.NotNil(t, p)
					require.InDelta(t, time.Until(due), p.Again.Sub(wall()), float64(time.Millisecond))
				}
			})
			assert.Len(t, w.hosts["a"].Calls("start"), tries)
			time.Sleep(200 * time.Millisecond)
			assert.Len(t, w.hosts["a"].Calls("start"), tries+1, "it is tried when it was said")
		})
	}
}

// A pod shows a last tick and a last change from the beginning.
func TestTicksAreNeverNil(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		check := func(s cms.PodStatus, err error) {
			t.Helper()
			require.NoError(t, err)
			for _, s := range append(w.Pods(), s) {
				require.NotNil(t, s.LastTick)
				require.NotNil(t, s.LastChange)
				_ = s.LastChange.Decision.Reason()
			}
		}
		check(w.CreatePod(t.Context(), spec()))
		check(w.Pod("web"))
		w.restart()
		check(w.Pod("web"))
		check(w.RestartPod(t.Context(), "web"))
		time.Sleep(3 * time.Second)
		check(w.Pod("web"))
		assert.Positive(t, w.now().LastTick.Seq)
		assert.Zero(t, w.now().LastChange.Seq)
		check(w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 2, Max: 3}))
		assert.Positive(t, w.converge().LastChange.Seq)
		check(w.RestartPod(t.Context(), "web"))
		w.restart()
		check(w.Pod("web"))
		check(w.Pause(t.Context(), "web"))
		w.lose()
		w.config.TakeOver = true
		w.start()
		check(w.Pod("web"))
		check(w.DeletePod(t.Context(), "web"))
	})
}

// The counts of a pod are those of its nodes.
func TestCountsOfNodes(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(3)
		seen := metrics.Nodes{}
		check := func(s cms.PodStatus) {
			c := s.Counts
			for state, n := range map[pod.State]int{
				pod.StateNew: c.New, pod.StateStarting: c.Starting, pod.StateOnline: c.Online,
				pod.StateStandby: c.Standby, pod.StateDraining: c.Draining, pod.StateFailed: c.Failed,
			} {
				require.Len(t, names(s, state), n, "%s", state)
			}
			seen = metrics.Nodes{
				New: max(seen.New, c.New), Starting: max(seen.Starting, c.Starting), Online: max(seen.Online, c.Online),
				Draining: max(seen.Draining, c.Draining), Failed: max(seen.Failed, c.Failed),
			}
		}
		_, err := w.RegisterNode(t.Context(), "web", "")
		require.NoError(t, err)
		w.balancer.SetInFlight("web", "n2", 1)
		w.each(time.Second, check)
		w.kill("n1")
		w.each(time.Second, check)
		w.update(version(2))
		w.each(time.Minute, check)
		assert.Equal(t, metrics.Nodes{New: 1, Starting: 1, Online: 3, Draining: 1, Failed: 1}, seen)
	})
}

// most is a policy that wants a number of nodes.
type most struct {
	Want int `json:"want"`
}

func (p most) Decide(o elastic.Observation) elastic.Decision {
	d := elastic.Decision{}
	d.Add(elastic.Step{Rule: elastic.RuleNote, From: o.Want, To: p.Want, Note: "as it says"})
	return d
}

// written is one that writes its kind.
type written struct{ most }

func (p written) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"kind":"most","want":%d}`, p.Want), nil
}

// A policy is given as a value where its kind is registered.
func TestPoliciesAsValues(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		w.config.Policies = elastic.NewRegistry()
		require.NoError(t, w.config.Policies.Register(elastic.Kind{Name: "most", New: func(raw json.RawMessage, _ *elastic.Registry) (elastic.Policy, error) {
			var p written
			return p, json.Unmarshal(raw, &p.most)
		}}))
		w.restart()
		w.pod(1)
		w.balancer.SetInFlight("web", "n1", 4)
		busy := &elastic.Target{Metric: elastic.MetricInFlight, Value: 1}
		for i, c := range []struct {
			policy elastic.Policy
			json   string
			want   int
		}{
			{busy, `{"kind":"target","metric":"in_flight","value":1}`, 4},
			{&elastic.Clamp{Policy: written{most{2}}}, `{"kind":"clamp","policy":{"kind":"most","want":2}}`, 2},
			{written{most{3}}, `{"kind":"most","want":3}`, 3},
			{&elastic.Cooldown{Down: time.Second, Policy: written{most{5}}}, `{"kind":"cooldown","down":"1s","policy":{"kind":"most","want":5}}`, 5},
		} {
			s, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 1, Max: 6, Policy: c.policy})
			require.NoError(t, err, "%d", i)
			assert.Nil(t, s.Elasticity.Policy)
			assert.JSONEq(t, c.json, string(s.Elasticity.PolicyJSON))
			time.Sleep(10 * time.Second)
			assert.Equal(t, c.want, w.converge().Want)
			w.restart()
			time.Sleep(10 * time.Second)
			assert.Equal(t, c.want, w.converge().Want)
		}
		before := w.now()
		for _, p := range []elastic.Policy{most{1}, &most{1}, &elastic.Cooldown{Down: time.Second, Policy: most{1}}, strange{most{1}}} {
			_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Policy: p})
			var f cms.Faults
			require.ErrorAs(t, err, &f, "%T", p)
			require.Len(t, f, 1)
			assert.True(t, strings.HasPrefix(f[0].Path, "policy"), f[0].Path)
			assert.Contains(t, f[0].Allowed, "Registry.Register")
		}
		_, err := w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Policy: elastic.Target{Metric: elastic.MetricCPU, Value: 7}})
		assert.EqualError(t, err, "policy.value: 7 is out of range; use a fraction of the node's limit above 0 and up to 1, such as 0.7")
		assert.Equal(t, before.Elasticity, w.now().Elasticity)
	})
}

// strange writes a kind that nobody has registered.
type strange struct{ most }

func (strange) MarshalJSON() ([]byte, error) { return []byte(`{"kind":"strange"}`), nil }

// However long a write takes, a node that died is out of the balancer soon.
func TestStoreThatHangsKeepsNoDeadServer(t *testing.T) {
	slow := func(context.Context, cms.Change) error { time.Sleep(9 * time.Second); return nil }
	hangs := func(ctx context.Context, _ cms.Change) error { <-ctx.Done(); return ctx.Err() }
	for name, busy := range map[string]func(t *testing.T, w *world){
		"idle":         func(*testing.T, *world) {},
		"amid a write": func(t *testing.T, w *world) { go func() { _, _ = w.RegisterNode(context.Background(), "web", "") }() },
		"amid a scale": func(t *testing.T, w *world) {
			go func() {
				_, _ = w.SetElasticity(context.Background(), "web", cms.Elasticity{Enabled: true, Min: 6, Max: 8})
			}()
		},
		"amid a change": func(t *testing.T, w *world) {
			go func() { next := w.now().Spec; version(2)(&next); _, _ = w.UpdatePod(context.Background(), next) }()
		},
	} {
		for _, hang := range []func(context.Context, cms.Change) error{slow, hangs} {
			t.Run(name, func(t *testing.T) {
				inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
					w.pod(5)
					time.Sleep(time.Second)
					w.store.OnSave(hang)
					busy(t, w)
					for _, pause := range []time.Duration{0, 100 * time.Millisecond, 4 * time.Second, 10 * time.Second} {
						time.Sleep(pause)
						dead := running(w.hosts["a"])[0]
						w.kill(dead)
						time.Sleep(500 * time.Millisecond)
						assert.NotContains(t, w.servers(balancer.Ready), dead)
						time.Sleep(1500 * time.Millisecond)
						assert.NotContains(t, w.servers(balancer.Drain), dead)
					}
					w.store.OnSave(nil)
					time.Sleep(time.Minute)
					w.converge()
					w.assertConsistent()
				})
			})
		}
	}
}

// A command begins within one write and is answered within two; those that wait
// share one.
func TestCommandsThatWaitShareAWrite(t *testing.T) {
	for _, delay := range []time.Duration{50 * time.Millisecond, 5 * time.Second} {
		inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
			w.pod(2)
			w.store.OnSave(func(context.Context, cms.Change) error { time.Sleep(delay); return nil })
			before := w.store.Saves()
			ctx := t.Context()
			next := w.now().Spec
			next.Drain = time.Minute
			commands := []func() error{
				func() error { _, err := w.RegisterNode(ctx, "web", "x1"); return err },
				func() error { _, err := w.RegisterNode(ctx, "web", "x2"); return err },
				func() error { _, err := w.RegisterNode(ctx, "web", "x3"); return err },
				func() error { _, err := w.RemoveNode(ctx, "web", "n1"); return err },
				func() error { _, err := w.Launch(ctx, "web"); return err },
				func() error { _, err := w.UpdatePod(ctx, next); return err },
				func() error { _, err := w.Pause(ctx, "web"); return err },
				func() error { _, err := w.RestartPod(ctx, "web"); return err },
				func() error { _, err := w.Resume(ctx, "web"); return err },
				func() error { _, err := w.SetElasticity(ctx, "web", cms.Elasticity{Min: 1, Max: 4}); return err },
			}
			begun := time.Now()
			answers := make(chan error)
			for _, c := range commands {
				go func() { answers <- c() }()
				time.Sleep(time.Millisecond)
			}
			for range commands {
				require.NoError(t, <-answers)
			}
			assert.LessOrEqual(t, time.Since(begun), 2*delay+20*time.Millisecond)
			assert.LessOrEqual(t, w.store.Saves()-before, 2)
			w.store.OnSave(nil)
			w.converge()
		})
	}
}
