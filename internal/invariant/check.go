package invariant

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// The invariants. Every error of [Check] wraps one of them.
var (
	// ErrBounds: the wanted number is within the pod's bounds, and no more nodes
	// are launched than the pod may have.
	ErrBounds = errors.New("nodes out of bounds")
	// ErrBalancer: the balancer has the fronts of the pods and no others, and
	// behind them the online nodes of pods that are not paused and nobody else.
	ErrBalancer = errors.New("balancer differs from online nodes")
	// ErrStore: the store keeps what the manager shows.
	ErrStore = errors.New("store differs from the manager")
	// ErrOrphan: nothing is on a host that no pod knows.
	ErrOrphan = errors.New("orphan")
	// ErrMissing: every online node runs.
	ErrMissing = errors.New("node does not run")
	// ErrDuplicate: a node is there once.
	ErrDuplicate = errors.New("duplicate")
	// ErrReserved: what is reserved on a host is what the nodes on it reserve,
	// and no more than it has.
	ErrReserved = errors.New("reservations differ from nodes")
	// ErrUnrest: once nothing is broken any more, every pod comes to rest.
	ErrUnrest = errors.New("not at rest")
)

// Check returns every invariant that v violates, joined, or nil. Each of them
// says what differs, and wraps one of the errors above.
func Check(v View) error {
	c := &checker{v: v}
	c.unique()
	for i := range v.Pods {
		c.bounds(&v.Pods[i])
	}
	c.capacity()
	if v.AtRest {
		for i := range v.Pods {
			c.rest(&v.Pods[i])
		}
		c.world()
		c.reserved()
		c.balancer()
		c.store()
	}
	return errors.Join(c.found...)
}

type checker struct {
	v     View
	found []error
}

func (c *checker) add(invariant error, format string, args ...any) {
	c.found = append(c.found, fmt.Errorf("%w: %s", invariant, fmt.Sprintf(format, args...)))
}

// id names a node in the cluster.
type id struct{ pod, node string }

func (i id) String() string { return i.pod + "/" + i.node }

// live says whether something of a node may be on its host.
func live(state string) bool {
	return state == starting || state == online || state == standby || state == draining
}

// unique: names are, and a node runs in one place.
func (c *checker) unique() {
	pods := map[string]bool{}
	for _, p := range c.v.Pods {
		if pods[p.Name] {
			c.add(ErrDuplicate, "pod %s is shown twice", p.Name)
		}
		pods[p.Name] = true
		nodes := map[string]bool{}
		for _, n := range p.Nodes {
			if nodes[n.Name] {
				c.add(ErrDuplicate, "node %s/%s is shown twice", p.Name, n.Name)
			}
			nodes[n.Name] = true
		}
	}
	where := map[id]string{}
	for _, h := range c.v.Hosts {
		if h.Running == nil {
			continue
		}
		for _, n := range *h.Running {
			node := id{n.Pod, n.Node}
			if other, twice := where[node]; twice && n.Running {
				c.add(ErrDuplicate, "node %s is on host %s and on host %s", node, other, h.Name)
			}
			where[node] = h.Name
		}
	}
}

// bounds holds at every moment.
func (c *checker) bounds(p *Pod) {
	if p.Want < 0 || p.Want > p.MaxNodes {
		c.add(ErrBounds, "pod %s wants %d nodes of at most %d", p.Name, p.Want, p.MaxNodes)
	}
	if p.Elastic && p.State == active && (p.Want < p.Min || p.Want > p.Max) {
		c.add(ErrBounds, "pod %s wants %d nodes, which is not within %d..%d", p.Name, p.Want, p.Min, p.Max)
	}
	if c.v.AtRest {
		if n := c.launched(p); n > p.MaxNodes {
			c.add(ErrBounds, "pod %s has %d launched nodes of at most %d", p.Name, n, p.MaxNodes)
		}
	}
}

// launched counts the nodes that take part, those on hosts that are away not.
func (c *checker) launched(p *Pod) (n int) {
	for i := range p.Nodes {
		if s := p.Nodes[i].State; (s == starting || s == online || s == standby) && !c.away(p.Nodes[i].Host) {
			n++
		}
	}
	return n
}

