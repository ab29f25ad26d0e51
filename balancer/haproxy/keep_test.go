package haproxy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// hasty is for tests that break things.
var hasty = timing{await: 500 * time.Millisecond, ask: time.Second, old: 500 * time.Millisecond, idle: 2 * time.Second, keep: 100 * time.Millisecond}

func openHasty(t testing.TB) *Balancer {
	t.Helper()
	c := testConfig(t, testDir(t))
	c.timing = hasty
	b, err := New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// restarted waits until HAProxy runs and answers, without a call that would
// start it.
func restarted(t testing.TB, b *Balancer) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := b.cfg.showInfo(ctxFor(t))
		return b.PID() != 0 && err == nil
	}, 15*time.Second, 5*time.Millisecond, "HAProxy runs again")
}

// incident waits until an incident with such a message was observed.
func incident(t testing.TB, b *Balancer, says string) balancer.Incident {
	t.Helper()
	var found balancer.Incident
	require.Eventually(t, func() bool {
		st, err := b.Observe(ctxFor(t))
		if err != nil {
			return false
		}
		for _, i := range st.Incidents {
			if strings.Contains(i.Message, says) {
				found = i
				return true
			}
		}
		return false
	}, 15*time.Second, 10*time.Millisecond, "an incident that says %q", says)
	return found
}

func problems(t testing.TB, b *Balancer) string {
	t.Helper()
	st, err := b.Observe(ctxFor(t))
	require.NoError(t, err)
	return strings.Join(st.Problems, "; ")
}

func serving(t testing.TB, b *Balancer) (balancer.Front, *node) {
	t.Helper()
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	n := newNode(t, "a")
	setFront(t, b, f)
	apply(t, b, "web", n.server())
	require.NoError(t, get(f.Listen))
	return f, n
}

func TestTellsThatItDied(t *testing.T) {
	b := openHasty(t)
	f, _ := serving(t, b)
	begun := time.Now()
	require.NoError(t, syscall.Kill(b.PID(), syscall.SIGKILL))
	i := incident(t, b, "it was killed")
	assert.Contains(t, i.Message, "started again in ")
	assert.Contains(t, i.Message, "with 1 fronts and 1 servers")
	assert.False(t, i.At.Before(begun))
	require.NoError(t, get(f.Listen))

	procs, err := b.cfg.showProc(ctxFor(t))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(procs.workers[0], syscall.SIGSEGV))
	incident(t, b, "exited with code 139")
	require.NoError(t, get(f.Listen))
	assert.Empty(t, problems(t, b))
}

func TestStaysShutDown(t *testing.T) {
	b := openHasty(t)
	serving(t, b)
	require.NoError(t, b.Shutdown(ctxFor(t)))
	time.Sleep(5 * b.cfg.timing.keep)
	assert.Zero(t, b.PID(), "nobody starts what was shut down")
}

// A worker that was stopped does not answer, but its sockets are there; one whose
// master dies then would hold the addresses for ever.
func TestStoppedWorkerIsReplaced(t *testing.T) {
	b := openHasty(t)
	f, a := serving(t, b)
	for _, masterToo := range []bool{false, true} {
		procs, err := b.cfg.showProc(ctxFor(t))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(procs.workers[0], syscall.SIGSTOP))
		if masterToo {
			require.NoError(t, syscall.Kill(procs.master, syscall.SIGKILL))
		}
		require.Eventually(t, func() bool {
			err := b.Apply(ctxFor(t), "web", []balancer.Server{a.server()})
			return err == nil && b.PID() != procs.master
		}, 30*time.Second, 50*time.Millisecond)
		require.NoError(t, get(f.Listen))
		_, err = os.Stat(fmt.Sprintf("/proc/%d", procs.workers[0]))
		if err == nil {
			s, err := procStat(procs.workers[0])
			assert.True(t, err != nil || s.ended(), "the stopped one is gone")
		}
	}
}

