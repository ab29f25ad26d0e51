//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/openloop"
)

const checkedImage = "elastipod-e2e-checked:1"

// Nodes run and do not do their work, in ways that a probe finds out, or the
// image's own HEALTHCHECK: each is drained and replaced, and no request that may
// be sent again fails.
func TestFaultNodeFallsIll(t *testing.T) {
	srv := start(t, onDocker(t))
	cli := engineClient(t, srv.stack.engine)
	binary, err := os.ReadFile(serverBinary)
	require.NoError(t, err)
	require.NoError(t, srv.stack.engine.Build(t.Context(), checkedImage, `FROM scratch
COPY app /app
HEALTHCHECK --interval=1s --timeout=1s --retries=2 CMD ["/app", "workload", "--check"]
ENTRYPOINT ["/app"]
`, map[string][]byte{"app": binary}))
	failures := 2
	probed := func(p *wire.Pod) {
		p.Workload.Probe.Timeout = wire.Duration(500 * time.Millisecond)
		p.Workload.Probe.LiveInterval = wire.Duration(time.Second)
		p.Workload.Probe.Failures = &failures
	}
	blackHole := func(n wire.Node) {
		c, err := cli.ContainerInspect(t.Context(), n.Handle)
		require.NoError(t, err)
		out, err := exec.CommandContext(t.Context(), "nsenter", "--net=/proc/"+fmt.Sprint(c.State.Pid)+"/ns/net",
			"iptables", "-w", "-I", "INPUT", "-p", "tcp", "--dport", "8080", "-j", "DROP").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	for _, how := range []struct {
		pod, name string
		probe     func(*wire.Pod)
		cause     func(n wire.Node)
	}{
		{"hole", "port is a black hole", probed, blackHole},
		{"errors", "answers 500", probed, func(n wire.Node) { srv.misbehave(n, "status=500") }},
		{"slow", "answers slowly", probed, func(n wire.Node) { srv.misbehave(n, "delay=3s") }},
		{"checked", "HEALTHCHECK says so", func(p *wire.Pod) {
			p.Workload.Image = checkedImage
			p.Workload.Probe = wire.Probe{Healthcheck: true}
		}, func(n wire.Node) { srv.misbehave(n, "status=500") }},
	} {
		v := srv.service(how.pod, func(p *wire.Pod) {
			p.Workload.Env["FAULTS"] = "on"
			p.Drain = wire.Duration(5 * time.Second)
			how.probe(p)
		})
		v.launch(3)
		f := newFault(t, "node runs, "+how.name)
		stop := make(chan struct{})
		wait := f.load(v, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 40, Duration: time.Hour, Stop: stop})
		for range rounds(1, 10) {
			time.Sleep(time.Second)
			victim := srv.nodes(how.pod, "online")[0]
			begun := time.Now()
			f.inject(func() { how.cause(victim) })
			srv.eventually("replaced: "+how.name, 40*time.Second, func() bool {
				online := srv.online(how.pod)
				return len(online) == 3 && !slices.Contains(online, victim.Name)
			})
			f.recovered(time.Since(begun))
		}
		close(stop)
		r := wait()
		assert.Zero(t, r.Failed, "%s: %v %v %v", how.name, r.Codes, r.Errors, firstOf(r.Failures, 5))
		assert.Equal(t, r.Sent, r.OK)
		srv.eventually("nothing else is left", 20*time.Second, func() bool { return len(containers(t, cli, how.pod)) == 3 })
	}
	srv.checkInvariants()
}

// A node that takes longer to get ready than a node that runs may be ill is not
// taken for one that hangs: it comes when it is ready, and is started once.
func TestFaultNodeStartsSlowly(t *testing.T) {
	const warmUp = 5 * time.Second
	srv := start(t, onDocker(t))
	failures := 1 // half a second of illness, once a node has been well
	v := srv.service("web", func(p *wire.Pod) {
		p.Workload.Env["WARM_UP"] = warmUp.String()
		p.Workload.Probe.Interval = wire.Duration(100 * time.Millisecond)
		p.Workload.Probe.LiveInterval = wire.Duration(500 * time.Millisecond)
		p.Workload.Probe.Failures = &failures
		p.Workload.Probe.StartDeadline = wire.Duration(time.Minute)
	})
	f := newFault(t, "node starts slowly")
	v.launch(2)
	stop := make(chan struct{})
	wait := f.load(v, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 40, Duration: time.Hour, Stop: stop})
	for i := range rounds(1, 10) {
		name := fmt.Sprintf("slow%d", i)
		srv.cloud("register", name, "web")
		begun := time.Now()
		f.inject(func() { srv.cloud("launch", "web", "--no-wait") })
		time.Sleep(warmUp / 2)
		assert.NotContains(t, srv.online("web"), name)
		srv.eventually("ready: "+name, 40*time.Second, func() bool { return slices.Contains(srv.online("web"), name) })
		f.recovered(time.Since(begun))
		assert.GreaterOrEqual(t, time.Since(begun), warmUp)
		srv.cloud("rm", name, "web")
	}
	assert.Empty(t, srv.nodes("web", "failed"), "nobody gave up a node")
	assert.Empty(t, srv.events("node.failed"))
	close(stop)
	r := wait()
	assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	assert.Equal(t, r.Sent, r.OK)
	srv.checkInvariants()
}
