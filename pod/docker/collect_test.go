package docker

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// pulls makes the engine get every image that is asked for; the id is the name's
// with "sha256:" before it.
func (e *fakeEngine) pulls() {
	e.pull = func(ref string, _ image.PullOptions) (io.ReadCloser, error) {
		e.images[ref] = image.InspectResponse{ID: "sha256:" + ref, RepoTags: []string{ref}, Size: 7}
		return io.NopCloser(strings.NewReader("")), nil
	}
}

func imageWorkload(name string) pod.Workload {
	return startRequest(func(r *pod.StartRequest) { r.Workload.Image = name }).Workload
}

// A start that needs the image that is being removed waits and fetches it again;
// others do not wait.
func TestStartWaitsForTheRemovalOfItsOwnImageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		e.pulls()
		r := e.open(t)
		for _, name := range []string{"old", "new"} {
			_, err := r.Prepare(t.Context(), imageWorkload(name), "", nil)
			require.NoError(t, err)
		}
		time.Sleep(pod.RecentlyNeeded)
		e.before = func(_ context.Context, call string) error {
			if call == "remove image" {
				time.Sleep(5 * time.Second)
			}
			return nil
		}
		collected := make(chan []pod.Collected)
		go func() {
			out, err := r.Collect(context.Background(), r.Fetched(), []string{"new"})
			assert.NoError(t, err)
			collected <- out
		}()
		time.Sleep(time.Second)
		begun := time.Now()
		start := func(node, name string) error {
			_, err := r.Start(t.Context(), startRequest(func(q *pod.StartRequest) { q.ID.Name, q.Workload.Image = node, name }))
			return err
		}
		require.NoError(t, start("n1", "new"))
		assert.Zero(t, time.Since(begun), "of another image")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Prepare(short, imageWorkload("old"), "", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, start("n2", "old"))
		assert.Equal(t, 4*time.Second, time.Since(begun))
		out := <-collected
		require.Len(t, out, 2)
		assert.True(t, out[0].Removed)
		assert.Equal(t, "it is needed as new", out[1].Kept)
		assert.Contains(t, e.images, "old", "it was fetched again")
		assert.Len(t, r.Fetched(), 2)
	})
}

func TestCollectStopsWhereTheEngineFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		e.pulls()
		r := e.open(t)
		for _, name := range []string{"a", "b", "c"} {
			_, err := r.Prepare(t.Context(), imageWorkload(name), "", nil)
			require.NoError(t, err)
		}
		time.Sleep(pod.RecentlyNeeded)
		var removals atomic.Int32
		e.before = func(_ context.Context, call string) error {
			if call == "remove image" && removals.Add(1) == 2 {
				return errors.New("input/output error")
			}
			return nil
		}
		out, err := r.Collect(t.Context(), r.Fetched(), nil)
		require.ErrorContains(t, err, "collect images on host h: image b: input/output error")
		require.Len(t, out, 1)
		assert.True(t, out[0].Removed)
		left := r.Fetched()
		require.Len(t, left, 2, "what failed is tried again")
		out, err = r.Collect(t.Context(), left, nil)
		require.NoError(t, err)
		assert.True(t, out[0].Removed && out[1].Removed)
		assert.Empty(t, r.Fetched())
		assert.Equal(t, []string{"app"}, []string{onlyKey(t, e.images)}, "what was there before stays")
	})
}

func onlyKey(t *testing.T, images map[string]image.InspectResponse) string {
	t.Helper()
	require.Len(t, images, 1)
	for name := range images {
		return name
	}
	return ""
}

// A name in keep that cannot be asked about stops everything: what it means
// might be among the images.
func TestCollectRemovesNothingWhileItCannotAskWhatIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		e.pulls()
		r := e.open(t)
		_, err := r.Prepare(t.Context(), imageWorkload("a"), "", nil)
		require.NoError(t, err)
		time.Sleep(pod.RecentlyNeeded)
		e.before = func(_ context.Context, call string) error {
			if call == "image" {
				return context.DeadlineExceeded
			}
			return nil
		}
		out, err := r.Collect(t.Context(), r.Fetched(), []string{"other"})
		require.ErrorIs(t, err, pod.ErrUnreachable)
		assert.Empty(t, out)
		assert.Contains(t, e.images, "a")
	})
}

