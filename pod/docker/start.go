package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/elastipod/elastipod/internal/crashpoint"
	"github.com/elastipod/elastipod/pod"
)

const (
	// undoTimeout bounds what is done after a call's context has ended: making
	// sure that nothing is left behind.
	undoTimeout = 30 * time.Second
	// undoWait is how long a call waits for that; it goes on without it.
	undoWait = 2 * time.Second
	// foreignAge is how long a look at whose containers there are is believed.
	foreignAge = 10 * time.Second
)

// Start implements [pod.Runtime]. Besides pulling a missing image it takes three
// calls of the engine: create, start, inspect.
func (r *Runtime) Start(ctx context.Context, req pod.StartRequest) (pod.Node, error) {
	return call(ctx, r, "start node "+req.ID.String(), func(ctx context.Context) (pod.Node, error) {
		unlock, err := r.busy.lock(ctx, req.ID)
		if err != nil {
			return pod.Node{}, err
		}
		type result struct {
			node pod.Node
			err  error
		}
		results := make(chan result, 1)
		// The node stays locked until what a failure left is removed, also when
		// the caller does not wait for that.
		r.work.Go(func() {
			defer unlock()
			n, err := r.start(ctx, req)
			results <- result{n, err}
		})
		select {
		case res := <-results:
			return res.node, res.err
		case <-ctx.Done():
		}
		select {
		case res := <-results:
			return res.node, res.err
		case <-time.After(undoWait):
			return pod.Node{}, ctx.Err()
		}
	})
}

func (r *Runtime) start(ctx context.Context, req pod.StartRequest) (pod.Node, error) {
	if err := req.Check(); err != nil {
		return pod.Node{}, err
	}
	f, err := r.engineFacts(ctx)
	if err != nil {
		return pod.Node{}, err
	}
	if err := r.checkForeign(ctx); err != nil {
		return pod.Node{}, err
	}
	s, err := r.spec(req, f)
	if err != nil {
		return pod.Node{}, err
	}
	if err := r.images.want(ctx, s.config.Image); err != nil {
		return pod.Node{}, err
	}
	id, running, err := r.create(ctx, req, s)
	if err != nil {
		return pod.Node{}, err
	}
	if running != nil {
		r.remember(*running)
		return r.nodeOf(*running, f), nil
	}
	crashpoint.Here("docker-start/created")
	node, err := r.launch(ctx, id, req, s, f)
	if err != nil {
		return pod.Node{}, errors.Join(err, r.undo(ctx, id))
	}
	return node, nil
}

// checkForeign looks whether another manager uses our cluster's name, unless
// that was seen a moment ago.
func (r *Runtime) checkForeign(ctx context.Context) error {
	r.mu.Lock()
	fresh := time.Since(r.checked) < foreignAge
	r.mu.Unlock()
	if fresh {
		return nil
	}
	_, err := r.list(ctx)
	return err
}

// create makes the container and returns its id, or the one that runs already.
// What has ended under the name is removed, and a missing image pulled.
func (r *Runtime) create(ctx context.Context, req pod.StartRequest, s containerSpec) (string, *container.InspectResponse, error) {
	pulled := false
	for {
		if err := ctx.Err(); err != nil {
			return "", nil, err
		}
		id, err := r.createOnce(ctx, req.ID, s)
		switch {
		case err == nil:
			return id, nil, nil
		case errdefs.IsConflict(err):
			running, err := r.occupant(ctx, req.ID)
			if running != nil || err != nil {
				return "", running, err
			}
		case errdefs.IsNotFound(err) && !pulled:
			if err := r.obtain(ctx, req.Workload, req.Digest, err); err != nil {
				return "", nil, err
			}
			pulled = true
		default:
			return "", nil, err
		}
	}
}

// createOnce sees creating through also when ctx ends meanwhile: what was made
// by a call that nobody waited for could not be removed.
func (r *Runtime) createOnce(ctx context.Context, id pod.NodeID, s containerSpec) (string, error) {
	through, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	made, err := r.api.ContainerCreate(through, s.config, s.host, nil, nil, r.containerName(id))
	if err != nil {
		return "", err
	}
	for _, w := range made.Warnings {
		r.log.Debug("the engine warns", "pod", id.Pod, "node", id.Name, "warning", w)
	}
	return made.ID, nil
}

