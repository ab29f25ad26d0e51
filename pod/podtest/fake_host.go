package podtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// FakeHost is a machine in memory. The runtimes that [FakeHost.Open] returns
// share it, as managers share a real one: closing a runtime leaves its nodes,
// and opening the same cluster again finds them.
//
// The exported fields are set before the first Open; the methods may be called
// at any time. Nothing here does I/O, starts goroutines (unless Program is set)
// or waits but on channels and timers, so that it works inside a testing/synctest
// bubble.
type FakeHost struct {
	// Capacity is what the host has. Default: 4 cores, 8 GiB.
	Capacity pod.Resources
	// Endpoint, when set, chooses the "host:port" of a node's port, so that a
	// test can attach a real listener. Default: 127.0.0.1 and a port of its own
	// from 20001 on, at which nobody listens. It must not call the host.
	Endpoint func(id pod.NodeID, port string) string
	// Program, when set, is what each node runs, in a goroutine; what it
	// returns is how the node ends. It returns soon after Kill is closed.
	Program func(FakeProcess) pod.Exit
	// Registry is where the host fetches images. Default: one of its own; give
	// several hosts the same one to move tags for all of them.
	Registry *FakeRegistry

	mu           sync.Mutex
	nodes        map[fakeKey]*fakeNode
	runtimes     map[*Fake]struct{}
	calls        []FakeCall
	observations int
	nextPort     int
	nextHandle   int
	startDelay   time.Duration
	stopDelay    time.Duration
	startErr     error
	startErrs    int // how many starts still fail; negative: all
	prepareErr   error
	prepareHung  chan struct{} // closed when Prepare goes on; nil where it does not hang
	unreachable  bool
	observeErr   error
	newHealth    pod.Health            // of nodes with a health check when they start
	images       map[string]*fakeImage // by the id of their content
	collectDelay time.Duration
	watchBroken  chan struct{} // closed and replaced by BreakWatch
}

// FakeProcess is a node as its [FakeHost.Program] sees it.
type FakeProcess struct {
	Request   pod.StartRequest    // what was asked to run
	Endpoints map[string]string   // of the node, by the name of the port
	Env       map[string]string   // with what every node is given
	Out       io.Writer           // its output
	Term      <-chan struct{}     // closed when the node is asked to end
	Kill      <-chan struct{}     // closed when it is killed
	Burn      func(time.Duration) // uses as much CPU time of the node
}

// FakeCall is one call of a fake's method.
type FakeCall struct {
	Op      string           // "start", "stop", "prepare", "collect", "logs", "watch" or "salvage"
	Cluster pod.Cluster      // whose runtime was called
	ID      pod.NodeID       // the node, where the call concerns one
	Grace   time.Duration    // of a stop
	Image   string           // of a prepare: the workload's image
	Digest  string           // that a prepare was given
	Request pod.StartRequest // of a start
	At      time.Time        // when the call began
	Err     error            // what it returned; set when it has
}

type fakeKey struct {
	cluster pod.Cluster
	id      pod.NodeID
}

type fakeNode struct {
	cluster pod.Cluster
	node    pod.Node
	request pod.StartRequest
	digest  string        // of the content that it runs; empty without an image
	made    chan struct{} // closed when the start is over, well or not
	ended   chan struct{} // closed when it has ended
	gone    chan struct{} // closed when its program has returned too
	term    chan struct{}
	kill    chan struct{}
	termed  sync.Once
	killed  sync.Once
	log     *fakeLog
	usageAt time.Time
	cpu     time.Duration // up to usageAt
	cores   float64       // since usageAt
	memory  int64
}

// fakeMemory is what a fake node uses unless told otherwise.
const fakeMemory = 8 << 20

// NewFakeHost returns a host without nodes.
func NewFakeHost() *FakeHost {
	return &FakeHost{
		Capacity:    pod.Resources{CPU: 4, Memory: 8 << 30},
		Registry:    NewFakeRegistry(),
		nodes:       map[fakeKey]*fakeNode{},
		runtimes:    map[*Fake]struct{}{},
		nextPort:    20001,
		newHealth:   pod.HealthGood,
		images:      map[string]*fakeImage{},
		watchBroken: make(chan struct{}),
	}
}

