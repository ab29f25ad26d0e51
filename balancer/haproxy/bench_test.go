package haproxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// BenchmarkThroughput runs wrk against HAProxy, in pairs: with a manager that
// observes and applies once a second in a process of its own, and with none. It
// reports requests a second of both, the median of the pairs' ratios, and the
// manager's CPU time in five seconds.
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
	managed := func() (rate, cpu float64) {
		cmd, _ := manager(b, dir, scene{Front: f, Servers: servers, Every: time.Second})
		before := cpuTime(b, cmd.Process.Pid)
		rate = wrk(b, f.Listen)
		cpu = cpuTime(b, cmd.Process.Pid) - before
		require.NoError(b, cmd.Process.Kill())
		_ = cmd.Wait()
		return rate, cpu
	}

	var ratios, with, without, cpus []float64
	for b.Loop() {
		var x, y, cpu float64
		if len(with)%2 == 0 {
			x, cpu = managed()
			y = wrk(b, f.Listen)
		} else {
			y = wrk(b, f.Listen)
			x, cpu = managed()
		}
		with, without = append(with, x), append(without, y)
		ratios, cpus = append(ratios, x/y), append(cpus, cpu)
	}
	b.ReportMetric(median(cpus), "manager-cpu-s")
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

// cpuTime is the CPU time of a process, in seconds.
func cpuTime(b *testing.B, pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	user, err := strconv.ParseFloat(f[11], 64)
	require.NoError(b, err)
	system, err := strconv.ParseFloat(f[12], 64)
	require.NoError(b, err)
	return (user + system) / 100
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

// timed runs the benchmark and reports the median of what op takes; prepare is
// not counted and may be nil.
func timed(b *testing.B, prepare, op func()) {
	var ms []float64
	for b.Loop() {
		if prepare != nil {
			prepare()
		}
		start := time.Now()
		op()
		ms = append(ms, float64(time.Since(start).Microseconds())/1000)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ms), "median-ms")
}

func BenchmarkApply(b *testing.B) {
	lb, _, servers := crowd(b, 11)
	ten := func() { apply(b, lb, "web", servers[:10]...) }
	eleven := func() { apply(b, lb, "web", servers...) }
	b.Run("no change", func(b *testing.B) { timed(b, nil, eleven) })
	b.Run("add one", func(b *testing.B) { timed(b, ten, eleven) })
	b.Run("remove one", func(b *testing.B) { timed(b, eleven, ten) })
}

func BenchmarkObserve(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			lb, _, _ := crowd(b, n)
			timed(b, nil, func() { observe(b, lb, "web") })
		})
	}
}

func BenchmarkSetFront(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			lb, f, _ := crowd(b, n)
			timed(b, nil, func() {
				f.Timeouts.Client += time.Second
				setFront(b, lb, f)
			})
		})
	}
}
