package state

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/pod"
)

// Found is a node that another manager left on a host.
type Found struct {
	Host string // where it is
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
	p.adopt(*latest, current)
	if err := p.Spec.Validate(); err != nil {
		return p, nil, err
	}
	// How many were wanted last is lost; as many as there are is what serves.
	want := len(p.Nodes)
	if want == 0 {
		want = latest.Want
	}
	p.SetWant(min(want, p.Spec.MaxNodes))
	return p, latest.Hosts, nil
}
