package docker_test

import (
	"os"
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
	podtest.Run(t, podtest.Harness{
		Open: func(t *testing.T, c pod.Cluster) pod.Runtime {
			rt, err := docker.New(docker.Config{Cluster: c, Host: h})
			require.NoError(t, err)
			return rt
		},
		Workload:    func(args ...string) pod.Workload { return pod.Workload{Image: helperImage, Command: args} },
		Missing:     pod.Workload{Image: "127.0.0.1:1/no/such-image:1"},
		Unsupported: map[string]pod.Workload{"no image": {Command: []string{"/bin/true"}}},
		Slack:       20 * time.Second,
	})
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
