//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/dockertest"
	"github.com/elastipod/elastipod/internal/openloop"
)

// hostTimeout is how long a host may be away in these tests.
const hostTimeout = 4 * time.Second

// pair is a server with two Docker hosts: a, which gets into trouble, behind a
// proxy, and b, which does not. Pod web uses both, pod other b alone.
type pair struct {
	*server
	a, b       *dockertest.Engine
	proxy      *dockertest.Proxy
	web, other *service
}

func startPair(t *testing.T, a dockertest.Options, edit func(*wire.Host, *dockertest.Engine)) *pair {
	p := &pair{a: dockertest.Start(t, a), b: dockertest.Start(t, dockertest.Options{})}
	p.a.BuildScratch(t, workloadImage, serverBinary)
	p.b.BuildScratch(t, workloadImage, serverBinary)
	p.proxy = dockertest.StartProxy(t, p.a)
	host := wire.Host{Name: "a", Runtime: "docker", Address: p.proxy.Address()}
	if edit != nil {
		edit(&host, p.a)
	}
	p.server = start(t, &stack{
		name: "docker", engine: p.a, config: "host_timeout: " + hostTimeout.String() + "\n",
		hosts: []wire.Host{host, {Name: "b", Runtime: "docker", Address: p.b.Address()}},
	})
	p.web = p.service("web", func(w *wire.Pod) {
		w.Drain = wire.Duration(5 * time.Second)
		w.Workload.Pull = "never"
		if a.Remote { // its nodes see other files than we do
			w.Workload.Mounts = []wire.Mount{{Type: "bind", Source: w.Workload.Mounts[0].Source, Target: w.Workload.Mounts[0].Target}}
		}
	})
	p.web.launch(4)
	require.Len(t, p.on("web", "a"), 2)
	return p
}

// on returns the names of a pod's online nodes on a host.
func (p *pair) on(pod, host string) (out []string) {
	for _, n := range p.nodes(pod, "online") {
		if n.Host == host {
			out = append(out, n.Name)
		}
	}
	slices.Sort(out)
	return out
}

// all returns how many containers of the pod there are on both hosts.
func (p *pair) all(pod string) int {
	return len(containers(p.t, engineClient(p.t, p.a), pod)) + len(containers(p.t, engineClient(p.t, p.b), pod))
}

func (p *pair) reachable(host string) bool {
	var h wire.Host
	p.get("/v1/hosts/"+host, &h)
	return h.Status != nil && h.Status.Reachable
}

// settled waits until the pod is as it should be, with four nodes, and nothing
// else is left of it on either host.
func (p *pair) settled(f *fault, since time.Time) {
	p.t.Helper()
	p.eventually("all is well", time.Minute, func() bool {
		return p.reachable("a") && p.pod("web").Status.Converged && len(p.online("web")) == 4
	})
	f.recovered(time.Since(since))
	p.eventually("nothing else is left", 30*time.Second, func() bool { return p.all("web") == 4 })
}

// answering counts by node the requests that were answered of late.
type answering struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (a *answering) observe(o openloop.Outcome) {
	if o.Code == http.StatusOK {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last[o.Header.Get("X-Node")] = o.At.Add(o.Latency)
	}
}

// since says whether all of these nodes answered after a moment.
func (a *answering) since(from time.Time, nodes []string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !slices.ContainsFunc(nodes, func(n string) bool { return !a.last[n].After(from) })
}

// get is a load of requests that may be sent again.
func (p *pair) load(f *fault) (a *answering, end func()) {
	a = &answering{last: map[string]time.Time{}}
	stop := make(chan struct{})
	wait := f.load(p.web, openloop.Config{URL: "/work?sleep=20ms", Method: http.MethodGet, Rate: 60, Duration: time.Hour, Stop: stop, Observe: a.observe})
	return a, func() {
		p.t.Helper()
		close(stop)
		r := wait()
		assert.Zero(p.t, r.Failed, "%v %v %v", r.Codes, r.Errors, firstOf(r.Failures, 5))
		assert.Equal(p.t, r.Sent, r.OK)
	}
}

