package serve

import (
	"context"
	"errors"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/metrics/prom"
)

// metrics is what Prometheus is told of pods and hosts.
func (sv *server) metrics() prom.State {
	var out prom.State
	fronts := sv.manager.Balancer()
	for _, p := range sv.manager.Pods() {
		m := prom.Pod{
			Name: p.Spec.Name, Sample: p.Sample,
			Elastic: p.Elasticity.Enabled, Min: p.Elasticity.Min, Max: p.Elasticity.Max,
			Cut:      p.Cut,
			Problems: len(p.Problems),
		}
		var requests, failed uint64
		counted := false
		for _, f := range fronts.Stats.Fronts {
			if fronts.Pods[f.Name] == p.Spec.Name {
				requests, failed, counted = requests+f.Requests, failed+f.Errors, true
			}
		}
		if counted {
			m.Requests, m.Errors = metrics.V(float64(requests)), metrics.V(float64(failed))
		}
		out.Pods = append(out.Pods, m)
	}
	for _, h := range sv.manager.Hosts() {
		m := prom.Host{
			Name: h.Host.Name, Reachable: h.Reachable, Cordoned: h.Host.Cordoned, Nodes: h.Nodes,
			CPUReserved: metrics.V(h.Reserved.CPU), MemoryReserved: metrics.V(float64(h.Reserved.Memory)),
			CPUUsed: value(h.Used.CPU), MemoryUsed: value(h.Used.Memory),
			DiskUsed: value(h.Used.Disk), DiskCapacity: value(h.Used.DiskTotal),
			ImagesRemoved: metrics.V(float64(h.Collected.Images)), ImageBytesRemoved: metrics.V(float64(h.Collected.Bytes)),
		}
		if h.Capacity.CPU > 0 {
			m.CPUCapacity = metrics.V(h.Capacity.CPU)
		}
		if h.Capacity.Memory > 0 {
			m.MemoryCapacity = metrics.V(float64(h.Capacity.Memory))
		}
		out.Hosts = append(out.Hosts, m)
	}
	out.Balancer = balancerMetrics(fronts)
	return out
}

func balancerMetrics(b cms.BalancerStatus) *prom.Balancer {
	out := &prom.Balancer{Reachable: b.Fault.OK()}
	for _, f := range b.Stats.Fronts {
		m := prom.Front{
			Name: f.Name, Pod: b.Pods[f.Name],
			Requests: metrics.V(float64(f.Requests)), Errors: metrics.V(float64(f.Errors)),
			InFlight: metrics.V(float64(f.InFlight)), Waiting: metrics.V(float64(f.Waiting)),
		}
		for _, s := range f.Servers {
			if s.State == balancer.Drain {
				m.Draining++
			} else {
				m.Ready++
			}
			if !s.Up {
				m.Down++
			}
		}
		out.Fronts = append(out.Fronts, m)
	}
	return out
}

func value[T int64 | float64](p *T) metrics.Value {
	if p == nil {
		return metrics.Missing
	}
	return metrics.V(float64(*p))
}

// events calls f for each event until ctx ends or the manager stops. What it was
// too slow for is lost.
func (sv *server) events(ctx context.Context, f func(cms.Event)) {
	select {
	case <-sv.manager.Ready():
	case <-ctx.Done():
		return
	}
	for {
		_, next := sv.manager.Events(0)
		s := sv.manager.Subscribe(next-1, 1024) // what comes from now on
		var err error
		for err == nil {
			var e cms.Event
			if e, err = s.Next(ctx); err == nil {
				f(e)
			}
		}
		s.Close()
		if !errors.Is(err, cms.ErrLagged) {
			return
		}
	}
}

// feed tells Prometheus of what happens between two scrapes.
func (sv *server) feed(ctx context.Context) {
	began := map[string]time.Time{} // starts under way, by pod/node
	sv.events(ctx, func(e cms.Event) {
		node := e.Pod + "/" + e.Node
		switch e.Type {
		case cms.EventTick:
			sv.exporter.ObserveTick(e.Pod, e.Tick.Took)
		case cms.EventScaled:
			sv.exporter.CountScale(e.Pod, e.Tick.Before, e.Tick.Decision.Want)
		case cms.EventNodeStarting:
			began[node] = e.At
		case cms.EventNodeOnline:
			if at, ok := began[node]; ok {
				sv.exporter.ObserveStart(e.Pod, e.At.Sub(at))
			}
			delete(began, node)
		case cms.EventNodeHung:
			sv.exporter.CountFailure(e.Pod)
		case cms.EventNodeFailed:
			sv.exporter.CountFailure(e.Pod)
			delete(began, node)
		case cms.EventNodeGone, cms.EventNodeDraining:
			delete(began, node)
		}
	})
}
