package serve_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

const (
	opsToken  = "ops-0123456789abcdef"
	lookToken = "look-0123456789abcdef"
)

// reloaded is a server with TLS and tokens whose configuration is changed while
// it runs.
type reloaded struct {
	*process
	t                 *testing.T
	dir, cert, key    string
	file, tokens      string
	pool              atomic.Pointer[x509.CertPool]
	front, data, prog string
}

const reloadedConfig = `
tick: 100ms
log: {format: json, level: info}
tls: {cert: s.pem, key: s.key}
token_file: tokens
pods:
- name: web
  workload:
    command: [%q, workload, --bind, 127.0.0.1, light]
    ports: {http: 8080}
    probe: {http: /healthz}
  limits: {cpu: 0.1, memory: 32MiB}
  max_nodes: 4
  nodes: 2
  fronts: [{listen: %q}]
`

func launchReloaded(t *testing.T) *reloaded {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	dir := dataDir(t)
	r := &reloaded{
		t: t, dir: dir, cert: filepath.Join(dir, "s.pem"), key: filepath.Join(dir, "s.key"), file: filepath.Join(dir, "server.yaml"),
		tokens: filepath.Join(dir, "tokens"), data: filepath.Join(dir, "data"), front: freeAddress(t), prog: exe,
	}
	r.renew()
	r.writeTokens("ops operator "+opsToken, "look viewer "+lookToken)
	r.write(r.config())
	args := []string{"--listen", "127.0.0.1:0", "--config", r.file, "--data", r.data}
	r.process = launch(t, args...)
	t.Cleanup(func() {
		r.kill()
		r.write(r.config())
		p := launch(t, append(args, "--stop-nodes")...)
		p.ask(syscall.SIGTERM)
		p.exit()
	})
	return r
}

func (r *reloaded) config() string { return fmt.Sprintf(reloadedConfig, r.prog, r.front) }

func (r *reloaded) write(config string) {
	require.NoError(r.t, os.WriteFile(r.file, []byte(config), 0o600))
}

func (r *reloaded) writeTokens(lines ...string) {
	require.NoError(r.t, os.WriteFile(r.tokens, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// renew makes a new certificate; clients trust the old ones too.
func (r *reloaded) renew() {
	r.pool.Store(writeCertificate(r.t, r.cert, r.key))
}

// client trusts the certificate of now, and makes a connection for each request.
func (r *reloaded) client(token string) *client.Client {
	transport := &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{RootCAs: r.pool.Load(), NextProtos: []string{"http/1.1"}}}
		return d.DialContext(ctx, network, addr)
	}}
	c, err := client.New(client.Config{Server: r.url, Token: token, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(r.t, err)
	return c
}

func (r *reloaded) reload() wire.Reload {
	r.t.Helper()
	out, err := r.client(opsToken).Reload(r.t.Context(), false)
	require.NoError(r.t, err)
	return out
}

func paths(changes []wire.ReloadChange) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.Path
	}
	return out
}

// load sends requests until stop is called, which returns how many there were and
// what went wrong.
func load(every time.Duration, request func() error) (stop func() (int, []error)) {
	var running sync.WaitGroup
	done := make(chan struct{})
	var mu sync.Mutex
	var failed []error
	n := 0
	for range 2 {
		running.Go(func() {
			for {
				err := request()
				mu.Lock()
				n++
				if err != nil {
					failed = append(failed, err)
				}
				mu.Unlock()
				select {
				case <-done:
					return
				case <-time.After(every):
				}
			}
		})
	}
	return func() (int, []error) {
		close(done)
		running.Wait()
		return n, failed
	}
}

