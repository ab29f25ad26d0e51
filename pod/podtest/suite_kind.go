package podtest

import (
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func testKind(s *suite) {
	r := s.request("n1", "serve")
	r.Kind = pod.NodeJob
	job := s.start(s.rt, r)
	service := s.start(s.rt, s.request("n2", "serve"))
	assert.Equal(s, pod.NodeJob, job.Kind)
	assert.Equal(s, pod.NodeService, service.Kind, "the default")
	r.Kind = pod.NodeService
	assert.Equal(s, pod.NodeJob, s.start(s.rt, r).Kind, "what runs stays as it is")

	later := s.open(s.cluster)
	for _, rt := range []pod.Runtime{s.rt, later} {
		assert.Equal(s, pod.NodeJob, s.find(rt, job.ID).Kind)
		assert.Equal(s, pod.NodeService, s.find(rt, service.ID).Kind)
	}
	if l := s.open(pod.Cluster{Name: s.cluster.Name, ID: "0123456789abcdef"}).Extras().Salvager; l != nil {
		found, err := l.Salvage(s.Context())
		require.NoError(s, err)
		require.Len(s, found, 2)
		assert.Equal(s, pod.NodeJob, found[0].Node.Kind)
		assert.Equal(s, pod.NodeService, found[1].Node.Kind)
	}
	s.await(job)
	s.order(job, "/exit", "code", "0")
	assert.Equal(s, pod.NodeJob, s.exited(job.ID).Kind, "of an ended node, too")
	require.NoError(s, stopError(s.rt.Stop(s.Context(), job.ID, 0)))
	assert.Nil(s, s.find(s.rt, job.ID))

	r = s.request("n3", "serve")
	r.Kind = "cron"
	_, err := s.rt.Start(s.Context(), r)
	assert.ErrorContains(s, err, `"cron" is not a kind of node`)
	assert.Nil(s, s.find(s.rt, r.ID))
}
