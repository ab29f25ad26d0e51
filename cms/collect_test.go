package cms_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

// runImage makes nodes run an image.
func runImage(name string) func(*cms.PodSpec) {
	return func(s *cms.PodSpec) { s.Workload.Image, s.Workload.Command = name, nil }
}

// run changes the pod to an image, and waits until all nodes run it.
func (w *world) run(image string) {
	w.t.Helper()
	w.update(runImage(image))
	w.wait(image, func(s cms.PodStatus) bool { return s.Converged && rollout(s) == cms.RolloutDone })
}

func TestImagesOfOldRevisionsAreRemoved(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		for _, h := range w.hosts {
			h.SetImage("theirs", "sha256:theirs")
		}
		s := spec()
		runImage("theirs")(&s)
		_, err := w.CreatePod(t.Context(), s)
		require.NoError(t, err)
		w.launch()
		w.launch()
		w.converge()
		for n := 1; n <= 4; n++ {
			w.run(fmt.Sprint("image-", n))
		}
		time.Sleep(2 * time.Minute)
		for name, h := range w.hosts {
			assert.Equal(t, []string{"image-2", "image-3", "image-4", "theirs"}, bare(h.Images()), "on host %s", name)
			status, err := w.Host(name)
			require.NoError(t, err)
			assert.Equal(t, cms.ImageCount{Images: 1, Bytes: podtest.FakeImageSize}, status.Collected)
			stored := w.store.State().Hosts
			require.Len(t, stored, 2)
			assert.Len(t, stored[0].Images, 3)
		}
		events := w.told(cms.EventImageRemoved)
		require.Len(t, events, 2)
		assert.Regexp(t, `^image image-1\S* \(100 MiB\) was removed from host `, events[0].Message)

		_, err = w.DeletePod(t.Context(), "web")
		require.NoError(t, err)
		time.Sleep(3 * time.Minute)
		for _, h := range w.hosts {
			assert.Equal(t, []string{"theirs"}, bare(h.Images()), "a pod that is gone needs none")
		}
		assert.Empty(t, w.store.State().Hosts[0].Images)
		assert.Empty(t, w.Pods())
	})
}

// What was fetched before a restart is removed after it, also by a manager with
// hosts of the configuration.
func TestImagesAreRemovedAfterARestart(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		for n := 1; n <= 4; n++ {
			w.run(fmt.Sprint("image-", n))
		}
		w.restart()
		w.converge()
		calls := len(w.hosts["a"].Calls("collect"))
		assert.Zero(t, calls, "nothing is removed in a hurry")
		time.Sleep(59 * time.Minute)
		assert.Len(t, bare(w.hosts["a"].Images()), 4)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"image-2", "image-3", "image-4"}, bare(w.hosts["a"].Images()))
	})
}

func TestImagesThatOthersNeedStay(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(1)
		w.run("shared")
		other := spec()
		other.Name, other.Fronts = "other", nil
		runImage("shared")(&other)
		_, err := w.CreatePod(t.Context(), other)
		require.NoError(t, err)
		w.run("named")
		w.hosts["a"].SetImage("somebody's", "sha256:named")
		for n := 1; n <= 3; n++ {
			w.run(fmt.Sprint("image-", n))
		}
		time.Sleep(2 * time.Hour)
		assert.Equal(t, []string{"image-1", "image-2", "image-3", "named", "shared"}, bare(w.hosts["a"].Images()),
			"a pod without nodes needs its own, and what has another name is somebody's")
		_, err = w.DeletePod(t.Context(), "other")
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"image-1", "image-2", "image-3", "named"}, bare(w.hosts["a"].Images()))
		w.hosts["a"].RemoveImage("named")
		time.Sleep(2 * time.Hour)
		assert.Len(t, w.store.State().Hosts[0].Images, 3, "what somebody else removed is forgotten")
	})
}

