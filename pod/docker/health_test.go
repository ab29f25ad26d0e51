package docker_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func TestHealthcheckIsTheProbe(t *testing.T) {
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	const image = "checked"
	require.NoError(t, shared.Build(t.Context(), image, `FROM scratch
COPY app /app
HEALTHCHECK --interval=1s --timeout=1s --retries=2 CMD ["/app", "check"]
ENTRYPOINT ["/app"]
`, map[string][]byte{"app": binary}))
	b := open(t, shared)
	healthcheck := func(r *pod.StartRequest) { r.Workload.Probe.Kind = pod.ProbeHealthcheck }

	_, err = b.rt.Start(t.Context(), request("none", "sleep", healthcheck))
	require.ErrorIs(t, err, pod.ErrUnsupported)
	assert.ErrorContains(t, err, "has no HEALTHCHECK")

	ctx, cancel := context.WithCancel(t.Context())
	events, ended := make(chan pod.Event, 100), make(chan error, 1)
	go func() {
		ended <- b.rt.Extras().Watcher.Watch(ctx, func(e pod.Event) { events <- e })
	}()
	defer func() {
		cancel()
		<-ended
	}()
	time.Sleep(200 * time.Millisecond) // the stream begins
	n := b.start(request("n1", "sleep", healthcheck, func(r *pod.StartRequest) { r.Workload.Image = image }))
	assert.Equal(t, pod.HealthUnknown, b.find(n.ID).Health, "not asked yet")
	b.await(events, n.ID, pod.HealthGood)

	// Nothing checks a paused container, and the engine calls it unhealthy from
	// then until the first check after it goes on.
	require.NoError(t, b.api.ContainerPause(t.Context(), n.Handle))
	paused := b.find(n.ID)
	assert.Equal(t, pod.PhaseFrozen, paused.Phase)
	assert.Equal(t, pod.HealthUnknown, paused.Health)
	require.NoError(t, b.api.ContainerUnpause(t.Context(), n.Handle))
	for range 20 {
		seen := b.find(n.ID)
		require.Equal(t, pod.PhaseRunning, seen.Phase)
		require.Equal(t, pod.HealthGood, seen.Health, "it was healthy before")
	}
	b.await(events, n.ID, pod.HealthGood) // the engine says so, too

	plain := b.start(request("n2", "sleep", func(r *pod.StartRequest) { r.Workload.Image = image }))
	c, err := b.api.ContainerInspect(t.Context(), plain.Handle)
	require.NoError(t, err)
	assert.True(t, c.State.Health == nil || c.State.Health.Status == container.NoHealthcheck, "the manager probes, the engine does not")

	e, err := b.api.ContainerExecCreate(t.Context(), n.Handle, container.ExecOptions{Cmd: []string{"/app", "break"}})
	require.NoError(t, err)
	require.NoError(t, b.api.ContainerExecStart(t.Context(), e.ID, container.ExecStartOptions{}))
	b.await(events, n.ID, pod.HealthUnhealthy)
}

// await waits for an event after which the node's health is as wanted.
func (b *bench) await(events <-chan pod.Event, id pod.NodeID, want pod.Health) {
	b.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case e := <-events:
			if e.Node == id && e.Kind == pod.EventHealth && b.find(id).Health == want {
				return
			}
		case <-deadline:
			b.Fatalf("no event told that node %s is %s", id, want)
		}
	}
}
