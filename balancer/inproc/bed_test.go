package inproc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// bed is a Balancer with one front.
type bed struct {
	t *testing.T
	b *Balancer
	f balancer.Front
}

func newBed(t *testing.T, cfg Config, change func(*balancer.Front)) *bed {
	t.Helper()
	b, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	if change != nil {
		change(&f)
	}
	require.NoError(t, b.SetFront(t.Context(), f))
	return &bed{t: t, b: b, f: f}
}

func (b *bed) apply(addrs ...string) {
	b.t.Helper()
	var want []balancer.Server
	for i, a := range addrs {
		want = append(want, balancer.Server{Name: fmt.Sprintf("n-%d", i), Addr: a})
	}
	require.NoError(b.t, b.b.Apply(b.t.Context(), "web", want))
}

func (b *bed) stats() balancer.FrontStats {
	b.t.Helper()
	st, err := b.b.Observe(b.t.Context())
	require.NoError(b.t, err)
	f, ok := st.Front("web")
	require.True(b.t, ok)
	return f
}

func (b *bed) dial() *conn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.f.Listen)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = c.Close() })
	require.NoError(b.t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return &conn{t: b.t, TCPConn: c.(*net.TCPConn), r: bufio.NewReader(c)}
}

// conn is a client's connection.
type conn struct {
	t *testing.T
	*net.TCPConn
	r *bufio.Reader
}

func (c *conn) send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c, s)
	require.NoError(c.t, err)
}

// recv reads an answer to a GET.
func (c *conn) recv() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	require.NoError(c.t, err)
	if resp.StatusCode < 200 {
		return resp, ""
	}
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp, string(body)
}

// closed requires that the connection is closed, with nothing more on it.
func (c *conn) closed() {
	c.t.Helper()
	_, err := c.r.ReadByte()
	require.ErrorIs(c.t, err, io.EOF)
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// tcpServer hands each of its connections to serve.
func tcpServer(t *testing.T, serve func(c *net.TCPConn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c.(*net.TCPConn), bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// httpServer serves a handler.
func httpServer(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return l.Addr().String()
}

// readHead returns the lines of a head as they came.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// answering serves the same bytes to every head, as long as the client asks.
func answering(t *testing.T, answer string) string {
	return tcpServer(t, func(c *net.TCPConn, r *bufio.Reader) {
		for {
			if _, err := readHead(r); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 5*time.Second, 2*time.Millisecond, what)
}
