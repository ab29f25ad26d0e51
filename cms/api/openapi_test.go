package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

// documented returns "METHOD /path" of each operation in the document that is
// served.
func documented(t *testing.T, a *api.API) []string {
	t.Helper()
	r := call(t, a, "GET", "/openapi.json", nil)
	require.Equal(t, 200, r.StatusCode)
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.NewDecoder(r.Body).Decode(&doc))
	assert.True(t, strings.HasPrefix(doc.OpenAPI, "3.1"), doc.OpenAPI)
	var all []string
	for path, item := range doc.Paths {
		for method := range item {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

func TestEveryRouteIsDocumentedAndViceVersa(t *testing.T) {
	a := newAPI(t, newFake())
	served := slices.Sorted(slices.Values(a.Served()))
	assert.Equal(t, served, documented(t, a))
	for _, must := range []string{
		"GET /v1/cluster", "POST /v1/cluster/init", "GET /v1/whoami", "GET /v1/policies",
		"GET /v1/hosts", "POST /v1/hosts", "GET /v1/hosts/{host}", "PATCH /v1/hosts/{host}", "DELETE /v1/hosts/{host}",
		"GET /v1/pods", "POST /v1/pods", "GET /v1/pods/{pod}", "PATCH /v1/pods/{pod}", "PUT /v1/pods/{pod}", "DELETE /v1/pods/{pod}",
		"GET /v1/pods/{pod}/nodes", "POST /v1/pods/{pod}/nodes", "GET /v1/pods/{pod}/nodes/{node}", "DELETE /v1/pods/{pod}/nodes/{node}",
		"GET /v1/pods/{pod}/nodes/{node}/logs", "POST /v1/pods/{pod}/launch", "POST /v1/pods/{pod}/restart", "POST /v1/pods/{pod}/pause", "POST /v1/pods/{pod}/resume",
		"GET /v1/pods/{pod}/elasticity", "PUT /v1/pods/{pod}/elasticity", "PATCH /v1/pods/{pod}/elasticity", "DELETE /v1/pods/{pod}/elasticity",
		"GET /v1/pods/{pod}/decisions", "GET /v1/pods/{pod}/metrics", "GET /v1/balancer", "GET /v1/events", "POST /v1/reload", "GET /v1/backup", "POST /v1/restore",
		"GET /healthz", "GET /readyz", "GET /metrics", "GET /openapi.json", "GET /docs",
	} {
		assert.Contains(t, served, must)
	}
}

// Every reference of the document leads somewhere.
func TestReferencesResolve(t *testing.T) {
	a := newAPI(t, newFake())
	data, err := io.ReadAll(call(t, a, "GET", "/openapi.json", nil).Body)
	require.NoError(t, err)
	refs := regexp.MustCompile(`"\$ref":"([^"]+)"`).FindAllSubmatch(data, -1)
	require.NotEmpty(t, refs)
	for _, ref := range refs {
		assert.NotNil(t, a.OpenAPI().Components.Schemas.SchemaFromRef(string(ref[1])), "%s", ref[1])
	}
}

// success drives each operation once, in this order, against one manager.
var success = []struct {
	op     string
	path   string
	body   string
	status int
}{
	{"GET /v1/cluster", "/v1/cluster", "", 200},
	{"GET /v1/whoami", "/v1/whoami", "", 200},
	{"POST /v1/cluster/init", "/v1/cluster/init", "", 200},
	{"GET /v1/policies", "/v1/policies?limit=2", "", 200},
	{"GET /v1/balancer", "/v1/balancer?pod=web", "", 200},
	{"GET /v1/pods", "/v1/pods?limit=1", "", 200},
	{"POST /v1/pods", "/v1/pods", `{"name":"api","workload":{"image":"x","ports":{"http":80}},"limits":{"memory":"1GB","cpu":2},"fronts":[{"listen":"127.0.0.1:5200","retries":0}]}`, 201},
	{"GET /v1/pods/{pod}", "/v1/pods/web", "", 200},
	{"PUT /v1/pods/{pod}", "/v1/pods/api", `{"workload":{"image":"y"}}`, 202},
	{"PATCH /v1/pods/{pod}", "/v1/pods/web", `{"max_nodes":9}`, 202},
	{"POST /v1/pods/{pod}/restart", "/v1/pods/web/restart", "", 202},
	{"POST /v1/pods/{pod}/pause", "/v1/pods/web/pause", "", 202},
	{"POST /v1/pods/{pod}/resume", "/v1/pods/web/resume", "", 200},
	{"GET /v1/pods/{pod}/nodes", "/v1/pods/web/nodes?limit=2", "", 200},
	{"POST /v1/pods/{pod}/nodes", "/v1/pods/web/nodes", `{"name":"own"}`, 201},
	{"POST /v1/pods/{pod}/launch", "/v1/pods/web/launch", "", 202},
	{"GET /v1/pods/{pod}/nodes/{node}", "/v1/pods/web/nodes/web-1", "", 200},
	{"GET /v1/pods/{pod}/nodes/{node}/logs", "/v1/pods/web/nodes/web-1/logs?tail=5", "", 200},
	{"DELETE /v1/pods/{pod}/nodes/{node}", "/v1/pods/web/nodes/web-1", "", 202},
	{"GET /v1/pods/{pod}/elasticity", "/v1/pods/web/elasticity", "", 200},
	{"PUT /v1/pods/{pod}/elasticity", "/v1/pods/web/elasticity", `{"enabled":true,"min":1,"max":5,"mode":"dry-run","policy":{"kind":"threshold","lower":0.2,"upper":0.8}}`, 200},
	{"PATCH /v1/pods/{pod}/elasticity", "/v1/pods/web/elasticity", `{"max":6}`, 200},
	{"DELETE /v1/pods/{pod}/elasticity", "/v1/pods/web/elasticity", "", 200},
	{"GET /v1/pods/{pod}/decisions", "/v1/pods/web/decisions?limit=5", "", 200},
	{"GET /v1/pods/{pod}/metrics", "/v1/pods/web/metrics?since=2020-01-01T00:00:00Z", "", 200},
	{"GET /v1/pods/{pod}/rollout", "/v1/pods/web/rollout", "", 200},
	{"POST /v1/pods/{pod}/rollout/pause", "/v1/pods/web/rollout/pause", "", 200},
	{"POST /v1/pods/{pod}/rollout/resume", "/v1/pods/web/rollout/resume", "", 202},
	{"POST /v1/pods/{pod}/rollout/undo", "/v1/pods/web/rollout/undo", `{"revision":1}`, 200},
	{"GET /v1/hosts", "/v1/hosts", "", 200},
	{"POST /v1/hosts", "/v1/hosts", `{"name":"far","runtime":"docker","address":"ssh://me@far","bind":"10.0.0.5","capacity":{"memory":"2GiB"}}`, 201},
	{"GET /v1/hosts/{host}", "/v1/hosts/far", "", 200},
	{"PATCH /v1/hosts/{host}", "/v1/hosts/far", `{"cordoned":true}`, 200},
	{"DELETE /v1/hosts/{host}", "/v1/hosts/far?drain=true", "", 200},
	{"GET /v1/webhooks", "/v1/webhooks", "", 200},
	{"POST /v1/webhooks/{webhook}/test", "/v1/webhooks/chat/test", "", 200},
	{"DELETE /v1/pods/{pod}", "/v1/pods/web", "", 202},
	{"GET /v1/events", "/v1/events", "", 200},
	{"POST /v1/reload", "/v1/reload?dry_run=true", "", 200},
	{"GET /v1/backup", "/v1/backup", "", 200},
	{"POST /v1/restore", "/v1/restore?dry_run=true&any_cluster=true", "the backup", 200},
	{"GET /healthz", "/healthz", "", 200},
	{"GET /readyz", "/readyz", "", 200},
	{"GET /metrics", "/metrics", "", 200},
	{"GET /openapi.json", "/openapi.json", "", 200},
	{"GET /docs", "/docs", "", 200},
	{"GET /docs/{file}", "/docs/swagger-ui-bundle.js", "", 200},
}

// Each operation answers as the document says: status, media type and schema.
func TestAnswersAreAsDocumented(t *testing.T) {
	f := newFake()
	a := newAPI(t, f, func(c *api.Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, "up 1\n")
		})
		c.Reload = func(context.Context, bool) (wire.Reload, error) {
			return wire.Reload{Changed: []wire.ReloadChange{{Path: "log.level", From: "info", To: "debug", Applied: true}}}, nil
		}
	})
	a.SetSubscribe(func(uint64, int) api.Subscription {
		tick := f.pods["web"].LastTick
		s := newStream(cms.Event{ID: 1, At: at, Type: cms.EventScaled, Pod: "web", Message: "CPU", Tick: tick})
		s.end <- cms.ErrNotRunning
		return s
	})
	var driven []string
	for _, c := range success {
		driven = append(driven, c.op)
		t.Run(c.op, func(t *testing.T) {
			method, path, _ := strings.Cut(c.op, " ")
			var body any
			headers := []string{}
			switch {
			case c.op == "POST /v1/restore":
				body, headers = c.body, []string{"Content-Type", wire.BackupType}
			case c.body != "":
				body = c.body
				checkRequest(t, a, method, path, c.body)
			}
			r := call(t, a, method, c.path, body, headers...)
			data, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			require.Equal(t, c.status, r.StatusCode, "%s", data)
			checkAnswer(t, a, method, path, r, data)
		})
	}
	assert.ElementsMatch(t, documented(t, a), driven, "every operation is driven")
}

