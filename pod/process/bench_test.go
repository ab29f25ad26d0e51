package process

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// answered waits for the first answer of a node.
func answered(b *testing.B, r *Runtime, name string) {
	n, err := r.Start(b.Context(), request(name, serving()))
	if err != nil {
		b.Error(err)
		return
	}
	for {
		if _, err := get(n, "/"); err == nil {
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// BenchmarkStart is the time of Start alone, and to the node's first answer.
// Nodes and supervisors run this test binary.
func BenchmarkStart(b *testing.B) {
	r := open(b, b.TempDir())
	var starts, answers, stops []time.Duration
	for i := range b.N {
		name := fmt.Sprintf("n%d", i)
		began := time.Now()
		n := start(b, r, name, serving())
		starts = append(starts, time.Since(began))
		for {
			if _, err := get(n, "/"); err == nil {
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
		answers = append(answers, time.Since(began))
		began = time.Now()
		require.NoError(b, stopError(r.Stop(b.Context(), id(name), time.Second)))
		stops = append(stops, time.Since(began))
	}
	for unit, d := range map[string][]time.Duration{"start-ms": starts, "answer-ms": answers, "stop-ms": stops} {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2])/1e6, unit)
	}
}

// BenchmarkStartTen is the time to the first answers of all of ten nodes that
// are started side by side.
func BenchmarkStartTen(b *testing.B) {
	r := open(b, b.TempDir())
	for b.Loop() {
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { answered(b, r, fmt.Sprintf("n%d", i)) })
		}
		wg.Wait()
		b.StopTimer()
		for i := range 10 {
			require.NoError(b, stopError(r.Stop(b.Context(), id(fmt.Sprintf("n%d", i)), 0)))
		}
		b.StartTimer()
	}
}

// BenchmarkObserve50 is one observation of fifty nodes, and the memory of a
// supervisor.
func BenchmarkObserve50(b *testing.B) {
	r := open(b, b.TempDir())
	for i := range 50 {
		start(b, r, fmt.Sprintf("n%d", i), shell("sleep 1000"))
	}
	before, began := cpuTime(b), time.Now()
	for b.Loop() {
		s, err := r.Observe(b.Context())
		require.NoError(b, err)
		require.Len(b, s.Nodes, 50)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(time.Since(began))/1e6/float64(b.N), "wall-ms/op")
	status, err := os.ReadFile("/proc/" + strconv.Itoa(state(b, r, "n0").Supervisor.PID) + "/status")
	require.NoError(b, err)
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" || f[0] == "RssAnon:" {
			b.ReportMetric(float64(number([]byte(f[1])))/1024, strings.TrimSuffix(f[0], ":")+"-MiB")
		}
	}
}

// cpuTime is what this process has used, which other load does not lengthen.
func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &r))
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