// What talks to HAProxy's sockets and forgets to hang up keeps others out. That
// cuts no request, and HAProxy is made to listen again.
func TestSocketsThatAreTaken(t *testing.T) {
	for _, which := range []string{statsSocket, "both"} {
		t.Run(which, func(t *testing.T) {
			b := openHasty(t)
			f, a := serving(t, b)
			wait := holdOne(t, f.Listen, a)
			_ = observe(t, b, "web")
			l := startLoad(t, f.Listen, 100, http.MethodGet, http.MethodPost)
			pid := b.PID()
			var taken []net.Conn
			defer func() {
				for _, c := range taken {
					_ = c.Close()
				}
			}()
			for _, s := range []string{statsSocket, masterSocket} {
				for i := 0; i < 400 && (which == s || which == "both"); i++ {
					c, err := net.DialTimeout("unix", b.cfg.socket(s), 20*time.Millisecond)
					if err != nil {
						break
					}
					taken = append(taken, c)
				}
			}
			t.Logf("%d idle connections", len(taken))
			extra := newNode(t, "b")
			require.Eventually(t, func() bool {
				return b.Apply(ctxFor(t), "web", []balancer.Server{a.server(), extra.server()}) == nil
			}, 40*time.Second, 50*time.Millisecond, "it can be changed again")
			require.Eventually(t, func() bool { _, err := b.Observe(ctxFor(t)); return err == nil }, 40*time.Second, 50*time.Millisecond)
			assert.Equal(t, pid, b.PID(), "HAProxy was not ended")
			require.Eventually(t, func() bool { return extra.hits.Load() > 0 }, 5*time.Second, 10*time.Millisecond)
			l.end(t)
			close(a.hold)
			code, err := wait()
			require.NoError(t, err, "a request that ran was not cut")
			assert.Equal(t, http.StatusOK, code)
		})
	}
}

func TestSocketsThatAreGone(t *testing.T) {
	b := openHasty(t)
	f, a := serving(t, b)
	wait := holdOne(t, f.Listen, a)
	l := startLoad(t, f.Listen, 100, http.MethodGet, http.MethodPost)
	pid := b.PID()
	for _, gone := range [][]string{{statsSocket}, {masterSocket}, {statsSocket, masterSocket}} {
		for _, s := range gone {
			require.NoError(t, os.Remove(b.cfg.socket(s)))
		}
		_, err := b.Observe(ctxFor(t))
		require.ErrorIs(t, err, balancer.ErrUnavailable)
		require.Eventually(t, func() bool { _, err := b.Observe(ctxFor(t)); return err == nil }, 20*time.Second, 20*time.Millisecond, gone)
		apply(t, b, "web", a.server())
	}
	incident(t, b, "could not be asked")
	assert.Equal(t, pid, b.PID(), "HAProxy was not ended")
	l.end(t)
	close(a.hold)
	code, err := wait()
	require.NoError(t, err, "a request that ran was not cut")
	assert.Equal(t, http.StatusOK, code)
}

