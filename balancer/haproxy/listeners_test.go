package haproxy

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// Connections that come while HAProxy is dead wait for the next one.
func TestNothingIsRefusedWhileItIsDead(t *testing.T) {
	b := openHasty(t)
	f, _ := serving(t, b)
	for _, worker := range []bool{false, true, true} {
		pid := b.PID()
		procs, err := b.cfg.showProc(ctxFor(t))
		require.NoError(t, err)
		if worker {
			require.NoError(t, syscall.Kill(procs.workers[0], syscall.SIGKILL))
		} else {
			require.NoError(t, syscall.Kill(procs.master, syscall.SIGKILL))
		}
		// The worker of a master that was killed takes connections for some
		// milliseconds yet; these are cut.
		require.Eventually(t, func() bool {
			s, err := procStat(procs.workers[0])
			return err != nil || s.ended()
		}, 5*time.Second, time.Millisecond)
		sent := 0
		for b.PID() == pid || b.PID() == 0 || sent < 50 {
			require.NoError(t, get(f.Listen), "request %d after the kill", sent)
			sent++
		}
		// What was handed over is handed on by reloads.
		f.MaxConn++
		l := startLoad(t, f.Listen, 100, http.MethodGet)
		setFront(t, b, f)
		time.Sleep(50 * time.Millisecond)
		l.end(t)
	}
}

// A front that is gone refuses connections, whoever held its socket.
func TestKeptSocketsGoWithTheirFronts(t *testing.T) {
	dir := testDir(t)
	b := reopenBalancer(t, dir)
	f, _ := serving(t, b)
	other := balancer.Front{Name: "other", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, other)
	assert.Len(t, b.kept, 2)
	refused := func(addr string) {
		t.Helper()
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
	require.NoError(t, b.RemoveFront(ctxFor(t), "other"))
	refused(other.Listen)
	moved := f
	moved.Listen = balancertest.FreeAddr(t)
	setFront(t, b, moved)
	refused(f.Listen)
	require.NoError(t, b.Close())
	b = reopenBalancer(t, dir)
	assert.Len(t, b.kept, 1, "those of one that was found again")
	require.NoError(t, b.Shutdown(ctxFor(t)))
	refused(moved.Listen)
}
