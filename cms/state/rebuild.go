package state

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Found is a node that another manager left on a host.
type Found struct {
	Host string
	pod.Salvaged
}

// Rebuild makes the record of a pod out of its nodes, oldest first. What the newest
// one says of the pod counts. It also returns the hosts that the cluster had.
func Rebuild(nodes []Found) (p Pod, hosts []string, err error) {
	var latest *NodeSettings // of the newest node
	current := uint64(0)     // the revision that the pod wants
	var problem error
	for _, n := range nodes {
		if number, ok := strings.CutPrefix(n.Node.ID.Name, "n"); ok {
			serial, _ := strconv.ParseUint(number, 10, 64)
			p.SkipTo(serial)
		}
		revision, _ := strconv.ParseUint(n.Node.Revision, 10, 64)
		s, err := ReadSettings(n.Salvaged)
		if err == nil && revision == 0 {
			err = fmt.Errorf("its revision %.40q is no number", n.Node.Revision)
		}
		if err != nil {
			problem = fmt.Errorf("node %s on host %s: %w", n.Node.ID, n.Host, err)
		} else {
			latest = &s
			p.salvageRevision(revision, n, s)
			if !s.Former || current == 0 {
				current = revision
			}
		}
		p.salvageNode(revision, n)
	}
	if latest == nil {
		return p, nil, problem
	}
	for _, n := range p.Nodes {
		if p.RevisionOf(n.Revision) == nil {
			return p, nil, problem // of a node that runs something that nobody knows
		}
	}
	p.Spec, p.Elasticity, p.CreatedAt, p.Paused = latest.Spec, latest.Elasticity, latest.CreatedAt, latest.Paused
	p.Adopt(current)
	p.Spec = p.Spec.WithDefaults()
	if err := p.Spec.Validate(); err != nil {
		return p, nil, err
	}
	// How many were wanted last is lost; as many as there are is what serves.
	p.Want = min(len(p.Nodes), p.Spec.MaxNodes)
	if len(p.Nodes) == 0 {
		p.Want = min(latest.Want, p.Spec.MaxNodes)
	}
	return p, latest.Hosts, nil
}

// salvageRevision remembers what a node runs.
func (p *Pod) salvageRevision(number uint64, n Found, s NodeSettings) {
	if p.RevisionOf(number) != nil {
		return
	}
	p.Revisions = append(p.Revisions, Revision{
		Number: number, At: n.Node.StartedAt.UTC(), Workload: s.Spec.Workload.Clone(), Limits: s.Spec.Limits,
		Digest: s.Digest, Resolved: true, Reason: "found on a node",
	})
	slices.SortFunc(p.Revisions, func(a, b Revision) int { return int(a.Number) - int(b.Number) })
}

// salvageNode remembers a node that runs. One that has ended is left to be
// swept, as no record knows it.
func (p *Pod) salvageNode(revision uint64, n Found) {
	if n.Node.Phase == pod.PhaseExited || p.Node(n.Node.ID.Name) != nil { // seen by two names of one machine
		return
	}
	started := n.Node.StartedAt.UTC().Round(time.Microsecond)
	p.Nodes = append(p.Nodes, Node{
		Name: n.Node.ID.Name, State: pod.StateOnline, Host: n.Host, Revision: revision, Endpoints: n.Node.Endpoints, Handle: n.Node.Handle,
		CreatedAt: started, StartedAt: started, ReadyAt: started,
	})
}
