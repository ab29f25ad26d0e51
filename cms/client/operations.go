package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/elastipod/elastipod/cms/wire"
)

// Wait bounds how long an operation that takes time is waited for, up to 10
// minutes; 0 does not wait. Where it was not done in time the answer is the
// resource as it is then, and no error.
type Wait time.Duration

func (w Wait) query() url.Values {
	if w <= 0 {
		return nil
	}
	return url.Values{"wait": {time.Duration(w).String()}}
}

// Patch is a JSON merge patch (RFC 7396): the fields to change, nil for a field
// to leave out, such as Patch{"max_nodes": 20}.
type Patch map[string]any

// MarshalJSON writes nil as null.
func (p Patch) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]any(p)) }

// Cluster returns the cluster in short.
func (c *Client) Cluster(ctx context.Context) (wire.Cluster, error) {
	return do[wire.Cluster](ctx, c, request{method: http.MethodGet, path: "/v1/cluster"})
}

// WhoAmI returns whom the server takes this client for, and what it may do.
func (c *Client) WhoAmI(ctx context.Context) (wire.WhoAmI, error) {
	return do[wire.WhoAmI](ctx, c, request{method: http.MethodGet, path: "/v1/whoami"})
}

// Init creates those of the server's default pods that are missing, and returns
// all of them.
func (c *Client) Init(ctx context.Context) ([]wire.Pod, error) {
	l, err := do[wire.List[wire.Pod]](ctx, c, request{method: http.MethodPost, path: "/v1/cluster/init"})
	return l.Items, err
}

// Reload makes the server read its configuration anew and put it in force, all
// of it or nothing, and returns what differs. With dryRun it only returns what
// differs. An error is a 422 with every fault of the configuration, or a 409
// where a difference needs a restart; nothing has changed then.
func (c *Client) Reload(ctx context.Context, dryRun bool) (wire.Reload, error) {
	var q url.Values
	if dryRun {
		q = url.Values{"dry_run": {"true"}}
	}
	return do[wire.Reload](ctx, c, request{method: http.MethodPost, path: "/v1/reload", query: q})
}

// Backup writes a backup of the server's store to w, and returns how many bytes
// it has. On an error w may hold a part of it.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	r := request{method: http.MethodGet, path: "/v1/backup"}
	res, err := c.send(ctx, r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(w, res.Body)
	if err == nil && n != res.ContentLength && res.ContentLength >= 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fmt.Errorf("%s %s: read the answer: %w", r.method, r.path, err)
	}
	return n, nil
}

// RestoreOptions are how a backup is restored.
type RestoreOptions struct {
	DryRun     bool // only tell what would be done
	AnyCluster bool // the backup may be of another cluster
}

// Restore makes the server's pods and hosts be as in a backup, and returns what
// was done. An error says that nothing was changed.
func (c *Client) Restore(ctx context.Context, backup io.Reader, o RestoreOptions) (wire.Restore, error) {
	q := url.Values{}
	if o.DryRun {
		q.Set("dry_run", "true")
	}
	if o.AnyCluster {
		q.Set("any_cluster", "true")
	}
	return do[wire.Restore](ctx, c, request{method: http.MethodPost, path: "/v1/restore", query: q, upload: backup})
}

// Healthy returns nil when the server lives.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := do[wire.Health](ctx, c, request{method: http.MethodGet, path: "/healthz"})
	return err
}

// Ready returns nil when the server serves.
func (c *Client) Ready(ctx context.Context) error {
	_, err := do[wire.Health](ctx, c, request{method: http.MethodGet, path: "/readyz"})
	return err
}

// Clock returns the time of the server's clock, to the second.
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	res, err := c.send(ctx, request{method: http.MethodGet, path: "/healthz"})
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = res.Body.Close() }()
	t, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("%s does not say what time it is: %w", c.base, err)
	}
	return t, nil
}

// Balancer returns every front and server with statistics.
func (c *Client) Balancer(ctx context.Context) (wire.Balancer, error) {
	return do[wire.Balancer](ctx, c, request{method: http.MethodGet, path: "/v1/balancer"})
}

// Policies returns the kinds of policies that the server knows, by name.
func (c *Client) Policies(ctx context.Context) ([]wire.PolicyKind, error) {
	return all[wire.PolicyKind](ctx, c, "/v1/policies")
}