// occupant deals with the container that has the node's name: it returns ours
// if it runs, removes ours if not, and refuses anybody else's.
func (r *Runtime) occupant(ctx context.Context, id pod.NodeID) (*container.InspectResponse, error) {
	name := r.containerName(id)
	c, err := r.inspect(ctx, name)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := r.foreign(c.Config.Labels, name); err != nil {
		return nil, err
	}
	if !r.ours(c.Config.Labels, id) {
		return nil, fmt.Errorf("container %s exists and is not a node of this cluster; rename or remove it", name)
	}
	if c.State.Running {
		return &c, nil
	}
	return nil, r.remove(ctx, c.ID)
}

// launch starts a created container and returns the node once it runs.
func (r *Runtime) launch(ctx context.Context, id string, req pod.StartRequest, s containerSpec, f *facts) (pod.Node, error) {
	if err := r.putSecrets(ctx, id, s); err != nil {
		return pod.Node{}, err
	}
	for _, n := range req.Workload.Networks {
		if err := r.api.NetworkConnect(ctx, n, id, &network.EndpointSettings{}); err != nil {
			return pod.Node{}, startError(err)
		}
	}
	if err := r.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return pod.Node{}, startError(err)
	}
	crashpoint.Here("docker-start/launched")
	c, err := r.inspect(ctx, id)
	if err != nil {
		return pod.Node{}, err
	}
	if !c.State.Running {
		exit := r.exitOf(ctx, c)
		return pod.Node{}, fmt.Errorf("%w: %s", pod.ErrExited, exitMessage(exit))
	}
	if req.Workload.Probe.Kind == pod.ProbeHealthcheck && (c.State.Health == nil || c.State.Health.Status == container.NoHealthcheck) {
		return pod.Node{}, fmt.Errorf("%w: image %s has no HEALTHCHECK, which the probe asks for", pod.ErrUnsupported, req.Workload.Image)
	}
	r.remember(c)
	return r.nodeOf(c, f), nil
}

// startError adds the sentinel that fits what an engine says of a start. Some
// look for a network when it is connected, some only at the start.
func startError(err error) error {
	text := err.Error()
	switch {
	case errdefs.IsNotFound(err) && strings.Contains(text, "network"):
		return fmt.Errorf("%w: %w", pod.ErrUnsupported, err)
	case strings.Contains(text, "OCI runtime create failed"), strings.Contains(text, "failed to create task for container"):
		return fmt.Errorf("%w: %w", pod.ErrExited, err)
	}
	return err
}

// exitMessage renders an exit with all of its last output.
func exitMessage(e *pod.Exit) string {
	if len(e.LastLog) == 0 {
		return e.Reason()
	}
	last := *e
	last.LastLog = nil
	return last.Reason() + ": " + strings.Join(e.LastLog, " | ")
}

// undo removes what a failed start made, also when its context has ended.
func (r *Runtime) undo(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := r.remove(ctx, id); err != nil {
		return fmt.Errorf("remove what is left: %w", err)
	}
	return nil
}

// nodeOf returns an inspected container that runs, or is paused, as a node.
func (r *Runtime) nodeOf(c container.InspectResponse, f *facts) pod.Node {
	labels := c.Config.Labels
	n := pod.Node{
		ID: nodeID(labels), Revision: labels[LabelRevision], Kind: nodeKind(labels), Handle: c.ID,
		Phase: pod.PhaseRunning, StartedAt: startedAt(c), Endpoints: r.endpoints(portsOf(labels), reachOfInspect(c), f),
	}
	if c.State.Paused {
		n.Phase = pod.PhaseFrozen
	}
	return n
}

// startedAt is when a container was started; zero where it never was.
func startedAt(c container.InspectResponse) time.Time {
	at, _ := time.Parse(time.RFC3339Nano, c.State.StartedAt)
	return at
}
