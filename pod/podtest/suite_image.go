package podtest

import (
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// noDigest is a digest that no content has.
var noDigest = "sha256:" + strings.Repeat("0", 64)

// testPinnedOwnImage pins what the host has of its own, whatever the policy is.
func testPinnedOwnImage(s *suite) {
	w := s.workload("serve")
	if s.rt.Extras().Preparer == nil || w.Image == "" {
		s.Log("this runtime has no images")
		return
	}
	digest := s.prepare(s.rt, w, "")
	require.NotEmpty(s, digest)
	for _, policy := range []pod.PullPolicy{pod.PullMissing, pod.PullAlways, pod.PullNever} {
		r := s.request("n-"+string(policy), "serve")
		r.Workload.Pull, r.Digest = policy, digest
		assert.Equal(s, digest, s.prepare(s.rt, r.Workload, digest))
		s.await(s.start(s.rt, r))
	}
}

// pinned returns a request for a node whose image can be fetched.
func (s *suite) pinned(name string, w pod.Workload, digest string) pod.StartRequest {
	r := s.request(name)
	w.Ports = r.Workload.Ports
	r.Workload, r.Digest = w, digest
	return r
}

// testPinnedByDigest moves a tag under a pinned image.
func testPinnedByDigest(s *suite) {
	w, ok := s.fetchable("serve")
	if !ok || s.h.MoveTag == nil {
		return
	}
	w.Pull = pod.PullAlways
	first := s.prepare(s.rt, w, "")
	require.NotEmpty(s, first)
	s.h.MoveTag(s.T, w)
	assert.Equal(s, first, s.prepare(s.rt, w, first), "whatever the tag means now")
	assert.Len(s, s.rt.Extras().Collector.Fetched(), 1, "the tag was not asked for")
	second := s.prepare(s.rt, w, "")
	assert.NotEqual(s, first, second, "the policy asks the registry")
	fetched := s.rt.Extras().Collector.Fetched()
	require.Len(s, fetched, 2)
	assert.Equal(s, first, s.prepare(s.rt, w, first))
	n := s.start(s.rt, s.pinned("n1", w, first))
	s.await(n)
	later := s.open(s.cluster) // nobody asked it for the image
	assert.NotEmpty(s, s.collect(later, fetched[0], w.Image, pod.PinnedImage(w.Image, second)).Kept, "the node uses the first")
	s.stop(s.rt, n.ID, 0)
	for i, digest := range []string{first, second} {
		assert.NotEmpty(s, s.collect(later, fetched[i], pod.PinnedImage(w.Image, digest)).Kept, "it is pinned")
	}
	for _, i := range fetched {
		assert.True(s, s.collect(later, i).Removed, "nothing pins it any more")
	}

	// A host that has nothing fetches the pinned content, which can go again.
	rt := s.open(s.cluster)
	n = s.start(rt, s.pinned("n2", w, first))
	s.await(n)
	fetched = rt.Extras().Collector.Fetched()
	require.Len(s, fetched, 1)
	assert.Equal(s, pod.PinnedImage(w.Image, first), fetched[0].Name)
	s.stop(rt, n.ID, 0)
	assert.NotEmpty(s, s.collect(later, fetched[0], pod.PinnedImage(w.Image, first)).Kept)
	assert.True(s, s.collect(later, fetched[0], w.Image).Removed)
	assert.Equal(s, first, s.prepare(rt, w, first))
	assert.Equal(s, fetched, rt.Extras().Collector.Fetched())

	// Who gives it its tag too does not keep it by that.
	assert.Equal(s, second, s.prepare(rt, w, second))
	assert.Equal(s, second, s.prepare(rt, w, ""))
	out, err := later.Extras().Collector.Collect(s.Context(), rt.Extras().Collector.Fetched(), nil)
	require.NoError(s, err)
	for _, o := range out {
		assert.Empty(s, o.Kept, o.Image.Name)
	}
}

// testPinnedMissing pins what can be had nowhere.
func testPinnedMissing(s *suite) {
	w, ok := s.fetchable("serve")
	if !ok {
		return
	}
	for _, c := range []struct {
		pull   pod.PullPolicy
		digest string
		want   error
	}{
		{pod.PullMissing, noDigest, pod.ErrImage},
		{pod.PullAlways, noDigest, pod.ErrImage},
		{pod.PullNever, noDigest, pod.ErrImage},
		{pod.PullMissing, "id:" + noDigest, pod.ErrImageElsewhere},
		{pod.PullAlways, "id:" + noDigest, pod.ErrImageElsewhere},
		{pod.PullNever, "id:" + noDigest, pod.ErrImageElsewhere},
	} {
		w.Pull = c.pull
		_, err := s.rt.Extras().Preparer.Prepare(s.Context(), w, c.digest, nil)
		require.ErrorIs(s, err, c.want, "prepare %s %s", c.pull, c.digest)
		assert.ErrorContains(s, err, w.Image, "the error names the image")
		_, err = s.rt.Start(s.Context(), s.pinned("n1", w, c.digest))
		require.ErrorIs(s, err, c.want, "start %s %s", c.pull, c.digest)
		assert.Empty(s, s.observe(s.rt).Nodes)
	}
	assert.Empty(s, s.rt.Extras().Collector.Fetched(), "the tag was never fetched instead")
}
