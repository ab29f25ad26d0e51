package haproxy

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// An HAProxy that gets no CPU for longer than it waits for connections and checks
// does not take its own lateness for that of the servers: no request fails.
func TestStallsFailNothing(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t), CheckPath: "/"}
	setFront(t, b, f)
	apply(t, b, "web", newNode(t, "a").server(), newNode(t, "b").server())
	procs, err := b.cfg.showProc(ctxFor(t))
	require.NoError(t, err)
	l := startLoad(t, f.Listen, 200, http.MethodGet)
	for range 5 {
		require.NoError(t, syscall.Kill(procs.workers[0], syscall.SIGSTOP))
		time.Sleep(500 * time.Millisecond)
		require.NoError(t, syscall.Kill(procs.workers[0], syscall.SIGCONT))
		time.Sleep(150 * time.Millisecond)
	}
	l.end(t)
}
