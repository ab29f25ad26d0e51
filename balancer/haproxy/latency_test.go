package haproxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/balancer"
)

func TestParseLogLine(t *testing.T) {
	for line, want := range map[string]struct {
		front         string
		millis, every int64
		ok            bool
	}{
		"web 12 -\n":        {"web", 12, 1, true},
		"web 0 10":          {"web", 0, 10, true},
		"web -1 -":          {},
		"web +12 -":         {"web", 12, 1, true},
		"web 12":            {},
		"web 12 0":          {},
		"web 12 x":          {},
		"web x -":           {},
		"":                  {},
		"web 12 - more":     {},
		"web 1e30 -":        {},
		"web 99999999999 -": {"web", latencyMax, 1, true},
	} {
		front, millis, every, ok := parseLogLine([]byte(line))
		assert.Equal(t, want.ok, ok, line)
		if ok {
			assert.Equal(t, want.front, front, line)
			assert.Equal(t, want.millis, millis, line)
			assert.Equal(t, want.every, every, line)
		}
	}
}

func TestLatencyIsOfTheLastTenSeconds(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	l := newLatencies(func() time.Time { return now })
	assert.Equal(t, balancer.Latency{}, l.of("web"))
	for range 99 {
		l.record("web", 10, 1)
	}
	l.record("web", 500, 1)
	got := l.of("web")
	assert.EqualValues(t, 100, got.Count)
	assert.Equal(t, 10*time.Millisecond, got.P50)
	assert.Equal(t, 10*time.Millisecond, got.P99)

	// A line that stands for many weighs as much, and is one sample.
	l.record("web", 200, 100)
	got = l.of("web")
	assert.EqualValues(t, 101, got.Count)
	assert.InDelta(t, 200, got.P95.Milliseconds(), 2)

	now = now.Add(8 * time.Second)
	l.record("web", 20, 1)
	assert.EqualValues(t, 102, l.of("web").Count)
	now = now.Add(3 * time.Second)
	assert.EqualValues(t, 1, l.of("web").Count, "those of 11 s ago are forgotten")
	now = now.Add(time.Hour)
	assert.Equal(t, balancer.Latency{}, l.of("web"))
	assert.Empty(t, l.fronts, "nothing is kept of a front that is silent")
	l.record("web", 30, 1)
	assert.Equal(t, 30*time.Millisecond, l.of("web").P50)
}
