package balancertest

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

func statsEqual(t *testing.T, b *bed) {
	f := b.front("web", nil)
	bs := some(t, b, "web", 3)
	var wg sync.WaitGroup
	const clients, each = 5, 40
	for range clients {
		c := newClient(t, f, "")
		wg.Go(func() {
			for range each {
				code, _, err := c.try(context.Background(), http.MethodGet, "/", nil)
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, code)
			}
		})
	}
	wg.Wait()
	eventually(t, "all are counted", func() bool { return b.stats("web").Requests == clients*each })
	eventually(t, "none is in flight", func() bool { return b.stats("web").InFlight == 0 })
	st := b.stats("web")
	assert.Zero(t, st.Errors)
	for i, s := range st.Servers {
		assert.EqualValues(t, bs[i].hits.Load(), s.Requests, s.Name)
		assert.Zero(t, s.Errors)
		assert.Zero(t, s.InFlight)
		assert.True(t, s.Up)
	}
	// Those of a removed server still count for the front.
	b.apply("web", bs[0].server())
	st = b.stats("web")
	assert.EqualValues(t, clients*each, st.Requests)
	assert.EqualValues(t, bs[0].hits.Load(), st.Servers[0].Requests)
	newClient(t, f, "").get("/")
	eventually(t, "it grows", func() bool { return b.stats("web").Requests == clients*each+1 })
}

func statsErrors(t *testing.T, b *bed) {
	f := b.front("web", nil)
	c := newClient(t, f, "")
	require.Equal(t, http.StatusServiceUnavailable, c.status(http.MethodGet, "/"))
	eventually(t, "a request without a server counts, as an error", func() bool {
		st := b.stats("web")
		return st.Requests == 1 && st.Errors == 1
	})
	a := newBackend(t, "a")
	b.apply("web", a.server())
	for _, code := range []int{500, 503, 404, 200} {
		require.Equal(t, code, c.status(http.MethodGet, fmt.Sprintf("/status?code=%d", code)))
	}
	eventually(t, "5xx count, 4xx do not", func() bool {
		st := b.stats("web")
		return st.Requests == 5 && st.Errors == 3 && st.Servers[0].Requests == 4 && st.Servers[0].Errors == 2
	})
	// A client that goes away is no error.
	gone := c.hold(a)
	gone.cancel()
	eventually(t, "it is over", func() bool {
		st := b.stats("web")
		return st.InFlight == 0 && st.Requests == 6
	})
	assert.EqualValues(t, 3, b.stats("web").Errors)
}

func statsLatency(t *testing.T, b *bed) {
	f, _ := b.one(nil)
	var wg sync.WaitGroup
	n := 1
	if b.h.CoarseLatency {
		n = 10
	}
	for range 10 {
		c := newClient(t, f, "")
		wg.Go(func() {
			for i := range 20 * n {
				path := "/sleep?d=5ms"
				if i >= 19*n {
					path = "/sleep?d=80ms"
				}
				code, _, err := c.try(context.Background(), http.MethodGet, path, nil)
				assert.NoError(t, err)
				assert.Equal(t, http.StatusOK, code)
			}
		})
	}
	wg.Wait()
	var l balancer.Latency
	eventually(t, "there are latencies", func() bool {
		l = b.stats("web").Latency
		return l.Count >= 10
	})
	assert.LessOrEqual(t, l.Count, uint64(200*n))
	if !b.h.CoarseLatency {
		assert.EqualValues(t, 200, l.Count)
	}
	assert.GreaterOrEqual(t, l.P50, 4*time.Millisecond)
	assert.Less(t, l.P50, 60*time.Millisecond, "half of them took 5 ms")
	assert.GreaterOrEqual(t, l.P99, 60*time.Millisecond, "a twentieth took 80 ms")
	assert.Less(t, l.P99, time.Second)
	assert.LessOrEqual(t, l.P50, l.P95)
	assert.LessOrEqual(t, l.P95, l.P99)
}
