//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	docker "github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/crashpoint"
	"github.com/elastipod/elastipod/internal/openloop"
)

// crashBinary builds the server that can be killed at a point.
var crashBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(serverBinary), "server-crashpoint")
	cmd := exec.Command("go", "build", "-tags", "crashpoint", "-o", path, "github.com/elastipod/elastipod/examples/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server with crash points: %w\n%s", err, out)
	}
	return path, nil
})

const (
	portRange = 100              // ports that the nodes of one test may have
	settleIn  = 30 * time.Second // bounds recovery, on a machine with much else to do
)

// killing is a server that is killed again and again, and what must survive it.
type killing struct {
	*server
	f        *fault
	rand     *rand.Rand
	control  crashpoint.Control
	api      *client.Client
	docker   *docker.Client
	web      *service
	workload wire.Workload
	limits   wire.Limits
	listen   [3]string // of the fronts that come and go
	ports    int       // the first of the nodes' ports
	version  int
	kills    int

	// model is what is set, by the answers that came.
	model cluster
	// ordinary are the files that are there when nothing is wrong.
	ordinary map[string]bool
}

// newKilling makes a server of that kind without starting it.
func newKilling(t *testing.T, st *stack, f *fault) *killing {
	binary, err := crashBinary()
	require.NoError(t, err)
	k := &killing{f: f, rand: rand.New(rand.NewPCG(rand.Uint64(), 1))}
	k.ports = 20000 + k.rand.IntN(120)*portRange
	own := *st
	own.config += "tick: 250ms\n" // what is checked is seen sooner
	if own.engine == nil {
		own.config += fmt.Sprintf("process: {port_min: %d, port_max: %d}\n", k.ports, k.ports+portRange-1)
	} else {
		k.docker, err = st.engine.Client()
		require.NoError(t, err)
		t.Cleanup(func() { _ = k.docker.Close() })
	}
	k.server = prepare(t, &own)
	k.control.Dir = filepath.Join(k.dir, "control")
	require.NoError(t, os.Mkdir(k.control.Dir, 0o700))
	k.binary, k.env = binary, []string{crashpoint.DirEnv + "=" + k.control.Dir}
	// Before the server is ended, and its nodes.
	t.Cleanup(func() {
		assert.NoError(t, k.control.Disarm())
		assert.NoError(t, k.control.LeaveOut())
	})
	k.api, err = client.New(client.Config{Server: k.url, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	require.NoError(t, err)
	for i := range k.listen {
		k.listen[i] = freeAddress(t)
	}
	return k
}

// populate makes the pods: one under load, each of whose nodes may use so much
// CPU, and one that does nothing.
func (k *killing) populate(cpu wire.Cores) {
	k.web = k.service("web", func(p *wire.Pod) {
		once := 1
		p.MaxNodes, p.Drain, p.Grace = 8, wire.Duration(10*time.Second), wire.Duration(2*time.Second)
		p.Limits.CPU = cpu
		p.Update.Failures = &once
		if k.stack.engine != nil {
			p.Workload.Pull = "never"
		}
		k.workload, k.limits = p.Workload, p.Limits
	})
	_, err := k.api.CreatePod(k.t.Context(), wire.Pod{Name: "idle", Workload: k.workload, Limits: k.limits, MaxNodes: 10}, 0)
	require.NoError(k.t, err)
	k.model = k.settings()
	k.carryOut(k.scale(2))
	k.ordinary = k.files()
}

// carryOut carries out a command that nothing interrupts.
func (k *killing) carryOut(c command) {
	k.t.Helper()
	require.NoError(k.t, c.do(k.t.Context(), k.api), c.name)
	if !c.reverts {
		k.model = c.after
	}
	require.Empty(k.t, k.settle(k.model), c.name)
}

// settle waits until the world is as it should be, and returns what is not.
func (k *killing) settle(want cluster) (wrong []string) {
	k.t.Helper()
	return k.settleWithin(want, settleIn)
}

func (k *killing) settleWithin(want cluster, within time.Duration) (wrong []string) {
	k.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(30 * time.Millisecond) {
		wrong = nil
		if got := k.settings(); !maps.Equal(got, want) {
			wrong = append(wrong, difference("settings", want, got))
		}
		wrong = append(wrong, k.world()...)
		if len(wrong) == 0 || time.Now().After(deadline) {
			return wrong
		}
	}
}

func difference(what string, want, got cluster) string {
	return fmt.Sprintf("%s: expected %+v, there are %+v", what, want, got)
}

// handles are those of the nodes of the pod under load.
func (k *killing) handles() map[string]bool {
	out := map[string]bool{}
	for _, n := range k.nodes("web", "online") {
		out[n.Handle] = true
	}
	return out
}

// sent is a command that was begun, and what came of it.
type sent struct {
	command
	before   cluster
	answered bool
	refused  error
}

// send carries out a command whose answer may not come.
func (k *killing) send(ctx context.Context, c command) sent {
	s := sent{command: c, before: k.model}
	err := c.do(ctx, k.api)
	if client.StatusOf(err) != 0 {
		s.refused = err // and so nothing changed
	}
	s.answered = err == nil
	return s
}

// legal returns what may be set after the command.
func (s sent) legal() []cluster {
	switch {
	case s.refused != nil:
		return []cluster{s.before}
	case s.answered && !s.reverts:
		return []cluster{s.after}
	}
	return []cluster{s.before, s.after}
}

// check starts the server again and looks at what is there. died is when it did.
func (k *killing) check(died time.Time, s sent, lived map[string]bool) {
	k.t.Helper()
	k.run()
	k.look(died, s, lived)
}

// look compares what is there with what a command may have left.
func (k *killing) look(died time.Time, s sent, lived map[string]bool) {
	k.t.Helper()
	got := k.settings()
	if !slices.ContainsFunc(s.legal(), func(c cluster) bool { return maps.Equal(c, got) }) {
		k.t.Errorf("%s (answered: %v, refused: %v): a write was lost:\n%s", s.name, s.answered, s.refused, difference("settings", s.legal()[len(s.legal())-1], got))
	}
	want := got
	if s.reverts {
		want = s.before
	}
	wrong := k.settle(want)
	k.f.recovered(time.Since(died))
	if len(wrong) > 0 {
		k.f.leaked(len(wrong))
		k.t.Fatalf("%s: after a kill:\n%s\n%s", s.name, strings.Join(wrong, "\n"), k.logText())
	}
	k.model = want
	now, alive := k.handles(), 0
	for h := range lived {
		if now[h] {
			alive++
		}
	}
	assert.GreaterOrEqual(k.t, alive, min(len(lived), len(now))-s.losing, "%s: nodes that live on", s.name)
}

func (k *killing) inject(kill func()) {
	k.kills++
	k.f.inject(kill)
}

// moment is when the server dies: where it passes a point for the given time.
type moment struct {
	point string
	hit   int
}

func (m moment) String() string { return fmt.Sprintf("%s %d", m.point, m.hit) }

// killAt lets the server die in the middle of a command.
func (k *killing) killAt(m moment, c command) {
	k.t.Helper()
	lived := k.handles()
	s := k.dieAt(m, c)
	died := time.Now()
	k.t.Logf("killed at %s: %s (answered: %v)", m, s.name, s.answered)
	k.check(died, s, lived)
}

// dieAt lets the server die in the middle of a command.
func (k *killing) dieAt(m moment, c command) sent {
	k.t.Helper()
	s, died := k.mayDieAt(m, c, settleIn)
	if !died {
		k.t.Fatalf("%s does not reach %s\n%s", c.name, m, k.logText())
	}
	return s
}

// mayDieAt says whether the server died within some time.
func (k *killing) mayDieAt(m moment, c command, within time.Duration) (s sent, died bool) {
	k.t.Helper()
	require.NoError(k.t, k.control.Arm(m.point, m.hit))
	s = k.send(k.t.Context(), c)
	select {
	case <-k.ended:
		k.inject(func() {})
		died = true
	case <-time.After(within):
	}
	require.NoError(k.t, k.control.Disarm())
	return s, died
}

// Within which time an operation makes a call that was recorded. That one may
// have been of something else, such as of the command before.
const (
	firstCallIn = 10 * time.Second
	lastCallIn  = 4 * time.Second
)

// killDuring lets the server die in the middle of an operation, where that reaches
// the moment; else at an earlier call.
func (k *killing) killDuring(op operation, m moment) {
	k.t.Helper()
	for ; m.hit > 0; m.hit-- {
		c := op.begin(k)
		lived := k.handles()
		within := lastCallIn
		if m.hit == 1 {
			within = firstCallIn
		}
		s, reached := k.mayDieAt(m, c, within)
		died := time.Now()
		if reached {
			k.t.Logf("killed at %s: %s (answered: %v)", m, op.name, s.answered)
			k.check(died, s, lived)
			return
		}
		k.t.Logf("%s does not reach %s", op.name, m)
		k.look(died, s, lived)
	}
}

// killStarting kills the server, at rest or in the middle of a command, and then
// again while it starts. It says whether the start reached that moment: after a
// command that was cut short there may be less to do.
func (k *killing) killStarting(m moment, busy bool) (reached bool) {
	k.t.Helper()
	lived := k.handles()
	var s sent
	if busy {
		s = k.killSoon(k.any())
	} else {
		s = sent{command: command{name: "restart", after: k.model}, before: k.model}
		k.inject(func() { k.signal(syscall.SIGKILL) })
	}
	require.NoError(k.t, k.control.Arm(m.point, m.hit))
	if k.tryRun() { // it may still do something
		select {
		case <-k.ended:
		case <-time.After(lastCallIn):
			require.NoError(k.t, k.control.Disarm())
			k.t.Logf("the start after %s does not reach %s", s.name, m)
			k.look(time.Now(), s, lived)
			return false
		}
	}
	died := time.Now()
	require.NoError(k.t, k.control.Disarm())
	k.inject(func() {})
	k.t.Logf("killed at %s: start after %s (answered: %v)", m, s.name, s.answered)
	k.check(died, s, lived)
	return true
}

// record returns the points that the server passes while f runs.
func (k *killing) record(f func()) []string {
	k.t.Helper()
	require.NoError(k.t, k.control.Record())
	f()
	passed, err := k.control.Passed()
	require.NoError(k.t, err)
	require.NoError(k.t, k.control.Disarm())
	return passed
}

// moments returns when to kill a server that passes these points: before and
// after each call of a port. The short run takes the moment before the first or
// after the last call of each method, and on Docker the other one of every second
// method.
func (k *killing) moments(what string, turn int, passed []string) (out []moment) {
	times := map[string]int{}
	for _, p := range passed {
		times[p]++
	}
	var told []string
	for i, call := range crashpoint.Calls() {
		before, after := moment{call + "/before", 1}, moment{call + "/after", times[call+"/after"]}
		if after.hit == 0 {
			continue
		}
		told = append(told, fmt.Sprintf("%s %d×", call, after.hit))
		embedded, turn := k.stack.engine == nil, turn+i
		switch {
		case rounds(0, 1) == 1:
			for n := range after.hit {
				out = append(out, moment{before.point, n + 1}, moment{after.point, n + 1})
			}
		case embedded && turn%2 == 0, !embedded && turn%4 == 1:
			out = append(out, after)
		case embedded, turn%4 == 0:
			out = append(out, before)
		}
	}
	k.t.Logf("%s calls %s", what, strings.Join(told, ", "))
	return out
}

// killSoon sends a command and kills the server at a random moment soon after.
func (k *killing) killSoon(c command) (s sent) {
	k.t.Helper()
	var sending sync.WaitGroup
	sending.Go(func() { s = k.send(k.t.Context(), c) })
	// Half of them within the first moments, in which most is done.
	time.Sleep(time.Duration(k.rand.IntN([]int{30, 600}[k.rand.IntN(2)])) * time.Millisecond)
	k.inject(func() { k.signal(syscall.SIGKILL) })
	sending.Wait()
	return s
}

// killAnywhere kills the server at a random moment.
func (k *killing) killAnywhere() {
	k.t.Helper()
	lived := k.handles()
	s := k.killSoon(k.any())
	died := time.Now()
	k.t.Logf("killed anywhere: %s (answered: %v)", s.name, s.answered)
	k.check(died, s, lived)
}

// killNode ends the program of a node.
func (k *killing) killNode(n wire.Node) {
	if k.docker != nil {
		assert.NoError(k.t, k.docker.ContainerKill(k.t.Context(), n.Handle, "SIGKILL"))
		return
	}
	pid, err := strconv.Atoi(n.Handle)
	require.NoError(k.t, err)
	assert.NoError(k.t, syscall.Kill(pid, syscall.SIGKILL))
}

// stacksOf says on which stacks a point is reached.
func stacksOf(point string) (onEmbedded, onDocker bool) {
	step, _, _ := strings.Cut(point, "/")
	switch step {
	case "docker-start", "docker-stop", "reload", "servers", "haproxy-start":
		return false, true
	case "process-start", "process-stop":
		return true, false
	}
	return true, true
}

// firstStart says that a point is only passed with an empty data directory.
func firstStart(point string) bool {
	return strings.HasPrefix(point, "store-new/") || strings.HasPrefix(point, "haproxy-start/")
}

// The manager is killed with SIGKILL before and after each call of a port that
// an operation makes, in every step of a backend that changes something, and at
// random moments. After each kill it is started again: no answered command is
// lost, nothing is left behind and nothing is there twice, and HAProxy has served
// all the while.
func TestFaultManagerKilled(t *testing.T) {
	hits, kills := map[string]int{}, 0
	count := func(k *killing) {
		died, err := k.control.Died()
		require.NoError(t, err)
		for _, p := range died {
			hits[p]++
		}
		kills += k.kills
	}
	for _, s := range []struct {
		name string
		make func(*testing.T) *stack
	}{{"embedded", embedded}, {"docker", onDocker}} {
		t.Run(s.name, func(t *testing.T) {
			st := s.make(t)
			t.Run("first start", func(t *testing.T) { killFirstStart(t, st, count) })
			t.Run("at work", func(t *testing.T) { killEverywhere(t, st, count) })
		})
	}
	if t.Failed() {
		return
	}
	for _, p := range crashpoint.Points() {
		assert.GreaterOrEqual(t, hits[p], rounds(1, 4), "kills at %s", p)
	}
	assert.GreaterOrEqual(t, kills, rounds(80, 500))
	t.Logf("%d kills, at %d points and at random moments", kills, len(hits))
}

// killEverywhere kills a server that works.
func killEverywhere(t *testing.T, st *stack, count func(*killing)) {
	k := newKilling(t, st, newFault(t, "manager killed, "+st.name))
	k.run()
	k.populate(0.3)
	ended := make(chan struct{})
	wait := func() openloop.Result { return openloop.Result{} }
	if st.engine != nil { // the built-in balancer dies with the manager
		wait = k.f.load(k.web, openloop.Config{URL: "/work?sleep=5ms", Method: http.MethodGet, Rate: 40, Duration: time.Hour, Stop: ended})
	}
	killPorts(k)
	for round := range rounds(1, 5) {
		killBackends(k, round)
	}
	for range rounds(2, 30) {
		k.killAnywhere()
	}
	close(ended)
	r := wait()
	assert.Zero(t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
	assert.Equal(t, r.Sent, r.OK)
	count(k)
}

// killPorts kills a server before and after calls of its ports.
func killPorts(k *killing) {
	for turn, op := range operations() {
		c := op.begin(k)
		for _, m := range k.moments(op.name, turn, k.record(func() { k.carryOut(c) })) {
			k.killDuring(op, m)
		}
	}
	starts := k.record(func() {
		k.inject(func() { k.signal(syscall.SIGKILL) })
		k.run()
		require.Empty(k.t, k.settle(k.model), "restart")
	})
	reached := 0
	for _, m := range k.moments("start", 0, starts) {
		busy := strings.HasSuffix(m.point, "/before")
		for range rounds(1, 2) {
			if k.killStarting(m, busy) {
				reached++
			}
			busy = !busy
		}
	}
	assert.GreaterOrEqual(k.t, reached, 3, "kills of a server that starts")
}

// killBackends kills a server inside of its backends, in every second round after
// it has passed some points once.
func killBackends(k *killing, round int) {
	shared := 0
	for _, point := range crashpoint.Steps() {
		onEmbedded, onDocker := stacksOf(point)
		embedded := k.stack.engine == nil
		if firstStart(point) || embedded && !onEmbedded || !embedded && !onDocker {
			continue
		}
		hit := 1
		if onEmbedded && onDocker {
			hit += round % 2
			// The short run takes what both stacks pass on one of them.
			if shared++; rounds(0, 1) == 0 && (shared%2 == 0) != embedded {
				continue
			}
		}
		k.killAt(moment{point, hit}, k.toReach(point, hit))
	}
}

// killFirstStart kills a server that has nothing yet, while it makes its store
// and starts its HAProxy.
func killFirstStart(t *testing.T, st *stack, count func(*killing)) {
	f := newFault(t, "manager killed at its first start, "+st.name)
	for range rounds(1, 5) {
		for _, point := range crashpoint.Steps() {
			if _, onDocker := stacksOf(point); !firstStart(point) || st.engine == nil && point[0] == 'h' || st.engine != nil && !onDocker {
				continue
			}
			t.Run(point, func(t *testing.T) {
				k := newKilling(t, st, f)
				k.limits = wire.Limits{CPU: 0.1, Memory: 32 << 20}
				k.workload = wire.Workload{Image: workloadImage, Ports: map[string]int{"http": 8080}}
				if st.engine == nil {
					k.workload = wire.Workload{Command: []string{serverBinary, "workload"}, Ports: map[string]int{"http": 8080}}
				}
				require.NoError(t, k.control.Arm(point, 1))
				var died time.Time
				k.inject(func() {
					if k.tryRun() {
						_, err := k.api.CreatePod(t.Context(), wire.Pod{Name: "extra", Workload: k.workload, Limits: k.limits, Fronts: []wire.Front{{Listen: k.listen[0]}}}, 0)
						require.Error(t, err)
						<-k.ended
					}
					died = time.Now()
				})
				require.NoError(t, k.control.Disarm())
				k.run()
				k.model = k.settings()
				assert.Empty(t, k.model, "nothing was answered")
				if len(k.model) == 0 {
					k.carryOut(k.create())
				}
				k.f.recovered(time.Since(died))
				count(k)
			})
		}
	}
}

// A server as users get it has nothing of this: no variable is read.
func TestReleaseHasNoCrashPoints(t *testing.T) {
	hooked, err := crashBinary()
	require.NoError(t, err)
	for path, has := range map[string]bool{serverBinary: false, hooked: true} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, has, bytes.Contains(text, []byte(crashpoint.DirEnv)), "%s names %s", path, crashpoint.DirEnv)
		assert.Equal(t, has, bytes.Contains(text, []byte("store-save/before")), "%s names its points", path)
	}
}
