package pod

import (
	"fmt"
	"io"
	"maps"
	"strings"
)

// StartRequest says which node to start and how.
type StartRequest struct {
	ID       NodeID   // the node's
	Revision string   // kept with the node, and observed again
	Kind     NodeKind // kept with the node, and observed again; zero means [NodeService]
	Workload Workload // complete: defaults are filled in
	// Digest pins the content of the workload's image, as Prepare returned it.
	// Empty: the node runs what the image's name means on the host.
	Digest string
	Limits Limits // complete: defaults are filled in
	// Secrets holds the content of each secret of the workload by its name.
	Secrets map[string]SecretValue
	// Settings is kept with the node as it is, for a [Salvager] to give back: at
	// most [MaxSettings] bytes of valid UTF-8, and nothing secret, as everybody
	// who may look at the node sees it.
	Settings string
}

// Check returns what is wrong with the request itself, whatever the host: the
// node's name, its kind, or too many settings.
func (r StartRequest) Check() error {
	if !ValidName(r.ID.Pod) || !ValidName(r.ID.Name) {
		return fmt.Errorf("%q is not a node's name", r.ID.String())
	}
	if len(r.Settings) > MaxSettings {
		return fmt.Errorf("its settings have %d bytes, %d are the most", len(r.Settings), MaxSettings)
	}
	_, err := ParseNodeKind(string(r.Kind))
	return err
}

// Env returns the environment that every runtime gives to a node: the workload's,
// its names, and its ports (see [Workload]). port returns the number on which the
// node listens for the port of that name.
func (r StartRequest) Env(port func(name string) string) map[string]string {
	env := map[string]string{}
	maps.Copy(env, r.Workload.Env)
	env["ELASTIPOD_POD"], env["ELASTIPOD_NODE"] = r.ID.Pod, r.ID.Name
	for name := range r.Workload.Ports {
		env["PORT_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = port(name)
		if name == r.Workload.MainPort() {
			env["PORT"] = port(name)
		}
	}
	return env
}

// NodeKind is what a node is for.
type NodeKind string

// The kinds of nodes.
const (
	NodeService NodeKind = "node" // a replica of a pod: takes requests, or waits for jobs
	NodeJob     NodeKind = "job"  // runs one job to its end
)

// ParseNodeKind returns the kind of that name, [NodeService] for an empty one.
func ParseNodeKind(name string) (NodeKind, error) {
	switch k := NodeKind(name); k {
	case "":
		return NodeService, nil
	case NodeService, NodeJob:
		return k, nil
	}
	return "", fmt.Errorf("%.80q is not a kind of node; use %q or %q", name, NodeService, NodeJob)
}

// SecretValue is the content of a secret. It never prints itself.
type SecretValue []byte

// String returns "[redacted]".
func (SecretValue) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (SecretValue) GoString() string { return "[redacted]" }

// Format prints "[redacted]" whatever the verb.
func (SecretValue) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText returns "[redacted]".
func (SecretValue) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
