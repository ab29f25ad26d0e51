package inproc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestQueueIsFirstComeFirstServed(t *testing.T) {
	b := newBed(t, Config{}, func(f *balancer.Front) { f.MaxConn = 1 })
	var mu sync.Mutex
	var order []string
	next := make(chan struct{})
	b.apply(httpServer(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		order = append(order, r.URL.Path)
		mu.Unlock()
		<-next
	}))
	var want []string
	var conns []*conn
	for i := range 6 {
		conn := b.dial()
		path := fmt.Sprintf("/%d", i)
		conn.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		eventually(t, "it is there", func() bool { return b.stats().InFlight == i+1 && b.stats().Waiting == i })
		conns, want = append(conns, conn), append(want, path)
	}
	// One that leaves loses its place.
	_ = conns[3].Close()
	want = append(want[:3], want[4:]...)
	eventually(t, "it left", func() bool { return b.stats().Waiting == 4 })
	for range want {
		next <- struct{}{}
	}
	for i, conn := range conns {
		if i != 3 {
			resp, _ := conn.recv()
			assert.Equal(t, 200, resp.StatusCode)
		}
	}
	assert.Equal(t, want, order)
}

func TestWaitingEndsWithTheLastServer(t *testing.T) {
	b := newBed(t, Config{}, func(f *balancer.Front) { f.MaxConn = 1 })
	release := make(chan struct{})
	b.apply(httpServer(t, func(http.ResponseWriter, *http.Request) { <-release }))
	first, second := b.dial(), b.dial()
	first.send(get)
	eventually(t, "one runs", func() bool { return b.stats().InFlight == 1 })
	second.send(get)
	eventually(t, "one waits", func() bool { return b.stats().Waiting == 1 })
	b.apply()
	resp, _ := second.recv()
	assert.Equal(t, 503, resp.StatusCode)
	resp, _ = first.recv()
	assert.Equal(t, 503, resp.StatusCode, "nor is there a server to try the first again on")
	close(release)
}

func TestDownUntilTheCheckPasses(t *testing.T) {
	b := newBed(t, Config{}, func(f *balancer.Front) { f.CheckPath = "/healthz" })
	dead := balancertest.FreeAddr(t)
	alive := answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	b.apply(dead, alive)
	conn := b.dial()
	for range 10 {
		conn.send(get)
		resp, _ := conn.recv()
		require.Equal(t, 200, resp.StatusCode)
	}
	st := b.stats()
	assert.False(t, st.Servers[0].Up)
	assert.True(t, st.Servers[1].Up)
	assert.EqualValues(t, 1, st.Servers[0].Requests, "passed over from then on")

	l, err := net.Listen("tcp", dead)
	require.NoError(t, err)
	var healthy atomic.Bool
	var checks atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && !healthy.Load() {
			checks.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	defer func() {
		_ = s.Close()
		<-done
	}()
	eventually(t, "it is checked again and again", func() bool { return checks.Load() >= 2 })
	assert.False(t, b.stats().Servers[0].Up)
	healthy.Store(true)
	eventually(t, "it is up", func() bool { return b.stats().Servers[0].Up })
}

func TestTunnelHalfClose(t *testing.T) {
	b := newBed(t, Config{}, nil)
	b.apply(tcpServer(t, func(c *net.TCPConn, r *bufio.Reader) {
		if _, err := readHead(r); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: reverse\r\nConnection: Upgrade\r\n\r\nearly ")
		all, _ := io.ReadAll(r)
		_, _ = fmt.Fprintf(c, "got %s", all)
	}))
	conn := b.dial()
	conn.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: reverse\r\n\r\nfirst ")
	resp, _ := conn.recv()
	require.Equal(t, 101, resp.StatusCode)
	assert.Equal(t, "reverse", resp.Header.Get("Upgrade"))
	conn.send("second")
	assert.Equal(t, 1, b.stats().InFlight)
	require.NoError(t, conn.CloseWrite())
	all, err := io.ReadAll(conn.r)
	require.NoError(t, err)
	assert.Equal(t, "early got first second", string(all))
	eventually(t, "it is over", func() bool { return b.stats().InFlight == 0 })
	assert.Zero(t, b.stats().Latency.Count, "how long it was open is no response time")
}

func TestCloseIsGraceful(t *testing.T) {
	for name, c := range map[string]struct {
		grace    time.Duration
		finishes bool
	}{
		"within the grace": {5 * time.Second, true},
		"without":          {-1, false},
		"beyond":           {50 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, Config{CloseGrace: c.grace}, nil)
			release := make(chan struct{})
			b.apply(httpServer(t, func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-release:
					_, _ = io.WriteString(w, "done")
				case <-r.Context().Done():
				}
			}))
			idle, busy := b.dial(), b.dial()
			busy.send(get)
			eventually(t, "one runs", func() bool { return b.stats().InFlight == 1 })
			closed := make(chan error)
			start := time.Now()
			go func() { closed <- b.b.Close() }()
			idle.closed()
			if c.finishes {
				close(release)
				_, body := busy.recv()
				assert.Equal(t, "done", body)
			}
			require.NoError(t, <-closed)
			assert.Less(t, time.Since(start), 2*time.Second)
			_, err := io.ReadAll(busy.r)
			assert.False(t, timedOut(err), "its connection is closed")
			_, err = net.Dial("tcp", b.f.Listen)
			assert.Error(t, err, "nobody listens")
			if !c.finishes {
				close(release)
			}
		})
	}
}

func TestMovedFrontKeepsConnections(t *testing.T) {
	b := newBed(t, Config{}, nil)
	b.apply(answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	old := b.f.Listen
	moved := b.f
	moved.Listen = balancertest.FreeAddr(t)
	var all []*conn
	for range 100 {
		all = append(all, b.dial()) // the last ones are not accepted yet
	}
	require.NoError(t, b.b.SetFront(t.Context(), moved))
	b.f = moved
	for _, c := range append(all, b.dial()) {
		c.send(get)
		resp, _ := c.recv()
		assert.Equal(t, 200, resp.StatusCode)
	}
	_, err := net.Dial("tcp", old)
	assert.Error(t, err)
}

func TestNew(t *testing.T) {
	_, err := New(Config{MaxHeaderBytes: 1, ReadHeaderTimeout: -1, CloseGrace: 2 * time.Hour})
	var faults balancer.Faults
	require.ErrorAs(t, err, &faults)
	assert.Len(t, faults, 3)
}

func TestSmallBodiesAreSentAgain(t *testing.T) {
	b := newBed(t, Config{}, func(f *balancer.Front) { f.Algorithm = balancer.RoundRobin })
	var first atomic.Int64
	bad := tcpServer(t, func(_ *net.TCPConn, r *bufio.Reader) {
		if req, err := http.ReadRequest(r); err == nil {
			first.Add(1)
			_, _ = io.Copy(io.Discard, req.Body)
		}
	})
	good := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	b.apply(bad, good)
	for _, n := range []int{10, 10_000, replayable} {
		conn := b.dial()
		before := first.Load()
		for range 2 {
			conn.send(fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)))
			resp, body := conn.recv()
			require.Equal(t, 200, resp.StatusCode)
			require.Equal(t, fmt.Sprint(n), body)
		}
		assert.Greater(t, first.Load(), before, "%d bytes met the bad server", n)
	}
}
