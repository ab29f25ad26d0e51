package cms

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// liveness is what the probes of one online node said last. Probes run beside
// the loop, which they only wake when the answer changed.
type liveness struct {
	mu       sync.Mutex
	probing  bool
	next     time.Time
	failures int   // in a row
	err      error // of the last
}

// due says whether a probe should begin, and then counts it as begun. The first
// comes at a random moment of the interval, so that the nodes of a pod are not
// all probed at once.
func (v *liveness) due(now time.Time, interval time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next.IsZero() {
		v.next = now.Add(rand.N(interval))
	}
	if v.probing || now.Before(v.next) {
		return false
	}
	v.probing = true
	v.next = now.Add(interval)
	return true
}

// probed records how a probe ended, and says whether the node became hung, or
// is no longer.
func (v *liveness) probed(err error, most int) (changed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.probing = false
	was := v.failures >= most
	v.err = err
	if err == nil {
		v.failures = 0
	} else {
		v.failures++
	}
	return was != (v.failures >= most)
}

// forget forgets the failures: it was not the node. Where the host was away, the
// node is judged by what it says from then on.
func (v *liveness) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures, v.err = 0, nil
}

// said returns how many probes failed in a row, and the last reason.
func (v *liveness) said() (failures int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failures, v.err
}

// checkLive probes the online nodes whose turn it is, and tells which began or
// ceased to hang.
func (l *loop) checkLive(ctx context.Context, now time.Time) {
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		run := l.nodes[rec.Name]
		if why := l.hung(rec); (why != "") != run.hung {
			run.hung = why != ""
			l.tellHung(rec, why)
		}
		if h := l.m.host(rec.Host); h != nil && h.unreachable() != nil {
			run.live.forget()
			continue
		}
		p := l.probeOf(rec)
		if !watched(rec, p) || p.Kind == pod.ProbeHealthcheck || !run.live.due(now, p.LiveInterval) {
			continue
		}
		try, err := prober(p, rec.Endpoints, nil)
		l.action(func() func() {
			err := err
			if err == nil {
				err = try(ctx)
			}
			if ctx.Err() != nil || !run.live.probed(err, p.Failures) {
				return nil
			}
			return func() {} // only wakes the loop
		})
	}
}

func (l *loop) tellHung(rec *NodeRecord, why string) {
	if why == "" {
		if rec.State == pod.StateOnline {
			l.log.Info("node answers again", "node", rec.Name)
		}
		return
	}
	l.log.Warn("node hangs", "node", rec.Name, "reason", why)
	l.m.events.emit(Event{Type: EventNodeHung, Pod: l.name, Node: rec.Name, Host: rec.Host, Message: fmt.Sprintf("node %s %s", rec.Name, why)})
}

// watched says whether probes decide that the node hangs.
func watched(rec *NodeRecord, p pod.Probe) bool {
	return rec.State == pod.StateOnline && p.Kind != pod.ProbeNone && p.Failures > 0
}

// probeOf returns the probe of the workload that the node runs.
func (l *loop) probeOf(rec *NodeRecord) pod.Probe { return l.specOf(rec.Revision).Workload.Probe }

// hung says how an online node stopped answering its probe; empty where it
// answers, or where its host does not, so that nobody can say whether it is the
// node.
func (l *loop) hung(rec *NodeRecord) string {
	p := l.probeOf(rec)
	if !watched(rec, p) {
		return ""
	}
	h := l.m.host(rec.Host)
	if h == nil {
		return ""
	}
	seen, found, known := h.lookup(l.id(rec.Name), time.Time{})
	switch {
	case !known || !found:
		return ""
	case p.Kind == pod.ProbeHealthcheck && seen.Health == pod.HealthUnhealthy:
		return "is unhealthy, says its HEALTHCHECK"
	}
	if failures, err := l.nodes[rec.Name].live.said(); failures >= p.Failures {
		return fmt.Sprintf("does not answer: %d probes failed in a row, the last with: %v", failures, err)
	}
	return ""
}

// replaceHung drains the hung nodes, as many as leave at least half of the
// wanted number answering. The others are replaced like stale ones, the new one
// first: a fault that all nodes share, such as a database that is away, must not
// take the whole pod down.
func (l *loop) replaceHung(now time.Time) {
	want := l.want()
	answering := 0
	for i := range l.rec.Nodes {
		if rec := &l.rec.Nodes[i]; rec.State == pod.StateOnline && l.hung(rec) == "" {
			answering++
		}
	}
	if 2*answering < want || answering == 0 {
		return
	}
	for _, rec := range slices.Clone(l.rec.Nodes) {
		why := l.hung(&rec)
		if why == "" {
			continue
		}
		if err := l.drain(rec.Name, now, 0, why); err != nil {
			l.log.Error("drain a hung node", "node", rec.Name, "error", err)
			return
		}
		l.vacate(&rec, now, why)
		l.nodeFailed(rec, why, false)
	}
}

// diedYoung says whether a node that ended or hangs never worked. One that an
// earlier manager started did.
func (l *loop) diedYoung(run *nodeRun, now time.Time) bool {
	return !run.adopted && now.Sub(run.ready) < l.young()
}

// young is the age below which a node that dies or hangs counts as one that
// never worked.
func (l *loop) young() time.Duration {
	p := l.rec.Spec.Workload.Probe
	if p.Kind == pod.ProbeNone || p.Failures < 1 {
		return youngDeath
	}
	return youngDeath + time.Duration(p.Failures+1)*p.LiveInterval
}
