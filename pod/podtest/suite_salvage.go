package podtest

import (
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func testSalvage(s *suite) {
	other := s.open(pod.Cluster{Name: s.cluster.Name, ID: "0123456789abcdef"})
	salvager := other.Extras().Salvager
	if salvager == nil {
		s.Log("this runtime has no Salvager")
		return
	}
	none, err := salvager.Salvage(s.Context())
	require.NoError(s, err)
	assert.Empty(s, none, "a name without nodes")

	r := s.request("n1", "serve")
	r.Settings = `{"a":"ü, \"quoted\"` + strings.Repeat(" and long", 1000) + `"}`
	r.Workload.Env = map[string]string{"GREETING": "hello = world", "EMPTY": ""}
	n := s.start(s.rt, r)
	s.await(n)
	bare := s.serving("n2", "serve") // without settings
	ended := s.serving("n3", "serve")
	s.order(ended, "/exit", "code", "9")
	s.exited(ended.ID)

	found, err := salvager.Salvage(s.Context())
	require.NoError(s, err)
	require.Len(s, found, 3)
	for i, want := range []pod.Node{n, bare, ended} {
		got := found[i]
		assert.Equal(s, s.cluster.ID, got.ClusterID)
		assert.Equal(s, want.ID, got.Node.ID)
		assert.Equal(s, want.Revision, got.Node.Revision)
		assert.Equal(s, r.Workload.Command, got.Command)
		assert.True(s, want.StartedAt.Equal(got.Node.StartedAt), "%s and %s", want.StartedAt, got.Node.StartedAt)
	}
	for i, want := range []pod.Node{n, bare} {
		assert.Equal(s, pod.PhaseRunning, found[i].Node.Phase)
		assert.Equal(s, want.Handle, found[i].Node.Handle)
		assert.Equal(s, want.Endpoints, found[i].Node.Endpoints)
	}
	assert.Equal(s, pod.PhaseExited, found[2].Node.Phase)
	assert.Equal(s, r.Settings, found[0].Settings, "just as they were given")
	assert.Empty(s, found[1].Settings)
	assert.Equal(s, "hello = world", found[0].Env["GREETING"])
	assert.Contains(s, found[0].Env, "EMPTY")
	assert.Equal(s, "n1", found[0].Env["ELASTIPOD_NODE"])

	assert.Equal(s, "ok\n", s.ask(n, "/"), "nothing was done to them")
	mine, err := s.rt.Extras().Salvager.Salvage(s.Context())
	require.NoError(s, err)
	assert.Empty(s, mine, "to their own manager they are nothing to be salvaged")
	stranger, err := s.open(s.newCluster()).Extras().Salvager.Salvage(s.Context())
	require.NoError(s, err)
	assert.Empty(s, stranger, "another name is none of its business")
	assert.NotNil(s, s.find(s.rt, n.ID))

	r = s.request("n4", "serve")
	r.Settings = strings.Repeat("x", pod.MaxSettings+1)
	_, err = s.rt.Start(s.Context(), r)
	assert.ErrorContains(s, err, "settings", "too much is refused")
	assert.Nil(s, s.find(s.rt, r.ID))
}
