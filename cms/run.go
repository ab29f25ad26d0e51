package cms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// adoptWait bounds how long the start waits for hosts that do not answer.
const adoptWait = 5 * time.Second

// Run loads the state, adopts the nodes and servers that are there, and manages
// the cluster until ctx ends; nodes and servers stay as they are then. It may be
// called once, and returns nil when ctx ended it, after all that it started has
// ended.
func (m *Manager) Run(ctx context.Context) error {
	ctx, cancel, err := m.life.begin(ctx, m.clock.Now(), m.clock.Wall())
	if err != nil {
		return err
	}
	return m.run(ctx, cancel)
}

func (m *Manager) run(ctx context.Context, cancel context.CancelFunc) error {
	defer func() {
		cancel()
		m.events.Close()
		m.life.running.Wait()
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
	m.events.Resume(state.EventID)
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
	m.balancer.Observe(ctx)
	polling.Go(func() { m.balancer.Run(pollCtx, m.life.now().epoch) })
	polling.Go(func() { m.keepEventIDs(pollCtx) })
	polling.Go(func() { m.store.heal(pollCtx) })
	if m.cfg.KeepImages >= 0 {
		m.life.running.Go(func() { m.images.Run(ctx) })
	}

	var loops []*loop
	for _, rec := range state.Pods {
		rec.Complete()
		l := newLoop(ctx, m, rec.Spec.Name, rec)
		loops = append(loops, l)
		m.mu.Lock()
		m.addLoop(l)
		m.mu.Unlock()
		m.claims.Set(l.name, balancerFronts(rec.Spec.Fronts))
	}
	m.janitor.clearFronts(ctx) // one may hold the address of a pod's
	m.life.adopt()
	for _, l := range loops {
		m.life.spawn(l.run)
	}
	for _, l := range loops {
		<-l.board.settled // what the status says is of now, not of when the store was written
	}
	close(m.life.ready)
	m.cfg.Logger.Info("manager ready", "cluster", m.cfg.Name, "id", state.ClusterID, "pods", len(state.Pods), "took", m.clock.Since(m.life.now().epoch))
	<-ctx.Done()
	m.mu.Lock()
	m.life.close() // no host comes in while the pollers are waited for
	m.mu.Unlock()
	m.life.running.Wait()
	return nil
}

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
		if err := m.store.save(Change{PutHosts: slices.Collect(maps.Values(records))}); err != nil {
			return fmt.Errorf("cms: save hosts: %w", err)
		}
	}
	wait, cancel := context.WithTimeout(ctx, adoptWait)
	defer cancel()
	var firsts []chan struct{}
	m.mu.Lock()
	m.poll = func(h *host, first chan<- struct{}) {
		hctx := h.Begin(ctx)
		polling.Go(func() {
			defer h.Stop()
			h.Run(hctx, m.life.now().epoch, first)
		})
	}
	names := slices.Sorted(maps.Keys(records))
	for _, name := range names {
		h := m.newHost(records[name])
		first := make(chan struct{})
		firsts = append(firsts, first)
		m.addHost(h)
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

// Start calls [Manager.Run] in the background and returns once the manager is
// ready. When it returns an error, that of Run or of ctx, nothing runs any more.
// Once it has returned, the end of ctx does nothing.
//
// Stop ends the manager and returns the error of Run after all that it started
// has ended; when its own ctx ends first, it returns the error of that, and may
// be called again. Any goroutine may call it, any number of times.
func (m *Manager) Start(ctx context.Context) (stop func(ctx context.Context) error, err error) {
	run, cancel, err := m.life.begin(context.WithoutCancel(ctx), m.clock.Now(), m.clock.Wall())
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	var failed error
	go func() {
		defer close(ended)
		failed = m.run(run, cancel)
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
	case <-m.Ready():
		return stop, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-ended:
	}
	cancel()
	<-ended
	return nil, errors.Join(err, failed)
}

// reserveEvents lets the store remember that event ids are in use.
func (m *Manager) reserveEvents() error {
	id := m.events.Wanted()
	if err := m.store.save(Change{EventID: id}); err != nil {
		return err
	}
	m.events.Reserve(id)
	return nil
}

func (m *Manager) keepEventIDs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.events.Low():
			if err := m.reserveEvents(); err != nil {
				m.cfg.Logger.Warn("reserve event ids", "error", err)
			}
		}
	}
}
