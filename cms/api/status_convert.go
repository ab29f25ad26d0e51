package api

import (
	"encoding/json"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

// Tick returns one turn of a pod's loop as users see it.
func Tick(t cms.Tick) wire.Tick {
	o := t.Observation
	return wire.Tick{
		Seq:    t.Seq,
		At:     t.At,
		Before: t.Before,
		Want:   t.Decision.Want,
		Reason: t.Decision.Reason(),
		Error:  t.Err,
		Observation: wire.Observation{
			At: o.At, Want: o.Want, Online: o.Online, Starting: o.Starting, Draining: o.Draining, Min: o.Min, Max: o.Max,
			CPU: value(o.CPU), Memory: value(o.Memory), InFlight: value(o.InFlight), Waiting: value(o.Waiting),
			Rate: value(o.Rate), Errors: value(o.Errors), P50: value(o.P50), P95: value(o.P95), P99: value(o.P99),
			Boot: value(o.Boot),
		},
		Decision: decision(t.Decision),
		Sample:   Sample(t.Sample),
		Took:     wire.SecondsOf(t.Took),
	}
}

// decision goes by way of the decision's own JSON, which knows which fields of a
// step mean something under its rule.
func decision(d elastic.Decision) wire.Decision {
	out := wire.Decision{Want: d.Want, Reason: d.Reason(), Steps: []wire.Step{}}
	if data, err := json.Marshal(d); err == nil {
		_ = json.Unmarshal(data, &out) // what cannot be read stays as above
	}
	return out
}

// Sample returns what was measured of a pod as users see it.
func Sample(s metrics.Sample) wire.Sample {
	return wire.Sample{
		At: s.At, Want: s.Want, Nodes: nodeCounts(s.Nodes, 0),
		CPU: value(s.CPU), Memory: value(s.Memory), InFlight: value(s.InFlight), Waiting: value(s.Waiting),
		Rate: value(s.Rate), Errors: value(s.Errors), P50: value(s.P50), P95: value(s.P95), P99: value(s.P99),
	}
}

// Balancer returns the balancer's statistics as users see them.
func Balancer(s cms.BalancerStatus) wire.Balancer {
	fronts := each(s.Stats.Fronts, func(f balancer.FrontStats) wire.FrontStats { return frontStats(f, s.Pods[f.Name]) })
	return wire.Balancer{At: s.At, Error: s.Fault.Text, Problems: s.Stats.Problems, Fronts: fronts}
}

func frontStats(f balancer.FrontStats, podName string) wire.FrontStats {
	out := wire.FrontStats{
		Name: f.Name, Pod: podName, Listen: f.Listen,
		Requests: f.Requests, Errors: f.Errors, InFlight: f.InFlight, Waiting: f.Waiting,
		Servers: each(f.Servers, serverStats),
	}
	if l := f.Latency; l.Count > 0 {
		out.Latency = &wire.Latency{Count: l.Count, P50: wire.SecondsOf(l.P50), P95: wire.SecondsOf(l.P95), P99: wire.SecondsOf(l.P99)}
	}
	return out
}

func serverStats(s balancer.ServerStats) wire.ServerStats {
	return wire.ServerStats{
		Name: s.Name, Addr: s.Addr, State: string(s.State), Weight: s.Weight, Up: s.Up,
		InFlight: s.InFlight, Requests: s.Requests, Errors: s.Errors,
	}
}

// Cluster returns the summary of a cluster as users see it at a time.
func Cluster(s cms.ClusterStatus, version string, now time.Time) wire.Cluster {
	return wire.Cluster{
		Name: s.Name, ID: s.ID, Version: version, StartedAt: s.StartedAt,
		Pods: s.Pods, Nodes: s.Nodes, Hosts: s.Hosts, Problems: problems(s.Problems, now),
	}
}

// problems returns what is wrong as users see it at a time.
func problems(all []cms.Problem, now time.Time) []wire.Problem {
	return each(all, func(p cms.Problem) wire.Problem {
		return wire.Problem{Code: string(p.Code), Pod: p.Pod, Node: p.Node, Host: p.Host, Front: p.Front, Text: p.Sentence(now), Again: p.Again}
	})
}

// Event returns an event as users see it.
func Event(e cms.Event) wire.Event {
	out := wire.Event{ID: e.ID, At: e.At, Type: string(e.Type), Pod: e.Pod, Node: e.Node, Host: e.Host, Message: e.Message, Cut: e.Cut}
	if e.Tick != nil {
		t := Tick(*e.Tick)
		out.Tick = &t
	}
	return out
}
