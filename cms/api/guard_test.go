package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/pod"
)

const (
	viewer   = "viewer-secret-000000"
	client   = "client-secret-000000"
	operator = "operator-secret-0000"
)

func withTokens(c *api.Config) {
	c.Tokens = []api.Token{
		{Name: "v", Role: api.Viewer, Secret: viewer}, {Name: "c", Role: api.Client, Secret: client}, {Name: "o", Role: api.Operator, Secret: operator},
	}
}

// Each operation of the document, with each token: reads want a viewer, writes and
// a backup an operator; nothing gets further without a token that fits.
func TestRoles(t *testing.T) {
	f := newFake()
	a := newAPI(t, f, withTokens)
	a.SetSubscribe(func(uint64, int) api.Subscription {
		s := newStream()
		s.end <- cms.ErrNotRunning
		return s
	})
	open := map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /openapi.json": true, "GET /docs": true, "GET /docs/{file}": true}
	for _, c := range success {
		method, _, _ := cutSpace(c.op)
		for _, token := range []string{"", "wrong-secret-0000000", viewer, client, operator} {
			headers := []string{}
			if token != "" {
				headers = append(headers, "Authorization", "Bearer "+token)
			}
			var body any
			if c.body != "" {
				body = "{" // is looked at only by those who may
			}
			a.ForgetGuesses()
			r := call(t, a, method, c.path, body, headers...)
			_, _ = io.Copy(io.Discard, r.Body)
			what := fmt.Sprintf("%s with %q", c.op, token)
			switch {
			case open[c.op]:
				assert.Equal(t, 200, r.StatusCode, what)
			case token == "" || token == "wrong-secret-0000000":
				assert.Equal(t, 401, r.StatusCode, what)
				assert.Contains(t, r.Header.Get("WWW-Authenticate"), "Bearer", what)
			case (method != "GET" || c.op == "GET /v1/backup") && token != operator:
				assert.Equal(t, 403, r.StatusCode, what)
			default:
				assert.NotContains(t, []int{401, 403}, r.StatusCode, what)
			}
		}
	}
	a.ForgetGuesses()
	r := call(t, a, "GET", "/v1/pods", nil, "Authorization", "Basic "+viewer)
	assert.Equal(t, 401, r.StatusCode)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", api.Token{Name: "x", Secret: viewer}, api.Token{Name: "x", Secret: viewer}, api.Token{Name: "x", Secret: viewer}), viewer)
}

func cutSpace(s string) (string, string, bool) {
	for i := range s {
		if s[i] == ' ' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// On a loopback address only names of this machine are answered to, so that no
// page can reach the API under a name that it points there.
func TestHostIsChecked(t *testing.T) {
	a := newAPI(t, newFake(), func(c *api.Config) { c.AllowedHosts = []string{"ops.example.com"} })
	for host, status := range map[string]int{
		"localhost": 200, "localhost:3000": 200, "127.0.0.1:3000": 200, "[::1]:3000": 200, "127.1.2.3": 200, "app.localhost:3000": 200, "LOCALHOST": 200,
		"ops.example.com": 200, "ops.example.com:443": 200, "OPS.example.com.": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.nip.io": 421, "10.0.0.5:3000": 421, "": 421, "0.0.0.0": 421,
	} {
		assert.Equal(t, status, call(t, a, "GET", "/v1/pods", nil, "Host", host).StatusCode, host)
	}
	r := httptest.NewRequest("GET", "/v1/pods", nil)
	r.Host = "anything.example"
	for addr, status := range map[net.Addr]int{
		&net.TCPAddr{IP: net.ParseIP("10.0.0.5")}: 200, &net.TCPAddr{IP: net.ParseIP("127.0.0.1")}: 421, &net.UnixAddr{Name: "/x"}: 200,
	} {
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, addr)))
		assert.Equal(t, status, w.Code, addr)
	}
}

func TestOriginIsChecked(t *testing.T) {
	a := newAPI(t, newFake(), func(c *api.Config) { c.AllowedOrigins = []string{"https://ops.example.com"} })
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{nil, 202},
		{[]string{"Origin", "http://localhost:3000"}, 202},
		{[]string{"Origin", "https://ops.example.com", "Sec-Fetch-Site", "cross-site"}, 202},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 202},
	} {
		assert.Equal(t, c.status, call(t, a, "POST", "/v1/pods/web/pause", nil, c.headers...).StatusCode, c.headers)
	}
	_, err := api.New(api.Config{Manager: newFake(), AllowedOrigins: []string{"ops.example.com"}})
	assert.ErrorContains(t, err, "https://ops.example.com")
}

