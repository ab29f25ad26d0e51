package cms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/elastipod/elastipod/cms/internal/act"
	"github.com/elastipod/elastipod/cms/internal/claims"
	"github.com/elastipod/elastipod/cms/internal/clock"
	"github.com/elastipod/elastipod/cms/internal/events"
	"github.com/elastipod/elastipod/cms/internal/images"
	"github.com/elastipod/elastipod/cms/internal/ledger"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// tracerName is the instrumentation scope of the spans.
const tracerName = "github.com/elastipod/elastipod/cms"

// Manager is the resource manager of a cluster. Make one with [New], start it
// with [Manager.Start] or [Manager.Run]; every other method may be called by any
// goroutine. Reading methods never block; writing ones block until the change is
// durable, and answer [ErrNotRunning] before the manager is ready and after it
// stopped.
type Manager struct {
	cfg      Config
	clock    clock.Clock
	trace    act.Tracing
	ledger   *ledger.Ledger
	claims   *claims.Table
	events   *events.Log
	balancer *watch.Balancer
	images   *images.Collector
	store    *storeHealth
	janitor  *janitor
	ports    act.Ports
	life     life
	turned   func(reconcile.World, reconcile.Plan) // for tests: told of each turn

	halting   atomic.Bool   // nodes are being stopped, whatever is wanted
	restoring chan struct{} // a token: who holds it restores a backup

	mu      sync.RWMutex
	cluster pod.Cluster
	pods    map[string]*loop
	hosts   map[string]*host
	sorted  []*host         // by name; replaced, never changed
	adding  map[string]bool // hosts that are being added
	// poll starts the poller of a host; first, which may be nil, is closed after its
	// first observation.
	poll     func(h *host, first chan<- struct{})
	defaults []PodSpec
}

// New makes a manager; it starts nothing. The error holds every fault of the
// configuration as [Faults].
func New(c Config) (*Manager, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cms: config: %w", err)
	}
	m := &Manager{
		cfg:       c,
		clock:     clock.New(c.Wall),
		ledger:    ledger.New(),
		claims:    claims.New(),
		events:    events.New(c.Wall, ErrNotRunning),
		life:      life{ready: make(chan struct{})},
		pods:      map[string]*loop{},
		hosts:     map[string]*host{},
		adding:    map[string]bool{},
		defaults:  c.DefaultPods,
		restoring: make(chan struct{}, 1),
	}
	if c.TracerProvider != nil {
		m.trace = act.Tracing{Tracer: c.TracerProvider.Tracer(tracerName), Cluster: c.Name}
	}
	m.balancer = watch.NewBalancer(watch.BalancerConfig{Balancer: c.Balancer, Clock: m.clock, Tick: c.Tick, Observed: m.balancerObserved, Tell: m.tellIncident})
	m.images = images.New(images.Config{Hosts: m.watched, Needed: m.neededImages, Edit: m.editImages, Removed: m.imageRemoved, Log: c.Logger})
	m.store = newStoreHealth(m)
	m.janitor = &janitor{m: m}
	m.ports = act.Ports{
		Balancer: c.Balancer, Host: m.watchedHost, Clock: m.clock, Tracing: m.trace, Log: c.Logger,
		Pulling: func(pod, node, host, message string) {
			m.events.Emit(Event{Type: EventImagePulling, Pod: pod, Node: node, Host: host, Message: message})
		},
		Fetched: func(h *watch.Host) {
			m.life.spawn(func(context.Context) { m.images.Note(h) }) // a slow store delays no start
		},
	}
	return m, nil
}

// Ready is closed once the state is loaded and what is there is adopted.
func (m *Manager) Ready() <-chan struct{} { return m.life.ready }

// Policies returns the registry of policies.
func (m *Manager) Policies() *elastic.Registry { return m.cfg.Policies }

// loops returns the loops of all pods that were created, sorted by name.
func (m *Manager) loops() []*loop {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.pods), func(a, b *loop) int { return cmp.Compare(a.name, b.name) })
}

// wakeAll makes all loops look at the world now.
func (m *Manager) wakeAll() {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, l := range m.pods {
		l.wake()
	}
}

// check returns [ErrNotRunning] unless the manager takes commands.
func (m *Manager) check() error {
	select {
	case <-m.life.ready:
	default:
		return ErrNotRunning
	}
	if m.life.now().over() {
		return ErrNotRunning
	}
	return nil
}

// loop returns the loop of a pod, for a command.
func (m *Manager) loop(name string) (*loop, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if l := m.created(name); l != nil {
		return l, nil
	}
	return nil, noPod(name)
}

// created returns the loop of a pod that was created, or nil.
func (m *Manager) created(name string) *loop {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if l := m.pods[name]; l != nil && l.board.status() != nil {
		return l
	}
	return nil
}

func noPod(name string) error { return refuse(ErrNotFound, "there is no pod %q", name) }

// Cluster sums up the cluster.
func (m *Manager) Cluster() ClusterStatus {
	m.mu.RLock()
	s := ClusterStatus{Name: m.cfg.Name, ID: m.cluster.ID, StartedAt: m.life.now().wall}
	m.mu.RUnlock()
	for _, p := range m.Pods() {
		s.Pods++
		s.Nodes += len(p.Nodes)
		s.Problems = append(s.Problems, p.Problems...)
	}
	for _, h := range m.Hosts() {
		s.Hosts++
		if !h.Reachable {
			code := ProblemHost
			if h.Fault.Code == reconcile.FaultForeign {
				code = ProblemForeign
			}
			s.Problems = append(s.Problems, Problem{Code: code, Host: h.Host.Name, Fault: h.Fault})
		}
	}
	if f := m.store.fault(); !f.OK() {
		s.Problems = append(s.Problems, Problem{Code: ProblemStore, Fault: f})
	}
	b := m.Balancer()
	if !b.Fault.OK() {
		s.Problems = append(s.Problems, Problem{Code: ProblemBalancer, Fault: b.Fault})
	}
	for _, text := range b.Stats.Problems {
		s.Problems = append(s.Problems, Problem{Code: ProblemBalancerTrouble, Fault: Reason{Code: reconcile.FaultOther, Text: text}})
	}
	return s
}

// Halt stops every node, drained, and returns when none is left or ctx ends.
// The wanted numbers stay in the store: the next manager starts as many again.
// Until then nothing is started.
func (m *Manager) Halt(ctx context.Context) error {
	m.halting.Store(true)
	m.wakeAll()
	for _, l := range m.loops() {
		if _, err := m.WaitPod(ctx, l.name, func(s PodStatus) bool {
			return !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.State.Live() })
		}); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("halt: pod %s: %w", l.name, err)
		}
	}
	return nil
}

// tellIncident tells of what happened to the balancer itself.
func (m *Manager) tellIncident(message string) {
	m.cfg.Logger.Warn(message)
	m.events.Emit(Event{Type: EventBalancerIncident, Message: message})
}

// balancerObserved wakes the loops that wait for requests to end.
func (m *Manager) balancerObserved() {
	m.janitor.lookAtFronts()
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, l := range m.pods {
		if l.waiting.Load() > 0 {
			l.wake()
		}
	}
}

// stamp puts the wall clock's time to what is decided by the steady one.
func (m *Manager) stamp(problems []Problem) []Problem {
	for i := range problems {
		problems[i].Again = m.clock.ToWall(problems[i].Again)
	}
	return problems
}
