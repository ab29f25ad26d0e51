package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

func podAt(name string, turns uint64) cms.PodStatus {
	s := cms.PodStatus{LastTick: &cms.Tick{Seq: turns}}
	s.Spec.Name = name
	return s
}

func TestProgress(t *testing.T) {
	begin := time.Date(2026, 11, 5, 10, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	seen := func(seconds float64) cms.BalancerStatus { return cms.BalancerStatus{At: at(seconds)} }
	p := newProgress(10*time.Second, 0)
	require.Equal(t, 5*time.Second, p.patience)
	assert.Equal(t, 25*time.Second, newProgress(10*time.Second, 5*time.Second).patience, "a slow tick is no hang")

	require.NoError(t, p.check(at(0), nil, seen(0)), "without pods there is nothing to hang")
	require.NoError(t, p.check(at(20), []cms.PodStatus{podAt("a", 0), podAt("b", 7)}, seen(20)))
	require.NoError(t, p.check(at(24), []cms.PodStatus{podAt("a", 0), podAt("b", 8)}, seen(24)), "a new pod gets its time")
	require.NoError(t, p.check(at(25), []cms.PodStatus{podAt("a", 1), podAt("b", 8)}, seen(25)))
	err := p.check(at(29.5), []cms.PodStatus{podAt("a", 2), podAt("b", 8)}, seen(29))
	require.EqualError(t, err, "the loop of pod b has stood still for 5.5s")
	require.NoError(t, p.check(at(30), []cms.PodStatus{podAt("a", 3), podAt("b", 9)}, seen(30)), "it goes on")
	require.NoError(t, p.check(at(31), []cms.PodStatus{podAt("a", 4)}, seen(31)))
	require.NoError(t, p.check(at(60), []cms.PodStatus{podAt("a", 5), podAt("b", 9)}, seen(60)), "a pod that was gone is new")
	require.NoError(t, p.check(at(61), []cms.PodStatus{podAt("a", 1), podAt("b", 10)}, seen(61)), "and one that was made again")
	require.NoError(t, p.check(at(3600), nil, seen(-3600)), "nobody looked for a while, and the clock was set back")

	down := cms.BalancerStatus{At: at(0), Fault: cms.Reason{Code: "balancer-failed", Text: "HAProxy does not answer"}}
	for s := range 60 {
		require.NoError(t, p.check(at(3600+float64(s)), nil, down), "a balancer that is down is no hang")
	}
	require.NoError(t, p.check(at(3700), nil, seen(3700)))
	require.NoError(t, p.check(at(3719), nil, seen(3700)), "its answer may take its time")
	require.EqualError(t, p.check(at(3721), nil, seen(3700)), "the balancer has not been observed for 21s")
}

// Signs of life come four times as often as they must, as long as the manager
// lives, and say so once where it does not.
func TestWatchdogFollowsTheManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards what the notifier sees and says
		var sent []string
		var fails, hangs error
		status := "1 pod"
		locked := func(f func()) {
			mu.Lock()
			defer mu.Unlock()
			f()
		}
		out := &safeBuffer{}
		n := &notifier{
			watchdog: 4 * time.Second, log: slog.New(slog.NewTextHandler(out, nil)),
			send: func(s string) (err error) {
				locked(func() { sent, err = append(sent, s), fails })
				return err
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			n.run(ctx, func() (s string) {
				locked(func() { s = status })
				return s
			}, func(time.Time) (err error) {
				locked(func() { err = hangs })
				return err
			})
		}()
		take := func(d time.Duration) (all string) {
			time.Sleep(d)
			synctest.Wait()
			locked(func() { all, sent = strings.Join(sent, "|"), nil })
			return all
		}
		assert.Equal(t, "STATUS=1 pod\nWATCHDOG=1", take(0))
		assert.Equal(t, "WATCHDOG=1|WATCHDOG=1|WATCHDOG=1|WATCHDOG=1", take(4*time.Second))
		locked(func() { hangs, status = errors.New("the loop of pod b has stood still for 5.5s"), "2 pods" })
		assert.Equal(t, "STATUS=2 pods", take(10*time.Second), "no sign of life")
		assert.Equal(t, 1, strings.Count(out.String(), "no sign of life"), out.String())
		assert.Contains(t, out.String(), "pod b has stood still")
		locked(func() { hangs = nil })
		assert.Equal(t, "WATCHDOG=1", take(time.Second))

		locked(func() { fails = errors.New("no such file") })
		take(3 * time.Second)
		assert.Equal(t, 1, strings.Count(out.String(), "cannot tell systemd"), out.String())
		cancel()
		<-ended
	})
	var nobody *notifier
	nobody.ready("x")
	nobody.reloading()
	nobody.stopping(time.Second)
	nobody.run(t.Context(), nil, nil) // returns
	assert.Zero(t, nobody.interval())
}

func TestStatusLine(t *testing.T) {
	assert.Equal(t, "0 pods, 0 nodes (0 online), 0 hosts", statusLine(nil, nil))
	p := podAt("a", 1)
	p.Nodes = []cms.NodeStatus{{State: pod.StateOnline}, {State: pod.StateStarting}}
	p.Counts.Nodes = metrics.Nodes{Online: 1, Starting: 1}
	p.Problems = make([]cms.Problem, 2)
	assert.Equal(t, "2 pods, 2 nodes (1 online), 2 hosts (1 unreachable), 2 problems",
		statusLine([]cms.PodStatus{p, podAt("b", 1)}, []cms.HostStatus{{Reachable: true}, {}}))
}

func TestNotifierRefusesABrokenWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "soon")
	_, err := newNotifier(slog.New(slog.DiscardHandler), "/run/systemd/notify")
	require.ErrorContains(t, err, "correct it")
	n, err := newNotifier(slog.New(slog.DiscardHandler), "")
	require.NoError(t, err)
	assert.Nil(t, n)
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