// TestReload changes everything that a running server takes over, under load:
// no request fails.
func TestReload(t *testing.T) {
	r := launchReloaded(t)
	ops := r.client(opsToken)
	require.Eventually(t, func() bool {
		p, err := ops.Pod(t.Context(), "web")
		return err == nil && p.Status.Converged && answers(r.front)
	}, 60*time.Second, 50*time.Millisecond)

	out := r.reload()
	assert.Empty(t, out.Changed, "the same configuration is no change")
	assert.False(t, out.DryRun)

	stopFront := load(2*time.Millisecond, func() error {
		res, err := http.Get("http://" + r.front + "/work?sleep=5ms")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
			return fmt.Errorf("%s: %w", res.Status, err)
		}
		return nil
	})
	stopAPI := load(10*time.Millisecond, func() error {
		_, err := ops.Pods(context.Background())
		return err
	})
	keptEvents, cutEvents := r.stream(opsToken), r.stream(lookToken)

	t.Log("SIGHUP, many times")
	reloads := func() int { return strings.Count(r.output(), `"msg":"configuration reloaded"`) }
	for range 20 { // each is over before the next, so that none reads what is written below
		before := reloads()
		r.ask(syscall.SIGHUP)
		require.Eventually(t, func() bool { return reloads() > before }, 10*time.Second, 5*time.Millisecond)
		time.Sleep(20 * time.Millisecond)
	}

	t.Log("log, tokens, certificate, hosts and pods")
	const rotated = "look-rotated-0123456"
	r.writeTokens("ops operator "+opsToken, "look viewer "+rotated, "new viewer new-0123456789abcdef")
	api := freeAddress(t)
	next := strings.Replace(r.config(), "level: info", "level: debug", 1) + fmt.Sprintf(`
- name: api
  workload: {command: [%q, workload, --bind, 127.0.0.1, light], ports: {http: 8080}}
  limits: {cpu: 0.1, memory: 32MiB}
  nodes: 1
  fronts: [{listen: %q}]
hosts: [{name: local, runtime: process}, {name: second, runtime: process}]
allowed_hosts: [ops.example.com]
allowed_origins: ["https://ops.example.com"]
stop_timeout: 30s
default_pods: [{name: plain, workload: {command: [x]}}]
`, r.prog, api)
	next = strings.Replace(next, "max_nodes: 4", "max_nodes: 3", 1)
	r.write(next)
	want := []string{
		"allowed_hosts", "allowed_origins", "default_pods[plain]", "hosts[second]", "log.level", "pods[api]", "pods[web].max_nodes", "stop_timeout",
		"tokens[look].secret", "tokens[new]",
	}
	dry, err := ops.Reload(t.Context(), true)
	require.NoError(t, err)
	assert.True(t, dry.DryRun)
	assert.Equal(t, want, paths(dry.Changed))
	_, err = ops.Pod(t.Context(), "api")
	assert.True(t, client.NotFound(err), "a dry run changes nothing")
	assert.Equal(t, 401, client.StatusOf(r.try(rotated)))

	out = r.reload()
	assert.Equal(t, want, paths(out.Changed))
	assert.Empty(t, out.NeedsRestart)
	for _, c := range out.Changed {
		assert.Equal(t, c.Path != "pods[web].max_nodes", c.Applied, c.Path)
		assert.NotContains(t, c.From+c.To, "0123456")
	}
	assert.Contains(t, out.Changed[6].Note, "cloud apply")
	require.NoError(t, r.try(rotated))
	require.NoError(t, r.try("new-0123456789abcdef"))
	assert.Equal(t, 401, client.StatusOf(r.try(lookToken)), "the old secret")
	select {
	case <-cutEvents:
	case <-time.After(10 * time.Second):
		t.Error("the stream of the token that was rotated goes on")
	}
	hosts, err := ops.Hosts(t.Context())
	require.NoError(t, err)
	assert.Len(t, hosts, 2)
	require.Eventually(t, func() bool { return answers(api) }, 30*time.Second, 50*time.Millisecond, "the new pod takes requests")
	web, err := ops.Pod(t.Context(), "web")
	require.NoError(t, err)
	assert.Equal(t, wire.Count(4), web.MaxNodes, "a pod that is there stays as it is")
	pods, err := ops.Init(t.Context())
	require.NoError(t, err)
	require.Len(t, pods, 1)
	assert.Equal(t, "plain", pods[0].Name)
	_, err = ops.DeletePod(t.Context(), "plain", client.Wait(20*time.Second))
	require.NoError(t, err)

	t.Log("requests between reloads")
	var took []time.Duration
	for i := range 16 {
		level := []string{"info", "debug"}[i%2]
		r.write(strings.Replace(next, "level: debug", "level: "+level, 1))
		began := time.Now()
		assert.Len(t, r.reload().Changed, 1)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)

	frontN, frontFailed := stopFront()
	apiN, apiFailed := stopAPI()
	assert.Empty(t, frontFailed, "requests to the pod")
	assert.Empty(t, apiFailed, "requests to the API")
	assert.Greater(t, frontN, 100)
	assert.Greater(t, apiN, 20)
	t.Logf("%d requests to the pod and %d to the API; a reload through the API took %s (median of %d), %s at most", frontN, apiN, took[len(took)/2], len(took), took[len(took)-1])

	select {
	case <-keptEvents:
		t.Error("the stream of a token that is still valid was cut")
	default:
	}
	assert.Contains(t, r.output(), `"msg":"configuration changed","path":"log.level","from":"info","to":"debug","applied":true`)
	assert.NotContains(t, r.output(), `"level":"ERROR"`)
	for _, secret := range []string{opsToken, lookToken, rotated} {
		assert.NotContains(t, r.output(), secret)
	}
}

