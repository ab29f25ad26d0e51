package cms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/elastipod/elastipod/pod"
)

const (
	observeTimeout = 10 * time.Second
	openTimeout    = 10 * time.Second
)

// host is a host of the cluster with its one poller.
type host struct {
	name    string
	cluster pod.Cluster
	open    func(context.Context, pod.Host, pod.Cluster) (pod.Runtime, error)
	clock   clock
	tick    time.Duration
	log     *slog.Logger
	// observed is called after each observation, ended after a hint that a node
	// of a pod changed has been looked into.
	observed func(h *host)

	mu      sync.Mutex
	rec     HostRecord
	runtime pod.Runtime // nil until opened

	view  atomic.Pointer[hostView]
	told  atomic.Pointer[hostView] // the view that observed was called with last
	kicks chan struct{}            // asks for an observation now
	back  chan struct{}            // told when it answers again
	// editing is a token: who holds it may change the record, durably.
	editing   chan struct{}
	strays    claims
	collected ImageCount // guarded by mu
	emptied   bool       // it is leaving, and its images were seen to; for its poller only
	stop      context.CancelFunc
	done      chan struct{} // closed when run has returned
}

// hostView is one observation of a host, immutable.
type hostView struct {
	begun time.Time // when it was asked for: what happened before is in it
	since time.Time // when the host became reachable or unreachable
	err   error     // why nothing was observed; then the rest is from before
	nodes map[pod.NodeID]pod.Node
	host  pod.HostStatus
	known bool // host and nodes were observed at least once
}

// record returns what the store keeps of the host.
func (h *host) record() HostRecord {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rec
}

func (h *host) setRecord(rec HostRecord) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rec = rec
}

// get returns the runtime, or why there is none.
func (h *host) get() (pod.Runtime, error) {
	h.mu.Lock()
	rt := h.runtime
	h.mu.Unlock()
	if rt != nil {
		return rt, nil
	}
	if v := h.view.Load(); v != nil && v.err != nil {
		return nil, v.err
	}
	return nil, fmt.Errorf("host %s: %w: not opened yet", h.name, pod.ErrUnreachable)
}

// kick asks for an observation now.
func (h *host) kick() {
	select {
	case h.kicks <- struct{}{}:
	default:
	}
}

// run polls the host until ctx ends, then closes its runtime. first is closed
// after the first observation.
func (h *host) run(ctx context.Context, epoch time.Time, first chan<- struct{}) {
	defer close(h.done)
	var watching sync.WaitGroup
	defer watching.Wait()
	watched := false
	for {
		h.observe(ctx)
		if first != nil {
			close(first)
			first = nil
		}
		if rt, err := h.get(); err == nil && !watched {
			watched = true
			if w := rt.Extras().Watcher; w != nil {
				watching.Go(func() { h.watch(ctx, w) })
			}
		}
		h.observed(h)
		timer := time.NewTimer(h.pause(epoch))
		select {
		case <-ctx.Done():
			timer.Stop()
			watching.Wait()
			h.close()
			return
		case <-timer.C:
		case <-h.kicks:
			timer.Stop()
		}
	}
}

func (h *host) close() {
	h.mu.Lock()
	rt := h.runtime
	h.mu.Unlock()
	if rt != nil {
		if err := rt.Close(); err != nil {
			h.log.Warn("close runtime", "host", h.name, "error", err)
		}
	}
}

// maxPause bounds the pauses between observations of a host that does not
// answer, and so the time until one that is back is noticed.
const maxPause = 10 * time.Second

// pause returns the time until the next observation: until the tick, and longer
// and at random the longer the host has been away, so that it is noticed within
// a quarter of that time when it is back.
func (h *host) pause(epoch time.Time) time.Duration {
	v := h.view.Load()
	if v == nil || v.err == nil {
		return h.clock.untilTick(epoch, h.tick)
	}
	pause := min(h.clock.since(v.since)/4, maxPause)
	if pause <= h.tick {
		return h.clock.untilTick(epoch, h.tick)
	}
	return pause/2 + rand.N(pause/2)
}

