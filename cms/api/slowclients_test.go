package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
)

// patience is the write timeout in these tests.
const patience = 200 * time.Millisecond

// large is more than all buffers on the way hold, and is written at once.
var large = bytes.Repeat([]byte("0123456789abcdef"), 1<<20)

// bounded serves an API that has a large answer, endless logs and many events to
// give, and counts its connections and the requests that it answers.
func bounded(t *testing.T, f *fake, secure bool) (server *httptest.Server, open func() int, busy *atomic.Int32) {
	t.Helper()
	f.logs = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(endless{}), nil }
	a := newAPI(t, f, func(c *api.Config) {
		c.WriteTimeout = patience
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	})
	a.SetSubscribe(func(uint64, int) api.Subscription { return chatter{} })
	mux := http.NewServeMux()
	mux.Handle("/", a.Handler())
	mux.HandleFunc("/beside", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	busy = new(atomic.Int32)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		busy.Add(1)
		defer busy.Add(-1)
		mux.ServeHTTP(w, r)
	}))
	server.Config.IdleTimeout = time.Second
	a.Bound(server.Config)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetHTTP2(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	var mu sync.Mutex
	connections := map[net.Conn]bool{}
	server.Config.ConnState = func(c net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		connections[c] = true
		if s == http.StateClosed {
			delete(connections, c)
		}
	}
	if secure {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(connections)
	}, busy
}

// chatter has something to tell whenever it is asked.
type chatter struct{}

func (chatter) Next(ctx context.Context) (cms.Event, error) {
	return cms.Event{ID: 1, Type: cms.EventNodeOnline, Pod: "web", Message: strings.Repeat("x", 1000)}, ctx.Err()
}

func (chatter) Close() {}

// narrow connects with a small window.
func narrow(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) }); failed != nil {
			return failed
		}
		return err
	}}
	return d.DialContext(ctx, network, address)
}

// Who asks and does not read is cut off, whatever was asked for, and keeps nothing
// of the server.
func TestClientsThatNeverRead(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]string{
		"a large answer":          "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"events":                  "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"logs":                    "GET /v1/pods/web/nodes/web-1/logs?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"small answers":           strings.Repeat("GET /v1/pods/web HTTP/1.1\r\nHost: localhost\r\n\r\n", 1000),
		"answers to no requests":  strings.Repeat("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 3000),
		"what is beside the API":  "GET /beside HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"answers without reading": strings.Repeat("POST /v1/pods HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, open, _ := bounded(t, newFake(), false)
			conn, err := narrow(t.Context(), "tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			begun := time.Now()
			go func() { _, _ = io.WriteString(conn, asks) }() // the server may stop reading, too
			require.Eventually(t, func() bool { return time.Since(begun) > patience && open() == 0 }, 10*time.Second, 5*time.Millisecond)
			n, _ := io.Copy(io.Discard, conn)
			assert.Greater(t, n, int64(1000), "it was being answered")
		})
	}
}

// Over HTTP/2, too: a client whose streams' windows are full, and one that does
// not read from its connection at all, which then is stuck or idle.
func TestClientsThatNeverReadOverHTTP2(t *testing.T) {
	t.Parallel()
	server, open, busy := bounded(t, newFake(), false)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: transport}
	for _, path := range []string{"/metrics", "/v1/events", "/v1/pods/web/nodes/web-1/logs?follow=true", "/beside"} {
		r, err := client.Get(server.URL + path)
		require.NoError(t, err)
		require.Equal(t, 2, r.ProtoMajor)
		require.Eventually(t, func() bool { return busy.Load() == 0 }, 10*time.Second, 5*time.Millisecond, path)
		n, err := io.Copy(io.Discard, r.Body)
		assert.Error(t, err, "%s: the stream is reset", path)
		assert.Less(t, n, int64(len(large)), path)
		_ = r.Body.Close()
	}
	assert.Equal(t, 1, open(), "the connection goes on")
	client.CloseIdleConnections()
	require.Eventually(t, func() bool { return open() == 0 }, 10*time.Second, 5*time.Millisecond)

	stuck := make(chan struct{})
	transport = &http.Transport{Protocols: transport.Protocols}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := narrow(ctx, network, address)
		return &stops{Conn: c, stuck: stuck}, err
	}
	go func() {
		if r, err := (&http.Client{Transport: transport}).Get(server.URL + "/v1/events"); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return open() == 1 }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return open() == 0 }, 10*time.Second, 5*time.Millisecond)
	close(stuck)
	transport.CloseIdleConnections()
}

// stops reads what a connection needs to begin, and then nothing.
type stops struct {
	net.Conn
	stuck chan struct{}
	read  int
}

