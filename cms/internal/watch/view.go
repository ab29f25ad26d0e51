// Package watch observes hosts and the balancer, once for all pods, and probes
// online nodes. It wakes those who need to know of a change at once.
package watch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

// View is one observation of a host, immutable.
type View struct {
	Begun time.Time                  // when it was asked for: what happened before is in it
	Since time.Time                  // when the host became reachable or unreachable
	Err   error                      // why nothing was observed; then the rest is from before
	Fault reconcile.Fault            // the same as a value
	Known bool                       // the host was observed at least once
	Host  pod.HostStatus             // the machine
	Pods  map[string]reconcile.Nodes // nodes by pod
	Jobs  map[pod.NodeID]pod.Node    // what runs for jobs
	Count int                        // nodes and jobs
}

// next returns the view after v, which may be nil.
func (v *View) next(begun time.Time, snap pod.Snapshot, err error) *View {
	n := &View{Begun: begun, Since: begun, Err: err, Fault: faults.Or(reconcile.FaultUnreachable, err)}
	if v != nil && (v.Err == nil) == (err == nil) {
		n.Since = v.Since
	}
	if err != nil {
		if v != nil {
			n.Known, n.Host, n.Pods, n.Jobs, n.Count = v.Known, v.Host, v.Pods, v.Jobs, v.Count
		}
		return n
	}
	n.Known, n.Host, n.Count = true, snap.Host, len(snap.Nodes)
	nodes := make(reconcile.Nodes, 0, len(snap.Nodes))
	for _, node := range snap.Nodes {
		if node.Kind == pod.NodeJob {
			if n.Jobs == nil {
				n.Jobs = map[pod.NodeID]pod.Node{}
			}
			n.Jobs[node.ID] = node
			continue
		}
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b pod.Node) int {
		return cmp.Or(strings.Compare(a.ID.Pod, b.ID.Pod), strings.Compare(a.ID.Name, b.ID.Name))
	})
	n.Pods = map[string]reconcile.Nodes{}
	for len(nodes) > 0 {
		name, end := nodes[0].ID.Pod, 1
		for end < len(nodes) && nodes[end].ID.Pod == name {
			end++
		}
		n.Pods[name], nodes = nodes[:end:end], nodes[end:]
	}
	return n
}

// Node returns a node as it was seen last, and whether it was.
func (v *View) Node(id pod.NodeID) (pod.Node, bool) {
	if v == nil {
		return pod.Node{}, false
	}
	n, ok := v.Pods[id.Pod].Find(id.Name)
	return *n, ok
}

// Lookup says what is known of a node that is settled since the given time: found
// and running, found and ended, or gone. known is false when nothing newer than
// that is known.
func (v *View) Lookup(id pod.NodeID, settled time.Time) (n pod.Node, found, known bool) {
	if v == nil || v.Err != nil || !v.Begun.After(settled) {
		return pod.Node{}, false, false
	}
	n, found = v.Node(id)
	return n, found, true
}

// Changed returns the pods of which a node came, went, or changed its phase or
// health between two views; the first may be nil.
func Changed(before, after *View) map[string]bool {
	out := map[string]bool{}
	var old map[string]reconcile.Nodes
	if before != nil {
		old = before.Pods
	}
	for name, nodes := range after.Pods {
		was := old[name]
		if len(was) != len(nodes) {
			out[name] = true
			continue
		}
		for i := range nodes {
			if n, o := &nodes[i], &was[i]; o.ID != n.ID || o.Phase != n.Phase || o.Health != n.Health {
				out[name] = true
				break
			}
		}
	}
	for name := range old {
		if _, ok := after.Pods[name]; !ok {
			out[name] = true
		}
	}
	return out
}
