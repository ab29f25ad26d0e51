package haproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// BenchmarkThroughput runs wrk against HAProxy, in pairs: with a manager that
// observes and applies once a second, and with none. It reports requests a
// second of both and the median of the pairs' ratios.
func BenchmarkThroughput(b *testing.B) {
	dir := testDir(b)
	lb := reopenBalancer(b, dir)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(b)}
	setFront(b, lb, f)
	var servers []balancer.Server
	for i := range 4 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
		var wg sync.WaitGroup
		wg.Go(func() { _ = srv.Serve(l) })
		b.Cleanup(func() { _ = srv.Close(); wg.Wait() })
		servers = append(servers, balancer.Server{Name: fmt.Sprintf("n-%d", i), Addr: l.Addr().String()})
	}
	apply(b, lb, "web", servers...)
	require.NoError(b, lb.Close())

	var ratios, with, without []float64
	for b.Loop() {
		lb := reopenBalancer(b, dir)
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for tick := time.Tick(time.Second); ctx.Err() == nil; {
				_, _ = lb.Observe(ctx)
				_ = lb.Apply(ctx, "web", servers)
				select {
				case <-ctx.Done():
				case <-tick:
				}
			}
		})
		x := wrk(b, f.Listen)
		cancel()
		wg.Wait()
		require.NoError(b, lb.Close())
		y := wrk(b, f.Listen)
		with, without, ratios = append(with, x), append(without, y), append(ratios, x/y)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(with), "managed-req/s")
	b.ReportMetric(median(without), "alone-req/s")
	b.ReportMetric(median(ratios), "ratio")
}

var wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)

func wrk(b *testing.B, listen string) float64 {
	out, err := exec.CommandContext(b.Context(), "wrk", "-t1", "-c64", "-d5s", "http://"+listen+"/").CombinedOutput()
	require.NoError(b, err, "install the package wrk: %s", out)
	m := wrkRate.FindSubmatch(out)
	require.NotNil(b, m, "%s", out)
	require.NotContains(b, string(out), "Non-2xx")
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(b, err)
	return rate
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

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