func (s *stops) Read(p []byte) (int, error) {
	if s.read > 8<<10 {
		<-s.stuck
		return 0, io.EOF
	}
	n, err := s.Conn.Read(p)
	s.read += n
	return n, err
}

// Who reads slowly gets all of it, though that takes longer than the bound for a
// part.
func TestClientThatReadsSlowly(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		server, _, _ := bounded(t, newFake(), secure)
		r, err := server.Client().Get(server.URL + "/metrics")
		require.NoError(t, err)
		begun := time.Now()
		var n int64
		for err == nil {
			var k int64
			k, err = io.CopyN(io.Discard, r.Body, 512<<10)
			n += k
			time.Sleep(patience / 10)
		}
		assert.ErrorIs(t, err, io.EOF)
		assert.EqualValues(t, len(large), n)
		assert.Greater(t, time.Since(begun), 2*patience)
		_ = r.Body.Close()
	}
}

// A stream on which nothing happens, and a request that waits, are not taken for a
// client that does not read.
func TestQuietAnswersAreNotCut(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		f := newFake()
		server, _, _ := bounded(t, f, secure)
		reader, writer := io.Pipe()
		f.logs = func(context.Context) (io.ReadCloser, error) { return reader, nil }
		r, err := server.Client().Get(server.URL + "/v1/pods/web/nodes/web-1/logs?follow=true")
		require.NoError(t, err)
		for i := range 2 {
			line := fmt.Sprintf("line %d\n", i)
			_, err := io.WriteString(writer, line)
			require.NoError(t, err)
			got := make([]byte, len(line))
			_, err = io.ReadFull(r.Body, got)
			require.NoError(t, err, "HTTP/%d", r.ProtoMajor)
			assert.Equal(t, line, string(got))
			time.Sleep(2 * patience)
		}
		require.NoError(t, writer.Close())
		rest, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.Empty(t, rest)
		_ = r.Body.Close()

		f.change("web", func(p *cms.PodStatus) { p.Converged = false })
		req, err := http.NewRequest("PATCH", server.URL+"/v1/pods/web?wait=500ms", newBody(`{"max_nodes":8}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		r, err = server.Client().Do(req)
		require.NoError(t, err)
		_, err = io.ReadAll(r.Body)
		require.NoError(t, err)
		_ = r.Body.Close()
		assert.Equal(t, 202, r.StatusCode)
	}
}

// Streams are bounded in number; one that ends makes room for another.
func TestTooManyStreams(t *testing.T) {
	a := newAPI(t, newFake(), func(c *api.Config) { c.MaxStreams = 2 })
	a.SetSubscribe(func(uint64, int) api.Subscription { return newStream() })
	get := live(t, a)
	_, first := get("/v1/events")
	_, second := get("/v1/events")
	assert.Equal(t, []int{200, 200}, []int{first.StatusCode, second.StatusCode})
	for _, path := range []string{"/v1/events", "/v1/pods/web/nodes/web-1/logs?follow=true"} {
		_, r := get(path)
		assert.Contains(t, problemOf(t, r).Detail, "too many streams", path)
		assert.Equal(t, 503, r.StatusCode)
		assert.NotEmpty(t, r.Header.Get("Retry-After"))
	}
	require.NoError(t, first.Body.Close())
	require.Eventually(t, func() bool {
		_, r := get("/v1/events")
		return r.StatusCode == 200
	}, 10*time.Second, 5*time.Millisecond)
}

// A server that has bounds of its own keeps them.
func TestBoundKeepsWhatIsSet(t *testing.T) {
	a := newAPI(t, newFake())
	called := false
	s := &http.Server{
		ReadHeaderTimeout: 1, IdleTimeout: 2, MaxHeaderBytes: 3, WriteTimeout: 4, HTTP2: &http.HTTP2Config{WriteByteTimeout: 5, MaxConcurrentStreams: 6},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { called = true; return ctx },
	}
	a.Bound(s)
	c, other := net.Pipe()
	defer c.Close()
	defer other.Close()
	s.ConnContext(t.Context(), c)
	assert.True(t, called)
	assert.Equal(t, []int64{1, 2, 3, 4, 5, 6}, []int64{int64(s.ReadHeaderTimeout), int64(s.IdleTimeout), int64(s.MaxHeaderBytes), int64(s.WriteTimeout),
		int64(s.HTTP2.WriteByteTimeout), int64(s.HTTP2.MaxConcurrentStreams)})
	none := &http.Server{}
	a.Bound(none)
	assert.NotContains(t, []time.Duration{none.ReadHeaderTimeout, none.IdleTimeout, none.WriteTimeout, none.HTTP2.WriteByteTimeout}, time.Duration(0))
}
