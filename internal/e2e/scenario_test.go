//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

func TestEndToEndEmbedded(t *testing.T) { endToEnd(t, embedded(t)) }

func TestEndToEndDocker(t *testing.T) { endToEnd(t, onDocker(t)) }

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	require.NoError(t, err)
	return text
}

// endToEnd is the main job from the first command to the last.
func endToEnd(t *testing.T, s *stack) {
	srv := start(t, s)

	srv.cloud("init")
	srv.cloud("init") // twice is no harm
	for _, p := range []struct {
		name   string
		cpu    float64
		memory int64
		nodes  int
		front  string
	}{{"light", 0.3, 100 << 20, 20, "127.0.0.1:5000"}, {"medium", 0.5, 300 << 20, 15, "127.0.0.1:5001"}, {"heavy", 0.8, 500 << 20, 10, "127.0.0.1:5002"}} {
		got := srv.pod(p.name)
		assert.InDelta(t, p.cpu, float64(got.Limits.CPU), 1e-9)
		assert.EqualValues(t, p.memory, got.Limits.Memory)
		assert.EqualValues(t, p.nodes, got.MaxNodes)
		assert.Equal(t, p.front, got.Fronts[0].Listen)
	}
	srv.cloud("register", "mine", "light")
	assert.Equal(t, 503, status(t, "GET", "http://127.0.0.1:5000/"), "nothing serves yet")
	srv.cloud("launch", "light")
	srv.eventually("the launched node answers", 30*time.Second, func() bool { return status(t, "GET", "http://127.0.0.1:5000/") == 200 })
	assert.Contains(t, srv.cloud("node", "ls", "light"), "mine")
	srv.cloud("request", "light")
	srv.cloud("pause", "light")
	assert.Equal(t, 503, status(t, "GET", "http://127.0.0.1:5000/"), "paused")
	srv.cloud("resume", "light")
	assert.Equal(t, 200, status(t, "GET", "http://127.0.0.1:5000/"), "resumed")
	srv.cloud("rm", "mine", "light")

	wave(t, srv)

	if s.engine != nil {
		inspectLimits(t, srv)
	}
}

// At the top of a wave the load is 0.26 cores: 0.87 of what two nodes may use,
// 0.58 of what three may, and 0.43 of what four may. So three is where the
// thresholds of 0.5 and 0.7 come to rest, from below and from above.
const (
	cpuPerRequest = 10 * time.Millisecond // of the work itself; calibrate finds out what a request costs in all
	topLoad       = 0.26                  // cores
	lowRate       = 2.0                   // a second
	nodeCPU       = 0.15
	lower, upper  = 0.5, 0.7
	wavePeriod    = 20 * time.Second
	plateauEnd    = 15 * time.Second
)

// waves is three times 6 s up in small steps, so that no queue builds that would
// need nodes of its own, 9 s at the top, and 5 s of calm.
func waves(highRate float64) openloop.Shape {
	return func(at time.Duration) float64 {
		in := at % wavePeriod
		if in > plateauEnd {
			return lowRate
		}
		return lowRate + (highRate-lowRate)*min(in.Seconds()/6, 1)
	}
}

// calibrate returns the rate at which requests need topLoad cores of three
// nodes. What HTTP and the kernel add to the work differs by a quarter from one
// machine, and one hour, to the next.
func (v *service) calibrate(t *testing.T) (highRate float64) {
	t.Helper()
	const rate, warm, nodes = 20.0, 3 * time.Second, 3
	from := time.Now().Add(warm)
	v.load(t, openloop.Config{URL: "/work?cpu=" + cpuPerRequest.String(), Rate: rate, Duration: warm + 6*time.Second})()
	until := time.Now()
	var list wire.List[wire.Sample]
	v.srv.get("/v1/pods/"+v.name+"/metrics", &list)
	var cores []float64
	for _, s := range list.Items {
		if s.CPU != nil && s.At.After(from) && s.At.Before(until) {
			require.Equal(t, nodes, s.Nodes.Online)
			cores = append(cores, *s.CPU*nodes*nodeCPU)
		}
	}
	require.GreaterOrEqual(t, len(cores), 4, "samples under load")
	slices.Sort(cores)
	used := cores[len(cores)/2]
	require.InDelta(t, rate*cpuPerRequest.Seconds(), used, 0.12, "the workload works as long as it is told")
	t.Logf("a request costs %.1f ms of CPU", used/rate*1e3)
	return rate / used * topLoad
}

