package serve_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/cms/wire"
)

// receiver takes spans as a collector of OpenTelemetry does.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	headers  http.Header
	resource map[string]string
	spans    []*otlp.Span
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		if !assert.NoError(t, err) {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers = req.Header
		for _, of := range in.ResourceSpans {
			r.resource = texts(of.Resource.Attributes)
			for _, scope := range of.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		answer, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(answer)
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func texts(attributes []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range attributes {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			out[kv.Key] = fmt.Sprint(v.IntValue)
		default:
			out[kv.Key] = kv.Value.String()
		}
	}
	return out
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.spans)
}

// child returns the span of that name below another; below nil, in that trace.
func (r *receiver) child(t *testing.T, of *otlp.Span, traceID, name string) *otlp.Span {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.Name == name && hex.EncodeToString(s.TraceId) == traceID && (of == nil || string(s.ParentSpanId) == string(of.SpanId)) {
			return s
		}
	}
	var all []string
	for _, s := range r.spans {
		all = append(all, s.Name)
	}
	require.Fail(t, "no span "+name, "%v", all)
	return nil
}

// tracedConfig writes a configuration with a pod that has one node, and what it
// says of tracing.
func tracedConfig(t *testing.T, tracing string) (file, data string) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	dir := dataDir(t)
	file = filepath.Join(dir, "c.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "headers"), []byte("# of the collector\nauthorization: Bearer trace-secret\n"), 0o600))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `%s
tick: 50ms
stop_nodes: true
pods:
- name: web
  workload: {command: [%q, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.1, memory: 32MiB}
  nodes: 1
`, tracing, exe), 0o600))
	return file, filepath.Join(dir, "data")
}

func (p *process) post(path string, headers ...string) int {
	p.t.Helper()
	r, err := http.NewRequest("POST", p.url+path, nil)
	require.NoError(p.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer answer.Body.Close()
	return answer.StatusCode
}

// TestTraces: what the server does for a call arrives at a receiver, also what
// happened just before the server ended.
func TestTraces(t *testing.T) {
	r := newReceiver(t)
	file, data := tracedConfig(t, fmt.Sprintf("cluster: traced\ntracing: {endpoint: %q, sample: 1, headers_file: headers}", r.URL))
	p := launch(t, "--config", file, "--listen", "127.0.0.1:0", "--data", data)
	p.nodes("web", 1)
	const id = "0af7651916cd43dd8448eb211c80319c"
	require.Equal(t, 201, p.post("/v1/pods/web/nodes"))
	require.Equal(t, 200, p.post("/v1/pods/web/launch?wait=60s", "Traceparent", "00-"+id+"-b7ad6b7169203331-01"))
	require.Eventually(t, func() bool {
		var ticks wire.List[wire.Tick]
		return p.get("/v1/pods/web/decisions", &ticks) == nil && len(ticks.Items) > 2
	}, 10*time.Second, 10*time.Millisecond, p.output)
	p.ask(syscall.SIGTERM)
	code, _ := p.exit()
	require.Equal(t, 0, code, p.output())

	call := r.child(t, nil, id, "POST /v1/pods/{pod}/launch")
	assert.Equal(t, "200", texts(call.Attributes)["http.response.status_code"])
	start := r.child(t, call, id, "node.start")
	assert.Equal(t, []string{"traced", "web", "local"}, []string{texts(start.Attributes)["elastipod.cluster"], texts(start.Attributes)["elastipod.pod"], texts(start.Attributes)["elastipod.host"]})
	for _, part := range []string{"runtime.start", "node.probe"} {
		r.child(t, start, id, part)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(t, "Bearer trace-secret", r.headers.Get("Authorization"))
	assert.Equal(t, "elastipod", r.resource["service.name"])
	assert.NotEmpty(t, r.resource["service.version"])
	ticks, gone := 0, 0
	for _, s := range r.spans {
		switch s.Name {
		case "tick":
			ticks++
		case "runtime.stop":
			gone++
		}
	}
	assert.Greater(t, ticks, 2)
	assert.Equal(t, 2, gone, "what happened at the very end is told too")
	assert.NotContains(t, p.output(), "trace-secret")
}

// TestTracesOfTheVariables: those of OpenTelemetry are honoured where tracing is
// on, and only there.
func TestTracesOfTheVariables(t *testing.T) {
	r := newReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-from=environment")
	t.Setenv("OTEL_SERVICE_NAME", "shop-elastipod")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	run := func(tracing string) {
		file, data := tracedConfig(t, tracing)
		p := launch(t, "--config", file, "--listen", "127.0.0.1:0", "--data", data)
		p.nodes("web", 1)
		p.ask(syscall.SIGTERM)
		code, _ := p.exit()
		require.Equal(t, 0, code, p.output())
	}
	run("")
	assert.Zero(t, r.count(), "there are no traces unless they are asked for")
	run("tracing: {enabled: true, sample: 1}")
	assert.NotZero(t, r.count())
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(t, "environment", r.headers.Get("X-From"))
	assert.Equal(t, "shop-elastipod", r.resource["service.name"])
}

// TestTracesThatNobodyTakes: neither a receiver that is away nor one that hangs
// slows the server or fills its log.
func TestTracesThatNobodyTakes(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	require.NoError(t, err)
	defer hole.Close()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	for name, endpoint := range map[string]string{"away": "http://" + freeAddress(t), "hangs": "http://" + hole.Addr().String()} {
		file, data := tracedConfig(t, fmt.Sprintf("tracing: {endpoint: %q, sample: 1}", endpoint))
		p := launch(t, "--config", file, "--listen", "127.0.0.1:0", "--data", data)
		p.nodes("web", 1)
		deadline := time.Now().Add(700 * time.Millisecond)
		for time.Now().Before(deadline) {
			assert.Equal(t, 409, p.post("/v1/pods/web/launch"), name)
			time.Sleep(10 * time.Millisecond)
		}
		p.ask(syscall.SIGTERM)
		code, took := p.exit()
		assert.Equal(t, 0, code, "%s: %s", name, p.output())
		assert.Less(t, took, 9*time.Second, name)
		complaints := strings.Count(p.output(), "traces cannot be delivered")
		if name == "away" {
			assert.Equal(t, 1, complaints, p.output())
		}
		assert.LessOrEqual(t, complaints, 1, p.output())
	}
}

func TestBadTracing(t *testing.T) {
	dir := t.TempDir()
	open, wrong := filepath.Join(dir, "open"), filepath.Join(dir, "wrong")
	require.NoError(t, os.WriteFile(open, []byte("a: b\n"), 0o644))
	require.NoError(t, os.WriteFile(wrong, []byte("a: b\nsecret-without-a-name\n"), 0o600))
	for yaml, want := range map[string]string{
		"{endpoint: 127.0.0.1:4318}":                                     "is not the URL of an OTLP receiver over HTTP; use a URL such as http://127.0.0.1:4318",
		"{endpoint: grpc://127.0.0.1:4317}":                              "use a URL such as",
		"{endpoint: http://u:p@127.0.0.1:4318}":                          "holds a password; put an Authorization header into headers_file",
		"{endpoint: http://127.0.0.1:4318, sample: 10}":                  "tracing.sample: 10 is out of range; use 0 to 1",
		"{endpoint: http://127.0.0.1:4318, sample: -0.1}":                "out of range",
		"{endpoint: http://127.0.0.1:4318, headers_file: " + open + "}":  "can be read by others (mode 0644); chmod 600",
		"{endpoint: http://127.0.0.1:4318, headers_file: " + wrong + "}": wrong + ":2 is not a header; write lines of",
		"{endpoint: http://127.0.0.1:4318, headers_file: /not/there}":    "name a file that can be read",
		"{sampel: 1}": "did you mean \"sample\"?",
	} {
		code, _, stderr := check(t, "tracing: "+yaml)
		assert.Equal(t, serve.ExitUsage, code, yaml)
		assert.Contains(t, stderr, want)
		assert.NotContains(t, stderr, "secret-without")
	}
	for _, good := range []string{"{enabled: true}", "{endpoint: https://otlp.example.com/custom/v1/traces, sample: 0}"} {
		code, _, stderr := check(t, "tracing: "+good)
		assert.Equal(t, serve.ExitOK, code, stderr)
	}
}
