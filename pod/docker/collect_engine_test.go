package docker_test

import (
	"io"
	"os"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// What a person pulled, tagged or runs is never removed, nor what a tag means
// now; what a tag that moved left behind is.
func TestCollectLeavesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	reg, repo := serveRegistry(t)
	add := func(tag, content string) {
		reg.add(t, tag, map[string][]byte{"app": binary, "content": []byte(content)})
	}
	b := open(t, shared)
	workload := func(ref string) pod.Workload {
		return request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = ref }).Workload
	}
	prepare := func(w pod.Workload) string {
		t.Helper()
		_, err := b.rt.Prepare(t.Context(), w, "", nil)
		require.NoError(t, err)
		found, err := b.api.ImageInspect(t.Context(), w.Image)
		require.NoError(t, err)
		return found.ID
	}
	collect := func(images []pod.Image, keep ...string) []pod.Collected {
		t.Helper()
		later := open(t, shared) // nobody asked it for an image a moment ago
		out, err := later.rt.Collect(t.Context(), images, keep)
		require.NoError(t, err)
		require.Len(t, out, len(images))
		return out
	}
	there := func(id string) bool {
		_, err := b.api.ImageInspect(t.Context(), id)
		return err == nil
	}
	remove := func(ref string) {
		_, err := b.api.ImageRemove(t.Context(), ref, image.RemoveOptions{})
		require.NoError(t, err)
	}

	// A person pulled it before: it is not ours, whatever we do with it.
	add("theirs", "theirs")
	stream, err := b.api.ImagePull(t.Context(), repo+":theirs", image.PullOptions{})
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, stream)
	require.NoError(t, err)
	require.NoError(t, stream.Close())
	w := workload(repo + ":theirs")
	w.Pull = pod.PullAlways
	theirs := prepare(w)
	assert.Empty(t, b.rt.Fetched())
	require.NoError(t, b.api.ImageTag(t.Context(), repo+":theirs", "kept-by-name:1"))
	reg.tags["again"] = reg.tags["theirs"]
	prepare(workload(repo + ":again"))
	assert.Empty(t, b.rt.Fetched(), "the content was there under another name")

	// A person gave it another name since, in the same repository or elsewhere.
	add("named", "named")
	id := prepare(workload(repo + ":named"))
	named := b.rt.Fetched()
	require.Len(t, named, 1)
	for _, other := range []string{"mine:1", repo + ":mine"} {
		require.NoError(t, b.api.ImageTag(t.Context(), repo+":named", other))
		assert.Contains(t, collect(named)[0].Kept, "it is also called "+other)
		remove(other)
	}
	require.NoError(t, b.api.ImageTag(t.Context(), repo+":named", "mine:1"))
	remove(repo + ":named")
	assert.Contains(t, collect(named)[0].Kept, "it is also called mine:1", "only a person's name is left")
	assert.True(t, there(id))
	remove("mine:1")
	assert.Empty(t, collect(named)[0].Kept)

	// The tag moved: what it means now is needed, what it meant is not.
	add("moving", "one")
	w = workload(repo + ":moving")
	w.Pull = pod.PullAlways
	first := prepare(w)
	n := b.start(request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = w.Image }))
	add("moving", "two")
	second := prepare(w)
	require.NotEqual(t, first, second)
	moved := b.rt.Fetched()[1:]
	require.Len(t, moved, 2)
	out := collect(moved, w.Image)
	assert.Contains(t, out[0].Kept, "container", "the engine says who uses it")
	assert.Equal(t, "it is needed as "+w.Image, out[1].Kept)
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, 0)))
	out = collect(moved, w.Image)
	assert.True(t, out[0].Removed)
	assert.False(t, there(first))
	assert.True(t, there(second))

	// By its digest it is the same image.
	found, err := b.api.ImageInspect(t.Context(), second)
	require.NoError(t, err)
	require.Len(t, found.RepoDigests, 1)
	assert.Equal(t, "it is needed as "+found.RepoDigests[0], collect(moved[1:], found.RepoDigests[0])[0].Kept)
	assert.True(t, collect(moved[1:])[0].Removed)
	assert.False(t, there(second))
	assert.True(t, there(theirs))
	removeImages(t, b, repo)
}
