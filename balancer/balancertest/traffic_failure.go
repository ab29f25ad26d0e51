package balancertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func killed(t *testing.T, b *bed) {
	f := b.front("web", nil)
	victims := []*backend{newBackend(t, "a"), newBackend(t, "b")}
	stays := newBackend(t, "c")
	b.apply("web", victims[0].server(), victims[1].server(), stays.server())
	l := startLoad(t, f, 8, "/sleep?d=3ms", 0)
	for _, v := range victims {
		time.Sleep(200 * time.Millisecond)
		v.kill()
	}
	time.Sleep(400 * time.Millisecond)
	l.end(t)
	assert.NotZero(t, victims[0].hits.Load())
	assert.NotZero(t, victims[1].hits.Load())
	eventually(t, "the balancer noticed", func() bool {
		return !b.server("web", "a").Up && !b.server("web", "b").Up && b.server("web", "c").Up
	})
}

func refusedRetried(t *testing.T, b *bed) {
	f := b.front("web", func(f *balancer.Front) { f.Algorithm = balancer.RoundRobin })
	a := newBackend(t, "a")
	b.apply("web", a.server(), balancer.Server{Name: "dead", Addr: FreeAddr(t)})
	c := newClient(t, f, "")
	for i := range 10 {
		code, body, err := c.try(context.Background(), http.MethodPost, "/echo", strings.NewReader("payload"))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, code, "POST %d: %s", i, body)
	}
	assert.EqualValues(t, 10, a.hits.Load(), "each ran once")
}

// manyRefuse has servers die together that seem to be the ones with the least to
// do, as those of an engine that was killed: a request does not go from one of
// them to another until it may not be tried again.
func manyRefuse(t *testing.T, b *bed) {
	f, a := b.one(nil)
	c := newClient(t, f, "")
	held := c.hold(a)
	defer held.cancel()
	for i := range 10 {
		want := []balancer.Server{a.server()}
		for j := range balancer.DefaultRetries {
			want = append(want, balancer.Server{Name: fmt.Sprintf("dead-%d-%d", i, j), Addr: FreeAddr(t)})
		}
		b.apply("web", want...)
		c.get("/")
	}
}

// hangUp is a server that reads a request and hangs up without an answer.
func hangUp(t *testing.T, seen *atomic.Int64) *rawBackend {
	return newRawBackend(t, "hangs-up", func(_ net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if req.Method != http.MethodOptions { // checks of the balancer's own
			seen.Add(1)
		}
	})
}

func postNotRetried(t *testing.T, b *bed) {
	f := b.front("web", func(f *balancer.Front) { f.Algorithm = balancer.RoundRobin })
	var seen atomic.Int64
	a, bad := newBackend(t, "a"), hangUp(t, &seen)
	b.apply("web", a.server(), bad.server())
	c := newClient(t, f, "")
	failed := int64(0)
	for range 8 {
		code, _, err := c.try(context.Background(), http.MethodPost, "/echo", strings.NewReader("payload"))
		if err != nil || code >= 500 {
			failed++
		}
	}
	assert.EqualValues(t, 8, a.hits.Load()+seen.Load(), "each POST ran once")
	assert.Equal(t, seen.Load(), failed)
	assert.NotZero(t, seen.Load(), "some met the bad server")

	// A GET is retried.
	for range 8 {
		c.get("/")
	}
}

func postRetried(t *testing.T, b *bed) {
	f := b.front("web", func(f *balancer.Front) {
		f.Algorithm = balancer.RoundRobin
		f.RetryNonIdempotent = true
	})
	var seen atomic.Int64
	a, bad := newBackend(t, "a"), hangUp(t, &seen)
	b.apply("web", a.server(), bad.server())
	c := newClient(t, f, "")
	for range 8 {
		code, body, err := c.try(context.Background(), http.MethodPost, "/echo", strings.NewReader("payload"))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, code, body)
		require.Contains(t, body, `"Bytes":7`, "the body came again")
	}
	assert.EqualValues(t, 8, a.hits.Load())
	assert.NotZero(t, seen.Load())
}

func garbage(t *testing.T, b *bed) {
	for name, answer := range map[string]string{
		"no HTTP":             "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"bad status":          "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
		"bad header":          "HTTP/1.1 200 OK\r\nCon tent: 1\r\nContent-Length: 0\r\n\r\n",
		"lengths that differ": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, b.h)
			f := b.front("web", func(f *balancer.Front) { f.Retries = -1 })
			b.apply("web", answering(t, answer).server())
			assert.Equal(t, http.StatusBadGateway, newClient(t, f, "").status(http.MethodGet, "/"))
		})
	}
}

func silent(t *testing.T, b *bed) {
	f, a := b.one(func(f *balancer.Front) {
		f.Timeouts.Server = 200 * time.Millisecond
		f.Retries = -1
	})
	start := time.Now()
	assert.Equal(t, http.StatusGatewayTimeout, newClient(t, f, "").status(http.MethodGet, "/hold"))
	assert.Greater(t, time.Since(start), 150*time.Millisecond)
	assert.Less(t, time.Since(start), 3*time.Second)
	eventually(t, "the server's request was ended", func() bool { return a.dropped.Load() == 1 })
}

func brokenOff(t *testing.T, b *bed) {
	f := b.front("web", nil)
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
	} {
		b.apply("web", answering(t, answer).server())
		before := b.stats("web").Errors
		code, body, err := newClient(t, f, "").try(context.Background(), http.MethodGet, "/", nil)
		assert.True(t, err != nil || code == http.StatusBadGateway,
			"the client learns that the answer is not whole: %d %q, for %q", code, body, answer)
		eventually(t, "it counts as an error", func() bool { return b.stats("web").Errors > before })
	}
}