// wave sends a minute of load in three waves through an elastic pod, and checks
// the count, the reasons and every single request.
func wave(t *testing.T, srv *server) {
	web := srv.service("web", nil)
	web.launch(3)
	highRate := web.calibrate(t)
	srv.cloud("elasticity", "enable", "web", "1", "6")
	policy := fmt.Sprintf(`{"policy":{"kind":"cooldown","up":"2s","down":"1s","policy":{"kind":"threshold","lower":%g,"upper":%g}}}`, lower, upper)
	srv.patch("/v1/pods/web/elasticity", policy)
	srv.eventually("one node without load", 30*time.Second, func() bool { return len(srv.online("web")) == 1 && srv.pod("web").Status.Converged })

	predicted := int(math.Ceil(topLoad / nodeCPU / upper))
	begun := time.Now()
	wait := web.load(t, openloop.Config{URL: "/work?cpu=" + cpuPerRequest.String(), Shape: waves(highRate), Duration: time.Minute})
	var tops []int
	for wave := range 3 {
		time.Sleep(time.Until(begun.Add(time.Duration(wave)*wavePeriod + plateauEnd - 200*time.Millisecond)))
		tops = append(tops, len(srv.online("web")))
	}
	r := wait()
	slices.Sort(tops)
	assert.Equal(t, predicted, tops[1], "the count that the arithmetic gives at the top of the waves: %v", tops)
	require.NoError(t, web.checkLossless(r))
	moves := 0
	for _, tick := range srv.decisions("web") {
		if tick.Decision.Want == tick.Before {
			continue
		}
		assert.NotEmpty(t, tick.Decision.Reason)
		assert.NotEmpty(t, tick.Decision.Steps)
		t.Logf("%5.1f s  %d → %d  %s", tick.At.Sub(begun).Seconds(), tick.Before, tick.Decision.Want, tick.Decision.Reason)
		if tick.At.After(begun) && tick.At.Before(r.Began.Add(r.Sending)) {
			moves++
		}
	}
	assert.GreaterOrEqual(t, moves, 6, "scale events while load ran")
	assert.Contains(t, srv.cloud("why", "web"), "CPU")
	srv.eventually("back to one node", time.Minute, func() bool { return len(srv.online("web")) == 1 && srv.pod("web").Status.Converged })
	srv.cloud("elasticity", "disable", "web")
}

// inspectLimits checks what Docker itself says of the containers.
func inspectLimits(t *testing.T, srv *server) {
	cli, err := srv.stack.engine.Client()
	require.NoError(t, err)
	defer cli.Close()
	list, err := cli.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "io.elastipod.pod=web"))})
	require.NoError(t, err)
	require.Len(t, list, 1, "one container, no orphan")
	c, err := cli.ContainerInspect(t.Context(), list[0].ID)
	require.NoError(t, err)
	cpus := float64(c.HostConfig.NanoCPUs) / 1e9
	if cpus == 0 {
		cpus = float64(c.HostConfig.CPUQuota) / float64(c.HostConfig.CPUPeriod)
	}
	assert.InDelta(t, nodeCPU, cpus, 1e-6)
	assert.EqualValues(t, 64<<20, c.HostConfig.Memory)
	require.NotNil(t, c.HostConfig.PidsLimit)
	assert.EqualValues(t, 1024, *c.HostConfig.PidsLimit)
	assert.Contains(t, strings.Join(c.HostConfig.SecurityOpt, ","), "no-new-privileges")
	for _, label := range []string{"cluster", "cluster-id", "kind", "pod", "node", "revision"} {
		assert.NotEmpty(t, c.Config.Labels["io.elastipod."+label], label)
	}
}

// decisions returns the kept ticks of a pod, newest first.
func (s *server) decisions(pod string) []wire.Tick {
	var list wire.List[wire.Tick]
	s.get(fmt.Sprintf("/v1/pods/%s/decisions?limit=500", pod), &list)
	return list.Items
}