// observe makes a new view.
func (h *host) observe(ctx context.Context) {
	before := h.view.Load()
	v := hostView{begun: h.clock.now()}
	if before != nil {
		v.since, v.nodes, v.host, v.known = before.since, before.nodes, before.host, before.known
	}
	snap, err := h.snapshot(ctx)
	if ctx.Err() != nil && before != nil {
		return
	}
	if err != nil {
		v.err = fmt.Errorf("observe host %s: %w", h.name, err)
	} else {
		v.known = true
		v.host = snap.Host
		v.nodes = make(map[pod.NodeID]pod.Node, len(snap.Nodes))
		for _, n := range snap.Nodes {
			v.nodes[n.ID] = n
		}
	}
	if before == nil || (before.err == nil) != (err == nil) {
		v.since = v.begun
	}
	h.view.Store(&v)
	if before != nil && before.err != nil && err == nil {
		select {
		case h.back <- struct{}{}:
		default:
		}
	}
}

func (h *host) snapshot(ctx context.Context) (pod.Snapshot, error) {
	rt, err := h.ensureOpen(ctx)
	if err != nil {
		return pod.Snapshot{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	return rt.Observe(ctx)
}

func (h *host) ensureOpen(ctx context.Context) (pod.Runtime, error) {
	h.mu.Lock()
	rt, rec := h.runtime, h.rec
	h.mu.Unlock()
	if rt != nil {
		return rt, nil
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	rt, err := h.open(ctx, rec.Host, h.cluster)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.runtime = rt
	h.mu.Unlock()
	return rt, nil
}

// watch turns the runtime's hints into observations, and begins again with a
// growing pause when the stream breaks, once the host answers.
func (h *host) watch(ctx context.Context, w pod.Watcher) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval = 200 * time.Millisecond
	pauses.MaxInterval = 30 * time.Second
	for {
		begun := h.clock.now()
		err := w.Watch(ctx, func(pod.Event) { h.kick() })
		if ctx.Err() != nil {
			return
		}
		h.log.Debug("watch host", "host", h.name, "error", err)
		if h.clock.since(begun) > time.Minute {
			pauses.Reset()
		}
		h.kick()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pauses.NextBackOff()):
		}
		for h.unreachable() != nil {
			select {
			case <-ctx.Done():
				return
			case <-h.back:
			}
		}
	}
}

// unreachable returns why the host does not answer; nil where it does, or was
// not asked yet.
func (h *host) unreachable() error {
	if v := h.view.Load(); v != nil {
		return v.err
	}
	return nil
}

// lookup says what is known of a node that is settled since the given time:
// found and running, found and ended, or gone. known is false when nothing
// newer than that is known.
func (h *host) lookup(id pod.NodeID, settled time.Time) (n pod.Node, found, known bool) {
	v := h.view.Load()
	if v == nil || v.err != nil || !v.begun.After(settled) {
		return pod.Node{}, false, false
	}
	n, found = v.nodes[id]
	return n, found, true
}

// lacks says whether the node is not on the host, as far as is known now.
func (h *host) lacks(id pod.NodeID) bool {
	_, found, known := h.lookup(id, time.Time{})
	return known && !found
}

// candidate describes the host to the placer.
func (h *host) candidate() candidate {
	rec, v := h.record(), h.view.Load()
	c := candidate{name: h.name}
	switch {
	case v == nil || !v.known && v.err == nil:
		c.refused = "not observed yet"
	case errors.Is(v.err, pod.ErrForeign):
		c.refused = "belongs to another manager"
	case v.err != nil:
		c.refused = fmt.Sprintf("unreachable (%.200s)", errors.Unwrap(v.err))
	case rec.Draining:
		c.refused = "is being removed"
	case rec.Host.Cordoned:
		c.refused = "cordoned: it takes no new nodes"
	}
	if v != nil {
		c.capacity = v.host.Capacity
		c.capacity.CPU *= rec.Host.CPUOvercommit
	}
	return c
}

// away says that the host has not answered for at least d.
func (h *host) away(d time.Duration) bool {
	v := h.view.Load()
	return v != nil && v.err != nil && h.clock.since(v.since) >= d
}

// lostAfter is how long a host must not have answered before nodes on it are
// given up, where it is being removed.
const lostAfter = time.Minute

// lost says that the host is being removed and has not answered for long, so
// that what is on it will never be heard of again.
func (h *host) lost() bool {
	v := h.view.Load()
	return h.record().Draining && v != nil && v.err != nil && h.clock.since(v.since) >= lostAfter
}

// claims is a set of nodes that somebody is dealing with.
type claims struct {
	mu  sync.Mutex
	set map[pod.NodeID]bool
}

// claim adds a node and says whether it was not there.
func (c *claims) claim(id pod.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set[id] {
		return false
	}
	if c.set == nil {
		c.set = map[pod.NodeID]bool{}
	}
	c.set[id] = true
	return true
}

func (c *claims) release(id pod.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.set, id)
}