// Pods returns all pods, by name.
func (c *Client) Pods(ctx context.Context) ([]wire.Pod, error) {
	return all[wire.Pod](ctx, c, "/v1/pods")
}

// Pod returns one pod.
func (c *Client) Pod(ctx context.Context, name string) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "pods", name)})
}

// CreatePod creates a pod.
func (c *Client) CreatePod(ctx context.Context, p wire.Pod, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPost, path: "/v1/pods", query: w.query(), body: p})
}

// ReplacePod replaces the settings of the pod of that name.
func (c *Client) ReplacePod(ctx context.Context, p wire.Pod, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPut, path: pathOf("v1", "pods", p.Name), query: w.query(), body: p})
}

// PatchPod changes some of a pod's settings.
func (c *Client) PatchPod(ctx context.Context, name string, p Patch, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPatch, path: pathOf("v1", "pods", name), query: w.query(), body: p})
}

// DeletePod drains and removes a pod. Its state is "gone" once nothing is left
// of it.
func (c *Client) DeletePod(ctx context.Context, name string, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodDelete, path: pathOf("v1", "pods", name), query: w.query()})
}

// RestartPod replaces every node of a pod, as a rollout of the same settings.
func (c *Client) RestartPod(ctx context.Context, name string, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", name, "restart"), query: w.query()})
}

// PausePod takes a pod's nodes out of the balancer.
func (c *Client) PausePod(ctx context.Context, name string, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", name, "pause"), query: w.query()})
}

// ResumePod puts a pod's nodes back into the balancer.
func (c *Client) ResumePod(ctx context.Context, name string, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", name, "resume"), query: w.query()})
}

// Rollouts returns the last rollout of a pod and what it ran so far.
func (c *Client) Rollouts(ctx context.Context, pod string) (wire.Rollouts, error) {
	return do[wire.Rollouts](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "pods", pod, "rollout")})
}

// PauseRollout halts a rollout where it is.
func (c *Client) PauseRollout(ctx context.Context, pod string) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", pod, "rollout", "pause")})
}

// ResumeRollout lets a paused rollout go on.
func (c *Client) ResumeRollout(ctx context.Context, pod string, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", pod, "rollout", "resume"), query: w.query()})
}

// UndoRollout makes a pod run the revision of that number again, or with 0 what
// it ran before its last rollout.
func (c *Client) UndoRollout(ctx context.Context, pod string, revision uint64, w Wait) (wire.Pod, error) {
	return do[wire.Pod](ctx, c, request{
		method: http.MethodPost, path: pathOf("v1", "pods", pod, "rollout", "undo"), query: w.query(), body: wire.Undo{Revision: revision},
	})
}

// Nodes returns a pod's nodes, oldest first.
func (c *Client) Nodes(ctx context.Context, pod string) ([]wire.Node, error) {
	return all[wire.Node](ctx, c, pathOf("v1", "pods", pod, "nodes"))
}

// Node returns one node.
func (c *Client) Node(ctx context.Context, pod, node string) (wire.Node, error) {
	return do[wire.Node](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "pods", pod, "nodes", node)})
}

// RegisterNode registers a node; the server chooses the name where node is "".
func (c *Client) RegisterNode(ctx context.Context, pod, node string) (wire.Node, error) {
	return do[wire.Node](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", pod, "nodes"), body: wire.NewNode{Name: node}})
}

// LaunchNode starts the oldest new node. With a wait it returns once the node is
// online or has failed; its state tells which.
func (c *Client) LaunchNode(ctx context.Context, pod string, w Wait) (wire.Node, error) {
	return do[wire.Node](ctx, c, request{method: http.MethodPost, path: pathOf("v1", "pods", pod, "launch"), query: w.query()})
}

// RemoveNode drains, stops and removes a node. Its state is "gone" once nothing
// is left of it.
func (c *Client) RemoveNode(ctx context.Context, pod, node string, w Wait) (wire.Node, error) {
	return do[wire.Node](ctx, c, request{method: http.MethodDelete, path: pathOf("v1", "pods", pod, "nodes", node), query: w.query()})
}

// LogOptions select a node's output.
type LogOptions struct {
	Tail   int  // the last so many lines only; 0: all that is kept
	Follow bool // go on until the node ends or ctx does
}

// Logs returns a node's output. The caller closes it. A read error other than
// io.EOF says that something is missing.
func (c *Client) Logs(ctx context.Context, pod, node string, o LogOptions) (io.ReadCloser, error) {
	q := url.Values{}
	if o.Tail > 0 {
		q.Set("tail", strconv.Itoa(o.Tail))
	}
	if o.Follow {
		q.Set("follow", "true")
	}
	res, err := c.send(ctx, request{method: http.MethodGet, path: pathOf("v1", "pods", pod, "nodes", node, "logs"), query: q})
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// Elasticity returns how a pod grows and shrinks.
func (c *Client) Elasticity(ctx context.Context, pod string) (wire.Elasticity, error) {
	return do[wire.Elasticity](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "pods", pod, "elasticity")})
}

