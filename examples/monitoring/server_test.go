package monitoring_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/examples/workload"
)

const (
	viewerSecret   = "viewer-0123456789abcdef"
	operatorSecret = "operator-0123456789abcdef"
)

// TestMain makes this test binary a supervisor or a workload where the server's
// process runtime starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "supervise" || os.Args[1] == "workload") {
		os.Exit(serve.Program{Workload: workload.Run, Stdout: os.Stdout, Stderr: os.Stderr}.Run(context.Background(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// startServer runs a real server, with everything that exports metrics, until
// the test ends, and returns its address and that of a front.
func startServer(t *testing.T) (address, front string) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "ep") // short: sockets lie in it
	require.NoError(t, err)
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	address, front = free(t), free(t)
	for name, secret := range map[string]string{"viewer": viewerSecret, "operator": operatorSecret, "hook": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c.yaml"), fmt.Appendf(nil, `
listen: %s
tick: 100ms
stop_nodes: true
tokens:
- {name: prometheus, role: viewer, file: viewer}
- {name: ops, role: operator, file: operator}
webhooks:
- {name: pager, url: %q, file: hook, insecure: true}
pods:
- name: web
  workload: {command: [%q, workload, --bind, 127.0.0.1, light], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.2, memory: 64MiB}
  fronts: [{listen: %q}]
  elasticity: {enabled: true, min: 1, max: 3}
`, address, hook.URL, exe, front), 0o600))
	ctx, stop := context.WithCancel(context.Background())
	var out syncBuffer
	ended := make(chan int, 1)
	go func() {
		ended <- serve.Program{Workload: workload.Run, Environ: os.Environ(), Stdout: &out, Stderr: &out}.Run(ctx, []string{"--config", filepath.Join(dir, "c.yaml"), "--data", filepath.Join(dir, "data")})
	}()
	t.Cleanup(func() {
		stop()
		assert.Equal(t, 0, <-ended, out.String())
		hook.Close()
		assert.NoError(t, os.RemoveAll(dir))
	})
	require.Eventually(t, func() bool {
		status, _ := get("http://"+front+"/", "")
		return status == http.StatusOK
	}, 60*time.Second, 20*time.Millisecond, "the pod does not answer: %s", &out)
	r, err := http.NewRequest("POST", "http://"+address+"/v1/pods/web/pause", nil) // for the audit
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+operatorSecret)
	for _, path := range []string{"/v1/pods/web/pause", "/v1/pods/web/resume"} {
		r.URL.Path = path
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.Less(t, answer.StatusCode, 300)
		require.NoError(t, answer.Body.Close())
	}
	return address, front
}

type exportedMetric struct {
	kind, help string
	labels     []string // sorted
}

// scrape returns what a real server exports once everything was measured.
func scrape(t *testing.T) map[string]exportedMetric {
	t.Helper()
	return exportedOnce(t)
}

var exportedOnce = func() func(t *testing.T) map[string]exportedMetric {
	var once sync.Once
	var out map[string]exportedMetric
	return func(t *testing.T) map[string]exportedMetric {
		once.Do(func() {
			address, front := startServer(t)
			told := table(t)
			assert.Eventually(t, func() bool {
				_, _ = get("http://"+front+"/", "")
				status, body := get("http://"+address+"/metrics", viewerSecret)
				out = parse(t, body)
				return status == http.StatusOK && !slices.ContainsFunc(told, func(r row) bool { _, ok := out[r.name]; return !ok })
			}, 30*time.Second, 100*time.Millisecond, "a metric of the table is not exported")
		})
		return out
	}
}()

func parse(t *testing.T, text string) map[string]exportedMetric {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	assert.NoError(t, err)
	out := map[string]exportedMetric{}
	for name, f := range families {
		m := exportedMetric{kind: strings.ToLower(f.GetType().String()), help: f.GetHelp()}
		for _, one := range f.GetMetric() {
			for _, l := range one.GetLabel() {
				m.labels = append(m.labels, l.GetName())
			}
		}
		slices.Sort(m.labels)
		m.labels = slices.Compact(m.labels)
		out[name] = m
	}
	return out
}

// row is a row of the table of metrics.
type row struct{ name, kind, labels, meaning string }

var tableRow = regexp.MustCompile("(?m)^\\| `(elastipod_[a-z_]+)` \\| (\\w+) \\| [^|]+ \\| ([^|]*) \\| (.*) \\|$")

func table(t *testing.T) []row {
	text, err := os.ReadFile("../../metrics/prom/README.md")
	require.NoError(t, err)
	var out []row
	for _, m := range tableRow.FindAllStringSubmatch(string(text), -1) {
		out = append(out, row{m[1], m[2], strings.TrimSpace(m[3]), m[4]})
	}
	require.Greater(t, len(out), 40)
	return out
}

// TestTableIsWhatAServerExports: a server exports what the table names, just so,
// and nothing else but what the Go runtime and the process do.
func TestTableIsWhatAServerExports(t *testing.T) {
	exported := scrape(t)
	var told []string
	for _, r := range table(t) {
		told = append(told, r.name)
		f := exported[r.name]
		var labels []string
		for _, l := range f.labels {
			labels = append(labels, "`"+l+"`")
		}
		assert.Equal(t, r, row{r.name, f.kind, strings.Join(labels, ", "), f.help})
	}
	for name := range exported {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			assert.Contains(t, told, name, "is not in the table")
		}
	}
}

func get(url, secret string) (status int, body string) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(data)
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
