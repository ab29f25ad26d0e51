package pod

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestGoodHosts(t *testing.T) {
	for _, h := range []Host{
		{Name: "local", Runtime: "docker"},
		{Name: "local", Runtime: "process"},
		{Name: "local", Runtime: "docker", Address: "unix:///run/docker.sock", AddressMode: AddressPublished},
		{Name: "far", Runtime: "docker", Address: "tcp://10.0.0.5:2376", TLS: HostTLS{"ca", "cert", "key"}, Bind: "10.0.0.5"},
		{Name: "far", Runtime: "docker", Address: "tcp://10.0.0.5:2376", TLS: HostTLS{"ca", "cert", "key"}, AddressMode: AddressContainer},
		{Name: "far", Runtime: "docker", Address: "ssh://root@10.0.0.5", Bind: "0.0.0.0", Advertise: "far.example"},
		{Name: "near", Runtime: "docker", Address: "tcp://127.0.0.1:2375", Bind: "127.0.0.1"},
		{Name: "a", Runtime: "docker", Registries: map[string]RegistryAuth{"r.example": {Username: "u", PasswordEnv: "P"}}, CPUOvercommit: 1},
	} {
		assert.NoError(t, h.Validate(), "%+v", h)
		assert.NoError(t, h.WithDefaults().Validate(), "%+v", h)
	}
}

func TestBadHosts(t *testing.T) {
	tls := HostTLS{"ca", "cert", "key"}
	for _, c := range []struct {
		name string
		host Host
		want []string
	}{
		{"nothing", Host{}, []string{"name", "runtime"}},
		{"no scheme", Host{Name: "a", Runtime: "docker", Address: "10.0.0.5", Bind: "10.0.0.5"}, []string{"address"}},
		{"http", Host{Name: "a", Runtime: "docker", Address: "http://10.0.0.5", Bind: "10.0.0.5"}, []string{"address"}},
		{"tcp without host", Host{Name: "a", Runtime: "docker", Address: "tcp://", TLS: tls, Bind: "10.0.0.5"}, []string{"address"}},
		{"tcp without port", Host{Name: "a", Runtime: "docker", Address: "tcp://10.0.0.5", TLS: tls, Bind: "10.0.0.5"}, []string{"address"}},
		{"ssh without host", Host{Name: "a", Runtime: "docker", Address: "ssh://", Bind: "10.0.0.5"}, []string{"address"}},
		{"ssh option", Host{Name: "a", Runtime: "docker", Address: "ssh://-oProxyCommand=x", Bind: "10.0.0.5"}, []string{"address"}},
		{"ssh user option", Host{Name: "a", Runtime: "docker", Address: "ssh://-oProxyCommand=x@h", Bind: "10.0.0.5"}, []string{"address"}},
		{"unix without path", Host{Name: "a", Runtime: "docker", Address: "unix://"}, []string{"address"}},
		{"no TLS", Host{Name: "a", Runtime: "docker", Address: "tcp://10.0.0.5:2375", Bind: "10.0.0.5"}, []string{"tls"}},
		{"half TLS", Host{Name: "a", Runtime: "docker", Address: "tcp://10.0.0.5:2375", Bind: "10.0.0.5", TLS: HostTLS{CA: "x"}}, []string{"tls"}},
		{"capacity", Host{Name: "a", Runtime: "docker", Capacity: Resources{CPU: -1, Memory: -1}}, []string{"capacity.cpu", "capacity.memory"}},
		{"capacity NaN", Host{Name: "a", Runtime: "docker", Capacity: Resources{CPU: math.NaN()}}, []string{"capacity.cpu"}},
		{"capacity Inf", Host{Name: "a", Runtime: "docker", Capacity: Resources{CPU: math.Inf(1)}}, []string{"capacity.cpu"}},
		{"overcommit", Host{Name: "a", Runtime: "docker", CPUOvercommit: 0.5}, []string{"cpu_overcommit"}},
		{"overcommit NaN", Host{Name: "a", Runtime: "docker", CPUOvercommit: math.NaN()}, []string{"cpu_overcommit"}},
		{"mode", Host{Name: "a", Runtime: "docker", AddressMode: "magic"}, []string{"address_mode"}},
		{"bind", Host{Name: "a", Runtime: "docker", Bind: "eth0"}, []string{"bind"}},
		{"remote without bind", Host{Name: "a", Runtime: "docker", Address: "ssh://h"}, []string{"bind"}},
		{"remote on loopback", Host{Name: "a", Runtime: "docker", Address: "ssh://h", Bind: "127.0.0.1"}, []string{"bind"}},
		{"advertise", Host{Name: "a", Runtime: "docker", Advertise: "a b"}, []string{"advertise"}},
		{"advertise port", Host{Name: "a", Runtime: "docker", Advertise: "a:80"}, []string{"advertise"}},
		{"no password", Host{Name: "a", Runtime: "docker", Registries: map[string]RegistryAuth{"r": {}, "q": {}}}, []string{"registries.q", "registries.r"}},
		{"two passwords", Host{Name: "a", Runtime: "docker", Registries: map[string]RegistryAuth{"r": {PasswordEnv: "A", PasswordFile: "b"}}}, []string{"registries.r"}},
		{"all at once", Host{Runtime: "docker", Address: "x", Capacity: Resources{CPU: -1}, AddressMode: "x"}, []string{"name", "address", "capacity.cpu", "address_mode", "bind"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, faults(t, c.host.Validate()))
		})
	}
}

func TestHostDefaults(t *testing.T) {
	h := Host{Name: "a", Runtime: "docker"}.WithDefaults()
	assert.Equal(t, 8.0, h.CPUOvercommit)
	assert.Equal(t, AddressAuto, h.AddressMode)
	assert.Equal(t, "127.0.0.1", h.Bind)
	far := Host{Address: "ssh://h"}.WithDefaults()
	assert.Empty(t, far.Bind, "a remote host has no default")
}
