package dockertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Proxy stands before an engine's socket and makes calls of its API slow, or
// fail, in ways that a real engine does only when its machine is in trouble. It
// passes everything on until it is told otherwise.
type Proxy struct {
	// Socket is the path of the proxy's own unix socket.
	Socket string

	dir     string
	server  *http.Server
	pass    *httputil.ReverseProxy
	engine  *http.Transport
	cancel  context.CancelFunc
	serving sync.WaitGroup

	mu     sync.Mutex
	closed bool
	delay  time.Duration
	fault  func(*http.Request) Fault
	calls  []Call
}

// Fault says what becomes of one call. The zero value passes it on.
type Fault struct {
	// Status is what the proxy answers with, 400 or more; 0: it passes the call on.
	Status int
	// Message goes with a Status, as engines send one.
	Message string
	// Cut ends the connection without an answer.
	Cut bool
	// After lets the engine do what it was asked for before its answer is
	// replaced by the Status or the Cut: the caller cannot know that it is done.
	After bool
}

// Call is one call that reached the proxy.
type Call struct {
	Method, Path string    // the path with its API version, without a query
	At           time.Time // when it came
}

// StartProxy puts a proxy before an engine for a test, and closes it with the
// test. It fails the test when that is not possible.
func StartProxy(t testing.TB, e *Engine) *Proxy {
	t.Helper()
	p, err := NewProxy(e.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close proxy: %v", err)
		}
	})
	return p
}

// NewProxy starts a proxy before the engine that listens on a unix socket. The
// engine need not be there. The caller closes the proxy.
func NewProxy(socket string) (*Proxy, error) {
	dir, err := os.MkdirTemp("/tmp", "epx")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Socket: filepath.Join(dir, "d.sock"), dir: dir}
	listener, err := net.Listen("unix", p.Socket)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	var d net.Dialer
	p.engine = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", socket)
	}}
	quiet := log.New(io.Discard, "", 0)
	p.pass = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "docker"}) },
		Transport:     p.engine,
		FlushInterval: -1, // streams of events and output
		ErrorLog:      quiet,
		// As a client sees it that dials an engine which is away.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ErrorLog: quiet, BaseContext: func(net.Listener) context.Context { return ctx }}
	p.serving.Go(func() { _ = p.server.Serve(listener) })
	return p, nil
}

// Address is the proxy's address, "unix:///…", which stands for the engine's.
func (p *Proxy) Address() string { return "unix://" + p.Socket }

// SetDelay makes each call that comes from now on wait before anything is done
// about it; 0 ends that.
func (p *Proxy) SetDelay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// SetFault decides what becomes of each call from now on; nil passes all on. The
// function may be called from several goroutines at a time.
func (p *Proxy) SetFault(f func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Calls returns the calls that came since the proxy was made, oldest first.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Call(nil), p.calls...)
}

// Close cuts what is under way and ends the proxy. It is safe to call twice.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	err := p.server.Close()
	p.serving.Wait()
	p.engine.CloseIdleConnections()
	return errors.Join(err, os.RemoveAll(p.dir))
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	p.serving.Add(1)
	defer p.serving.Done()
	p.calls = append(p.calls, Call{Method: r.Method, Path: r.URL.Path, At: time.Now()})
	delay, decide := p.delay, p.fault
	p.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	var f Fault
	if decide != nil {
		f = decide(r)
	}
	if f.Status == 0 && !f.Cut {
		p.pass.ServeHTTP(w, r)
		return
	}
	if f.After {
		p.pass.ServeHTTP(&unheard{header: http.Header{}}, r)
	}
	if f.Cut {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": f.Message})
}

// unheard is where an answer goes that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) Write(b []byte) (int, error) { return len(b), nil }
func (u *unheard) WriteHeader(int)             {}
