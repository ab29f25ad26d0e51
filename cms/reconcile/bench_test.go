package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// steady returns what a deciding turn of a pod sees that has what it wants: n
// nodes on 20 hosts behind a front.
func steady(t testing.TB, n int) World {
	hosts := make([]string, 20)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("h%02d", i)
	}
	s := newSim(t, 100, hosts...)
	s.pod.Spec.MaxNodes = 1000
	for i := range n {
		s.add(1, 1, hosts[i%len(hosts)])
	}
	s.pod.SetWant(n)
	s.pass(10 * time.Second)
	require.True(t, s.plan.Status.Converged, "%v", s.sentences())
	s.now = s.now.Add(time.Second)
	w := s.world()
	w.Tick = &Deciding{Seq: 7}
	p := Reconcile(w)
	require.False(t, p.Changed)
	require.Empty(t, p.Before)
	require.Empty(t, p.After)
	return w
}

// BenchmarkReconcile is a turn of a pod at rest. It grows with the nodes and not
// with their square.
func BenchmarkReconcile(b *testing.B) {
	for _, n := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := steady(b, n)
			b.ReportAllocs()
			for b.Loop() {
				Reconcile(w)
			}
		})
	}
}

// What is allocated does not grow with the nodes, but for the size of a few slices.
func TestATurnAtRestAllocatesLittle(t *testing.T) {
	for n, most := range map[int]float64{
		10:  75, // measured: 59
		100: 80, // measured: 65
		500: 85, // measured: 69
	} {
		w := steady(t, n)
		assert.LessOrEqual(t, testing.AllocsPerRun(20, func() { Reconcile(w) }), most, "%d nodes", n)
	}
}

// BenchmarkOrder is the turn that orders all n nodes of a pod that had none, and
// BenchmarkDrain the one that drains all of them.
func BenchmarkOrder(b *testing.B) {
	for _, n := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := steady(b, 0)
			w.Pod.Want = n
			require.Len(b, Reconcile(w).Pod.Nodes, n)
			b.ReportAllocs()
			for b.Loop() {
				Reconcile(w)
			}
		})
	}
}

func BenchmarkDrain(b *testing.B) {
	for _, n := range []int{10, 100, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := steady(b, n)
			w.Pod.Want = 0
			p := Reconcile(w)
			require.Equal(b, n, p.Pod.Count(pod.StateDraining))
			b.ReportAllocs()
			for b.Loop() {
				Reconcile(w)
			}
		})
	}
}
