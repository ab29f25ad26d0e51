package cms

import (
	"context"
	"errors"
	"slices"

	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

// Pods returns all pods, sorted by name.
func (m *Manager) Pods() []PodStatus {
	loops := m.loops()
	out := make([]PodStatus, 0, len(loops))
	for _, l := range loops {
		if s := l.board.status(); s != nil {
			out = append(out, *s)
		}
	}
	return out
}

// Pod returns one pod. It returns [ErrNotFound].
func (m *Manager) Pod(name string) (PodStatus, error) {
	if l := m.created(name); l != nil {
		return *l.board.status(), nil
	}
	return PodStatus{}, noPod(name)
}

// Init creates those default pods that are missing, and returns all of them. It
// is idempotent.
func (m *Manager) Init(ctx context.Context) ([]PodStatus, error) {
	var out []PodStatus
	m.mu.RLock()
	defaults := m.defaults
	m.mu.RUnlock()
	for _, spec := range defaults {
		s, err := m.CreatePod(ctx, spec)
		if errors.Is(err, ErrExists) {
			s, err = m.Pod(spec.Name)
		}
		if err != nil {
			return out, err
		}
		out = append(out, s)
	}
	return out, nil
}

// SetDefaultPods replaces what [Manager.Init] creates from now on. Init tells
// what is wrong with them.
func (m *Manager) SetDefaultPods(pods []PodSpec) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.defaults = pods
}

// CreatePod makes a pod without nodes. It returns [Faults], [ErrExists],
// [ErrConflict] when a front's name or address is taken, or [ErrBalancer]. On an
// error nothing was made; where ctx ended first, it may be.
func (m *Manager) CreatePod(ctx context.Context, spec PodSpec) (PodStatus, error) {
	if err := m.validate(spec); err != nil {
		return PodStatus{}, err
	}
	if err := m.check(); err != nil {
		return PodStatus{}, err
	}
	spec = spec.Clone().WithDefaults()
	release, err := m.claims.Want(spec.Name, balancerFronts(spec.Fronts))
	if err != nil {
		return PodStatus{}, refuse(ErrConflict, "%v", err)
	}
	defer release()
	l, id, answer, err := m.begin(reconcile.Command{Kind: reconcile.CommandCreate, Spec: &spec, Cause: m.trace.Cause(ctx)})
	if err != nil {
		return PodStatus{}, err
	}
	s, _, err := l.await(ctx, id, answer)
	return s, err
}

// begin starts the loop of a pod with the command to create it. The loop ends by
// itself where the pod cannot be.
func (m *Manager) begin(create reconcile.Command) (*loop, uint64, <-chan reply, error) {
	name := create.Spec.Name
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.pods[name]; l != nil && l.board.status() == nil {
		return nil, 0, nil, refuse(ErrExists, "pod %q is being created", name)
	} else if l != nil {
		return nil, 0, nil, refuse(ErrExists, "pod %q exists already", name)
	}
	l := newLoop(context.Background(), m, name, PodRecord{})
	id, answer := l.box.post(create)
	m.addLoop(l)
	if !m.life.spawn(l.run) {
		m.dropLoop(l)
		return nil, 0, nil, ErrNotRunning
	}
	return l, id, answer, nil
}

// addLoop and dropLoop change which pods there are; the caller holds mu.
func (m *Manager) addLoop(l *loop)  { m.pods[l.name] = l }
func (m *Manager) dropLoop(l *loop) { delete(m.pods, l.name) }

// forget removes a loop that has ended, whose pod is gone or was never made.
func (m *Manager) forget(l *loop) {
	m.claims.Set(l.name, nil)
	m.ledger.Set(l.name, nil)
	m.mu.Lock()
	m.dropLoop(l) // last: another pod may have the name from now on
	m.mu.Unlock()
	if l.board.status() != nil {
		m.images.Soon()
		m.events.Emit(Event{Type: EventPodDeleted, Pod: l.name, Message: "pod " + l.name + " is gone"})
	}
}

// validate checks a spec, and that the hosts that it names exist.
func (m *Manager) validate(spec PodSpec) error {
	var f Faults
	f.NestErr("", spec.Validate())
	for _, h := range spec.Hosts {
		if pod.ValidName(h) && m.host(h) == nil {
			f.Add("hosts", "name hosts of the cluster, or add it first", "there is no host %q", h)
		}
	}
	return f.Err()
}

// UpdatePod replaces the spec of the pod of that name. A changed workload or
// changed limits are a new revision: its nodes are replaced as the spec's
// [Update] says, which is a rollout. Fronts that are not in the spec any more drain,
// and are removed after that. It returns [Faults], [ErrNotFound], [ErrConflict] when
// a front's name or address is taken or the pod is being deleted, or [ErrBalancer].
func (m *Manager) UpdatePod(ctx context.Context, spec PodSpec) (PodStatus, error) {
	l, err := m.loop(spec.Name)
	if err != nil {
		return PodStatus{}, err
	}
	if err := m.validate(spec); err != nil {
		return PodStatus{}, err
	}
	spec = spec.Clone().WithDefaults()
	release, err := m.claims.Want(spec.Name, balancerFronts(spec.Fronts))
	if err != nil {
		return PodStatus{}, refuse(ErrConflict, "%v", err)
	}
	defer release()
	s, _, err := l.command(ctx, reconcile.Command{Kind: reconcile.CommandUpdate, Spec: &spec})
	return s, err
}