// try reads with a token.
func (r *reloaded) try(token string) error {
	_, err := r.client(token).Pods(r.t.Context())
	return err
}

// stream reads events until they are cut.
func (r *reloaded) stream(token string) (cut <-chan struct{}) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+"/v1/events", nil)
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.pool.Load()}}}
	res, err := hc.Do(req)
	require.NoError(r.t, err)
	require.Equal(r.t, 200, res.StatusCode)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer hc.CloseIdleConnections()
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, bufio.NewReader(res.Body))
	}()
	r.t.Cleanup(func() { <-ended }) // the server is gone by then
	return ended
}

// TestCertificateIsRotatedUnderLoad renews the certificate while clients connect
// all the time, each trusting the newest only.
func TestCertificateIsRotatedUnderLoad(t *testing.T) {
	dir := dataDir(t)
	both := x509.NewCertPool()
	var pems [6][2][]byte
	for i := range pems {
		cert, key := filepath.Join(dir, "x.pem"), filepath.Join(dir, "x.key")
		writeCertificate(t, cert, key)
		c, err := os.ReadFile(cert)
		require.NoError(t, err)
		k, err := os.ReadFile(key)
		require.NoError(t, err)
		pems[i] = [2][]byte{c, k}
		both.AppendCertsFromPEM(c)
	}
	cert, key := filepath.Join(dir, "s.pem"), filepath.Join(dir, "s.key")
	place := func(i int) {
		require.NoError(t, os.WriteFile(key, pems[i][1], 0o600))
		require.NoError(t, os.WriteFile(cert, pems[i][0], 0o600))
		// The same time of change, as a restored backup has: only a reload sees it.
		at := time.Unix(1_700_000_000, 0)
		require.NoError(t, os.Chtimes(cert, at, at))
	}
	place(0)
	p := launch(t, "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key)
	stop := load(2*time.Millisecond, func() error {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{RootCAs: both})
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.WriteString(conn, "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(conn)
		if err == nil && !strings.Contains(string(answer), "200 OK") {
			err = errors.New(string(answer))
		}
		return err
	})
	now := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{RootCAs: both})
		require.NoError(t, err)
		defer conn.Close()
		return string(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: both}}}
	c, err := client.New(client.Config{Server: p.url, HTTPClient: hc})
	require.NoError(t, err)
	for i := 1; i < len(pems); i++ {
		before := now()
		place(i)
		out, err := c.Reload(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, []string{"tls.certificate"}, paths(out.Changed))
		assert.Contains(t, out.Changed[0].To, "SHA-256")
		assert.NotEqual(t, before, now(), "the next handshake has the new one")
	}
	before := now()
	require.NoError(t, os.WriteFile(cert, pems[0][0], 0o600)) // of another key
	_, err = c.Reload(t.Context(), false)
	assert.Equal(t, 422, client.StatusOf(err))
	assert.ErrorContains(t, err, "name PEM files that belong together")
	assert.Equal(t, before, now())
	n, failed := stop()
	assert.Empty(t, failed)
	assert.Greater(t, n, 5)
	p.ask(syscall.SIGTERM)
	p.exit()
}

