package api

import (
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// Pod returns a pod as users see it at a time.
func Pod(s cms.PodStatus, now time.Time) wire.Pod {
	p := PodSettings(s.Spec)
	status := wire.PodStatus{
		State:      string(s.State),
		CreatedAt:  s.CreatedAt,
		Want:       s.Want,
		Revision:   s.Revision,
		Converged:  s.Converged,
		Nodes:      nodeCounts(s.Counts.Nodes, s.Counts.Unseen),
		Cut:        s.Cut,
		Problems:   problems(s.Problems, now),
		Reason:     reason(s),
		Elasticity: elasticitySettings(s.Elasticity),
		Rollout:    rollout(s),
	}
	if !s.Sample.At.IsZero() {
		sample := Sample(s.Sample)
		status.Sample = &sample
	}
	if s.LastChange.Seq > 0 {
		t := Tick(*s.LastChange)
		status.LastChange = &t
	}
	p.Status = &status
	return p
}

// reason returns the sentence of the last decision; empty before the first.
func reason(s cms.PodStatus) string {
	if s.LastTick.Seq == 0 {
		return ""
	}
	return s.LastTick.Decision.Reason()
}

// PodSettings returns the settings of a pod as users write them, without a
// status. [PodSpec] of the result is equal to s.
func PodSettings(s cms.PodSpec) wire.Pod {
	p := wire.Pod{
		Name:     s.Name,
		Kind:     string(s.Kind),
		Workload: workload(s.Workload),
		Limits:   limits(s.Limits),
		Update:   updateSettings(s.Update),
		MaxNodes: wire.Count(s.MaxNodes),
		Hosts:    slices.Clone(s.Hosts),
		Security: string(s.Workload.Security),
		Drain:    wire.Duration(s.Drain),
		Grace:    wire.Duration(s.Grace),
	}
	for _, f := range s.Fronts {
		p.Fronts = append(p.Fronts, front(f, s.Workload.Probe))
	}
	return p
}

func limits(l pod.Limits) wire.Limits {
	return wire.Limits{CPU: wire.Cores(l.CPU), Memory: wire.Bytes(l.Memory), PIDs: wire.Count(l.PIDs)}
}

func workload(w pod.Workload) wire.Workload {
	out := wire.Workload{
		Image:      w.Image,
		Pull:       string(w.Pull),
		Entrypoint: slices.Clone(w.Entrypoint),
		Command:    slices.Clone(w.Command),
		Env:        maps.Clone(w.Env),
		Ports:      maps.Clone(w.Ports),
		Probe:      probe(w.Probe),
		User:       w.User,
		Networks:   slices.Clone(w.Networks),
		ExtraHosts: maps.Clone(w.ExtraHosts),
		CapAdd:     slices.Clone(w.CapAdd),
	}
	for _, m := range w.Mounts {
		out.Mounts = append(out.Mounts, wire.Mount{
			Type: string(m.Kind), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Size: wire.Bytes(m.Size),
		})
	}
	for _, x := range w.Secrets {
		out.Secrets = append(out.Secrets, wire.Secret{Name: x.Name, File: x.FromFile, Env: x.FromEnv, Target: x.Target})
	}
	return out
}

func probe(p pod.Probe) wire.Probe {
	out := wire.Probe{
		HTTP:          p.Path,
		TCP:           p.Kind == pod.ProbeTCP,
		None:          p.Kind == pod.ProbeNone,
		Port:          p.Port,
		Interval:      wire.Duration(p.Interval),
		Timeout:       wire.Duration(p.Timeout),
		StartDeadline: wire.Duration(p.StartDeadline),
		Healthcheck:   p.Kind == pod.ProbeHealthcheck,
		LiveInterval:  wire.Duration(p.LiveInterval),
	}
	out.Failures = minusIsNone(p.Failures)
	return out
}

// front leaves out a check path that follows from the probe, so that it goes on
// following when what was read is changed and written back.
func front(f cms.Front, p pod.Probe) wire.Front {
	out := wire.Front{
		Name:      f.Name,
		Listen:    f.Listen,
		Port:      f.Port,
		Algorithm: string(f.Algorithm),
		MaxConn:   f.MaxConn,
		Timeouts: wire.Timeouts{
			Connect: wire.Duration(f.Timeouts.Connect),
			Client:  wire.Duration(f.Timeouts.Client),
			Server:  wire.Duration(f.Timeouts.Server),
			Queue:   wire.Duration(f.Timeouts.Queue),
		},
		RetryNonIdempotent: f.RetryNonIdempotent,
		CheckPath:          f.CheckPath,
	}
	if p.Kind == pod.ProbeHTTP && p.Port == f.Port && p.Path == f.CheckPath {
		out.CheckPath = ""
	}
	out.Retries = minusIsNone(f.Retries)
	return out
}

func nodeCounts(n metrics.Nodes, unseen int) wire.NodeCounts {
	return wire.NodeCounts{
		New: n.New, Starting: n.Starting, Online: n.Online, Standby: n.Standby, Draining: n.Draining, Failed: n.Failed, Unseen: unseen,
	}
}

// Node returns a node as users see it.
func Node(n cms.NodeStatus) wire.Node {
	endpoints := maps.Clone(n.Endpoints)
	if endpoints == nil {
		endpoints = map[string]string{}
	}
	if n.Unseen {
		n.Reason = "not seen yet since the server started: host " + n.Host + " has not answered"
	}
	return wire.Node{
		Name: n.Name, Pod: n.Pod, Host: n.Host,
		State:     n.State.String(),
		Endpoints: endpoints,
		Revision:  n.Revision,
		Digest:    n.Digest,
		Handle:    n.Handle,
		CreatedAt: n.CreatedAt, StartedAt: n.StartedAt, ReadyAt: n.ReadyAt,
		InFlight: value(n.InFlight),
		CPU:      value(n.CPU),
		Memory:   value(n.Memory),
		DrainBy:  n.DrainBy, Cut: n.Cut,
		Reason: n.Reason,
	}
}

// value returns nil for what was not measured.
func value(v metrics.Value) *float64 {
	if x, ok := v.Get(); ok {
		return &x
	}
	return nil
}

// each returns what f makes of each of all, and no nil list.
func each[T, U any](all []T, f func(T) U) []U {
	out := make([]U, len(all))
	for i, x := range all {
		out[i] = f(x)
	}
	return out
}

// notNil makes an empty list an empty one in JSON too.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
