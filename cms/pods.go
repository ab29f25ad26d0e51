package cms

import (
	"context"
	"errors"
	"fmt"

	"github.com/elastipod/elastipod/pod"
)

// Pods returns all pods, sorted by name.
func (m *Manager) Pods() []PodStatus {
	loops := m.loops()
	out := make([]PodStatus, 0, len(loops))
	for _, l := range loops {
		out = append(out, *l.status.Load())
	}
	return out
}

// Pod returns one pod. It returns [ErrNotFound].
func (m *Manager) Pod(name string) (PodStatus, error) {
	m.mu.RLock()
	l, ok := m.pods[name]
	m.mu.RUnlock()
	if !ok {
		return PodStatus{}, fmt.Errorf("pod %q: %w", name, ErrNotFound)
	}
	return *l.status.Load(), nil
}

// Init creates those default pods that are missing, and returns all of them. It
// is idempotent.
func (m *Manager) Init(ctx context.Context) ([]PodStatus, error) {
	var out []PodStatus
	m.mu.RLock()
	defaults := m.cfg.DefaultPods
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
	m.cfg.DefaultPods = pods
}

// CreatePod makes a pod without nodes. It returns [Faults], [ErrExists], or
// [ErrConflict] when a front's name or address is taken. On an error nothing
// was made.
func (m *Manager) CreatePod(ctx context.Context, spec PodSpec) (PodStatus, error) {
	if err := m.validate(spec); err != nil {
		return PodStatus{}, err
	}
	spec = spec.Clone().WithDefaults()
	rec := PodRecord{Spec: spec, CreatedAt: m.clock.wall().UTC(), Elasticity: Elasticity{}.For(spec.Spec)}
	rec.remember("created", rec.CreatedAt)
	if err := m.check(); err != nil {
		return PodStatus{}, err
	}
	if err := m.claim(spec, true); err != nil {
		return PodStatus{}, err
	}
	l := newLoop(m, rec, nil)
	err := m.setFronts(ctx, spec.Fronts)
	if err == nil {
		err = m.save(Change{PutPods: []PodRecord{rec}})
	}
	m.mu.Lock()
	if err == nil && m.closing {
		m.mu.Unlock()
		err = ErrNotRunning
		if undo := m.save(Change{DeletePods: []string{spec.Name}}); undo != nil {
			err = fmt.Errorf("%w; it will be there after the next start: %w", err, undo)
		}
		m.mu.Lock()
	}
	if err != nil {
		m.mu.Unlock()
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
		defer cancel()
		m.abandon(spec.Name, nil, m.removeFronts(rctx, spec.Fronts))
		return PodStatus{}, fmt.Errorf("create pod %s: %w", spec.Name, err)
	}
	m.startLoop(l)
	m.mu.Unlock()
	m.events.emit(Event{Type: EventPodCreated, Pod: spec.Name, Message: fmt.Sprintf("pod %s was created", spec.Name)})
	return *l.status.Load(), nil
}

// validate checks a spec, and that the hosts that it names exist.
func (m *Manager) validate(spec PodSpec) error {
	var f Faults
	nest(&f, "", spec.Validate())
	for _, h := range spec.Hosts {
		if pod.ValidName(h) && m.host(h) == nil {
			f.Add("hosts", "name hosts of the cluster, or add it first", "there is no host %q", h)
		}
	}
	return f.Err()
}

// UpdatePod replaces the spec of the pod of that name. A changed workload or
// changed limits are a new revision: its nodes are replaced as the spec's
// [Update] says, which is a rollout. It returns [Faults], [ErrNotFound], or [ErrConflict] when a
// front's name or address is taken or the pod is being deleted.
func (m *Manager) UpdatePod(ctx context.Context, spec PodSpec) (PodStatus, error) {
	l, err := m.loop(spec.Name)
	if err != nil {
		return PodStatus{}, err
	}
	if err := m.validate(spec); err != nil {
		return PodStatus{}, err
	}
	spec = spec.Clone().WithDefaults()
	if err := l.edit(ctx); err != nil {
		return PodStatus{}, err
	}
	defer l.edited()
	old := l.status.Load().Spec
	if err := l.checkUpdate(spec); err != nil {
		return PodStatus{}, err
	}
	if err := m.claim(spec, false); err != nil {
		return PodStatus{}, err
	}
	changed, gone := without(spec.Fronts, old.Fronts), removed(old.Fronts, spec.Fronts)
	now := changed
	if revisionOf(spec.Spec) != revisionOf(old.Spec) {
		now = unchecked(changed, old.Fronts) // until all nodes are replaced
	}
	if err = m.setFronts(ctx, now); err == nil {
		err = l.do(ctx, func() error { return l.update(spec, changed, gone) })
	}
	if err != nil {
		m.restore(l, old, changed)
		return PodStatus{}, fmt.Errorf("update pod %s: %w", spec.Name, err)
	}
	var busy, left []Front
	if len(gone) > 0 {
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
		busy = m.emptyFronts(rctx, gone)
		gone = removed(gone, busy)
		left = m.removeFronts(rctx, gone)
		cancel()
	}
	// An error says that the loop has ended, and all fronts are set anew when it
	// begins again.
	_ = l.do(context.WithoutCancel(ctx), func() error {
		l.keepUntilEmpty(busy)
		l.frontsRemoved(gone, left)
		return nil
	})
	m.events.emit(Event{Type: EventPodUpdated, Pod: l.name, Message: fmt.Sprintf("pod %s was changed", l.name)})
	return *l.status.Load(), nil
}

