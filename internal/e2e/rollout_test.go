//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

// What a pod runs is changed five times in five ways under load, and changed
// back where that failed: no request is lost, and each ran once.
func TestRolloutsUnderLoad(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := start(t, st)
			web := srv.service("web", func(p *wire.Pod) {
				p.MaxNodes = 8
				p.Workload.Pull = ""
				if st.engine != nil {
					p.Workload.Pull = "never"
				}
			})
			web.launch(3)
			ended := make(chan struct{})
			wait := web.load(t, openloop.Config{URL: "/work?cpu=2ms&sleep=50ms", Rate: 40, Duration: 3 * time.Minute, Stop: ended})
			change := func(what, state string, patch string) wire.Pod {
				t.Helper()
				begun := time.Now()
				srv.patch("/v1/pods/web", patch)
				srv.eventually(what, time.Minute, func() bool {
					p := srv.pod("web")
					return p.Status.Rollout != nil && p.Status.Rollout.State == state && p.Status.Converged && p.Status.Nodes.Online == 3
				})
				p := srv.pod("web")
				t.Logf("%-10s %s after %.1f s %s", what, state, time.Since(begun).Seconds(), p.Status.Rollout.Reason)
				return p
			}
			change("rolling", "done", `{"workload":{"env":{"VERSION":"2"}}}`)
			change("blue-green", "done", `{"update":{"strategy":"blue-green"},"workload":{"env":{"VERSION":"3"}}}`)
			good := change("canary", "done", `{"update":{"strategy":"canary","steps":[{"weight":20,"pause":"2s"},{"weight":50,"pause":"2s"}]},"workload":{"env":{"VERSION":"4"}}}`)
			missing := `{"workload":{"command":["/does/not/exist"]}}`
			if st.engine != nil {
				missing = `{"workload":{"image":"elastipod-missing:1","pull":"never"}}`
			}
			p := change("missing", "rolled-back", missing)
			assert.Equal(t, good.Workload, p.Workload)
			p = change("never ready", "rolled-back", `{"update":{"strategy":"rolling","failures":1},"workload":{"env":{"VERSION":"5"},"probe":{"http":"/work?cpu=never","start_deadline":"2s"}}}`)
			assert.Equal(t, good.Workload, p.Workload)

			srv.post("/v1/pods/web/rollout/undo", `{"revision":1}`)
			srv.eventually("undone", time.Minute, func() bool {
				p := srv.pod("web")
				return p.Status.Converged && p.Status.Rollout.State == "done" && p.Status.Rollout.To == p.Status.Revision
			})
			assert.NotContains(t, srv.pod("web").Workload.Env, "VERSION")
			close(ended)
			require.NoError(t, web.checkLossless(wait()))
		})
	}
}

// A node that hangs is found out and replaced, and the requests that it had are
// answered by others.
func TestFaultNodeHangs(t *testing.T) {
	for _, s := range []func(*testing.T) *stack{embedded, onDocker} {
		st := s(t)
		t.Run(st.name, func(t *testing.T) {
			srv := start(t, st)
			failures := 2
			web := srv.service("web", func(p *wire.Pod) {
				p.Drain, p.Grace = wire.Duration(2*time.Second), wire.Duration(time.Second)
				p.Workload.Probe.Timeout = wire.Duration(500 * time.Millisecond)
				p.Workload.Probe.LiveInterval = wire.Duration(time.Second)
				p.Workload.Probe.Failures = &failures
			})
			web.launch(3)
			f := newFault(t, "node hangs, "+st.name)
			n := rounds(1, 10)
			wait := f.load(web, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 50, Duration: time.Duration(n) * 20 * time.Second, Timeout: 30 * time.Second})
			for range n {
				time.Sleep(3 * time.Second)
				victim := srv.nodes("web", "online")[1]
				begun := time.Now()
				f.inject(func() { srv.stopProcess(victim) })
				srv.eventually("replaced", 20*time.Second, func() bool {
					online := srv.online("web")
					return len(online) == 3 && !slices.Contains(online, victim.Name)
				})
				f.recovered(time.Since(begun))
			}
			r := wait()
			assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
			assert.Equal(t, r.Sent, r.OK)
		})
	}
}

// stopProcess stops the process of a node as a debugger would: it is there and
// does nothing.
func (s *server) stopProcess(n wire.Node) {
	s.t.Helper()
	pid := 0
	if s.stack.engine != nil {
		cli, err := s.stack.engine.Client()
		require.NoError(s.t, err)
		defer cli.Close()
		c, err := cli.ContainerInspect(s.t.Context(), n.Handle)
		require.NoError(s.t, err)
		pid = c.State.Pid
	} else {
		var err error
		pid, err = strconv.Atoi(n.Handle)
		require.NoError(s.t, err, fmt.Sprintf("handle %q", n.Handle))
	}
	require.NoError(s.t, syscall.Kill(pid, syscall.SIGSTOP))
}
