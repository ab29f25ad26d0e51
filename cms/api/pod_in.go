package api

import (
	"maps"
	"slices"
	"strconv"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// PodSpec turns a pod as users write it into what the manager takes. Its status
// is ignored. It returns every fault as [cms.Faults], with paths as they stand
// on the wire, such as "workload.ports.http".
func PodSpec(p wire.Pod) (cms.PodSpec, error) {
	var f cms.Faults
	s := cms.PodSpec{Spec: pod.Spec{
		Name:     p.Name,
		Kind:     pod.Kind(p.Kind),
		Workload: workloadSpec(&f, p.Workload, p.Security),
		Limits: pod.Limits{
			CPU:    float64(p.Limits.CPU),
			Memory: int64(p.Limits.Memory),
			PIDs:   int64(p.Limits.PIDs),
		},
		MaxNodes: int(p.MaxNodes),
		Hosts:    list(p.Hosts),
		Drain:    p.Drain.Std(),
		Grace:    p.Grace.Std(),
	}}
	s.Update = updateSpec(&f, p.Update)
	for i, front := range p.Fronts {
		s.Fronts = append(s.Fronts, frontSpec(&f, "fronts["+strconv.Itoa(i)+"]", front))
	}
	f.NestErr("", s.Validate())
	for i := range f {
		if f[i].Path == "workload.security" { // which stands elsewhere on the wire
			f[i].Path = "security"
		}
	}
	if len(f) > 0 {
		return cms.PodSpec{}, f
	}
	return s, nil
}

func workloadSpec(f *cms.Faults, w wire.Workload, security string) pod.Workload {
	out := pod.Workload{
		Image:      w.Image,
		Pull:       pod.PullPolicy(w.Pull),
		Entrypoint: list(w.Entrypoint),
		Command:    list(w.Command),
		Env:        table(w.Env),
		Ports:      table(w.Ports),
		Probe:      probeSpec(f, w.Probe),
		User:       w.User,
		Networks:   list(w.Networks),
		ExtraHosts: table(w.ExtraHosts),
		CapAdd:     list(w.CapAdd),
		Security:   pod.Security(security),
	}
	checkHidden(f, w.Env)
	for _, m := range w.Mounts {
		out.Mounts = append(out.Mounts, pod.Mount{
			Kind: pod.MountKind(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly, Size: int64(m.Size),
		})
	}
	for _, x := range w.Secrets {
		out.Secrets = append(out.Secrets, pod.Secret{Name: x.Name, FromFile: x.File, FromEnv: x.Env, Target: x.Target})
	}
	return out
}

// list copies; an empty list is one that was left out, so that a pod is the same
// whichever of the two a user wrote.
func list[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

// table copies like list.
func table[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func probeSpec(f *cms.Faults, p wire.Probe) pod.Probe {
	out := pod.Probe{
		Port: p.Port, Interval: p.Interval.Std(), Timeout: p.Timeout.Std(), StartDeadline: p.StartDeadline.Std(),
		LiveInterval: p.LiveInterval.Std(),
	}
	out.Failures = noneIsMinus(f, "workload.probe.failures", "never", p.Failures)
	kinds := 0
	if p.None {
		out.Kind, kinds = pod.ProbeNone, kinds+1
	}
	if p.TCP {
		out.Kind, kinds = pod.ProbeTCP, kinds+1
	}
	if p.HTTP != "" {
		out.Kind, out.Path, kinds = pod.ProbeHTTP, p.HTTP, kinds+1
	}
	if p.Healthcheck {
		out.Kind, kinds = pod.ProbeHealthcheck, kinds+1
	}
	if kinds > 1 {
		f.Add("workload.probe", `use one of {"http":"/healthz"}, {"tcp":true}, {"healthcheck":true} and {"none":true}`, "has more than one kind")
		return pod.Probe{}
	}
	return out
}

func frontSpec(f *cms.Faults, at string, w wire.Front) cms.Front {
	out := cms.Front{Port: w.Port, Front: balancer.Front{
		Name:      w.Name,
		Listen:    w.Listen,
		Algorithm: balancer.Algorithm(w.Algorithm),
		MaxConn:   w.MaxConn,
		Timeouts: balancer.Timeouts{
			Connect: w.Timeouts.Connect.Std(),
			Client:  w.Timeouts.Client.Std(),
			Server:  w.Timeouts.Server.Std(),
			Queue:   w.Timeouts.Queue.Std(),
		},
		RetryNonIdempotent: w.RetryNonIdempotent,
		CheckPath:          w.CheckPath,
	}}
	out.Retries = noneIsMinus(f, at+".retries", "never", w.Retries)
	return out
}