// SetElasticity replaces how a pod grows and shrinks.
func (c *Client) SetElasticity(ctx context.Context, pod string, e wire.Elasticity, w Wait) (wire.Elasticity, error) {
	return do[wire.Elasticity](ctx, c, request{method: http.MethodPut, path: pathOf("v1", "pods", pod, "elasticity"), query: w.query(), body: e})
}

// PatchElasticity changes some of it, such as Patch{"enabled": true, "min": 1,
// "max": 6} or Patch{"lower_threshold": 0.2}.
func (c *Client) PatchElasticity(ctx context.Context, pod string, p Patch, w Wait) (wire.Elasticity, error) {
	return do[wire.Elasticity](ctx, c, request{method: http.MethodPatch, path: pathOf("v1", "pods", pod, "elasticity"), query: w.query(), body: p})
}

// ResetElasticity switches elasticity off and forgets its settings.
func (c *Client) ResetElasticity(ctx context.Context, pod string, w Wait) (wire.Elasticity, error) {
	return do[wire.Elasticity](ctx, c, request{method: http.MethodDelete, path: pathOf("v1", "pods", pod, "elasticity"), query: w.query()})
}

// Decisions returns the last ticks of a pod, newest first; limit 0 leaves their
// number to the server.
func (c *Client) Decisions(ctx context.Context, pod string, limit int) ([]wire.Tick, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	l, err := do[wire.List[wire.Tick]](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "pods", pod, "decisions"), query: q})
	return l.Items, err
}

// Samples returns what was measured of a pod since a time, oldest first; the
// zero time: all that is kept.
func (c *Client) Samples(ctx context.Context, pod string, since time.Time) ([]wire.Sample, error) {
	q := url.Values{}
	if !since.IsZero() {
		q.Set("since", since.Format(time.RFC3339Nano))
	}
	l, err := do[wire.List[wire.Sample]](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "pods", pod, "metrics"), query: q})
	return l.Items, err
}

// Hosts returns all hosts, by name.
func (c *Client) Hosts(ctx context.Context) ([]wire.Host, error) {
	return all[wire.Host](ctx, c, "/v1/hosts")
}

// Host returns one host.
func (c *Client) Host(ctx context.Context, name string) (wire.Host, error) {
	return do[wire.Host](ctx, c, request{method: http.MethodGet, path: pathOf("v1", "hosts", name)})
}

// AddHost adds a host.
func (c *Client) AddHost(ctx context.Context, h wire.Host) (wire.Host, error) {
	return do[wire.Host](ctx, c, request{method: http.MethodPost, path: "/v1/hosts", body: h})
}

// CordonHost says whether a host takes new nodes.
func (c *Client) CordonHost(ctx context.Context, name string, cordoned bool) (wire.Host, error) {
	return do[wire.Host](ctx, c, request{method: http.MethodPatch, path: pathOf("v1", "hosts", name), body: Patch{"cordoned": cordoned}})
}

// RemoveHost removes a host; with drain its nodes are moved to others first,
// without it a host with nodes stays.
func (c *Client) RemoveHost(ctx context.Context, name string, drain bool, w Wait) (wire.Host, error) {
	q := w.query()
	if drain {
		if q == nil {
			q = url.Values{}
		}
		q.Set("drain", "true")
	}
	return do[wire.Host](ctx, c, request{method: http.MethodDelete, path: pathOf("v1", "hosts", name), query: q})
}

// all reads every page of a list.
func all[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	items := []T{}
	for after := ""; ; {
		q := url.Values{}
		if after != "" {
			q.Set("after", after)
		}
		l, err := do[wire.List[T]](ctx, c, request{method: http.MethodGet, path: path, query: q})
		if err != nil {
			return nil, err
		}
		items = append(items, l.Items...)
		if l.Next == "" || l.Next == after {
			return items, nil
		}
		after = l.Next
	}
}
