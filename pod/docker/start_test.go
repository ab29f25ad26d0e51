package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// everything makes a start use every call that it can.
func everything(r *pod.StartRequest) {
	r.Workload.Networks = []string{"back"}
	r.Workload.User = "web"
	r.Workload.Secrets = []pod.Secret{{Name: "key", FromEnv: "X", Target: "/run/secrets/key"}}
	r.Secrets = map[string]pod.SecretValue{"key": pod.SecretValue("hunter2")}
}

func TestFaultInMidStartLeavesNothing(t *testing.T) {
	faults := map[string]error{
		"error":       errors.New("the engine is out of sorts"),
		"cut off":     io.ErrUnexpectedEOF,
		"unavailable": fmt.Errorf("shutting down: %w", errdefs.ErrUnavailable),
	}
	for _, call := range []string{"copy from", "copy", "connect", "start", "inspect"} {
		for name, fault := range faults {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s late=%v", call, name, late), func(t *testing.T) {
					e := newFakeEngine()
					e.networks["back"] = true
					fail := func(_ context.Context, c string) error {
						if c == call {
							return fault
						}
						return nil
					}
					if late {
						e.after = fail
					} else {
						e.before = fail
					}
					r := e.open(t)
					_, err := r.Start(t.Context(), startRequest(everything))
					require.ErrorIs(t, err, fault)
					assert.ErrorContains(t, err, "web/n1")
					assert.ErrorContains(t, err, "host h")
					assert.Equal(t, name != "error", errors.Is(err, pod.ErrUnreachable))
					assert.NotContains(t, err.Error(), "hunter2")
					assert.Zero(t, e.left())
				})
			}
		}
	}
}

func TestCancelledInMidStartLeavesNothing(t *testing.T) {
	for _, call := range []string{"info", "list", "create", "copy from", "copy", "connect", "start", "inspect"} {
		t.Run(call, func(t *testing.T) {
			e := newFakeEngine()
			e.networks["back"] = true
			ctx, cancel := context.WithCancel(t.Context())
			e.after = func(_ context.Context, c string) error {
				if c == call {
					cancel()
				}
				return nil
			}
			_, err := e.open(t).Start(ctx, startRequest(everything))
			if err == nil { // nothing was left to cancel
				assert.Equal(t, "inspect", call)
				return
			}
			require.ErrorIs(t, err, context.Canceled)
			assert.NotErrorIs(t, err, pod.ErrUnreachable)
			assert.Zero(t, e.left())
		})
	}
}

func TestStartMendsWhatAnUnreachableEngineKept(t *testing.T) {
	e := newFakeEngine()
	e.after = func(_ context.Context, c string) error {
		if c == "create" {
			return io.ErrUnexpectedEOF // made, but the answer is lost
		}
		return nil
	}
	r := e.open(t)
	_, err := r.Start(t.Context(), startRequest())
	require.ErrorIs(t, err, pod.ErrUnreachable)
	require.Equal(t, 1, e.left())
	e.after = nil
	_, err = r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	assert.Equal(t, 1, e.left())
}

func TestStartTakesFewCalls(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	_, err := r.Observe(t.Context())
	require.NoError(t, err)
	e.called()
	_, err = r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	assert.Equal(t, []string{"create", "start", "inspect"}, e.called())
	_, err = r.Observe(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, e.called(), "inspect", "the start's inspection is kept")
}

func TestStartRefusesForeignNames(t *testing.T) {
	e := newFakeEngine()
	other := e.open(t, func(c *Config) { c.Cluster.ID = "fedcba9876543210" })
	_, err := other.Start(t.Context(), startRequest())
	require.NoError(t, err)
	_, err = e.open(t).Start(t.Context(), startRequest(func(r *pod.StartRequest) { r.ID.Name = "n2" }))
	require.ErrorIs(t, err, pod.ErrForeign)
	assert.ErrorContains(t, err, "fedcba9876543210")

	e = newFakeEngine()
	e.containers["x"] = &fakeContainer{id: "x", name: "c.web.n1", config: &container.Config{}, state: container.State{}}
	_, err = e.open(t).Start(t.Context(), startRequest())
	require.ErrorContains(t, err, "container c.web.n1 exists and is not a node of this cluster")
	require.NoError(t, stopError(e.open(t).Stop(t.Context(), startRequest().ID, 0)))
	assert.Equal(t, 1, e.left(), "what is not ours is left alone")
}

