package cms_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// cost is what the process spends, nearly all of it for the manager.
type cost struct {
	cpu             float64 // seconds, in user mode and in the kernel
	allocs, bytes   float64 // of the heap, with what is freed again
	saves           float64 // writes to the store
	applies         float64 // changes of the servers of a front
	observes, stats float64 // observations of hosts and of the balancer
}

// spent is what was spent so far.
func (w *world) spent() cost {
	var u syscall.Rusage
	require.NoError(w.t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c := cost{
		cpu:    time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds(),
		allocs: float64(m.Mallocs), bytes: float64(m.TotalAlloc),
		saves:   float64(w.store.Saves()),
		applies: float64(w.balancer.Count(balancertest.Apply)),
		stats:   float64(w.balancer.Count(balancertest.Observe)),
	}
	for _, h := range w.hosts {
		c.observes += float64(h.Observations())
	}
	return c
}

// rest lets the manager tick for d while nothing happens, and returns what a
// second of that costs. In a bubble it takes as long as what is computed.
func (w *world) rest(d time.Duration) cost {
	runtime.GC()
	before := w.spent()
	time.Sleep(d)
	synctest.Wait()
	after, s := w.spent(), d.Seconds()
	return cost{
		cpu:    (after.cpu - before.cpu) / s,
		allocs: (after.allocs - before.allocs) / s, bytes: (after.bytes - before.bytes) / s,
		saves: (after.saves - before.saves) / s, applies: (after.applies - before.applies) / s,
		observes: (after.observes - before.observes) / s, stats: (after.stats - before.stats) / s,
	}
}

// heap returns the most bytes that the manager holds at a time while it ticks
// for five minutes, and ends it. What its fakes hold does not count.
func (w *world) heap() float64 {
	inUse := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	var most float64
	for range 10 { // what is kept may be cut back now and then
		time.Sleep(30 * time.Second)
		most = max(most, inUse())
	}
	w.end()
	w.Manager = nil
	return most - inUse()
}

// inLargeWorld is [inWorld] with 20 hosts that have room for thousands of nodes.
func inLargeWorld(t *testing.T, f func(t *testing.T, w *world)) {
	var hosts []string
	for i := range 20 {
		hosts = append(hosts, fmt.Sprintf("h%d", i))
	}
	inWorld(t, hosts, func(t *testing.T, w *world) {
		w.end()
		for _, h := range w.hosts {
			h.Capacity = pod.Resources{CPU: 1000, Memory: 1 << 40}
		}
		w.config.History = 1 // the ring of samples is what the user asks for
		w.start()
		f(t, w)
	})
}

// inCluster runs f in a world of 20 hosts with that many pods of that many
// nodes, converged. Elasticity is on, and the load asks for no other number.
func inCluster(t *testing.T, pods, nodes int, f func(t *testing.T, w *world)) {
	inLargeWorld(t, func(t *testing.T, w *world) {
		w.largePod("p0", 5100)
		w.atLeast("p0", nodes)
		w.convergeAt("p0", nodes)
		w.end()
		w.copyPod(pods)
		for _, h := range w.hosts {
			for _, n := range h.Nodes() {
				h.SetUsage(n.ID, 0.5*spec().Limits.CPU, 50<<20)
			}
		}
		w.start()
		for i := range pods {
			w.convergeAt(fmt.Sprintf("p%d", i), nodes)
		}
		time.Sleep(1500 * time.Millisecond) // until it is between two ticks
		f(t, w)
	})
}

// largePod makes a pod that may have many nodes.
func (w *world) largePod(name string, port int) {
	s := spec()
	s.Name, s.MaxNodes, s.Fronts[0].Listen = name, pod.MaxMaxNodes, fmt.Sprintf("127.0.0.1:%d", port)
	_, err := w.CreatePod(w.t.Context(), s)
	require.NoError(w.t, err)
}

func (w *world) atLeast(name string, n int) {
	_, err := w.SetElasticity(w.t.Context(), name, cms.Elasticity{Enabled: true, Min: n, Max: 2 * n})
	require.NoError(w.t, err)
}

func (w *world) convergeAt(name string, n int) {
	_, err := w.WaitPod(w.t.Context(), name, func(s cms.PodStatus) bool { return s.Converged && len(s.Nodes) == n })
	require.NoError(w.t, err)
}

// copyPod makes the pod p0, which no manager runs, the first of n alike, as an
// earlier manager would have left them. To start their nodes would take longer.
func (w *world) copyPod(n int) {
	state := w.store.State()
	cluster := pod.Cluster{Name: cms.DefaultName, ID: state.ClusterID}
	starts := map[string]pod.StartRequest{}
	for _, h := range w.hosts {
		h.SetStartDelay(0)
		for _, c := range h.Calls("start") {
			starts[c.ID.Name] = c.Request
		}
	}
	for i := 1; i < n; i++ {
		rec := state.Pods[0]
		rec.Spec = rec.Spec.Clone()
		rec.Spec.Name = fmt.Sprintf("p%d", i)
		rec.Spec.Fronts[0].Name, rec.Spec.Fronts[0].Listen = rec.Spec.Name, fmt.Sprintf("127.0.0.1:%d", 5100+i)
		rec.Nodes = slices.Clone(rec.Nodes)
		for j := range rec.Nodes {
			node := &rec.Nodes[j]
			request := starts[node.Name]
			request.ID.Pod = rec.Spec.Name
			rt := w.hosts[node.Host].Open(cluster)
			made, err := rt.Start(w.t.Context(), request)
			require.NoError(w.t, err)
			require.NoError(w.t, rt.Close())
			node.Handle, node.StartedAt, node.Endpoints = made.Handle, made.StartedAt, made.Endpoints
		}
		require.NoError(w.t, w.store.Save(w.t.Context(), cms.Change{PutPods: []cms.PodRecord{rec}}))
	}
}

// BenchmarkCluster is a manager over 20 hosts while nothing happens.
func BenchmarkCluster(b *testing.B) {
	for _, c := range []struct{ pods, nodes int }{{100, 20}, {500, 20}, {20, 500}} {
		b.Run(fmt.Sprintf("%dx%d", c.pods, c.nodes), func(b *testing.B) {
			pods := float64(c.pods)
			inBubble(b, func(t *testing.T) {
				var goroutines float64
				inLargeWorld(t, func(*testing.T, *world) { goroutines = float64(runtime.NumGoroutine()) })
				inCluster(t, c.pods, c.nodes, func(_ *testing.T, w *world) {
					b.ReportMetric((float64(runtime.NumGoroutine())-goroutines)/pods, "goroutines/pod")
					got := w.rest(20 * time.Second)
					b.ReportMetric(1000*got.cpu, "cpu-ms/s")
					b.ReportMetric(got.allocs/pods, "allocs/tick")
					b.ReportMetric(got.bytes/pods, "B/tick")
					b.ReportMetric(got.saves, "saves/s")
					time.Sleep(time.Hour)
					b.ReportMetric(w.heap()/pods/(1<<20), "MiB/pod")
				})
			})
			b.ReportMetric(0, "ns/op") // says nothing
		})
	}
}

// inBubble runs f as a test, as only a test can have a bubble.
func inBubble(b *testing.B, f func(t *testing.T)) {
	ran := false // the flag -count would run it again
	ok := testing.RunTests(func(string, string) (bool, error) { return !ran, nil },
		[]testing.InternalTest{{Name: b.Name(), F: func(t *testing.T) { ran = true; f(t) }}})
	require.True(b, ok)
}

func TestClusterAtRestIsOnlyObserved(t *testing.T) {
	at := func(pods, nodes int) (c cost) {
		inCluster(t, pods, nodes, func(_ *testing.T, w *world) { c = w.rest(3 * time.Second) })
		size := fmt.Sprintf("%d pods of %d nodes", pods, nodes)
		assert.Zero(t, c.saves, size)
		assert.Zero(t, c.applies, size)
		assert.LessOrEqual(t, c.observes, 20.0, size)
		assert.LessOrEqual(t, c.stats, 1.0, size)
		t.Logf("%s: %.1f allocations a tick of a pod", size, c.allocs/float64(pods))
		return c
	}
	few, many, large := at(100, 20), at(500, 20), at(20, 500)
	assert.LessOrEqual(t, few.allocs/100, 120.0, "allocations a tick of a pod of 20 nodes")   // measured: 97
	assert.LessOrEqual(t, large.allocs/20, 200.0, "allocations a tick of a pod of 500 nodes") // measured: 125
	assert.LessOrEqual(t, many.allocs/few.allocs, 6.0, "5 times the pods")                    // measured: 4.8
}

// Each pod and node costs the same CPU time however many there are.
func TestRestTakesCPUTimeInProportion(t *testing.T) {
	least := func(pods int, d time.Duration) float64 {
		best := math.Inf(1)
		inCluster(t, pods, 20, func(t *testing.T, w *world) {
			for range 3 {
				best = min(best, w.rest(d).cpu)
			}
		})
		return best
	}
	ratio := math.Inf(1) // other programs only make it worse
	for i := 0; i < 3 && ratio > 6; i++ {
		ratio = min(ratio, least(500, 5*time.Second)/least(100, 25*time.Second))
	}
	assert.LessOrEqual(t, ratio, 6.0, "5 times the pods")
}

func TestHeapOfAPodIsSmallAfterAnHour(t *testing.T) {
	const pods = 5
	inCluster(t, pods, 20, func(t *testing.T, w *world) {
		time.Sleep(time.Hour)
		assert.LessOrEqual(t, w.heap()/pods/(1<<20), 0.35, "MiB")
	})
}

func TestPodsOf500NodesComeUp(t *testing.T) {
	inLargeWorld(t, func(t *testing.T, w *world) {
		began := time.Now()
		for i := range 20 {
			w.largePod(fmt.Sprintf("p%d", i), 5100+i)
			w.atLeast(fmt.Sprintf("p%d", i), 500)
		}
		for i := range 20 {
			w.convergeAt(fmt.Sprintf("p%d", i), 500)
		}
		assert.Less(t, time.Since(began), time.Minute, "10 nodes of a pod at a time, 200 ms each")
	})
}

func TestGrowthTakesFewWrites(t *testing.T) {
	inLargeWorld(t, func(t *testing.T, w *world) {
		w.largePod("p0", 5100)
		w.atLeast("p0", 1)
		w.convergeAt("p0", 1)
		w.store.OnSave(func(context.Context, cms.Change) error { time.Sleep(50 * time.Millisecond); return nil })
		before := w.store.Saves()
		w.atLeast("p0", 21)
		w.convergeAt("p0", 21)
		assert.LessOrEqual(t, w.store.Saves()-before, 8)
	})
}

func TestOneWriteRecordsAllNodesBeforeTheFirstStarts(t *testing.T) {
	inLargeWorld(t, func(t *testing.T, w *world) {
		var first sync.Once
		w.store.OnSave(func(_ context.Context, c cms.Change) error {
			time.Sleep(50 * time.Millisecond)
			for _, p := range c.PutPods {
				notStarting := func(n cms.NodeRecord) bool { return n.State != pod.StateStarting }
				starting := slices.DeleteFunc(slices.Clone(p.Nodes), notStarting)
				if len(starting) == 0 {
					continue
				}
				first.Do(func() {
					assert.Equal(t, 500, len(starting))
					for _, h := range w.hosts {
						assert.Empty(t, h.Calls("start"))
					}
				})
			}
			return nil
		})
		w.largePod("p0", 5100)
		w.atLeast("p0", 500)
		_, err := w.WaitPod(t.Context(), "p0", func(s cms.PodStatus) bool { return len(names(s, pod.StateOnline)) > 0 })
		require.NoError(t, err)
	})
}
