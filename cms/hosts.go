package cms

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/elastipod/elastipod/pod"
)

// startHosts starts the pollers of all hosts and waits a while for their first
// observations. Hosts of the configuration go before those of the store.
func (m *Manager) startHosts(ctx context.Context, polling *sync.WaitGroup, stored []HostRecord) error {
	records := map[string]HostRecord{}
	for _, r := range stored {
		records[r.Host.Name] = r
	}
	for _, h := range m.cfg.Hosts {
		r := HostRecord{Host: h.WithDefaults()}
		if old, ok := records[h.Name]; ok {
			r.Host.Cordoned = r.Host.Cordoned || old.Host.Cordoned
			r.Images = old.Images
		}
		records[h.Name] = r
	}
	if len(records) > 0 {
		if err := m.save(Change{PutHosts: slices.Collect(maps.Values(records))}); err != nil {
			return fmt.Errorf("cms: save hosts: %w", err)
		}
	}
	wait, cancel := context.WithTimeout(ctx, adoptWait)
	defer cancel()
	var firsts []chan struct{}
	m.mu.Lock()
	m.poll = func(h *host, first chan<- struct{}) {
		hctx, stop := context.WithCancel(ctx)
		h.stop = stop
		polling.Go(func() {
			defer stop()
			h.run(hctx, m.epoch, first)
		})
	}
	names := slices.Sorted(maps.Keys(records))
	for _, name := range names {
		h := m.newHost(records[name])
		first := make(chan struct{})
		firsts = append(firsts, first)
		m.hosts[name] = h
		m.poll(h, first)
	}
	m.mu.Unlock()
	for i, first := range firsts {
		select {
		case <-first:
		case <-wait.Done():
			m.cfg.Logger.Warn("a host has not answered yet; going on without it", "host", names[i])
			return ctx.Err()
		}
	}
	return nil
}

func (m *Manager) newHost(rec HostRecord) *host {
	return &host{
		name:     rec.Host.Name,
		cluster:  m.cluster,
		clock:    m.clock,
		open:     m.cfg.OpenRuntime,
		tick:     m.cfg.Tick,
		log:      m.cfg.Logger,
		observed: m.hostObserved,
		rec:      rec,
		kicks:    make(chan struct{}, 1),
		back:     make(chan struct{}, 1),
		editing:  make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
}

// host returns a host, or nil.
func (m *Manager) host(name string) *host {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.hosts[name]
}

// hostList returns all hosts, sorted by name.
func (m *Manager) hostList() []*host {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.hosts), func(a, b *host) int { return cmp.Compare(a.name, b.name) })
}

// candidates returns the hosts that a pod may use.
func (m *Manager) candidates(s pod.Spec) []candidate {
	var out []candidate
	for _, h := range m.hostList() {
		if len(s.Hosts) == 0 || slices.Contains(s.Hosts, h.name) {
			out = append(out, h.candidate())
		}
	}
	return out
}

// Hosts returns all hosts, sorted by name.
func (m *Manager) Hosts() []HostStatus {
	var out []HostStatus
	for _, h := range m.hostList() {
		out = append(out, m.hostStatus(h))
	}
	return out
}

// Host returns one host. It returns [ErrNotFound].
func (m *Manager) Host(name string) (HostStatus, error) {
	h := m.host(name)
	if h == nil {
		return HostStatus{}, fmt.Errorf("host %q: %w", name, ErrNotFound)
	}
	return m.hostStatus(h), nil
}

func (m *Manager) hostStatus(h *host) HostStatus {
	rec, v := h.record(), h.view.Load()
	s := HostStatus{Host: rec.Host, Draining: rec.Draining, Error: "not observed yet"}
	s.Reserved, s.Nodes = m.placer.on(h.name)
	s.Collected = h.collectedSoFar()
	if v == nil {
		return s
	}
	s.Since, s.Capacity, s.Used, s.Engine = v.since, v.host.Capacity, v.host.Used, v.host.Engine
	s.Reachable, s.Error = v.err == nil, ""
	if v.err != nil {
		s.Error = v.err.Error()
	}
	return s
}

// AddHost adds a host, which must answer. It returns [Faults], [ErrExists], or
// [ErrConflict] when the host does not answer or belongs to another manager.
func (m *Manager) AddHost(ctx context.Context, spec pod.Host) (HostStatus, error) {
	spec = spec.WithDefaults()
	if err := spec.Validate(); err != nil {
		return HostStatus{}, err
	}
	if err := m.check(); err != nil {
		return HostStatus{}, err
	}
	claim := "host " + spec.Name
	m.mu.Lock()
	if m.hosts[spec.Name] != nil || m.claims[claim] != "" {
		m.mu.Unlock()
		return HostStatus{}, fmt.Errorf("host %q: %w", spec.Name, ErrExists)
	}
	m.claims[claim] = claim // no pod has such a name
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.claims, claim)
		m.mu.Unlock()
	}()
	h := m.newHost(HostRecord{Host: spec})
	h.observe(ctx)
	if v := h.view.Load(); v.err != nil {
		h.close()
		return HostStatus{}, fmt.Errorf("%w: host %s was not added: %w", ErrConflict, spec.Name, v.err)
	}
	if twin := m.twin(h); twin != "" {
		h.close()
		return HostStatus{}, fmt.Errorf("%w: host %s was not added: it is the machine that is here as host %s", ErrConflict, spec.Name, twin)
	}
	if err := m.save(Change{PutHosts: []HostRecord{{Host: spec}}}); err != nil {
		h.close()
		return HostStatus{}, fmt.Errorf("save host %s: %w", spec.Name, err)
	}
	m.mu.Lock()
	if m.closing {
		m.mu.Unlock()
		h.close()
		if err := m.save(Change{DeleteHosts: []string{spec.Name}}); err != nil {
			return HostStatus{}, fmt.Errorf("%w; it will be there after the next start: %w", ErrNotRunning, err)
		}
		return HostStatus{}, ErrNotRunning
	}
	m.hosts[spec.Name] = h
	m.poll(h, nil)
	m.mu.Unlock()
	m.events.emit(Event{Type: EventHostAdded, Host: spec.Name, Message: fmt.Sprintf("host %s was added", spec.Name)})
	m.wakeAll()
	return m.hostStatus(h), nil
}

