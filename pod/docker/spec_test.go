package docker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

func TestEndpointsByAddressMode(t *testing.T) {
	ports := map[string]int{"http": 80}
	at := reach{own: "172.17.0.5", published: map[int]string{80: "49153"}}
	for _, c := range []struct {
		name   string
		host   pod.Host
		direct bool
		at     reach
		want   string
	}{
		{"container", pod.Host{AddressMode: pod.AddressContainer}, false, at, "172.17.0.5:80"},
		{"published", pod.Host{AddressMode: pod.AddressPublished}, true, at, "127.0.0.1:49153"},
		{"auto, dialled directly", pod.Host{}, true, at, "172.17.0.5:80"},
		{"auto, elsewhere", pod.Host{}, false, at, "127.0.0.1:49153"},
		{"auto, published before", pod.Host{}, true, reach{published: at.published}, "127.0.0.1:49153"},
		{"published, not published before", pod.Host{AddressMode: pod.AddressPublished}, true, reach{own: "172.17.0.5"}, "172.17.0.5:80"},
		{"published, no way", pod.Host{AddressMode: pod.AddressPublished}, false, reach{own: "172.17.0.5"}, ""},
		{"advertise", pod.Host{AddressMode: pod.AddressPublished, Bind: "10.0.0.5", Advertise: "192.0.2.1"}, false, at, "192.0.2.1:49153"},
		{"bind", pod.Host{Address: "ssh://me@far", Bind: "10.0.0.5"}, false, at, "10.0.0.5:49153"},
		{"wildcard", pod.Host{Address: "ssh://me@far", Bind: "0.0.0.0"}, false, at, "far:49153"},
		{"wildcard v6", pod.Host{Address: "ssh://me@[2001:db8::1]:22", Bind: "::"}, false, at, "[2001:db8::1]:49153"},
		{"wildcard here", pod.Host{AddressMode: pod.AddressPublished, Bind: "0.0.0.0"}, false, at, "127.0.0.1:49153"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.host.Name, c.host.Runtime = "h", "docker"
			r := newFakeEngine().open(t, func(cfg *Config) { cfg.Host = c.host })
			assert.Equal(t, c.want, r.endpoints(ports, c.at, &facts{direct: c.direct})["http"])
		})
	}
}

func TestDirectOnlyOnTheBridgesOwnSubnet(t *testing.T) {
	bridge := network.Inspect{}
	bridge.IPAM.Config = []network.IPAMConfig{{Subnet: "172.17.0.0/16"}}
	assert.True(t, onSubnet([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("172.17.0.1")}, bridge))
	assert.False(t, onSubnet([]netip.Addr{netip.MustParseAddr("10.0.0.1")}, bridge))
	assert.False(t, onSubnet([]netip.Addr{netip.MustParseAddr("172.17.0.1")}, network.Inspect{}))
}

func TestSpecOfANode(t *testing.T) {
	r := newFakeEngine().open(t)
	s, err := r.spec(startRequest(func(q *pod.StartRequest) {
		q.Limits = pod.Limits{CPU: 8, Memory: 64 << 20, PIDs: 50}
		q.Workload.Security = pod.SecurityStrict
		q.Workload.Ports = map[string]int{"http": 80, "admin-api": 81}
		q.Workload.Env = map[string]string{"B": "2", "A": "1"}
		q.Workload.ExtraHosts = map[string]string{"db": "10.0.0.9"}
		q.Workload.Mounts = []pod.Mount{{Kind: pod.MountTmpfs, Target: "/tmp", Size: 1 << 20}, {Kind: pod.MountBind, Source: "/srv", Target: "/srv", ReadOnly: true}}
	}), &facts{cpus: 2})
	require.NoError(t, err)
	assert.Equal(t, int64(2e9), s.host.NanoCPUs, "not more than the engine has")
	assert.Equal(t, s.host.Memory, s.host.MemorySwap, "no swap")
	assert.Equal(t, int64(50), *s.host.PidsLimit)
	assert.Equal(t, []string{"A=1", "B=2", "ELASTIPOD_NODE=n1", "ELASTIPOD_POD=web", "PORT=80", "PORT_ADMIN_API=81", "PORT_HTTP=80"}, s.config.Env)
	assert.Equal(t, container.RestartPolicyDisabled, s.host.RestartPolicy.Name)
	assert.Empty(t, s.host.Tmpfs, "the workload has a /tmp of its own")
	assert.Equal(t, []string{"db:10.0.0.9"}, s.host.ExtraHosts)
	assert.Equal(t, "127.0.0.1", s.host.PortBindings["80/tcp"][0].HostIP)
	assert.Equal(t, map[string]int{"http": 80, "admin-api": 81}, portsOf(s.config.Labels))

	s, err = r.spec(startRequest(func(q *pod.StartRequest) { q.Workload.CapAdd = []string{"NET_RAW", "SYS_NICE"} }), &facts{direct: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"MKNOD", "AUDIT_WRITE"}, []string(s.host.CapDrop))
	assert.Empty(t, s.host.PortBindings, "nothing is published where containers are dialled")
}

func TestSecretsThatCannotBePlacedAreRefused(t *testing.T) {
	r := newFakeEngine().open(t)
	secret := func(target string, mounts ...pod.Mount) error {
		_, err := r.spec(startRequest(func(q *pod.StartRequest) {
			q.Workload.Secrets = []pod.Secret{{Name: "key", FromEnv: "X", Target: target}}
			q.Workload.Mounts = mounts
			q.Secrets = map[string]pod.SecretValue{"key": nil}
		}), &facts{})
		return err
	}
	require.NoError(t, secret("/etc/app/key"))
	require.ErrorIs(t, secret("/key"), pod.ErrUnsupported)
	require.ErrorIs(t, secret("/data/key", pod.Mount{Kind: pod.MountVolume, Source: "v", Target: "/data"}), pod.ErrUnsupported)
	_, err := r.spec(startRequest(func(q *pod.StartRequest) {
		q.Workload.Secrets = []pod.Secret{{Name: "key", FromEnv: "X", Target: "/run/secrets/key"}}
	}), &facts{})
	require.ErrorContains(t, err, "secret key: its content was not given")
}

// What inspect shows to everybody who may look: where a container belongs, and
// nothing that somebody set and may be secret. Credentials and the content of
// secrets are in no part of it.
func TestLabelsHoldNoSecret(t *testing.T) {
	r := newFakeEngine().open(t)
	s, err := r.spec(startRequest(func(q *pod.StartRequest) {
		q.Workload.Env = map[string]string{"PASSWORD": "canary"}
		q.Workload.Command = []string{"/web", "--password=canary"}
		q.Workload.Ports = map[string]int{"http": 80}
		q.Workload.Secrets = []pod.Secret{{Name: "key", FromFile: "/etc/key", Target: "/run/secrets/key"}}
		q.Secrets = map[string]pod.SecretValue{"key": pod.SecretValue("canary-content")}
	}), &facts{cpus: 2})
	require.NoError(t, err)
	for name, value := range s.config.Labels {
		assert.NotContains(t, value, "canary", name)
	}
	assert.Len(t, s.config.Labels, 7)
	assert.NotContains(t, fmt.Sprintf("%+v %+v %+v", s.config, s.host, s.config.Env), "canary-content")
}