// away says whether a host is known and does not answer.
func (c *checker) away(host string) bool {
	return slices.ContainsFunc(c.v.Hosts, func(h Host) bool { return h.Name == host && !h.Reachable })
}

// capacity: memory is never overcommitted.
func (c *checker) capacity() {
	for _, h := range c.v.Hosts {
		if h.Capacity > 0 && h.Reachable && h.Memory > h.Capacity {
			c.add(ErrReserved, "%d bytes are reserved on host %s, which has %d", h.Memory, h.Name, h.Capacity)
		}
	}
}

// rest: a pod is as it should be.
func (c *checker) rest(p *Pod) {
	if p.State == deleting {
		c.add(ErrUnrest, "pod %s is still being deleted: %q", p.Name, p.Problems)
	}
	for _, n := range p.Nodes {
		if n.State != fresh && n.State != online && n.State != failed {
			c.add(ErrUnrest, "node %s/%s is still %s", p.Name, n.Name, n.State)
		}
	}
	if p.Excuse != "" {
		return
	}
	if n := c.launched(p); n != p.Want && p.State != deleting {
		c.add(ErrBounds, "pod %s has %d launched nodes and wants %d", p.Name, n, p.Want)
	}
	if !p.Converged {
		c.add(ErrUnrest, "pod %s has not converged", p.Name)
	}
	for _, problem := range p.Problems {
		c.add(ErrUnrest, "pod %s has a problem: %s", p.Name, problem)
	}
	for _, n := range p.Nodes {
		if n.State == online && n.Revision != p.Revision {
			c.add(ErrUnrest, "node %s/%s runs revision %d, and its pod revision %d", p.Name, n.Name, n.Revision, p.Revision)
		}
	}
	switch r := p.Rollout; {
	case r.State == "":
	case r.State == "done" && r.To == p.Revision, r.State == "rolled-back" && r.From == p.Revision:
	default:
		c.add(ErrUnrest, "pod %s runs revision %d; its rollout from %d to %d is %s", p.Name, p.Revision, r.From, r.To, r.State)
	}
}