// The program is gone, or fails: what runs goes on, what died comes back once
// the program is right.
func TestProgramThatFails(t *testing.T) {
	dir := testDir(t)
	b0 := reopenBalancer(t, dir)
	real := b0.cfg.Binary
	require.NoError(t, b0.Close())
	wrapper := filepath.Join(dir, "program")
	good := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", real)
	require.NoError(t, os.WriteFile(wrapper, []byte(good), 0o700))
	b, err := New(Config{Dir: dir, Binary: wrapper, timing: hasty})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	f, a := serving(t, b)

	require.NoError(t, os.WriteFile(wrapper, []byte("#!/bin/sh\necho '[ALERT] (1) : config : it is broken' >&2\nexit 7\n"), 0o700))
	changed := f
	changed.MaxConn = 5
	require.ErrorContains(t, b.SetFront(ctxFor(t), changed), "it is broken")
	require.NoError(t, get(f.Listen), "the old one goes on")
	apply(t, b, "web", a.server(), newNode(t, "b").server())

	require.NoError(t, syscall.Kill(b.PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool {
		_, err := b.Observe(ctxFor(t))
		return err != nil && strings.Contains(err.Error(), "cannot be started") && strings.Contains(err.Error(), "it is broken")
	}, 10*time.Second, 10*time.Millisecond, "the error says why")
	require.NoError(t, os.WriteFile(wrapper, []byte(good), 0o700))
	require.Eventually(t, func() bool { return get(f.Listen) == nil }, 15*time.Second, 20*time.Millisecond)
	assert.Len(t, observe(t, b, "web").Servers, 2)
	incident(t, b, "cannot be started")
	incident(t, b, "started again")
	require.Eventually(t, func() bool { return problems(t, b) == "" }, 10*time.Second, 20*time.Millisecond) // it may have been asked just before
}

// The disk of the directory is full: servers come and go, a front does not, and
// an HAProxy that dies is started with what was written before.
func TestDiskThatIsFull(t *testing.T) {
	base, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(base)) })
	dir := filepath.Join(base, "d")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"), "tests of a full disk need root")
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, 0)) })
	b, err := New(Config{Dir: dir, timing: hasty})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, os.RemoveAll(filepath.Join(dir, "full")))
		assert.NoError(t, b.Shutdown(ctxFor(t)))
		assert.NoError(t, b.Close())
	})
	f, a := serving(t, b)
	written, err := os.ReadFile(b.cfg.path(configFile))
	require.NoError(t, err)

	full, err := os.Create(filepath.Join(dir, "full"))
	require.NoError(t, err)
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, full.Close())

	other := balancer.Front{Name: "other", Listen: balancertest.FreeAddr(t)}
	err = b.SetFront(ctxFor(t), other)
	require.ErrorIs(t, err, unix.ENOSPC)
	now, err := os.ReadFile(b.cfg.path(configFile))
	require.NoError(t, err)
	assert.Equal(t, string(written), string(now), "what was there is there")
	second := newNode(t, "b")
	apply(t, b, "web", second.server())
	require.NoError(t, get(f.Listen))
	assert.Contains(t, problems(t, b), "no space left")

	require.NoError(t, syscall.Kill(b.PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return get(f.Listen) == nil }, 10*time.Second, 10*time.Millisecond)
	before := a.hits.Load()
	require.Eventually(t, func() bool {
		st, err := b.Observe(ctxFor(t))
		return err == nil && len(st.Fronts[0].Servers) == 1 && st.Fronts[0].Servers[0].Name == "b"
	}, 10*time.Second, 10*time.Millisecond)
	for range 5 {
		require.NoError(t, get(f.Listen))
	}
	assert.Equal(t, before, a.hits.Load(), "it has the servers of now, and not of then")

	require.NoError(t, os.Remove(full.Name()))
	require.Eventually(t, func() bool { return problems(t, b) == "" }, 10*time.Second, 20*time.Millisecond)
	setFront(t, b, other)
}

// Requests that an HAProxy takes with it are counted and told, as it was
// observed last.
func TestWhatIsCutIsCounted(t *testing.T) {
	for _, how := range []string{"died", "hard stop"} {
		t.Run(how, func(t *testing.T) {
			c := testConfig(t, testDir(t))
			c.timing, c.HardStopAfter = hasty, 2*time.Second
			b, err := New(c)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, b.Close()) })
			f, a := serving(t, b)
			var waits []func() (int, error)
			for range 3 {
				waits = append(waits, holdOne(t, f.Listen, a))
			}
			before := observe(t, b, "web")
			assert.Equal(t, 3, before.InFlight)
			begun := time.Now()
			if how == "died" {
				require.NoError(t, syscall.Kill(b.PID(), syscall.SIGKILL))
			} else {
				f.MaxConn = 10
				setFront(t, b, f)
			}
			i := incident(t, b, "which were cut")
			assert.Contains(t, i.Message, "about 3 requests")
			assert.Less(t, time.Since(begun), 10*time.Second, "it is bounded")
			for _, wait := range waits {
				code, err := wait()
				assert.True(t, err != nil || code >= 500, "it was cut: %d, %v", code, err)
			}
			after := observe(t, b, "web")
			assert.Equal(t, before.Errors+3, after.Errors)
			assert.Equal(t, before.Servers[0].Errors+3, after.Servers[0].Errors)
			assert.Zero(t, after.InFlight)
		})
	}
}
