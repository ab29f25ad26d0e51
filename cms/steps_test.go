package cms

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/pod"
)

func TestCanaryShare(t *testing.T) {
	for _, c := range []struct{ weight, want, max, fresh, old int }{
		{10, 10, 20, 1, 9},
		{11, 10, 20, 2, 8}, // rounded up
		{50, 10, 20, 5, 5},
		{99, 10, 20, 9, 1}, // one old one is kept
		{50, 1, 20, 1, 1},  // one of each, where there may be two
		{50, 1, 2, 1, 1},
		{50, 1, 1, 1, 0},
		{50, 2, 2, 1, 1},
	} {
		fresh, old := canaryShare(c.weight, c.want, c.max)
		assert.Equal(t, [2]int{c.fresh, c.old}, [2]int{fresh, old}, "%d %% of %d, at most %d", c.weight, c.want, c.max)
	}
}

func TestProbesInARowMakeANodeHung(t *testing.T) {
	var v liveness
	failed := errors.New("refused")
	assert.False(t, v.probed(failed, 2))
	assert.True(t, v.probed(failed, 2), "it became hung")
	assert.False(t, v.probed(failed, 2), "it was hung before")
	n, err := v.said()
	assert.Equal(t, 3, n)
	assert.Equal(t, failed, err)
	assert.True(t, v.probed(nil, 2), "it answers again")
	n, err = v.said()
	assert.Zero(t, n)
	assert.NoError(t, err)
	assert.False(t, v.probed(failed, 2), "one failure does not count with those of before")
}

func TestOneProbeOfANodeAtATime(t *testing.T) {
	var v liveness
	now := time.Unix(1000, 0)
	v.due(now, time.Second)
	now = now.Add(time.Second) // the first is due within the interval
	if !v.probing {
		assert.True(t, v.due(now, time.Second))
	}
	assert.False(t, v.due(now.Add(time.Minute), time.Second), "the last one goes on")
	v.probed(nil, 1)
	assert.False(t, v.due(now, time.Second), "the next one comes an interval later")
	begun := v.next.Add(-time.Second)
	assert.False(t, v.due(begun.Add(time.Second-1), time.Second), "too early")
	assert.True(t, v.due(begun.Add(time.Second), time.Second))
}

func TestFirstProbesComeAtRandom(t *testing.T) {
	now := time.Unix(1000, 0)
	early := 0
	for range 100 {
		var v liveness
		assert.False(t, v.due(now, time.Hour))
		assert.True(t, v.due(now.Add(time.Hour), time.Hour))
		v = liveness{}
		v.due(now, time.Hour)
		if v.due(now.Add(30*time.Minute), time.Hour) {
			early++
		}
	}
	assert.InDelta(t, 50, early, 40)
}

func TestYoungNodesAreThoseThatNoProbeCouldFail(t *testing.T) {
	young := func(kind pod.ProbeKind, failures int) time.Duration {
		l := &loop{}
		l.rec.Spec.Workload.Probe = pod.Probe{Kind: kind, Failures: failures, LiveInterval: 5 * time.Second}
		return l.young()
	}
	assert.Equal(t, 10*time.Second, young(pod.ProbeNone, 3))
	assert.Equal(t, 10*time.Second, young(pod.ProbeHTTP, -1))
	assert.Equal(t, 20*time.Second, young(pod.ProbeHTTP, 1))
	assert.Equal(t, 30*time.Second, young(pod.ProbeHTTP, 3))
}
