package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// trail keeps what the API tells of writes.
type trail struct {
	mu      sync.Mutex
	entries []api.AuditEntry
}

func (l *trail) config(c *api.Config) {
	c.Audit = func(e api.AuditEntry) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.entries = append(l.entries, e)
	}
}

// take returns the entries and forgets them.
func (l *trail) take() []api.AuditEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.entries
	l.entries = nil
	return all
}

// one returns the only entry since the last look.
func (l *trail) one(t *testing.T, what string) api.AuditEntry {
	t.Helper()
	all := l.take()
	require.Len(t, all, 1, what)
	return all[0]
}

func reloads(c *api.Config) {
	c.Reload = func(context.Context, bool) (wire.Reload, error) { return wire.Reload{}, nil }
}

// Each operation of the document that is no read leaves one entry, done or
// refused in whatever way; no read leaves one, but a backup does.
func TestEveryWriteIsAudited(t *testing.T) {
	var log trail
	a := newAPI(t, newFake(), withTokens, log.config, reloads)
	a.SetSubscribe(func(uint64, int) api.Subscription {
		s := newStream()
		s.end <- cms.ErrNotRunning
		return s
	})
	as := func(secret string) []string { return []string{"Authorization", "Bearer " + secret} }
	driven := map[string]bool{}
	for _, c := range success {
		method, route, _ := strings.Cut(c.op, " ")
		driven[c.op] = true
		var body any
		if c.body != "" {
			body = c.body
		}
		if method == "GET" && c.op != "GET /v1/backup" {
			_, _ = io.Copy(io.Discard, call(t, a, method, c.path, body, as(operator)...).Body)
			assert.Empty(t, log.take(), c.op)
			continue
		}
		op := api.OperationAt(a.OpenAPI(), method, route)
		require.NotNil(t, op)
		check := func(what, who string, role api.Role, result api.AuditResult, body any, headers ...string) {
			what = c.op + " " + what
			if c.op == "POST /v1/restore" && !strings.Contains(what, "media type") {
				headers = append(headers, "Content-Type", wire.BackupType)
			}
			r := call(t, a, method, c.path, body, headers...)
			e := log.one(t, what)
			assert.Equal(t, r.StatusCode, e.Status, what)
			assert.Equal(t, result, e.Result, what)
			assert.Equal(t, r.Header.Get("X-Request-Id"), e.RequestID, what)
			assert.Len(t, e.RequestID, 16, what)
			assert.Equal(t, []string{"api", who, string(role), method, "192.0.2.1:1234"}, []string{e.Source, e.Who, string(e.Role), e.Method, e.Remote}, what)
			assert.Equal(t, result != api.AuditDone, e.Error != "", what)
			if r.StatusCode != 421 && !strings.Contains(what, "origin") {
				assert.Equal(t, []string{route, op.OperationID}, []string{e.Route, e.Operation}, what)
				for _, p := range op.Parameters {
					if p.In == "path" {
						assert.NotEmpty(t, e.Params[p.Name], what)
					}
				}
			}
		}
		check("without a token", "", "", api.AuditRefused, body)
		check("with a wrong token", "", "", api.AuditRefused, body, as("wrong-secret-0000000")...)
		check("as a viewer", "v", api.Viewer, api.AuditRefused, body, as(viewer)...)
		if method != "GET" {
			check("from another origin", "", "", api.AuditRefused, body, append(as(operator), "Origin", "https://evil.example")...)
		}
		check("under another name", "", "", api.AuditRefused, body, append(as(operator), "Host", "evil.example")...)
		switch {
		case c.op == "POST /v1/restore":
			check("with another media type", "o", api.Operator, api.AuditRefused, body, append(as(operator), "Content-Type", "text/plain")...)
		case body != nil:
			check("broken off", "o", api.Operator, api.AuditRefused, "{", as(operator)...)
			check("of another kind", "o", api.Operator, api.AuditRefused, `[]`, as(operator)...)
			check("with another media type", "o", api.Operator, api.AuditRefused, body, append(as(operator), "Content-Type", "text/plain")...)
			check("too large", "o", api.Operator, api.AuditRefused, strings.Repeat(" ", 2<<20), as(operator)...)
		}
		check("as it should be", "o", api.Operator, api.AuditDone, body, as(operator)...)
	}
	for _, op := range documented(t, a) {
		assert.True(t, driven[op], op)
	}
}

