package watch

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/internal/clock"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

func here() bool { return false }

func target(name string, interval time.Duration) Target {
	return Target{Node: name, Addr: "127.0.0.1:1", Away: here, Probe: pod.Probe{Kind: pod.ProbeTCP, Failures: 2, LiveInterval: interval, Timeout: time.Second}}
}

// inBubble runs f with a prober whose time is a fake one.
func inBubble(t *testing.T, f func(t *testing.T, l *Liveness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, NewLiveness(clock.New(time.Now), func() {})) })
}

func TestProbesInARowMakeANodeHung(t *testing.T) {
	inBubble(t, func(t *testing.T, l *Liveness) {
		l.Set([]Target{target("n1", time.Second)})
		p, failed := l.nodes["n1"], errors.New("refused")
		assert.Empty(t, l.Said())
		assert.False(t, l.said(p, failed))
		assert.Equal(t, map[string]reconcile.Probed{"n1": {Failures: 1, Text: "refused"}}, l.Said())
		assert.True(t, l.said(p, failed), "it became hung")
		assert.False(t, l.said(p, failed), "it was hung before")
		assert.Equal(t, map[string]reconcile.Probed{"n1": {Failures: 3, Text: "refused"}}, l.Said())
		assert.True(t, l.said(p, nil), "it answers again")
		assert.Empty(t, l.Said())
		assert.False(t, l.said(p, failed), "one failure does not count with those of before")
	})
}

// While its host is away nobody can say whether it is the node that does not
// answer; when the host is back it is judged by what it says then.
func TestNodesOfAHostThatIsAwayAreNotJudged(t *testing.T) {
	inBubble(t, func(t *testing.T, l *Liveness) {
		away := false
		n := target("n1", time.Second)
		n.Away = func() bool { return away }
		l.Set([]Target{n})
		p := l.nodes["n1"]
		l.said(p, errors.New("refused"))
		l.said(p, errors.New("refused"))
		away = true
		assert.True(t, l.said(p, errors.New("refused")), "it does not count as hung any more")
		assert.Empty(t, l.Said())
		away = false
		l.said(p, errors.New("refused"))
		away = true
		time.Sleep(2 * time.Second)
		due, _ := l.due()
		assert.Empty(t, due, "it is not even probed")
		assert.Empty(t, l.Said())
		away = false
		time.Sleep(time.Second)
		due, _ = l.due()
		assert.Len(t, due, 1)
	})
}

func TestOneProbeOfANodeAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, l *Liveness) {
		l.Set([]Target{target("n1", time.Second)})
		time.Sleep(time.Second) // the first is due within the interval
		due, pause := l.due()
		require.Len(t, due, 1)
		assert.Equal(t, time.Second, pause)
		time.Sleep(time.Minute)
		again, _ := l.due()
		assert.Empty(t, again, "the last one goes on")
		l.said(due[0].of, nil)
		again, pause = l.due()
		assert.Empty(t, again, "the next one comes an interval later")
		assert.Equal(t, time.Second, pause)
		time.Sleep(time.Second - 1)
		again, pause = l.due()
		assert.Empty(t, again, "too early")
		assert.Equal(t, time.Duration(1), pause)
		time.Sleep(1 * time.Nanosecond)
		again, _ = l.due()
		assert.Len(t, again, 1)
	})
}

func TestFirstProbesComeAtRandom(t *testing.T) {
	inBubble(t, func(t *testing.T, l *Liveness) {
		var targets []Target
		for i := range 100 {
			targets = append(targets, target(string(rune('a'+i)), time.Hour))
		}
		l.Set(targets)
		now, _ := l.due()
		assert.Less(t, len(now), 10)
		time.Sleep(30 * time.Minute)
		half, _ := l.due()
		assert.InDelta(t, 50, len(half), 40)
		time.Sleep(30 * time.Minute)
		rest, _ := l.due()
		assert.GreaterOrEqual(t, len(half)+len(rest), 100-len(now))
	})
}

// A node that is set again is probed as before; one at another address begins anew;
// one that is not set any more is forgotten.
func TestProbedNodesAreThoseThatAreSet(t *testing.T) {
	inBubble(t, func(t *testing.T, l *Liveness) {
		a, b := target("a", time.Second), target("b", time.Second)
		l.Set([]Target{a, b})
		l.said(l.nodes["a"], errors.New("refused"))
		l.said(l.nodes["b"], errors.New("refused"))
		next := l.nodes["a"].next
		a.Probe.LiveInterval = time.Minute
		b.Addr = "127.0.0.1:2"
		l.Set([]Target{a, b})
		assert.Equal(t, map[string]reconcile.Probed{"a": {Failures: 1, Text: "refused"}}, l.Said())
		assert.Equal(t, next, l.nodes["a"].next)
		assert.Equal(t, time.Minute, l.nodes["a"].Probe.LiveInterval)
		l.Set([]Target{b})
		assert.Empty(t, l.Said())
		_, pause := l.due()
		assert.LessOrEqual(t, pause, time.Second)
		l.Set(nil)
		_, pause = l.due()
		assert.Equal(t, time.Hour, pause, "nobody to probe")
	})
}

// The owner is woken when a node begins to hang and when it ceases, and not with
// each probe.
func TestOwnerIsWokenWhenANodeHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var woken atomic.Int64
	woke := make(chan struct{}, 100)
	l := NewLiveness(clock.New(time.Now), func() { woken.Add(1); woke <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	n := target("n1", 5*time.Millisecond)
	n.Addr = listener.Addr().String()
	l.Set([]Target{n})
	time.Sleep(50 * time.Millisecond)
	assert.Zero(t, woken.Load())
	require.NoError(t, listener.Close())
	<-woke
	time.Sleep(50 * time.Millisecond)
	assert.EqualValues(t, 1, woken.Load())
	assert.GreaterOrEqual(t, l.Said()["n1"].Failures, 2)
	listener, err = net.Listen("tcp", n.Addr)
	require.NoError(t, err)
	defer listener.Close()
	<-woke
	assert.EqualValues(t, 2, woken.Load())
	cancel()
	<-done
}
