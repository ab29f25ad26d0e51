package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/examples/server/dashboard"
)

// Problems are shown with a link to their pod, and say when the next try is, which
// goes on by itself while the server says nothing.
func TestProblems(t *testing.T) {
	t.Parallel()
	again := time.Now().Add(50 * time.Second)
	wrong := []wire.Problem{
		{Code: "start-failed", Pod: "web", Node: "n1", Host: "a", Text: "node n1 could not be started on host a: it exited; the next try is in 1h", Again: again},
		{Code: "stop-failed", Pod: "web", Node: "n2", Text: "node n2 cannot be stopped and removed yet: no; the next try is in 1h", Again: time.Now()},
		{Code: "host-unreachable", Host: "b", Text: "host b does not answer: no route; and so on"},
	}
	p := wire.Pod{Name: "web", Workload: wire.Workload{Command: []string{"x"}}, MaxNodes: 2, Status: &wire.PodStatus{
		State: "active", Revision: 3, Want: 1, Problems: wrong[:2], Elasticity: wire.Elasticity{Policy: wire.Policy(`{"kind":"threshold","lower":0.3,"upper":0.7}`)},
		Rollout: &wire.Rollout{State: "progressing", Strategy: "rolling", From: 2, To: 3, StartedAt: again},
	}}
	revisions := []wire.RevisionRecord{{Number: 2, At: again}, {Number: 3, At: again, Current: true, Digest: "sha256:0123456789abcdef"}}
	mux := http.NewServeMux()
	for path, v := range map[string]any{
		"/v1/cluster":          wire.Cluster{Name: "harbour", Problems: wrong},
		"/v1/hosts":            wire.List[wire.Host]{Items: []wire.Host{}},
		"/v1/pods":             wire.List[wire.Pod]{Items: []wire.Pod{p}},
		"/v1/pods/web":         p,
		"/v1/pods/web/rollout": wire.Rollouts{Rollout: p.Status.Rollout, Revisions: revisions},
		"/v1/pods/web/nodes":   wire.List[wire.Node]{Items: []wire.Node{{Name: "n1", Pod: "web", State: "online", Revision: 3, Digest: revisions[1].Digest}}},
		"/v1/balancer":         wire.Balancer{Fronts: []wire.FrontStats{}},
		"/v1/":                 wire.List[int]{Items: []int{}},
		"/v1/whoami":           wire.WhoAmI{Role: "operator"},
	} {
		body, err := json.Marshal(v)
		require.NoError(t, err)
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		})
	}
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, "retry: 1000\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	page, err := dashboard.New(serve.Page{Cluster: "harbour"})
	require.NoError(t, err)
	mux.Handle("GET /{$}", page)
	mux.Handle("GET "+serve.PagePrefix, page)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	b := open(t, server.URL)
	b.sees(".problems a", "web")
	b.text(".problems li", "web node n1 could not be started on host a: it exited; the next try is in ")
	b.text(".problems li", "host b does not answer: no route; and so on")
	assert.False(t, eval[bool](b, `document.querySelector('.problems').textContent.includes('1h')`), "what the text said is old")
	b.visit("#/pods/web")
	b.text(".problems li", "node n2 cannot be stopped and removed yet: no; it is tried again now")
	before := eval[string](b, `document.querySelector('.problems li').textContent`)
	assert.Regexp(t, `^node n1 .*; the next try is in [1-5]?[0-9] s$`, before)
	b.until(`document.querySelector('.problems li').textContent !== %s`, before)
	assert.False(t, eval[bool](b, `Boolean(document.querySelector('.problems a'))`), "it is the page of this pod")
	b.text(`section[aria-label="Rollout"] p`, "From revision 2 to revision 3, rolling")
	b.press(`section[aria-label="Rollout"] summary`, "What it ran")
	b.text(`section[aria-label="Rollout"] tbody`, "0123456789ab")
	b.text(`[aria-label="Nodes of web"] tbody`, "3 · 0123456789ab")
	assert.Equal(t, 2, eval[int](b, `document.querySelectorAll('.problems li').length`))
}
