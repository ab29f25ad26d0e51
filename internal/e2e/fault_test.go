//go:build e2e

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// A drain that does not wait must be found out by the very check that the
// scenario relies on; a drain that waits passes it.
func TestDrainThatDoesNotWaitIsFoundOut(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := start(t, st)
			lose := func(name string, drain time.Duration) error {
				v := srv.service(name, func(p *wire.Pod) { p.Drain = wire.Duration(drain) })
				v.launch(2)
				wait := v.load(t, openloop.Config{URL: "/work?sleep=400ms", Rate: 40, Duration: 4 * time.Second})
				time.Sleep(2 * time.Second)
				srv.cloud("rm", "hand1", name)
				return v.checkLossless(wait())
			}
			require.NoError(t, lose("patient", 30*time.Second))
			err := lose("hasty", time.Millisecond)
			require.Error(t, err, "requests were cut, and the check did not see it")
			t.Log("as it should be, the check says:", err)
		})
	}
}

// The server is stopped and killed in the middle of the load: HAProxy and the
// nodes serve on, and the next server finds everything as it was.
func TestServerStoppedAndKilledUnderLoad(t *testing.T) {
	srv := start(t, onDocker(t))
	web := srv.service("web", nil)
	web.launch(3)
	srv.cloud("elasticity", "enable", "web", "3", "6")
	before, nodes := srv.pod("web"), srv.online("web")
	wait := web.load(t, openloop.Config{URL: "/work?cpu=2ms&sleep=100ms", Rate: 60, Duration: 25 * time.Second})
	time.Sleep(2 * time.Second)
	took := srv.signal(syscall.SIGTERM)
	assert.Less(t, took, 10*time.Second)
	t.Logf("SIGTERM to exit: %s", took)
	time.Sleep(3 * time.Second)
	srv.run()
	same := func() {
		t.Helper()
		srv.eventually("adopted", 10*time.Second, func() bool { return srv.pod("web").Status.Converged })
		after := srv.pod("web")
		assert.Equal(t, nodes, srv.online("web"), "the same nodes")
		assert.Equal(t, before.Workload, after.Workload)
		assert.Equal(t, before.Fronts, after.Fronts)
		assert.Equal(t, before.Status.Elasticity, after.Status.Elasticity)
	}
	same()
	for range 3 {
		time.Sleep(2 * time.Second)
		srv.signal(syscall.SIGKILL)
		time.Sleep(time.Second)
		srv.run()
		same()
	}
	// Killed in the middle of growing and of shrinking.
	srv.cloud("elasticity", "disable", "web")
	srv.cloud("register", "late", "web")
	srv.cloud("launch", "web", "--no-wait")
	srv.signal(syscall.SIGKILL)
	srv.run()
	srv.eventually("the start is finished", 10*time.Second, func() bool { return len(srv.online("web")) == 4 })
	srv.cloud("rm", "late", "web", "--no-wait")
	srv.signal(syscall.SIGKILL)
	srv.run()
	srv.eventually("the removal is finished", 40*time.Second, func() bool { return srv.pod("web").Status.Converged })
	assert.Equal(t, nodes, srv.online("web"))
	require.NoError(t, web.checkLossless(wait()))
	srv.checkInvariants()

	cli, err := srv.stack.engine.Client()
	require.NoError(t, err)
	defer cli.Close()
	list, err := cli.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "io.elastipod.kind=node"))})
	require.NoError(t, err)
	assert.Len(t, list, 3, "no orphan")
}

// --stop-nodes ends nodes and balancer, and the next start brings as many back.
func TestStopNodesLeavesNothingAndComesBack(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := start(t, st)
			web := srv.service("web", nil)
			web.launch(2)
			srv.signal(syscall.SIGTERM)
			srv.run("--stop-nodes")
			srv.signal(syscall.SIGTERM)
			if st.engine != nil {
				cli, err := st.engine.Client()
				require.NoError(t, err)
				defer cli.Close()
				list, err := cli.ContainerList(t.Context(), container.ListOptions{All: true})
				require.NoError(t, err)
				assert.Empty(t, list)
			}
			srv.run()
			srv.eventually("two nodes again", 30*time.Second, func() bool { return len(srv.online("web")) == 2 && srv.pod("web").Status.Converged })
			assert.Equal(t, 200, status(t, "GET", web.url+"/"))
			srv.checkInvariants()
			assert.Len(t, *srv.view().Hosts[0].Running, 2, "the check looks at what runs")
		})
	}
}
