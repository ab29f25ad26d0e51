package wire_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

const podJSON = `{"name":"web","kind":"service","workload":{"image":"nginx:1.27","command":["a","b"],"env":{"A":"1"},` +
	`"ports":{"http":8080},"probe":{"http":"/healthz","interval":"1m"},"mounts":[{"type":"tmpfs","target":"/tmp","size":"1MB"}],` +
	`"secrets":[{"name":"key","env":"KEY"}]},"limits":{"cpu":0.5,"memory":"300MiB","pids":10},"max_nodes":15,"hosts":["local"],` +
	`"fronts":[{"name":"web","listen":"127.0.0.1:5100","port":"http","timeouts":{"connect":"200ms"},"retries":0}],"security":"default","drain":"30s"}`

// A pod reads and writes the same in JSON, and through YAML.
func TestPodReadsAsItWrites(t *testing.T) {
	var p wire.Pod
	d := json.NewDecoder(bytes.NewReader([]byte(podJSON)))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&p))
	back, err := json.Marshal(p)
	require.NoError(t, err)
	assert.JSONEq(t, podJSON, string(back))

	asYAML, err := yaml.Marshal(p)
	require.NoError(t, err)
	var q wire.Pod
	require.NoError(t, yaml.NewDecoder(bytes.NewReader(asYAML), yaml.Strict()).Decode(&q), "%s", asYAML)
	assert.Equal(t, p, q, "%s", asYAML)
}

func TestYAMLFaultsSayWhere(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"unit":          {"name: web\nlimits:\n  memory: 300 parsecs\n", "[3:11]"},
		"duration":      {"name: web\ndrain: 30\n", "[2:8]"},
		"zero":          {"name: web\nmax_nodes: 0\n", "[2:12]"},
		"cores":         {"name: web\nlimits: {cpu: -1}\n", "[2:15]"},
		"unknown field": {"name: web\nworkload:\n  imag: x\n", "[3:3]"},
	} {
		t.Run(name, func(t *testing.T) {
			var p wire.Pod
			err := yaml.NewDecoder(bytes.NewReader([]byte(c.in)), yaml.Strict()).Decode(&p)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestYAMLAliases(t *testing.T) {
	var pods []wire.Pod
	require.NoError(t, yaml.Unmarshal([]byte("- {name: a, drain: &d 5s, limits: {memory: &m 1GiB, cpu: &c 2}}\n- {name: b, drain: *d, limits: {memory: *m, cpu: *c}}\n"), &pods))
	assert.Equal(t, pods[0].Limits, pods[1].Limits)
	assert.Equal(t, pods[0].Drain, pods[1].Drain)
}

func TestPolicyInYAML(t *testing.T) {
	var e wire.Elasticity
	require.NoError(t, yaml.Unmarshal([]byte("enabled: true\npolicy:\n  kind: cooldown\n  down: 60s\n  policy: {kind: threshold, lower: 0.3, upper: 0.7, step: 2}\n"), &e))
	assert.JSONEq(t, `{"kind":"cooldown","down":"60s","policy":{"kind":"threshold","lower":0.3,"upper":0.7,"step":2}}`, e.Policy.String())
	out, err := yaml.Marshal(e)
	require.NoError(t, err)
	var back wire.Elasticity
	require.NoError(t, yaml.Unmarshal(out, &back))
	assert.Equal(t, e, back)
	assert.ErrorContains(t, yaml.Unmarshal([]byte("policy: threshold\n"), &e), "[1:9]")
}
