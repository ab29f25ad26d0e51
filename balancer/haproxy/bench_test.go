package haproxy

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// crowd is a front with n servers on one node.
func crowd(b *testing.B, n int) (*Balancer, balancer.Front, []balancer.Server) {
	lb := openBalancer(b)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(b)}
	setFront(b, lb, f)
	be := newNode(b, "a")
	var servers []balancer.Server
	for i := range n {
		servers = append(servers, balancer.Server{Name: fmt.Sprintf("n-%03d", i), Addr: be.addr})
	}
	apply(b, lb, "web", servers...)
	return lb, f, servers
}

func BenchmarkApplyNothing(b *testing.B) {
	lb, _, servers := crowd(b, 10)
	for b.Loop() {
		require.NoError(b, lb.Apply(b.Context(), "web", servers))
	}
}

func BenchmarkApplyAddOne(b *testing.B) {
	lb, _, servers := crowd(b, 11)
	for b.Loop() {
		b.StopTimer()
		require.NoError(b, lb.Apply(b.Context(), "web", servers[:10]))
		b.StartTimer()
		require.NoError(b, lb.Apply(b.Context(), "web", servers))
	}
}

func BenchmarkApplyRemoveOne(b *testing.B) {
	lb, _, servers := crowd(b, 11)
	for b.Loop() {
		b.StopTimer()
		require.NoError(b, lb.Apply(b.Context(), "web", servers))
		b.StartTimer()
		require.NoError(b, lb.Apply(b.Context(), "web", servers[:10]))
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			lb, _, _ := crowd(b, n)
			for b.Loop() {
				_, err := lb.Observe(b.Context())
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkSetFront(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			lb, f, _ := crowd(b, n)
			for i := 0; b.Loop(); i++ {
				f.Timeouts.Client = time.Minute + time.Duration(i)*time.Millisecond
				require.NoError(b, lb.SetFront(b.Context(), f))
			}
		})
	}
}
