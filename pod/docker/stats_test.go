package docker

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// Samples as engines send them, cut down to what is read.
const (
	sampleV1 = `{"read":"2026-11-23T20:00:00.5Z","cpu_stats":{"cpu_usage":{"total_usage":1500000000}},
		"memory_stats":{"usage":10000000,"stats":{"cache":4000000,"inactive_file":1,"total_inactive_file":3000000}}}`
	sampleV2 = `{"read":"2026-11-23T20:00:00.5Z","cpu_stats":{"cpu_usage":{"total_usage":1500000000}},
		"memory_stats":{"usage":10000000,"stats":{"file":4000000,"inactive_file":3000000}}}`
	sampleStopped = `{"read":"0001-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}`
)

func TestStatisticsOfBothCgroupVersions(t *testing.T) {
	for _, text := range []string{sampleV1, sampleV2} {
		var s container.StatsResponse
		require.NoError(t, json.Unmarshal([]byte(text), &s))
		u, ok := usageOf(s)
		require.True(t, ok)
		assert.Equal(t, 1500*time.Millisecond, u.CPU)
		assert.Equal(t, int64(7000000), u.Memory)
	}
	var s container.StatsResponse
	require.NoError(t, json.Unmarshal([]byte(sampleStopped), &s))
	_, ok := usageOf(s)
	assert.False(t, ok)
}

// streamOf is a stream of statistics that a test writes.
func streamOf(e *fakeEngine) *io.PipeWriter {
	r, w := io.Pipe()
	e.stats = func() io.ReadCloser { return r }
	return w
}

func usageNow(t *testing.T, r *Runtime) pod.Usage {
	t.Helper()
	snap, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, snap.Nodes, 1)
	return snap.Nodes[0].Usage
}

func TestRemoteUsageComesFromOneStream(t *testing.T) {
	e := newFakeEngine()
	w := streamOf(e)
	r := e.open(t)
	_, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	assert.Zero(t, usageNow(t, r), "not measured yet is not zero CPU")
	_, err = io.WriteString(w, sampleV2)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !usageNow(t, r).At.IsZero() }, 5*time.Second, time.Millisecond)
	u := usageNow(t, r)
	assert.Equal(t, 1500*time.Millisecond, u.CPU)
	assert.WithinDuration(t, time.Now(), u.At, 5*time.Second, "by our clock")
	streams := 0
	for _, c := range e.called() {
		if c == "stats" {
			streams++
		}
	}
	assert.Equal(t, 1, streams)
	require.NoError(t, r.Close(), "Close ends the stream and waits for it")
}

func TestUsageOnlyGrowsWhenAContainerIsStartedAgain(t *testing.T) {
	e := newFakeEngine()
	w := streamOf(e)
	r := e.open(t)
	n, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	usageNow(t, r)
	_, err = io.WriteString(w, sampleV2)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return usageNow(t, r).CPU == 1500*time.Millisecond }, 5*time.Second, time.Millisecond)
	e.mu.Lock()
	e.exit(e.containers[n.Handle], 1)
	e.mu.Unlock()
	usageNow(t, r) // sees the end
	w = streamOf(e)
	require.NoError(t, e.ContainerStart(t.Context(), n.Handle, container.StartOptions{}))
	usageNow(t, r)
	_, err = io.WriteString(w, `{"read":"2026-11-23T20:00:09Z","cpu_stats":{"cpu_usage":{"total_usage":1000000}},"memory_stats":{"usage":1}}`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return usageNow(t, r).CPU == 1501*time.Millisecond }, 5*time.Second, time.Millisecond)
}

func TestClockOffsetKeepsSpansOfTheEngine(t *testing.T) {
	engine := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ours := engine.Add(time.Hour)
	var c clockOffset
	first := c.local(engine, ours)
	late := c.local(engine.Add(time.Second), ours.Add(1400*time.Millisecond))
	assert.InDelta(t, 1, late.Sub(first).Seconds(), 0.01, "a late message does not stretch the span")
	quick := c.local(engine.Add(2*time.Second), ours.Add(1900*time.Millisecond))
	assert.Equal(t, ours.Add(1900*time.Millisecond), quick)
}

func TestClockOffsetSurvivesJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			engine, ours := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Now()
			var c clockOffset
			before := c.local(engine, ours)
			for range 10 {
				engine, ours = engine.Add(time.Second), ours.Add(time.Second)
				before = c.local(engine, ours)
			}
			engine = engine.Add(jump)
			for range 10 {
				engine, ours = engine.Add(time.Second), ours.Add(time.Second)
				at := c.local(engine, ours)
				assert.InDelta(t, 1, at.Sub(before).Seconds(), 0.02, "a second passed, whatever the engine says")
				assert.InDelta(t, 0, ours.Sub(at).Seconds(), 0.02)
				before = at
			}
		})
	}
}

func TestClockOffsetFollowsDrift(t *testing.T) {
	engine, ours := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Now()
	var c clockOffset
	for range 24 * 3600 { // a day of an engine whose clock is slow
		engine, ours = engine.Add(time.Second-100*time.Microsecond), ours.Add(time.Second)
		require.Less(t, ours.Sub(c.local(engine, ours)), streamAge)
	}
}
