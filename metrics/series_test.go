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
	assert.Empty(t, s.Since(time.Time{}))
	for i := 1; i <= 5; i++ {
		s.Add(sampleAt(i))
	}
	assert.Equal(t, []int{3, 4, 5}, wants(s.Since(time.Time{})))
	assert.Equal(t, []int{5}, wants(s.Since(at(4))))
	assert.Empty(t, s.Since(at(5)))
	assert.Equal(t, 1, NewSeries(-1).capacity())
}

func (s *Series) capacity() int { return len(s.ring) }

// What is newer is what a plain slice would have given.
func TestSeriesSinceProperty(t *testing.T) {
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
		from := rapid.IntRange(-1, 130).Draw(t, "from")
		want := []int{}
		for _, x := range kept {
			if x.Want > from {
				want = append(want, x.Want)
			}
		}
		assert.Equal(t, want, wants(s.Since(at(from))))
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
		}
	})
	all.Wait()
}

// The JSON of samples names every field, and keeps what was not measured apart from 0.
func TestSampleJSON(t *testing.T) {
	written, err := json.Marshal(Sample{At: start, Want: 3, Nodes: Nodes{Online: 2, Starting: 1}, CPU: V(0.5), Rate: V(10), P99: V(0.2)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"at":"2026-11-01T12:00:00Z","want":3,"nodes":{"new":0,"starting":1,"online":2,"standby":0,"draining":0,"failed":0},
		"cpu":0.5,"memory":null,"in_flight":null,"waiting":null,"rate":10,"errors":null,"p50":null,"p95":null,"p99":0.2}`, string(written))
}
