package cms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// claim takes the names and addresses of a pod's fronts, all or none, and with
// fresh set the pod's name.
func (m *Manager) claim(spec PodSpec, fresh bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if fresh {
		if _, ok := m.pods[spec.Name]; ok {
			return fmt.Errorf("pod %q: %w", spec.Name, ErrExists)
		}
		if m.claims["pod "+spec.Name] != "" {
			return fmt.Errorf("pod %q: %w: it is being created", spec.Name, ErrExists)
		}
	}
	for _, f := range spec.Fronts {
		if err := m.renamed(spec.Name, f); err != nil {
			return err
		}
		if owner := m.claims["name "+f.Name]; owner != "" && owner != spec.Name {
			return fmt.Errorf("%w: pod %s has a front named %q already; choose another name", ErrConflict, owner, f.Name)
		}
		if owner := m.claims["listen "+f.Listen]; owner != "" && owner != spec.Name {
			return fmt.Errorf("%w: pod %s has a front on %s already; choose another address", ErrConflict, owner, f.Listen)
		}
	}
	if fresh {
		m.claims["pod "+spec.Name] = spec.Name
	}
	for _, f := range spec.Fronts {
		m.claims["name "+f.Name] = spec.Name
		m.claims["listen "+f.Listen] = spec.Name
	}
	return nil
}

// renamed says that another front of the same pod listens where this one shall:
// a new front is made before an old one goes. The caller holds mu.
func (m *Manager) renamed(podName string, f Front) error {
	l := m.pods[podName]
	if l == nil {
		return nil
	}
	for _, old := range l.status.Load().Spec.Fronts {
		if old.Name != f.Name && old.Listen == f.Listen {
			return fmt.Errorf("%w: front %s of pod %s listens on %s until the change is done; give front %s another address, or remove %s in a change of its own first",
				ErrConflict, old.Name, podName, f.Listen, f.Name, old.Name)
		}
	}
	return nil
}

// releaseClaims gives back what a pod had claimed; the caller holds mu.
func (m *Manager) releaseClaims(name string) {
	for what, owner := range m.claims {
		if owner == name {
			delete(m.claims, what)
		}
	}
}

// setFronts makes fronts be there; on an error, some of them.
func (m *Manager) setFronts(ctx context.Context, fronts []Front) error {
	for _, f := range fronts {
		if err := m.cfg.Balancer.SetFront(ctx, f.Front); err != nil {
			if errors.Is(err, balancer.ErrAddressInUse) {
				return fmt.Errorf("%w: another program listens on %s; choose another address for front %s, or end that program", ErrConflict, f.Listen, f.Name)
			}
			return fmt.Errorf("front %s: %w", f.Name, err)
		}
	}
	return nil
}

// removeFronts removes fronts and returns those that may still be there.
func (m *Manager) removeFronts(ctx context.Context, fronts []Front) (left []Front) {
	for _, f := range fronts {
		if err := m.cfg.Balancer.RemoveFront(ctx, f.Name); err != nil {
			m.cfg.Logger.Warn("remove a front", "front", f.Name, "error", err)
			left = append(left, f)
		}
	}
	return left
}

// restore takes back the fronts of an update that failed.
func (m *Manager) restore(l *loop, old PodSpec, changed []Front) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	var left []Front
	for _, f := range changed {
		i := slices.IndexFunc(old.Fronts, func(o Front) bool { return o.Name == f.Name })
		if i < 0 {
			left = append(left, m.removeFronts(ctx, []Front{f})...)
		} else if err := m.cfg.Balancer.SetFront(ctx, old.Fronts[i].Front); err != nil {
			m.cfg.Logger.Warn("restore a front", "front", f.Name, "error", err)
			_ = l.do(context.WithoutCancel(ctx), func() error { l.unset[f.Name] = true; return nil }) // or the next manager sets it
		}
	}
	var pending []Front // of an earlier update; an error says that the next manager removes them
	_ = l.do(context.WithoutCancel(ctx), func() error { pending = slices.Collect(maps.Values(l.surplus)); return nil })
	m.abandon(l.name, slices.Concat(old.Fronts, pending), left)
}

// reclaim makes the claims of a pod be those of these fronts.
func (m *Manager) reclaim(name string, fronts []Front) { m.abandon(name, fronts, nil) }

// abandon makes the claims of a pod be those of its fronts, and removes others
// that it had and that could not be removed yet, however long that takes; nobody
// may have their names and addresses meanwhile.
func (m *Manager) abandon(name string, fronts, left []Front) {
	claim := func(owner string, f Front) {
		m.claims["name "+f.Name] = owner
		m.claims["listen "+f.Listen] = owner
	}
	m.mu.Lock()
	m.releaseClaims(name)
	for _, f := range fronts {
		claim(name, f)
	}
	for _, f := range left {
		claim("front "+f.Name, f) // no pod has such a name
	}
	m.mu.Unlock()
	for _, f := range left {
		m.spawn(func(ctx context.Context) { m.discard(ctx, f) })
	}
}

