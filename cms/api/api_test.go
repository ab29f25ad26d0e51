package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newAPI(t *testing.T, f *fake, change ...func(*api.Config)) *api.API {
	t.Helper()
	c := api.Config{Manager: f, Version: "1.2.3", Webhooks: chat{}}
	for _, do := range change {
		do(&c)
	}
	a, err := api.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	return a
}

// call sends one request and returns the answer. A body that is a string goes as
// it is, any other as JSON.
func call(t *testing.T, a *api.API, method, target string, body any, headers ...string) *http.Response {
	t.Helper()
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		require.NoError(t, err)
		content = bytes.NewReader(data)
	}
	r := httptest.NewRequest(method, target, content)
	r.Host = "localhost:3000"
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w.Result()
}

func read[T any](t *testing.T, r *http.Response) T {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	var v T
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&v), "%s", data)
	return v
}

func problemOf(t *testing.T, r *http.Response) wire.ProblemDetails {
	t.Helper()
	require.Equal(t, wire.ProblemType, r.Header.Get("Content-Type"))
	p := read[wire.ProblemDetails](t, r)
	assert.Equal(t, r.StatusCode, p.Status)
	assert.NotEmpty(t, p.Detail)
	return p
}

func TestNewTellsEveryFault(t *testing.T) {
	_, err := api.New(api.Config{Tokens: []api.Token{{Role: "root", Secret: "short"}}, Heartbeat: -1, WriteTimeout: -1, MaxStreams: -1})
	require.Error(t, err)
	for _, part := range []string{"Manager", "Tokens[0].Name", "Tokens[0].Role", "Tokens[0].Secret", "Heartbeat", "WriteTimeout", "MaxStreams"} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "short\"")
}

func TestPodLife(t *testing.T) {
	f := newFake()
	a := newAPI(t, f)
	r := call(t, a, "POST", "/v1/pods", wire.Pod{Name: "api", Workload: wire.Workload{Image: "x", Ports: map[string]int{"http": 80}}})
	require.Equal(t, 201, r.StatusCode)
	assert.Equal(t, "/v1/pods/api", r.Header.Get("Location"))
	p := read[wire.Pod](t, r)
	assert.Equal(t, wire.Count(10), p.MaxNodes, "defaults are filled in")
	assert.Equal(t, "active", p.Status.State)

	list := read[wire.List[wire.Pod]](t, call(t, a, "GET", "/v1/pods", nil))
	require.Len(t, list.Items, 2)

	r = call(t, a, "PATCH", "/v1/pods/api", `{"max_nodes":7,"workload":{"probe":{"http":"/up"}}}`)
	require.Equal(t, 202, r.StatusCode, "its nodes are being replaced")
	p = read[wire.Pod](t, r)
	assert.Equal(t, wire.Count(7), p.MaxNodes)
	failures := 3
	assert.Equal(t, wire.Probe{
		HTTP: "/up", Port: "http", Interval: wire.Duration(time.Second), Timeout: wire.Duration(time.Second), StartDeadline: wire.Duration(time.Minute),
		LiveInterval: wire.Duration(5 * time.Second), Failures: &failures,
	}, p.Workload.Probe)

	r = call(t, a, "DELETE", "/v1/pods/api", nil)
	require.Equal(t, 202, r.StatusCode)
	assert.Equal(t, "deleting", read[wire.Pod](t, r).Status.State)
}
