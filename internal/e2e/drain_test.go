//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"

	"github.com/elastipod/elastipod/cms/wire"
)

// socket is a WebSocket to a node.
type socket struct {
	t *testing.T
	*websocket.Conn
	node string
}

func (v *service) socket(t *testing.T) *socket {
	t.Helper()
	conn, err := websocket.Dial("ws"+strings.TrimPrefix(v.url, "http")+"/ws", "", v.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s := &socket{t: t, Conn: conn}
	require.NoError(t, s.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, websocket.Message.Receive(conn, &s.node))
	return s
}

// socketTo opens WebSockets until one is to that node, and closes the others.
func (v *service) socketTo(t *testing.T, node string) *socket {
	t.Helper()
	var others []*socket
	defer func() {
		for _, s := range others {
			_ = s.Close()
		}
	}()
	for range 20 {
		s := v.socket(t)
		if s.node == node {
			return s
		}
		others = append(others, s)
	}
	require.FailNow(t, "the balancer gives "+node+" nothing")
	return nil
}

func (s *socket) echoes() {
	s.t.Helper()
	var got string
	require.NoError(s.t, websocket.Message.Send(s.Conn, "hello"), "to %s", s.node)
	require.NoError(s.t, websocket.Message.Receive(s.Conn, &got), "from %s", s.node)
	require.Equal(s.t, "hello", got)
}

// polls are requests that take long.
type polls struct {
	sync.WaitGroup
	ok    atomic.Int32
	other []string
	mu    sync.Mutex
}

func (v *service) polls(n int, sleep time.Duration) *polls {
	p := &polls{}
	for range n {
		p.Go(func() {
			// No balancer sends a POST a second time.
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post(fmt.Sprintf("%s/work?sleep=%s", v.url, sleep), "text/plain", nil)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err == nil && resp.StatusCode == http.StatusOK {
					p.ok.Add(1)
					return
				}
				err = fmt.Errorf("%s %w", resp.Status, err)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.other = append(p.other, err.Error())
		})
	}
	return p
}

// all requires that every one was answered.
func (p *polls) all(t *testing.T, n int, what string) {
	t.Helper()
	p.Wait()
	assert.EqualValues(t, n, p.ok.Load(), "%s: %v", what, p.other)
}

// events returns the kept events of a type.
func (s *server) events(kind string) (out []wire.Event) {
	s.t.Helper()
	for line := range strings.Lines(s.cloud("events", "--type", kind, "-o", "json", "--limit", "0")) {
		var e wire.Event
		require.NoError(s.t, json.Unmarshal([]byte(line), &e), line)
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out
}

// drains waits until the balancer gives the node nothing new.
func (s *server) drains(node string) {
	s.t.Helper()
	s.eventually("the balancer drains "+node, 5*time.Second, func() bool {
		var b wire.Balancer
		s.get("/v1/balancer", &b)
		for _, f := range b.Fronts {
			for _, x := range f.Servers {
				if x.Name == node {
					return x.State == "drain"
				}
			}
		}
		return false
	})
}

// metric returns a line of what Prometheus is told.
func (s *server) metric(name string) string {
	s.t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	require.NoError(s.t, err)
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), name) {
			return strings.TrimPrefix(lines.Text(), name)
		}
	}
	return ""
}