func TestOldEngineIsRefused(t *testing.T) {
	e := newFakeEngine()
	e.api = "1.40"
	_, err := e.open(t).Observe(t.Context())
	require.ErrorIs(t, err, pod.ErrUnsupported)
	assert.ErrorContains(t, err, "1.41 (Docker 20.10)")
}

func TestSecretsAreWrittenForTheUser(t *testing.T) {
	for user, want := range map[string]int{"": 0, "root": 0, "1001": 1001, "1001:5": 1001, "web": 1234, "nobody-here": 0} {
		e := newFakeEngine()
		e.networks["back"] = true
		_, err := e.open(t).Start(t.Context(), startRequest(everything, func(r *pod.StartRequest) { r.Workload.User = user }))
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("0400 %d hunter2", want), e.files["id1:/run/secrets/key"], user)
	}
}

func TestStopWaitsForARemovalUnderWay(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	_, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	e.busy = 3
	require.NoError(t, stopError(r.Stop(t.Context(), startRequest().ID, time.Second)))
	assert.Zero(t, e.left())
	require.NoError(t, stopError(r.Stop(t.Context(), startRequest().ID, time.Second)), "twice")
}

func TestGraceIsKeptToTheMillisecond(t *testing.T) {
	e := newFakeEngine()
	e.before = func(ctx context.Context, call string) error {
		if call == "stop" { // the node is deaf
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	r := e.open(t)
	_, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, stopError(r.Stop(t.Context(), startRequest().ID, 50*time.Millisecond)))
	assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	assert.Less(t, time.Since(began), 900*time.Millisecond)
	assert.Zero(t, e.left())
}

func TestObserveShowsUnstartedContainersOnlyWhenOld(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	s := containerSpec{config: &container.Config{Image: "app", Labels: r.labels(startRequest())}}
	id, err := r.createOnce(t.Context(), startRequest().ID, s)
	require.NoError(t, err)
	snap, err := r.Observe(t.Context())
	require.NoError(t, err)
	assert.Empty(t, snap.Nodes, "it may be about to start")
	r.known[id].firstSeen = time.Now().Add(-2 * unstartedAge)
	snap, err = r.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, snap.Nodes, 1)
	assert.Equal(t, pod.PhaseExited, snap.Nodes[0].Phase)
	assert.Equal(t, "exit code 0: was made but never started", snap.Nodes[0].Exit.Reason())
}

// An engine whose disk is full cannot save that a container was started, and
// lists it as it was before.
func TestObserveShowsWhatWasStartedWhateverTheListSays(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	node, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	e.listed = container.StateCreated
	snap, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, snap.Nodes, 1)
	assert.Equal(t, pod.PhaseRunning, snap.Nodes[0].Phase)
	e.exit(e.containers[node.Handle], 3)
	snap, err = r.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, snap.Nodes, 1)
	assert.Equal(t, pod.PhaseExited, snap.Nodes[0].Phase, "what has ended is noticed")
	assert.Equal(t, 3, snap.Nodes[0].Exit.Code)
}

func TestEngineThatIsAwayIsUnreachable(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	_, err := r.Start(t.Context(), startRequest())
	require.NoError(t, err)
	e.before = func(context.Context, string) error { return io.EOF }
	_, err = r.Observe(t.Context())
	require.ErrorIs(t, err, pod.ErrUnreachable)
	require.ErrorIs(t, stopError(r.Stop(t.Context(), startRequest().ID, 0)), pod.ErrUnreachable)
	_, err = r.Logs(t.Context(), startRequest().ID, pod.LogOptions{})
	require.ErrorIs(t, err, pod.ErrUnreachable)
	_, err = r.Prepare(t.Context(), startRequest().Workload, "", nil)
	require.ErrorIs(t, err, pod.ErrUnreachable)
	e.before = nil
	e.called()
	snap, err := r.Observe(t.Context())
	require.NoError(t, err)
	assert.Len(t, snap.Nodes, 1)
	calls := e.called()
	assert.Contains(t, calls, "inspect", "what was known is looked at again")
	assert.Contains(t, calls, "info")
}

func TestConfigReportsEveryFault(t *testing.T) {
	_, err := New(Config{Cluster: pod.Cluster{Name: "No"}, Host: pod.Host{Runtime: "docker", Address: "tcp://10.0.0.5:2376"}})
	var faults pod.Faults
	require.ErrorAs(t, err, &faults)
	var paths []string
	for _, f := range faults {
		paths = append(paths, f.Path)
	}
	assert.ElementsMatch(t, []string{"cluster.name", "cluster.id", "host.name", "host.tls", "host.bind"}, paths)
}
