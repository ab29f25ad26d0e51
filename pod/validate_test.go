package pod

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// good is a spec that uses every field.
func good() Spec {
	return Spec{
		Name: "web", Kind: KindService, MaxNodes: 15, Hosts: []string{"local", "far"},
		Drain: time.Minute, Grace: time.Second,
		Limits: Limits{CPU: 0.5, Memory: 300 << 20, PIDs: 100},
		Workload: Workload{
			Image: "registry.example:5000/team/web:1.27@sha256:" + strings.Repeat("a", 64), Pull: PullAlways,
			Entrypoint: []string{"/bin/run"}, Command: []string{"serve", ""},
			Env:        map[string]string{"COLOUR": "blue\n", "_x1": ""},
			Ports:      map[string]int{"http": 8080, "admin": 9090},
			Probe:      Probe{Kind: ProbeHTTP, Path: "/healthz?full=1", Port: "admin", Interval: time.Second, Timeout: time.Second, StartDeadline: time.Minute, LiveInterval: time.Minute, Failures: -1},
			Mounts:     []Mount{{Kind: MountVolume, Source: "data", Target: "/data"}, {Kind: MountBind, Source: "/etc/x", Target: "/x", ReadOnly: true}, {Kind: MountTmpfs, Target: "/tmp", Size: 1 << 20}},
			Secrets:    []Secret{{Name: "db.password", FromFile: "/etc/secret"}, {Name: "key", FromEnv: "KEY", Target: "/key"}},
			User:       "1000:www-data",
			Networks:   []string{"backend"},
			ExtraHosts: map[string]string{"db.example": "10.0.0.1", "host": "host-gateway", "six": "fd00::1"},
			CapAdd:     []string{"NET_BIND_SERVICE"},
			Security:   SecurityStrict,
		},
	}
}

// faults returns the paths of all faults, and checks that each is complete.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var list Faults
	require.True(t, errors.As(err, &list), "%T", err)
	var paths []string
	for _, f := range list {
		assert.NotEmpty(t, f.Problem, "%+v says what is wrong", f)
		assert.NotEmpty(t, f.Allowed, "%+v says what is allowed", f)
		assert.NotContains(t, f.String(), "%!", "formatted well")
		assert.Contains(t, err.Error(), f.String())
		paths = append(paths, f.Path)
	}
	return paths
}

func TestGoodSpecs(t *testing.T) {
	require.NoError(t, good().Validate())
	require.NoError(t, good().WithDefaults().Validate())
	for _, s := range []Spec{
		{Name: "a", Workload: Workload{Image: "nginx"}},
		{Name: "a-1", Workload: Workload{Command: []string{"./serve"}}},
		{Name: strings.Repeat("a", 40), Workload: Workload{Image: "nginx", Ports: map[string]int{"http": 1}, Probe: Probe{Kind: ProbeTCP}}},
		{Name: "j", Kind: KindJob, Workload: Workload{Image: "x", Probe: Probe{Kind: ProbeNone}}},
	} {
		assert.NoError(t, s.Validate())
		assert.NoError(t, s.WithDefaults().Validate(), "a good spec stays good with defaults")
	}
}

