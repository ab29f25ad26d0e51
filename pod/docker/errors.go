package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/elastipod/elastipod/pod"
)

// fail wraps an error with what was done to what, and with the sentinel that
// says that the engine did not answer where that is so.
func (r *Runtime) fail(ctx context.Context, err error, op, object string) error {
	if err == nil {
		return nil
	}
	if object != "" {
		op += " " + object
	}
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errClosed) {
		err = errClosed
	}
	if unanswered(err) && !errors.Is(err, pod.ErrUnreachable) {
		if r.host.Address == "" {
			err = fmt.Errorf("%w (the host has no address, so the default socket is used; set one, or start the engine)", err)
		}
		return fmt.Errorf("%s on host %s: %w: %w", op, r.host.Name, pod.ErrUnreachable, err)
	}
	return fmt.Errorf("%s on host %s: %w", op, r.host.Name, err)
}

// unanswered says whether an error means that the engine did not answer.
func unanswered(err error) bool {
	var netErr net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case client.IsErrConnectionFailed(err), errors.Is(err, context.DeadlineExceeded), errdefs.IsUnavailable(err):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return errors.As(err, &netErr)
}
