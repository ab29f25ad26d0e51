package pod

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestWithDefaults(t *testing.T) {
	s := Spec{Name: "web", Workload: Workload{Image: "nginx", Ports: map[string]int{"b": 2, "a": 1}, Secrets: []Secret{{Name: "k", FromEnv: "K"}}}}.WithDefaults()
	assert.Equal(t, KindService, s.Kind)
	assert.Equal(t, 10, s.MaxNodes)
	assert.Equal(t, 30*time.Second, s.Drain)
	assert.Equal(t, 10*time.Second, s.Grace)
	assert.Equal(t, Limits{CPU: 1, Memory: 256 << 20, PIDs: 1024}, s.Limits)
	assert.Equal(t, PullMissing, s.Workload.Pull)
	assert.Equal(t, SecurityDefault, s.Workload.Security)
	assert.Equal(t, Probe{Kind: ProbeTCP, Port: "a", Interval: time.Second, Timeout: time.Second, StartDeadline: time.Minute, LiveInterval: 5 * time.Second, Failures: 3}, s.Workload.Probe)
	assert.Equal(t, "/run/secrets/k", s.Workload.Secrets[0].Target)
	assert.Equal(t, s, s.WithDefaults(), "a second time changes nothing")

	assert.Equal(t, ProbeHTTP, Spec{Workload: Workload{Ports: map[string]int{"a": 1}, Probe: Probe{Path: "/x"}}}.WithDefaults().Workload.Probe.Kind)
	none := Spec{Workload: Workload{Command: []string{"x"}}}.WithDefaults().Workload
	assert.Equal(t, ProbeNone, none.Probe.Kind)
	assert.Empty(t, none.Pull, "nothing to pull")
}

func TestMainPort(t *testing.T) {
	for _, c := range []struct {
		ports []string
		probe string
		want  string
	}{
		{nil, "", ""},
		{[]string{"z", "b"}, "", "b"},
		{[]string{"z", "http", "b"}, "", "http"},
		{[]string{"z", "http", "b"}, "z", "z"},
	} {
		w := Workload{Ports: map[string]int{}, Probe: Probe{Port: c.probe}}
		for i, p := range c.ports {
			w.Ports[p] = i + 1
		}
		assert.Equal(t, c.want, w.MainPort())
	}
}

func TestCloneSharesNothing(t *testing.T) {
	a := good()
	b := a.Clone()
	assert.Equal(t, a, b)
	b.Hosts[0] = "x"
	w := &b.Workload
	w.Command[0], w.Entrypoint[0], w.Networks[0], w.CapAdd[0] = "x", "x", "x", "x"
	w.Env["COLOUR"], w.Ports["http"], w.ExtraHosts["host"] = "x", 1, "x"
	w.Mounts[0].Target, w.Secrets[0].Name = "x", "x"
	assert.Equal(t, good(), a)
}

func TestSecretValueIsRedacted(t *testing.T) {
	v := SecretValue("hunter2")
	r := StartRequest{Secrets: map[string]SecretValue{"k": v}}
	for _, s := range []string{fmt.Sprint(v), fmt.Sprintf("%s %q %v %+v %#v %x %X %d", v, v, v, v, v, v, v, v), fmt.Sprintf("%v %+v %#v", r, r, r)} {
		assert.NotContains(t, s, "hunter2")
		assert.NotContains(t, s, "68756e74657232", "nor in hexadecimal")
		assert.NotContains(t, s, "104 117", "nor as numbers")
	}
}

func TestReason(t *testing.T) {
	for want, e := range map[string]Exit{
		"exit code 0":                {},
		"exit code 1: no such table": {Code: 1, LastLog: []string{"x", "no such table", ""}},
		"killed by signal 9":         {Code: 137},
		"exit code 255":              {Code: 255},
		"out of memory (killed at its memory limit): last": {Code: 137, OOMKilled: true, LastLog: []string{"last"}},
	} {
		assert.Equal(t, want, e.Reason())
	}
}