func TestBadSpecs(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Spec)
		want  []string
	}{
		{"no name", func(s *Spec) { s.Name = "" }, []string{"name"}},
		{"upper case", func(s *Spec) { s.Name = "Web" }, []string{"name"}},
		{"digit first", func(s *Spec) { s.Name = "1web" }, []string{"name"}},
		{"long name", func(s *Spec) { s.Name = strings.Repeat("a", 41) }, []string{"name"}},
		{"name with newline", func(s *Spec) { s.Name = "web\n" }, []string{"name"}},
		{"name with path", func(s *Spec) { s.Name = "web/../x" }, []string{"name"}},
		{"kind", func(s *Spec) { s.Kind = "daemon" }, []string{"kind"}},
		{"max below", func(s *Spec) { s.MaxNodes = -1 }, []string{"max_nodes"}},
		{"max above", func(s *Spec) { s.MaxNodes = 1001 }, []string{"max_nodes"}},
		{"host", func(s *Spec) { s.Hosts = []string{"a b"} }, []string{"hosts[0]"}},
		{"host twice", func(s *Spec) { s.Hosts = []string{"a", "a"} }, []string{"hosts[1]"}},
		{"drain", func(s *Spec) { s.Drain = -1 }, []string{"drain"}},
		{"long drain", func(s *Spec) { s.Drain = 2 * time.Hour }, []string{"drain"}},
		{"grace", func(s *Spec) { s.Grace = -1 }, []string{"grace"}},
		{"cpu", func(s *Spec) { s.Limits.CPU = -0.5 }, []string{"limits.cpu"}},
		{"little cpu", func(s *Spec) { s.Limits.CPU = 0.001 }, []string{"limits.cpu"}},
		{"cpu NaN", func(s *Spec) { s.Limits.CPU = math.NaN() }, []string{"limits.cpu"}},
		{"cpu Inf", func(s *Spec) { s.Limits.CPU = math.Inf(1) }, []string{"limits.cpu"}},
		{"memory", func(s *Spec) { s.Limits.Memory = 300 }, []string{"limits.memory"}},
		{"negative memory", func(s *Spec) { s.Limits.Memory = -1 }, []string{"limits.memory"}},
		{"pids", func(s *Spec) { s.Limits.PIDs = -1 }, []string{"limits.pids"}},
		{"nothing to run", func(s *Spec) { s.Workload = Workload{} }, []string{"workload"}},
		{"image", func(s *Spec) { s.Workload.Image = "nginx latest" }, []string{"workload.image"}},
		{"image option", func(s *Spec) { s.Workload.Image = "--privileged" }, []string{"workload.image"}},
		{"pull", func(s *Spec) { s.Workload.Pull = "often" }, []string{"workload.pull"}},
		{"empty program", func(s *Spec) { s.Workload.Command = []string{"", "x"} }, []string{"workload.command[0]"}},
		{"empty entrypoint", func(s *Spec) { s.Workload.Entrypoint = []string{""} }, []string{"workload.entrypoint[0]"}},
		{"NUL in argument", func(s *Spec) { s.Workload.Command = []string{"x", "a\x00b"} }, []string{"workload.command[1]"}},
		{"long argument", func(s *Spec) { s.Workload.Command = []string{"x", strings.Repeat("x", maxArgLength+1)} }, []string{"workload.command[1]"}},
		{"many arguments", func(s *Spec) { s.Workload.Command = make([]string, 1001); s.Workload.Command[0] = "x" }, []string{"workload.command"}},
		{"env name", func(s *Spec) { s.Workload.Env = map[string]string{"A=B": ""} }, []string{"workload.env"}},
		{"env NUL", func(s *Spec) { s.Workload.Env = map[string]string{"A": "\x00"} }, []string{"workload.env.A"}},
		{"env reserved", func(s *Spec) { s.Workload.Env = map[string]string{"PORT": "", "PORT_X": "", "ELASTIPOD_POD": ""} }, []string{"workload.env.ELASTIPOD_POD", "workload.env.PORT", "workload.env.PORT_X"}},
		{"env size", func(s *Spec) { s.Workload.Env = map[string]string{"A": strings.Repeat("x", maxEnvBytes)} }, []string{"workload.env"}},
		{"port 0", func(s *Spec) { s.Workload.Ports["admin"] = 0 }, []string{"workload.ports.admin"}},
		{"port 65536", func(s *Spec) { s.Workload.Ports["admin"] = 65536 }, []string{"workload.ports.admin"}},
		{"port twice", func(s *Spec) { s.Workload.Ports["admin"] = 8080 }, []string{"workload.ports.http"}},
		{"port name", func(s *Spec) { s.Workload.Ports["a_b"] = 1 }, []string{"workload.ports"}},
		{"many ports", func(s *Spec) {
			for i := range 31 {
				s.Workload.Ports[fmt.Sprintf("p%d", i)] = 100 + i
			}
		}, []string{"workload.ports"}},
		{"probe kind", func(s *Spec) { s.Workload.Probe = Probe{Kind: "exec"} }, []string{"workload.probe.kind"}},
		{"probe path", func(s *Spec) { s.Workload.Probe.Path = "healthz" }, []string{"workload.probe.http"}},
		{"probe healthcheck", func(s *Spec) {
			s.Workload.Image, s.Workload.Probe = "", Probe{Kind: ProbeHealthcheck, Failures: -2, LiveInterval: 2 * time.Hour}
		}, []string{"workload.probe.live_interval", "workload.probe.failures", "workload.probe.healthcheck"}},
		{"probe host", func(s *Spec) { s.Workload.Probe.Path = "//evil/healthz" }, []string{"workload.probe.http"}},
		{"probe header", func(s *Spec) { s.Workload.Probe.Path = "/x HTTP/1.1\r\nHost: y" }, []string{"workload.probe.http"}},
		{"probe without path", func(s *Spec) { s.Workload.Probe = Probe{Kind: ProbeHTTP} }, []string{"workload.probe.http"}},
		{"tcp with path", func(s *Spec) { s.Workload.Probe.Kind = ProbeTCP }, []string{"workload.probe"}},
		{"none with path", func(s *Spec) { s.Workload.Probe.Kind = ProbeNone }, []string{"workload.probe"}},
		{"probe port", func(s *Spec) { s.Workload.Probe.Port = "nope" }, []string{"workload.probe.port"}},
		{"nothing to probe", func(s *Spec) { s.Workload.Ports, s.Workload.Probe = nil, Probe{Path: "/x"} }, []string{"workload.probe"}},
		{"probe times", func(s *Spec) {
			p := &s.Workload.Probe
			p.Interval, p.Timeout, p.StartDeadline = -1, 2*time.Minute, 48*time.Hour
		}, []string{"workload.probe.interval", "workload.probe.timeout", "workload.probe.start_deadline"}},
		{"volume name", func(s *Spec) { s.Workload.Mounts[0].Source = "../x" }, []string{"workload.mounts[0].source"}},
		{"bind source", func(s *Spec) { s.Workload.Mounts[1].Source = "etc" }, []string{"workload.mounts[1].source"}},
		{"bind climbs", func(s *Spec) { s.Workload.Mounts[1].Source = "/etc/../root" }, []string{"workload.mounts[1].source"}},
		{"tmpfs source", func(s *Spec) { s.Workload.Mounts[2].Source = "x" }, []string{"workload.mounts[2].source"}},
		{"mount kind", func(s *Spec) { s.Workload.Mounts[0].Kind = "nfs" }, []string{"workload.mounts[0].type"}},
		{"mount size", func(s *Spec) { s.Workload.Mounts[0].Size = 1 }, []string{"workload.mounts[0].size"}},
		{"mount target", func(s *Spec) { s.Workload.Mounts[0].Target = "data" }, []string{"workload.mounts[0].target"}},
		{"mount on root", func(s *Spec) { s.Workload.Mounts[0].Target = "/" }, []string{"workload.mounts[0].target"}},
		{"mount twice", func(s *Spec) { s.Workload.Mounts[1].Target = "/data" }, []string{"workload.mounts[1].target"}},
		{"secret name", func(s *Spec) { s.Workload.Secrets[0].Name = "../x" }, []string{"workload.secrets[0].name"}},
		{"secret twice", func(s *Spec) { s.Workload.Secrets[1].Name = "db.password" }, []string{"workload.secrets[1].name"}},
		{"secret target twice", func(s *Spec) { s.Workload.Secrets[1].Target = "/run/secrets/db.password" }, []string{"workload.secrets[1].target"}},
		{"secret sources", func(s *Spec) { s.Workload.Secrets[0].FromEnv = "X" }, []string{"workload.secrets[0]"}},
		{"secret without source", func(s *Spec) { s.Workload.Secrets[0].FromFile = "" }, []string{"workload.secrets[0]"}},
		{"secret file", func(s *Spec) { s.Workload.Secrets[0].FromFile = "secret" }, []string{"workload.secrets[0].file"}},
		{"secret env", func(s *Spec) { s.Workload.Secrets[1].FromEnv = "1X" }, []string{"workload.secrets[1].env"}},
		{"secret target", func(s *Spec) { s.Workload.Secrets[1].Target = "key" }, []string{"workload.secrets[1].target"}},
		{"long image", func(s *Spec) { s.Workload.Image = strings.Repeat("a", 256) }, []string{"workload.image"}},
		{"long secret", func(s *Spec) { s.Workload.Secrets[1].Name = strings.Repeat("a", 65) }, []string{"workload.secrets[1].name"}},
		{"user", func(s *Spec) { s.Workload.User = "a b" }, []string{"workload.user"}},
		{"user colon", func(s *Spec) { s.Workload.User = "a:" }, []string{"workload.user"}},
		{"network", func(s *Spec) { s.Workload.Networks = []string{"host net"} }, []string{"workload.networks[0]"}},
		{"host network", func(s *Spec) { s.Workload.Networks = []string{"a", "host"} }, []string{"workload.networks[1]"}},
		{"extra host", func(s *Spec) { s.Workload.ExtraHosts = map[string]string{"a b": "10.0.0.1"} }, []string{"workload.extra_hosts"}},
		{"extra host address", func(s *Spec) { s.Workload.ExtraHosts = map[string]string{"a": "b"} }, []string{"workload.extra_hosts.a"}},
		{"capability", func(s *Spec) { s.Workload.CapAdd = []string{"CAP_NET_ADMIN"} }, []string{"workload.cap_add[0]"}},
		{"security", func(s *Spec) { s.Workload.Security = "none" }, []string{"workload.security"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.spoil(&s)
			assert.Equal(t, c.want, faults(t, s.Validate()))
		})
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	s := good()
	s.Name, s.Kind, s.MaxNodes, s.Limits.CPU = "", "x", -1, -1
	s.Workload.Image, s.Workload.User = " ", " "
	s.Workload.Ports["admin"] = 0
	assert.ElementsMatch(t, []string{
		"name", "kind", "max_nodes", "limits.cpu", "workload.image", "workload.user", "workload.ports.admin",
	}, faults(t, s.Validate()))
}