// world: what is on the hosts is what should run.
func (c *checker) world() {
	should := map[string]map[id]bool{}
	for _, p := range c.v.Pods {
		for _, n := range p.Nodes {
			if n.State == online {
				if should[n.Host] == nil {
					should[n.Host] = map[id]bool{}
				}
				should[n.Host][id{p.Name, n.Name}] = true
			}
		}
	}
	for _, h := range c.v.Hosts {
		missing := should[h.Name]
		delete(should, h.Name)
		if h.Running == nil {
			continue
		}
		for _, n := range *h.Running {
			node := id{n.Pod, n.Node}
			switch {
			case !n.Running:
				c.add(ErrOrphan, "remains of node %s are on host %s", node, h.Name)
			case !missing[node]:
				c.add(ErrOrphan, "node %s runs on host %s and is not known to be online there", node, h.Name)
			}
			delete(missing, node)
		}
		for _, node := range sorted(missing) {
			c.add(ErrMissing, "%s is not on host %s", node, h.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(should)) {
		c.add(ErrMissing, "%s are on host %s, which is not there", sorted(should[name]), name)
	}
}

func sorted(nodes map[id]bool) []string {
	var out []string
	for n := range nodes {
		out = append(out, n.String())
	}
	slices.Sort(out)
	return out
}

// reserved: every node holds what it may use, and nobody else does.
func (c *checker) reserved() {
	for _, h := range c.v.Hosts {
		if h.Removed {
			continue
		}
		var nodes int
		var cpu float64
		var memory int64
		for _, p := range c.v.Pods {
			for _, n := range p.Nodes {
				if n.Host == h.Name && live(n.State) {
					nodes++
					cpu += n.CPU
					memory += n.Memory
				}
			}
		}
		if nodes != h.Nodes || memory != h.Memory || math.Abs(cpu-h.CPU) > 1e-6 {
			c.add(ErrReserved, "host %s holds %d nodes, %.3f CPUs and %d bytes; the nodes on it are %d and may use %.3f CPUs and %d bytes",
				h.Name, h.Nodes, h.CPU, h.Memory, nodes, cpu, memory)
		}
		if h.Draining && nodes == 0 {
			c.add(ErrUnrest, "host %s is empty and still being removed", h.Name)
		}
	}
}

// balancer: fronts and servers are those of the pods.
func (c *checker) balancer() {
	if c.v.Fronts == nil {
		return
	}
	have := map[string]Front{}
	for _, f := range *c.v.Fronts {
		if _, twice := have[f.Name]; twice {
			c.add(ErrDuplicate, "front %s is in the balancer twice", f.Name)
		}
		have[f.Name] = f
	}
	for _, p := range c.v.Pods {
		for _, want := range p.Fronts {
			f, ok := have[want.Name]
			delete(have, want.Name)
			switch {
			case !ok:
				c.add(ErrBalancer, "front %s of pod %s is not there", want.Name, p.Name)
				continue
			case f.Listen != want.Listen:
				c.add(ErrBalancer, "front %s listens on %s, and should on %s", f.Name, f.Listen, want.Listen)
			}
			c.servers(&p, want, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		c.add(ErrBalancer, "front %s is nobody's", name)
	}
}

func (c *checker) servers(p *Pod, want PodFront, f Front) {
	should := map[string]string{}
	for _, n := range p.Nodes {
		if n.State == online {
			should[n.Name] = n.Endpoints[want.Port]
		}
	}
	seen := map[string]bool{}
	for _, s := range f.Servers {
		if seen[s.Name] {
			c.add(ErrDuplicate, "front %s has server %s twice", f.Name, s.Name)
		}
		seen[s.Name] = true
		addr, ok := should[s.Name]
		delete(should, s.Name)
		switch takes := s.State == ready; {
		case p.State == paused && takes:
			c.add(ErrBalancer, "pod %s is paused, and front %s gives requests to %s", p.Name, f.Name, s.Name)
		case p.State == paused:
		case !ok:
			c.add(ErrBalancer, "front %s has server %s (%s), which is no online node", f.Name, s.Name, s.State)
		case !takes:
			c.add(ErrBalancer, "front %s gives no requests to %s: it is in state %s", f.Name, s.Name, s.State)
		case s.Addr != addr:
			c.add(ErrBalancer, "front %s dials %s at %s, which is at %s", f.Name, s.Name, s.Addr, addr)
		}
	}
	if p.State == paused {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(should)) {
		c.add(ErrBalancer, "front %s has no server for node %s", f.Name, name)
	}
}

// store: what is kept is what is shown.
func (c *checker) store() {
	if c.v.Stored == nil {
		return
	}
	kept := map[string]StoredPod{}
	for _, p := range c.v.Stored.Pods {
		kept[p.Name] = p
	}
	for _, p := range c.v.Pods {
		s, ok := kept[p.Name]
		delete(kept, p.Name)
		if !ok {
			c.add(ErrStore, "pod %s is not kept", p.Name)
			continue
		}
		if s.Want != p.Want || s.State != p.State {
			c.add(ErrStore, "pod %s is kept as %s with %d nodes, and shown as %s with %d", p.Name, s.State, s.Want, p.State, p.Want)
		}
		shown := map[string]string{}
		for _, n := range p.Nodes {
			shown[n.Name] = n.State
		}
		if !maps.Equal(s.Nodes, shown) {
			c.add(ErrStore, "pod %s has the nodes %v, and %v are kept", p.Name, shown, s.Nodes)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		c.add(ErrStore, "pod %s is kept and not shown", name)
	}
	var shown []string
	for _, h := range c.v.Hosts {
		if !h.Removed {
			shown = append(shown, h.Name)
		}
	}
	slices.Sort(shown)
	if hosts := slices.Sorted(slices.Values(c.v.Stored.Hosts)); !slices.Equal(hosts, shown) {
		c.add(ErrStore, "hosts %v are kept, and %v shown", hosts, shown)
	}
}
