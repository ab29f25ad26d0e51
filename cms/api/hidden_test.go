package api_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
)

// Who may not set the environment of a pod may not read it either, and what such
// a reader saw is not taken for a value.
func TestOnlyOperatorsReadTheEnvironment(t *testing.T) {
	f := newFake()
	web := f.pods["web"]
	web.Spec.Workload.Env = map[string]string{"DB_PASSWORD": "hunter2-canary"}
	web.Revisions = []cms.RevisionRecord{{Number: 1, Workload: web.Spec.Workload}}
	f.pods["web"] = web
	read := func(a *api.API, path string, headers ...string) string {
		r := call(t, a, "GET", path, nil, headers...)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, 200, r.StatusCode, "%s", body)
		return string(body)
	}
	tokens := []api.Token{{Name: "o", Role: api.Operator, Secret: "operator-operator"}, {Name: "c", Role: api.Client, Secret: "client-client-client"}, {Name: "v", Role: api.Viewer, Secret: "viewer-viewer-viewer"}}
	closed := newAPI(t, f, func(c *api.Config) { c.Tokens = tokens })
	for _, path := range []string{"/v1/pods", "/v1/pods/web", "/v1/pods/web/rollout"} {
		assert.Contains(t, read(newAPI(t, f), path), "hunter2-canary", "%s of a server without tokens", path)
		assert.Contains(t, read(closed, path, "Authorization", "Bearer operator-operator"), "hunter2-canary", path)
		for _, secret := range []string{"client-client-client", "viewer-viewer-viewer"} {
			body := read(closed, path, "Authorization", "Bearer "+secret)
			assert.NotContains(t, body, "hunter2-canary", path)
			assert.Contains(t, body, `"DB_PASSWORD":"[redacted]"`, path)
		}
	}
	assert.Equal(t, "hunter2-canary", f.pods["web"].Spec.Workload.Env["DB_PASSWORD"], "nothing was changed")
	r := call(t, closed, "PATCH", "/v1/pods/web", `{"workload":{"env":{"DB_PASSWORD":"[redacted]"}}}`, "Authorization", "Bearer operator-operator")
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	assert.Equal(t, 422, r.StatusCode)
	assert.Contains(t, string(body), "workload.env.DB_PASSWORD")
	assert.Contains(t, string(body), "token of an operator")
}