// Open returns a runtime for the nodes of the cluster on this host.
func (h *FakeHost) Open(c pod.Cluster) *Fake {
	f := &Fake{host: h, cluster: c, watchers: map[*fakeWatcher]struct{}{}, needed: map[string]time.Time{}}
	f.life, f.end = context.WithCancel(context.Background())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runtimes[f] = struct{}{}
	return f
}

// SetStartDelay sets how long each start takes from now on.
func (h *FakeHost) SetStartDelay(d time.Duration) { h.set(func() { h.startDelay = d }) }

// SetStopDelay sets how long a node takes to end after it was asked to. A stop
// whose grace is shorter kills it then.
func (h *FakeHost) SetStopDelay(d time.Duration) { h.set(func() { h.stopDelay = d }) }

// FailStarts makes the next n starts fail with err, once their delay is over;
// a negative n means all, 0 none.
func (h *FakeHost) FailStarts(n int, err error) {
	h.set(func() { h.startErrs, h.startErr = n, err })
}

// FailObserve makes every Observe fail with err, until called with nil.
func (h *FakeHost) FailObserve(err error) { h.set(func() { h.observeErr = err }) }

// FailPrepare makes every Prepare fail with err, until called with nil.
func (h *FakeHost) FailPrepare(err error) { h.set(func() { h.prepareErr = err }) }

// HangPrepare makes every Prepare hang until its context ends, or until called
// with false.
func (h *FakeHost) HangPrepare(on bool) {
	h.set(func() {
		switch {
		case on && h.prepareHung == nil:
			h.prepareHung = make(chan struct{})
		case !on && h.prepareHung != nil:
			close(h.prepareHung)
			h.prepareHung = nil
		}
	})
}

// SetUnreachable makes every call fail with [pod.ErrUnreachable], and ends every
// Watch, until called with false. Nodes go on.
func (h *FakeHost) SetUnreachable(on bool) {
	h.set(func() {
		h.unreachable = on
		if on {
			h.breakWatch()
		}
	})
}

// BreakWatch ends every running Watch with [pod.ErrUnreachable], as when a
// connection is lost.
func (h *FakeHost) BreakWatch() { h.set(h.breakWatch) }

// Freeze freezes a node that runs, as docker pause does, or thaws it. While it is
// frozen it uses no CPU time and its health is unknown; its Program, if there is
// one, is not held up. A stop ends it as if it ran.
func (h *FakeHost) Freeze(id pod.NodeID, on bool) {
	from, to, event := pod.PhaseRunning, pod.PhaseFrozen, pod.EventFrozen
	if !on {
		from, to, event = to, from, pod.EventThawed
	}
	h.each(id, func(n *fakeNode) {
		if n.node.Phase == from {
			n.settle()
			n.node.Phase = to
			h.tell(n, event)
		}
	})
}

// SetUsage makes a node use this many cores and bytes from now on. Its CPU time
// grows with the clock, also with that of a synctest bubble.
func (h *FakeHost) SetUsage(id pod.NodeID, cores float64, memory int64) {
	h.each(id, func(n *fakeNode) {
		n.settle()
		n.cores, n.memory = cores, memory
	})
}

// SetHealth makes the health checks of nodes say something else, all at the
// same moment, where their workload's probe is [pod.ProbeHealthcheck].
func (h *FakeHost) SetHealth(health pod.Health, ids ...pod.NodeID) {
	h.set(func() {
		for k, n := range h.nodes {
			if slices.Contains(ids, k.id) && n.request.Workload.Probe.Kind == pod.ProbeHealthcheck && n.node.Phase != "" && n.node.Health != health {
				n.node.Health = health
				h.tell(n, pod.EventHealth)
			}
		}
	})
}

// SetNewHealth sets what the health check of nodes says that are started from
// now on. Default [pod.HealthGood].
func (h *FakeHost) SetNewHealth(health pod.Health) { h.set(func() { h.newHealth = health }) }

// Log appends a line to a node's output.
func (h *FakeHost) Log(id pod.NodeID, line string) {
	h.each(id, func(n *fakeNode) { fmt.Fprintln(n.log, line) })
}

// Exit ends a node as if by itself. LastLog and At are filled in when unset.
func (h *FakeHost) Exit(id pod.NodeID, e pod.Exit) {
	h.each(id, func(n *fakeNode) { h.end(n, e) })
}

