package cms

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// releaseClaims gives back what a pod had claimed; the caller holds mu.
func (m *Manager) releaseClaims(name string) {
	for what, owner := range m.claims {
		if owner == name {
			delete(m.claims, what)
		}
	}
}

// setFronts makes fronts be there and returns those that it made, also on an
// error.
func (m *Manager) setFronts(ctx context.Context, fronts []Front) ([]Front, error) {
	var made []Front
	for _, f := range fronts {
		if err := m.cfg.Balancer.SetFront(ctx, f.Front); err != nil {
			if errors.Is(err, balancer.ErrAddressInUse) {
				return made, fmt.Errorf("%w: another program listens on %s; choose another address for front %s, or end that program", ErrConflict, f.Listen, f.Name)
			}
			return made, fmt.Errorf("front %s: %w", f.Name, err)
		}
		made = append(made, f)
	}
	return made, nil
}

// removeFronts takes back fronts, when what they were for failed.
func (m *Manager) removeFronts(fronts []Front) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	for _, f := range fronts {
		if err := m.cfg.Balancer.RemoveFront(ctx, f.Name); err != nil {
			m.cfg.Logger.Warn("remove a front", "front", f.Name, "error", err)
		}
	}
}

// restore takes back the fronts of an update that failed.
func (m *Manager) restore(l *loop, old PodSpec, changed []Front) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	for _, f := range changed {
		i := slices.IndexFunc(old.Fronts, func(o Front) bool { return o.Name == f.Name })
		if i < 0 {
			m.removeFronts([]Front{f})
		} else if err := m.cfg.Balancer.SetFront(ctx, old.Fronts[i].Front); err != nil {
			m.cfg.Logger.Warn("restore a front", "front", f.Name, "error", err)
		}
	}
	m.reclaim(l.name, old)
}

// reclaim makes the claims of a pod be those of its spec.
func (m *Manager) reclaim(name string, spec PodSpec) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.releaseClaims(name)
	for _, f := range spec.Fronts {
		m.claims["name "+f.Name] = name
		m.claims["listen "+f.Listen] = name
	}
}

// without returns the fronts in a that are not, just so, in b.
func without(a, b []Front) []Front {
	return slices.DeleteFunc(slices.Clone(a), func(f Front) bool { return slices.Contains(b, f) })
}

// restoreFronts makes the fronts of all pods be there, and no others. What
// fails is tried again by the loops.
func (m *Manager) restoreFronts(ctx context.Context, pods []PodRecord) {
	known := map[string]bool{}
	for _, p := range pods {
		for _, f := range p.Spec.Fronts {
			known[f.Name] = true
			if err := m.cfg.Balancer.SetFront(ctx, f.Front); err != nil {
				m.cfg.Logger.Warn("restore a front", "pod", p.Spec.Name, "front", f.Name, "error", err)
			}
		}
	}
	stats, err := m.cfg.Balancer.Observe(ctx)
	if err != nil {
		return // an empty balancer that is not running yet
	}
	for _, f := range stats.Fronts {
		if !known[f.Name] {
			m.cfg.Logger.Warn("remove a front that no pod has", "front", f.Name)
			if err := m.cfg.Balancer.RemoveFront(ctx, f.Name); err != nil {
				m.cfg.Logger.Warn("remove a front", "front", f.Name, "error", err)
			}
		}
	}
}
