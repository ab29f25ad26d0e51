package podtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func testLife(s *suite) {
	require.Empty(s, s.observe(s.rt).Nodes, "a new cluster has no nodes")
	before := time.Now().Add(-2 * time.Second)
	r := s.request("n1", "serve")
	n := s.start(s.rt, r)
	assert.Equal(s, r.ID, n.ID)
	assert.Equal(s, "r1", n.Revision)
	assert.Equal(s, pod.PhaseRunning, n.Phase)
	assert.NotEmpty(s, n.Handle)
	assert.WithinRange(s, n.StartedAt, before, time.Now().Add(2*time.Second))
	assert.Nil(s, n.Exit)
	assert.Len(s, n.Endpoints, 2, "every port has an endpoint")
	s.await(n)

	s.same(n, s.find(s.rt, r.ID))

	s.stop(s.rt, r.ID, 5*time.Second)
	assert.Nil(s, s.find(s.rt, r.ID), "nothing is left after a stop")
	_, err := s.get(n, "/", nil)
	assert.Error(s, err, "nobody answers after a stop")
}

func testStartIsIdempotent(s *suite) {
	n := s.serving("n1", "serve")
	r := s.request("n1", "serve")
	r.Revision = "r2" // what runs stays as it is
	again := s.start(s.rt, r)
	assert.Equal(s, n.Handle, again.Handle)
	assert.Equal(s, "r1", again.Revision)
	assert.Equal(s, n.Endpoints, again.Endpoints)
	assert.Len(s, s.observe(s.rt).Nodes, 1)
}

func testStartReplacesEnded(s *suite) {
	n := s.serving("n1", "serve")
	s.order(n, "/exit", "code", "1")
	s.exited(n.ID)
	r := s.request("n1", "serve")
	r.Revision = "r2"
	again := s.start(s.rt, r)
	assert.NotEqual(s, n.Handle, again.Handle)
	assert.Equal(s, "r2", again.Revision)
	s.await(again)
	assert.Len(s, s.observe(s.rt).Nodes, 1)
}

// testStartCancelled cancels starts at several points of their course.
func testStartCancelled(s *suite) {
	n := s.serving("probe", "serve") // warms up, and tells how long a start takes
	s.stop(s.rt, n.ID, 0)
	began := time.Now()
	n = s.start(s.rt, s.request("probe", "serve"))
	took := time.Since(began)
	s.stop(s.rt, n.ID, 0)

	for i := range 8 {
		r := s.request(fmt.Sprintf("n%d", i), "serve")
		ctx, cancel := context.WithTimeout(s.Context(), took*time.Duration(i)/8)
		_, err := s.rt.Start(ctx, r)
		cancel()
		if err == nil { // it was quicker
			s.stop(s.rt, r.ID, 0)
			continue
		}
		assert.ErrorIs(s, err, context.DeadlineExceeded)
	}
	s.eventually("cancelled starts leave nothing behind", 0, func() bool {
		return len(s.observe(s.rt).Nodes) == 0
	})
}

func testStartSideBySide(s *suite) {
	var wg sync.WaitGroup
	nodes := make([]pod.Node, 10)
	errs := make([]error, len(nodes))
	for i := range nodes {
		wg.Go(func() { nodes[i], errs[i] = s.rt.Start(s.Context(), s.request(fmt.Sprintf("n%d", i), "serve")) })
	}
	wg.Wait()
	seen := map[string]bool{}
	for i, n := range nodes {
		require.NoError(s, errs[i])
		for _, addr := range n.Endpoints {
			assert.False(s, seen[addr], "%s belongs to one node", addr)
			seen[addr] = true
		}
	}
	for _, n := range nodes {
		s.await(n)
		assert.Equal(s, n.ID.Name, s.env(n)["ELASTIPOD_NODE"], "the endpoint is this node's")
	}
	assert.Len(s, s.observe(s.rt).Nodes, len(nodes))
	for i, n := range nodes {
		wg.Go(func() { errs[i] = stopError(s.rt.Stop(s.Context(), n.ID, time.Second)) })
	}
	wg.Wait()
	for _, err := range errs {
		assert.NoError(s, err)
	}
	assert.Empty(s, s.observe(s.rt).Nodes)
}

func testStartSameSideBySide(s *suite) {
	var wg sync.WaitGroup
	handles := make([]string, 4)
	for i := range handles {
		wg.Go(func() {
			n, err := s.rt.Start(s.Context(), s.request("n1", "serve"))
			assert.NoError(s, err)
			handles[i] = n.Handle
		})
	}
	wg.Wait()
	for _, h := range handles {
		assert.Equal(s, handles[0], h, "one node for one id")
	}
	assert.Len(s, s.observe(s.rt).Nodes, 1)
}