// A drain waits for WebSockets and long polls, also where HAProxy was reloaded
// meanwhile; what is still there at its deadline is cut, and counted.
func TestDrainOfWebSocketsAndLongPolls(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			const drain = 5 * time.Second
			srv := start(t, st)
			web := srv.service("web", func(p *wire.Pod) { p.Drain, p.Grace = wire.Duration(drain), wire.Duration(time.Second) })
			web.launch(2)
			leaves, stays := web.socketTo(t, "hand1"), web.socketTo(t, "hand1")
			elsewhere := web.socketTo(t, "hand2")
			slow := web.polls(6, 2*time.Second)
			srv.eventually("requests are in flight", 5*time.Second, func() bool {
				f := 0.0
				for _, n := range srv.nodes("web", "online") {
					if n.InFlight != nil {
						f += *n.InFlight
					}
				}
				return f >= 9
			})
			// HAProxy is reloaded: what it has stays with the worker from before.
			srv.patch("/v1/pods/web", fmt.Sprintf(`{"fronts":[{"listen":%q,"timeouts":{"queue":"20s"}}]}`, strings.TrimPrefix(web.url, "http://")))
			srv.eventually("the front is set", 5*time.Second, func() bool { return srv.pod("web").Status.Converged })

			begun := time.Now()
			srv.cloud("rm", "hand1", "web", "--no-wait")
			srv.drains("hand1")
			for range 4 {
				assert.Equal(t, "hand2", web.socket(t).node, "a node that drains gets nothing new")
			}
			time.Sleep(drain/2 - time.Since(begun))
			leaves.echoes()
			require.NoError(t, leaves.Close(), "it ends by itself")
			slow.all(t, 6, "long polls")
			time.Sleep(drain - time.Second - time.Since(begun))
			stays.echoes()
			n := srv.nodes("web", "draining")
			require.Len(t, n, 1)
			require.NotNil(t, n[0].InFlight)
			assert.Equal(t, 1.0, *n[0].InFlight, "what is left: the WebSocket that stays")
			var got string
			require.Error(t, websocket.Message.Receive(stays.Conn, &got), "cut")
			took := time.Since(begun)
			assert.Greater(t, took, drain-200*time.Millisecond)
			assert.Less(t, took, drain+5*time.Second)
			t.Logf("%s: cut after %.2f s", st.name, took.Seconds())
			srv.eventually("the node is gone", 10*time.Second, func() bool { return srv.pod("web").Status.Converged && len(srv.nodes("web", "draining")) == 0 })
			assert.EqualValues(t, 1, srv.pod("web").Status.Cut)
			cut := srv.events("node.cut")
			require.Len(t, cut, 1)
			assert.Equal(t, "hand1", cut[0].Node)
			assert.Equal(t, 1, cut[0].Cut)
			assert.Equal(t, " 1", srv.metric(`elastipod_pod_cut_requests_total{pod="web"}`))
			assert.Contains(t, srv.cloud("pod", "show", "web"), "1 requests and connections at the deadline")
			elsewhere.echoes()

			// One that has nothing to do does not wait, and is not told as cut.
			srv.cloud("register", "hand3", "web")
			srv.cloud("launch", "web")
			begun = time.Now()
			srv.cloud("rm", "hand3", "web")
			assert.Less(t, time.Since(begun), drain-time.Second, "idle, so that nothing is waited for")
			drained := srv.events("node.drained")
			require.Len(t, drained, 1)
			assert.Equal(t, "hand3", drained[0].Node)
			assert.EqualValues(t, 1, srv.pod("web").Status.Cut)
			elsewhere.echoes()
		})
	}
}

