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
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

const (
	// adoptWait bounds how long the start waits for hosts that do not answer.
	adoptWait   = 5 * time.Second
	saveTimeout = 10 * time.Second
)

var errStarted = errors.New("cms: the manager was started before")

// Manager is the resource manager of a cluster. Make one with [New], start it
// with [Manager.Start] or [Manager.Run]; every other method may be called by any goroutine.
// Reading methods never block; writing ones block until the change is durable,
// and answer [ErrNotRunning] before the manager is ready and after it stopped.
type Manager struct {
	cfg      Config
	trace    tracing
	placer   *placer
	events   *eventLog
	balancer *balancerPoller
	clock    clock
	stored   storeHealth
	ailing   chan struct{} // signalled when a change could not be saved
	// restoring is a token: who holds it restores a backup.
	restoring chan struct{}
	epoch     time.Time // ticks are multiples of the tick after it
	begun     time.Time // the wall clock at the epoch

	ready chan struct{}
	ended chan struct{}
	// unneeded is told when images may have become so.
	unneeded chan struct{}
	strays   atomic.Bool // fronts that no pod has may be there, and were not looked for
	halting  atomic.Bool // nodes are being stopped, whatever is wanted

	mu      sync.RWMutex
	cluster pod.Cluster
	pods    map[string]*loop
	hosts   map[string]*host
	claims  map[string]string // front's name or address → pod that has it
	started bool
	closing bool            // nothing is spawned any more
	run     context.Context // ends when the manager does
	// poll starts the poller of a host.
	poll    func(h *host, first chan<- struct{})
	running sync.WaitGroup
}

// New makes a manager; it starts nothing. The error holds every fault of the
// configuration as [Faults].
func New(c Config) (*Manager, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("cms: config: %w", err)
	}
	tracing := newTracing(c)
	c = tracing.ports(c)
	m := &Manager{
		cfg:      c,
		trace:    tracing,
		placer:   newPlacer(),
		events:   newEventLog(c.Wall),
		clock:    newClock(c.Wall),
		ready:    make(chan struct{}),
		ended:    make(chan struct{}),
		unneeded: make(chan struct{}, 1),
		pods:     map[string]*loop{},
		hosts:    map[string]*host{},
		claims:   map[string]string{},
		ailing:   make(chan struct{}, 1), restoring: make(chan struct{}, 1),
	}
	m.balancer = &balancerPoller{balancer: c.Balancer, clock: m.clock, tick: c.Tick, observed: m.balancerObserved, tell: m.balancerIncident, kicks: make(chan struct{}, 1)}
	return m, nil
}

// Run loads the state, adopts the nodes and servers that are there, and manages
// the cluster until ctx ends; nodes and servers stay as they are then. It may be
// called once, and returns nil when ctx ended it, after all that it started has
// ended.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	if m.started {
		m.mu.Unlock()
		return errStarted
	}
	m.started = true
	// A span around this call is none of what happens in it.
	ctx, cancel := context.WithCancel(trace.ContextWithSpanContext(ctx, trace.SpanContext{}))
	m.run = ctx
	m.epoch, m.begun = m.clock.now(), m.clock.wall()
	m.mu.Unlock()
	defer func() {
		cancel()
		m.events.close()
		m.running.Wait()
		close(m.ended)
	}()
	state, err := m.cfg.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("cms: load: %w", err)
	}
	if state, err = m.identify(ctx, state); err != nil {
		return err
	}
	m.mu.Lock()
	m.cluster = pod.Cluster{Name: m.cfg.Name, ID: state.ClusterID}
	m.mu.Unlock()
	m.events.resume(state.EventID)
	if err := m.reserveEvents(); err != nil {
		return fmt.Errorf("cms: save: %w", err)
	}

	// Pollers outlive the loops, which need them to end in order.
	pollCtx, stopPolling := context.WithCancel(context.WithoutCancel(ctx))
	var polling sync.WaitGroup
	defer polling.Wait()
	defer stopPolling()
	if err := m.startHosts(pollCtx, &polling, state.Hosts); err != nil {
		return err
	}
	unset := m.restoreFronts(ctx, state.Pods)
	m.balancer.observe(ctx)
	polling.Go(func() { m.balancer.run(pollCtx, m.epoch) })
	polling.Go(func() { m.keepEventIDs(pollCtx) })
	m.running.Go(func() { m.collectImages(ctx) })
	polling.Go(func() { m.tryStore(pollCtx) })

	for _, rec := range state.Pods {
		l := newLoop(m, rec, unset)
		m.mu.Lock()
		m.startLoop(l)
		m.mu.Unlock()
	}
	for _, l := range m.loops() {
		<-l.acted // what the status says is of now, not of when the store was written
	}
	close(m.ready)
	m.cfg.Logger.Info("manager ready", "cluster", m.cfg.Name, "id", state.ClusterID, "pods", len(state.Pods), "took", m.clock.since(m.epoch))
	<-ctx.Done()
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// Start calls [Manager.Run] in the background and returns once the manager is
// ready. When it returns an error, that of Run or of ctx, nothing runs any more.
// Once it has returned, the end of ctx does nothing.
//
// Stop ends the manager and returns the error of Run after all that it started
// has ended; when its own ctx ends first, it returns the error of that, and may
// be called again. Any goroutine may call it, any number of times.
func (m *Manager) Start(ctx context.Context) (stop func(ctx context.Context) error, err error) {
	m.mu.RLock()
	started := m.started
	m.mu.RUnlock()
	if started {
		return nil, errStarted
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	var failed error
	go func() {
		defer close(ended)
		failed = m.Run(run)
	}()
	stop = func(ctx context.Context) error {
		cancel()
		select {
		case <-ended:
		case <-ctx.Done():
			select {
			case <-ended:
			default:
				return fmt.Errorf("cms: the manager has not ended: %w", ctx.Err())
			}
		}
		return failed
	}
	select {
	case <-m.ready:
		return stop, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-ended:
	}
	cancel()
	<-ended
	return nil, errors.Join(err, failed)
}

// spawn runs f with a context that ends with the manager, which waits for it.
// It does nothing once the manager is ending.
func (m *Manager) spawn(f func(ctx context.Context)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.closing {
		m.running.Go(func() { f(m.run) })
	}
}

// Ready is closed once the state is loaded and what is there is adopted.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Policies returns the registry of policies.
func (m *Manager) Policies() *elastic.Registry { return m.cfg.Policies }

// startLoop starts a pod's loop; the caller holds mu.
func (m *Manager) startLoop(l *loop) {
	m.pods[l.name] = l
	for _, f := range l.rec.Spec.Fronts {
		m.claims["name "+f.Name] = l.name
		m.claims["listen "+f.Listen] = l.name
	}
	m.running.Go(func() {
		defer close(l.done) // those who wait find the pod gone
		l.run(m.run)
		if l.finished {
			m.mu.Lock()
			delete(m.pods, l.name)
			m.releaseClaims(l.name)
			m.mu.Unlock()
			m.collectSoon()
			m.events.emit(Event{Type: EventPodDeleted, Pod: l.name, Message: fmt.Sprintf("pod %s is gone", l.name)})
		}
	})
}

// reserveEvents lets the store remember that event ids are in use.
func (m *Manager) reserveEvents() error {
	id := m.events.wanted()
	if err := m.save(Change{EventID: id}); err != nil {
		return err
	}
	m.events.reserve(id)
	return nil
}

func (m *Manager) keepEventIDs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.events.low:
			if err := m.reserveEvents(); err != nil {
				m.cfg.Logger.Warn("reserve event ids", "error", err)
			}
		}
	}
}

