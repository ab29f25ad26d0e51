package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"

	"github.com/elastipod/elastipod/pod"
)

// progressSpan is the least time between two calls of a progress function.
const progressSpan = 100 * time.Millisecond

// Prepare implements [pod.Preparer]: it pulls the image as the workload's policy
// says, or the content that the digest pins, and checks that the networks exist.
// The digest that it returns is the registry's of the image's repository, or the
// image's own id where it came from no registry.
func (r *Runtime) Prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	return call(ctx, r, "prepare "+cmp.Or(w.Image, "a workload"), func(ctx context.Context) (pod.Prepared, error) {
		return r.prepare(ctx, w, digest, progress)
	})
}

func (r *Runtime) prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	if err := supported(w); err != nil {
		return pod.Prepared{}, err
	}
	ref, err := pinned(w.Image, digest)
	if err != nil {
		return pod.Prepared{}, err
	}
	for _, n := range w.Networks {
		if _, err := r.api.NetworkInspect(ctx, n, network.InspectOptions{}); errdefs.IsNotFound(err) {
			return pod.Prepared{}, fmt.Errorf("%w: network %s does not exist; make it with docker network create", pod.ErrUnsupported, n)
		} else if err != nil {
			return pod.Prepared{}, err
		}
	}
	if err := r.images.want(ctx, ref); err != nil {
		return pod.Prepared{}, err
	}
	found, err := r.resolve(ctx, w, digest, ref, progress)
	switch {
	case errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err):
		return pod.Prepared{}, fmt.Errorf("%w: %w", pod.ErrImage, err)
	case err != nil:
		return pod.Prepared{}, err
	}
	r.images.wanted(found.ID)
	if digest == "" {
		digest = digestOf(w.Image, found)
	}
	return pod.Prepared{Digest: digest}, nil
}

// resolve returns the image that a reference means on the host, fetching it as
// the workload's policy says, or where it is pinned and not there.
func (r *Runtime) resolve(ctx context.Context, w pod.Workload, digest, ref string, progress func(pod.Progress)) (image.InspectResponse, error) {
	if digest != "" || w.Pull != pod.PullAlways {
		found, err := r.api.ImageInspect(ctx, ref)
		if err == nil || !errdefs.IsNotFound(err) {
			return found, err
		}
		if err := mayFetch(w, digest); err != nil {
			return found, err
		}
	}
	return r.fetch(ctx, ref, progress)
}

// mayFetch refuses to fetch an image that the host lacks where its policy forbids
// it, or where no registry has it.
func mayFetch(w pod.Workload, digest string) error {
	switch {
	case pod.PinnedByID(digest):
		return fmt.Errorf("%w: this host lacks image %s (%s), which was built or loaded on another host and is in no registry; "+
			"push it to a registry, or load it on this host", pod.ErrImageElsewhere, w.Image, pod.PinnedImage(w.Image, digest))
	case w.Pull == pod.PullNever && digest != "":
		return fmt.Errorf("%w: the host lacks image %s with the content %s, and its pull policy is never", pod.ErrImage, w.Image, digest)
	case w.Pull == pod.PullNever:
		return fmt.Errorf("%w: image %s is not on the host, and its pull policy is never", pod.ErrImage, w.Image)
	}
	return nil
}

// pinned returns the reference by which the engine knows an image that a digest
// pins; the image itself where the digest is empty.
func pinned(ref, digest string) (string, error) {
	at := pod.PinnedImage(ref, digest)
	if digest != "" && !pod.PinnedByID(digest) {
		named, err := reference.ParseNormalizedNamed(at)
		if _, ok := named.(reference.Canonical); err != nil || !ok {
			return "", fmt.Errorf("%.100q is not the digest of an image", digest)
		}
	}
	return at, nil
}

// obtain gets the image that creating a container missed.
func (r *Runtime) obtain(ctx context.Context, w pod.Workload, digest string, missing error) error {
	ref := pod.PinnedImage(w.Image, digest)
	if _, err := r.api.ImageInspect(ctx, ref); err == nil {
		return missing // something else was not found
	}
	if err := mayFetch(w, digest); err != nil {
		return err
	}
	_, err := r.fetch(ctx, ref, nil)
	return err
}

