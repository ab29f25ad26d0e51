package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
)

// Every kind that can be chosen is told with its settings, so that a form can be
// made of them.
func TestPolicies(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	require.NoError(t, f.Policies().Register(elastic.Kind{Name: "untold", New: func(json.RawMessage, *elastic.Registry) (elastic.Policy, error) {
		return elastic.Threshold{Lower: 0.1, Upper: 0.9}, nil
	}}))
	r := call(t, a, "GET", "/v1/policies", nil)
	require.Equal(t, 200, r.StatusCode)
	var list wire.List[wire.PolicyKind]
	require.NoError(t, json.NewDecoder(r.Body).Decode(&list))
	kinds := map[string]wire.PolicyKind{}
	for _, k := range list.Items {
		kinds[k.Kind] = k
	}
	require.Len(t, kinds, len(f.Policies().Kinds()))
	threshold := kinds["threshold"]
	assert.NotEmpty(t, threshold.Summary)
	assert.Equal(t, []any{"lower", "upper"}, threshold.Schema["required"])
	wrapped := kinds["cooldown"].Schema["properties"].(map[string]any)["policy"].(map[string]any)
	assert.Equal(t, "#/$defs/policy", wrapped["$ref"])
	assert.Equal(t, map[string]any{}, kinds["untold"].Schema)
}
