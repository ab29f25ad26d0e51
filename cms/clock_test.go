package cms_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// life is an hour of an elastic pod with everything that waits, cools down or
// times out. It returns what the pod was like every five seconds. The wall clock
// goes by off from the steady one, which is called at each look at it.
func life(t *testing.T, off func(passed time.Duration) time.Duration) (seen []string) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.end()
		began := time.Now()
		w.config.Wall = func() time.Time {
			now := time.Now().Round(0) // without its monotonic reading
			return now.Add(off(now.Sub(began.Round(0))))
		}
		w.restart()
		look := func(d time.Duration) {
			for range int(d / (5 * time.Second)) {
				time.Sleep(5 * time.Second)
				s, err := w.Pod("web")
				require.NoError(t, err)
				line := fmt.Sprintf("%s want %d", time.Since(began).Round(time.Second), s.Want)
				for _, state := range []pod.State{pod.StateStarting, pod.StateOnline, pod.StateDraining, pod.StateFailed} {
					line += fmt.Sprintf(", %s %v", state, names(s, state))
				}
				if s.Rollout != nil {
					line += fmt.Sprintf(" %s %d", s.Rollout.State, s.Rollout.Step)
				}
				seen = append(seen, line)
			}
		}
		sp := spec()
		sp.Update = cms.Update{Strategy: cms.Canary, MinReady: 30 * time.Second, Steps: []cms.CanaryStep{{Weight: 30, Pause: time.Minute}}}
		_, err := w.CreatePod(t.Context(), sp)
		require.NoError(t, err)
		_, err = w.SetElasticity(t.Context(), "web", cms.Elasticity{Enabled: true, Min: 2, Max: 6, PolicyJSON: json.RawMessage(
			`{"kind":"cooldown","up":"20s","down":"2m","policy":{"kind":"stabilize","down":"1m","policy":{"kind":"threshold","lower":0.3,"upper":0.7}}}`)})
		require.NoError(t, err)
		w.load(0.9)
		look(time.Minute)
		for range 6 {
			w.load(0.9)
			look(20 * time.Second)
		}
		w.load(0.1)
		look(2 * time.Minute)
		w.restart() // in the middle of a cooldown
		w.load(0.1)
		look(3 * time.Minute)
		w.balancer.SetInFlight("web", running(w.hosts["a"])[0], 1) // a request that never ends
		sp.Workload.Env = map[string]string{"VERSION": "2"}
		_, err = w.UpdatePod(t.Context(), sp)
		require.NoError(t, err)
		look(5 * time.Minute)
		w.hosts["b"].SetUnreachable(true) // for longer than the host's time-out
		look(2 * time.Minute)
		w.hosts["b"].SetUnreachable(false)
		time.Sleep(15 * time.Second) // that it is back is noticed at a random moment
		look(2 * time.Minute)
		w.hosts["a"].Exit(pod.NodeID{Pod: "web", Name: running(w.hosts["a"])[0]}, pod.Exit{Code: 1})
		look(time.Minute)
	})
	return seen
}

func TestNothingIsDecidedByTheWallClock(t *testing.T) {
	want := life(t, func(time.Duration) time.Duration { return 0 })
	for name, off := range map[string]func(time.Duration) time.Duration{
		"an hour forward": func(d time.Duration) time.Duration {
			return d.Truncate(50*time.Second) / (50 * time.Second) * time.Hour
		},
		"an hour back": func(d time.Duration) time.Duration {
			return -d.Truncate(50*time.Second) / (50 * time.Second) * time.Hour
		},
		"forward and back": func(d time.Duration) time.Duration { return (d / (50 * time.Second) % 2) * time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			got := life(t, off)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, want[i], got[i])
			}
		})
	}
}
