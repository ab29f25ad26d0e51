package haproxy

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	var nodes []*node
	var servers []balancer.Server
	for i := range 3 {
		n := newNode(t, fmt.Sprintf("n-%d", i))
		nodes, servers = append(nodes, n), append(servers, n.server())
	}
	apply(t, b, "web", servers...)
	l := startLoad(t, f.Listen, 400, http.MethodGet, http.MethodPost)
	before := balancer.FrontStats{}
	for i := range 10 {
		f.Timeouts.Client = time.Minute + time.Duration(i)*time.Second
		setFront(t, b, f)
		time.Sleep(50 * time.Millisecond)
		st := observe(t, b, "web")
		assert.GreaterOrEqual(t, st.Requests, before.Requests, "counters go on")
		stays := st.Servers[(i+1)%3] // was not removed since the last round
		if i > 0 {
			assert.GreaterOrEqual(t, stays.Requests, before.Servers[(i+1)%3].Requests, stays.Name)
		}
		before = st
		// Membership changes between the reloads, as far as it goes: what a
		// client had open before goes to the servers that are there now.
		gone := servers[i%3]
		gone.State = balancer.Drain
		apply(t, b, "web", append([]balancer.Server{gone}, remove(servers, gone.Name)...)...)
		require.Eventually(t, func() bool {
			for _, s := range observe(t, b, "web").Servers {
				if s.Name == gone.Name {
					return s.InFlight == 0
				}
			}
			return false
		}, 5*time.Second, 5*time.Millisecond)
		apply(t, b, "web", remove(servers, gone.Name)...)
		apply(t, b, "web", servers...)
	}
	sent := l.end(t)
	hits := int64(0)
	for _, n := range nodes {
		hits += n.hits.Load()
	}
	assert.Equal(t, sent, hits, "each ran once")
	require.Eventually(t, func() bool { return observe(t, b, "web").InFlight == 0 }, 5*time.Second, 10*time.Millisecond)
	st := observe(t, b, "web")
	assert.EqualValues(t, sent, st.Requests, "all are counted, whichever worker had them")
	assert.Zero(t, st.Errors)
}

func remove(servers []balancer.Server, name string) []balancer.Server {
	var out []balancer.Server
	for _, s := range servers {
		if s.Name != name {
			out = append(out, s)
		}
	}
	return out
}

func TestDrainCountsOldWorkers(t *testing.T) {
	for _, hold := range []bool{true, false} {
		t.Run(fmt.Sprintf("connection to the old worker %v", hold), func(t *testing.T) {
			dir := testDir(t)
			b := reopenBalancer(t, dir)
			f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
			a, other := newNode(t, "a"), newNode(t, "b")
			setFront(t, b, f)
			apply(t, b, "web", a.server())
			wait := holdOne(t, f.Listen, a)
			for i := range 2 {
				f.MaxConn = 10 + i
				setFront(t, b, f)
			}
			if !hold {
				// Another manager only knows what the master tells.
				require.NoError(t, b.Close())
				b = reopenBalancer(t, dir)
			}
			drained := a.server()
			drained.State = balancer.Drain
			apply(t, b, "web", drained, other.server())
			for range 5 {
				st := observe(t, b, "web")
				assert.Equal(t, 1, st.InFlight, "the front has it")
				assert.Equal(t, 1, st.Servers[0].InFlight, "the server that drains has it")
				assert.Zero(t, st.Servers[1].InFlight)
			}
			close(a.hold)
			code, err := wait()
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, code)
			require.Eventually(t, func() bool {
				st := observe(t, b, "web")
				return st.InFlight == 0 && st.Servers[0].InFlight == 0
			}, 5*time.Second, 10*time.Millisecond)
			// With nothing left to do, old workers end.
			require.Eventually(t, func() bool {
				observe(t, b, "web")
				procs, err := b.cfg.showProc(ctxFor(t))
				return err == nil && len(procs.old) == 0
			}, 5*time.Second, 20*time.Millisecond)
		})
	}
}

func TestRemovalCutsInOldWorkers(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	a, other := newNode(t, "a"), newNode(t, "b")
	setFront(t, b, f)
	apply(t, b, "web", a.server())
	wait := holdOne(t, f.Listen, a)
	f.MaxConn = 10
	setFront(t, b, f)
	apply(t, b, "web", other.server())
	code, err := wait()
	assert.True(t, err != nil || code >= 500, "it was cut: %d, %v", code, err)
	require.Eventually(t, func() bool { return a.held.Load() == 0 }, 5*time.Second, 5*time.Millisecond)
}

