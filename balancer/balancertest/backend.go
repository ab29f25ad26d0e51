package balancertest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"

	"github.com/elastipod/elastipod/balancer"
)

// echo is what a backend's /echo saw.
type echo struct {
	Server  string
	Method  string
	URI     string
	Host    string
	Header  http.Header
	Length  int64
	Bytes   int64
	SHA     string
	Query   url.Values
	Trailer http.Header
}

// backend is a web server behind the front. It takes:
//
//	/            answers its name
//	/echo        answers an echo of the request
//	/sleep?d=    answers after d
//	/status?code= answers that status
//	/bytes?n=    answers n bytes
//	/hold        answers once released, or never
//	/ws          echoes WebSocket messages
type backend struct {
	name string
	addr string
	srv  *http.Server

	hits    atomic.Int64
	held    atomic.Int64 // requests in /hold now
	dropped atomic.Int64 // requests in /hold whose client went away
	mu      sync.Mutex
	hold    chan struct{}
	extra   map[string]http.HandlerFunc
}

func newBackend(t *testing.T, name string) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &backend{name: name, addr: l.Addr().String(), hold: make(chan struct{}), extra: map[string]http.HandlerFunc{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", b.root)
	mux.HandleFunc("/echo", b.echo)
	mux.HandleFunc("/sleep", b.sleep)
	mux.HandleFunc("/status", b.status)
	mux.HandleFunc("/bytes", b.bytes)
	mux.HandleFunc("/hold", b.holding)
	mux.Handle("/ws", websocket.Handler(echoMessages))
	b.srv = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.hits.Add(1)
			b.mu.Lock()
			h := b.extra[r.URL.Path]
			b.mu.Unlock()
			if h != nil {
				h(w, r)
				return
			}
			mux.ServeHTTP(w, r)
		}),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.srv.Serve(l)
	}()
	t.Cleanup(func() {
		b.release()
		_ = b.srv.Close()
		<-done
	})
	return b
}

// kill closes the listener and every connection, as the death of a process does.
func (b *backend) kill() { _ = b.srv.Close() }

func (b *backend) server() balancer.Server {
	return balancer.Server{Name: b.name, Addr: b.addr}
}

func (b *backend) draining() balancer.Server {
	s := b.server()
	s.State = balancer.Drain
	return s
}

func (b *backend) handle(path string, h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.extra[path] = h
}

// release lets everything in /hold go, now and later.
func (b *backend) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.hold:
	default:
		close(b.hold)
	}
}

func (b *backend) root(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, b.name)
}

func (b *backend) echo(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(echo{
		Server: b.name, Method: r.Method, URI: r.RequestURI, Host: r.Host, Header: r.Header,
		Length: r.ContentLength, Bytes: n, SHA: hex.EncodeToString(sum.Sum(nil)), Query: r.URL.Query(), Trailer: r.Trailer,
	})
}

func (b *backend) sleep(w http.ResponseWriter, r *http.Request) {
	d, _ := time.ParseDuration(r.FormValue("d"))
	select {
	case <-r.Context().Done():
	case <-time.After(d):
		b.root(w, r)
	}
}

func (b *backend) status(w http.ResponseWriter, r *http.Request) {
	code, _ := strconv.Atoi(r.FormValue("code"))
	w.WriteHeader(code)
}

func (b *backend) bytes(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.ParseInt(r.FormValue("n"), 10, 64)
	if r.FormValue("chunked") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	}
	_, _ = io.CopyN(w, &pattern{}, n)
}

func (b *backend) holding(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	hold := b.hold
	b.mu.Unlock()
	b.held.Add(1)
	defer b.held.Add(-1)
	select {
	case <-hold:
		b.root(w, r)
	case <-r.Context().Done():
		b.dropped.Add(1)
	}
}

func echoMessages(c *websocket.Conn) {
	for {
		var m string
		if websocket.Message.Receive(c, &m) != nil || websocket.Message.Send(c, m) != nil {
			return
		}
	}
}

// pattern is an endless body, in which each place tells where it is.
type pattern struct{ at int }

func (r *pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a' + byte((r.at+i)%23)
	}
	r.at += len(p)
	return len(p), nil
}

