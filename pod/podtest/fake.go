package podtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Fake is a [pod.Runtime] in memory, for one cluster on one [FakeHost].
type Fake struct {
	host     *FakeHost
	cluster  pod.Cluster
	closing  sync.Once
	closed   chan struct{}
	watchers map[*fakeWatcher]struct{} // guarded by host.mu
	fetched  []pod.Image               // guarded by host.mu
	needed   map[string]time.Time      // images that were asked for, by id; guarded by host.mu
}

var _ interface {
	pod.Runtime
	pod.Watcher
	pod.Preparer
	pod.Logger
	pod.Salvager
	pod.Collector
} = (*Fake)(nil)

var errNothingPinned = fmt.Errorf("%w: the workload has no image that a digest could pin", pod.ErrUnsupported)

var errFakeClosed = errors.New("podtest: runtime is closed")

// begin records a call and returns what keeps it from going on. The function
// records its outcome.
func (f *Fake) begin(ctx context.Context, call FakeCall) (func(error) error, error) {
	h := f.host
	call.Cluster, call.At = f.cluster, time.Now()
	h.mu.Lock()
	i := len(h.calls)
	if call.Op == "observe" { // too many to be kept
		h.observations++
	} else {
		h.calls = append(h.calls, call)
	}
	unreachable := h.unreachable
	h.mu.Unlock()
	done := func(err error) error {
		if err != nil {
			err = fmt.Errorf("%s %s: %w", call.Op, call.ID, err)
		}
		if call.Op != "observe" {
			h.set(func() { h.calls[i].Err = err })
		}
		return err
	}
	select {
	case <-f.closed:
		return nil, done(errFakeClosed)
	default:
	}
	if ctx.Err() != nil {
		return nil, done(ctx.Err())
	}
	if unreachable {
		return nil, done(pod.ErrUnreachable)
	}
	return done, nil
}

// Observe implements [pod.Runtime].
func (f *Fake) Observe(ctx context.Context) (pod.Snapshot, error) {
	done, err := f.begin(ctx, FakeCall{Op: "observe"})
	if err != nil {
		return pod.Snapshot{}, err
	}
	s, err := f.snapshot()
	return s, done(err)
}

func (f *Fake) snapshot() (pod.Snapshot, error) {
	h := f.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.observeErr != nil {
		return pod.Snapshot{}, h.observeErr
	}
	if err := f.foreign(); err != nil {
		return pod.Snapshot{}, err
	}
	var cpu float64
	var memory int64
	s := pod.Snapshot{Host: pod.HostStatus{Capacity: h.Capacity, Engine: "fake"}, Nodes: make([]pod.Node, 0, len(h.nodes))}
	for k, n := range h.nodes {
		if n.node.Phase != pod.PhaseFrozen {
			cpu += n.cores
		}
		memory += n.memory
		if k.cluster == f.cluster && n.node.Phase != "" {
			s.Nodes = append(s.Nodes, n.view())
		}
	}
	s.Host.Used.CPU, s.Host.Used.Memory = &cpu, &memory
	sortNodes(s.Nodes)
	return s, nil
}

// foreign says whether another manager's nodes carry our cluster's name.
func (f *Fake) foreign() error {
	for k := range f.host.nodes {
		if k.cluster.Name == f.cluster.Name && k.cluster.ID != f.cluster.ID {
			return fmt.Errorf("node %s belongs to %s: %w", k.id, k.cluster.ID, pod.ErrForeign)
		}
	}
	return nil
}

// Start implements [pod.Runtime].
func (f *Fake) Start(ctx context.Context, r pod.StartRequest) (pod.Node, error) {
	done, err := f.begin(ctx, FakeCall{Op: "start", ID: r.ID, Request: r})
	if err != nil {
		return pod.Node{}, err
	}
	n, err := f.start(ctx, r)
	return n, done(err)
}

