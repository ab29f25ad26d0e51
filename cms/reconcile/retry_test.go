package reconcile

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestRetryPausesGrowAndStayBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Retry
		j := &jitter{rapid.Uint64().Draw(t, "jitter")}
		why := Fault{Code: FaultRegistry, Text: "429"}
		now := simEpoch
		assert.True(t, r.ready(now))
		last := time.Duration(0)
		for i := range 40 {
			r.failed(now, j, "n1", why)
			pause := r.Next.Sub(now)
			assert.Equal(t, i+1, r.Failures)
			assert.LessOrEqual(t, pause, lastRetry)
			if i < 6 {
				assert.GreaterOrEqual(t, pause, firstRetry<<i/2)
				assert.LessOrEqual(t, pause, firstRetry<<i)
				assert.GreaterOrEqual(t, pause, last/2)
			} else if i > 6 {
				assert.GreaterOrEqual(t, pause, lastRetry/2)
			}
			last = pause
			before := r
			r.failed(now.Add(pause/2), j, "n2", Fault{Code: FaultOther, Text: "x"})
			assert.Equal(t, before.Next, r.Next, "one that began before counts as the same")
			assert.Equal(t, before.Failures, r.Failures)
			assert.Equal(t, "n2", r.Node, "but it is what is told")
			assert.Equal(t, FaultOther, r.Fault.Code)
			assert.False(t, r.ready(r.Next.Add(-1)))
			assert.True(t, r.ready(r.Next))
			now = r.Next
		}
	})
}

// Jitter spreads: no two draws are alike, and they fill the interval.
func TestJitterSpreads(t *testing.T) {
	seen := map[float64]bool{}
	var low, high int
	for seed := range uint64(100) {
		j := jitter{seed}
		for range 20 {
			f := j.fraction()
			assert.False(t, seen[f])
			seen[f] = true
			assert.True(t, f >= 0 && f < 1)
			switch {
			case f < 0.1:
				low++
			case f >= 0.9:
				high++
			}
		}
	}
	assert.InDelta(t, 200, low, 60)
	assert.InDelta(t, 200, high, 60)
	a, b := jitter{7}, jitter{7}
	assert.Equal(t, a.pause(5), b.pause(5), "a plan can be made again")
	assert.NotEqual(t, a.pause(5), a.pause(5))
	assert.LessOrEqual(t, a.pause(1000), lastRetry)
}
