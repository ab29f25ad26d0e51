package ledger

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/pod"
)

func drawHolds(t *rapid.T) []Hold {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Hold {
		return Hold{
			Host: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "host"),
			Res:  pod.Resources{CPU: rapid.Float64Range(0.01, 2).Draw(t, "cpu"), Memory: rapid.Int64Range(1, 1<<30).Draw(t, "memory")},
		}
	}), 0, 4).Draw(t, "holds")
}

// Whatever is reserved and given back, no host is given more than it has, and what
// is on a host is what pods hold there.
func TestLedgerNeverOverfills(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := map[string]pod.Resources{"a": {CPU: 4, Memory: 4 << 30}, "b": {CPU: rapid.Float64Range(0, 8).Draw(t, "b"), Memory: 2 << 30}}
		l := New()
		held := map[string][]Hold{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"p", "q", "r"}).Draw(t, "pod")
			if rapid.Bool().Draw(t, "set") { // a part of it has gone
				held[name] = held[name][:rapid.IntRange(0, len(held[name])).Draw(t, "left")]
				l.Set(name, append([]Hold(nil), held[name]...))
			} else if more := drawHolds(t); l.Reserve(name, more, capacity) {
				held[name] = append(held[name], more...)
			}
			for host, has := range capacity {
				var want Use
				for _, holds := range held {
					for _, h := range holds {
						if h.Host == host {
							want.Res.CPU += h.Res.CPU
							want.Res.Memory += h.Res.Memory
							want.Nodes++
						}
					}
				}
				got := l.On(host)
				require.InDelta(t, want.Res.CPU, got.Res.CPU, 1e-9)
				require.Equal(t, want.Res.Memory, got.Res.Memory)
				require.Equal(t, want.Nodes, got.Nodes)
				require.LessOrEqual(t, got.Res.CPU, has.CPU+1e-3)
				require.LessOrEqual(t, got.Res.Memory, has.Memory)
			}
		}
	})
}

func TestReserveIsAllOrNothing(t *testing.T) {
	l := New()
	capacity := map[string]pod.Resources{"a": {CPU: 1, Memory: 100}}
	small := Hold{Host: "a", Res: pod.Resources{CPU: 0.375, Memory: 30}}
	assert.True(t, l.Reserve("p", nil, nil), "nothing always fits")
	assert.True(t, l.Reserve("p", []Hold{small, small}, capacity))
	assert.False(t, l.Reserve("q", []Hold{{Host: "a", Res: pod.Resources{CPU: 0.125, Memory: 10}}, small}, capacity))
	assert.Equal(t, Use{Res: pod.Resources{CPU: 0.75, Memory: 60}, Nodes: 2}, l.On("a"))
	assert.False(t, l.Reserve("q", []Hold{{Host: "a", Res: pod.Resources{Memory: 41}}}, capacity), "memory counts by itself")
	assert.True(t, l.Reserve("q", []Hold{{Host: "a", Res: pod.Resources{Memory: 40}}}, capacity))
	assert.False(t, l.Reserve("q", []Hold{{Host: "unknown", Res: pod.Resources{CPU: 0.1}}}, capacity))
	assert.Zero(t, l.On("unknown"))
	l.Set("p", nil)
	l.Set("q", nil)
	assert.Zero(t, l.On("a"))
	assert.Empty(t, l.hosts)
	assert.Empty(t, l.pods)
}

func TestFractionsFillAHostExactly(t *testing.T) {
	l := New()
	capacity := map[string]pod.Resources{"a": {CPU: 1, Memory: 1}}
	for i := range 10 {
		require.True(t, l.Reserve("p", []Hold{{Host: "a", Res: pod.Resources{CPU: 0.1}}}, capacity), i)
	}
	assert.False(t, l.Reserve("p", []Hold{{Host: "a", Res: pod.Resources{CPU: 0.1}}}, capacity))
}

// What is there is there, whether it fits or not; then nothing more does.
func TestSetIsNotRefused(t *testing.T) {
	l := New()
	l.Set("p", []Hold{{Host: "a", Res: pod.Resources{CPU: 9, Memory: 9}}})
	assert.Equal(t, Use{Res: pod.Resources{CPU: 9, Memory: 9}, Nodes: 1}, l.On("a"))
	assert.False(t, l.Reserve("q", []Hold{{Host: "a", Res: pod.Resources{CPU: 0.1}}}, map[string]pod.Resources{"a": {CPU: 4, Memory: 90}}))
}

// Several pods that place at the same time share what there is.
func TestPodsReserveAtTheSameTime(t *testing.T) {
	l := New()
	capacity := map[string]pod.Resources{"a": {CPU: 10, Memory: 1000}, "b": {CPU: 5, Memory: 1000}}
	var granted [2]atomic.Int64
	var pods sync.WaitGroup
	for i := range 8 {
		pods.Go(func() {
			for range 100 {
				for j, host := range []string{"a", "b"} {
					if l.Reserve(fmt.Sprint("p", i), []Hold{{Host: host, Res: pod.Resources{CPU: 0.5, Memory: 1}}}, capacity) {
						granted[j].Add(1)
					}
				}
			}
		})
	}
	pods.Wait()
	assert.EqualValues(t, 20, granted[0].Load())
	assert.EqualValues(t, 10, granted[1].Load())
	assert.Equal(t, 20, l.On("a").Nodes)
}
