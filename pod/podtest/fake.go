package podtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Fake is a [pod.Runtime] in memory, for one cluster on one [FakeHost].
type Fake struct {
	host     *FakeHost
	cluster  pod.Cluster
	life     context.Context // ends with Close
	end      context.CancelFunc
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

var errFakeClosed = errors.New("podtest: runtime is closed")

// do runs f unless something keeps the call from going on, and records it and its
// outcome.
func do[T any](ctx context.Context, f *Fake, call FakeCall, run func() (T, error)) (out T, err error) {
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
	switch {
	case f.life.Err() != nil:
		err = errFakeClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	case unreachable:
		err = pod.ErrUnreachable
	default:
		out, err = run()
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w", call.Op, call.ID, err)
	}
	if call.Op != "observe" {
		h.set(func() { h.calls[i].Err = err })
	}
	return out, err
}

// Observe implements [pod.Runtime].
func (f *Fake) Observe(ctx context.Context) (pod.Snapshot, error) {
	return do(ctx, f, FakeCall{Op: "observe"}, f.snapshot)
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
	return do(ctx, f, FakeCall{Op: "start", ID: r.ID, Request: r}, func() (pod.Node, error) { return f.start(ctx, r) })
}

func (f *Fake) start(ctx context.Context, r pod.StartRequest) (pod.Node, error) {
	if err := r.Check(); err != nil {
		return pod.Node{}, err
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
	n := f.newNode(r)
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

	err := sleep(ctx, delay, nil)

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

func (f *Fake) newNode(r pod.StartRequest) *fakeNode {
	n := &fakeNode{
		cluster: f.cluster,
		node:    pod.Node{ID: r.ID, Revision: r.Revision, Kind: cmp.Or(r.Kind, pod.NodeService), Handle: f.host.newHandle()},
		made:    make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{}),
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
		Request: r, Endpoints: maps.Clone(n.node.Endpoints), Env: n.env(),
		Out: n.log, Term: n.term, Kill: n.kill,
		Burn: func(d time.Duration) { h.set(func() { n.cpu += d }) },
	}
	go func() {
		defer close(n.gone)
		e := h.Program(p)
		h.set(func() { h.end(n, e) })
	}()
}

func (n *fakeNode) env() map[string]string {
	return n.request.Env(func(name string) string {
		_, port, _ := net.SplitHostPort(n.node.Endpoints[name])
		return port
	})
}

// Stop implements [pod.Runtime].
func (f *Fake) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	return do(ctx, f, FakeCall{Op: "stop", ID: id, Grace: grace}, func() ([]string, error) { return f.stop(ctx, id, grace) })
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
	if h.Program != nil {
		wait = grace
	}
	if wait == grace {
		exit.Code = 137
	}
	if err := sleep(ctx, wait, n.ended); err != nil {
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

// Extras implements [pod.Runtime]: the fake has all of them.
func (f *Fake) Extras() pod.Extras {
	return pod.Extras{Watcher: f, Preparer: f, Logger: f, Salvager: f, Collector: f}
}

// Close implements [pod.Runtime].
func (f *Fake) Close() error {
	f.end()
	f.host.set(func() { delete(f.host.runtimes, f) })
	return nil
}

// Logs implements [pod.Logger].
func (f *Fake) Logs(ctx context.Context, id pod.NodeID, o pod.LogOptions) (io.ReadCloser, error) {
	return do(ctx, f, FakeCall{Op: "logs", ID: id}, func() (io.ReadCloser, error) {
		f.host.mu.Lock()
		n := f.host.nodes[fakeKey{f.cluster, id}]
		f.host.mu.Unlock()
		if n == nil {
			return nil, pod.ErrNotFound
		}
		return n.log.reader(ctx, o), nil
	})
}

// Salvage implements [pod.Salvager].
func (f *Fake) Salvage(ctx context.Context) ([]pod.Salvaged, error) {
	return do(ctx, f, FakeCall{Op: "salvage"}, f.salvage)
}

func (f *Fake) salvage() (out []pod.Salvaged, err error) {
	f.host.mu.Lock()
	defer f.host.mu.Unlock()
	for k, n := range f.host.nodes {
		if k.cluster.Name != f.cluster.Name || k.cluster.ID == f.cluster.ID || n.node.Phase == "" {
			continue
		}
		w := n.request.Workload.Clone()
		s := pod.Salvaged{
			ClusterID: k.cluster.ID, Node: n.view(), Settings: n.request.Settings,
			Entrypoint: w.Entrypoint, Command: w.Command, Env: n.env(),
		}
		s.Node.Usage = pod.Usage{}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b pod.Salvaged) int {
		return cmp.Or(cmp.Compare(a.ClusterID, b.ClusterID), a.Node.ID.Compare(b.Node.ID))
	})
	return out, nil
}

// fakeWatcher holds the events that one Watch has not passed on yet. It is guarded
// by the host's lock.
type fakeWatcher struct {
	events []pod.Event
	more   chan struct{}
}

// Watch implements [pod.Watcher].
func (f *Fake) Watch(ctx context.Context, fn func(pod.Event)) error {
	_, err := do(ctx, f, FakeCall{Op: "watch"}, func() (struct{}, error) { return struct{}{}, f.watch(ctx, fn) })
	return err
}

func (f *Fake) watch(ctx context.Context, fn func(pod.Event)) error {
	w := &fakeWatcher{more: make(chan struct{}, 1)}
	h := f.host
	var broken chan struct{}
	h.set(func() {
		f.watchers[w] = struct{}{}
		broken = h.watchBroken
	})
	defer h.set(func() { delete(f.watchers, w) })
	for {
		select {
		case <-w.more:
			var events []pod.Event
			h.set(func() { events, w.events = w.events, nil })
			for _, e := range events {
				fn(e)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-broken:
			return pod.ErrUnreachable
		case <-f.life.Done():
			return errFakeClosed
		}
	}
}

// sleep waits for d, or less when the channel is closed.
func sleep(ctx context.Context, d time.Duration, enough <-chan struct{}) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-enough:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
