package cms

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/act"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

// look makes one consistent picture of all that concerns the pod.
func (l *loop) look(mode reconcile.Mode) reconcile.World {
	m := l.m
	running, results := l.take()
	l.decider.follow(&l.rec)
	w := reconcile.World{
		Settings: reconcile.Settings{Tick: m.cfg.Tick, HostTimeout: m.cfg.HostTimeout},
		Name:     l.name, Pod: l.rec, Memory: l.mem, Probes: l.live.Said(), Balancer: l.lookAtBalancer(),
		Running: running, Results: results, Commands: l.box.commands(), Policy: l.decider.fault, Mode: mode, Jitter: rand.Uint64(),
		Last: l.decider.last,
	}
	w.Hosts = make(map[string]reconcile.Host)
	for _, h := range m.hostList() {
		w.Hosts[h.Name] = h.lookFor(l.name)
	}
	w.Room = m.room()
	if f := m.store.fault(); !f.OK() && len(w.Commands) == 0 { // a command is worth a try
		w.Store = f
	}
	w.Now, w.Wall = m.clock.Now(), m.clock.Wall() // after all that was seen
	w.PolicyTime = l.decider.time(w.Now)
	return w
}

// take returns which actions run, and the results that no plan has used.
func (l *loop) take() (map[reconcile.Key]time.Time, []reconcile.Result) {
	running, results := l.exec.Take()
	results = append(l.results, results...)
	l.results = nil
	return running, results
}

// putBack keeps results for the next plan.
func (l *loop) putBack(results []reconcile.Result) { l.results = results }

// lookAtBalancer returns what the balancer showed last of the pod's fronts.
func (l *loop) lookAtBalancer() reconcile.Balancer {
	v := l.m.balancer.View()
	if v == nil {
		return reconcile.Balancer{Fault: reconcile.Fault{Code: reconcile.FaultBalancer, Text: "it has not been observed yet"}}
	}
	b := reconcile.Balancer{Asked: v.Asked, At: v.At, Fault: v.Fault, Fronts: map[string]balancer.FrontStats{}}
	add := func(name string) {
		if f := v.Fronts[name]; f != nil {
			b.Fronts[name] = *f
		}
	}
	for _, f := range l.rec.Spec.Fronts {
		add(f.Name)
	}
	for name := range l.mem.Fronts {
		add(name)
	}
	return b
}

// lookFor returns what a host showed last of a pod.
func (h *host) lookFor(podName string) reconcile.Host {
	v := h.View()
	out := reconcile.Host{Draining: h.Record().Draining}
	if v == nil {
		out.Fault = reconcile.Fault{Code: reconcile.FaultUnreachable, Text: "it has not been observed yet"}
		return out
	}
	out.Known, out.Begun, out.Since, out.Fault, out.Nodes = v.Known, v.Begun, v.Since, v.Fault, v.Pods[podName]
	return out
}

// room returns what a pod may use on each host, sorted by name.
func (m *Manager) room() []reconcile.Room {
	hosts := m.hostList()
	out := make([]reconcile.Room, 0, len(hosts))
	for _, h := range hosts {
		used := m.ledger.On(h.Name)
		r := reconcile.Room{Host: h.Name, Capacity: h.capacity(), Nodes: used.Nodes, Refused: h.refusal()}
		r.Free = pod.Resources{CPU: r.Capacity.CPU - used.Res.CPU, Memory: r.Capacity.Memory - used.Res.Memory}
		out = append(out, r)
	}
	return out
}

// capacities returns what the hosts of a plan's nodes have.
func (m *Manager) capacities(list []reconcile.Hold) map[string]pod.Resources {
	if len(list) == 0 {
		return nil
	}
	out := map[string]pod.Resources{}
	for _, r := range list {
		if h := m.host(r.Host); h != nil {
			out[r.Host] = h.capacity()
		}
	}
	return out
}

// capacity returns what nodes may reserve on a host, with the overcommit in it.
func (h *host) capacity() pod.Resources {
	v := h.View()
	if v == nil {
		return pod.Resources{}
	}
	c := v.Host.Capacity
	c.CPU *= h.Record().Host.CPUOvercommit
	return c
}

// refusal says why a host takes no nodes now; empty when it does.
func (h *host) refusal() string {
	rec, v := h.Record(), h.View()
	switch {
	case v == nil || !v.Known && v.Err == nil:
		return "not observed yet"
	case errors.Is(v.Err, pod.ErrForeign):
		return "belongs to another manager"
	case v.Err != nil:
		return fmt.Sprintf("unreachable (%.200s)", v.Fault.Text)
	case rec.Draining:
		return "is being removed"
	case rec.Host.Cordoned:
		return "cordoned: it takes no new nodes"
	}
	return ""
}

// targets returns the online nodes that are probed over the network.
func (l *loop) targets() []watch.Target {
	var out []watch.Target
	for i := range l.rec.Nodes {
		n := &l.rec.Nodes[i]
		p := &l.rec.Spec.Workload.Probe
		if v := l.rec.RevisionOf(n.Revision); v != nil {
			p = &v.Workload.Probe
		}
		addr := n.Endpoints[p.Port]
		if !reconcile.Watched(n, p) || p.Kind == pod.ProbeHealthcheck || addr == "" {
			continue
		}
		h := l.m.host(n.Host)
		out = append(out, watch.Target{Node: n.Name, Probe: *p, Addr: addr, Away: func() bool {
			if h == nil {
				return true
			}
			v := h.View()
			return v == nil || v.Err != nil
		}})
	}
	return out
}

func (l *loop) about() []attribute.KeyValue {
	if !l.m.trace.On() {
		return nil
	}
	return []attribute.KeyValue{act.KeyPod.String(l.name)}
}

func balancerFronts(fronts []Front) []balancer.Front {
	out := make([]balancer.Front, 0, len(fronts))
	for _, f := range fronts {
		if !slices.ContainsFunc(out, f.Front.Equal) {
			out = append(out, f.Front)
		}
	}
	return out
}
