//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// behindHAProxy is HAProxy before processes: what happens to it has nothing to
// do with what runs behind it.
func behindHAProxy(config string) *stack {
	return &stack{name: "haproxy", haproxy: true, config: config, hosts: []wire.Host{{Name: "local", Runtime: "process"}}}
}

func (s *server) haproxyFile(name string) string {
	return filepath.Join(s.dir, "data", "haproxy", name)
}

// haproxyMaster is the pid of HAProxy's master process, as the server noted it.
func (s *server) haproxyMaster() int {
	s.t.Helper()
	data, err := os.ReadFile(s.haproxyFile("state.json"))
	require.NoError(s.t, err)
	var state struct{ Master struct{ PID int } }
	require.NoError(s.t, json.Unmarshal(data, &state))
	return state.Master.PID
}

// haproxies are the pids of the processes of the server's HAProxy that live.
func (s *server) haproxies() (pids []int) {
	s.t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(s.t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err == nil && bytes.Contains(line, []byte(s.haproxyFile("haproxy.cfg")+"\x00")) && !bytes.Contains(line, []byte("\x00-c\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// haproxyWorker is the pid of a worker; it is the newest one where nothing was
// reloaded for a while.
func (s *server) haproxyWorker() (newest int) {
	s.t.Helper()
	master := s.haproxyMaster()
	s.eventually("HAProxy has a worker", 10*time.Second, func() bool {
		newest = 0
		for _, pid := range s.haproxies() {
			if pid != master {
				newest = max(newest, pid)
			}
		}
		return newest != 0
	})
	return newest
}

func (s *server) incidents() string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/v1/events?types=balancer.incident&after=0", nil)
	require.NoError(s.t, err)
	client := http.Client{Timeout: 500 * time.Millisecond} // the stream has no end
	resp, err := client.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	var all bytes.Buffer
	_, _ = all.ReadFrom(resp.Body)
	return all.String()
}

func (s *server) balancer() wire.Balancer {
	s.t.Helper()
	var b wire.Balancer
	s.get("/v1/balancer", &b)
	return b
}

// HAProxy's worker or its master is killed. The connections inside are the named
// exception; whoever connects meanwhile waits, and is served by the next one.
func TestFaultHAProxyKilled(t *testing.T) {
	srv := start(t, behindHAProxy(""))
	web := srv.service("web", nil)
	web.launch(2)
	for _, victim := range []struct {
		name string
		pid  func() int
	}{{"HAProxy's worker killed", srv.haproxyWorker}, {"HAProxy's master killed", srv.haproxyMaster}} {
		f := newFault(t, victim.name)
		stop := make(chan struct{})
		var kills []time.Time
		// A connection that was inside is closed or reset; nothing is refused, times
		// out or is answered with an error.
		inside := func(o openloop.Outcome) bool {
			return o.Code == 0 && (o.Kind == openloop.ErrReset || o.Kind == openloop.ErrClosed || o.Kind == openloop.ErrStale || o.Kind == openloop.ErrBody)
		}
		var waits []func() openloop.Result
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			waits = append(waits, f.loadWith(web, openloop.Config{
				URL: "/work?sleep=30ms", Method: method, Rate: 40, Duration: time.Hour, Stop: stop, Header: http.Header{"Connection": {"close"}},
			}, inside))
		}
		for i := range rounds(3, 18) {
			time.Sleep(1500 * time.Millisecond)
			if i >= 6 { // one that has not died early is started without a pause
				time.Sleep(10 * time.Second)
			}
			master := srv.haproxyMaster()
			killed := time.Now()
			kills = append(kills, killed)
			f.inject(func() { require.NoError(t, syscall.Kill(victim.pid(), syscall.SIGKILL)) })
			srv.eventually("another HAProxy answers", 15*time.Second, func() bool { return srv.haproxyMaster() != master })
			require.Equal(t, http.StatusOK, status(t, http.MethodGet, web.url+"/"))
			f.recovered(time.Since(killed))
		}
		time.Sleep(time.Second)
		close(stop)
		for _, wait := range waits {
			r := wait()
			for _, o := range r.Failures {
				assert.True(t, inside(o), "%s: %s %d %v", victim.name, o.Kind, o.Code, o.Err)
				near := false
				for _, k := range kills {
					// It was sent before the kill, or in the milliseconds in which a worker
					// without a master lives.
					near = near || o.At.After(k.Add(-2*time.Second)) && o.At.Before(k.Add(500*time.Millisecond))
				}
				assert.True(t, near, "a request failed far from any kill: %s", o.At)
			}
			assert.Less(t, r.Failed, 10*len(kills), "only what was inside")
		}
		f.mu.Lock()
		assert.Zero(t, f.idempotent)
		assert.Zero(t, f.other)
		f.mu.Unlock()
		f.leaked(len(srv.haproxies()) - 2) // a master and a worker
	}
	srv.eventually("servers are as they were", 10*time.Second, func() bool {
		b := srv.balancer()
		return b.Error == "" && len(b.Fronts) == 1 && len(b.Fronts[0].Servers) == 2 && srv.pod("web").Status.Converged
	})
	assert.Len(t, srv.haproxies(), 2)
	srv.eventually("it is told", 10*time.Second, func() bool { return strings.Contains(srv.incidents(), "started again in") })
	srv.checkInvariants()
}

// Nobody can talk to HAProxy: its sockets are full of connections that somebody
// forgot, or gone. That fails no request, and the pod can be changed again.
func TestFaultHAProxySockets(t *testing.T) {
	srv := start(t, behindHAProxy(""))
	web := srv.service("web", nil)
	web.launch(2)
	f := newFault(t, "HAProxy's sockets full or gone")
	stop := make(chan struct{})
	var waits []func() openloop.Result
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		waits = append(waits, f.load(web, openloop.Config{URL: "/work?sleep=100ms", Method: method, Rate: 30, Duration: time.Hour, Stop: stop}))
	}
	master := srv.haproxyMaster()
	var taken []net.Conn
	defer func() {
		for _, c := range taken {
			_ = c.Close()
		}
	}()
	for i := range rounds(1, 10) {
		for _, cause := range []func(path string){
			func(path string) { require.NoError(t, os.Remove(path)) },
			func(path string) {
				for range 400 {
					c, err := net.DialTimeout("unix", path, 50*time.Millisecond)
					if err != nil {
						break
					}
					taken = append(taken, c)
				}
			},
		} {
			begun := time.Now()
			f.inject(func() {
				for _, path := range srv.sockets() {
					cause(path)
				}
			})
			node := "late" + strconv.Itoa(i)
			srv.cloud("register", node, "web")
			srv.cloud("launch", "web", "--no-wait")
			srv.eventually("the balancer takes another node", 60*time.Second, func() bool {
				b := srv.balancer()
				return b.Error == "" && len(b.Fronts) == 1 && len(b.Fronts[0].Servers) == 3 && srv.pod("web").Status.Converged
			})
			f.recovered(time.Since(begun))
			srv.cloud("rm", node, "web")
		}
	}
	close(stop)
	for _, wait := range waits {
		r := wait()
		assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	}
	assert.Equal(t, master, srv.haproxyMaster(), "HAProxy was not ended")
	srv.eventually("it is told", 10*time.Second, func() bool { return strings.Contains(srv.incidents(), "could not be asked") })
	srv.checkInvariants()
}

// The program that checks fails, and somebody writes in HAProxy's file: what runs
// goes on, and everybody is told.
func TestFaultHAProxyFiles(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "haproxy")
	write := func(script string) {
		t.Helper()
		next := program + ".new"
		require.NoError(t, os.WriteFile(next, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		require.NoError(t, os.Rename(next, program))
	}
	good := `PATH=$PATH:/usr/sbin exec haproxy "$@"`
	write(good)
	srv := start(t, behindHAProxy("haproxy:\n  binary: "+program+"\n"))
	web := srv.service("web", nil)
	web.launch(2)
	f := newFault(t, "HAProxy's check fails, its file is changed")
	stop := make(chan struct{})
	var waits []func() openloop.Result
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		waits = append(waits, f.load(web, openloop.Config{URL: "/work?sleep=30ms", Method: method, Rate: 30, Duration: time.Hour, Stop: stop}))
	}
	for i := range rounds(1, 10) {
		master := srv.haproxyMaster()
		f.inject(func() { write(`echo "[ALERT] (1) : config : not today" >&2; exit 1`) })
		req, err := http.NewRequest(http.MethodPatch, srv.url+"/v1/pods/web", strings.NewReader(
			`{"fronts":[{"name":"web","listen":"`+strings.TrimPrefix(web.url, "http://")+`","port":"http","max_conn":`+strconv.Itoa(100+i)+`}]}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/merge-patch+json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		var said bytes.Buffer
		_, _ = said.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		assert.GreaterOrEqual(t, resp.StatusCode, 400, "%s", said.String())
		t.Logf("a check that fails: %s %s", resp.Status, said.String())
		assert.Contains(t, said.String(), "not today")
		srv.eventually("the log says why", 10*time.Second, func() bool { return strings.Contains(srv.logText(), "not today") })
		assert.Equal(t, master, srv.haproxyMaster())

		write(good)
		begun := time.Now()
		foreign := []byte("# by hand, " + strconv.Itoa(i) + "\n")
		f.inject(func() { require.NoError(t, os.WriteFile(srv.haproxyFile("haproxy.cfg"), foreign, 0o600)) })
		srv.eventually("the change is told", 10*time.Second, func() bool {
			return strings.Contains(strings.Join(srv.balancer().Problems, " "), "changed by somebody else")
		})
		var cluster wire.Cluster
		srv.get("/v1/cluster", &cluster)
		assert.Contains(t, problemOf(cluster.Problems, "balancer-trouble").Text, "changed by somebody else")
		srv.patch("/v1/pods/web", `{"fronts":[{"name":"web","listen":"`+strings.TrimPrefix(web.url, "http://")+`","port":"http","max_conn":`+strconv.Itoa(200+i)+`}]}`)
		kept, err := os.ReadFile(srv.haproxyFile("haproxy.cfg.bak"))
		require.NoError(t, err)
		assert.Equal(t, string(foreign), string(kept), "what was written by hand is kept")
		srv.eventually("the problem is over", 10*time.Second, func() bool { return len(srv.balancer().Problems) == 0 })
		f.recovered(time.Since(begun))
	}
	close(stop)
	for _, wait := range waits {
		r := wait()
		assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	}
	srv.checkInvariants()
}