// twin returns the name of the host that shows the same nodes: the same machine
// under another name. Each node would seem to be in the wrong place on one.
func (m *Manager) twin(h *host) string {
	nodes := h.view.Load().nodes
	for _, other := range m.hostList() {
		v := other.view.Load()
		if v == nil {
			continue
		}
		for id, n := range v.nodes {
			if same, ok := nodes[id]; ok && same.Handle == n.Handle {
				return other.name
			}
		}
	}
	return ""
}

// CordonHost makes a host take no new nodes, or take them again. It returns
// [ErrNotFound].
func (m *Manager) CordonHost(_ context.Context, name string, cordoned bool) (HostStatus, error) {
	h, err := m.editHost(name, func(r *HostRecord) { r.Host.Cordoned = cordoned })
	if err != nil {
		return HostStatus{}, err
	}
	text := "takes nodes again"
	if cordoned {
		text = "takes no new nodes"
	}
	m.events.emit(Event{Type: EventHostUpdated, Host: name, Message: fmt.Sprintf("host %s %s", name, text)})
	m.wakeAll()
	return m.hostStatus(h), nil
}

// RemoveHost removes a host. While nodes are there it returns [ErrConflict],
// unless drain is set: then they are replaced elsewhere first, and the host is
// removed when the last has gone. It returns [ErrNotFound].
func (m *Manager) RemoveHost(_ context.Context, name string, drain bool) (HostStatus, error) {
	h := m.host(name)
	if h == nil {
		return HostStatus{}, fmt.Errorf("host %q: %w", name, ErrNotFound)
	}
	if slices.ContainsFunc(m.cfg.Hosts, func(c pod.Host) bool { return c.Name == name }) {
		return HostStatus{}, fmt.Errorf("%w: host %s is in the configuration file or the defaults that the manager was started with; remove it there, or cordon it", ErrConflict, name)
	}
	if _, n := m.placer.on(name); n > 0 && !drain {
		return HostStatus{}, fmt.Errorf("%w: host %s has %d nodes; remove it with drain, which moves them first", ErrConflict, name, n)
	}
	if _, err := m.editHost(name, func(r *HostRecord) { r.Draining = true }); err != nil {
		return HostStatus{}, err
	}
	m.wakeAll()
	h.kick()
	return m.hostStatus(h), nil
}

// editHost changes the record of a host, durably.
func (m *Manager) editHost(name string, edit func(*HostRecord)) (*host, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	h := m.host(name)
	if h == nil {
		return nil, fmt.Errorf("host %q: %w", name, ErrNotFound)
	}
	h.editing <- struct{}{}
	defer func() { <-h.editing }()
	if m.host(name) != h {
		return nil, fmt.Errorf("host %q: %w", name, ErrNotFound) // removed meanwhile
	}
	rec := h.record()
	edit(&rec)
	if err := m.save(Change{PutHosts: []HostRecord{rec}}); err != nil {
		return nil, fmt.Errorf("save host %s: %w", name, err)
	}
	h.setRecord(rec)
	return h, nil
}

// finishRemoval removes a draining host once nothing of ours is on it, or seems
// to be where it does not answer. It is called by the host's own poller.
func (m *Manager) finishRemoval(h *host) {
	if !h.record().Draining {
		return
	}
	select {
	case h.editing <- struct{}{}:
		defer func() { <-h.editing }()
	default:
		return // somebody changes it; the next observation comes soon
	}
	if _, n := m.placer.on(h.name); n > 0 {
		return
	}
	if v := h.view.Load(); v.err == nil && len(v.nodes) > 0 {
		return // what nobody knows there is being stopped
	}
	m.collectLast(h)
	if err := m.save(Change{DeleteHosts: []string{h.name}}); err != nil {
		m.cfg.Logger.Warn("remove host", "host", h.name, "error", err)
		return
	}
	m.mu.Lock()
	delete(m.hosts, h.name)
	m.mu.Unlock()
	h.stop()
	m.events.emit(Event{Type: EventHostRemoved, Host: h.name, Message: fmt.Sprintf("host %s was removed", h.name)})
}

func (m *Manager) wakeAll() {
	for _, l := range m.loops() {
		l.wake()
	}
}
