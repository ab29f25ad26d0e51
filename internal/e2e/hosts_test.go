//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/internal/openloop"
)

// One pod on three Docker hosts at once: a local engine, one in a network
// namespace by TLS and one by ssh. One of them is emptied under load.
func TestPodOnThreeDockerHosts(t *testing.T) {
	st := onDocker(t)
	byTLS := dockertest.Start(t, dockertest.Options{Remote: true, TLS: true})
	bySSH := dockertest.Start(t, dockertest.Options{Remote: true, SSH: true})
	engines := map[string]*dockertest.Engine{"local": st.engine, "tls": byTLS, "ssh": bySSH}
	byTLS.BuildScratch(t, workloadImage, serverBinary)
	bySSH.BuildScratch(t, workloadImage, serverBinary)
	st.path = bySSH.SSHPath
	st.hosts = append(st.hosts, wire.Host{
		Name: "ssh", Runtime: "docker", Address: bySSH.SSH, Bind: bySSH.IP,
	})
	srv := start(t, st)
	srv.cloud("host", "add", "tls", "--address", byTLS.TCP, "--bind", byTLS.IP,
		"--tls-ca", byTLS.TLS.CA, "--tls-cert", byTLS.TLS.Cert, "--tls-key", byTLS.TLS.Key)

	web := srv.service("web", func(p *wire.Pod) {
		// The nodes of the other hosts see other files than we do.
		p.Workload.Mounts = []wire.Mount{{Type: "bind", Source: p.Workload.Mounts[0].Source, Target: p.Workload.Mounts[0].Target}}
	})
	web.launch(6)
	count := func() map[string]int {
		n := map[string]int{}
		for _, node := range srv.nodes("web", "online") {
			n[node.Host]++
		}
		return n
	}
	assert.Equal(t, map[string]int{"local": 2, "tls": 2, "ssh": 2}, count(), "spread evenly")
	for name, e := range engines {
		cli, err := e.Client()
		require.NoError(t, err)
		list, err := cli.ContainerList(t.Context(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "io.elastipod.pod=web"))})
		require.NoError(t, err)
		assert.Len(t, list, 2, "containers on host %s", name)
		require.NoError(t, cli.Close())
	}

	wait := web.load(t, openloop.Config{URL: "/work?cpu=2ms&sleep=50ms", Rate: 60, Duration: 15 * time.Second})
	time.Sleep(2 * time.Second)
	srv.cloud("host", "cordon", "ssh")
	srv.cloud("host", "rm", "tls", "--drain")
	srv.eventually("moved to the one host that takes nodes", 30*time.Second, func() bool {
		n := count()
		return n["local"] == 4 && n["ssh"] == 2 && srv.pod("web").Status.Converged
	})
	r := wait()
	require.NoError(t, web.checkLossless(r))
	for _, n := range srv.nodes("web", "online") {
		assert.NotNil(t, n.CPU, "usage of node %s on host %s", n.Name, n.Host)
	}
}
