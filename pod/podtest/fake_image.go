package podtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// fakeImage is an image on a [FakeHost].
type fakeImage struct {
	digest string   // as [pod.Prepared] has it
	name   string   // by which it was fetched or added
	tags   []string // what means it on the host
}

// id is what the host calls the image's content.
func (i *fakeImage) id() string { return contentID(i.digest) }

func contentID(digest string) string {
	if pod.PinnedByID(digest) {
		return pod.PinnedImage("", digest)
	}
	return digest
}

// FakeImageSize is the size of every image on a [FakeHost], in bytes.
const FakeImageSize = 100 << 20

// SetImage makes a reference mean the content of that digest on the host, as
// when somebody pulled, tagged, built or loaded it there: "id:sha256:…" is an
// image that comes from no registry. What it meant before stays on the host
// without that name. No registry learns of it.
func (h *FakeHost) SetImage(ref, digest string) {
	h.set(func() { h.tag(ref, digest) })
}

// RemoveImage removes an image, as when somebody else did. Nodes go on.
func (h *FakeHost) RemoveImage(name string) {
	h.set(func() {
		if i := h.named(name); i != nil {
			delete(h.images, i.id())
		}
	})
}

// SetCollectDelay sets how long each Collect takes from now on.
func (h *FakeHost) SetCollectDelay(d time.Duration) { h.set(func() { h.collectDelay = d }) }

// Images returns the names of the images on the host, by which they were
// fetched or added, sorted.
func (h *FakeHost) Images() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, i := range h.images {
		names = append(names, i.name)
	}
	slices.Sort(names)
	return names
}

// Digest returns the digest of the content that a node runs: what its start was
// given, or what the name of its image meant then. It is empty where there is no
// such node, or where it has no image.
func (h *FakeHost) Digest(id pod.NodeID) string {
	var digest string
	h.each(id, func(n *fakeNode) { digest = n.digest })
	return digest
}

// named returns the image that a tag means on the host, or that was fetched by
// that name and has none any more. h.mu is held.
func (h *FakeHost) named(name string) *fakeImage {
	if i := h.tagged(name); i != nil {
		return i
	}
	for _, i := range h.images {
		if i.name == name {
			return i
		}
	}
	return nil
}

// tagged returns the image that a tag means on the host. h.mu is held.
func (h *FakeHost) tagged(ref string) *fakeImage {
	for _, i := range h.images {
		if slices.Contains(i.tags, ref) {
			return i
		}
	}
	return nil
}

// tag makes a reference mean that content, which is put on the host where it is
// not there. h.mu is held.
func (h *FakeHost) tag(ref, digest string) {
	if old := h.tagged(ref); old != nil {
		old.tags = slices.DeleteFunc(old.tags, func(t string) bool { return t == ref })
	}
	i := h.images[contentID(digest)]
	if i == nil {
		i = &fakeImage{digest: digest, name: ref}
		h.images[i.id()] = i
	}
	i.tags = append(i.tags, ref)
}

// obtain makes sure that an image is on the host, by its tag or pinned by a
// digest, and returns its digest. host.mu is held.
func (f *Fake) obtain(w pod.Workload, digest string, always bool) (string, error) {
	h := f.host
	var i *fakeImage
	if digest != "" {
		i = h.images[contentID(digest)]
	} else if !always {
		i = h.tagged(w.Image)
	}
	if i == nil {
		ref := pod.PinnedImage(w.Image, digest)
		switch {
		case pod.PinnedByID(digest):
			return "", fmt.Errorf("%w: this host lacks image %s (%s); push it to a registry, or load it on this host", pod.ErrImageElsewhere, w.Image, ref)
		case w.Pull == pod.PullNever:
			return "", fmt.Errorf("%w: image %s is not on the host, and its pull policy is never", pod.ErrImage, ref)
		}
		var err error
		if i, err = f.fetch(w.Image, digest); err != nil {
			return "", err
		}
	}
	f.needed[i.id()] = time.Now()
	return i.digest, nil
}

