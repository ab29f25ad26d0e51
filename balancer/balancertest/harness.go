package balancertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
)

// Harness is what the suites need to know of a balancer.
type Harness struct {
	// Open returns a balancer without fronts. It registers with t.Cleanup what
	// must be undone; the suites close the balancer themselves, and Close is
	// safe to call twice.
	Open func(t *testing.T) balancer.Balancer

	// Reopen returns another value for the fronts and servers that closed, which
	// the suite has closed, left running outside of it. nil: nothing outlives
	// the value.
	Reopen func(t *testing.T, closed balancer.Balancer) balancer.Balancer

	// Listens says that fronts are sockets, so that another program may hold
	// the address of one.
	Listens bool

	// CoarseLatency says that latencies come in whole milliseconds from a
	// sample of the requests, so that few requests may leave none.
	CoarseLatency bool
}

// callTimeout bounds one call of the port in the suites; a reload under load
// on a small machine fits many times over.
const callTimeout = 20 * time.Second

// given are the addresses that FreeAddr returned: tests that run side by side
// would else get the same one now and then, before either listens.
var given sync.Map

// FreeAddr returns an address on loopback on which nothing listens, and each
// only once in a program. Its port is below those that the system gives to
// outgoing connections.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(22_000)))
		// Not by listening: a program that is started at the same moment would
		// have the listener too, until it executes.
		if c, err := net.DialTimeout("tcp", addr, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				_ = c.Close()
			}
			continue
		}
		if _, before := given.LoadOrStore(addr, true); before {
			continue
		}
		return addr
	}
	t.Fatal("no free port on 127.0.0.1 between 10000 and 32000")
	return ""
}

// bed is a balancer under test with calls that must succeed.
type bed struct {
	t *testing.T
	h Harness
	b balancer.Balancer
}

func open(t *testing.T, h Harness) *bed {
	t.Helper()
	b := h.Open(t)
	t.Cleanup(func() { require.NoError(t, b.Close(), "Close at the end") })
	return &bed{t: t, h: h, b: b}
}

func (b *bed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bed) setFront(f balancer.Front) {
	b.t.Helper()
	require.NoError(b.t, b.b.SetFront(b.ctx(), f), "SetFront %s", f.Name)
}

// front makes a front of that name on a free address. change may be nil.
func (b *bed) front(name string, change func(*balancer.Front)) balancer.Front {
	b.t.Helper()
	f := balancer.Front{Name: name, Listen: FreeAddr(b.t)}
	if change != nil {
		change(&f)
	}
	b.setFront(f)
	return f
}

func (b *bed) apply(front string, want ...balancer.Server) {
	b.t.Helper()
	require.NoError(b.t, b.b.Apply(b.ctx(), front, want), "Apply %s", front)
}

func (b *bed) observe() balancer.Stats {
	b.t.Helper()
	st, err := b.b.Observe(b.ctx())
	require.NoError(b.t, err, "Observe")
	return st
}

func (b *bed) stats(front string) balancer.FrontStats {
	b.t.Helper()
	st, ok := b.observe().Front(front)
	require.True(b.t, ok, "front %s is in the statistics", front)
	return st
}

func (b *bed) server(front, name string) balancer.ServerStats {
	b.t.Helper()
	st, ok := findServer(b.stats(front), name)
	require.True(b.t, ok, "server %s of front %s is in the statistics", name, front)
	return st
}

func findServer(f balancer.FrontStats, name string) (balancer.ServerStats, bool) {
	for _, s := range f.Servers {
		if s.Name == name {
			return s, true
		}
	}
	return balancer.ServerStats{}, false
}