// checkRequest holds a body that works against the document's schema of bodies.
func checkRequest(t *testing.T, a *api.API, method, path, body string) {
	t.Helper()
	op := api.OperationAt(a.OpenAPI(), method, path)
	require.NotNil(t, op.RequestBody, "a body is documented")
	if method == "PUT" && !strings.Contains(body, `"name"`) && strings.HasSuffix(path, "{pod}") {
		return // the path says the name
	}
	checkSchema(t, a, op.RequestBody.Content["application/json"].Schema, []byte(body), huma.ModeWriteToServer)
}

func checkAnswer(t *testing.T, a *api.API, method, path string, r *http.Response, data []byte) {
	t.Helper()
	op := api.OperationAt(a.OpenAPI(), method, path)
	require.NotNil(t, op)
	response := op.Responses[strconv.Itoa(r.StatusCode)]
	require.NotNil(t, response, "status %d is documented", r.StatusCode)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	require.NoError(t, err)
	content := response.Content[media]
	if any := response.Content["*/*"]; content == nil && any != nil {
		return
	}
	require.NotNil(t, content, "media type %s is documented", media)
	switch {
	case media == "text/event-stream":
		for line := range strings.Lines(string(data)) {
			if event, ok := strings.CutPrefix(line, "data: "); ok {
				checkSchema(t, a, content.Schema, []byte(event), huma.ModeReadFromServer)
			}
		}
		assert.Contains(t, string(data), "data: ")
	case strings.HasSuffix(media, "json"):
		checkSchema(t, a, content.Schema, data, huma.ModeReadFromServer)
	}
}

