package serve_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
)

// TestDockerStack runs a static server on containers and HAProxy: its image
// comes from nowhere but itself, both go on when it ends, and --stop-nodes ends
// them.
func TestDockerStack(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	docker, err := engine.Client()
	require.NoError(t, err)
	defer docker.Close()
	server := dockertest.GoBinary(t, "../../examples/server")
	front, data := freeAddress(t), dataDir(t)
	file := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
stack: docker
tick: 100ms
hosts: [{name: local, runtime: docker, address: %q}]
pods:
- name: web
  workload:
    image: elastipod-workload
    command: [light]
    user: 65534:65534
    ports: {http: 8080}
    probe: {http: /healthz}
  security: strict
  limits: {cpu: 0.3, memory: 32MiB}
  max_nodes: 4
  nodes: 2
  fronts: [{listen: %q}]
`, engine.Address(), front), 0o600))
	args := []string{"--listen", "127.0.0.1:0", "--config", file, "--data", data}
	p := launchProgram(t, server, args...)
	t.Cleanup(func() {
		p := launchProgram(t, server, append(args, "--stop-nodes")...)
		p.ask(syscall.SIGTERM)
		code, _ := p.exit()
		assert.Zero(t, code, p.output())
	})
	before := endpoints(p.nodes("web", 2))
	require.Eventually(t, func() bool { return answers(front) }, 10*time.Second, 50*time.Millisecond)
	list := func() []container.Summary {
		all, err := docker.ContainerList(context.Background(), container.ListOptions{})
		require.NoError(t, err)
		return all
	}
	for _, c := range list() {
		info, err := docker.ContainerInspect(t.Context(), c.ID)
		require.NoError(t, err)
		assert.EqualValues(t, 300_000_000, info.HostConfig.NanoCPUs)
		assert.EqualValues(t, 32<<20, info.HostConfig.Memory)
		assert.True(t, info.HostConfig.ReadonlyRootfs)
		assert.False(t, info.State.OOMKilled)
	}
	// It serves in 32 MiB, with many connections at a time and work to do.
	for range 200 {
		r, err := http.Get("http://" + front + "/work?cpu=1ms&id=x")
		require.NoError(t, err)
		r.Body.Close()
		require.Equal(t, http.StatusOK, r.StatusCode)
	}

	p.ask(syscall.SIGTERM)
	code, took := p.exit()
	assert.Zero(t, code, p.output())
	assert.Less(t, took, 10*time.Second)
	assert.True(t, answers(front), "HAProxy goes on without the server")
	assert.Len(t, list(), 2)

	p = launchProgram(t, server, append(args, "--stop-nodes")...)
	assert.Equal(t, before, endpoints(p.nodes("web", 2)))
	assert.True(t, answers(front))
	p.ask(syscall.SIGTERM)
	code, took = p.exit()
	assert.Zero(t, code, p.output())
	t.Logf("stopping two nodes and HAProxy took %s", took)
	assert.False(t, answers(front), "HAProxy is still there")
	assert.Empty(t, list())
}

// TestDynamicServerSaysWhyItHasNoImage: a program that needs libraries cannot
// run in an empty image, and the pod says so.
func TestDynamicServerSaysWhyItHasNoImage(t *testing.T) {
	engine := dockertest.Start(t, dockertest.Options{})
	dynamic, err := exec.LookPath("ls")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
tick: 100ms
stop_nodes: true
workload_binary: %s
hosts: [{name: local, runtime: docker, address: %q}]
pods: [{name: web, workload: {image: elastipod-workload}, nodes: 1, max_nodes: 1}]
`, dynamic, engine.Address()), 0o600))
	p := launch(t, "--listen", "127.0.0.1:0", "--config", file, "--data", dataDir(t))
	require.Eventually(t, func() bool {
		var body map[string]any
		if p.get("/v1/pods/web", &body) != nil {
			return false
		}
		return strings.Contains(fmt.Sprint(body), "is linked dynamically and cannot run in an empty image: build the server with CGO_ENABLED=0, or name one that is static with --workload-binary FILE")
	}, 20*time.Second, 100*time.Millisecond)
	p.ask(syscall.SIGTERM)
	code, _ := p.exit()
	assert.Zero(t, code, p.output())
}
