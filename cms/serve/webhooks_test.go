package serve_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

const (
	hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	newSecret  = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

// hook is a receiver that knows one secret.
type hook struct {
	*httptest.Server
	mu    sync.Mutex
	got   []wire.WebhookMessage
	wrong int
}

func newHook(t *testing.T, secret string) *hook {
	w, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		var m wire.WebhookMessage
		if err != nil || w.Verify(body, r.Header) != nil || json.Unmarshal(body, &m) != nil {
			h.wrong++
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.got = append(h.got, m)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) types() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, m := range h.got {
		out = append(out, m.Type)
	}
	return out
}

// A server tells a target of what happens from its start to its end, and keeps an
// audit of what was written, through reloads and rotated files.
func TestWebhooksAndAudit(t *testing.T) {
	dir := dataDir(t)
	first, second := newHook(t, hookSecret), newHook(t, newSecret)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("hook.secret", hookSecret+"\n")
	write("tokens", "ops operator "+opsToken+"\n")
	config := "token_file: tokens\naudit: {file: audit.jsonl}\npods:\n- {name: web, workload: {command: [sleep, \"60\"], env: {KEY: pl4nted-s3cret}}}\n" +
		"webhooks:\n- {name: hook, url: \"" + first.URL + "/in/s3cret-path\", file: hook.secret, types: [\"*\"]}\n"
	file := write("server.yaml", config)
	p := launch(t, "--listen", "127.0.0.1:0", "--config", file, "--data", filepath.Join(dir, "data"))
	send := func(method, path, body, token string) (int, string, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(data), r.Header.Get("X-Request-Id")
	}
	code, body, id := send("POST", "/v1/pods/web/pause", "", opsToken)
	require.Less(t, code, 300, body)
	require.Eventually(t, func() bool {
		return assert.ObjectsAreEqual([]string{"pod.created", "pod.paused"}, first.types()) || len(first.types()) > 2
	}, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, "pod.created", first.types()[0], "also what happened at the start")
	code, _, _ = send("PATCH", "/v1/pods/web", `{"workload":{"env":{"KEY":"other-pl4nted-s3cret"}}}`, "wrong-pl4nted-s3cret")
	assert.Equal(t, 401, code)
	code, _, _ = send("PATCH", "/v1/pods/web", `{"workload":{"env":{"KEY":["other-pl4nted-s3cret"]}}}`, opsToken)
	assert.Equal(t, 422, code)
	_, body, _ = send("POST", "/v1/webhooks/hook/test", "", opsToken)
	assert.Contains(t, body, `"delivered":true`)
	_, body, _ = send("GET", "/v1/webhooks", "", opsToken)
	assert.Contains(t, body, `"origin":"`+first.URL+`"`)
	assert.NotContains(t, body, "s3cret")

	// The file is rotated; the secret changes in two steps, and with it the address.
	audit := filepath.Join(dir, "audit.jsonl")
	require.NoError(t, os.Rename(audit, audit+".1"))
	write("hook.secret", newSecret+"\n"+hookSecret+"\n")
	write("server.yaml", strings.ReplaceAll(config, first.URL, second.URL))
	code, body, _ = send("POST", "/v1/reload", "", opsToken)
	require.Equal(t, 200, code, body)
	assert.Contains(t, body, "webhooks[hook].url")
	assert.NotContains(t, body, "s3cret")
	code, _, _ = send("POST", "/v1/pods/web/resume", "", opsToken)
	assert.Less(t, code, 300)
	require.Eventually(t, func() bool { return len(second.types()) > 0 }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, "pod.resumed", second.types()[0])
	_, metrics, _ := send("GET", "/metrics", "", opsToken)
	for _, part := range []string{`elastipod_webhook_events_total{result="delivered",webhook="hook"}`, `elastipod_webhook_events_total{result="failed",webhook="hook"} 0`,
		`elastipod_webhook_queued_events{webhook="hook"} 0`, `elastipod_webhook_disabled{webhook="hook"} 0`, "elastipod_audit_entries_total ", "elastipod_audit_write_failures_total 0"} {
		assert.Contains(t, metrics, part)
	}
	// A configuration that is wrong changes nothing, and is told of.
	write("server.yaml", strings.ReplaceAll(config, `types: ["*"]`, `types: [pod.scalled]`))
	p.ask(syscall.SIGHUP)
	require.Eventually(t, func() bool { return strings.Contains(p.output(), "stays as it was") }, 10*time.Second, 10*time.Millisecond)
	p.ask(syscall.SIGTERM)
	exit, _ := p.exit()
	assert.Zero(t, exit)
	assert.Zero(t, first.wrong+second.wrong)

	entries := func(path string) (text string, all []api.AuditEntry) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			var e api.AuditEntry
			require.NoError(t, json.Unmarshal([]byte(line), &e), line)
			all = append(all, e)
		}
		return string(data), all
	}
	type entry struct {
		source, who, operation string
		result                 api.AuditResult
	}
	short := func(all []api.AuditEntry) (out []entry) {
		for _, e := range all {
			out = append(out, entry{e.Source, e.Who, e.Operation, e.Result})
		}
		return out
	}
	before, old := entries(audit + ".1")
	after, now := entries(audit)
	assert.Equal(t, []entry{
		{"start", "server", "create-pod", "done"}, {"api", "ops", "pause-pod", "done"}, {"api", "", "change-pod", "refused"},
		{"api", "ops", "change-pod", "refused"}, {"api", "ops", "test-webhook", "done"},
	}, short(old))
	assert.Equal(t, []entry{
		{"reload", "server", "reload", "done"}, {"api", "ops", "reload", "done"}, {"api", "ops", "resume-pod", "done"}, {"reload", "server", "reload", "refused"},
	}, short(now))
	assert.Equal(t, id, old[1].RequestID)
	for _, secret := range []string{"pl4nted", "s3cret", opsToken, hookSecret, newSecret} {
		assert.NotContains(t, before+after, secret)
		assert.NotContains(t, p.output(), secret)
	}
}