func checkSchema(t *testing.T, a *api.API, s *huma.Schema, data []byte, mode huma.ValidateMode) {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(data, &v), "%s", data)
	var res huma.ValidateResult
	huma.Validate(a.OpenAPI().Components.Schemas, s, huma.NewPathBuffer([]byte{}, 0), mode, v, &res)
	assert.Empty(t, res.Errors, "%s", data)
}

// Every status of failure that an operation is documented with has the schema of
// a problem, and problems are as that schema says.
func TestProblemsAreAsDocumented(t *testing.T) {
	a := newAPI(t, newFake())
	for path, item := range a.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "PATCH": item.Patch, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			for status, response := range op.Responses {
				if status >= "400" {
					assert.Equal(t, "#/components/schemas/ProblemDetails", response.Content["application/problem+json"].Schema.Ref, "%s %s %s", method, path, status)
				}
			}
		}
	}
	for _, c := range []struct{ method, path, op, body string }{
		{"GET", "/v1/pods/nix", "/v1/pods/{pod}", ""},
		{"POST", "/v1/pods", "/v1/pods", `{"name":1}`},
		{"POST", "/v1/pods", "/v1/pods", `{`},
		{"POST", "/v1/pods", "/v1/pods", `{"name":"web","workload":{"command":["x"]}}`},
		{"GET", "/v1/pods?limit=x", "/v1/pods", ""},
		{"GET", "/v1/pods?nix=1", "/v1/pods", ""},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		r := call(t, a, c.method, c.path, body)
		data, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.GreaterOrEqual(t, r.StatusCode, 400, fmt.Sprint(c))
		checkAnswer(t, a, c.method, c.op, r, data)
	}
}