// Pausing, resuming and deleting a pod cut nothing; a deletion ends also where
// the server is killed in its middle.
func TestDrainOfPauseAndDelete(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := start(t, st)
			web := srv.service("web", func(p *wire.Pod) { p.Drain = wire.Duration(20 * time.Second) })
			web.launch(2)
			ws := web.socket(t)
			slow := web.polls(6, 2*time.Second)
			inFlight := func(n float64) {
				t.Helper()
				srv.eventually("requests are in flight", 5*time.Second, func() bool {
					s := srv.pod("web").Status.Sample
					return s != nil && s.InFlight != nil && *s.InFlight >= n
				})
			}
			inFlight(7)
			srv.cloud("pause", "web")
			assert.Equal(t, http.StatusServiceUnavailable, status(t, http.MethodPost, web.url+"/"))
			ws.echoes()
			srv.cloud("resume", "web")
			assert.Equal(t, http.StatusOK, status(t, http.MethodPost, web.url+"/"))
			slow.all(t, 6, "paused and resumed")
			ws.echoes()

			slow = web.polls(6, 4*time.Second)
			inFlight(7)
			srv.cloud("pod", "rm", "web", "--no-wait")
			srv.eventually("new requests are refused", 5*time.Second, func() bool { return status(t, http.MethodPost, web.url+"/") == http.StatusServiceUnavailable })
			assert.Equal(t, "deleting", srv.pod("web").Status.State)
			ws.echoes()
			if st.engine == nil {
				// The balancer dies with the server: kill it once all is answered.
				slow.all(t, 6, "deleted")
			}
			srv.signal(syscall.SIGKILL)
			srv.run()
			if st.engine != nil {
				assert.Equal(t, "deleting", srv.pod("web").Status.State, "a request is in flight")
				ws.echoes()
				slow.all(t, 6, "deleted")
				ws.echoes()
				require.NoError(t, ws.Close())
			}
			begun := time.Now()
			srv.eventually("the pod is gone", 15*time.Second, func() bool {
				resp, err := http.Get(srv.url + "/v1/pods/web")
				require.NoError(t, err)
				_ = resp.Body.Close()
				return resp.StatusCode == http.StatusNotFound
			})
			t.Logf("%s: gone %.2f s after the last request", st.name, time.Since(begun).Seconds())
			_, err := http.Get(web.url)
			require.Error(t, err, "nobody listens there any more")
			srv.service("web2", func(p *wire.Pod) { p.Fronts[0].Listen = strings.TrimPrefix(web.url, "http://") }).launch(1)
			assert.Equal(t, http.StatusOK, status(t, http.MethodPost, web.url+"/"), "its address is free")
			assert.Empty(t, srv.events("node.cut"))
		})
	}
}

// A server that is told to end answers the calls that it has, also those that
// wait, and lets the actions end that it has begun.
func TestShutdownAnswersTheLastCalls(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := start(t, st)
			web := srv.service("web", func(p *wire.Pod) { p.Drain = wire.Duration(20 * time.Second) })
			web.launch(2)
			never := srv.service("never", func(p *wire.Pod) {
				p.Workload.Probe = wire.Probe{HTTP: "/work?cpu=never", StartDeadline: wire.Duration(time.Minute)}
			})
			srv.cloud("register", "n1", never.name)
			slow := web.polls(2, 3*time.Second)
			srv.eventually("requests are in flight", 5*time.Second, func() bool {
				s := srv.pod("web").Status.Sample
				return s != nil && s.InFlight != nil && *s.InFlight >= 2
			})
			type call struct {
				method, path string
				want         []int
			}
			calls := []call{
				{"POST", "/v1/pods/never/launch?wait=60s", []int{http.StatusAccepted}},
				{"DELETE", "/v1/pods/web/nodes/hand1?wait=60s", []int{http.StatusAccepted, http.StatusOK}},
				{"GET", "/v1/events", []int{http.StatusOK}},
			}
			got := make([]string, len(calls))
			var all sync.WaitGroup
			for i, c := range calls {
				all.Go(func() {
					req, err := http.NewRequest(c.method, srv.url+c.path, nil)
					if err != nil {
						got[i] = err.Error()
						return
					}
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						got[i] = err.Error()
						return
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					switch {
					case err != nil:
						got[i] = err.Error()
					case !slices.Contains(c.want, resp.StatusCode):
						got[i] = fmt.Sprintf("%d: %s", resp.StatusCode, body)
					}
				})
			}
			srv.eventually("the calls are taken", 10*time.Second, func() bool {
				return len(srv.nodes("never", "starting")) == 1 && len(srv.nodes("web", "draining")) == 1
			})
			took := srv.signal(syscall.SIGTERM)
			all.Wait()
			assert.Equal(t, make([]string, len(calls)), got)
			assert.Less(t, took, 9*time.Second)
			t.Logf("%s: ended after %.2f s", st.name, took.Seconds())
			assert.NotContains(t, srv.logText(), "superfluous")
			slow.all(t, 2, "in flight when the server was told to end")
			srv.run()
			srv.eventually("what was begun goes on", 25*time.Second, func() bool {
				return len(srv.nodes("never", "starting")) == 1 && slices.Equal(srv.online("web"), []string{"hand2"}) && srv.pod("web").Status.Converged
			})
		})
	}
}