func (f *Fake) start(ctx context.Context, r pod.StartRequest) (pod.Node, error) {
	kind, err := pod.ParseNodeKind(string(r.Kind))
	if err != nil {
		return pod.Node{}, err
	}
	if len(r.Settings) > pod.MaxSettings {
		return pod.Node{}, fmt.Errorf("its settings have %d bytes, %d are the most", len(r.Settings), pod.MaxSettings)
	}
	h, key := f.host, fakeKey{f.cluster, r.ID}
	for {
		h.mu.Lock()
		if err := f.foreign(); err != nil {
			h.mu.Unlock()
			return pod.Node{}, err
		}
		old := h.nodes[key]
		if old == nil {
			break
		}
		phase, view := old.node.Phase, old.view()
		if phase == pod.PhaseExited {
			delete(h.nodes, key)
		}
		h.mu.Unlock()
		switch phase {
		case pod.PhaseExited:
			<-old.gone
		case "": // somebody else is starting it
			select {
			case <-old.made:
			case <-ctx.Done():
				return pod.Node{}, ctx.Err()
			}
		default:
			return view, nil
		}
	}
	// h.mu is held.
	n := f.newNode(r, kind)
	h.nodes[key] = n
	delay := h.startDelay
	var imageErr error
	switch {
	case r.Workload.Image != "":
		n.digest, imageErr = f.obtain(r.Workload, r.Digest, false)
	case r.Digest != "":
		imageErr = errNothingPinned
	}
	h.mu.Unlock()

	err = sleep(ctx, delay)

	h.mu.Lock()
	defer h.mu.Unlock()
	defer close(n.made)
	switch {
	case err != nil:
	case h.unreachable:
		err = pod.ErrUnreachable
	case h.startErrs != 0:
		err = h.startErr
		h.startErrs = max(h.startErrs-1, -1)
	default:
		err = imageErr
	}
	if err != nil {
		delete(h.nodes, key)
		return pod.Node{}, err
	}
	n.node.Phase, n.node.StartedAt, n.usageAt = pod.PhaseRunning, time.Now(), time.Now()
	h.run(n, r)
	h.tell(n, pod.EventStarted)
	return n.view(), nil
}

func (f *Fake) newNode(r pod.StartRequest, kind pod.NodeKind) *fakeNode {
	n := &fakeNode{
		node: pod.Node{ID: r.ID, Revision: r.Revision, Kind: kind, Handle: f.host.newHandle()},
		made: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
		term: make(chan struct{}), kill: make(chan struct{}),
		log: newFakeLog(), memory: fakeMemory, request: r,
	}
	if r.Workload.Probe.Kind == pod.ProbeHealthcheck {
		n.node.Health = f.host.newHealth
	}
	n.node.Endpoints = make(map[string]string, len(r.Workload.Ports))
	for _, name := range slices.Sorted(maps.Keys(r.Workload.Ports)) {
		if f.host.Endpoint != nil {
			n.node.Endpoints[name] = f.host.Endpoint(r.ID, name)
			continue
		}
		n.node.Endpoints[name] = net.JoinHostPort("127.0.0.1", strconv.Itoa(f.host.nextPort))
		f.host.nextPort++
	}
	return n
}

// run starts the node's program, if there is one. h.mu is held.
func (h *FakeHost) run(n *fakeNode, r pod.StartRequest) {
	if h.Program == nil {
		close(n.gone)
		return
	}
	p := FakeProcess{
		Request: r, Endpoints: maps.Clone(n.node.Endpoints), Env: fakeEnv(n, r),
		Out: n.log, Term: n.term, Kill: n.kill,
		Burn: func(d time.Duration) { h.set(func() { n.cpu += d }) },
	}
	go func() {
		defer close(n.gone)
		e := h.Program(p)
		h.set(func() { h.end(n, e) })
	}()
}