func TestBadWebhooks(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "s")
	require.NoError(t, os.WriteFile(secret, []byte("s3cret"), 0o600))
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, []byte(hookSecret), 0o644))
	for yaml, want := range map[string]string{
		"{name: a, url: \"https://h/\"}":                                                         "webhooks[0]: needs exactly one source of its secret",
		"{name: a, url: \"https://h/\", env: NIX}":                                               "webhooks[0].env: NIX is not in the environment",
		"{name: a, url: \"https://h/\", env: GOOD}":                                              "webhooks[0].env: is not a secret of webhooks",
		"{name: a, url: \"https://h/\", file: " + secret + "}":                                   "webhooks[0].file: is not a secret of webhooks",
		"{name: a, url: \"https://h/\", file: " + open + "}":                                     "can be read by others",
		"{name: a, url: \"http://h/\", env: GOOD}":                                               "webhooks[0].url: is sent without TLS",
		"{name: a, url: \"https://me:s3cret@h/\", env: GOOD}":                                    "webhooks[0].url: holds a user or a password",
		"{name: a, url: \"https://h/\", env: GOOD, types: [pod, pod.scalled]}":                   "webhooks[0].types[1]: there is no type of events of this name",
		"{name: a, url: \"https://h/\", env: GOOD, secret: x}":                                   "webhooks[0].secret: is unknown",
		"{name: a, url: \"https://h/\", env: GOOD, timeout: 2m}":                                 "webhooks[0].timeout: 2m0s is out of range",
		"{name: a, env: GOOD, url: \"https://h/\"}\n- {name: a, env: GOOD, url: \"https://h/\"}": "webhooks[1].name: \"a\" is used twice",
	} {
		code, _, stderr := check(t, "webhooks:\n- "+yaml+"\n")
		assert.Equal(t, 2, code, yaml)
		assert.Contains(t, stderr, want, yaml)
		assert.NotContains(t, stderr, "s3cret", yaml)
	}
}
