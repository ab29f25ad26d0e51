package docker_test

import (
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
	"github.com/elastipod/elastipod/pod/podtest"
)

const helperImage = "podtest-helper"

// conform runs the conformance suite on an engine.
func conform(t *testing.T, e *dockertest.Engine, h pod.Host) {
	t.Helper()
	e.BuildScratch(t, helperImage, helper)
	h.Name, h.Runtime = "test", "docker"
	var fetchable func(t *testing.T, args ...string) pod.Workload
	if h.Bind == "" { // a remote engine does not reach the test's registry
		fetchable = fetchableImages(t)
	}
	podtest.Run(t, podtest.Harness{
		Open: func(t *testing.T, c pod.Cluster) pod.Runtime {
			rt, err := docker.New(docker.Config{Cluster: c, Host: h})
			require.NoError(t, err)
			return rt
		},
		Workload:    func(args ...string) pod.Workload { return pod.Workload{Image: helperImage, Command: args} },
		Missing:     pod.Workload{Image: "127.0.0.1:1/no/such-image:1"},
		Unsupported: map[string]pod.Workload{"no image": {Command: []string{"/bin/true"}}},
		Fetchable:   fetchable,
		Slack:       20 * time.Second,
	})
}

// fetchableImages serves images of the helper, each of another content.
func fetchableImages(t *testing.T) func(t *testing.T, args ...string) pod.Workload {
	t.Helper()
	binary, err := os.ReadFile(helper)
	require.NoError(t, err)
	reg, name := serveRegistry(t)
	return func(t *testing.T, args ...string) pod.Workload {
		tag := strconv.Itoa(len(reg.tags) + 1)
		reg.add(t, tag, map[string][]byte{"app": binary, "tag": []byte(tag)})
		return pod.Workload{Image: name + ":" + tag, Command: args}
	}
}

// serveRegistry starts a registry that anybody may read, and returns the name
// of its repository.
func serveRegistry(t *testing.T) (*registry, string) {
	t.Helper()
	reg := &registry{blobs: map[string][]byte{}, tags: map[string]string{}}
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	return reg, strings.TrimPrefix(server.URL, "http://") + "/shop/web"
}

func TestConformanceContainerAddress(t *testing.T) {
	e := dockertest.Start(t, dockertest.Options{})
	conform(t, e, pod.Host{Address: e.Address(), AddressMode: pod.AddressContainer})
}

func TestConformancePublishedPort(t *testing.T) {
	e := dockertest.Start(t, dockertest.Options{})
	conform(t, e, pod.Host{Address: e.Address(), AddressMode: pod.AddressPublished})
}

func TestConformanceTLS(t *testing.T) {
	e := dockertest.Start(t, dockertest.Options{Remote: true, TLS: true})
	conform(t, e, pod.Host{
		Address: e.TCP, TLS: pod.HostTLS{CA: e.TLS.CA, Cert: e.TLS.Cert, Key: e.TLS.Key}, Bind: "0.0.0.0",
	})
}

func TestConformanceSSH(t *testing.T) {
	e := dockertest.Start(t, dockertest.Options{Remote: true, SSH: true})
	t.Setenv("PATH", e.SSHPath+":"+os.Getenv("PATH"))
	conform(t, e, pod.Host{Address: e.SSH, Bind: e.IP})
}
