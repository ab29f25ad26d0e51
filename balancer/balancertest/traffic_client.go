package balancertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

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

// do sends a request, and returns its answer and the body.
func (c *client) do(req *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := c.Do(req)
	require.NoError(c.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp, string(body)
}

// status sends a request without a body, and returns the status of its answer.
func (c *client) status(method, path string) int {
	c.t.Helper()
	code, _, err := c.try(context.Background(), method, path, nil)
	require.NoError(c.t, err, "%s %s", method, path)
	return code
}

// hold begins a request that stays, and waits until the backend has it.
func (c *client) hold(a *backend) *pending {
	c.t.Helper()
	n := a.held.Load()
	p := c.start(http.MethodGet, "/hold")
	eventually(c.t, "the request is at "+a.name, func() bool { return a.held.Load() > n })
	return p
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

// served requires that the request is answered 200, and returns the body.
func (p *pending) served(t *testing.T) string {
	t.Helper()
	code, body, err := p.wait(t)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	return body
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

// ask sends a request and reads the response to it.
func (c *raw) ask(t *testing.T, method, format string, args ...any) (*http.Response, string) {
	t.Helper()
	c.send(t, format, args...)
	return c.mustRecv(t, method)
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