// TestReloadIsAllOrNothing has reloads fail in each way; after each of them
// everything is as it was.
func TestReloadIsAllOrNothing(t *testing.T) {
	r := launchReloaded(t)
	ops := r.client(opsToken)
	unchanged := func(what string) {
		t.Helper()
		hosts, err := ops.Hosts(t.Context())
		require.NoError(t, err)
		assert.Len(t, hosts, 1, what)
		pods, err := ops.Pods(t.Context())
		require.NoError(t, err)
		assert.Len(t, pods, 1, what)
		require.NoError(t, r.try(lookToken), what)
		assert.Equal(t, 401, client.StatusOf(r.try("new-0123456789abcdef")), what)
		dry, err := ops.Reload(t.Context(), true)
		if err == nil { // what differs still differs
			assert.NotEmpty(t, dry.Changed, what)
		}
	}
	// What each of them would also change.
	r.writeTokens("ops operator "+opsToken, "new viewer new-0123456789abcdef")
	more := strings.Replace(r.config(), "level: info", "level: debug", 1)
	hosts := "hosts: [{name: local, runtime: process}, {name: second, runtime: process}"

	t.Log("a fault")
	r.write(more + hosts + "]\nlisten: nonsense\nfoo: 1\n")
	_, err := ops.Reload(t.Context(), false)
	assert.Equal(t, 422, client.StatusOf(err))
	assert.ErrorContains(t, err, "server.yaml:18:1: is unknown")
	unchanged("a fault")

	t.Log("what needs a restart")
	r.write(more + hosts + "]\nhistory: 100\n")
	_, err = ops.Reload(t.Context(), false)
	assert.Equal(t, 409, client.StatusOf(err))
	assert.ErrorContains(t, err, "nothing was changed: a restart is needed for history")
	unchanged("a restart")

	t.Log("a pod whose front's address is taken, after a host and a pod that were made")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	pods := fmt.Sprintf("- {name: one, nodes: 1, workload: {command: [%q, workload, --bind, 127.0.0.1, light], ports: {http: 8080}}, limits: {cpu: 0.1, memory: 32MiB}}\n", r.prog) +
		fmt.Sprintf("- {name: two, workload: {command: [x], ports: {http: 80}}, fronts: [{listen: %q}]}\n", l.Addr())
	r.write(more + pods + hosts + "]\n")
	_, err = ops.Reload(t.Context(), false)
	assert.Equal(t, 409, client.StatusOf(err), "%v", err)
	assert.ErrorContains(t, err, "nothing was changed")
	unchanged("a front")

	t.Log("a host that cannot be opened, after one that could")
	r.write(more + hosts + ", {name: third, runtime: docker, address: 'unix:///tmp/there-is-no-engine.sock'}]\n")
	_, err = ops.Reload(t.Context(), false)
	assert.Equal(t, 409, client.StatusOf(err), "%v", err)
	assert.ErrorContains(t, err, "third")
	unchanged("a host")

	t.Log("by SIGHUP: the log says why")
	r.write("tick: 7\n")
	r.ask(syscall.SIGHUP)
	assert.Eventually(t, func() bool { return strings.Contains(r.output(), `"msg":"the configuration stays as it was"`) }, 10*time.Second, 20*time.Millisecond)

	t.Log("many at once, one after another")
	r.write(more)
	var running sync.WaitGroup
	var changed atomic.Int64
	for range 8 {
		running.Go(func() {
			out, err := r.client(opsToken).Reload(t.Context(), false)
			assert.NoError(t, err)
			changed.Add(int64(len(out.Changed)))
		})
	}
	running.Wait()
	assert.Equal(t, int64(3), changed.Load(), "each difference is taken over once: the level, and two tokens")
}

// TestTokensComeAndGo: a server that asked nobody for a token asks for one from
// the reload on, and so does its dashboard; streams that were opened before are
// cut.
func TestTokensComeAndGo(t *testing.T) {
	dir := dataDir(t)
	file := filepath.Join(dir, "server.yaml")
	require.NoError(t, os.WriteFile(file, []byte("tick: 100ms\n"), 0o600))
	p := launch(t, "--listen", "127.0.0.1:0", "--config", file, "--data", filepath.Join(dir, "data"))
	r := &reloaded{process: p, t: t}
	page := func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/", nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "text/html")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(body)
	}
	require.NoError(t, r.try(""))
	assert.Contains(t, page(), `name="elastipod" content="open"`)
	cut := r.stream("")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "ops"), []byte(opsToken), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("tick: 100ms\ntokens: [{name: ops, role: operator, file: ops}]\n"), 0o600))
	p.ask(syscall.SIGHUP)
	require.Eventually(t, func() bool { return client.StatusOf(r.try("")) == 401 }, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, r.try(opsToken))
	assert.Contains(t, page(), `name="elastipod" content="token"`)
	select {
	case <-cut:
	case <-time.After(10 * time.Second):
		t.Error("a stream without a token goes on")
	}

	require.NoError(t, os.WriteFile(file, []byte("tick: 100ms\n"), 0o600))
	out, err := r.client(opsToken).Reload(t.Context(), false)
	require.NoError(t, err)
	assert.Equal(t, []string{"tokens[ops]"}, paths(out.Changed))
	require.NoError(t, r.try(""))
	p.ask(syscall.SIGTERM)
	code, _ := p.exit()
	assert.Zero(t, code, p.output())
}
