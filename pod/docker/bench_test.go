package docker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

// benchRuntime opens a runtime for a benchmark on the shared engine.
func benchRuntime(b *testing.B, mode pod.AddressMode) *docker.Runtime {
	b.Helper()
	rt, err := docker.New(docker.Config{
		Cluster: pod.Cluster{Name: "bench", ID: "0123456789abcdef"},
		Host:    pod.Host{Name: "bench", Runtime: "docker", Address: shared.Address(), AddressMode: mode},
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, rt.Close()) })
	return rt
}

func withPort(r *pod.StartRequest) { r.Workload.Ports = map[string]int{"http": 80} }

// median reports the median of the times in milliseconds.
func median(b *testing.B, times []time.Duration, unit string) {
	b.Helper()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, unit)
}

// BenchmarkStart compares a start with the engine's own create and start of an
// equal container, one after the other in turns.
func BenchmarkStart(b *testing.B) {
	for _, mode := range []pod.AddressMode{pod.AddressContainer, pod.AddressPublished} {
		b.Run(string(mode), func(b *testing.B) {
			rt := benchRuntime(b, mode)
			api, err := shared.Client()
			require.NoError(b, err)
			defer api.Close()
			host := &container.HostConfig{}
			config := &container.Config{Image: probeImage, Cmd: []string{"sleep"}}
			if mode == pod.AddressPublished {
				config.ExposedPorts = nat.PortSet{"80/tcp": {}}
				host.PortBindings = nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1"}}}
			}
			var raw, ours, stop, more []time.Duration
			for i := range b.N {
				began := time.Now()
				made, err := api.ContainerCreate(b.Context(), config, host, nil, nil, "")
				require.NoError(b, err)
				require.NoError(b, api.ContainerStart(b.Context(), made.ID, container.StartOptions{}))
				raw = append(raw, time.Since(began))
				require.NoError(b, api.ContainerRemove(context.Background(), made.ID, container.RemoveOptions{Force: true}))

				began = time.Now()
				n, err := rt.Start(b.Context(), request(fmt.Sprintf("n%d", i), "sleep", withPort))
				require.NoError(b, err)
				ours = append(ours, time.Since(began))
				more = append(more, ours[i]-raw[i])
				began = time.Now()
				require.NoError(b, stopError(rt.Stop(b.Context(), n.ID, 0)))
				stop = append(stop, time.Since(began))
			}
			median(b, raw, "engine-ms")
			median(b, ours, "start-ms")
			median(b, more, "difference-ms")
			median(b, stop, "kill-ms")
		})
	}
}

// BenchmarkObserve observes 20 running nodes.
func BenchmarkObserve(b *testing.B) {
	rt := benchRuntime(b, pod.AddressContainer)
	for i := range 20 {
		r := request(fmt.Sprintf("n%d", i), "sleep", withPort)
		_, err := rt.Start(b.Context(), r)
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, stopError(rt.Stop(context.Background(), r.ID, 0))) })
	}
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		snap, err := rt.Observe(b.Context())
		require.NoError(b, err)
		require.Len(b, snap.Nodes, 20)
		times = append(times, time.Since(began))
	}
	median(b, times, "median-ms")
}
