package serve_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// canaries are secrets, each planted in one place.
var canaries = map[string]string{
	"token of an operator":      "c4nary-operator-0123456789",
	"token of a viewer":         "c4nary-viewer-0123456789",
	"guessed token":             "c4nary-guessed-0123456789",
	"environment":               "c4nary-environment",
	"changed environment":       "c4nary-changed-environment",
	"environment of wrong type": "c4nary-mistyped-environment",
	"environment that fails":    "c4nary-failing-environment",
	"secret from a file":        "c4nary-secret-of-a-file",
	"unknown field":             "c4nary-in-an-unknown-field",
	"name of an unknown field":  "c4nary-as-a-name",
	"body that is no JSON":      "c4nary-in-no-json",
	"password in a URL":         "c4nary-password-of-a-url",
	"path of a webhook":         "c4nary-path-of-a-webhook",
	"secret of a webhook":       base64.StdEncoding.EncodeToString([]byte("c4nary-secret-of-a-webhook-01234")),
	"header of traces":          "c4nary-header-of-traces",
}

// Secrets are planted wherever there is room for one, and looked for in all that
// a server says: its log at the level debug, its audit, events, metrics, traces,
// webhooks, problems, differences of a reload, whatever a viewer may read, command
// lines and files.
func TestPlantedSecretsAreNowhere(t *testing.T) {
	dir := dataDir(t)
	traces := newReceiver(t)
	hooks := newHook(t, "whsec_"+canaries["secret of a webhook"])
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("tokens", "ops operator "+canaries["token of an operator"]+"\ntv viewer "+canaries["token of a viewer"]+"\n")
	write("hook.secret", "whsec_"+canaries["secret of a webhook"])
	write("traces.headers", "Authorization: Bearer "+canaries["header of traces"])
	write("db.key", canaries["secret from a file"])
	config := "log: {level: debug}\ntoken_file: tokens\naudit: {file: audit.jsonl}\ntracing: {endpoint: \"" + traces.URL + "\", sample: 1, headers_file: traces.headers}\n" +
		"webhooks:\n- {name: hook, url: \"" + hooks.URL + "/" + canaries["path of a webhook"] + "\", file: hook.secret, types: [\"*\"]}\n" +
		"pods:\n- name: web\n  nodes: 1\n  workload:\n    command: [sleep, \"600\"]\n    env: {PASSWORD: " + canaries["environment"] + "}\n    secrets: [{name: key, file: " + filepath.Join(dir, "db.key") + "}]\n"
	write("server.yaml", config)
	args := []string{"--listen", "127.0.0.1:0", "--config", filepath.Join(dir, "server.yaml"), "--data", filepath.Join(dir, "data")}
	p := launch(t, args...)
	stopNodes := func() {
		s := launch(t, append(args, "--stop-nodes")...)
		s.ask(syscall.SIGTERM)
		s.exit()
	}
	defer stopNodes()

	said := map[string]string{} // all that the server said, by where
	send := func(method, path, body, token string) int {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond) // streams go on
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+canaries[token])
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err, "%s %s", method, path)
		defer r.Body.Close()
		data, _ := io.ReadAll(r.Body)
		if token == "token of a viewer" || r.StatusCode >= 400 {
			said[fmt.Sprintf("%s %s, %d, by the %s", method, path, r.StatusCode, token)] = string(data)
		}
		return r.StatusCode
	}
	ops, tv := "token of an operator", "token of a viewer"
	online := func(nodes int) {
		t.Helper()
		require.Eventually(t, func() bool {
			var out struct {
				Status struct{ Nodes struct{ Online int } }
			}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v1/pods/web", nil)
			req.Header.Set("Authorization", "Bearer "+canaries[ops])
			r, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			defer r.Body.Close()
			return json.NewDecoder(r.Body).Decode(&out) == nil && out.Status.Nodes.Online == nodes
		}, 30*time.Second, 50*time.Millisecond, p.output)
	}
	online(1)
	require.Less(t, send("PATCH", "/v1/pods/web?wait=1s", `{"workload":{"env":{"PASSWORD":"`+canaries["changed environment"]+`"}}}`, ops), 300)
	online(1)
	assert.Equal(t, 401, send("GET", "/v1/pods", "", "guessed token"))
	assert.Equal(t, 403, send("POST", "/v1/pods/web/pause", "", tv))
	send("PATCH", "/v1/pods/web", `{"workload":{"env":{"PASSWORD":["`+canaries["environment of wrong type"]+`"]}}}`, ops)
	send("PATCH", "/v1/pods/web", `{"workload":{"`+canaries["name of an unknown field"]+`":"`+canaries["unknown field"]+`"}}`, ops)
	send("PATCH", "/v1/pods/web", `{"workload":`+canaries["body that is no JSON"]+`}`, ops)
	send("POST", "/v1/hosts", `{"name":"far","runtime":"docker","address":"ssh://me:`+canaries["password in a URL"]+`@127.0.0.1:1"}`, ops)
	send("POST", "/v1/hosts", `{"name":"far","runtime":"docker","address":"tcp://me:`+canaries["password in a URL"]+`@127.0.0.1:1"}`, ops)
	// A node that cannot be started, and one that ends at once.
	send("POST", "/v1/pods", `{"name":"bad","workload":{"command":["/does/not/exist"],"env":{"A":"`+canaries["environment that fails"]+`"}}}`, ops)
	send("POST", "/v1/pods", `{"name":"ends","workload":{"command":["false"],"env":{"A":"`+canaries["environment that fails"]+`"}}}`, ops)
	for _, name := range []string{"bad", "ends"} {
		send("PUT", "/v1/pods/"+name+"/elasticity", `{"enabled":true}`, ops)
	}
	send("POST", "/v1/webhooks/hook/test", "", ops)
	write("server.yaml", strings.ReplaceAll(config, canaries["environment"], canaries["changed environment"]))
	send("POST", "/v1/reload?dry_run=true", "", ops)
	send("POST", "/v1/reload", "", ops)
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`node \S+ failed: `).MatchString(p.output())
	}, 20*time.Second, 20*time.Millisecond, p.output)
	for _, path := range []string{
		"/", "/dashboard/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/cluster", "/v1/whoami", "/v1/pods", "/v1/pods/web", "/v1/pods/bad", "/v1/pods/ends",
		"/v1/pods/web/nodes", "/v1/pods/ends/nodes", "/v1/pods/web/rollout", "/v1/pods/web/elasticity", "/v1/pods/web/decisions", "/v1/pods/web/metrics",
		"/v1/hosts", "/v1/hosts/local", "/v1/balancer", "/v1/policies", "/v1/webhooks", "/v1/events?after=0&ticks=true",
	} {
		send("GET", path, "", tv)
	}
	lines := commandLines(t)
	p.ask(syscall.SIGTERM)
	p.exit()

	said["the log"] = p.output()
	audit, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	require.NoError(t, err)
	said["the audit"] = string(audit)
	said["command lines"] = lines
	traces.mu.Lock()
	said["the traces"] = fmt.Sprint(traces.spans, traces.resource)
	require.NotEmpty(t, traces.spans)
	assert.Contains(t, fmt.Sprint(traces.headers), canaries["header of traces"], "it is used")
	traces.mu.Unlock()
	hooks.mu.Lock()
	said["webhooks"] = fmt.Sprint(hooks.got)
	require.NotEmpty(t, hooks.got)
	assert.Zero(t, hooks.wrong)
	hooks.mu.Unlock()
	require.Greater(t, len(said), 30)
	for where, text := range said {
		for what, secret := range canaries {
			if what == "name of an unknown field" && strings.HasPrefix(where, "PATCH") {
				continue // who sent it is told which field that was
			}
			assert.NotContains(t, text, secret, "%s: %s", where, what)
		}
	}
	inFiles(t, filepath.Join(dir, "data"))
}

// inFiles checks which secrets lie in which files of a server: the environment of
// pods, which is a setting, and what a node is given.
func inFiles(t *testing.T, dir string) {
	t.Helper()
	found := false
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		for what, secret := range canaries {
			if !bytes.Contains(text, []byte(secret)) {
				continue
			}
			name, _ := filepath.Rel(dir, path)
			t.Logf("%s: %s, mode %s", name, what, info.Mode())
			found = true
			assert.Zero(t, info.Mode().Perm()&0o077, "%s can be read by others", name)
			switch {
			case strings.Contains(what, "environment"):
			case what == "secret from a file" && strings.Contains(name, "/secrets/"):
			default:
				assert.Fail(t, "a secret lies in a file", "%s: %s", name, what)
			}
		}
		return nil
	}))
	assert.True(t, found, "the search finds something")
}

// commandLines returns those of all processes of this machine.
func commandLines(t *testing.T) string {
	t.Helper()
	var all []string
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil { // it may have ended
			all = append(all, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	assert.True(t, slices.ContainsFunc(all, func(l string) bool { return strings.HasPrefix(l, "sleep 600") }), "the node is among them")
	return strings.Join(all, "\n")
}