// testExitedAtStart accepts both outcomes of the race: Start saw the end, or
// the node is seen as ended later.
func testExitedAtStart(s *suite) {
	r := s.request("n1", "exit", "3", "no-such-table")
	_, err := s.rt.Start(s.Context(), r)
	if err != nil {
		require.ErrorIs(s, err, pod.ErrExited)
		assert.ErrorContains(s, err, "no-such-table")
		assert.Nil(s, s.find(s.rt, r.ID), "nothing is left after an error")
		return
	}
	n := s.exited(r.ID)
	assert.Equal(s, 3, n.Exit.Code)
	assert.Equal(s, []string{"no-such-table"}, n.Exit.LastLog)
}

func testMissing(s *suite) {
	r := s.request("n1")
	r.Workload = pod.Spec{Workload: s.h.Missing}.WithDefaults().Workload
	_, err := s.rt.Start(s.Context(), r)
	require.ErrorIs(s, err, pod.ErrImage)
	assert.ErrorContains(s, err, r.ID.Name, "the error names the node")
	assert.Empty(s, s.observe(s.rt).Nodes)
	if p := s.rt.Extras().Preparer; p != nil {
		_, err := p.Prepare(s.Context(), r.Workload, "", nil)
		require.ErrorIs(s, err, pod.ErrImage)
	}
}

func testUnsupported(s *suite) {
	for name, w := range s.h.Unsupported {
		r := s.request("n1")
		r.Workload = pod.Spec{Workload: w}.WithDefaults().Workload
		_, err := s.rt.Start(s.Context(), r)
		require.ErrorIs(s, err, pod.ErrUnsupported, name)
		assert.Empty(s, s.observe(s.rt).Nodes)
		if p := s.rt.Extras().Preparer; p != nil {
			_, err := p.Prepare(s.Context(), r.Workload, "", nil)
			require.ErrorIs(s, err, pod.ErrUnsupported, name)
		}
	}
}

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
	s.stop(s.rt, job.ID, 0)
	assert.Nil(s, s.find(s.rt, job.ID))

	r = s.request("n3", "serve")
	r.Kind = "cron"
	_, err := s.rt.Start(s.Context(), r)
	assert.ErrorContains(s, err, `"cron" is not a kind of node`)
	assert.Nil(s, s.find(s.rt, r.ID))
}

func testEnvironment(s *suite) {
	s.Setenv("PODTEST_MANAGER_ONLY", "secret of the manager")
	r := s.request("n1", "serve")
	r.Workload.Env = map[string]string{"COLOUR": "deep blue", "EMPTY": "", "QUOTED": `a"b'c $HOME \ ü` + "\n2"}
	r.Workload.Ports["admin-api"] = 9090
	n := s.start(s.rt, r)
	s.await(n)
	env := s.env(n)
	for k, v := range r.Workload.Env {
		got, ok := env[k]
		assert.True(s, ok, k)
		assert.Equal(s, v, got, k)
	}
	assert.Equal(s, "web", env["ELASTIPOD_POD"])
	assert.Equal(s, "n1", env["ELASTIPOD_NODE"])
	assert.NotEmpty(s, env["PORT"])
	assert.Equal(s, env["PORT"], env["PORT_HTTP"])
	assert.NotEmpty(s, env["PORT_ADMIN_API"])
	assert.NotEqual(s, env["PORT"], env["PORT_ADMIN_API"])
	assert.NotContains(s, env, "PODTEST_MANAGER_ONLY", "the manager's environment is its own")
	require.Contains(s, n.Endpoints, "admin-api")
	admin := n
	admin.Endpoints = map[string]string{"http": n.Endpoints["admin-api"]}
	assert.Equal(s, "ok\n", s.ask(admin, "/"), "every port answers")
}

func testSecrets(s *suite) {
	const value = "hunter2\nsecond line"
	r := s.request("n1", "serve")
	r.Workload.Secrets = []pod.Secret{{Name: "db.password", FromEnv: "X", Target: "/run/secrets/db.password"}}
	r.Secrets = map[string]pod.SecretValue{"db.password": pod.SecretValue(value)}
	n := s.start(s.rt, r)
	s.await(n)
	assert.Equal(s, value, s.ask(n, "/secret", "name", "db.password"))
	_, err := s.get(n, "/secret", values([]string{"name", "other"}))
	assert.Error(s, err)
	shown := fmt.Sprintf("%#v %+v %v", s.observe(s.rt), s.observe(s.rt), n)
	assert.False(s, strings.Contains(shown, "hunter2"), "secrets are not observed")
	for k, v := range s.env(n) {
		assert.False(s, strings.Contains(v, "hunter2"), "%s holds a secret", k)
	}
}
