package wire_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
)

func TestPolicyInJSON(t *testing.T) {
	const text = `{"enabled":true,"policy":{"kind":"threshold","lower":0.30,"upper":0.7}}`
	var e wire.Elasticity
	require.NoError(t, json.Unmarshal([]byte("{\"enabled\": true,\n\t\"policy\": {\"kind\": \"threshold\", \"lower\": 0.30, \"upper\": 0.7}}"), &e))
	assert.Equal(t, `{"kind":"threshold","lower":0.30,"upper":0.7}`, e.Policy.String(), "as it was written, but for white space")
	back, err := json.Marshal(e)
	require.NoError(t, err)
	assert.JSONEq(t, text, string(back))

	before := e.Policy.String()
	require.NoError(t, json.Unmarshal([]byte(`{"policy":null}`), &e))
	assert.Equal(t, before, e.Policy.String(), "null leaves it as it is")
	for _, bad := range []string{`"threshold"`, `[]`, `7`, `true`} {
		assert.ErrorContains(t, json.Unmarshal([]byte(`{"policy":`+bad+`}`), &e), "is not a policy; use an object with a kind", bad)
	}
	none, err := json.Marshal(struct{ P wire.Policy }{})
	require.NoError(t, err)
	assert.Equal(t, `{"P":null}`, string(none))
}

func TestPolicyThatYAMLCannotSay(t *testing.T) {
	var e wire.Elasticity
	require.NoError(t, yaml.Unmarshal([]byte("policy: null\n"), &e))
	assert.Empty(t, e.Policy)
	assert.ErrorContains(t, yaml.Unmarshal([]byte("policy: {kind: threshold, upper: .inf}\n"), &e), "this cannot be a policy")
	none, err := yaml.Marshal(struct{ P wire.Policy }{})
	require.NoError(t, err)
	assert.Equal(t, "p: null\n", string(none))
	_, err = yaml.Marshal(struct{ P wire.Policy }{wire.Policy(`{"kind":`)})
	assert.Error(t, err)
}

func TestYAMLOfAnotherKind(t *testing.T) {
	for in, want := range map[string]string{
		"drain: [30s]\n":           "[1:8]",
		"drain: {seconds: 30}\n":   "[1:8]",
		"limits: {memory: [1]}\n":  "[1:18]",
		"max_nodes: 1.5\n":         "[1:12]",
		"limits: {cpu: .nan}\n":    "[1:15]",
		"drain: !!str x\n":         "is not such a duration",
		"limits: {memory: true}\n": "[1:18]",
	} {
		var p wire.Pod
		assert.ErrorContains(t, yaml.Unmarshal([]byte(in), &p), want, in)
	}
	var p wire.Pod
	require.NoError(t, yaml.Unmarshal([]byte("drain: !!str 30s\nlimits: {memory: ~, cpu: null}\nmax_nodes: \"3\"\n"), &p))
	assert.Equal(t, 30*time.Second, p.Drain.Std())
	assert.EqualValues(t, 3, p.MaxNodes)
	assert.Zero(t, p.Limits)
}
