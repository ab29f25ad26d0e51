package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/elastipod/elastipod/internal/crashpoint"
	"github.com/elastipod/elastipod/pod"
)

// removalPoll is how often a removal that somebody else does is looked at.
const removalPoll = 20 * time.Millisecond

// Stop implements [pod.Runtime]. The signal is the image's (SIGTERM by
// default); anonymous volumes go too.
func (r *Runtime) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	return call(ctx, r, "stop node "+id.String(), func(ctx context.Context) ([]string, error) {
		unlock, err := r.busy.lock(ctx, id)
		if err != nil {
			return nil, err
		}
		defer unlock()
		return r.stop(ctx, id, grace)
	})
}

func (r *Runtime) stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	container, err := r.find(ctx, id)
	if err != nil {
		if errors.Is(err, pod.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	if err := r.signal(ctx, container, grace); err != nil {
		return nil, err
	}
	crashpoint.Here("docker-stop/ended")
	tail := r.tail(ctx, container)
	if err := r.remove(ctx, container); err != nil {
		return nil, err
	}
	crashpoint.Here("docker-stop/removed")
	return tail, nil
}

// find returns the id of a node's container, or [pod.ErrNotFound].
func (r *Runtime) find(ctx context.Context, id pod.NodeID) (string, error) {
	c, err := r.inspect(ctx, r.containerName(id))
	switch {
	case errdefs.IsNotFound(err):
		return "", pod.ErrNotFound
	case err != nil:
		return "", err
	case !r.ours(c.Config.Labels, id):
		return "", pod.ErrNotFound
	}
	return c.ID, nil
}

// signal asks a container to end and waits at most grace. Engines count in
// whole seconds; the rest is ours, as removing kills.
func (r *Runtime) signal(ctx context.Context, id string, grace time.Duration) error {
	if grace <= 0 {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	seconds := int((grace + time.Second - 1) / time.Second)
	err := r.api.ContainerStop(within, id, container.StopOptions{Timeout: &seconds})
	switch {
	case errdefs.IsNotFound(err), errdefs.IsNotModified(err):
		return nil
	case within.Err() != nil && ctx.Err() == nil:
		return nil // its grace is over
	}
	return err
}

// remove kills and removes a container and its anonymous volumes. One that is
// gone, or that somebody else is removing, is no error.
func (r *Runtime) remove(ctx context.Context, id string) error {
	for {
		err := r.api.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, errdefs.IsNotFound(err):
			r.drop(id)
			return nil
		case !errdefs.IsConflict(err):
			return err
		}
		select {
		case <-time.After(removalPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