// update makes a new spec be that of the pod. Its changed fronts are set; those
// that are gone are still there.
func (l *loop) update(spec PodSpec, changed, gone []Front) error {
	if err := l.checkUpdate(spec); err != nil {
		return err
	}
	before := l.revision
	if err := l.commit(func(r *PodRecord) error {
		r.revise(spec, before, "changed by hand", l.m.clock.wall().UTC())
		r.Elasticity.Max = min(r.Elasticity.Max, spec.MaxNodes)
		r.Elasticity.Min = min(r.Elasticity.Min, r.Elasticity.Max)
		return nil
	}); err != nil {
		return err
	}
	for _, f := range changed {
		delete(l.unset, f.Name)
		delete(l.surplus, f.Name)
		delete(l.emptying, f.Name)
		l.distrust(f.Name)
	}
	for _, f := range gone {
		l.surplus[f.Name] = f
		delete(l.unset, f.Name)
	}
	if l.revision != before {
		l.revised()
	}
	return nil
}

// checkUpdate says what forbids a new spec now.
func (l *loop) checkUpdate(spec PodSpec) error {
	s := l.status.Load()
	var f Faults
	switch {
	case s.State == PodDeleting:
		return fmt.Errorf("%w: pod %s is being deleted", ErrConflict, l.name)
	case spec.Kind != s.Spec.Kind:
		f.Add("kind", "create another pod", "cannot be changed from %s to %s", s.Spec.Kind, spec.Kind)
	}
	if s.Elasticity.Enabled && spec.MaxNodes < s.Elasticity.Max {
		f.Add("max_nodes", fmt.Sprintf("use at least %d, or lower elasticity's max first", s.Elasticity.Max), "%d is below elasticity's max", spec.MaxNodes)
	} else if spec.MaxNodes < s.Want {
		f.Add("max_nodes", fmt.Sprintf("use at least %d, or remove nodes first", s.Want), "%d is below the number of nodes", spec.MaxNodes)
	}
	return f.Err()
}

// DeletePod begins to delete a pod: its nodes are drained and stopped, then its
// fronts and the pod itself are removed. It also finishes after a restart. It
// returns [ErrNotFound], and is idempotent until the pod is gone.
func (m *Manager) DeletePod(ctx context.Context, name string) (PodStatus, error) {
	return m.command(ctx, name, func(l *loop) error {
		if l.rec.Deleting {
			return nil
		}
		if err := l.commit(func(r *PodRecord) error { r.Deleting = true; return nil }); err != nil {
			return err
		}
		m.events.emit(Event{Type: EventPodDeleting, Pod: name, Message: fmt.Sprintf("pod %s is being deleted", name)})
		return nil
	})
}

// deletePod removes the last of a pod: its fronts, then its record.
func (m *Manager) deletePod(ctx context.Context, name string, fronts []Front) error {
	for _, f := range fronts {
		rctx, cancel := context.WithTimeout(ctx, applyTimeout)
		err := m.cfg.Balancer.RemoveFront(rctx, f.Name)
		cancel()
		if err != nil {
			return fmt.Errorf("remove front %s: %w", f.Name, err)
		}
	}
	return m.save(Change{DeletePods: []string{name}})
}

// command runs f inside the loop of a pod and returns the pod as it is then.
func (m *Manager) command(ctx context.Context, name string, f func(l *loop) error) (PodStatus, error) {
	l, err := m.loop(name)
	if err != nil {
		return PodStatus{}, err
	}
	if err := l.do(ctx, func() error { return f(l) }); err != nil {
		return PodStatus{}, err
	}
	return *l.status.Load(), nil
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
		s, changed := l.next()
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
