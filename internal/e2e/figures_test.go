//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// The figures that the documentation quotes. They are printed, and held against
// bounds that only a mistake can pass.

func TestFiguresEmbedded(t *testing.T) { figures(t, embedded(t)) }

func TestFiguresDocker(t *testing.T) { figures(t, onDocker(t)) }

func figures(t *testing.T, s *stack) {
	srv := start(t, s)
	idle(t, srv)
	reaction(t, srv)
}

// idle measures a server with three pods and ten nodes that have nothing to do.
func idle(t *testing.T, srv *server) {
	srv.cloud("init")
	for pod, n := range map[string]int{"light": 5, "medium": 3, "heavy": 2} {
		for i := range n {
			srv.cloud("register", fmt.Sprintf("i%d", i), pod)
			srv.cloud("launch", pod)
		}
	}
	time.Sleep(3 * time.Second)
	const window = 20 * time.Second
	before := cpuTime(t, srv.cmd.Process.Pid)
	time.Sleep(window)
	share := (cpuTime(t, srv.cmd.Process.Pid) - before).Seconds() / window.Seconds()
	rss := residentMiB(t, srv.cmd.Process.Pid)
	t.Logf("figure: idle server with 3 pods and 10 nodes: %.2f %% of a core, %.1f MiB resident", 100*share, rss)
	assert.Less(t, share, 0.2)
	assert.Less(t, rss, 120.0)
	for _, pod := range []string{"light", "medium", "heavy"} {
		srv.cloud("pod", "rm", pod)
	}
}

// reaction measures, several times, how long it takes from a step of the load to
// the decision, and from the decision to the first answer of the new node.
func reaction(t *testing.T, srv *server) {
	var decisions, answers, raw []time.Duration
	for i := range 5 {
		if srv.stack.engine != nil {
			raw = append(raw, rawStart(t, srv, i))
		}
		v := srv.service(fmt.Sprintf("step%d", i), func(p *wire.Pod) { p.Limits.CPU = 0.3 })
		v.launch(1)
		srv.cloud("elasticity", "enable", v.name, "1", "2")
		time.Sleep(2500 * time.Millisecond)
		step := time.Now()
		wait := v.load(t, openloop.Config{URL: "/work?cpu=10ms", Method: http.MethodPost, Rate: 27, Duration: 4 * time.Second})
		srv.eventually("two nodes", 20*time.Second, func() bool { return len(srv.online(v.name)) == 2 })
		for _, tick := range srv.decisions(v.name) {
			if tick.Before == 1 && tick.Decision.Want == 2 {
				decisions = append(decisions, tick.At.Sub(step))
				for _, n := range srv.nodes(v.name, "online") {
					if !n.CreatedAt.Before(tick.At) {
						require.NotNil(t, n.ReadyAt)
						answers = append(answers, n.ReadyAt.Sub(tick.At))
					}
				}
			}
		}
		require.NoError(t, v.checkLossless(wait()))
		srv.cloud("pod", "rm", v.name)
	}
	require.Len(t, decisions, 5)
	require.Len(t, answers, 5)
	t.Logf("figure: load step to decision: median %s of %v", median(decisions), decisions)
	t.Logf("figure: decision to first answer of the new node: median %s of %v", median(answers), answers)
	if len(raw) > 0 {
		t.Logf("figure: the engine's own create and start: median %s of %v; ours beyond it: %s", median(raw), raw, median(answers)-median(raw))
	}
	assert.Less(t, median(decisions), 3*time.Second)
	assert.Less(t, median(answers), 3*time.Second)
}

// rawStart measures what the engine itself takes to create and start a container
// of the same image with the same limits.
func rawStart(t *testing.T, srv *server, i int) time.Duration {
	t.Helper()
	cli, err := srv.stack.engine.Client()
	require.NoError(t, err)
	defer cli.Close()
	begun := time.Now()
	c := create(t, cli, i)
	require.NoError(t, cli.ContainerStart(t.Context(), c, container.StartOptions{}))
	took := time.Since(begun)
	require.NoError(t, cli.ContainerRemove(t.Context(), c, container.RemoveOptions{Force: true}))
	return took
}

func create(t *testing.T, cli *client.Client, i int) string {
	t.Helper()
	c, err := cli.ContainerCreate(t.Context(),
		&container.Config{Image: workloadImage, Cmd: []string{"workload", "light"}, Env: []string{"PORT=8080"}},
		&container.HostConfig{Resources: container.Resources{NanoCPUs: 3e8, Memory: 64 << 20}}, nil, nil, fmt.Sprintf("raw%d", i))
	require.NoError(t, err)
	return c.ID
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2].Round(time.Millisecond)
}

// cpuTime returns the CPU time that a process has used.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), ") ")
	require.True(t, ok)
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func residentMiB(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
			return float64(kib) / 1024
		}
	}
	require.FailNow(t, "no VmRSS")
	return 0
}