// discard removes a front that no pod has, and gives back what it claimed.
func (m *Manager) discard(ctx context.Context, f Front) {
	var pause retry
	for {
		pause.failed(m.clock.now())
		select {
		case <-ctx.Done():
			return // the next manager removes it
		case <-time.After(pause.next.Sub(m.clock.now())):
		}
		rctx, cancel := context.WithTimeout(ctx, applyTimeout)
		left := m.removeFronts(rctx, []Front{f})
		cancel()
		if len(left) == 0 {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.releaseClaims("front " + f.Name)
}

// discardStrays removes the fronts that no pod has, where the balancer did not
// tell of them at the start. It is called after each of its observations.
func (m *Manager) discardStrays() {
	select {
	case <-m.ready: // every pod has claimed its own
	default:
		return
	}
	v := m.balancer.view.Load()
	if v == nil || v.err != nil || !m.strays.Swap(false) {
		return
	}
	for _, f := range v.stats.Fronts {
		m.mu.Lock()
		free := m.claims["name "+f.Name] == ""
		if free {
			m.claims["name "+f.Name] = "front " + f.Name // no pod has such a name
		}
		m.mu.Unlock()
		if free {
			m.cfg.Logger.Warn("remove a front that no pod has", "front", f.Name)
			m.spawn(func(ctx context.Context) {
				m.discard(ctx, Front{Front: balancer.Front{Name: f.Name, Listen: f.Listen}})
			})
		}
	}
}

// without returns the fronts in a that are not, just so, in b.
func without(a, b []Front) []Front {
	return slices.DeleteFunc(slices.Clone(a), func(f Front) bool { return slices.Contains(b, f) })
}

// removed returns the fronts in before whose names are not in after.
func removed(before, after []Front) []Front {
	return slices.DeleteFunc(slices.Clone(before), func(f Front) bool { return named(after, f.Name) })
}

func named(fronts []Front, name string) bool {
	return slices.ContainsFunc(fronts, func(f Front) bool { return f.Name == name })
}

// edit takes the token of those who change the pod's fronts. Who has it gives it
// back with edited. While somebody has it the pod does not end.
func (l *loop) edit(ctx context.Context) error {
	select {
	case l.editing <- struct{}{}:
		return nil
	case <-l.done:
		return l.over()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *loop) edited() {
	<-l.editing
	l.wake() // it may wait for the token
}

// tryEdit takes the token if it is free.
func (l *loop) tryEdit() bool {
	select {
	case l.editing <- struct{}{}:
		return true
	default:
		return false
	}
}

// clearFronts removes the fronts that an update left.
func (l *loop) clearFronts(ctx context.Context, now time.Time) {
	l.followEmptying(now)
	if len(l.surplus) == len(l.emptying) || !l.frontTry.ready(now) || !l.tryEdit() {
		return
	}
	var fronts []Front
	for name, f := range l.surplus {
		if _, busy := l.emptying[name]; !busy {
			fronts = append(fronts, f)
		}
	}
	ctx = below(ctx, l.cause)
	l.action(func() func() {
		rctx, cancel := context.WithTimeout(ctx, applyTimeout)
		defer cancel()
		left := l.m.removeFronts(rctx, fronts)
		return func() {
			l.frontsRemoved(fronts, left)
			l.edited()
		}
	})
}

// frontsRemoved records that fronts which should be gone are, but for those that
// are left. Nobody else may have the names and addresses of any that may still
// be there.
func (l *loop) frontsRemoved(tried, left []Front) {
	for _, f := range tried {
		if !named(left, f.Name) {
			delete(l.surplus, f.Name)
			delete(l.applied, f.Name)
		}
	}
	l.m.reclaim(l.name, slices.AppendSeq(slices.Clone(l.rec.Spec.Fronts), maps.Values(l.surplus)))
	waiting := 0 // to be tried, not to be empty
	for name := range l.surplus {
		if _, busy := l.emptying[name]; !busy {
			waiting++
		}
	}
	switch {
	case waiting == 0:
		l.frontTry.reset()
		delete(l.problems, "fronts")
	case len(left) > 0:
		l.frontTry.failed(l.m.clock.now())
		l.problems["fronts"] = fmt.Sprintf("front %s could not be removed from the balancer", left[0].Name)
	}
}

// restoreFronts makes the fronts of all pods be there, and no others. It
// returns those that could not be set, which the loops try again.
func (m *Manager) restoreFronts(ctx context.Context, pods []PodRecord) map[string]bool {
	known, unset := map[string]bool{}, map[string]bool{}
	set := func(f Front) {
		delete(unset, f.Name)
		sctx, cancel := context.WithTimeout(ctx, applyTimeout)
		defer cancel()
		if err := m.cfg.Balancer.SetFront(sctx, f.Front); err != nil {
			unset[f.Name] = true
			m.cfg.Logger.Warn("restore a front", "front", f.Name, "error", err)
		}
	}
	for _, p := range pods {
		for _, f := range p.frontsNow() {
			known[f.Name] = true
			set(f)
		}
	}
	octx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	stats, err := m.cfg.Balancer.Observe(octx)
	if err != nil {
		m.strays.Store(true) // looked for when the balancer answers
		return unset
	}
	stray := false
	for _, f := range stats.Fronts {
		if !known[f.Name] {
			stray = true
			m.cfg.Logger.Warn("remove a front that no pod has", "front", f.Name)
			rctx, cancel := context.WithTimeout(ctx, applyTimeout)
			left := m.removeFronts(rctx, []Front{{Front: balancer.Front{Name: f.Name, Listen: f.Listen}}})
			cancel()
			m.abandon("", nil, left)
		}
	}
	for _, p := range pods {
		for _, f := range p.frontsNow() {
			if stray && unset[f.Name] {
				set(f) // a stray one may have had its address
			}
		}
	}
	return unset
}
