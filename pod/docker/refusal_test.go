package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// calls are all methods that take a context.
func calls(r *Runtime) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Observe": func(ctx context.Context) error { _, err := r.Observe(ctx); return err },
		"Start":   func(ctx context.Context) error { _, err := r.Start(ctx, startRequest()); return err },
		"Stop": func(ctx context.Context) error {
			return stopError(r.Stop(ctx, pod.NodeID{Pod: "web", Name: "n1"}, time.Second))
		},
		"Prepare": func(ctx context.Context) error { _, err := r.Prepare(ctx, imageWorkload("app"), "", nil); return err },
		"Logs": func(ctx context.Context) error {
			_, err := r.Logs(ctx, pod.NodeID{Pod: "web", Name: "n1"}, pod.LogOptions{})
			return err
		},
		"Watch":   func(ctx context.Context) error { return r.Watch(ctx, func(pod.Event) {}) },
		"Salvage": func(ctx context.Context) error { _, err := r.Salvage(ctx); return err },
		"Collect": func(ctx context.Context) error {
			_, err := r.Collect(ctx, []pod.Image{{Name: "app", ID: "sha256:app"}}, []string{"app"})
			return err
		},
	}
}

func TestEngineIsNotAskedInVain(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	e := newFakeEngine()
	r := e.open(t)
	for name, call := range calls(r) {
		err := call(ended)
		require.ErrorIs(t, err, context.Canceled, name)
		assert.NotErrorIs(t, err, pod.ErrUnreachable, name)
	}
	require.NoError(t, r.Close())
	require.NoError(t, r.Close(), "twice")
	for name, call := range calls(r) {
		err := call(t.Context())
		require.ErrorIs(t, err, errClosed, name)
		assert.ErrorContains(t, err, "on host h", name)
	}
	assert.Empty(t, e.called())
}