// hasDigest makes the engine get an image by its tag and by its digest.
func (e *fakeEngine) hasDigest(digest string) {
	e.pull = func(string, image.PullOptions) (io.ReadCloser, error) {
		i := image.InspectResponse{ID: "sha256:" + digest[7:], RepoTags: []string{"web:1"}, RepoDigests: []string{"web@" + digest}, Size: 7}
		e.images["web:1"], e.images["web@"+digest] = i, i
		return io.NopCloser(strings.NewReader("")), nil
	}
}

// An image that was fetched by its tag is not removed under a start that pins it.
func TestPinnedStartWaitsForTheRemovalOfItsImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		digest := "sha256:" + strings.Repeat("ab", 32)
		e := newFakeEngine()
		e.hasDigest(digest)
		r := e.open(t)
		p, err := r.Prepare(t.Context(), imageWorkload("web:1"), "", nil)
		require.NoError(t, err)
		require.Equal(t, digest, p.Digest)
		fetched := r.Fetched()
		require.Len(t, fetched, 1)
		time.Sleep(pod.RecentlyNeeded)
		start := func(name string) {
			t.Helper()
			_, err := r.Start(t.Context(), startRequest(func(q *pod.StartRequest) {
				q.ID.Name, q.Workload.Image, q.Workload.Pull, q.Digest = name, "web:1", pod.PullAlways, digest
			}))
			require.NoError(t, err)
		}
		e.before = func(_ context.Context, call string) error {
			if call == "remove image" {
				time.Sleep(5 * time.Second)
			}
			return nil
		}
		removed := make(chan bool)
		go func() {
			out, err := r.Collect(context.Background(), fetched, nil)
			assert.NoError(t, err)
			removed <- out[0].Removed
		}()
		time.Sleep(time.Second)
		begun := time.Now()
		start("n1")
		assert.Equal(t, 4*time.Second, time.Since(begun))
		assert.True(t, <-removed)
		assert.Equal(t, "web@"+digest, r.Fetched()[0].Name, "it was fetched again by its digest")
		assert.Equal(t, "web@"+digest, e.containers["id1"].config.Image)

		// And a start keeps it for a while, by whatever name it is collected.
		time.Sleep(time.Second)
		out, err := r.Collect(t.Context(), fetched, nil)
		require.NoError(t, err)
		assert.Equal(t, "it was asked for a moment ago", out[0].Kept)
	})
}

// Not every engine finds by its digest an image whose tag has moved.
func TestPinnedImageIsKeptWhereTheEngineDoesNotFindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		digest := "sha256:" + strings.Repeat("ab", 32)
		e := newFakeEngine()
		e.hasDigest(digest)
		r := e.open(t)
		_, err := r.Prepare(t.Context(), imageWorkload("web:1"), "", nil)
		require.NoError(t, err)
		time.Sleep(pod.RecentlyNeeded)
		delete(e.images, "web@"+digest)
		for _, keep := range []string{"web@" + digest, r.Fetched()[0].ID} {
			out, err := r.Collect(t.Context(), r.Fetched(), []string{keep})
			require.NoError(t, err)
			assert.Equal(t, "it is needed as "+keep, out[0].Kept)
		}
	})
}

func TestNeededAs(t *testing.T) {
	id, digest := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)
	found := image.InspectResponse{ID: id, RepoTags: []string{"web:latest", "shop.example/web:1"}, RepoDigests: []string{"web@" + digest}}
	for ref, needed := range map[string]bool{
		"web": true, "docker.io/library/web:latest": true, "shop.example/web:1": true, "web@" + digest: true, "web:2@" + digest: true,
		id: true, id[7:]: true, id[7:19]: true,
		"": false, "web:2": false, "shop.example/web": false, "ab": false, "web@" + id[:70] + "0": false, digest: false, "not a name": false,
	} {
		want := ""
		if needed {
			want = ref
		}
		assert.Equal(t, want, neededAs(found, []string{"other:1", ref}), "%q", ref)
	}
}
