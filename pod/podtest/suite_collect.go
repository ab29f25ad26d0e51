package podtest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// fetchable returns a workload that can be fetched, or false.
func (s *suite) fetchable(args ...string) (pod.Workload, bool) {
	s.Helper()
	if s.h.Fetchable == nil || s.rt.Extras().Collector == nil {
		s.Log("this runtime fetches no images")
		return pod.Workload{}, false
	}
	w := s.h.Fetchable(s.T, args...)
	return pod.Spec{Name: "web", Workload: w}.WithDefaults().Workload, true
}

// prepare prepares the host and returns the digest of the workload's image.
func (s *suite) prepare(rt pod.Runtime, w pod.Workload, digest string) string {
	s.Helper()
	p, err := rt.Extras().Preparer.Prepare(s.Context(), w, digest, nil)
	require.NoError(s, err)
	return p.Digest
}

// collect collects one image.
func (s *suite) collect(rt pod.Runtime, i pod.Image, keep ...string) pod.Collected {
	s.Helper()
	out, err := rt.Extras().Collector.Collect(s.Context(), []pod.Image{i}, keep)
	require.NoError(s, err)
	require.Len(s, out, 1)
	assert.Equal(s, i, out[0].Image)
	assert.False(s, out[0].Removed && out[0].Kept != "")
	return out[0]
}

func testCollect(s *suite) {
	w, ok := s.fetchable("serve")
	if !ok {
		return
	}
	c := s.rt.Extras().Collector
	require.Empty(s, c.Fetched())
	s.prepare(s.rt, w, "")
	fetched := c.Fetched()
	require.Len(s, fetched, 1)
	i := fetched[0]
	assert.Equal(s, w.Image, i.Name)
	assert.NotEmpty(s, i.ID)
	assert.Positive(s, i.Size)
	s.prepare(s.rt, w, "")
	assert.Equal(s, fetched, c.Fetched(), "it was there")
	assert.NotEmpty(s, s.collect(s.rt, i).Kept, "a start may be about to use it")

	later := s.open(s.cluster) // nobody asked it for the image
	assert.Empty(s, later.Extras().Collector.Fetched())
	assert.NotEmpty(s, s.collect(later, i, "unknown", w.Image).Kept, "it is needed")

	r := s.pinned("n1", w, "")
	n := s.start(s.rt, r)
	s.await(n)
	assert.NotEmpty(s, s.collect(later, i).Kept, "a node uses it")
	s.order(n, "/exit", "code", "3")
	s.exited(n.ID)
	assert.NotEmpty(s, s.collect(later, i).Kept, "an ended node uses it")
	s.stop(s.rt, n.ID, 0)

	assert.True(s, s.collect(later, i).Removed)
	again := s.collect(later, i)
	assert.False(s, again.Removed)
	assert.Empty(s, again.Kept, "it is gone")

	n = s.start(s.rt, r)
	s.await(n)
	assert.Len(s, c.Fetched(), 1, "a start fetches what is missing")
	s.stop(s.rt, n.ID, 0)
	assert.True(s, s.collect(s.open(s.cluster), i).Removed)
}

func testCollectOfOthers(s *suite) {
	w, ok := s.fetchable("serve")
	if !ok {
		return
	}
	other := s.open(s.newCluster())
	s.prepare(other, w, "")
	s.prepare(s.rt, w, "")
	assert.Empty(s, s.rt.Extras().Collector.Fetched(), "another cluster fetched it")
	require.Len(s, other.Extras().Collector.Fetched(), 1)
	i := other.Extras().Collector.Fetched()[0]

	r := s.pinned("n1", w, "")
	n := s.start(s.rt, r)
	s.await(n)
	theirs := s.open(pod.Cluster{Name: "t0", ID: "0123456789abcdef"})
	assert.NotEmpty(s, s.collect(theirs, i).Kept, "a node of another cluster uses it")
	s.stop(s.rt, n.ID, 0)
	assert.True(s, s.collect(theirs, i).Removed)
}
