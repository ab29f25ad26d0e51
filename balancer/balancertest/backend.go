package balancertest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
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

// one makes a front "web" with one backend "a". change may be nil.
func (b *bed) one(change func(*balancer.Front)) (balancer.Front, *backend) {
	b.t.Helper()
	f := b.front("web", change)
	a := newBackend(b.t, "a")
	b.apply("web", a.server())
	return f, a
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

// answering is a server that answers one request a connection with that text.
func answering(t *testing.T, text string) *rawBackend {
	return newRawBackend(t, "raw", func(c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(c, text)
		}
	})
}

func (b *rawBackend) server() balancer.Server {
	return balancer.Server{Name: b.name, Addr: b.addr}
}
