package docker_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/pod"
)

// contentOf returns the id of the image that a node runs.
func (b *bench) contentOf(n pod.Node) string { return b.inspect(n).Image }

// idOf returns the id of an image on the engine.
func (b *bench) idOf(ref string) string {
	b.Helper()
	found, err := b.api.ImageInspect(b.Context(), ref)
	require.NoError(b, err)
	return found.ID
}

// A tag moves between the starts of two nodes of one revision, on two hosts: both
// run what the first one resolved.
func TestPinnedDigestWhenTheTagMoves(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	reg, repo := serveRegistry(t)
	add := func(content string) string {
		return reg.add(t, "1", map[string][]byte{"app": binary, "pinned-content": []byte(content)})
	}
	one := open(t, shared)
	two := open(t, dockertest.Start(t, dockertest.Options{}))
	defer one.clear(repo)
	ref := repo + ":1"
	node := func(name, digest string, policy pod.PullPolicy) pod.StartRequest {
		return request(name, "sleep", func(r *pod.StartRequest) {
			r.Workload.Image, r.Workload.Pull, r.Digest = ref, policy, digest
		})
	}
	prepare := func(b *bench, digest string, policy pod.PullPolicy) string {
		t.Helper()
		p, err := b.rt.Prepare(t.Context(), node("n", "", policy).Workload, digest, nil)
		require.NoError(t, err)
		return p.Digest
	}

	first := add("one")
	require.Equal(t, first, prepare(one, "", pod.PullAlways))
	second := add("two")
	require.NotEqual(t, first, second)
	reg.manifests()

	assert.Equal(t, first, prepare(two, first, pod.PullAlways))
	asked := reg.manifests()
	assert.Contains(t, asked, first)
	assert.NotContains(t, asked, "1", "the tag was asked for")
	n := two.start(node("n1", first, pod.PullAlways))
	assert.Equal(t, one.idOf(ref), two.contentOf(n), "what the first host resolved")
	c := two.inspect(n)
	assert.Equal(t, repo+"@"+first, c.Config.Image)

	assert.Equal(t, first, prepare(one, first, pod.PullAlways))
	m := one.start(node("n2", first, pod.PullAlways))
	assert.Equal(t, two.contentOf(n), one.contentOf(m))
	assert.Empty(t, reg.manifests(), "a copy on the host is enough")

	// A new revision resolves the tag anew; nodes of the old one stay pinned,
	// also where the tag means the new content on the host.
	assert.Equal(t, first, prepare(one, "", pod.PullMissing), "the host's own copy counts")
	assert.Equal(t, second, prepare(one, "", pod.PullAlways))
	k := one.start(node("n3", first, pod.PullAlways))
	assert.Equal(t, one.contentOf(m), one.contentOf(k))
	assert.NotEqual(t, one.idOf(ref), one.contentOf(k))
	l := one.start(node("n4", second, pod.PullAlways))
	assert.Equal(t, one.idOf(ref), one.contentOf(l))

	// A start fetches the pinned content by itself, where nothing was prepared.
	require.NoError(t, stopError(two.rt.Stop(t.Context(), n.ID, 0)))
	two.clear(repo)
	n = two.start(node("n5", first, pod.PullMissing))
	assert.Equal(t, one.contentOf(m), two.contentOf(n))
	_, err = two.api.ImageInspect(t.Context(), ref)
	assert.Error(t, err, "the tag was not fetched")

	_, err = two.rt.Prepare(t.Context(), node("n", "", pod.PullNever).Workload, second, nil)
	require.ErrorIs(t, err, pod.ErrImage)
	assert.ErrorContains(t, err, "the host lacks image "+ref+" with the content "+second+", and its pull policy is never")
	for _, wrong := range []string{"latest", "sha256:12", "md5:" + strings.Repeat("0", 32)} {
		_, err = two.rt.Start(t.Context(), node("n6", wrong, pod.PullMissing))
		assert.ErrorContains(t, err, "is not the digest of an image", wrong)
	}
}

// An image that was built on one host is pinned by its id, and runs on hosts that
// have it.
func TestPinnedImageThatIsInNoRegistry(t *testing.T) {
	t.Parallel()
	one := open(t, shared)
	two := open(t, dockertest.Start(t, dockertest.Options{}))
	const ref = "built-here:1"
	build := func(label string) {
		require.NoError(t, shared.Build(t.Context(), ref, "FROM "+probeImage+"\nLABEL content="+label+"\n", nil))
	}
	build("one")
	defer one.clear("built-here")
	w := request("n", "sleep", func(r *pod.StartRequest) { r.Workload.Image = ref }).Workload
	p, err := one.rt.Prepare(t.Context(), w, "", nil)
	require.NoError(t, err)
	id := one.idOf(ref)
	assert.Equal(t, "id:"+id, p.Digest)

	r := request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image, r.Digest = ref, p.Digest })
	_, err = two.rt.Prepare(t.Context(), w, p.Digest, nil)
	require.ErrorIs(t, err, pod.ErrImageElsewhere)
	assert.ErrorContains(t, err, "this host lacks image built-here:1 ("+id+"), which was built or loaded on another host and is in no registry; "+
		"push it to a registry, or load it on this host")
	_, err = two.rt.Start(t.Context(), r)
	require.ErrorIs(t, err, pod.ErrImageElsewhere)
	assert.Nil(t, two.find(r.ID))

	// It is loaded there, as the error says, and built anew here.
	saved, err := one.api.ImageSave(t.Context(), []string{ref})
	require.NoError(t, err)
	loaded, err := two.api.ImageLoad(t.Context(), saved)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, loaded.Body) // it is loaded once this is read
	require.NoError(t, err)
	require.NoError(t, loaded.Body.Close())
	require.NoError(t, saved.Close())
	assert.Equal(t, id, two.contentOf(two.start(r)))
	build("two")
	require.NotEqual(t, id, one.idOf(ref))
	n := one.start(r)
	assert.Equal(t, id, one.contentOf(n))
	assert.Equal(t, id, one.inspect(n).Config.Image)

	require.NoError(t, stopError(one.rt.Stop(t.Context(), n.ID, 0)))
	_, err = one.api.ImageRemove(t.Context(), id, image.RemoveOptions{Force: true})
	require.NoError(t, err)
}

// A registry that is busy or out of order is not one that lacks the image.
func TestRegistryThatDoesNotDeliver(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	reg, repo := serveRegistry(t)
	digest := reg.add(t, "1", map[string][]byte{"app": binary, "late": nil})
	b := open(t, shared)
	defer b.clear(repo)
	w := request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = repo + ":1" }).Workload
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		reg.setFail(status)
		for _, pinned := range []string{"", digest} {
			_, err = b.rt.Prepare(t.Context(), w, pinned, nil)
			require.ErrorIs(t, err, pod.ErrRegistry, "%d", status)
			require.NotErrorIs(t, err, pod.ErrImage)
			require.NotErrorIs(t, err, pod.ErrUnreachable, "the engine answers")
			assert.ErrorContains(t, err, "cannot be pulled")
		}
	}
	reg.setFail(http.StatusForbidden)
	_, err = b.rt.Prepare(t.Context(), w, "", nil)
	require.ErrorIs(t, err, pod.ErrImageDenied)
	reg.setFail(http.StatusNotFound)
	_, err = b.rt.Prepare(t.Context(), w, "", nil)
	require.ErrorIs(t, err, pod.ErrImage)
	reg.setFail(0)
	p, err := b.rt.Prepare(t.Context(), w, "", nil)
	require.NoError(t, err, "once it delivers")
	assert.Equal(t, digest, p.Digest)
}