// The images of a rollout that is under way stay however old the revision is,
// and a store or a host that fails loses nothing.
func TestImagesWhileThingsFail(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		h := w.hosts["a"]
		w.pod(1)
		w.store.OnSave(func(_ context.Context, c cms.Change) error {
			if len(c.PutHosts) > 0 {
				return errors.New("disk full")
			}
			return nil
		})
		for n := 1; n <= 4; n++ {
			w.run(fmt.Sprint("image-", n))
		}
		time.Sleep(2 * time.Minute)
		assert.Len(t, bare(h.Images()), 4, "nothing is removed that is not noted")
		w.store.OnSave(nil)
		h.SetUnreachable(true)
		time.Sleep(61 * time.Minute)
		assert.Len(t, bare(h.Images()), 4)
		h.SetUnreachable(false)
		w.converge()
		time.Sleep(61 * time.Minute)
		assert.Equal(t, []string{"image-2", "image-3", "image-4"}, bare(h.Images()))

		// image-4 is the oldest of those kept once others were tried and none
		// became ready, and still what runs.
		w.update(func(s *cms.PodSpec) { s.Update.Failures = -1 })
		h.FailStarts(-1, pod.ErrExited)
		for n := 5; n <= 9; n++ {
			w.update(runImage(fmt.Sprint("image-", n)))
			time.Sleep(5 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		assert.Contains(t, bare(h.Images()), "image-4", "a node runs it")
		h.FailStarts(0, nil)
	})
}

func TestImagesAreKeptWhereThatIsAskedFor(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.end()
		w.config.KeepImages = -1
		w.start()
		w.pod(1)
		for n := 1; n <= 5; n++ {
			w.run(fmt.Sprint("image-", n))
		}
		time.Sleep(3 * time.Hour)
		assert.Len(t, bare(w.hosts["a"].Images()), 5)
		assert.Empty(t, w.hosts["a"].Calls("collect"))
		w.end()
		w.config.KeepImages = 1
		w.restart()
		time.Sleep(2 * time.Hour)
		assert.Equal(t, []string{"image-5"}, bare(w.hosts["a"].Images()))
	})
	_, err := cms.New(cms.Config{KeepImages: 11})
	assert.ErrorContains(t, err, "KeepImages: 11 is out of range; use 1 to 10, or -1 to remove none")
}

func TestHostThatLeavesKeepsNoneOfOurImages(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.hosts["b"] = podtest.NewFakeHost()
		w.hosts["b"].SetImage("theirs", "sha256:theirs")
		_, err := w.AddHost(t.Context(), pod.Host{Name: "b", Runtime: "fake"})
		require.NoError(t, err)
		w.pod(2)
		w.run("image-1")
		require.Contains(t, bare(w.hosts["b"].Images()), "image-1")
		time.Sleep(time.Minute)
		_, err = w.RemoveHost(t.Context(), "b", true)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = w.Host("b")
		require.ErrorIs(t, err, cms.ErrNotFound)
		assert.Equal(t, []string{"theirs"}, bare(w.hosts["b"].Images()))
		assert.Equal(t, []string{"image-1"}, bare(w.hosts["a"].Images()))
		w.converge()
	})
}

// Collecting hangs, and nothing else does.
func TestCollectionThatHangsDelaysNothing(t *testing.T) {
	inWorld(t, []string{"a", "b"}, func(t *testing.T, w *world) {
		w.pod(2)
		for n := 1; n <= 4; n++ {
			w.run(fmt.Sprint("image-", n))
		}
		w.hosts["a"].SetCollectDelay(time.Hour)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"image-2", "image-3", "image-4"}, bare(w.hosts["b"].Images()))
		begun := time.Now()
		w.launch()
		w.launch()
		w.converge()
		assert.Less(t, time.Since(begun), time.Second)
		begun = time.Now()
		w.restart()
		assert.Less(t, time.Since(begun), time.Second)
	})
}

// bare returns the names of images without their digests, each once.
func bare(images []string) (out []string) {
	for _, i := range images {
		name, _, _ := strings.Cut(i, "@")
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