// RestartPod replaces all nodes of a pod by new ones of the same spec, as its
// [Update] says: it makes a new revision, for which the tag of the image is looked
// up anew. It returns [ErrNotFound], or [ErrConflict] when the pod is being deleted.
func (m *Manager) RestartPod(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandRestart})
}

// DeletePod begins to delete a pod: its nodes are drained and stopped, then its
// fronts and the pod itself are removed. It also finishes after a restart. It
// returns [ErrNotFound], and is idempotent until the pod is gone.
func (m *Manager) DeletePod(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandDelete})
}

// Pause takes all servers of a pod out of the balancer, drained, so that its
// fronts answer 503; its nodes run on and their number stays. It is idempotent.
func (m *Manager) Pause(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandPause, On: true})
}

// Resume puts the servers of a paused pod back. It is idempotent.
func (m *Manager) Resume(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandPause})
}

// PauseRollout halts a rollout where it is: old and new nodes keep their share
// while the pod grows and shrinks, and none is replaced by the other kind. It is
// idempotent, and returns [ErrNotFound], or [ErrConflict] when there is no rollout
// under way.
func (m *Manager) PauseRollout(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandRollout, On: true})
}

// ResumeRollout lets a paused rollout go on. It is idempotent, and returns like
// [Manager.PauseRollout].
func (m *Manager) ResumeRollout(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandRollout})
}

// UndoRollout makes the pod run an earlier revision again: the one whose number
// is given, or with 0 the one that it ran before the last rollout. It returns
// [ErrNotFound], or [ErrConflict] when there is no such revision or the pod's
// fronts do not go with it.
func (m *Manager) UndoRollout(ctx context.Context, name string, number uint64) (PodStatus, error) {
	return m.command(ctx, name, reconcile.Command{Kind: reconcile.CommandUndo, Number: number})
}

// SetElasticity sets whether and how a pod grows and shrinks by itself. Enabling
// it brings the wanted number inside the bounds at once. The policy is a value, of a
// kind that [Manager.Policies] knows and that marshals to its JSON, or that JSON. It
// returns [Faults], [ErrNotFound] or [ErrConflict].
func (m *Manager) SetElasticity(ctx context.Context, name string, e Elasticity) (PodStatus, error) {
	l, err := m.loop(name)
	if err != nil {
		return PodStatus{}, err
	}
	if e, err = e.Stored(m.cfg.Policies); err != nil {
		return PodStatus{}, err
	}
	spec := l.board.status().Spec.Spec
	if e = e.For(spec); l.board.status().State != PodDeleting {
		if err := e.ValidateFor(spec, m.cfg.Policies); err != nil {
			return PodStatus{}, err
		}
	}
	s, _, err := l.command(ctx, reconcile.Command{Kind: reconcile.CommandElasticity, Elasticity: &e})
	return s, err
}

// command sends a command to the loop of a pod and returns the pod as it is then.
func (m *Manager) command(ctx context.Context, name string, c reconcile.Command) (PodStatus, error) {
	l, err := m.loop(name)
	if err != nil {
		return PodStatus{}, err
	}
	s, _, err := l.command(ctx, c)
	return s, err
}

// WaitPod blocks until done says so of the pod's status, and returns that. It
// returns [ErrNotFound] when the pod is gone, [ErrNotRunning] when the manager
// stops, or ctx's error with the last status.
func (m *Manager) WaitPod(ctx context.Context, name string, done func(PodStatus) bool) (PodStatus, error) {
	l, err := m.loop(name)
	if err != nil {
		return PodStatus{}, err
	}
	for {
		s, changed := l.board.next()
		if done(*s) {
			return *s, nil
		}
		select {
		case <-changed:
		case <-l.done:
			return *s, l.over()
		case <-ctx.Done():
			return *s, ctx.Err()
		}
	}
}

// neededImages returns the names of the images that pods run, may go back to, or
// are about to run.
func (m *Manager) neededImages() []string {
	var names []string
	for _, s := range m.Pods() {
		for back := range s.Revisions {
			r := &s.Revisions[len(s.Revisions)-1-back]
			if back < m.cfg.KeepImages || r.Number == s.Revision || s.runs(r.Number) {
				names = append(names, r.Workload.Image, pod.PinnedImage(r.Workload.Image, r.Digest))
			}
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

// runs says whether a node has the revision, or a rollout goes on from it or to it.
func (s *PodStatus) runs(revision uint64) bool {
	if r := s.Rollout; r != nil && !r.State.Over() && (r.From == revision || r.To == revision) {
		return true
	}
	return slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.Revision == revision })
}
