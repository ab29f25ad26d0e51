package reconcile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// place is a host on which a node might be placed.
type place struct {
	at   int    // in the turn's room
	no   string // why it takes no nodes now; empty when it does
	held bool   // because starts failed or hang there
}

// usable returns the hosts that the pod may use.
func (t *turn) usable() []place {
	var out []place
	for i := range t.room {
		if r := &t.room[i]; len(t.pod.Spec.Hosts) == 0 || slices.Contains(t.pod.Spec.Hosts, r.Host) {
			out = append(out, place{at: i, no: r.Refused})
		}
	}
	return out
}

// startable returns the same, where hosts on which starts failed or hang take
// fewer nodes or none.
func (t *turn) startable() []place {
	hosts := t.usable()
	for i := range hosts {
		h := &hosts[i]
		name := t.room[h.at].Host
		if h.no != "" {
			continue
		}
		r := t.mem.Starts[name]
		switch failed := r.Failures > 0; {
		case failed && !r.ready(t.w.Now):
			h.no = "could not start the last one"
		case failed && t.startsOn(name, func(*state.Node) bool { return true }):
			h.no = "is being tried with one node, as it could not start the last one"
		case t.startsOn(name, t.overdue):
			h.no = "has a start that takes too long"
		default:
			continue
		}
		h.held = true
	}
	return hosts
}

func (t *turn) startsOn(host string, some func(*state.Node) bool) bool {
	return slices.ContainsFunc(t.pod.Nodes, func(n state.Node) bool {
		return n.State == pod.StateStarting && n.Host == host && some(&n)
	})
}

func anyHeld(hosts []place) bool {
	return slices.ContainsFunc(hosts, func(h place) bool { return h.held })
}

func anyUsable(hosts []place) bool {
	return slices.ContainsFunc(hosts, func(h place) bool { return h.no == "" })
}

// avoiding returns the hosts without one, if a node fits on another.
func (t *turn) avoiding(name string, limits pod.Limits, hosts []place) []place {
	others := slices.DeleteFunc(slices.Clone(hosts), func(h place) bool { return t.room[h.at].Host == name })
	if n, _ := t.roomFor(limits, others, 1); n == 0 {
		return hosts
	}
	return others
}

// stuck says that what is started now could not take anybody's place.
func (t *turn) stuck() bool {
	if slices.ContainsFunc(t.mem.Vacant, func(v Vacancy) bool { return v.Due.After(t.w.Now) }) {
		return true
	}
	hosts := t.startable()
	if !anyHeld(hosts) {
		return false
	}
	n, _ := t.roomFor(t.pod.Spec.Limits, hosts, 1)
	return n == 0
}

// noRoom notes that no node could be placed; it is tried again with the next tick.
func (t *turn) noRoom(why string) {
	t.mem.Room = NoRoom{Until: t.w.Now.Add(t.w.Settings.Tick), Why: why}
}

// roomEnough notes that nothing waits for room.
func (t *turn) roomEnough() { t.mem.Room = NoRoom{} }

// choose returns the host with the largest share of its CPU free, and takes there
// what the node may use. Between equals it spreads: first by memory, then by the
// number of nodes, then by name.
func (t *turn) choose(l pod.Limits, hosts []place) (host, why string) {
	share := func(r *Room) (cpu, memory float64) {
		return (r.Free.CPU - l.CPU) / r.Capacity.CPU, float64(r.Free.Memory-l.Memory) / float64(r.Capacity.Memory)
	}
	var best *Room
	for _, h := range hosts {
		r := &t.room[h.at]
		if h.no != "" || fits(r.Free, l) < 1 {
			continue
		}
		if best == nil {
			best = r
			continue
		}
		cpu, memory := share(r)
		bestCPU, bestMemory := share(best)
		if cmp.Or(cmp.Compare(bestCPU, cpu), cmp.Compare(bestMemory, memory), cmp.Compare(r.Nodes, best.Nodes), cmp.Compare(r.Host, best.Host)) < 0 {
			best = r
		}
	}
	if best == nil {
		return "", t.whyNot(l, hosts)
	}
	best.take(l)
	t.plan.Reserve = append(t.plan.Reserve, Hold{Host: best.Host, Limits: pod.Resources{CPU: l.CPU, Memory: l.Memory}})
	return best.Host, ""
}

func (r *Room) take(l pod.Limits) {
	r.Free.CPU -= l.CPU
	r.Free.Memory -= l.Memory
	r.Nodes++
}

// roomFor says how many more nodes of these limits fit, counted up to most, and
// why not more.
func (t *turn) roomFor(l pod.Limits, hosts []place, most int) (n int, why string) {
	for _, h := range hosts {
		if h.no == "" {
			n += fits(t.room[h.at].Free, l)
		}
		if n >= most {
			return most, ""
		}
	}
	return n, t.whyNot(l, hosts)
}

// fitsInstead says whether a node of these limits would fit once a node that is
// there had gone.
func (t *turn) fitsInstead(n *state.Node, l pod.Limits, hosts []place) bool {
	gone := t.pod.SpecOf(n.Revision).Limits
	return slices.ContainsFunc(hosts, func(h place) bool {
		free := t.room[h.at].Free
		if t.room[h.at].Host == n.Host {
			free.CPU += gone.CPU
			free.Memory += gone.Memory
		}
		return h.no == "" && fits(free, l) > 0
	})
}

// whyNot says of each host what keeps a node from it, after those that it has room
// for.
func (t *turn) whyNot(l pod.Limits, hosts []place) string {
	if len(hosts) == 0 {
		return "there is no host that the pod may use"
	}
	parts := make([]string, 0, len(hosts))
	for _, h := range hosts {
		r := &t.room[h.at]
		n := fits(r.Free, l) // what is left once these are placed
		cpu, memory := r.Free.CPU-float64(n)*l.CPU, r.Free.Memory-int64(n)*l.Memory
		switch {
		case h.no != "":
			parts = append(parts, fmt.Sprintf("host %s %s", r.Host, h.no))
		case cpu+epsilon < l.CPU:
			parts = append(parts, fmt.Sprintf("host %s %.3g of %.3g CPUs free", r.Host, math.Round(1000*max(cpu, 0))/1000, r.Capacity.CPU))
		default:
			parts = append(parts, fmt.Sprintf("host %s %s of %s memory free", r.Host, units.BytesSize(float64(max(memory, 0))), units.BytesSize(float64(r.Capacity.Memory))))
		}
	}
	return strings.Join(parts, ", ")
}

// epsilon absorbs what adding fractions of CPUs loses, so that 10 times 0.1
// fits into 1.
const epsilon = 1e-6

// fits says how many nodes of these limits go into what is free.
func fits(free pod.Resources, l pod.Limits) int {
	cpu := int((free.CPU + epsilon) / l.CPU)
	mem := int(free.Memory / l.Memory)
	return max(min(cpu, mem), 0)
}

// holds returns what the nodes of the record hold on their hosts.
func (t *turn) holds() []Hold {
	out := make([]Hold, 0, len(t.pod.Nodes))
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.State.Live() || n.State == pod.StateFailed && n.Host != "" && !t.mem.Nodes[n.Name].Stop.Done {
			l := t.pod.SpecOf(n.Revision).Limits
			out = append(out, Hold{Node: n.Name, Host: n.Host, Limits: pod.Resources{CPU: l.CPU, Memory: l.Memory}})
		}
	}
	return out
}
