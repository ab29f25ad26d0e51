package cms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

// host is a host of the cluster. Who holds the token in editing may change its
// record, durably.
type host struct {
	*watch.Host
	editing chan struct{}
}

// addHost and dropHost change which hosts there are; the caller holds mu.
func (m *Manager) addHost(h *host) {
	m.hosts[h.Name] = h
	m.sortHosts()
}

func (m *Manager) dropHost(h *host) {
	delete(m.hosts, h.Name)
	m.sortHosts()
}

func (m *Manager) sortHosts() {
	m.sorted = slices.SortedFunc(maps.Values(m.hosts), func(a, b *host) int { return cmp.Compare(a.Name, b.Name) })
}

func (m *Manager) newHost(rec HostRecord) *host {
	return &host{Host: watch.NewHost(rec, watch.HostConfig{
		Cluster: m.cluster, Open: m.cfg.OpenRuntime, Clock: m.clock, Tick: m.cfg.Tick, Log: m.cfg.Logger, Observed: m.hostObserved,
	}), editing: make(chan struct{}, 1)}
}

// host returns a host, or nil.
func (m *Manager) host(name string) *host {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.hosts[name]
}

// watchedHost returns the same for rooms below.
func (m *Manager) watchedHost(name string) *watch.Host {
	if h := m.host(name); h != nil {
		return h.Host
	}
	return nil
}

// hostList returns all hosts, sorted by name. The list is never changed.
func (m *Manager) hostList() []*host {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.sorted
}

func (m *Manager) watched() []*watch.Host {
	var out []*watch.Host
	for _, h := range m.hostList() {
		out = append(out, h.Host)
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
		return HostStatus{}, noHost(name)
	}
	return m.hostStatus(h), nil
}

func (m *Manager) hostStatus(h *host) HostStatus {
	rec, v := h.Record(), h.View()
	used := m.ledger.On(h.Name)
	s := HostStatus{
		Host: rec.Host, Draining: rec.Draining, Reserved: used.Res, Nodes: used.Nodes, Collected: m.images.Collected(h.Name),
		Fault: Reason{Code: reconcile.FaultUnreachable, Text: "it has not been observed yet"},
	}
	if v != nil {
		s.Since, s.Capacity, s.Used, s.Engine = v.Since, v.Host.Capacity, v.Host.Used, v.Host.Engine
		s.Reachable, s.Fault = v.Err == nil, v.Fault
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
	m.mu.Lock()
	if m.hosts[spec.Name] != nil || m.adding[spec.Name] {
		m.mu.Unlock()
		return HostStatus{}, refuse(ErrExists, "host %q exists already", spec.Name)
	}
	m.adding[spec.Name] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.adding, spec.Name)
		m.mu.Unlock()
	}()
	h := m.newHost(HostRecord{Host: spec})
	h.Observe(ctx)
	if err := m.admit(h, spec); err != nil {
		h.Close()
		return HostStatus{}, err
	}
	m.events.Emit(Event{Type: EventHostAdded, Host: spec.Name, Message: fmt.Sprintf("host %s was added", spec.Name)})
	m.wakeAll()
	return m.hostStatus(h), nil
}

// admit makes a host that answers one of the cluster's.
func (m *Manager) admit(h *host, spec pod.Host) error {
	if v := h.View(); v.Err != nil {
		return refuse(ErrConflict, "host %s was not added: it does not answer: %s", spec.Name, v.Fault.Text)
	}
	if twin := m.twin(h); twin != "" {
		return refuse(ErrConflict, "host %s was not added: it is the machine that is here as host %s", spec.Name, twin)
	}
	if err := m.store.save(Change{PutHosts: []HostRecord{{Host: spec}}}); err != nil {
		return unsaved(err)
	}
	m.mu.Lock()
	closing := m.life.now().closing
	if !closing {
		m.addHost(h)
		m.poll(h, nil)
	}
	m.mu.Unlock()
	if !closing {
		return nil
	}
	if err := m.store.save(Change{DeleteHosts: []string{spec.Name}}); err != nil {
		m.cfg.Logger.Warn("a host that was not added is in the store", "host", spec.Name, "error", err)
	}
	return ErrNotRunning
}

func noHost(name string) error { return refuse(ErrNotFound, "there is no host %q", name) }

// unsaved says that a change could not be saved.
func unsaved(err error) error {
	return refuse(errors.Join(ErrUnsaved, err), "nothing can be saved, so nothing was changed: %s", faults.Or(reconcile.FaultStore, err).Text)
}

// twin returns the name of the host that shows the same nodes: the same machine
// under another name. Each node would seem to be in the wrong place on one.
func (m *Manager) twin(h *host) string {
	for _, other := range m.hostList() {
		v := other.View()
		if v == nil {
			continue
		}
		for _, nodes := range v.Pods {
			for _, n := range nodes {
				if same, ok := h.View().Node(n.ID); ok && same.Handle == n.Handle {
					return other.Name
				}
			}
		}
	}
	return ""
}

// CordonHost makes a host take no new nodes, or take them again. It returns
// [ErrNotFound].
func (m *Manager) CordonHost(ctx context.Context, name string, cordoned bool) (HostStatus, error) {
	h, err := m.editHost(ctx, name, func(r *HostRecord) { r.Host.Cordoned = cordoned })
	if err != nil {
		return HostStatus{}, err
	}
	text := "takes nodes again"
	if cordoned {
		text = "takes no new nodes"
	}
	m.events.Emit(Event{Type: EventHostUpdated, Host: name, Message: fmt.Sprintf("host %s %s", name, text)})
	m.wakeAll()
	return m.hostStatus(h), nil
}

// RemoveHost removes a host. While nodes are there it returns [ErrConflict],
// unless drain is set: then they are replaced elsewhere first, and the host is
// removed when the last has gone. It returns [ErrNotFound].
func (m *Manager) RemoveHost(ctx context.Context, name string, drain bool) (HostStatus, error) {
	h := m.host(name)
	if h == nil {
		return HostStatus{}, noHost(name)
	}
	if slices.ContainsFunc(m.cfg.Hosts, func(c pod.Host) bool { return c.Name == name }) {
		return HostStatus{}, refuse(ErrConflict, "host %s is in the configuration file or the defaults that the manager was started with; remove it there, or cordon it", name)
	}
	if n := m.ledger.On(name).Nodes; n > 0 && !drain {
		return HostStatus{}, refuse(ErrConflict, "host %s has %d nodes; remove it with drain, which moves them first", name, n)
	}
	if _, err := m.editHost(ctx, name, func(r *HostRecord) { r.Draining = true }); err != nil {
		return HostStatus{}, err
	}
	m.wakeAll()
	h.Kick()
	return m.hostStatus(h), nil
}

// editHost changes the record of a host, durably.
func (m *Manager) editHost(ctx context.Context, name string, edit func(*HostRecord)) (*host, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	h := m.host(name)
	if h == nil {
		return nil, noHost(name)
	}
	select {
	case h.editing <- struct{}{}:
		defer func() { <-h.editing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m.host(name) != h {
		return nil, noHost(name) // removed meanwhile
	}
	rec := h.Record()
	edit(&rec)
	if reflect.DeepEqual(rec, h.Record()) {
		return h, nil
	}
	if err := m.store.save(Change{PutHosts: []HostRecord{rec}}); err != nil {
		return nil, unsaved(err)
	}
	h.SetRecord(rec)
	return h, nil
}
