package cms

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/docker/go-units"

	"github.com/elastipod/elastipod/pod"
)

// errNoRoom says that no host has room for a node; its message says why of each.
var errNoRoom = errors.New("no room")

// candidate is a host on which a node might be placed.
type candidate struct {
	name     string
	capacity pod.Resources // CPU with the overcommit in it
	refused  string        // why it takes no nodes now; empty when it does
}

// placer keeps the reservations of all nodes and chooses hosts. CPU and memory
// reservations are both counted; CPU may be overcommitted by a host's factor.
type placer struct {
	mu       sync.Mutex
	reserved map[pod.NodeID]reservation
}

type reservation struct {
	host string
	res  pod.Resources
}

func newPlacer() *placer { return &placer{reserved: map[pod.NodeID]reservation{}} }

// reserve chooses the host with the largest share of its CPU free, and holds
// there what the node may use. Between equals it spreads: first by memory, then
// by the number of nodes, then by name.
func (p *placer) reserve(id pod.NodeID, l pod.Limits, hosts []candidate) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	type option struct {
		name      string
		cpu, mem  float64 // shares that stay free
		neighbour int     // nodes there
	}
	var options []option
	for _, h := range hosts {
		used, n := p.used(h.name)
		if h.refused != "" || fits(h.capacity, used, l) < 1 {
			continue
		}
		options = append(options, option{
			name:      h.name,
			cpu:       (h.capacity.CPU - used.CPU - l.CPU) / h.capacity.CPU,
			mem:       float64(h.capacity.Memory-used.Memory-l.Memory) / float64(h.capacity.Memory),
			neighbour: n,
		})
	}
	if len(options) == 0 {
		return "", fmt.Errorf("%w: %s", errNoRoom, p.why(l, hosts))
	}
	best := slices.MinFunc(options, func(a, b option) int {
		return cmp.Or(cmp.Compare(b.cpu, a.cpu), cmp.Compare(b.mem, a.mem), cmp.Compare(a.neighbour, b.neighbour), cmp.Compare(a.name, b.name))
	})
	p.reserved[id] = reservation{host: best.name, res: pod.Resources{CPU: l.CPU, Memory: l.Memory}}
	return best.name, nil
}

// hold records a reservation that was made before, such as by an earlier manager.
func (p *placer) hold(id pod.NodeID, host string, l pod.Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reserved[id] = reservation{host: host, res: pod.Resources{CPU: l.CPU, Memory: l.Memory}}
}

func (p *placer) release(id pod.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reserved, id)
}

// room says how many more nodes of these limits fit, counted up to most, and
// why not more.
func (p *placer) room(l pod.Limits, hosts []candidate, most int) (n int, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range hosts {
		if h.refused == "" {
			used, _ := p.used(h.name)
			n += fits(h.capacity, used, l)
		}
		if n >= most {
			return most, ""
		}
	}
	return n, p.why(l, hosts)
}

// instead says whether a node of these limits would fit once the node id had
// gone.
func (p *placer) instead(id pod.NodeID, l pod.Limits, hosts []candidate) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.reserved[id]
	if !ok {
		return false
	}
	return slices.ContainsFunc(hosts, func(h candidate) bool {
		used, _ := p.used(h.name)
		if h.name == r.host {
			used.CPU -= r.res.CPU
			used.Memory -= r.res.Memory
		}
		return h.refused == "" && fits(h.capacity, used, l) > 0
	})
}

// on returns what is reserved on a host, and by how many nodes.
func (p *placer) on(host string) (pod.Resources, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used(host)
}

func (p *placer) used(host string) (sum pod.Resources, n int) {
	for _, r := range p.reserved {
		if r.host == host {
			sum.CPU += r.res.CPU
			sum.Memory += r.res.Memory
			n++
		}
	}
	return sum, n
}

// why says of each host what keeps a node from it, after those that it has room
// for.
func (p *placer) why(l pod.Limits, hosts []candidate) string {
	if len(hosts) == 0 {
		return "there is no host that the pod may use"
	}
	parts := make([]string, 0, len(hosts))
	for _, h := range hosts {
		used, _ := p.used(h.name)
		n := fits(h.capacity, used, l) // what is left once these are placed
		used.CPU += float64(n) * l.CPU
		used.Memory += int64(n) * l.Memory
		switch {
		case h.refused != "":
			parts = append(parts, fmt.Sprintf("host %s %s", h.name, h.refused))
		case h.capacity.CPU-used.CPU+epsilon < l.CPU:
			parts = append(parts, fmt.Sprintf("host %s %.3g of %.3g CPUs free", h.name, math.Round(1000*max(h.capacity.CPU-used.CPU, 0))/1000, h.capacity.CPU))
		default:
			parts = append(parts, fmt.Sprintf("host %s %s of %s memory free", h.name,
				units.BytesSize(float64(max(h.capacity.Memory-used.Memory, 0))), units.BytesSize(float64(h.capacity.Memory))))
		}
	}
	return strings.Join(parts, ", ")
}

// epsilon absorbs what adding fractions of CPUs loses, so that 10 times 0.1
// fits into 1.
const epsilon = 1e-6

// fits says how many nodes of these limits go into what is not used.
func fits(capacity, used pod.Resources, l pod.Limits) int {
	cpu := int((capacity.CPU - used.CPU + epsilon) / l.CPU)
	mem := int((capacity.Memory - used.Memory) / l.Memory)
	return max(min(cpu, mem), 0)
}
