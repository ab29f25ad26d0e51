package balancertest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func with(a balancer.Algorithm) func(*balancer.Front) {
	return func(f *balancer.Front) { f.Algorithm = a }
}

// some makes n backends behind the front.
func some(t *testing.T, b *bed, front string, n int) []*backend {
	t.Helper()
	var out []*backend
	var want []balancer.Server
	for i := range n {
		be := newBackend(t, fmt.Sprintf("n-%d", i))
		out = append(out, be)
		want = append(want, be.server())
	}
	b.apply(front, want...)
	return out
}

func spreadLeastConn(t *testing.T, b *bed) {
	f := b.front("web", with(balancer.LeastConn))
	bs := some(t, b, "web", 3)
	c := newClient(t, f, "")
	// As many that stay as there are servers: one for each.
	for i := range bs {
		c.start(http.MethodGet, "/hold")
		eventually(t, "the request is there", func() bool {
			return bs[0].held.Load()+bs[1].held.Load()+bs[2].held.Load() == int64(i+1)
		})
		time.Sleep(20 * time.Millisecond)
	}
	for _, be := range bs {
		assert.EqualValues(t, 1, be.held.Load(), be.name)
	}
	// The one that is free gets all that come one after the other.
	bs[1].release()
	eventually(t, "one is idle", func() bool { return b.server("web", "n-1").InFlight == 0 })
	for range 10 {
		assert.Equal(t, "n-1", c.get("/"))
	}
}

func counts(c *client, n int) map[string]int {
	got := map[string]int{}
	for range n {
		got[c.get("/")]++
	}
	return got
}

func spreadRoundRobin(t *testing.T, b *bed) {
	f := b.front("web", with(balancer.RoundRobin))
	bs := some(t, b, "web", 4)
	got := counts(newClient(t, f, ""), 40)
	for _, be := range bs {
		assert.InDelta(t, 10, got[be.name], 2, "%v", got)
	}
}

func spreadWeights(t *testing.T, b *bed) {
	for _, alg := range []balancer.Algorithm{balancer.RoundRobin, balancer.LeastConn} {
		t.Run(string(alg), func(t *testing.T) {
			b := open(t, b.h)
			f := b.front("web", with(alg))
			light, heavy := newBackend(t, "a"), newBackend(t, "b")
			sl, sh := light.server(), heavy.server()
			sl.Weight, sh.Weight = 50, 150
			b.apply("web", sl, sh)
			c := newClient(t, f, "")
			if alg == balancer.RoundRobin {
				got := counts(c, 40)
				assert.InDelta(t, 30, got["b"], 4, "%v", got)
				sl.Weight, sh.Weight = 150, 50
				b.apply("web", sl, sh)
				got = counts(c, 40)
				assert.InDelta(t, 30, got["a"], 4, "after the change: %v", got)
				return
			}
			for i := range 8 {
				c.start(http.MethodGet, "/hold")
				eventually(t, "the request is there", func() bool { return light.held.Load()+heavy.held.Load() == int64(i+1) })
				time.Sleep(10 * time.Millisecond)
			}
			assert.InDelta(t, 6, heavy.held.Load(), 1, "three times the weight, three times the requests")
		})
	}
}

func spreadRandom(t *testing.T, b *bed) {
	f := b.front("web", with(balancer.Random))
	bs := some(t, b, "web", 2)
	got := counts(newClient(t, f, ""), 200)
	for _, be := range bs {
		assert.Greater(t, got[be.name], 40, "%v", got)
	}
}

func spreadFirst(t *testing.T, b *bed) {
	f := b.front("web", func(f *balancer.Front) {
		f.Algorithm = balancer.First
		f.MaxConn = 2
	})
	bs := some(t, b, "web", 3)
	c := newClient(t, f, "")
	for range 5 {
		assert.Equal(t, "n-0", c.get("/"))
	}
	for i := range 5 {
		c.start(http.MethodGet, "/hold")
		eventually(t, "the request is there", func() bool {
			return bs[0].held.Load()+bs[1].held.Load()+bs[2].held.Load() == int64(i+1)
		})
	}
	assert.EqualValues(t, 2, bs[0].held.Load())
	assert.EqualValues(t, 2, bs[1].held.Load())
	assert.EqualValues(t, 1, bs[2].held.Load())
}

func spreadSource(t *testing.T, b *bed) {
	f := b.front("web", with(balancer.Source))
	bs := some(t, b, "web", 3)
	home := map[string]string{}
	used := map[string]bool{}
	clients := map[string]*client{}
	const n = 24
	for i := range n {
		ip := fmt.Sprintf("127.0.0.%d", 10+i)
		c := newClient(t, f, ip)
		clients[ip] = c
		home[ip] = c.get("/")
		used[home[ip]] = true
		for range 3 {
			require.Equal(t, home[ip], c.get("/"), "%s stays where it was", ip)
		}
		again := newClient(t, f, ip)
		require.Equal(t, home[ip], again.get("/"), "%s on another connection", ip)
	}
	assert.Len(t, used, 3, "24 addresses reach all of 3 servers: %v", home)

	// Without n-2, nearly all others stay.
	b.apply("web", bs[0].server(), bs[1].server())
	moved, others := 0, 0
	for ip, was := range home {
		is := clients[ip].get("/")
		require.NotEqual(t, "n-2", is)
		if was != "n-2" {
			others++
			if is != was {
				moved++
			}
		}
	}
	assert.LessOrEqual(t, moved, others/3, "of %d addresses whose server stayed", others)
}

func queueWaits(t *testing.T, b *bed) {
	f, a := b.one(func(f *balancer.Front) { f.MaxConn = 1 })
	c := newClient(t, f, "")
	first := c.hold(a)
	var rest []*pending
	for range 3 {
		rest = append(rest, c.start(http.MethodGet, "/"))
	}
	eventually(t, "three wait", func() bool {
		st := b.stats("web")
		return st.Waiting == 3 && st.InFlight == 4
	})
	assert.EqualValues(t, 1, a.hits.Load(), "the server has one at a time")
	assert.Equal(t, 1, b.server("web", "a").InFlight)

	// Another server takes what waits.
	other := newBackend(t, "b")
	b.apply("web", a.server(), other.server())
	c.get("/")
	a.release()
	for _, p := range append(rest, first) {
		p.served(t)
	}
	eventually(t, "nothing waits", func() bool {
		st := b.stats("web")
		return st.Waiting == 0 && st.InFlight == 0
	})
}

func queueTimeout(t *testing.T, b *bed) {
	f, a := b.one(func(f *balancer.Front) {
		f.MaxConn = 1
		f.Timeouts.Queue = 300 * time.Millisecond
	})
	c := newClient(t, f, "")
	first := c.hold(a)
	start := time.Now()
	assert.Equal(t, http.StatusServiceUnavailable, c.status(http.MethodGet, "/"))
	assert.Greater(t, time.Since(start), 250*time.Millisecond)
	assert.Less(t, time.Since(start), 3*time.Second)
	a.release()
	first.served(t)
	assert.EqualValues(t, 1, a.hits.Load(), "the one that timed out never reached it")
}
