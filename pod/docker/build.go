package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"

	"github.com/elastipod/elastipod/pod"
)

// BuildImage builds the image ref on the host's engine, unless it is there,
// from the tar that content writes: a Dockerfile and what it copies. It is for
// programs that bring their own image instead of a registry. It wraps
// [pod.ErrUnreachable] when the engine did not answer; where the engine could not
// build, the error is the engine's own. Each alias is then another name of the image.
func BuildImage(ctx context.Context, h pod.Host, ref string, content func(io.Writer) error, aliases ...string) error {
	api, conns, err := connect(h)
	if err != nil {
		return fmt.Errorf("build image %s on host %s: %w: %w", ref, h.Name, pod.ErrUnreachable, err)
	}
	defer conns.close()
	defer api.Close()
	switch _, err := api.ImageInspect(ctx, ref); {
	case errdefs.IsNotFound(err):
		if err := buildImage(ctx, api, ref, content); err != nil {
			return fmt.Errorf("build image %s on host %s: %w", ref, h.Name, err)
		}
	case err != nil:
		return fmt.Errorf("build image %s on host %s: %w: %w", ref, h.Name, pod.ErrUnreachable, err)
	}
	for _, alias := range aliases {
		if err := api.ImageTag(ctx, ref, alias); err != nil {
			return fmt.Errorf("tag image %s as %s on host %s: %w: %w", ref, alias, h.Name, pod.ErrUnreachable, err)
		}
	}
	return nil
}

func buildImage(ctx context.Context, api *client.Client, ref string, content func(io.Writer) error) error {
	r, w := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		w.CloseWithError(content(w))
	}()
	defer func() {
		r.CloseWithError(context.Canceled)
		<-sent
	}()
	answer, err := api.ImageBuild(ctx, r, build.ImageBuildOptions{Tags: []string{ref}, Remove: true, ForceRemove: true})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for d := json.NewDecoder(answer.Body); ; {
		var line struct{ Error string }
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", pod.ErrUnreachable, err)
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}