// balancerObserved wakes the loops that wait for requests to end.
func (m *Manager) balancerObserved() {
	m.discardStrays()
	if m.balancer.draining.Load() == 0 {
		return
	}
	for _, l := range m.loops() {
		l.wake()
	}
}

// balancerIncident tells of what happened to the balancer itself.
func (m *Manager) balancerIncident(message string) {
	m.cfg.Logger.Warn(message)
	m.events.emit(Event{Type: EventBalancerIncident, Message: message})
}

// loops returns all loops, sorted by name.
func (m *Manager) loops() []*loop {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.pods), func(a, b *loop) int { return cmp.Compare(a.name, b.name) })
}

func (m *Manager) stopping() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.run == nil || m.run.Err() != nil
}

// check returns [ErrNotRunning] unless the manager takes commands.
func (m *Manager) check() error {
	select {
	case <-m.ready:
	default:
		return ErrNotRunning
	}
	if m.stopping() {
		return ErrNotRunning
	}
	return nil
}

// loop returns the loop of a pod, for a command.
func (m *Manager) loop(name string) (*loop, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if l, ok := m.pods[name]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("pod %q: %w", name, ErrNotFound)
}

// Cluster sums up the cluster.
func (m *Manager) Cluster() ClusterStatus {
	m.mu.RLock()
	s := ClusterStatus{Name: m.cfg.Name, ID: m.cluster.ID, StartedAt: m.begun}
	m.mu.RUnlock()
	for _, p := range m.Pods() {
		s.Pods++
		s.Nodes += len(p.Nodes)
		for _, problem := range p.Problems {
			s.Problems = append(s.Problems, fmt.Sprintf("pod %s: %s", p.Spec.Name, problem))
		}
	}
	for _, h := range m.Hosts() {
		s.Hosts++
		if !h.Reachable {
			s.Problems = append(s.Problems, h.Error)
		}
	}
	if err := m.StoreError(); err != nil {
		s.Problems = append(s.Problems, "store: nothing can be saved, so nothing is changed: "+err.Error())
	}
	b := m.Balancer()
	if b.Err != "" {
		s.Problems = append(s.Problems, "balancer: "+b.Err)
	}
	for _, problem := range b.Stats.Problems {
		s.Problems = append(s.Problems, "balancer: "+problem)
	}
	return s
}

// Halt stops every node, drained, and returns when none is left or ctx ends.
// The wanted numbers stay in the store: the next manager starts as many again.
// Until then nothing is started.
func (m *Manager) Halt(ctx context.Context) error {
	m.halting.Store(true)
	for _, l := range m.loops() {
		l.wake()
	}
	for _, l := range m.loops() {
		if _, err := m.WaitPod(ctx, l.name, func(s PodStatus) bool {
			return !slices.ContainsFunc(s.Nodes, func(n NodeStatus) bool { return n.State.Live() })
		}); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("halt: pod %s: %w", l.name, err)
		}
	}
	return nil
}
