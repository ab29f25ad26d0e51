package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"github.com/elastipod/elastipod/pod"
)

const (
	// inspections is how many containers are inspected at a time.
	inspections = 8
	// unstartedAge is how long a container may be created and not started
	// before it counts as a node that ended: its manager died in between.
	unstartedAge = 30 * time.Second
)

// known is what is remembered of a container between observations. Its fields
// are guarded by Runtime.mu, except in the one observation that fills it.
type known struct {
	state     container.ContainerState // as of the inspection; "" to inspect again
	startedAt time.Time
	pid       int
	exit      *pod.Exit
	oom       bool // the kernel killed something in it for memory
	usage     *usageSource
	firstSeen time.Time
	stranger  bool // it is no node, and that was told
}

// Observe implements [pod.Runtime]: one list of containers, and an inspection of
// each that is new or changed its state.
func (r *Runtime) Observe(ctx context.Context) (pod.Snapshot, error) {
	return call(ctx, r, "observe nodes", func(ctx context.Context) (pod.Snapshot, error) {
		s, err := r.observe(ctx)
		if unanswered(err) {
			r.forget()
		}
		return s, err
	})
}

func (r *Runtime) observe(ctx context.Context) (pod.Snapshot, error) {
	list, err := r.list(ctx)
	if err != nil {
		return pod.Snapshot{}, err
	}
	f, err := r.engineFacts(ctx)
	if err != nil {
		return pod.Snapshot{}, err
	}
	r.prune(list)
	nodes := make([]*pod.Node, len(list))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(inspections)
	for i, c := range list {
		if r.mentionable(c) {
			g.Go(func() (err error) {
				nodes[i], err = r.view(inner, c, f)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return pod.Snapshot{}, err
	}
	s := pod.Snapshot{Host: r.hostStatus(f)}
	for _, n := range nodes {
		if n != nil {
			s.Nodes = append(s.Nodes, *n)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b pod.Node) int { return a.ID.Compare(b.ID) })
	return s, nil
}

// list returns the containers of our cluster, or [pod.ErrForeign].
func (r *Runtime) list(ctx context.Context) ([]container.Summary, error) {
	list, err := r.named(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if err := r.foreign(c.Labels, slices.Concat(c.Names, []string{c.ID})[0]); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked = time.Now()
	return list, nil
}

// named returns the containers of every cluster of our name.
func (r *Runtime) named(ctx context.Context) ([]container.Summary, error) {
	return r.api.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", LabelCluster+"="+r.cluster.Name)),
	})
}

// prune forgets containers that are gone.
func (r *Runtime) prune(list []container.Summary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	here := make(map[string]bool, len(list))
	for _, c := range list {
		here[c.ID] = true
	}
	for id, k := range r.known {
		// One that was made after the list was is kept.
		if !here[id] && time.Since(k.firstSeen) > time.Minute {
			k.usage.close(true)
			delete(r.known, id)
		}
	}
}

// drop forgets a container that was removed.
func (r *Runtime) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.known[id]; k != nil {
		k.usage.close(true)
		delete(r.known, id)
	}
}

// mentionable says whether a container is a node that exists: not one that is
// being made or removed.
func (r *Runtime) mentionable(c container.Summary) bool {
	if nodeKind(c.Labels) == "" {
		return false
	}
	if !r.isNode(c.Labels, c.Names...) {
		r.noteStranger(c)
		return false
	}
	switch c.State {
	case container.StateRemoving:
		return false
	case container.StateCreated:
		r.mu.Lock()
		defer r.mu.Unlock()
		k := r.entry(c.ID)
		// An engine whose disk is full lists what runs in the state that it could
		// save last; what it says of the one container is true.
		return !k.startedAt.IsZero() || !r.busy.locked(nodeID(c.Labels)) && time.Since(k.firstSeen) > unstartedAge
	}
	return true
}

// noteStranger tells once of a container that looks like a node and is none.
func (r *Runtime) noteStranger(c container.Summary) {
	r.mu.Lock()
	k := r.entry(c.ID)
	told := k.stranger
	k.stranger = true
	r.mu.Unlock()
	if !told {
		r.log.Warn("a container has the labels of a node, but not its name; it is left alone",
			"container", strings.Join(c.Names, " "), "id", c.ID, "node", nodeID(c.Labels).String())
	}
}

// entry returns what is known of a container, making it if needed. r.mu is held.
func (r *Runtime) entry(id string) *known {
	k := r.known[id]
	if k == nil {
		k = &known{firstSeen: time.Now(), usage: &usageSource{}}
		r.known[id] = k
	}
	return k
}

// view returns a listed container as a node; nil when it is gone meanwhile.
func (r *Runtime) view(ctx context.Context, c container.Summary, f *facts) (*pod.Node, error) {
	k, err := r.look(ctx, c)
	if err != nil || k == nil {
		return nil, err
	}
	n := &pod.Node{
		ID: nodeID(c.Labels), Revision: c.Labels[LabelRevision], Kind: nodeKind(c.Labels), Handle: c.ID,
		Phase: pod.PhaseRunning, StartedAt: k.startedAt,
	}
	if k.exit != nil {
		n.Phase = pod.PhaseExited
		exit := *k.exit
		exit.LastLog = slices.Clone(exit.LastLog)
		n.Exit = &exit
		return n, nil
	}
	if c.State == container.StatePaused {
		n.Phase = pod.PhaseFrozen
	}
	n.Endpoints = r.endpoints(portsOf(c.Labels), reachOfSummary(c), f)
	if n.Health, err = r.health(ctx, c); err != nil {
		return nil, err
	}
	n.Usage = r.usage(c.ID, k, f)
	return n, nil
}

// health returns what a container's health check says. Engines call a container
// unhealthy from the moment that it is paused until its next check after that, so
// this is looked into.
func (r *Runtime) health(ctx context.Context, c container.Summary) (pod.Health, error) {
	h := healthOf(c.Status)
	if h != pod.HealthUnhealthy {
		return h, nil
	}
	full, err := r.inspect(ctx, c.ID)
	if errdefs.IsNotFound(err) {
		return h, nil
	}
	if err != nil {
		return "", err
	}
	return checkedHealth(full), nil
}

// defaultRetries is how many checks in a row fail before an engine calls a
// container unhealthy whose image does not say so.
const defaultRetries = 3

// checkedHealth judges by the checks themselves whether a container is unhealthy
// that its engine calls so.
func checkedHealth(c container.InspectResponse) pod.Health {
	h := c.State.Health
	switch {
	case h == nil, c.State.Paused:
		return pod.HealthUnknown
	case h.Status == container.Healthy: // since it was listed
		return pod.HealthGood
	}
	retries := defaultRetries
	if check := c.Config.Healthcheck; check != nil && check.Retries > 0 {
		retries = check.Retries
	}
	switch {
	case h.FailingStreak >= retries:
		return pod.HealthUnhealthy
	case slices.ContainsFunc(h.Log, func(l *container.HealthcheckResult) bool { return l != nil && l.ExitCode == 0 }):
		return pod.HealthGood // as before it was paused
	}
	return pod.HealthUnknown
}

// healthOf reads what a health check says from a container's status in words,
// such as "Up 3 minutes (healthy)": the list has it nowhere else. A paused
// container's says nothing of it.
func healthOf(status string) pod.Health {
	switch {
	case strings.HasSuffix(status, "("+container.Healthy+")"):
		return pod.HealthGood
	case strings.HasSuffix(status, "("+container.Unhealthy+")"):
		return pod.HealthUnhealthy
	}
	return pod.HealthUnknown
}

// look returns what is known of a container in its present state, inspecting it
// when that changed; nil when it is gone. The result is a copy.
func (r *Runtime) look(ctx context.Context, c container.Summary) (*known, error) {
	r.mu.Lock()
	k := *r.entry(c.ID)
	r.mu.Unlock()
	if k.state != "" && k.state == c.State {
		return &k, nil
	}
	full, err := r.inspect(ctx, c.ID)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	k = r.remember(full)
	if full.State.Running || full.State.Paused || full.State.Restarting || k.exit != nil {
		return &k, nil
	}
	exit := r.exitOf(ctx, full)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stored := r.entry(c.ID)
	exit.OOMKilled = exit.OOMKilled || exit.Code == killed && stored.oom
	stored.exit = exit
	stored.usage.close(false)
	k = *stored
	return &k, nil
}

// inspect is the engine's, whose answer holds all that is read of it.
func (r *Runtime) inspect(ctx context.Context, id string) (container.InspectResponse, error) {
	c, err := r.api.ContainerInspect(ctx, id)
	if err == nil && (c.ContainerJSONBase == nil || c.State == nil || c.Config == nil) {
		err = fmt.Errorf("the engine's answer to an inspection of %s is not complete", id)
	}
	return c, err
}

// remember keeps what an inspection says, and returns a copy.
func (r *Runtime) remember(c container.InspectResponse) known {
	started := startedAt(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.entry(c.ID)
	if !k.startedAt.Equal(started) { // started again: what is known is of its former life
		if !k.startedAt.IsZero() {
			k.oom = false
		}
		k.exit = nil
		k.usage.restart()
	}
	if c.State.Running {
		k.exit = nil
	}
	k.state, k.startedAt, k.pid = c.State.Status, started, c.State.Pid
	return *k
}