// An engine is killed and started again, in each of the ways that the table in
// the documentation of pod/docker has.
func TestFaultEngineRestarts(t *testing.T) {
	for _, row := range []struct {
		name      string
		options   dockertest.Options
		published bool
		answers   bool // while the engine is away
		live      bool // and after that
	}{
		{"no flags", dockertest.Options{}, false, true, false},
		{"live-restore", dockertest.Options{Flags: []string{"--live-restore"}}, false, true, true},
		{"live-restore, published", dockertest.Options{Flags: []string{"--live-restore"}}, true, false, true},
		{"live-restore, published without a proxy", dockertest.Options{Remote: true, Flags: []string{"--live-restore", "--userland-proxy=false"}}, true, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := startPair(t, row.options, func(h *wire.Host, e *dockertest.Engine) {
				if row.published {
					h.AddressMode = "published"
				}
				if row.options.Remote {
					h.Bind = e.IP
				}
			})
			f := newFault(t, "engine restarts, "+row.name)
			seen, end := p.load(f)
			for range rounds(1, 10) {
				here := p.on("web", "a")
				begun := time.Now()
				f.inject(func() { require.NoError(t, p.a.Kill()) })
				time.Sleep(1500 * time.Millisecond)
				away := time.Now()
				time.Sleep(500 * time.Millisecond)
				assert.Equal(t, row.answers, seen.since(away, here), "nodes %v answer while the engine is away", here)
				assert.Len(t, p.online("web"), 4, "and nobody takes them for dead")
				require.NoError(t, p.a.Restart(t.Context()))
				if !row.live {
					p.eventually("its nodes are replaced", time.Minute, func() bool {
						return !slices.ContainsFunc(p.online("web"), func(n string) bool { return slices.Contains(here, n) })
					})
				}
				p.settled(f, begun)
				if row.live {
					assert.Equal(t, here, p.on("web", "a"), "the same nodes")
					p.eventually("they answer", 10*time.Second, func() bool { return seen.since(time.Now().Add(-time.Second), here) })
				}
			}
			end()
			p.checkInvariants()
		})
	}
}

// An engine hangs, is killed, comes back: its nodes take requests as long as they
// answer, others run in their place after the host's time-out, and those that are
// too many afterwards are drained. The pod of the other host notices nothing.
func TestFaultHostIsAway(t *testing.T) {
	p := startPair(t, dockertest.Options{Flags: []string{"--live-restore"}}, nil)
	p.other = p.service("other", func(w *wire.Pod) { w.Hosts = []string{"b"} })
	p.other.launch(1)
	quiet := p.launchTime()
	hang := time.Duration(rounds(14, 30)) * time.Second
	for _, how := range []struct {
		name      string
		away      time.Duration
		gone, end func()
	}{
		{"hangs", hang, func() { require.NoError(t, syscall.Kill(p.a.PID(), syscall.SIGSTOP)) },
			func() { require.NoError(t, syscall.Kill(p.a.PID(), syscall.SIGCONT)) }},
		{"is killed", 8 * time.Second, func() { require.NoError(t, p.a.Kill()) }, func() { require.NoError(t, p.a.Restart(t.Context())) }},
	} {
		t.Run(how.name, func(t *testing.T) {
			f := newFault(t, "engine "+how.name+" and comes back")
			seen, end := p.load(f)
			for range rounds(1, 5) {
				here := p.on("web", "a")
				calls := len(p.proxy.Calls())
				begun := time.Now()
				f.inject(how.gone)
				p.eventually("the host is marked", 20*time.Second, func() bool { return !p.reachable("a") })
				t.Logf("marked after %s", time.Since(begun))
				p.eventually("others run in their place", 20*time.Second, func() bool { return len(p.on("web", "b")) == 4 })
				t.Logf("four on the other host after %s", time.Since(begun))
				assert.GreaterOrEqual(t, time.Since(begun), hostTimeout)
				lost := problemOf(p.pod("web").Status.Problems, "host-lost")
				assert.Equal(t, "a", lost.Host)
				assert.Contains(t, lost.Text, "host a has not answered for more than")
				during := p.launchTime()
				t.Logf("a node of the other pod is launched in %s; %s before", during, quiet)
				assert.Less(t, during, 3*quiet+2*time.Second)
				from := time.Now()
				time.Sleep(time.Until(begun.Add(how.away)))
				assert.True(t, seen.since(from, here), "nodes %v take requests still", here)
				n := len(p.proxy.Calls()) - calls
				t.Logf("%d calls to the engine in %s", n, time.Since(begun))
				assert.Less(t, n, 40+2*int(how.away/time.Second))
				p.checkTicks("other", begun)

				how.end()
				back := time.Now()
				p.eventually("the surplus is drained", 40*time.Second, func() bool {
					online := p.online("web")
					assert.GreaterOrEqual(t, len(online), 4, "never too few")
					return len(online) == 4
				})
				p.settled(f, back)
			}
			end()
		})
	}
	p.checkInvariants()
}

// launchTime returns how long it takes to launch a node of the other pod.
func (p *pair) launchTime() time.Duration {
	p.t.Helper()
	name := fmt.Sprintf("x%d", time.Now().UnixNano())
	p.cloud("register", name, "other")
	begun := time.Now()
	p.cloud("launch", "other")
	took := time.Since(begun)
	p.cloud("rm", name, "other")
	return took
}

// checkTicks checks that a pod kept its tick since a moment.
func (p *pair) checkTicks(pod string, since time.Time) {
	p.t.Helper()
	var worst time.Duration
	var later time.Time
	n := 0
	for _, tick := range p.decisions(pod) { // newest first
		if tick.At.Before(since) {
			break
		}
		if !later.IsZero() {
			worst = max(worst, later.Sub(tick.At))
		}
		later = tick.At
		n++
	}
	p.t.Logf("%d ticks of pod %s, %s apart at most", n, pod, worst)
	assert.Less(p.t, worst, 2*time.Second, "between two ticks of pod %s", pod)
}

