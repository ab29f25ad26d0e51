package serve

import (
	"errors"
	"fmt"
	"slices"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// The runtimes that the server can open.
const (
	runtimeDocker  = "docker"
	runtimeProcess = "process"
)

// resolveHosts checks the hosts; without any there is this machine.
func (r *resolver) resolveHosts(s *settings) {
	if len(r.cfg.Hosts) == 0 {
		kind := runtimeProcess
		if s.stack == stackDocker {
			kind = runtimeDocker
		}
		s.hosts = []pod.Host{{Name: "local", Runtime: kind}}
		return
	}
	seen := map[string]bool{}
	for i, w := range r.cfg.Hosts {
		at := fmt.Sprintf("hosts[%d]", i)
		h, err := api.HostSpec(w)
		r.nest(at, err)
		if err := checkRuntime(h); err != nil && h.Runtime != "" {
			r.nest(at, err)
		}
		if w.Name != "" && seen[w.Name] {
			r.faults.Add(at+".name", "give each host a name of its own", "%q is used twice", w.Name)
		}
		seen[w.Name] = true
		s.hosts = append(s.hosts, h)
	}
}

// checkRuntime says whether the server can open the host's runtime.
func checkRuntime(h pod.Host) error {
	var f cms.Faults
	switch {
	case h.Runtime != runtimeDocker && h.Runtime != runtimeProcess:
		f.Add("runtime", `use "docker" or "process"`, "%.40q is unknown", h.Runtime)
	case h.Runtime == runtimeProcess && h.Address != "":
		f.Add("address", "leave it out: processes run on the server's own machine", "%.80q cannot be used for processes", h.Address)
	}
	return f.Err()
}

// resolvePods checks the pods, and that they can live beside each other.
func (r *resolver) resolvePods(s *settings) {
	for i, p := range r.cfg.Pods {
		at := fmt.Sprintf("pods[%d]", i)
		spec, err := api.PodSpec(p.Pod)
		r.nest(at, err)
		if err != nil {
			continue
		}
		r.checkKind(s, at, spec)
		set := podSettings{spec: spec, nodes: int(p.Nodes)}
		if most := spec.WithDefaults().MaxNodes; set.nodes > most {
			r.faults.Add(at+".nodes", fmt.Sprintf("use at most max_nodes (%d)", most), "%d is above it", set.nodes)
		}
		if p.Elasticity != nil {
			e, err := api.ElasticitySpec(*p.Elasticity, spec.WithDefaults().MaxNodes, r.policies)
			r.nest(at+".elasticity", err)
			set.elasticity = &e
		}
		s.pods = append(s.pods, set)
	}
	for i, p := range r.cfg.DefaultPods {
		at := fmt.Sprintf("default_pods[%d]", i)
		spec, err := api.PodSpec(p)
		r.nest(at, err)
		if err != nil {
			continue
		}
		r.checkKind(s, at, spec)
		s.defaultPods = append(s.defaultPods, spec)
	}
	r.checkTogether("pods", s.listen, r.cfg.pods())
	r.checkTogether("default_pods", s.listen, r.cfg.DefaultPods)
}

func (c *fileConfig) pods() []wire.Pod {
	var out []wire.Pod
	for _, p := range c.Pods {
		out = append(out, p.Pod)
	}
	return out
}

// checkTogether finds names and addresses that are used twice.
func (r *resolver) checkTogether(list, listen string, pods []wire.Pod) {
	owner := map[string]string{listen: "the API"}
	for i, p := range pods {
		at := fmt.Sprintf("%s[%d]", list, i)
		if p.Name != "" && owner["pod "+p.Name] != "" {
			r.faults.Add(at+".name", "give each pod a name of its own", "%q is used twice", p.Name)
		}
		owner["pod "+p.Name] = p.Name
		for j, f := range p.Fronts {
			if o := owner[f.Listen]; f.Listen != "" && o != "" && o != p.Name {
				r.faults.Add(fmt.Sprintf("%s.fronts[%d].listen", at, j), "give each front an address of its own", "%s is taken by %s", f.Listen, o)
			}
			owner[f.Listen] = p.Name
		}
	}
}

// checkKind finds workloads that no host of the configuration can run.
func (r *resolver) checkKind(s *settings, at string, p cms.PodSpec) {
	var kinds []string
	for _, h := range s.hosts {
		if len(p.Hosts) == 0 || slices.Contains(p.Hosts, h.Name) {
			kinds = append(kinds, h.Runtime)
		}
	}
	if len(kinds) == 0 || slices.Contains(kinds, "") {
		return // on hosts that are added later, or were found to be wrong
	}
	switch {
	case p.Workload.Image != "" && !slices.Contains(kinds, runtimeDocker):
		r.faults.Add(at+".workload.image", `use "command", or the docker stack`, "needs a Docker host, and the pod has none")
	case p.Workload.Image == "" && !slices.Contains(kinds, runtimeProcess):
		r.faults.Add(at+".workload", `set "image", or use the embedded stack`, "has no image, and the pod has Docker hosts only")
	}
}

// nest adds the faults in err below a path.
func (r *resolver) nest(at string, err error) {
	var part cms.Faults
	switch {
	case err == nil:
	case errors.As(err, &part):
		r.faults.Nest(at, part)
	default:
		r.faults.Add(at, "", "%s", err)
	}
}
