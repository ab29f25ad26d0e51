package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// fakeEngine is an engine in memory whose calls can be made to fail. It has the
// calls that this package makes.
type fakeEngine struct {
	client.APIClient
	// before, when set, is called at the start of each call; its error is the
	// call's. after is called once the call had its effect.
	before, after func(ctx context.Context, call string) error

	mu         sync.Mutex
	containers map[string]*fakeContainer // by id
	images     map[string]image.InspectResponse
	networks   map[string]bool
	files      map[string]string // what was copied, by id:path
	api        string
	next       int
	calls      []string
	stats      func() io.ReadCloser
	pull       func(ref string, o image.PullOptions) (io.ReadCloser, error)
	logs       string
	events     chan events.Message
	busy       int                      // how many removals answer with a conflict
	listed     container.ContainerState // what the list says of every container; empty: its state
}

type fakeContainer struct {
	id, name string
	config   *container.Config
	host     *container.HostConfig
	state    container.State
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{
		containers: map[string]*fakeContainer{}, networks: map[string]bool{}, files: map[string]string{}, api: "1.51",
		images: map[string]image.InspectResponse{"app": {ID: "sha256:app"}},
	}
}

func (e *fakeEngine) do(ctx context.Context, call string, f func() error) error {
	e.mu.Lock()
	e.calls = append(e.calls, call)
	e.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.before != nil {
		if err := e.before(ctx, call); err != nil {
			return err
		}
	}
	e.mu.Lock()
	err := f()
	e.mu.Unlock()
	if err == nil && e.after != nil {
		err = e.after(ctx, call)
	}
	return err
}

func (e *fakeEngine) get(id string) (*fakeContainer, error) {
	for _, c := range e.containers {
		if c.id == id || c.name == id {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no such container %s: %w", id, errdefs.ErrNotFound)
}

func (e *fakeEngine) Ping(ctx context.Context) (p types.Ping, err error) {
	err = e.do(ctx, "ping", func() error { p.APIVersion = e.api; return nil })
	return p, err
}

func (e *fakeEngine) NegotiateAPIVersionPing(types.Ping) {}

func (e *fakeEngine) Info(ctx context.Context) (i system.Info, err error) {
	err = e.do(ctx, "info", func() error {
		i = system.Info{NCPU: 2, MemTotal: 4 << 30, ServerVersion: "29.0.0", CgroupVersion: "2", OSType: "linux", KernelVersion: "elsewhere"}
		return nil
	})
	return i, err
}

func (e *fakeEngine) Events(ctx context.Context, _ events.ListOptions) (<-chan events.Message, <-chan error) {
	errs := make(chan error, 1)
	go func() {
		defer close(errs)
		<-ctx.Done()
		errs <- ctx.Err()
	}()
	return e.events, errs
}

func (e *fakeEngine) ContainerList(ctx context.Context, o container.ListOptions) (list []container.Summary, err error) {
	err = e.do(ctx, "list", func() error {
		for _, c := range e.containers {
			name, value, _ := strings.Cut(o.Filters.Get("label")[0], "=")
			if c.config.Labels[name] == value {
				list = append(list, container.Summary{ID: c.id, Names: []string{"/" + c.name}, Labels: c.config.Labels, State: cmp.Or(e.listed, c.state.Status)})
			}
		}
		return nil
	})
	return list, err
}

func (e *fakeEngine) ContainerInspect(ctx context.Context, id string) (r container.InspectResponse, err error) {
	err = e.do(ctx, "inspect", func() error {
		c, err := e.get(id)
		if err != nil {
			return err
		}
		state := c.state
		r = container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: c.id, Name: "/" + c.name, State: &state}, Config: c.config}
		return nil
	})
	return r, err
}

func (e *fakeEngine) ContainerCreate(ctx context.Context, c *container.Config, h *container.HostConfig, _ *network.NetworkingConfig,
	_ *ocispec.Platform, name string) (r container.CreateResponse, err error) {
	err = e.do(ctx, "create", func() error {
		if _, ok := e.images[c.Image]; !ok {
			return fmt.Errorf("no such image: %w", errdefs.ErrNotFound)
		}
		if other, _ := e.get(name); other != nil {
			return fmt.Errorf("name in use: %w", errdefs.ErrConflict)
		}
		e.next++
		r.ID = fmt.Sprintf("id%d", e.next)
		e.containers[r.ID] = &fakeContainer{id: r.ID, name: name, config: c, host: h, state: container.State{Status: container.StateCreated}}
		return nil
	})
	return r, err
}

func (e *fakeEngine) ContainerStart(ctx context.Context, id string, _ container.StartOptions) error {
	return e.do(ctx, "start", func() error {
		c, err := e.get(id)
		if err == nil {
			c.state = container.State{Status: container.StateRunning, Running: true, StartedAt: time.Now().Format(time.RFC3339Nano)}
		}
		return err
	})
}

func (e *fakeEngine) ContainerStop(ctx context.Context, id string, _ container.StopOptions) error {
	return e.do(ctx, "stop", func() error {
		c, err := e.get(id)
		if err == nil {
			e.exit(c, 143)
		}
		return err
	})
}

func (e *fakeEngine) exit(c *fakeContainer, code int) {
	c.state.Status, c.state.Running, c.state.ExitCode = container.StateExited, false, code
	c.state.FinishedAt = time.Now().Format(time.RFC3339Nano)
}

