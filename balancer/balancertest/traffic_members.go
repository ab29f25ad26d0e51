package balancertest

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func noServer(t *testing.T, b *bed) {
	f := b.front("web", nil)
	c := newClient(t, f, "")
	start := time.Now()
	assert.Equal(t, http.StatusServiceUnavailable, c.status(http.MethodGet, "/"))
	assert.Less(t, time.Since(start), 3*time.Second, "it answers at once")

	one := newBackend(t, "a")
	b.apply("web", one.draining())
	assert.Equal(t, http.StatusServiceUnavailable, c.status(http.MethodGet, "/"), "a server that drains is none")
	assert.Zero(t, one.hits.Load())
}

func addedServes(t *testing.T, b *bed) {
	f := b.front("web", nil)
	c := newClient(t, f, "")
	var have []balancer.Server
	for i := range 5 {
		be := newBackend(t, fmt.Sprintf("n-%d", i))
		have = append(have, be.server())
		b.apply("web", be.server())
		assert.Equal(t, be.name, c.get("/"), "the only server answers as soon as Apply returned")
	}
	b.apply("web", have...)
	seen := map[string]bool{}
	for range 50 {
		seen[c.get("/")] = true
	}
	assert.Len(t, seen, 5)
}

func drainFinishes(t *testing.T, b *bed) {
	f := b.front("web", nil)
	a, other := newBackend(t, "a"), newBackend(t, "b")
	b.apply("web", a.server())
	c := newClient(t, f, "")
	running := c.hold(a)
	b.apply("web", a.draining(), other.server())
	hits := a.hits.Load()
	for range 20 {
		assert.Equal(t, "b", c.get("/"))
	}
	assert.Equal(t, hits, a.hits.Load(), "a got nothing new")
	eventually(t, "the drained server still has its request", func() bool { return b.server("web", "a").InFlight == 1 })
	a.release()
	assert.Equal(t, "a", running.served(t))
	eventually(t, "the drained server is idle", func() bool { return b.server("web", "a").InFlight == 0 })
	assert.Equal(t, balancer.Drain, b.server("web", "a").State)

	// Back to ready, it serves again.
	b.apply("web", a.server())
	assert.Equal(t, "a", c.get("/"))
}

func removalCuts(t *testing.T, b *bed) {
	f, a := b.one(nil)
	running := newClient(t, f, "").hold(a)
	b.apply("web")
	code, _, err := running.wait(t)
	assert.True(t, err != nil || code >= 500, "the request was cut: status %d, error %v", code, err)
	eventually(t, "a sees that it was cut", func() bool { return a.dropped.Load() == 1 })
	eventually(t, "nothing is in flight", func() bool { return b.stats("web").InFlight == 0 })
}

func replacementCuts(t *testing.T, b *bed) {
	f := b.front("web", nil)
	was, is := newBackend(t, "a"), newBackend(t, "a")
	b.apply("web", was.server())
	c := newClient(t, f, "")
	c.start(http.MethodPost, "/hold")
	eventually(t, "the request is there", func() bool { return was.held.Load() == 1 })
	b.apply("web", is.server())
	eventually(t, "it was cut", func() bool { return was.dropped.Load() == 1 })
	hits := was.hits.Load()
	for range 10 {
		c.get("/")
	}
	assert.Equal(t, hits, was.hits.Load(), "the old address gets nothing")
}

func removedFront(t *testing.T, b *bed) {
	f := b.front("web", nil)
	keep := b.front("keep", nil)
	a := newBackend(t, "a")
	b.apply("web", a.server())
	b.apply("keep", a.server())
	running := newClient(t, f, "").hold(a)
	require.NoError(t, b.b.RemoveFront(b.ctx(), "web"))
	code, _, err := running.wait(t)
	assert.True(t, err != nil || code >= 500, "the request was cut: status %d, error %v", code, err)
	eventually(t, "nobody listens", func() bool {
		c, err := net.DialTimeout("tcp", f.Listen, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	assert.Equal(t, "a", newClient(t, keep, "").get("/"))
}

func movedFront(t *testing.T, b *bed) {
	f, a := b.one(nil)
	running := newClient(t, f, "").hold(a)
	f.Listen = FreeAddr(t)
	b.setFront(f)
	assert.Equal(t, "a", newClient(t, f, "").get("/"), "the new address serves")
	a.release()
	running.served(t) // what came by the old address is not dropped
}

// churn adds and removes servers, each drained until idle, under load.
func churn(t *testing.T, b *bed) {
	f := b.front("web", nil)
	backends := make([]*backend, 4)
	for i := range backends {
		backends[i] = newBackend(t, fmt.Sprintf("be-%d", i))
	}
	stays := newBackend(t, "stays")
	b.apply("web", stays.server())
	l := startLoad(t, f, 6, "/sleep?d=2ms", time.Millisecond)
	const cycles = 300
	for i := range cycles {
		s := backends[i%len(backends)].server()
		s.Name = fmt.Sprintf("n-%d", i)
		b.apply("web", stays.server(), s)
		if i%3 == 0 {
			time.Sleep(2 * time.Millisecond)
		}
		s.State = balancer.Drain
		b.apply("web", stays.server(), s)
		eventually(t, "the drained server is idle", func() bool { return b.server("web", s.Name).InFlight == 0 })
		b.apply("web", stays.server())
	}
	l.end(t)
	got := int64(0)
	for _, be := range backends {
		got += be.hits.Load()
	}
	assert.NotZero(t, got, "servers that came got requests")
}

func frontChangesUnderLoad(t *testing.T, b *bed) {
	f := b.front("web", nil)
	one, two := newBackend(t, "a"), newBackend(t, "b")
	b.apply("web", one.server(), two.server())
	l := startLoad(t, f, 4, "/", time.Millisecond)
	for i, alg := range []balancer.Algorithm{balancer.RoundRobin, balancer.Random, balancer.Source, balancer.LeastConn, balancer.RoundRobin} {
		f.Algorithm = alg
		f.MaxConn = 100 * i
		f.Timeouts.Client = time.Minute + time.Duration(i)*time.Second
		b.setFront(f)
		b.front(fmt.Sprintf("other-%d", i), nil)
		time.Sleep(20 * time.Millisecond)
	}
	require.NoError(t, b.b.RemoveFront(b.ctx(), "other-0"))
	l.end(t)
}
