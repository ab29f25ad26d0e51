package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/elastic"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "supervise" || os.Args[1] == "workload") { // as a node of the server below
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

func TestDecide(t *testing.T) {
	p := officeHours{From: 8, To: 18, Inside: 4, Outside: 1}
	for hour, want := range map[int]int{0: 1, 7: 1, 8: 4, 17: 4, 18: 1, 23: 1} {
		d := p.Decide(elastic.Observation{At: time.Date(2026, 11, 23, hour, 30, 0, 0, time.UTC), Want: 2})
		assert.Equal(t, want, d.Want, "at %d:30", hour)
	}
	d := p.Decide(elastic.Observation{At: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), Want: 1})
	assert.Equal(t, "office hours: 1 → 4", d.String())
}

// TestServer chooses the policy in a server's YAML and watches the pod obey.
func TestServer(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "server.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `
listen: 127.0.0.1:0
data: %s
tick: 100ms
stop_nodes: true
log: {level: error}
pods:
- name: web
  workload: {command: [%q, workload, --bind, 127.0.0.1], ports: {http: 8080}, probe: {http: /healthz}}
  limits: {cpu: 0.1, memory: 32MiB}
  max_nodes: 5
  elasticity:
    enabled: true
    policy: {kind: office-hours, from: 0, to: 24, inside: 3, outside: 1}
`, dir, exe), 0o600))
	out := &output{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- run(ctx, []string{"--config", file}, out, out) }()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	var body string
	get := func(path string) bool {
		url := regexp.MustCompile(`http://[0-9.:]+`).FindString(out.String())
		if url == "" {
			return false
		}
		r, err := client.Get(url + path)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		body = string(b)
		return err == nil && r.StatusCode == http.StatusOK
	}
	require.Eventually(t, func() bool {
		return get("/v1/pods/web/nodes") && strings.Count(body, `"state":"online"`) == 3
	}, 30*time.Second, 50*time.Millisecond, "%s", out)
	assert.True(t, get("/v1/pods/web/decisions?limit=1000"))
	assert.Contains(t, body, "office hours")
	cancel()
	assert.Zero(t, <-ended, out.String())
}

// TestCheck: the policy's settings are checked as those of built-in ones are.
func TestCheck(t *testing.T) {
	check := func(policy string) (int, string) {
		file := filepath.Join(t.TempDir(), "c.yaml")
		require.NoError(t, os.WriteFile(file, []byte("pods:\n- name: web\n  workload: {command: [x]}\n  elasticity:\n    policy: "+policy+"\n"), 0o600))
		var out bytes.Buffer
		return run(t.Context(), []string{"--check", "--config", file}, &out, &out), out.String()
	}
	code, text := check("{kind: office-hours, from: 8, to: 18, inside: 4, outside: 1}")
	assert.Zero(t, code, text)
	code, text = check("{kind: cooldown, down: 60s, policy: {kind: office-hours, from: 8, to: 18, inside: 4, outside: 1}}")
	assert.Zero(t, code, text)
	for policy, want := range map[string]string{
		"{kind: office-hours, from: 18, to: 8, inside: 4, outside: 1}":   "c.yaml:5:48: pods[0].elasticity.policy.to: 8 is out of range; use an hour after from, up to 24",
		"{kind: office-hours, from: 8, to: 18, inside: 0, outside: 1}":   "inside: 0 is too few; use at least 1 node",
		"{kind: office-hours, from: 8, to: 18, inside: 4}":               "outside",
		"{kind: office-hour, from: 8, to: 18, inside: 4, outside: 1}":    "office-hours",
		"{kind: office-hours, from: 8, to: 18, insid: 4, outside: 1}":    "insid",
		"{kind: office-hours, from: '8', to: 18, inside: 4, outside: 1}": "from",
	} {
		code, text := check(policy)
		assert.Equal(t, 2, code, text)
		assert.Contains(t, text, want)
	}
	var out bytes.Buffer
	assert.Zero(t, run(t.Context(), []string{"--check", "--config", "policy.yaml"}, &out, &out), out.String())
}

// output can be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
