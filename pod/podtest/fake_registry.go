package podtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/elastipod/elastipod/pod"
)

// FakeRegistry is a registry in memory from which the hosts fetch that have it
// as their [FakeHost.Registry]. Every image exists there from the beginning,
// with the digest "sha256:" and its name, until Tag or Remove says otherwise.
type FakeRegistry struct {
	mu       sync.Mutex
	tags     map[string]string // digests by reference; empty: removed
	known    map[string]bool   // digests that a tag has meant
	err      error
	requests []string
}

// NewFakeRegistry returns a registry that has every image.
func NewFakeRegistry() *FakeRegistry {
	return &FakeRegistry{tags: map[string]string{}, known: map[string]bool{}}
}

// Tag makes a reference, such as "web:1", mean the content of that digest from
// now on. What it meant before can still be fetched by its digest.
func (r *FakeRegistry) Tag(ref, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags[ref], r.known[digest] = digest, true
}

// Remove removes a reference, so that fetching it fails with [pod.ErrImage]. A
// pinned reference ([pod.PinnedImage]) removes the content.
func (r *FakeRegistry) Remove(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags[ref] = ""
}

// Fail makes every fetch fail with err, until called with nil. It is typically
// [pod.ErrRegistry] or [pod.ErrImageDenied].
func (r *FakeRegistry) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Requests returns the references that hosts asked for so far, in order: what a
// workload names, or [pod.PinnedImage].
func (r *FakeRegistry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// get returns the digest of an image as the registry has it: that of its tag
// where digest is empty, else digest.
func (r *FakeRegistry) get(image, digest string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ref := pod.PinnedImage(image, digest)
	r.requests = append(r.requests, ref)
	if r.err != nil {
		return "", fmt.Errorf("image %s: %w", ref, r.err)
	}
	at, set := r.tags[ref]
	switch {
	case set && at == "", image == MissingImage:
		return "", fmt.Errorf("%w: the registry has no %s", pod.ErrImage, ref)
	case set:
		return at, nil
	case digest == "":
		return defaultDigest(image), nil
	case r.known[digest], strings.HasPrefix(digest, defaultDigest(imageName(image))):
		return digest, nil
	}
	return "", fmt.Errorf("%w: the registry has no %s", pod.ErrImage, ref)
}

// defaultDigest is the digest of an image that nothing was said about.
func defaultDigest(image string) string { return "sha256:" + image }

// imageName returns an image's name without its tag.
func imageName(image string) string {
	name, _, _ := strings.Cut(pod.PinnedImage(image, "x"), "@")
	return name
}
