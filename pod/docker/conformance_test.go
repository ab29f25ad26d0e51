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
	missing := pod.Workload{Image: "no/such-image:1", Pull: pod.PullNever}
	var images registryImages
	if h.Bind == "" { // a remote engine does not reach the test's registry
		images = fetchableImages(t)
		missing = pod.Workload{Image: images.name + ":no-such-tag"}
	}
	api, err := e.Client()
	require.NoError(t, err)
	defer api.Close()
	podtest.Run(t, podtest.Harness{
		Open: func(t *testing.T, c pod.Cluster) pod.Runtime {
			rt, err := docker.New(docker.Config{Cluster: c, Host: h})
			require.NoError(t, err)
			return rt
		},
		Workload:    func(args ...string) pod.Workload { return pod.Workload{Image: helperImage, Command: args} },
		Missing:     missing,
		Unsupported: map[string]pod.Workload{"no image": {Command: []string{"/bin/true"}}},
		Fetchable:   images.fetchable,
		MoveTag:     images.move,
		Freeze: func(t *testing.T, n pod.Node, on bool) {
			if on {
				require.NoError(t, api.ContainerPause(t.Context(), n.Handle))
			} else {
				require.NoError(t, api.ContainerUnpause(t.Context(), n.Handle))
			}
		},
		Slack: 20 * time.Second,
	})
}

// registryImages are images of a registry for the suite.
type registryImages struct {
	name      string // of the repository
	fetchable func(t *testing.T, args ...string) pod.Workload
	move      func(t *testing.T, w pod.Workload)
}

// fetchableImages serves images of the helper, each of another content.
func fetchableImages(t *testing.T) registryImages {
	t.Helper()
	binary, err := os.ReadFile(helper)
	require.NoError(t, err)
	reg, name := serveRegistry(t)
	return registryImages{
		name: name,
		fetchable: func(t *testing.T, args ...string) pod.Workload {
			tag := strconv.Itoa(len(reg.tags) + 1)
			reg.add(t, tag, map[string][]byte{"app": binary, "tag": []byte(tag)})
			return pod.Workload{Image: name + ":" + tag, Command: args}
		},
		move: func(t *testing.T, w pod.Workload) {
			_, tag, _ := strings.Cut(w.Image, name+":")
			reg.add(t, tag, map[string][]byte{"app": binary, "tag": []byte(tag + " moved")})
		},
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