func (e *fakeEngine) ContainerRemove(ctx context.Context, id string, _ container.RemoveOptions) error {
	return e.do(ctx, "remove", func() error {
		c, err := e.get(id)
		if err != nil {
			return err
		}
		if e.busy > 0 {
			e.busy--
			return fmt.Errorf("removal is already in progress: %w", errdefs.ErrConflict)
		}
		delete(e.containers, c.id)
		return nil
	})
}

func (e *fakeEngine) ContainerLogs(ctx context.Context, id string, _ container.LogsOptions) (r io.ReadCloser, err error) {
	err = e.do(ctx, "logs", func() error {
		r = io.NopCloser(strings.NewReader(e.logs))
		_, err := e.get(id)
		return err
	})
	return r, err
}

func (e *fakeEngine) ContainerStats(ctx context.Context, _ string, _ bool) (r container.StatsResponseReader, err error) {
	err = e.do(ctx, "stats", func() error {
		if e.stats == nil {
			return errors.New("no statistics")
		}
		r.Body = e.stats()
		return nil
	})
	if err == nil {
		body := r.Body
		context.AfterFunc(ctx, func() { _ = body.Close() })
	}
	return r, err
}

func (e *fakeEngine) CopyToContainer(ctx context.Context, id, path string, content io.Reader, _ container.CopyToContainerOptions) error {
	return e.do(ctx, "copy", func() error {
		r := tar.NewReader(content)
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			b, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			e.files[id+":"+path+"/"+h.Name] = fmt.Sprintf("%04o %d %s", h.Mode, h.Uid, b)
		}
	})
}

func (e *fakeEngine) CopyFromContainer(ctx context.Context, _, _ string) (r io.ReadCloser, s container.PathStat, err error) {
	err = e.do(ctx, "copy from", func() error {
		passwd := []byte("root:x:0:0::/:\nweb:x:1234:1234::/:\n")
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		_ = w.WriteHeader(&tar.Header{Name: "passwd", Size: int64(len(passwd))})
		_, _ = w.Write(passwd)
		r = io.NopCloser(&b)
		return w.Close()
	})
	return r, s, err
}

func (e *fakeEngine) NetworkInspect(ctx context.Context, id string, _ network.InspectOptions) (n network.Inspect, err error) {
	err = e.do(ctx, "network", func() error {
		if !e.networks[id] {
			return fmt.Errorf("no such network: %w", errdefs.ErrNotFound)
		}
		return nil
	})
	return n, err
}

func (e *fakeEngine) NetworkConnect(ctx context.Context, id, _ string, _ *network.EndpointSettings) error {
	return e.do(ctx, "connect", func() error {
		if !e.networks[id] {
			return fmt.Errorf("no such network: %w", errdefs.ErrNotFound)
		}
		return nil
	})
}

func (e *fakeEngine) ImageInspect(ctx context.Context, ref string, _ ...client.ImageInspectOption) (i image.InspectResponse, err error) {
	err = e.do(ctx, "image", func() error {
		for name, found := range e.images {
			if name == ref || found.ID == ref {
				i = found
			}
		}
		if i.ID == "" {
			return fmt.Errorf("no such image: %w", errdefs.ErrNotFound)
		}
		return nil
	})
	return i, err
}

func (e *fakeEngine) ImagePull(ctx context.Context, ref string, o image.PullOptions) (r io.ReadCloser, err error) {
	err = e.do(ctx, "pull", func() (err error) {
		r, err = e.pull(ref, o)
		return err
	})
	return r, err
}

func (e *fakeEngine) ImageList(ctx context.Context, _ image.ListOptions) (list []image.Summary, err error) {
	err = e.do(ctx, "images", func() error {
		for _, i := range e.images {
			list = append(list, image.Summary{ID: i.ID})
		}
		return nil
	})
	return list, err
}

func (e *fakeEngine) ImageRemove(ctx context.Context, id string, o image.RemoveOptions) ([]image.DeleteResponse, error) {
	return nil, e.do(ctx, "remove image", func() error {
		if o.Force {
			return errors.New("an image was to be removed by force")
		}
		for _, c := range e.containers {
			if e.images[c.config.Image].ID == id {
				return fmt.Errorf("container %s uses it: %w", c.id, errdefs.ErrConflict)
			}
		}
		maps.DeleteFunc(e.images, func(_ string, i image.InspectResponse) bool { return i.ID == id })
		return nil
	})
}

// called returns the calls since the last time.
func (e *fakeEngine) called() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := e.calls
	e.calls = nil
	return calls
}

func (e *fakeEngine) left() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.containers)
}

var testCluster = pod.Cluster{Name: "c", ID: "0123456789abcdef"}

// open returns a runtime on the fake engine.
func (e *fakeEngine) open(t *testing.T, edit ...func(*Config)) *Runtime {
	t.Helper()
	c := Config{Cluster: testCluster, Host: pod.Host{Name: "h", Runtime: "docker"}}
	for _, f := range edit {
		f(&c)
	}
	c = c.withDefaults()
	require.NoError(t, c.validate())
	r := newRuntime(c, e)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

// stopError returns what went wrong in a stop.
func stopError(_ []string, err error) error { return err }

func startRequest(edit ...func(*pod.StartRequest)) pod.StartRequest {
	spec := pod.Spec{Name: "web", Workload: pod.Workload{Image: "app", Ports: map[string]int{"http": 80}}}.WithDefaults()
	r := pod.StartRequest{ID: pod.NodeID{Pod: "web", Name: "n1"}, Revision: "r1", Workload: spec.Workload, Limits: spec.Limits}
	for _, f := range edit {
		f(&r)
	}
	return r
}
