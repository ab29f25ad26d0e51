//go:build e2e

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// A manager that starts takes over a hundred nodes at once: none is started
// again, and it says how long it took until all of them were known, observed and
// behind their balancer.
func TestHundredNodesAdopted(t *testing.T) {
	const nodes = 100
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := prepare(t, st)
			srv.run()
			web := srv.service("web", func(p *wire.Pod) {
				p.MaxNodes = nodes
				p.Limits = wire.Limits{CPU: 0.1, Memory: 32 << 20}
				p.Grace = wire.Duration(time.Second)
			})
			api, err := client.New(client.Config{Server: srv.url})
			require.NoError(t, err)
			begun := time.Now()
			_, err = api.PatchElasticity(t.Context(), web.name, client.Patch{"enabled": true, "min": nodes, "max": nodes}, 0)
			require.NoError(t, err)
			// What is there is all there is: every node online, observed and served.
			adopted := func() bool {
				p, err := api.Pod(t.Context(), web.name)
				if err != nil || !p.Status.Converged || p.Status.Nodes.Online != nodes {
					return false
				}
				b, err := api.Balancer(t.Context())
				if err != nil || b.Error != "" || len(b.Fronts) != 1 || len(b.Fronts[0].Servers) != nodes {
					return false
				}
				hosts, err := api.Hosts(t.Context())
				return err == nil && hosts[0].Status.Reachable && hosts[0].Status.Nodes == nodes
			}
			srv.eventually("a hundred nodes", 3*time.Minute, adopted)
			t.Logf("%d nodes online after %.1f s", nodes, time.Since(begun).Seconds())
			handles := func() map[string]string {
				out := map[string]string{}
				for _, n := range srv.nodes(web.name, "online") {
					out[n.Name] = n.Handle
				}
				return out
			}
			before := handles()
			var took []time.Duration
			for range 3 {
				srv.signal(syscall.SIGKILL)
				api.Close()
				begun := time.Now()
				srv.run()
				srv.eventually("adopted", 30*time.Second, adopted)
				took = append(took, time.Since(begun))
				assert.Equal(t, before, handles(), "the same nodes")
			}
			endNodes(srv)
			t.Logf("figure: start of the server to %d nodes adopted: median %s of %v", nodes, median(took), took)
			assert.Less(t, median(took), 3*time.Second)
		})
	}
}

// endNodes kills the server and removes its containers side by side, which is
// quicker than to drain and stop them.
func endNodes(srv *server) {
	srv.signal(syscall.SIGKILL)
	if srv.stack.engine == nil {
		return
	}
	cli, err := srv.stack.engine.Client()
	require.NoError(srv.t, err)
	defer cli.Close()
	list, err := cli.ContainerList(srv.t.Context(), container.ListOptions{All: true})
	require.NoError(srv.t, err)
	var removing errgroup.Group
	removing.SetLimit(16)
	for _, c := range list {
		removing.Go(func() error {
			return cli.ContainerRemove(srv.t.Context(), c.ID, container.RemoveOptions{Force: true})
		})
	}
	require.NoError(srv.t, removing.Wait())
}