func fakeEnv(n *fakeNode, r pod.StartRequest) map[string]string {
	env := maps.Clone(r.Workload.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["ELASTIPOD_POD"], env["ELASTIPOD_NODE"] = r.ID.Pod, r.ID.Name
	for name, addr := range n.node.Endpoints {
		_, port, _ := net.SplitHostPort(addr)
		env["PORT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = port
		if name == r.Workload.MainPort() {
			env["PORT"] = port
		}
	}
	return env
}

// Stop implements [pod.Runtime].
func (f *Fake) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	done, err := f.begin(ctx, FakeCall{Op: "stop", ID: id, Grace: grace})
	if err != nil {
		return nil, err
	}
	tail, err := f.stop(ctx, id, grace)
	return tail, done(err)
}

func (f *Fake) stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	h, key := f.host, fakeKey{f.cluster, id}
	h.mu.Lock()
	n := h.nodes[key]
	delay := h.stopDelay
	h.mu.Unlock()
	if n == nil {
		return nil, nil
	}
	select {
	case <-n.made: // a start that is under way comes first
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	wait, exit := min(delay, grace), pod.Exit{Code: 143}
	n.termed.Do(func() { close(n.term) })
	h.mu.Lock()
	if n.deaf || h.Program != nil {
		wait = grace
	}
	h.mu.Unlock()
	if wait == grace {
		exit.Code = 137
	}
	if err := n.sleep(ctx, wait); err != nil {
		return nil, err
	}
	h.set(func() { h.end(n, exit) })
	select {
	case <-n.gone:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	tail := n.log.tail(pod.TailLines)
	h.set(func() {
		if h.nodes[key] == n {
			delete(h.nodes, key)
		}
	})
	return tail, nil
}

// sleep waits for d, or less when the node ends.
func (n *fakeNode) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-n.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Extras implements [pod.Runtime]: the fake has all of them.
func (f *Fake) Extras() pod.Extras {
	return pod.Extras{Watcher: f, Preparer: f, Logger: f, Salvager: f, Collector: f}
}

// Close implements [pod.Runtime].
func (f *Fake) Close() error {
	f.closing.Do(func() {
		close(f.closed)
		f.host.set(func() { delete(f.host.runtimes, f) })
	})
	return nil
}

// MissingImage is an image that no fake registry has: Prepare and Start return
// [pod.ErrImage].
const MissingImage = "missing"

// Prepare implements [pod.Preparer].
func (f *Fake) Prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	done, err := f.begin(ctx, FakeCall{Op: "prepare", Image: w.Image, Digest: digest})
	if err != nil {
		return pod.Prepared{}, err
	}
	p, err := f.prepare(ctx, w, digest, progress)
	return p, done(err)
}

func (f *Fake) prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (p pod.Prepared, err error) {
	h := f.host
	h.mu.Lock()
	hung := h.prepareHung
	h.mu.Unlock()
	if hung != nil {
		select {
		case <-hung:
		case <-ctx.Done():
			return p, ctx.Err()
		case <-f.closed:
			return p, errFakeClosed
		}
	}
	h.mu.Lock()
	switch {
	case h.unreachable:
		err = pod.ErrUnreachable
	case h.prepareErr != nil:
		err = h.prepareErr
	case w.Image != "":
		p.Digest, err = f.obtain(w, digest, w.Pull == pod.PullAlways)
	case digest != "":
		err = errNothingPinned
	}
	h.mu.Unlock()
	if err == nil && progress != nil {
		progress(pod.Progress{Message: "preparing", Done: 1, Total: 1})
	}
	return p, err
}

// Logs implements [pod.Logger].
func (f *Fake) Logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	done, err := f.begin(ctx, FakeCall{Op: "logs", ID: id})
	if err != nil {
		return nil, err
	}
	f.host.mu.Lock()
	n := f.host.nodes[fakeKey{f.cluster, id}]
	f.host.mu.Unlock()
	if n == nil {
		return nil, done(pod.ErrNotFound)
	}
	return n.log.reader(ctx, o), done(nil)
}

// Watch implements [pod.Watcher].
func (f *Fake) Watch(ctx context.Context, fn func(pod.Event)) error {
	done, err := f.begin(ctx, FakeCall{Op: "watch"})
	if err != nil {
		return err
	}
	w := &fakeWatcher{more: make(chan struct{}, 1)}
	h := f.host
	h.mu.Lock()
	if f.watchers == nil {
		f.watchers = map[*fakeWatcher]struct{}{}
	}
	f.watchers[w] = struct{}{}
	broken := h.watchBroken
	h.mu.Unlock()
	defer h.set(func() { delete(f.watchers, w) })
	for {
		select {
		case <-w.more:
			for _, e := range w.take() {
				fn(e)
			}
		case <-ctx.Done():
			return done(ctx.Err())
		case <-broken:
			return done(pod.ErrUnreachable)
		case <-f.closed:
			return done(errFakeClosed)
		}
	}
}

// fakeWatcher holds the events that one Watch has not passed on yet.
type fakeWatcher struct {
	mu     sync.Mutex
	events []pod.Event
	more   chan struct{}
}

func (w *fakeWatcher) push(e pod.Event) {
	w.mu.Lock()
	w.events = append(w.events, e)
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

func (w *fakeWatcher) take() []pod.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
