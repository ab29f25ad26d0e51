package docker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"

	"github.com/elastipod/elastipod/pod"
)

// Fetched implements [pod.Collector].
func (r *Runtime) Fetched() []pod.Image { return r.images.all() }

// Collect implements [pod.Collector]. It removes by the id of the content and
// without force, so that the engine itself refuses what a container uses, and
// what was given another name in the meantime.
func (r *Runtime) Collect(ctx context.Context, images []pod.Image, keep []string) ([]pod.Collected, error) {
	return call(ctx, r, "collect images", func(ctx context.Context) (out []pod.Collected, err error) {
		for _, i := range images {
			c, err := r.collect(ctx, i, images, keep)
			if err != nil {
				return out, fmt.Errorf("image %s: %w", i.Name, err)
			}
			out = append(out, c)
		}
		return out, nil
	})
}

// collect removes an image, one of several that are ours, unless it is needed.
func (r *Runtime) collect(ctx context.Context, i pod.Image, ours []pod.Image, keep []string) (pod.Collected, error) {
	kept := func(why string) (pod.Collected, error) { return pod.Collected{Image: i, Kept: why}, nil }
	found, err := r.api.ImageInspect(ctx, i.ID)
	switch {
	case errdefs.IsNotFound(err):
		r.images.forget(i.ID)
		return kept("")
	case err != nil:
		return pod.Collected{}, err
	}
	if name := neededAs(found, keep); name != "" {
		return kept("it is needed as " + name)
	}
	names := []string{i.Name}
	for _, o := range ours {
		if o.ID == i.ID {
			names = append(names, o.Name)
		}
	}
	if other := otherName(found, names); other != "" {
		return kept("it is also called " + other)
	}
	removed, ok := r.images.remove(i.ID, slices.Concat(names, found.RepoTags, found.RepoDigests))
	if !ok {
		return kept("it was asked for a moment ago")
	}
	_, err = r.api.ImageRemove(ctx, i.ID, image.RemoveOptions{})
	removed(err == nil || errdefs.IsNotFound(err))
	switch {
	case errdefs.IsNotFound(err):
		return kept("")
	case errdefs.IsConflict(err):
		return kept(err.Error())
	case err != nil:
		return pod.Collected{}, err
	}
	r.log.Info("removed image", "image", i.Name, "id", i.ID, "bytes", i.Size)
	return pod.Collected{Image: i, Removed: true}, nil
}

// neededAs returns the one of some references that means this image on its host: a
// tag, a digest, or an id, also a short one.
func neededAs(found image.InspectResponse, refs []string) string {
	for _, ref := range refs {
		_, digest, pinned := strings.Cut(ref, "@")
		id := "sha256:" + strings.TrimPrefix(ref, "sha256:")
		switch {
		case pinned && (digest == found.ID || slices.ContainsFunc(found.RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+digest) })),
			len(ref) >= 12 && strings.HasPrefix(found.ID, id),
			slices.ContainsFunc(found.RepoTags, func(tag string) bool { return nameKey(tag) == nameKey(ref) }):
			return ref
		}
	}
	return ""
}

// otherName returns a name of an image that is none of those it was fetched by;
// empty when there is none. A digest is one that the fetch of a tag left.
func otherName(found image.InspectResponse, names []string) string {
	for _, tag := range found.RepoTags {
		if !slices.ContainsFunc(names, func(name string) bool { return nameKey(name) == nameKey(tag) }) {
			return tag
		}
	}
	for _, d := range found.RepoDigests {
		if !slices.ContainsFunc(names, func(name string) bool { return repository(name) == repository(d) }) {
			return d
		}
	}
	return ""
}

// repository returns the name in full of the repository that an image is in.
func repository(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return named.Name()
}

// nameKey returns a name in full, so that two ways to write it are one. An id
// stays as it is.
func nameKey(name string) string {
	if strings.HasPrefix(name, "sha256:") {
		return name
	}
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.TagNameOnly(named).String()
}

// imageUse knows which images were fetched, and keeps those from being removed
// that somebody is about to use. The zero value is ready.
type imageUse struct {
	mu       sync.Mutex
	fetched  []pod.Image
	needed   map[string]time.Time // by name in full, or by id
	removing []string             // names in full, and the id, of the image that is being removed
	removed  chan struct{}        // closed when that is over
}

func (u *imageUse) all() []pod.Image {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.fetched)
}

// forget says that an image is gone.
func (u *imageUse) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fetched = slices.DeleteFunc(u.fetched, func(f pod.Image) bool { return f.ID == id })
}

// add notes a fetch that brought an image to the host, or gave another name to what
// an earlier one brought.
func (u *imageUse) add(i pod.Image, isNew bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ours := slices.ContainsFunc(u.fetched, func(f pod.Image) bool { return f.ID == i.ID })
	if !isNew && !ours {
		return
	}
	u.mark(i.ID)
	if !slices.Contains(u.fetched, i) {
		u.fetched = append(u.fetched, i)
	}
}

// want says that an image is about to be used, and waits where it is being
// removed just now.
func (u *imageUse) want(ctx context.Context, name string) error {
	name = nameKey(name)
	for {
		u.mu.Lock()
		u.mark(name)
		wait := u.removed
		busy := slices.Contains(u.removing, name)
		u.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return fmt.Errorf("image %s is being removed: %w", name, ctx.Err())
		}
	}
}

// wanted says that the content of that id is about to be used.
func (u *imageUse) wanted(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mark(id)
}

// mark notes a use, and forgets old ones; mu is held.
func (u *imageUse) mark(key string) {
	if u.needed == nil {
		u.needed = map[string]time.Time{}
	}
	maps.DeleteFunc(u.needed, func(_ string, at time.Time) bool { return time.Since(at) >= pod.RecentlyNeeded })
	u.needed[key] = time.Now()
}

// remove begins the removal of the image that has these names, unless it was
// asked for a moment ago. The function ends it, and says whether the image is
// gone.
func (u *imageUse) remove(id string, names []string) (func(gone bool), bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	keys := []string{id}
	for _, name := range names {
		keys = append(keys, nameKey(name))
	}
	for _, key := range keys {
		if at, ok := u.needed[key]; ok && time.Since(at) < pod.RecentlyNeeded {
			return nil, false
		}
	}
	if u.removing != nil {
		return nil, false // by another call, which is as good
	}
	u.removing, u.removed = keys, make(chan struct{})
	return func(gone bool) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if gone {
			u.fetched = slices.DeleteFunc(u.fetched, func(f pod.Image) bool { return f.ID == id })
		}
		u.removing = nil
		close(u.removed)
	}, true
}