// What no route is found for is told of too, without its path.
func TestWritesToNowhereAreAudited(t *testing.T) {
	var log trail
	a := newAPI(t, newFake(), log.config)
	for target, status := range map[string]int{"/v1/nix/s3cret-in-a-path": 404, "/v1/cluster": 405, "/": 404} {
		call(t, a, "POST", target, `{"name":"web"}`)
		e := log.one(t, target)
		assert.Equal(t, status, e.Status)
		assert.Equal(t, api.AuditRefused, e.Result)
		assert.Equal(t, "local", e.Who)
		assert.Empty(t, e.Route+e.Operation)
		assert.NotContains(t, fmt.Sprintf("%+v", e), "s3cret")
	}
	call(t, a, "S3CRET", "/v1/pods", nil)
	assert.Equal(t, "?", log.one(t, "made-up method").Method)
}

func TestAuditSaysWhatWasSet(t *testing.T) {
	var log trail
	f := newFake()
	a := newAPI(t, f, log.config)
	require.Equal(t, 201, call(t, a, "POST", "/v1/pods?wait=1s", `{"name":"api","max_nodes":7,"drain":"1m30s","workload":{"image":"x","command":["a","b"],
		"env":{"MODE":"12","TOKEN":"s3cret"},"ports":{"http":8080},"probe":{"tcp":true}},"limits":{"memory":"300MiB","cpu":0.5}}`).StatusCode)
	e := log.one(t, "create")
	assert.Equal(t, map[string]string{
		"name": "api", "max_nodes": "7", "drain": "1m30s", "workload.image": "set", "workload.command": "2 items", "workload.env.MODE": "set",
		"workload.env.TOKEN": "set", "workload.ports.http": "set", "workload.probe.tcp": "true", "limits.memory": "300MiB", "limits.cpu": "0.5",
	}, e.Fields)
	assert.Equal(t, map[string]string{"wait": "1s"}, e.Query)
	assert.Empty(t, e.Params)
	assert.Equal(t, "create-pod", e.Operation)

	call(t, a, "PATCH", "/v1/pods/web", `{"workload":{"env":null},"nix":{"s3cret":1}}`)
	e = log.one(t, "patch")
	assert.Equal(t, map[string]string{"workload.env": "removed", "?": "set"}, e.Fields)
	assert.Equal(t, map[string]string{"pod": "web"}, e.Params)

	call(t, a, "PUT", "/v1/pods/web/elasticity", `{"enabled":true,"min":1,"max":5,"policy":{"kind":"threshold","lower":"x"}}`)
	e = log.one(t, "elasticity")
	assert.Equal(t, map[string]string{"enabled": "true", "min": "1", "max": "5", "policy.kind": "set", "policy.lower": "set"}, e.Fields)
	assert.Equal(t, "Unprocessable Entity: policy.lower, policy.upper", e.Error, "which field was wrong")

	call(t, a, "DELETE", "/v1/hosts/local?drain=true", nil)
	e = log.one(t, "remove")
	assert.Equal(t, map[string]string{"drain": "true"}, e.Query)

	many := map[string]int{}
	for i := range 1000 {
		many[fmt.Sprintf("P%d", i)] = i
	}
	call(t, a, "PATCH", "/v1/pods/web", map[string]any{"workload": map[string]any{"ports": many}})
	assert.Len(t, log.one(t, "many").Fields, 65, "bounded")
}

