package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/balancer/balancertest"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/podtest"
)

const operatorSecret = "operator-secret-0123456789"

func tracedAPI(t *testing.T, f *fake) (*api.API, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	return newAPI(t, f, func(c *api.Config) {
		c.Tokens = []api.Token{{Name: "ops", Role: api.Operator, Secret: operatorSecret}, {Name: "wall", Role: api.Viewer, Secret: "viewer-secret-0123456789"}}
		c.Metrics = http.NotFoundHandler()
		c.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	}), recorder
}

func attributesOf(s sdktrace.ReadOnlySpan) map[string]string {
	out := map[string]string{}
	for _, kv := range s.Attributes() {
		out[string(kv.Key)] = kv.Value.String()
	}
	return out
}

// lastSpan returns the only span since the last call.
func lastSpan(t *testing.T, r *tracetest.SpanRecorder) sdktrace.ReadOnlySpan {
	t.Helper()
	all := r.Ended()
	require.Len(t, all, 1)
	r.Reset()
	return all[0]
}

func TestSpanOfARequest(t *testing.T) {
	f := newFake()
	a, recorder := tracedAPI(t, f)
	bearer := []string{"Authorization", "Bearer " + operatorSecret}

	call(t, a, "POST", "/v1/pods/web/pause?wait=1ms", nil, append(bearer, "User-Agent", "cloud/1", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")...)
	s := lastSpan(t, recorder)
	assert.Equal(t, "POST /v1/pods/{pod}/pause", s.Name())
	assert.Equal(t, trace.SpanKindServer, s.SpanKind())
	assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", s.SpanContext().TraceID().String(), "the caller's trace goes on")
	assert.Equal(t, "b7ad6b7169203331", s.Parent().SpanID().String())
	attrs := attributesOf(s)
	assert.NotEmpty(t, attrs["elastipod.request_id"], "by which the audit tells of it")
	delete(attrs, "elastipod.request_id")
	assert.Equal(t, map[string]string{
		"http.request.method": "POST", "http.route": "/v1/pods/{pod}/pause", "http.response.status_code": "202",
		"url.scheme": "http", "network.protocol.version": "1.1", "client.address": "192.0.2.1", "user_agent.original": "cloud/1",
		"user.name": "ops", "user.roles": `["operator"]`, "elastipod.pod": "web",
	}, attrs)
	assert.Equal(t, codes.Unset, s.Status().Code)

	// Neither what was sent as a path nor a secret is told.
	call(t, a, "GET", "/v1/pods/not-there", nil, bearer...)
	s = lastSpan(t, recorder)
	assert.Equal(t, "GET /v1/pods/{pod}", s.Name())
	assert.Equal(t, "404", attributesOf(s)["http.response.status_code"])
	assert.Equal(t, codes.Unset, s.Status().Code, "a mistake of the client's is no error of the server's")
	call(t, a, "GET", "/v1/pods/Sneaky%20Name", nil, bearer...)
	assert.NotContains(t, attributesOf(lastSpan(t, recorder)), "elastipod.pod")
	call(t, a, "GET", "/nowhere/at/all", nil)
	s = lastSpan(t, recorder)
	assert.Equal(t, "GET", s.Name())
	assert.NotContains(t, attributesOf(s), "http.route")
	call(t, a, "BREW", "/v1/pods", nil)
	s = lastSpan(t, recorder)
	assert.Equal(t, []string{"HTTP", "_OTHER", "405"}, []string{s.Name(), attributesOf(s)["http.request.method"], attributesOf(s)["http.response.status_code"]})

	// Who may not is told by name; who is nobody is not.
	call(t, a, "DELETE", "/v1/pods/web", nil, "Authorization", "Bearer viewer-secret-0123456789")
	attrs = attributesOf(lastSpan(t, recorder))
	assert.Equal(t, []string{"403", "wall", `["viewer"]`}, []string{attrs["http.response.status_code"], attrs["user.name"], attrs["user.roles"]})
	call(t, a, "DELETE", "/v1/pods/web", nil, "Authorization", "Bearer a-secret-of-somebody-else")
	s = lastSpan(t, recorder)
	assert.NotContains(t, attributesOf(s), "user.name")
	for _, v := range attributesOf(s) {
		assert.NotContains(t, v, "somebody-else")
	}
}

func TestSpanOfWhatFails(t *testing.T) {
	f := newFake()
	a, recorder := tracedAPI(t, f)
	f.fail["Pause"] = errors.New("disk full")
	call(t, a, "POST", "/v1/pods/web/pause", nil, "Authorization", "Bearer "+operatorSecret)
	s := lastSpan(t, recorder)
	assert.Equal(t, codes.Error, s.Status().Code)
	assert.Equal(t, "500", attributesOf(s)["error.type"])
}

func TestNoSpanOfWhatMachinesAskAllTheTime(t *testing.T) {
	a, recorder := tracedAPI(t, newFake())
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		call(t, a, "GET", path, nil, "Authorization", "Bearer "+operatorSecret)
	}
	assert.Empty(t, recorder.Ended())
}

// A stream is flushed, and its span ends when it does.
func TestSpanOfAStream(t *testing.T) {
	a, recorder := tracedAPI(t, newFake())
	a.SetSubscribe(func(uint64, int) api.Subscription { return newStream() })
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/events", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+operatorSecret)
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, err = answer.Body.Read(make([]byte, 10))
	require.NoError(t, err, "what was written has been flushed")
	assert.Empty(t, recorder.Ended())
	cancel()
	require.Eventually(t, func() bool { return len(recorder.Ended()) == 1 }, 10*time.Second, time.Millisecond)
	attrs := attributesOf(recorder.Ended()[0])
	assert.Equal(t, []string{"200", "client_gone"}, []string{attrs["http.response.status_code"], attrs["error.type"]})
	assert.Equal(t, "127.0.0.1", attrs["server.address"])
}

// The start of a node is found below the call that asked for it, through a real
// manager.
func TestTraceOfALaunchEndsWithTheNode(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	host := podtest.NewFakeHost()
	m, err := cms.New(cms.Config{
		Store: cmstest.NewStore(), Balancer: balancertest.NewFake(), Tick: 50 * time.Millisecond, TracerProvider: provider,
		OpenRuntime: func(_ context.Context, _ pod.Host, c pod.Cluster) (pod.Runtime, error) { return host.Open(c), nil },
		Hosts:       []pod.Host{{Name: "local", Runtime: "fake"}},
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	defer func() { stop(); assert.NoError(t, <-ended) }()
	<-m.Ready()
	a, err := api.New(api.Config{Manager: m, TracerProvider: provider})
	require.NoError(t, err)
	defer a.Close()

	require.Equal(t, 201, call(t, a, "POST", "/v1/pods", wire.Pod{Name: "web", Workload: wire.Workload{Command: []string{"/web"}}}).StatusCode)
	require.Equal(t, 201, call(t, a, "POST", "/v1/pods/web/nodes", nil).StatusCode)
	require.Equal(t, 200, call(t, a, "POST", "/v1/pods/web/launch?wait=30s", nil, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").StatusCode)

	require.Eventually(t, func() bool { return below(recorder, "POST /v1/pods/{pod}/launch", "node.start", "runtime.start") }, 10*time.Second, time.Millisecond)
	for _, s := range recorder.Ended() {
		if s.Name() == "node.start" {
			assert.Equal(t, "0af7651916cd43dd8448eb211c80319c", s.SpanContext().TraceID().String())
			assert.Contains(t, s.Attributes(), attribute.String("elastipod.pod", "web"))
		}
	}
}

// below says whether spans of these names ended, each the parent of the next.
func below(r *tracetest.SpanRecorder, names ...string) bool {
	var parent trace.SpanID
	for i, name := range names {
		at := slices.IndexFunc(r.Ended(), func(s sdktrace.ReadOnlySpan) bool {
			return s.Name() == name && (i == 0 || s.Parent().SpanID() == parent)
		})
		if at < 0 {
			return false
		}
		parent = r.Ended()[at].SpanContext().SpanID()
	}
	return true
}

// A request that nobody traces is answered as if there were no tracing.
func TestTracingIsOffByDefault(t *testing.T) {
	r := call(t, newAPI(t, newFake()), "GET", "/v1/pods", nil, "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	assert.Equal(t, 200, r.StatusCode)
	for name := range r.Header {
		assert.False(t, strings.HasPrefix(strings.ToLower(name), "trace"), name)
	}
}