// Kill ends a node by SIGKILL.
func (h *FakeHost) Kill(id pod.NodeID) { h.Exit(id, pod.Exit{Code: 137}) }

// OOM ends a node as the kernel does at its memory limit.
func (h *FakeHost) OOM(id pod.NodeID) { h.Exit(id, pod.Exit{Code: 137, OOMKilled: true}) }

// Vanish removes every trace of a node, as when somebody else removed it.
func (h *FakeHost) Vanish(id pod.NodeID) {
	h.each(id, func(n *fakeNode) {
		h.end(n, pod.Exit{Code: 137})
		delete(h.nodes, fakeKey{n.cluster, id})
	})
}

// Nodes returns the nodes of every cluster on the host, running or ended, by
// their ids.
func (h *FakeHost) Nodes() []pod.Node {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []pod.Node
	for _, n := range h.nodes {
		if n.node.Phase != "" {
			out = append(out, n.view())
		}
	}
	sortNodes(out)
	return out
}

// Calls returns every call so far but those of Observe, in the order in which
// they began: of the operations that are named, or of all.
func (h *FakeHost) Calls(ops ...string) []FakeCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []FakeCall
	for _, c := range h.calls {
		if slices.Contains(ops, c.Op) || len(ops) == 0 {
			out = append(out, c)
		}
	}
	return out
}

// Observations returns how many times Observe was called so far.
func (h *FakeHost) Observations() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.observations
}

func (h *FakeHost) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// each calls f with every node of that id, whatever its cluster.
func (h *FakeHost) each(id pod.NodeID, f func(*fakeNode)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, n := range h.nodes {
		if k.id == id && n.node.Phase != "" {
			f(n)
		}
	}
}

func (h *FakeHost) breakWatch() {
	close(h.watchBroken)
	h.watchBroken = make(chan struct{})
}

// end marks a running node as ended. h.mu is held.
func (h *FakeHost) end(n *fakeNode, e pod.Exit) {
	if n.node.Phase != pod.PhaseRunning && n.node.Phase != pod.PhaseFrozen {
		return
	}
	n.settle()
	n.cores, n.memory = 0, 0
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if e.LastLog == nil {
		e.LastLog = n.log.tail(pod.LastLogLines)
	}
	n.node.Phase, n.node.Exit = pod.PhaseExited, &e
	n.killed.Do(func() { close(n.kill) })
	n.log.close()
	close(n.ended)
	h.tell(n, pod.EventEnded)
}

// tell hands an event to every watcher of the node's cluster. h.mu is held.
func (h *FakeHost) tell(n *fakeNode, kind pod.EventKind) {
	for f := range h.runtimes {
		if f.cluster != n.cluster {
			continue
		}
		for w := range f.watchers {
			w.events = append(w.events, pod.Event{Node: n.node.ID, Kind: kind})
			select {
			case w.more <- struct{}{}:
			default:
			}
		}
	}
}

// settle brings the CPU time up to now.
func (n *fakeNode) settle() {
	now := time.Now()
	if n.node.Phase != pod.PhaseFrozen {
		n.cpu += time.Duration(n.cores * float64(now.Sub(n.usageAt)))
	}
	n.usageAt = now
}

// view returns a copy of the node as Observe shows it. It shares the endpoints,
// which never change.
func (n *fakeNode) view() pod.Node {
	v := n.node
	if v.Exit != nil {
		e := *v.Exit
		e.LastLog = slices.Clone(e.LastLog)
		v.Exit = &e
	}
	if v.Phase == pod.PhaseFrozen {
		v.Health = pod.HealthUnknown
	}
	if v.Phase == pod.PhaseRunning || v.Phase == pod.PhaseFrozen {
		n.settle()
		v.Usage = pod.Usage{At: n.usageAt, CPU: n.cpu, Memory: n.memory}
	}
	return v
}

func sortNodes(nodes []pod.Node) {
	slices.SortFunc(nodes, func(a, b pod.Node) int { return a.ID.Compare(b.ID) })
}

func (h *FakeHost) newHandle() string {
	h.nextHandle++
	return "fake-" + strconv.Itoa(h.nextHandle)
}