// rawBackend is a server of which every connection is handed to serve, which
// may do what no proper server does.
type rawBackend struct {
	name  string
	addr  string
	conns atomic.Int64
}

func newRawBackend(t *testing.T, name string, serve func(net.Conn, *bufio.Reader)) *rawBackend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &rawBackend{name: name, addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.conns.Add(1)
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				serve(c, bufio.NewReader(c))
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return b
}

func (b *rawBackend) server() balancer.Server {
	return balancer.Server{Name: b.name, Addr: b.addr}
}

// client is an HTTP client of a front, with its own connections.
type client struct {
	t *testing.T
	http.Client
	base string
}

// newClient returns a client; from is its address, empty for any.
func newClient(t *testing.T, front balancer.Front, from string) *client {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	tr := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 256, DisableCompression: true, ExpectContinueTimeout: 10 * time.Second}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{
		t:    t,
		base: "http://" + front.Listen,
		Client: http.Client{
			Transport:     tr,
			Timeout:       20 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// try sends a request and returns its status and body.
func (c *client) try(ctx context.Context, method, path string, body io.Reader) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return 0, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// get GETs a path, which must answer 200, and returns the body.
func (c *client) get(path string) string {
	c.t.Helper()
	code, body, err := c.try(context.Background(), http.MethodGet, path, nil)
	require.NoError(c.t, err, "GET %s", path)
	require.Equal(c.t, http.StatusOK, code, "GET %s: %s", path, body)
	return body
}

// pending is a request under way.
type pending struct {
	done   chan struct{}
	cancel context.CancelFunc
	code   int
	body   string
	err    error
}

// start begins a request and does not wait for it.
func (c *client) start(method, path string) *pending {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pending{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(p.done)
		p.code, p.body, p.err = c.try(ctx, method, path, nil)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// wait returns what the request came to.
func (p *pending) wait(t *testing.T) (int, string, error) {
	t.Helper()
	select {
	case <-p.done:
		return p.code, p.body, p.err
	case <-time.After(10 * time.Second):
		require.Fail(t, "the request does not end")
		return 0, "", nil
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 5*time.Second, 5*time.Millisecond, what)
}

// raw is a connection to a front on which a test writes what it likes.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, f balancer.Front) *raw {
	t.Helper()
	c, err := net.DialTimeout("tcp", f.Listen, 5*time.Second)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	t.Cleanup(func() { _ = c.Close() })
	return &raw{Conn: c, r: bufio.NewReader(c)}
}

func (c *raw) send(t *testing.T, format string, args ...any) {
	t.Helper()
	_, err := fmt.Fprintf(c, format, args...)
	require.NoError(t, err)
}

// recv reads a response to a request of that method, its body included.
func (c *raw) recv(method string) (*http.Response, string, error) {
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	if resp.StatusCode == http.StatusContinue {
		return resp, "", nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (c *raw) mustRecv(t *testing.T, method string) (*http.Response, string) {
	t.Helper()
	resp, body, err := c.recv(method)
	require.NoError(t, err)
	return resp, body
}

// load sends GETs from several clients until stopped and counts what fails.
type load struct {
	sent, failed atomic.Int64
	first        atomic.Pointer[string]
	stop         chan struct{}
	wg           sync.WaitGroup
}

func startLoad(t *testing.T, f balancer.Front, clients int, path string, pause time.Duration) *load {
	l := &load{stop: make(chan struct{})}
	for range clients {
		c := newClient(t, f, "")
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(pause):
				}
				code, body, err := c.try(context.Background(), http.MethodGet, path, nil)
				l.sent.Add(1)
				if err != nil || code != http.StatusOK {
					l.failed.Add(1)
					s := fmt.Sprintf("status %d, error %v, body %q", code, err, strings.TrimSpace(body))
					l.first.CompareAndSwap(nil, &s)
				}
			}
		})
	}
	return l
}

// end stops the load and requires that nothing failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	first := ""
	if s := l.first.Load(); s != nil {
		first = *s
	}
	require.Zero(t, l.failed.Load(), "of %d requests; the first that failed: %s", l.sent.Load(), first)
	require.NotZero(t, l.sent.Load())
}