// digestOf returns what pins an image: its digest in its repository, or its id
// where it has none there.
func digestOf(ref string, found image.InspectResponse) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if digested, ok := named.(reference.Canonical); err == nil && ok {
		return digested.Digest().String() // the reference itself says it
	}
	if err == nil {
		for _, d := range found.RepoDigests {
			other, err := reference.ParseNormalizedNamed(d)
			if digested, ok := other.(reference.Canonical); err == nil && ok && other.Name() == named.Name() {
				return digested.Digest().String()
			}
		}
	}
	return "id:" + found.ID
}

// fetch pulls an image and notes whether that brought it to the host.
func (r *Runtime) fetch(ctx context.Context, ref string, progress func(pod.Progress)) (found image.InspectResponse, err error) {
	list, err := r.api.ImageList(ctx, image.ListOptions{All: true})
	if err != nil {
		return found, err
	}
	if err := r.pull(ctx, ref, progress); err != nil {
		return found, err
	}
	if found, err = r.api.ImageInspect(ctx, ref); err != nil {
		return found, err
	}
	was := slices.ContainsFunc(list, func(i image.Summary) bool { return i.ID == found.ID })
	r.images.add(pod.Image{Name: ref, ID: found.ID, Size: found.Size}, !was)
	return found, nil
}

// pull fetches an image. What the registry or the engine says is in the error.
func (r *Runtime) pull(ctx context.Context, ref string, progress func(pod.Progress)) error {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", pod.ErrImage, ref, err)
	}
	auth, err := r.registryAuth(reference.Domain(named))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", pod.ErrImageDenied, ref, err)
	}
	r.log.Info("pulling image", "image", ref)
	stream, err := r.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err == nil {
		err = readPull(stream, ref, progress)
		err = errors.Join(err, stream.Close())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: %s was not pulled in time: %w", pod.ErrRegistry, ref, ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return pullError(named, ref, err)
}

// registryAuth returns the credentials of a registry in the engine's encoding,
// reading the password where it lies; empty when there are none.
func (r *Runtime) registryAuth(domain string) (string, error) {
	auth, ok := r.host.Registries[domain]
	if !ok && domain == "docker.io" {
		auth, ok = r.host.Registries["index.docker.io"]
	}
	if !ok {
		return "", nil
	}
	var password string
	if auth.PasswordFile != "" {
		content, err := os.ReadFile(auth.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password of registry %s: %w", domain, err)
		}
		password = strings.TrimRight(string(content), "\r\n")
	} else {
		if password, ok = os.LookupEnv(auth.PasswordEnv); !ok {
			return "", fmt.Errorf("password of registry %s: %s is not set in the environment", domain, auth.PasswordEnv)
		}
	}
	return registry.EncodeAuthConfig(registry.AuthConfig{Username: auth.Username, Password: password, ServerAddress: domain})
}

// readPull reads what an engine says during a pull, to its end.
func readPull(stream io.Reader, ref string, progress func(pod.Progress)) error {
	layers := layerSums{}
	var told time.Time
	tell := func() {
		if progress != nil {
			told = time.Now()
			progress(layers.progress(ref))
		}
	}
	tell()
	decoder := json.NewDecoder(stream)
	for {
		var m struct {
			jsonmessage.JSONMessage
			Said string `json:"error"` // all that some engines say of an error
		}
		switch err := decoder.Decode(&m); {
		case errors.Is(err, io.EOF):
			tell()
			return nil
		case err != nil:
			return err
		case m.Error != nil:
			return errors.New(cmp.Or(m.Error.Message, m.Said, "the engine does not say why"))
		case m.Said != "":
			return errors.New(m.Said)
		}
		if layers.add(m.JSONMessage) && time.Since(told) >= progressSpan {
			tell()
		}
	}
}

// maxLayer is above the bytes of any layer.
const maxLayer = 1 << 45

// layerSums adds up the download of an image's layers.
type layerSums map[string]struct{ done, total int64 }

func (l layerSums) add(m jsonmessage.JSONMessage) bool {
	switch {
	case m.ID == "":
		return false
	case m.Status == "Downloading" && m.Progress != nil && m.Progress.Total > 0 && m.Progress.Total <= maxLayer:
		l[m.ID] = struct{ done, total int64 }{min(max(0, m.Progress.Current), m.Progress.Total), m.Progress.Total}
	case m.Status == "Download complete", m.Status == "Pull complete":
		layer := l[m.ID]
		layer.done = layer.total
		l[m.ID] = layer
	default:
		return false
	}
	return true
}

func (l layerSums) progress(ref string) pod.Progress {
	p := pod.Progress{Message: "pulling " + ref}
	for _, layer := range l {
		p.Done += layer.done
		p.Total += layer.total
	}
	return p
}