// An engine refuses what it is asked for in every way that there is: the pod gets
// its nodes on the other host, the engine is asked ever more seldom, and nothing
// is left when it works again.
func TestFaultEngineRefuses(t *testing.T) {
	disk, fill, free := smallDisk(t, 512<<20)
	var filling sync.WaitGroup
	var enough chan struct{} // closed when the disk need not stay full any more
	p := startPair(t, dockertest.Options{DataRoot: disk}, nil)
	calls := func(suffix string) func(func(*http.Request) dockertest.Fault) func(*http.Request) dockertest.Fault {
		return func(f func(*http.Request) dockertest.Fault) func(*http.Request) dockertest.Fault {
			return func(r *http.Request) dockertest.Fault {
				if strings.HasSuffix(r.URL.Path, suffix) && (r.Method == http.MethodPost || suffix == "/json") {
					return f(r)
				}
				return dockertest.Fault{}
			}
		}
	}
	always := func(f dockertest.Fault) func(*http.Request) dockertest.Fault {
		return func(*http.Request) dockertest.Fault { return f }
	}
	cli := engineClient(t, p.a)
	ways := []struct {
		name, says string
		begin      func()
		end        func()
	}{
		{"disk full", "no space left on device", func() {
			fill()
			enough = make(chan struct{})
			filling.Go(func() { // what is removed makes room
				for poll := time.NewTicker(10 * time.Millisecond); ; fill() {
					select {
					case <-poll.C:
					case <-enough:
						return
					case <-t.Context().Done():
						return
					}
				}
			})
		}, func() {
			close(enough)
			filling.Wait()
			free()
		}},
		{"image gone", "this host lacks image", func() {
			p.proxy.SetFault(func(r *http.Request) dockertest.Fault {
				if strings.HasSuffix(r.URL.Path, "/containers/create") || strings.Contains(r.URL.Path, "/images/") && strings.HasSuffix(r.URL.Path, "/json") {
					return dockertest.Fault{Status: http.StatusNotFound, Message: "No such image"}
				}
				return dockertest.Fault{}
			})
		}, func() { p.proxy.SetFault(nil) }},
		{"cut after start", "", func() {
			p.proxy.SetFault(calls("/start")(always(dockertest.Fault{Cut: true, After: true})))
		}, func() { p.proxy.SetFault(nil) }},
		{"port in use", "address already in use", func() {
			p.proxy.SetFault(calls("/start")(always(dockertest.Fault{Status: 500, Message: "driver failed programming external connectivity: address already in use"})))
		}, func() { p.proxy.SetFault(nil) }},
		{"cut after create", "", func() {
			p.proxy.SetFault(calls("/containers/create")(always(dockertest.Fault{Cut: true, After: true})))
		}, func() { p.proxy.SetFault(nil) }},
	}
	for _, how := range ways[:rounds(3, len(ways))] {
		t.Run(how.name, func(t *testing.T) {
			f := newFault(t, "engine refuses, "+how.name)
			_, end := p.load(f)
			for i := range rounds(1, 5) {
				before := len(p.proxy.Calls())
				f.inject(how.begin)
				begun := time.Now()
				// One dies and one more is wanted, for which host a has the most room.
				require.NoError(t, cli.ContainerKill(t.Context(), p.nodesOn("a")[0].Handle, "KILL"))
				p.eventually("replaced on the other host", 20*time.Second, func() bool { return len(p.nodesOn("b")) == 3 })
				name := fmt.Sprintf("more-%d-%d", time.Now().UnixMilli()%100000, i)
				p.cloud("register", name, "web")
				p.cloud("launch", "web", "--no-wait")
				p.eventually("started on the other host", 20*time.Second, func() bool { return len(p.nodesOn("b")) == 4 })
				f.recovered(time.Since(begun))
				why := ""
				for _, n := range p.nodes("web", "failed") {
					if n.Name == name {
						why += n.Host + ": " + n.Reason
					}
				}
				assert.Contains(t, why, how.says)
				time.Sleep(3 * time.Second)
				creates := 0
				for _, c := range p.proxy.Calls()[before:] {
					if strings.HasSuffix(c.Path, "/containers/create") {
						creates++
					}
				}
				assert.LessOrEqual(t, creates, 2, "no storm of starts")
				how.end()
				p.eventually("nothing else is left", 30*time.Second, func() bool { return p.all("web") == 5 })
				p.cloud("rm", p.nodesOn("b")[0].Name, "web")
				p.cloud("rm", p.nodesOn("b")[0].Name, "web")
				p.cloud("register", name+"-again", "web")
				p.cloud("launch", "web")
				require.Len(t, p.nodesOn("a"), 2, "the engine is used again")
			}
			end()
			p.eventually("nothing else is left", 30*time.Second, func() bool { return p.all("web") == 4 })
		})
	}
	p.checkInvariants()
}

// nodesOn returns the online nodes of pod web on a host.
func (p *pair) nodesOn(host string) []wire.Node {
	return slices.DeleteFunc(p.nodes("web", "online"), func(n wire.Node) bool { return n.Host != host })
}