func TestCloseEndsCallsThatHang(t *testing.T) {
	for name := range calls(nil) {
		if name == "Watch" {
			continue // it hangs by itself; see the conformance suite
		}
		t.Run(name, func(t *testing.T) {
			e := newFakeEngine()
			hanging := make(chan struct{}, 100)
			e.before = func(ctx context.Context, call string) error {
				if call == "ping" {
					return nil
				}
				hanging <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			r := e.open(t)
			ended := make(chan error, 1)
			go func() { ended <- calls(r)[name](context.Background()) }()
			<-hanging
			require.NoError(t, r.Close())
			require.ErrorIs(t, <-ended, errClosed)
		})
	}
}

// An engine's refusal is told as it is, with what was to be done on which host.
func TestRefusalsOfTheEngine(t *testing.T) {
	refused := errors.New("no space left on device")
	for _, c := range []struct {
		call, method, want string
	}{
		{"list", "Observe", "observe nodes on host h"},
		{"info", "Observe", "observe nodes on host h"},
		{"create", "Start", "start node web/n1 on host h"},
		{"start", "Start", "start node web/n1 on host h"},
		{"image", "Prepare", "prepare app on host h"},
		{"list", "Salvage", "look for nodes of another manager on host h"},
		{"info", "Salvage", "look for nodes of another manager on host h"},
		{"inspect", "Stop", "stop node web/n1 on host h"},
		{"inspect", "Logs", "read output of node web/n1 on host h"},
		{"image", "Collect", "collect images on host h"},
	} {
		t.Run(c.method+" "+c.call, func(t *testing.T) {
			e := newFakeEngine()
			e.before = func(_ context.Context, call string) error {
				if call == c.call {
					return refused
				}
				return nil
			}
			err := calls(e.open(t))[c.method](t.Context())
			require.ErrorIs(t, err, refused)
			assert.ErrorContains(t, err, c.want)
			assert.NotErrorIs(t, err, pod.ErrUnreachable)
			assert.Zero(t, e.left())
		})
	}
}

func TestStopThatIsRefusedIsTold(t *testing.T) {
	for _, call := range []string{"stop", "remove"} {
		e := newFakeEngine()
		r := e.open(t)
		n, err := r.Start(t.Context(), startRequest())
		require.NoError(t, err)
		refused := errors.New("device or resource busy")
		e.before = func(_ context.Context, c string) error {
			if c == call {
				return refused
			}
			return nil
		}
		require.ErrorIs(t, stopError(r.Stop(t.Context(), n.ID, time.Second)), refused, call)
		e.before = nil
		require.NoError(t, stopError(r.Stop(t.Context(), n.ID, time.Second)), "and done the next time")
		assert.Zero(t, e.left())
	}
}

// What could not be removed after a start that failed is said, as it is still
// there.
func TestLeftoverOfAFailedStartIsTold(t *testing.T) {
	e := newFakeEngine()
	r := e.open(t)
	e.before = func(_ context.Context, call string) error {
		switch call {
		case "start":
			return errors.New("no such device")
		case "remove":
			return errors.New("read-only file system")
		}
		return nil
	}
	_, err := r.Start(t.Context(), startRequest())
	require.ErrorContains(t, err, "no such device")
	require.ErrorContains(t, err, "remove what is left: read-only file system")
}

func TestPasswordOfARegistryThatIsMissing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	for want, auth := range map[string]pod.RegistryAuth{
		"PASSWORD_THAT_IS_NOT_SET is not set in the environment": {Username: "robot", PasswordEnv: "PASSWORD_THAT_IS_NOT_SET"},
		file: {Username: "robot", PasswordFile: file},
	} {
		e := newFakeEngine()
		e.pull = func(string, image.PullOptions) (io.ReadCloser, error) { return nil, errors.New("must not be asked") }
		r := e.open(t, func(c *Config) { c.Host.Registries = map[string]pod.RegistryAuth{"shop.example": auth} })
		_, err := r.Prepare(t.Context(), imageWorkload("shop.example/web:1"), "", nil)
		require.ErrorIs(t, err, pod.ErrImageDenied)
		assert.ErrorContains(t, err, "shop.example/web:1: password of registry shop.example")
		assert.ErrorContains(t, err, want)
	}
	t.Setenv("REGISTRY_PASSWORD", "hunter2")
	e := newFakeEngine()
	e.pull = func(_ string, o image.PullOptions) (io.ReadCloser, error) {
		assert.NotEmpty(t, o.RegistryAuth)
		return nil, fmt.Errorf("denied: %w", errdefs.ErrPermissionDenied)
	}
	r := e.open(t, func(c *Config) {
		c.Host.Registries = map[string]pod.RegistryAuth{"index.docker.io": {Username: "robot", PasswordEnv: "REGISTRY_PASSWORD"}}
	})
	_, err := r.Prepare(t.Context(), imageWorkload("nginx"), "", nil)
	require.ErrorIs(t, err, pod.ErrImageDenied)
	assert.ErrorContains(t, err, "nginx cannot be pulled: denied")
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestEndsThatSayLittle(t *testing.T) {
	for name, c := range map[string]struct {
		state container.State
		logs  error
		want  []string
	}{
		"never started": {container.State{Status: container.StateCreated, Error: "port is already allocated"}, nil, []string{"was made but never started", "port is already allocated"}},
		"no output":     {container.State{Status: container.StateExited, Error: "no such file"}, nil, []string{"no such file"}},
		"no logs":       {container.State{Status: container.StateExited, Error: "no such file"}, errors.New("cannot read json-file"), []string{"no such file"}},
		"nothing":       {container.State{Status: container.StateExited}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := newFakeEngine()
			r := e.open(t)
			n, err := r.Start(t.Context(), startRequest())
			require.NoError(t, err)
			e.before = func(_ context.Context, call string) error {
				if call == "logs" {
					return c.logs
				}
				return nil
			}
			full, err := e.ContainerInspect(t.Context(), n.Handle)
			require.NoError(t, err)
			full.State = &c.state
			assert.Equal(t, c.want, r.exitOf(t.Context(), full).LastLog)
		})
	}
}