// fetch gets an image from the registry. host.mu is held.
func (f *Fake) fetch(image, digest string) (*fakeImage, error) {
	h, ref := f.host, pod.PinnedImage(image, digest)
	got, err := h.Registry.get(image, digest)
	if err != nil {
		return nil, err
	}
	i := h.images[contentID(got)]
	ours := i == nil || slices.ContainsFunc(f.fetched, func(o pod.Image) bool { return o.ID == i.id() })
	if i == nil {
		i = &fakeImage{digest: got, name: ref}
		h.images[i.id()] = i
	}
	if digest == "" && !slices.Contains(i.tags, ref) {
		h.tag(ref, got)
	}
	made := pod.Image{Name: ref, ID: i.id(), Size: FakeImageSize}
	if ours && !slices.Contains(f.fetched, made) {
		f.fetched = append(f.fetched, made)
	}
	return i, nil
}

var errNothingPinned = fmt.Errorf("%w: the workload has no image that a digest could pin", pod.ErrUnsupported)

// MissingImage is an image that no fake registry has: Prepare and Start return
// [pod.ErrImage].
const MissingImage = "missing"

// Prepare implements [pod.Preparer].
func (f *Fake) Prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	return do(ctx, f, FakeCall{Op: "prepare", Image: w.Image, Digest: digest}, func() (pod.Prepared, error) {
		return f.prepare(ctx, w, digest, progress)
	})
}

func (f *Fake) prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (p pod.Prepared, err error) {
	h := f.host
	h.mu.Lock()
	hung := h.prepareHung
	h.mu.Unlock()
	if hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
			return p, ctx.Err()
		case <-f.life.Done():
			return p, errFakeClosed
		}
	}
	h.mu.Lock()
	switch {
	case h.unreachable:
		err = pod.ErrUnreachable
	case h.prepareErr != nil:
		err = h.prepareErr
	case w.Image != "":
		p.Digest, err = f.obtain(w, digest, w.Pull == pod.PullAlways)
	case digest != "":
		err = errNothingPinned
	}
	h.mu.Unlock()
	if err == nil && progress != nil {
		progress(pod.Progress{Message: "preparing", Done: 1, Total: 1})
	}
	return p, err
}

// Fetched implements [pod.Collector].
func (f *Fake) Fetched() []pod.Image {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	return slices.Clone(f.fetched)
}

// Collect implements [pod.Collector].
func (f *Fake) Collect(ctx context.Context, images []pod.Image, keep []string) ([]pod.Collected, error) {
	return do(ctx, f, FakeCall{Op: "collect"}, func() ([]pod.Collected, error) {
		var delay time.Duration
		f.host.set(func() { delay = f.host.collectDelay })
		if err := sleep(ctx, delay, nil); err != nil {
			return nil, err
		}
		return f.collect(images, keep), nil
	})
}

func (f *Fake) collect(images []pod.Image, keep []string) []pod.Collected {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	var out []pod.Collected
	for _, i := range images {
		c := pod.Collected{Image: i}
		if there := f.host.images[i.ID]; there != nil {
			c.Kept = f.keptImage(there, images, keep)
			c.Removed = c.Kept == ""
		}
		if c.Kept == "" {
			delete(f.host.images, i.ID)
			f.fetched = slices.DeleteFunc(f.fetched, func(other pod.Image) bool { return other.ID == i.ID })
		}
		out = append(out, c)
	}
	return out
}

// keptImage says why an image stays. host.mu is held.
func (f *Fake) keptImage(i *fakeImage, ours []pod.Image, keep []string) string {
	for _, name := range keep {
		_, pinned, _ := strings.Cut(name, "@")
		if name == i.id() || pinned == i.digest || slices.Contains(i.tags, name) {
			return "it is needed as " + name
		}
	}
	for _, n := range f.host.nodes {
		if n.digest != "" && contentID(n.digest) == i.id() {
			return "a node uses it"
		}
	}
	for _, tag := range i.tags {
		if !slices.ContainsFunc(ours, func(o pod.Image) bool { return o.ID == i.id() && o.Name == tag }) {
			return "it is also called " + tag
		}
	}
	if at, ok := f.needed[i.id()]; ok && time.Since(at) < pod.RecentlyNeeded {
		return "it was asked for a moment ago"
	}
	return ""
}
