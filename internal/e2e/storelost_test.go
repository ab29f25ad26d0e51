//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// refused starts a server that must not start, and returns what it says.
func (s *server) refused(flags ...string) string {
	s.t.Helper()
	cmd := exec.Command(serverBinary, append(slices.Clone(s.args), flags...)...)
	cmd.Env = append(os.Environ(), "PATH="+s.stack.path+":"+os.Getenv("PATH"))
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	require.Error(s.t, err, "it started:\n%s", out)
	require.Equal(s.t, 1, cmd.ProcessState.ExitCode(), "%s", out)
	return string(out)
}

// settingsOnly is a pod without what changes by itself.
func settingsOnly(p wire.Pod) wire.Pod {
	p.Status = nil
	return p
}

// The store is deleted under load. The next server refuses, and with --take-over
// goes on: the same nodes, the same pod, the same HAProxy, and no request failed.
func TestFaultStoreLost(t *testing.T) {
	row := newFault(t, "store lost, taken over")
	srv := start(t, onDocker(t))
	web := srv.service("web", func(p *wire.Pod) {
		p.Workload.Env = map[string]string{"PASSWORD": "not-in-a-label"}
	})
	srv.cloud("elasticity", "enable", "web", "3", "5") // nodes carry what was set when they were started
	srv.eventually("3 nodes", 30*time.Second, func() bool { return srv.pod("web").Status.Converged && len(srv.online("web")) == 3 })
	before, nodes := srv.pod("web"), byName(srv.nodes("web", "online"))
	require.Len(t, nodes, 3)
	var cluster wire.Cluster
	srv.get("/v1/cluster", &cluster)
	labels := containerLabels(t, srv)
	assert.Contains(t, labels, "PASSWORD")
	assert.NotContains(t, labels, "not-in-a-label")

	n := rounds(1, 10)
	wait := row.load(web, openloop.Config{Method: http.MethodGet, URL: "/work?cpu=2ms&sleep=100ms", Rate: 60, Duration: time.Duration(8+12*n) * time.Second})
	time.Sleep(2 * time.Second)
	for range n {
		srv.signal(syscall.SIGKILL)
		row.inject(func() { require.NoError(t, os.Remove(filepath.Join(srv.dir, "data", "elastipod.db"))) })
		said := srv.refused()
		for _, word := range []string{"is lost", cluster.ID, "backup", "--take-over"} {
			assert.Contains(t, said, word)
		}
		// Without what tells of the lost store in the data directory, the nodes do.
		require.NoError(t, os.Remove(filepath.Join(srv.dir, "data", "cluster-id")))
		require.NoError(t, os.Remove(filepath.Join(srv.dir, "data", "elastipod.db")))
		said = srv.refused()
		for _, word := range []string{"in use by another manager", cluster.ID, "host local", "web/", "backup", "--take-over"} {
			assert.Contains(t, said, word)
		}
		began := time.Now()
		srv.run("--take-over")
		srv.eventually("converged", 20*time.Second, func() bool { return srv.pod("web").Status.Converged })
		row.recovered(time.Since(began))
		after := srv.pod("web")
		assert.Equal(t, settingsOnly(before), settingsOnly(after))
		assert.Equal(t, before.Status.Elasticity, after.Status.Elasticity)
		for i, now := range byName(srv.nodes("web", "online")) {
			if assert.Less(t, i, len(nodes)) {
				assert.Equal(t, nodes[i].Name, now.Name)
				assert.Equal(t, nodes[i].Endpoints, now.Endpoints)
				assert.Equal(t, nodes[i].Revision, now.Revision)
			}
		}
		var now wire.Cluster
		srv.get("/v1/cluster", &now)
		assert.Equal(t, cluster.ID, now.ID)
		// It is a store as any other: the next server needs no flag.
		srv.signal(syscall.SIGKILL)
		srv.run()
		srv.eventually("converged", 20*time.Second, func() bool { return srv.pod("web").Status.Converged })
	}
	r := wait()
	assert.Equal(t, r.Sent, r.OK, "a request failed")
	srv.cloud("elasticity", "enable", "web", "4", "5")
	srv.eventually("it still grows", 30*time.Second, func() bool { return len(srv.online("web")) == 4 })
	row.leaked(len(ofKind(t, srv, "node")) - 4)
	assert.Len(t, ofKind(t, srv, "node"), 4)
}

