package docker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/pod"
)

// Labels of everything that a runtime makes.
const (
	LabelCluster   = "io.elastipod.cluster"
	LabelClusterID = "io.elastipod.cluster-id"
	LabelKind      = "io.elastipod.kind" // of a node: a [pod.NodeKind]
	LabelPod       = "io.elastipod.pod"
	LabelNode      = "io.elastipod.node"
	LabelRevision  = "io.elastipod.revision"
	// LabelPorts keeps the names of a node's ports, as "admin=9090,http=8080".
	LabelPorts = "io.elastipod.ports"
	// LabelSettings keeps what a [pod.Salvager] gives back; nothing secret.
	LabelSettings = "io.elastipod.settings"
)

func (r *Runtime) labels(req pod.StartRequest) map[string]string {
	var ports []string
	for _, name := range slices.Sorted(maps.Keys(req.Workload.Ports)) {
		ports = append(ports, name+"="+strconv.Itoa(req.Workload.Ports[name]))
	}
	labels := map[string]string{
		LabelCluster:   r.cluster.Name,
		LabelClusterID: r.cluster.ID,
		LabelKind:      string(cmp.Or(req.Kind, pod.NodeService)),
		LabelPod:       req.ID.Pod,
		LabelNode:      req.ID.Name,
		LabelRevision:  req.Revision,
		LabelPorts:     strings.Join(ports, ","),
	}
	if req.Settings != "" {
		labels[LabelSettings] = req.Settings
	}
	return labels
}

// containerName is the one name that a node's container can have, so that the
// engine itself refuses a second one.
func (r *Runtime) containerName(id pod.NodeID) string {
	return r.cluster.Name + "." + id.Pod + "." + id.Name
}

// ours says whether a container with these labels is that node of ours.
func (r *Runtime) ours(labels map[string]string, id pod.NodeID) bool {
	return labels[LabelCluster] == r.cluster.Name && labels[LabelClusterID] == r.cluster.ID &&
		nodeKind(labels) != "" && nodeID(labels) == id
}

// isNode says whether a container is a node of a cluster of our name: it carries
// a node's labels and the one name that this node's container can have. Labels
// alone say nothing: an image that was made of a node (docker commit) hands them
// on to every container of it, and nothing keeps others from copying them.
func (r *Runtime) isNode(labels map[string]string, names ...string) bool {
	id := nodeID(labels)
	return labels[LabelCluster] == r.cluster.Name && nodeKind(labels) != "" &&
		pod.ValidName(id.Pod) && pod.ValidName(id.Name) &&
		slices.ContainsFunc(names, func(name string) bool { return strings.TrimPrefix(name, "/") == r.containerName(id) })
}

// foreign returns the error that says whose the cluster's name is, when a
// container with these labels is another manager's.
func (r *Runtime) foreign(labels map[string]string, name string) error {
	if owner := labels[LabelClusterID]; labels[LabelCluster] == r.cluster.Name && owner != r.cluster.ID {
		return fmt.Errorf("%w: container %s belongs to cluster %q with id %s, ours has id %s",
			pod.ErrForeign, strings.TrimPrefix(name, "/"), r.cluster.Name, owner, r.cluster.ID)
	}
	return nil
}

// nodeKind returns the kind of a node; empty where a container is none.
func nodeKind(labels map[string]string) pod.NodeKind {
	if labels[LabelKind] == "" {
		return ""
	}
	kind, _ := pod.ParseNodeKind(labels[LabelKind])
	return kind
}

func nodeID(labels map[string]string) pod.NodeID {
	return pod.NodeID{Pod: labels[LabelPod], Name: labels[LabelNode]}
}

// portsOf reads [LabelPorts], as far as it names ports.
func portsOf(labels map[string]string) map[string]int {
	ports := map[string]int{}
	for pair := range strings.SplitSeq(labels[LabelPorts], ",") {
		name, number, _ := strings.Cut(pair, "=")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			ports[name] = int(n)
		}
	}
	return ports
}
