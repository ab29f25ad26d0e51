package metrics

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// sampleAt returns the sample of a second, which also is its Want.
func sampleAt(seconds int) Sample { return Sample{At: at(seconds), Want: seconds} }

func wants(samples []Sample) []int {
	out := []int{}
	for _, s := range samples {
		out = append(out, s.Want)
	}
	return out
}

func TestSeries(t *testing.T) {
	s := NewSeries(3)
	_, ok := s.Last()
	assert.False(t, ok)
	assert.Empty(t, s.Since(time.Time{}))
	assert.Empty(t, s.Window(time.Time{}, at(100)))
	for i := 1; i <= 5; i++ {
		s.Add(sampleAt(i))
	}
	assert.Equal(t, 3, s.Len())
	last, ok := s.Last()
	assert.True(t, ok)
	assert.Equal(t, 5, last.Want)
	assert.Equal(t, []int{3, 4, 5}, wants(s.Since(time.Time{})))
	assert.Equal(t, []int{5}, wants(s.Since(at(4))))
	assert.Empty(t, s.Since(at(5)))
	assert.Equal(t, []int{4}, wants(s.Window(at(3), at(4))))
	assert.Equal(t, []int{3, 4}, wants(s.Window(at(0), at(4))))
	assert.Empty(t, s.Window(at(4), at(3)), "nothing lies between turned bounds")
	assert.Equal(t, 1, NewSeries(-1).capacity())
}

func (s *Series) capacity() int { return len(s.ring) }

// A window is what a plain slice would have given.
func TestSeriesWindowProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(t, "size")
		s := NewSeries(size)
		var all []Sample
		now := 0
		for range rapid.IntRange(0, 40).Draw(t, "n") {
			now += rapid.IntRange(0, 3).Draw(t, "gap")
			s.Add(sampleAt(now))
			all = append(all, sampleAt(now))
		}
		kept := all[max(0, len(all)-size):]
		from, to := rapid.IntRange(-1, 130).Draw(t, "from"), rapid.IntRange(-1, 130).Draw(t, "to")
		want := []int{}
		for _, x := range kept {
			if x.Want > from && x.Want <= to {
				want = append(want, x.Want)
			}
		}
		assert.Equal(t, want, wants(s.Window(at(from), at(to))))
	})
}

func TestSeriesConcurrentUse(t *testing.T) {
	s := NewSeries(10)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 1000 {
			s.Add(sampleAt(i))
		}
	})
	all.Go(func() {
		for range 1000 {
			got := wants(s.Since(time.Time{}))
			for i := 1; i < len(got); i++ {
				assert.Equal(t, got[i-1]+1, got[i])
			}
			s.Last()
			s.Len()
		}
	})
	all.Wait()
}

func TestQuantileAndMean(t *testing.T) {
	cpu := func(s Sample) Value { return s.CPU }
	samples := []Sample{{CPU: V(4)}, {CPU: Missing}, {CPU: V(1)}, {CPU: V(3)}, {CPU: V(2)}}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 0.1: 1.3} {
		got, ok := Quantile(samples, q, cpu).Get()
		assert.True(t, ok)
		assert.InDelta(t, want, got, 1e-12, "quantile %v", q)
	}
	assert.Equal(t, V(2.5), Mean(samples, cpu))
	assert.Equal(t, V(7), Quantile([]Sample{{CPU: V(7)}}, 0.99, cpu))
	for _, q := range []float64{-0.1, 1.1} {
		assert.Equal(t, Missing, Quantile(samples, q, cpu))
	}
	assert.Equal(t, Missing, Quantile(samples[1:2], 0.5, cpu))
	assert.Equal(t, Missing, Quantile(nil, 0.5, cpu))
	assert.Equal(t, Missing, Mean(samples[1:2], cpu))
	assert.InDelta(t, 4, samples[0].CPU.Or(0), 0, "samples stay as they were")
}

// The JSON of samples is in recordings and in the API: it only grows.
func TestSampleJSON(t *testing.T) {
	written, err := json.Marshal(Sample{At: start, Want: 3, Nodes: Nodes{Online: 2, Starting: 1}, CPU: V(0.5), Rate: V(10), P99: V(0.2)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"at":"2026-11-01T12:00:00Z","want":3,"nodes":{"new":0,"starting":1,"online":2,"standby":0,"draining":0,"failed":0},
		"cpu":0.5,"memory":null,"in_flight":null,"waiting":null,"rate":10,"errors":null,"p50":null,"p95":null,"p99":0.2}`, string(written))
}