// On plain processes, too, though their balancer ends with the server.
func TestFaultStoreLostEmbedded(t *testing.T) {
	row := newFault(t, "store lost, taken over, processes")
	srv := start(t, embedded(t))
	web := srv.service("web", func(p *wire.Pod) { p.Workload.Env = map[string]string{"GREETING": "a = b"} })
	web.launch(2)
	before, nodes := srv.pod("web"), byName(srv.nodes("web", "online"))
	srv.signal(syscall.SIGKILL)
	row.inject(func() { require.NoError(t, os.Remove(filepath.Join(srv.dir, "data", "elastipod.db"))) })
	assert.Contains(t, srv.refused(), "--take-over")
	began := time.Now()
	srv.run("--take-over")
	srv.eventually("converged", 20*time.Second, func() bool { return srv.pod("web").Status.Converged })
	row.recovered(time.Since(began))
	assert.Equal(t, settingsOnly(before), settingsOnly(srv.pod("web")))
	after := byName(srv.nodes("web", "online"))
	require.Len(t, after, 2)
	for i := range after {
		assert.Equal(t, nodes[i].Name, after[i].Name)
		assert.Equal(t, nodes[i].Endpoints, after[i].Endpoints)
	}
	assert.Equal(t, 200, status(t, "GET", web.url+"/"))
}

// A second server on the same data, and one with data of its own on the same
// hosts: both refuse and say whom they met, and the first one goes on.
func TestFaultTwoManagers(t *testing.T) {
	row := newFault(t, "second manager")
	st := onDocker(t)
	srv := start(t, st)
	web := srv.service("web", nil)
	web.launch(2)
	nodes := srv.online("web")
	var cluster wire.Cluster
	srv.get("/v1/cluster", &cluster)
	pid := strconv.Itoa(srv.cmd.Process.Pid)

	row.inject(func() {
		for _, listen := range []string{strings.TrimPrefix(srv.url, "http://"), freeAddress(t)} {
			said := srv.refused("--listen", listen)
			assert.Contains(t, said, srv.url, "the first one's address")
			assert.Contains(t, said, "process "+pid)
		}
	})
	row.inject(func() {
		said := srv.refused("--data", filepath.Join(srv.dir, "other"), "--listen", freeAddress(t))
		for _, word := range []string{"in use by another manager", cluster.ID, "another name", "--take-over"} {
			assert.Contains(t, said, word)
		}
	})
	assert.Equal(t, nodes, srv.online("web"))
	assert.True(t, srv.pod("web").Status.Converged)
	assert.Equal(t, 200, status(t, "GET", web.url+"/"))

	// What a server that was killed said of itself is not believed.
	srv.signal(syscall.SIGKILL)
	srv.run()
	assert.Equal(t, nodes, srv.online("web"))
}

func byName(nodes []wire.Node) []wire.Node {
	slices.SortFunc(nodes, func(a, b wire.Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

// containerLabels returns all labels of a server's nodes in one text.
func containerLabels(t *testing.T, srv *server) string {
	var out strings.Builder
	for _, c := range ofKind(t, srv, "node") {
		for name, value := range c.Labels {
			out.WriteString(name + "=" + value + "\n")
		}
	}
	return out.String()
}

// ofKind returns the containers of a kind.
func ofKind(t *testing.T, srv *server, kind string) (out []container.Summary) {
	cli, err := srv.stack.engine.Client()
	require.NoError(t, err)
	defer cli.Close()
	list, err := cli.ContainerList(t.Context(), container.ListOptions{All: true})
	require.NoError(t, err)
	for _, c := range list {
		if c.Labels["io.elastipod.kind"] == kind {
			out = append(out, c)
		}
	}
	return out
}
