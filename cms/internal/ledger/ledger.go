// Package ledger keeps what the nodes of all pods reserve on each host. CPU and
// memory are both counted; CPU may be overcommitted, which is in the capacity
// that callers give.
package ledger

import (
	"sync"

	"github.com/elastipod/elastipod/pod"
)

// Hold is what one node reserves.
type Hold struct {
	Host string
	Res  pod.Resources
}

// Ledger may be used by several goroutines.
type Ledger struct {
	mu    sync.Mutex
	pods  map[string][]Hold
	hosts map[string]Use
}

// Use is what is reserved on a host, and by how many nodes.
type Use struct {
	Res   pod.Resources
	Nodes int
}

// New returns an empty ledger.
func New() *Ledger { return &Ledger{pods: map[string][]Hold{}, hosts: map[string]Use{}} }

// Reserve adds what a pod is about to place, all or nothing. It says whether all
// of it fits into what the hosts have, by their names.
func (l *Ledger) Reserve(podName string, more []Hold, capacity map[string]pod.Resources) bool {
	if len(more) == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range more {
		l.add(h, 1)
	}
	for _, h := range more {
		if have, used := capacity[h.Host], l.hosts[h.Host].Res; used.CPU > have.CPU+epsilon || used.Memory > have.Memory {
			for _, h := range more {
				l.add(h, -1)
			}
			return false
		}
	}
	l.pods[podName] = append(l.pods[podName], more...)
	return true
}

// epsilon absorbs what adding fractions of CPUs loses. It is larger than that of
// who places nodes: what fits there fits here.
const epsilon = 2e-6

// Set makes what a pod reserves be exactly these holds, whether they fit or not:
// they are there.
func (l *Ledger) Set(podName string, all []Hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.pods[podName] {
		l.add(h, -1)
	}
	for _, h := range all {
		l.add(h, 1)
	}
	if len(all) == 0 {
		delete(l.pods, podName)
		return
	}
	l.pods[podName] = all
}

func (l *Ledger) add(h Hold, times int) {
	u := l.hosts[h.Host]
	u.Res.CPU += float64(times) * h.Res.CPU
	u.Res.Memory += int64(times) * h.Res.Memory
	if u.Nodes += times; u.Nodes == 0 {
		delete(l.hosts, h.Host) // and with it what adding fractions lost
		return
	}
	l.hosts[h.Host] = u
}

// On returns what is reserved on a host.
func (l *Ledger) On(host string) Use {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hosts[host]
}
