//go:build e2e

package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/internal/openloop"
)

// An engine takes 5 s for each call and HAProxy 1 s for each command: what does
// not need them goes on as ever.
func TestFaultEverythingIsSlow(t *testing.T) {
	st := onDocker(t)
	quick := dockertest.Start(t, dockertest.Options{})
	quick.BuildScratch(t, workloadImage, serverBinary)
	proxy := dockertest.StartProxy(t, st.engine)
	st.hosts[0].Address = proxy.Address()
	st.hosts = append(st.hosts, wire.Host{Name: "quick", Runtime: "docker", Address: quick.Address()})
	srv := start(t, st)
	on := func(host string) *service {
		v := srv.service(host, func(p *wire.Pod) { p.Hosts = []string{host} })
		v.launch(2)
		return v
	}
	on("local")
	web := on("quick")

	f := newFault(t, "engine 5 s and HAProxy 1 s slow")
	rest := time.Duration(rounds(6, 60)) * time.Second
	wait := f.load(web, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 50, Duration: rest + 12*time.Second})
	var slow *slowSockets
	begun := time.Now()
	f.inject(func() {
		proxy.SetDelay(5 * time.Second)
		slow = slowDown(t, srv.sockets(), time.Second)
	})
	srv.cloud("register", "late", "local")
	srv.cloud("launch", "local", "--no-wait")

	var reads []time.Duration
	for end := time.Now().Add(rest); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, path := range []string{"/v1/pods", "/v1/pods/local", "/v1/hosts", "/v1/balancer", "/v1/pods/quick/nodes"} {
			asked := time.Now()
			require.Equal(t, http.StatusOK, status(t, http.MethodGet, srv.url+path))
			reads = append(reads, time.Since(asked))
		}
	}
	slices.Sort(reads)
	t.Logf("%d reads: median %s, 99 %% %s, worst %s", len(reads), reads[len(reads)/2], reads[len(reads)*99/100], reads[len(reads)-1])
	assert.Less(t, reads[len(reads)*99/100], 50*time.Millisecond)
	for _, name := range []string{"local", "quick"} {
		var ticks wire.List[wire.Tick]
		srv.get("/v1/pods/"+name+"/decisions?limit=1000", &ticks)
		var times []time.Time
		for _, tick := range ticks.Items {
			if tick.At.After(begun) {
				times = append(times, tick.At)
			}
		}
		slices.SortFunc(times, time.Time.Compare)
		require.Greater(t, len(times), int(rest/time.Second)-3, "ticks of pod %s", name)
		for i := range times[1:] {
			assert.InDelta(t, 1, times[i+1].Sub(times[i]).Seconds(), 0.8, "pod %s", name)
		}
	}
	assert.Greater(t, slow.commands(), 3, "HAProxy was asked, slowly")

	// A node of the quick host is launched meanwhile: it waits for HAProxy alone.
	asked := time.Now()
	srv.cloud("register", "late", "quick")
	srv.cloud("launch", "quick")
	srv.eventually("launched on the other host", 20*time.Second, func() bool { return len(srv.online("quick")) == 3 })
	t.Logf("launched on the quick host after %s", time.Since(asked))
	mended := time.Now()
	proxy.SetDelay(0)
	slow.end()
	srv.eventually("all is well", time.Minute, func() bool {
		return srv.pod("local").Status.Converged && srv.pod("quick").Status.Converged && len(srv.online("local")) == 3
	})
	f.recovered(time.Since(mended))
	r := wait()
	assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	srv.checkInvariants()
}

// sockets returns HAProxy's command sockets.
func (s *server) sockets() (out []string) {
	s.t.Helper()
	for _, pattern := range []string{"stats.sock", "master.sock"} {
		found, err := filepath.Glob(filepath.Join(s.dir, "data", "*", pattern))
		require.NoError(s.t, err)
		require.Len(s.t, found, 1)
		out = append(out, found...)
	}
	return out
}

// slowSockets stand in front of sockets, each connection to which they delay.
type slowSockets struct {
	t         *testing.T
	delay     time.Duration
	paths     []string
	listeners []net.Listener
	serving   sync.WaitGroup
	done      chan struct{}

	mu   sync.Mutex
	seen int
}

// slowDown puts itself in the places of the sockets, which are elsewhere until
// it ends.
func slowDown(t *testing.T, paths []string, delay time.Duration) *slowSockets {
	s := &slowSockets{t: t, delay: delay, paths: paths, done: make(chan struct{})}
	for _, path := range paths {
		require.NoError(t, os.Rename(path, path+".real"))
		l, err := net.Listen("unix", path)
		require.NoError(t, err)
		s.listeners = append(s.listeners, l)
		s.serving.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				s.mu.Lock()
				s.seen++
				s.mu.Unlock()
				s.serving.Go(func() { s.relay(c, path+".real") })
			}
		})
	}
	return s
}

func (s *slowSockets) relay(c net.Conn, to string) {
	defer c.Close()
	select {
	case <-time.After(s.delay):
	case <-s.done:
		return
	}
	real, err := net.Dial("unix", to)
	if err != nil {
		return
	}
	defer real.Close()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(real, c)
		_ = real.(*net.UnixConn).CloseWrite()
	})
	_, _ = io.Copy(c, real)
	_ = c.Close()
	both.Wait()
}

func (s *slowSockets) commands() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// end gives the sockets back their places, unless HAProxy took them itself.
func (s *slowSockets) end() {
	close(s.done)
	for i, l := range s.listeners {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		_ = l.Close()
		require.NoError(s.t, os.Rename(s.paths[i]+".real", s.paths[i]))
	}
	s.serving.Wait()
}
