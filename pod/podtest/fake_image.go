package podtest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// fakeImage is an image on a [FakeHost].
type fakeImage struct {
	names []string // the first is the one it was fetched or added by
}

// FakeImageSize is the size of every image on a [FakeHost], in bytes.
const FakeImageSize = 100 << 20

// AddImage puts an image on the host that no runtime fetched.
func (h *FakeHost) AddImage(name string) {
	h.set(func() { h.images[name] = &fakeImage{names: []string{name}} })
}

// NameImage gives an image that is there another name.
func (h *FakeHost) NameImage(name, other string) {
	h.set(func() {
		if i := h.images[name]; i != nil {
			i.names = append(i.names, other)
		}
	})
}

// RemoveImage removes an image, as when somebody else did. Nodes go on.
func (h *FakeHost) RemoveImage(name string) { h.set(func() { delete(h.images, name) }) }

// SetCollectDelay sets how long each Collect takes from now on.
func (h *FakeHost) SetCollectDelay(d time.Duration) { h.set(func() { h.collectDelay = d }) }

// Images returns the names of the images on the host, by which they were
// fetched or added, sorted.
func (h *FakeHost) Images() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.images))
}

// fetch makes an image be on the host, and needed.
func (f *Fake) fetch(name string) { f.host.set(func() { f.fetchLocked(name) }) }

func (f *Fake) fetchLocked(name string) {
	h := f.host
	if h.images[name] == nil {
		h.images[name] = &fakeImage{names: []string{name}}
		if i := fakeImageOf(name); !slices.Contains(f.fetched, i) {
			f.fetched = append(f.fetched, i)
		}
	}
	if f.needed == nil {
		f.needed = map[string]time.Time{}
	}
	f.needed[name] = time.Now()
}

func fakeImageOf(name string) pod.Image {
	return pod.Image{Name: name, ID: "sha256:" + name, Size: FakeImageSize}
}

// Fetched implements [pod.Collector].
func (f *Fake) Fetched() []pod.Image {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	return slices.Clone(f.fetched)
}

// Collect implements [pod.Collector].
func (f *Fake) Collect(ctx context.Context, images []pod.Image, keep []string) ([]pod.Collected, error) {
	done, err := f.begin(ctx, FakeCall{Op: "collect"})
	if err != nil {
		return nil, err
	}
	var delay time.Duration
	f.host.set(func() { delay = f.host.collectDelay })
	if err := sleep(ctx, delay); err != nil {
		return nil, done(err)
	}
	return f.collect(images, keep), done(nil)
}

func (f *Fake) collect(images []pod.Image, keep []string) []pod.Collected {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	var out []pod.Collected
	for _, i := range images {
		c := pod.Collected{Image: i}
		if f.host.images[i.Name] != nil {
			c.Kept = f.keptImage(i.Name, keep)
			c.Removed = c.Kept == ""
		}
		if c.Removed {
			delete(f.host.images, i.Name)
		}
		if c.Kept == "" {
			f.fetched = slices.DeleteFunc(f.fetched, func(other pod.Image) bool { return other == i })
		}
		out = append(out, c)
	}
	return out
}

// keptImage says why an image stays; host.mu is held.
func (f *Fake) keptImage(name string, keep []string) string {
	i := f.host.images[name]
	for _, n := range i.names {
		if slices.Contains(keep, n) {
			return "it is needed as " + n
		}
	}
	for _, n := range f.host.nodes {
		if slices.Contains(i.names, n.request.Workload.Image) {
			return "a node uses it"
		}
	}
	switch {
	case len(i.names) > 1:
		return "it is also called " + i.names[1]
	}
	if at, ok := f.needed[name]; ok && time.Since(at) < pod.RecentlyNeeded {
		return "it was asked for a moment ago"
	}
	return ""
}
