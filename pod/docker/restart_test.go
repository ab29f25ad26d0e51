package docker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

// TestEngineKilledAndRestarted holds the table of the package documentation.
func TestEngineKilledAndRestarted(t *testing.T) {
	for _, c := range []struct {
		name      string
		flags     []string
		remote    bool // its rules for published ports are its own then
		published bool // whether the published port answers while the engine is away
		after     pod.Phase
	}{
		{"NoFlags", nil, false, false, pod.PhaseExited},
		{"LiveRestore", []string{"--live-restore"}, false, false, pod.PhaseRunning},
		{"LiveRestoreNoProxy", []string{"--live-restore", "--userland-proxy=false"}, true, true, pod.PhaseRunning},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := dockertest.Start(t, dockertest.Options{Flags: c.flags, Remote: c.remote})
			e.BuildScratch(t, probeImage, probe)
			nodes := map[pod.AddressMode]pod.Node{}
			benches := map[pod.AddressMode]*bench{}
			modes := []pod.AddressMode{pod.AddressPublished}
			if !c.remote {
				modes = append(modes, pod.AddressContainer)
			}
			watches := make(chan error, len(modes))
			for _, mode := range modes {
				b := open(t, e, func(cfg *docker.Config) {
					cfg.Host.AddressMode = mode
					if c.remote {
						cfg.Host.Bind = e.IP
					}
				})
				n := b.start(request("n1", "stock", func(r *pod.StartRequest) { r.Workload.Ports = map[string]int{"http": 80} }))
				b.eventuallyAnswers(n.Endpoints["http"], "uid")
				nodes[mode], benches[mode] = n, b
				ctx, cancel := context.WithCancel(t.Context())
				t.Cleanup(cancel)
				go func() { watches <- b.rt.Watch(ctx, func(pod.Event) {}) }()
			}
			benches[pod.AddressPublished].watching(nodes[pod.AddressPublished].ID)

			require.NoError(t, e.Kill())
			for range modes {
				require.ErrorIs(t, <-watches, pod.ErrUnreachable)
			}
			for mode, b := range benches {
				_, err := b.rt.Observe(t.Context())
				require.ErrorIs(t, err, pod.ErrUnreachable)
				assert.ErrorContains(t, err, "host bench")
				_, err = b.rt.Start(t.Context(), request("n2", "sleep"))
				require.ErrorIs(t, err, pod.ErrUnreachable)
				require.ErrorIs(t, stopError(b.rt.Stop(t.Context(), nodes[mode].ID, 0)), pod.ErrUnreachable)
			}
			if n, ok := nodes[pod.AddressContainer]; ok {
				_, err := get("http://" + n.Endpoints["http"])
				assert.NoError(t, err, "the container's own address answers without the engine")
			}
			_, err := get("http://" + nodes[pod.AddressPublished].Endpoints["http"])
			assert.Equal(t, c.published, err == nil, "published port: %v", err)

			require.NoError(t, e.Restart(t.Context()))
			for mode, b := range benches {
				want := nodes[mode]
				n := b.find(want.ID)
				require.NotNil(t, n)
				assert.Equal(t, want.Handle, n.Handle)
				assert.Equal(t, c.after, n.Phase)
				if c.after == pod.PhaseRunning {
					assert.Equal(t, want.Endpoints, n.Endpoints)
					assert.True(t, want.StartedAt.Equal(n.StartedAt))
					b.eventuallyAnswers(n.Endpoints["http"], "uid")
				}
				b.start(request("n1", "stock"))
			}
		})
	}
}

// watching waits until the engine has surely taken in the watches before: it
// handles calls in their order well within this time.
func (b *bench) watching(id pod.NodeID) {
	b.Helper()
	for range 3 {
		require.NotNil(b, b.find(id))
		time.Sleep(20 * time.Millisecond)
	}
}
