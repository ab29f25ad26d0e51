package watch

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/internal/clock"
	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

// Target is a node that is probed while it is online.
type Target struct {
	Node  string
	Probe pod.Probe
	Addr  string // where it is probed
	Away  func() bool
}

// Liveness probes the online nodes of one pod, each at its interval, and wakes its
// owner when a node begins or ceases to hang.
type Liveness struct {
	clock clock.Clock
	wake  func()

	mu    sync.Mutex
	nodes map[string]*probed
	set   chan struct{} // signalled when there is another first probe
}

// probed is what the probes of one node said.
type probed struct {
	Target
	next     time.Time
	probing  bool
	failures int    // in a row
	text     string // why the last failed
}

// NewLiveness returns a prober of no node; wake is called when a node begins or
// ceases to hang.
func NewLiveness(c clock.Clock, wake func()) *Liveness {
	return &Liveness{clock: c, wake: wake, nodes: map[string]*probed{}, set: make(chan struct{}, 1)}
}

// Set makes these the nodes that are probed. The first probe of a node comes at a
// random moment of its interval, so that the nodes of a pod are not all probed at
// once.
func (l *Liveness) Set(targets []Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep := make(map[string]bool, len(targets))
	fresh := false
	for _, t := range targets {
		keep[t.Node] = true
		if p := l.nodes[t.Node]; p != nil && p.Addr == t.Addr {
			p.Target = t
			continue
		}
		fresh = true
		l.nodes[t.Node] = &probed{Target: t, next: l.clock.Now().Add(rand.N(t.Probe.LiveInterval))}
	}
	maps.DeleteFunc(l.nodes, func(name string, _ *probed) bool { return !keep[name] })
	if fresh {
		select {
		case l.set <- struct{}{}:
		default:
		}
	}
}

// Said returns what the probes of nodes said of which the last failed.
func (l *Liveness) Said() map[string]reconcile.Probed {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out map[string]reconcile.Probed
	for name, p := range l.nodes {
		if p.failures > 0 {
			if out == nil {
				out = map[string]reconcile.Probed{}
			}
			out[name] = reconcile.Probed{Failures: p.failures, Text: p.text}
		}
	}
	return out
}

// Run probes until ctx ends, and returns when the last probe has.
func (l *Liveness) Run(ctx context.Context) {
	var probing sync.WaitGroup
	defer probing.Wait()
	for {
		due, pause := l.due()
		for _, d := range due {
			probing.Go(func() { l.probe(ctx, d) })
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		case <-l.set:
		}
	}
}

// turn is a probe that is due.
type turn struct {
	of *probed
	Target
}

// due returns the nodes whose turn it is, and the time until the next one's. Where
// the host is away, what was seen before says nothing of the node: it is judged by
// what it says from then on.
func (l *Liveness) due() (now []turn, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.clock.Now()
	pause = time.Hour
	for _, p := range l.nodes {
		if !at.Before(p.next) {
			p.next = at.Add(p.Probe.LiveInterval)
			switch {
			case p.Away():
				p.failures, p.text = 0, ""
			case !p.probing:
				p.probing = true
				now = append(now, turn{p, p.Target})
			}
		}
		pause = min(pause, p.next.Sub(at))
	}
	return now, pause
}

func (l *Liveness) probe(ctx context.Context, d turn) {
	err := probe(ctx, d.Probe, d.Addr)
	if ctx.Err() == nil && l.said(d.of, err) {
		l.wake()
	}
}

// said records how a probe ended, and says whether the node became hung, or is no
// longer.
func (l *Liveness) said(p *probed, err error) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.probing = false
	was := p.failures >= p.Probe.Failures
	if err == nil || p.Away() {
		p.failures, p.text = 0, ""
	} else {
		p.failures++
		p.text = faults.Of(err).Text
	}
	return was != (p.failures >= p.Probe.Failures)
}