func TestStartsAgainAfterMasterDied(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	g := balancer.Front{Name: "other", Listen: balancertest.FreeAddr(t)}
	a, c, d := newNode(t, "a"), newNode(t, "c"), newNode(t, "d")
	setFront(t, b, f)
	setFront(t, b, g)
	apply(t, b, "web", a.server())
	drained := d.server()
	drained.State = balancer.Drain
	apply(t, b, "other", c.server(), drained)
	require.NoError(t, get(f.Listen))
	requests := observe(t, b, "web").Requests
	require.NotZero(t, requests)

	worker := func() int {
		procs, err := b.cfg.showProc(ctxFor(t))
		require.NoError(t, err)
		return procs.workers[0]
	}
	for i, how := range []struct {
		name  string
		pid   func() int
		again func()
	}{
		{"master, then Apply", b.PID, func() { apply(t, b, "web", a.server()) }},
		{"master, then SetFront", b.PID, func() { setFront(t, b, f) }},
		{"worker, then Apply", worker, func() { apply(t, b, "web", a.server()) }},
		{"master, and nothing", b.PID, func() { restarted(t, b) }},
		{"worker, and nothing", worker, func() { restarted(t, b) }},
	} {
		pid := b.PID()
		begun := time.Now()
		require.NoError(t, syscall.Kill(how.pid(), syscall.SIGKILL), how.name)
		require.Eventually(t, func() bool { return b.PID() != pid }, 5*time.Second, time.Millisecond, how.name)
		how.again()
		t.Logf("%s: %s", how.name, time.Since(begun))
		assert.NotEqual(t, pid, b.PID(), how.name)
		require.NoError(t, get(f.Listen), how.name)
		require.NoError(t, get(g.Listen), "%s: the servers of the other front came back", how.name)
		st := observe(t, b, "other")
		assert.Equal(t, balancer.Drain, st.Servers[1].State, how.name)
		assert.EqualValues(t, requests+uint64(i)+1, observe(t, b, "web").Requests, "counters go on")
	}
	assert.Zero(t, d.hits.Load())
}

func get(listen string) error {
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get("http://" + listen + "/")
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	return nil
}

func TestFailedReloadKeepsTheOld(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	a := newNode(t, "a")
	setFront(t, b, f)
	apply(t, b, "web", a.server())
	pid := b.PID()
	before, err := os.ReadFile(b.cfg.path(configFile))
	require.NoError(t, err)

	// A check does not bind; the reload finds that it cannot.
	block := b.cfg.relaySocket("blocked")
	require.NoError(t, os.MkdirAll(filepath.Join(block, "x"), 0o700))
	err = b.SetFront(ctxFor(t), balancer.Front{Name: "blocked", Listen: balancertest.FreeAddr(t)})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "blocked")
	assert.Contains(t, err.Error(), block, "the error says what HAProxy said")
	require.NoError(t, os.RemoveAll(block))

	after, err := os.ReadFile(b.cfg.path(configFile))
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after), "the old configuration is back")
	assert.Equal(t, pid, b.PID())
	require.NoError(t, get(f.Listen))
	st, err := b.Observe(ctxFor(t))
	require.NoError(t, err)
	require.Len(t, st.Fronts, 1)
	assert.Len(t, st.Fronts[0].Servers, 1)
	// And it can be changed again.
	apply(t, b, "web", a.server(), newNode(t, "b").server())
	setFront(t, b, balancer.Front{Name: "blocked", Listen: balancertest.FreeAddr(t)})
}

func TestFailedCheckKeepsTheOld(t *testing.T) {
	dir := testDir(t)
	// A program that refuses every configuration as long as a file is there.
	wrapper := filepath.Join(dir, "haproxy-that-refuses")
	b0 := reopenBalancer(t, dir)
	real := b0.cfg.Binary
	require.NoError(t, b0.Close())
	script := fmt.Sprintf("#!/bin/sh\ncase \" $* \" in *\" -c \"*) if [ -e %s/no ]; then echo '[ALERT] (1) : config : not today' >&2; exit 1; fi;; esac\nexec %s \"$@\"\n", dir, real)
	require.NoError(t, os.WriteFile(wrapper, []byte(script), 0o700))
	b, err := New(Config{Dir: dir, Binary: wrapper})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	apply(t, b, "web", newNode(t, "a").server())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "no"), nil, 0o600))
	changed := f
	changed.MaxConn = 5
	err = b.SetFront(ctxFor(t), changed)
	require.ErrorContains(t, err, "not today")
	require.ErrorContains(t, err, "set front web")
	require.NoError(t, get(f.Listen))
	left, err := filepath.Glob(filepath.Join(dir, "tx", "*"))
	require.NoError(t, err)
	assert.Empty(t, left, "nothing of the transaction is left")
	require.NoError(t, os.Remove(filepath.Join(dir, "no")))
	setFront(t, b, changed)
	require.NoError(t, get(f.Listen))
}

func TestAddressThatIsNotOurs(t *testing.T) {
	b := openBalancer(t)
	err := b.SetFront(ctxFor(t), balancer.Front{Name: "web", Listen: "203.0.113.1:80"})
	require.Error(t, err)
	require.NotErrorIs(t, err, balancer.ErrAddressInUse)
	assert.Zero(t, b.PID(), "nothing was started")
	// A front may widen its address to all of its own port.
	addr := balancertest.FreeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	setFront(t, b, balancer.Front{Name: "web", Listen: addr})
	setFront(t, b, balancer.Front{Name: "web", Listen: "0.0.0.0:" + port})
	setFront(t, b, balancer.Front{Name: "v6", Listen: "[::1]:" + port})
	assert.Equal(t, "[::1]:"+port, observe(t, b, "v6").Listen)
	apply(t, b, "v6", newNode(t, "a").server())
	require.NoError(t, get("[::1]:"+port))
}

func TestShutdownFinishesAndEnds(t *testing.T) {
	b := openBalancer(t)
	require.NoError(t, b.Shutdown(ctxFor(t)), "nothing runs")
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	a := newNode(t, "a")
	setFront(t, b, f)
	apply(t, b, "web", a.server())
	wait := holdOne(t, f.Listen, a)
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(ctxFor(t)) }()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", f.Listen)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 5*time.Second, 5*time.Millisecond, "no more connections are taken")
	close(a.hold)
	code, err := wait()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, code)
	require.NoError(t, <-done)
	assert.Zero(t, b.PID())
	_, err = b.Observe(ctxFor(t))
	require.ErrorIs(t, err, balancer.ErrUnavailable)
}