// No entry repeats what may be a secret, wherever it was put and whatever became
// of the request.
func TestAuditHoldsNoSecrets(t *testing.T) {
	var log trail
	f := newFake()
	a := newAPI(t, f, withTokens, log.config)
	const planted = "Pl4nted-S3cret"
	bodies := []string{
		`{"name":"api","workload":{"image":"x","env":{"KEY":"` + planted + `"}}}`,
		`{"name":"api","workload":{"image":"x","env":{"KEY":{"` + planted + `":1}}}}`,
		`{"name":"` + planted + `","workload":{"image":"` + planted + `"}}`,
		`{"name":"api","` + planted + `":1}`,
		`{"` + planted + `":"` + planted + `","` + planted + `":1}`,
		`{"workload":{"` + planted + `":{"a":"` + planted + `"}}}`,
		`{"workload":{"image":"x","secrets":[{"name":"` + planted + `","file":"` + planted + `","env":"` + planted + `"}]}}`,
		`{"workload":{"image":"x","command":["` + planted + `"],"user":"` + planted + `","ports":{"http":"` + planted + `"}}}`,
		`{"enabled":"` + planted + `","policy":{"kind":"` + planted + `","x":"` + planted + `"}}`,
		`{"name":"h","runtime":"` + planted + `","address":"tcp://user:` + planted + `@h:1","registries":{"r":{"username":"` + planted + `","password_env":"` + planted + `"}},"labels":{"a":"` + planted + `"}}`,
		planted, `"` + planted + `"`, `{"name":` + planted + `}`,
	}
	headers := [][]string{
		{"Authorization", "Bearer " + operator},
		{"Authorization", "Bearer " + planted},
		{"Authorization", planted},
		{"Authorization", "Bearer " + operator, "Content-Type", planted},
		{"Authorization", "Bearer " + operator, "Content-Encoding", planted},
		{"Authorization", "Bearer " + operator, "X-Request-Id", planted},
		{"Authorization", "Bearer " + operator, "X-Forwarded-For", planted},
		{"Authorization", "Bearer " + operator, "Origin", "https://" + planted},
		{"Authorization", "Bearer " + operator, "Host", planted},
	}
	f.fail["CreatePod"] = fmt.Errorf("start api: the engine says: bad variable KEY=%s", planted)
	f.fail["UpdatePod"] = fmt.Errorf("pull %s: %w", planted, pod.ErrImage)
	told := 0
	for _, c := range success {
		method, _, _ := strings.Cut(c.op, " ")
		if method == "GET" {
			continue
		}
		paths := []string{c.path, c.path + "?token=" + planted, c.path + "?wait=" + planted, strings.Replace(c.path, "web", planted, 1)}
		for _, path := range paths {
			for i, body := range bodies {
				for j, head := range headers {
					if i > 0 && j > 0 {
						continue // each body with one head, each head with one body
					}
					call(t, a, method, path, body, head...)
					e := log.one(t, path)
					line, err := json.Marshal(e)
					require.NoError(t, err)
					for _, secret := range []string{planted, strings.ToLower(planted), operator, viewer, client} {
						require.NotContains(t, string(line), secret, "%s %s %s %v", method, path, body, head)
					}
					told++
				}
			}
		}
	}
	assert.Greater(t, told, 1000)
}

// A write is told of once also when the server panics, and when the client goes.
func TestBrokenWritesAreAudited(t *testing.T) {
	var log trail
	f := newFake()
	a := newAPI(t, f, log.config)
	panicking := newAPI(t, f, log.config, func(c *api.Config) { c.Manager = &panicky{fake: f} })
	assert.Equal(t, 500, call(t, panicking, "POST", "/v1/pods/web/pause", nil).StatusCode)
	e := log.one(t, "panic")
	assert.Equal(t, []any{api.AuditFailed, 500, "pause-pod"}, []any{e.Result, e.Status, e.Operation})
	assert.Equal(t, "Internal Server Error", e.Error)

	f.fail["Resume"] = errors.New("the disk is full")
	assert.Equal(t, 500, call(t, a, "POST", "/v1/pods/web/resume", nil).StatusCode)
	e = log.one(t, "failure")
	assert.Equal(t, api.AuditFailed, e.Result)
	assert.Equal(t, "Internal Server Error", e.Error, "the log says more, under the same request")

	// A client that hangs up while it waits.
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	delete(f.fail, "Pause")
	f.change("web", func(p *cms.PodStatus) { p.Converged = false })
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST /v1/pods/web/pause?wait=1m HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.calls) > 0 }, 5*time.Second, 5*time.Millisecond)
	conn.Close()
	var all []api.AuditEntry
	require.Eventually(t, func() bool { all = append(all, log.take()...); return len(all) > 0 }, 5*time.Second, 5*time.Millisecond)
	require.Len(t, all, 1)
	assert.True(t, all[0].Aborted)
	assert.Equal(t, api.AuditAborted, all[0].Result)

	// One that hangs up in the middle of its body.
	conn, err = net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST /v1/pods HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
	conn.Close()
	all = nil
	require.Eventually(t, func() bool { all = append(all, log.take()...); return len(all) > 0 }, 5*time.Second, 5*time.Millisecond)
	require.Len(t, all, 1)
	assert.NotEqual(t, api.AuditDone, all[0].Result)
	assert.Equal(t, "create-pod", all[0].Operation)
}

// panicky panics in the middle of an operation.
type panicky struct{ *fake }

func (*panicky) Pause(context.Context, string) (cms.PodStatus, error) { panic("s3cret") }

// BenchmarkAudit is a small write, with and without the audit.
func BenchmarkAudit(b *testing.B) {
	for name, audit := range map[string]func(api.AuditEntry){"off": nil, "on": func(api.AuditEntry) {}} {
		b.Run(name, func(b *testing.B) {
			a, err := api.New(api.Config{Manager: newFake(), Audit: audit})
			require.NoError(b, err)
			defer a.Close()
			for b.Loop() {
				r := httptest.NewRequest("PATCH", "/v1/pods/web", strings.NewReader(`{"max_nodes":9,"workload":{"env":{"A":"b"}}}`))
				r.Host = "localhost"
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				a.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusAccepted {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
