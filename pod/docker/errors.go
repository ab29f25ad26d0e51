package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/elastipod/elastipod/pod"
)

// fail wraps an error with what was done, and with the sentinel that says that the
// engine did not answer where that is so.
func (r *Runtime) fail(ctx context.Context, err error, what string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errClosed) {
		err = errClosed
	}
	if unanswered(err) && !errors.Is(err, pod.ErrUnreachable) && !errors.Is(err, pod.ErrRegistry) {
		return fmt.Errorf("%s on host %s: %w: %w", what, r.host.Name, pod.ErrUnreachable, r.remedy(err))
	}
	return fmt.Errorf("%s on host %s: %w", what, r.host.Name, err)
}

// remedy adds what a person can do about an engine that did not answer, where
// that is not plain from the error.
func (r *Runtime) remedy(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (let the user that runs this program use the socket: add it to the group docker, and start the program anew)", err)
	case r.host.Address == "":
		return fmt.Errorf("%w (the host has no address, so the default socket is used; set one, or start the engine)", err)
	case strings.HasPrefix(r.host.Address, "unix://") && !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w (start the engine, or correct the host's address)", err)
	}
	return err
}

// unanswered says whether an error means that the engine did not answer.
func unanswered(err error) bool {
	return disconnected(err) || errdefs.IsUnavailable(err) && !errors.Is(err, context.Canceled)
}

// disconnected says whether an error is of the connection to the engine, so that
// the engine said nothing.
func disconnected(err error) bool {
	var netErr net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case client.IsErrConnectionFailed(err), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return errors.As(err, &netErr)
}