func TestErrorsOfTheManager(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		retry  bool
	}{
		{fmt.Errorf("pause pod: %w", cms.ErrConflict), 409, false},
		{fmt.Errorf("pause pod: %w", cms.ErrExists), 409, false},
		{fmt.Errorf("pause pod: %w", cms.ErrNotFound), 404, false},
		{fmt.Errorf("pause pod: %w", cms.ErrNotRunning), 503, true},
		{fmt.Errorf("pause pod: %w", cms.Faults{{Path: "a", Problem: "b", Allowed: "c"}}), 422, false},
		{fmt.Errorf("pause pod: %w", pod.ErrUnreachable), 503, true},
		{fmt.Errorf("pause pod: %w", pod.ErrUnsupported), 409, false},
		{fmt.Errorf("pause pod: %w", pod.ErrForeign), 409, false},
		{fmt.Errorf("pause pod: %w", pod.ErrImage), 422, false},
		{fmt.Errorf("pause pod: %w", balancer.ErrAddressInUse), 409, false},
		{fmt.Errorf("pause pod: %w", balancer.ErrUnavailable), 503, true},
		{fmt.Errorf("pause pod: %w", context.DeadlineExceeded), 503, true},
		{errBroken, 500, false},
	} {
		f := newFake()
		f.fail["Pause"] = c.err
		var log bytes.Buffer
		a := newAPI(t, f, func(cfg *api.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		r := call(t, a, "POST", "/v1/pods/web/pause", nil)
		p := problemOf(t, r)
		assert.NotContains(t, p.Detail, "pause pod", "the chain of a Go error")
		assert.NotContains(t, p.Detail, errBroken.Error())
		assert.Contains(t, log.String(), c.err.Error())
		assert.Equal(t, c.status, r.StatusCode, c.err)
		assert.Equal(t, c.retry, r.Header.Get("Retry-After") != "", c.err)
		assert.Equal(t, "/v1/pods/web/pause", p.Instance)
	}
}

// The words of a refusal are the answer, in whatever it is wrapped.
func TestRefusalsSpeakForThemselves(t *testing.T) {
	for kind, status := range map[error]int{
		cms.ErrConflict: 409, cms.ErrExists: 409, cms.ErrNotFound: 404, cms.ErrNotRunning: 503, cms.ErrStoreFull: 507, errBroken: 500,
	} {
		f := newFake()
		f.fail["Pause"] = fmt.Errorf("pause pod: %w", &cms.Refusal{Kind: kind, Text: "it sleeps; wake it first"})
		r := call(t, newAPI(t, f), "POST", "/v1/pods/web/pause", nil)
		assert.Equal(t, status, r.StatusCode, kind)
		assert.Equal(t, "it sleeps; wake it first", problemOf(t, r).Detail, kind)
	}
}

func TestBeforeTheManagerIsReady(t *testing.T) {
	f := newFake()
	f.ready = make(chan struct{})
	var broken error = &cms.Refusal{Kind: cms.ErrStoreFull, Text: "no disk"}
	a := newAPI(t, f, func(c *api.Config) { c.Ready = func() error { return broken } })
	for path, status := range map[string]int{"/healthz": 200, "/openapi.json": 200, "/docs": 200, "/readyz": 503, "/v1/pods": 503, "/v1/events": 503} {
		r := call(t, a, "GET", path, nil)
		assert.Equal(t, status, r.StatusCode, path)
		if status == 503 {
			assert.NotEmpty(t, r.Header.Get("Retry-After"), path)
		}
	}
	close(f.ready)
	assert.Contains(t, problemOf(t, call(t, a, "GET", "/readyz", nil)).Detail, "no disk")
	broken = nil
	assert.Equal(t, 200, call(t, a, "GET", "/readyz", nil).StatusCode)
	assert.Equal(t, 404, call(t, a, "GET", "/metrics", nil).StatusCode)
}

// The answers of a panic and of a handler that fails are problems too.
func TestPanicIsAProblem(t *testing.T) {
	f := newFake()
	f.hosts = nil // a map that cannot be written
	a := newAPI(t, f)
	r := call(t, a, "POST", "/v1/hosts", `{"name":"h","runtime":"process"}`)
	assert.Equal(t, 500, problemOf(t, r).Status)
}

// A body that trickles in is given up, and the time for it does not end the
// operation that comes after it.
func TestSlowBodies(t *testing.T) {
	f := newFake()
	a := newAPI(t, f, func(c *api.Config) { c.ReadTimeout = 100 * time.Millisecond })
	server := httptest.NewUnstartedServer(a.Handler())
	a.Bound(server.Config)
	server.Start()
	defer server.Close()
	assert.NotZero(t, server.Config.ReadHeaderTimeout)

	for path, says := range map[string]string{"/v1/pods": "send it faster", "/nowhere": "there is nothing", "/v1/pods/web/pause": "send it faster"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		got, err := io.ReadAll(conn)
		require.NoError(t, err, "%s: the connection is closed", path)
		assert.Contains(t, string(got), says)
	}

	go func() {
		time.Sleep(400 * time.Millisecond) // four times the time for bodies
		f.change("web", func(p *cms.PodStatus) { p.Converged = true })
	}()
	req, err := http.NewRequest("PATCH", server.URL+"/v1/pods/web?wait=10s", newBody(`{"max_nodes":8}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	r, err := server.Client().Do(req)
	require.NoError(t, err)
	_ = r.Body.Close()
	assert.Equal(t, 200, r.StatusCode)
	server.Client().CloseIdleConnections()
}

// A body without a length is bounded as well.
func TestEndlessBody(t *testing.T) {
	a := newAPI(t, newFake(), func(c *api.Config) { c.MaxBodyBytes = 1000 })
	r := httptest.NewRequest("POST", "/v1/pods", io.LimitReader(endless{}, 1<<30))
	r.Host, r.ContentLength = "localhost", -1
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	assert.Equal(t, 413, w.Code)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
