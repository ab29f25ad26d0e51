package cms

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
)

const (
	saveTimeout = 10 * time.Second
	// storeRetry is how long a store that cannot be written is left alone before it
	// is tried whether it can.
	storeRetry = 2 * time.Second
)

// storeHealth saves changes, and knows whether they can be saved.
type storeHealth struct {
	m      *Manager
	ailing chan struct{} // signalled when a change could not be saved

	mu    sync.Mutex
	err   error     // of the last change; nil when it was saved
	since time.Time // when err began
}

func newStoreHealth(m *Manager) *storeHealth {
	return &storeHealth{m: m, ailing: make(chan struct{}, 1)}
}

// save writes a change, also while the manager is ending. What takes longer than
// saveTimeout counts as failed until it is done.
func (h *storeHealth) save(c Change) error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	late := time.AfterFunc(saveTimeout, func() { h.note(context.DeadlineExceeded) }) // a store may not look at ctx while it writes
	defer late.Stop()
	err := h.m.cfg.Store.Save(ctx, c)
	h.note(err)
	return err
}

// note tells when saving begins to fail, and when it works again.
func (h *storeHealth) note(err error) {
	m := h.m
	h.mu.Lock()
	before, since := h.err, h.since
	h.err = err
	if err != nil && before == nil {
		h.since = m.clock.Now()
	}
	h.mu.Unlock()
	switch {
	case err != nil && before == nil:
		m.cfg.Logger.Error("nothing can be saved; what runs goes on, and nothing is changed", "error", err)
		m.events.Emit(Event{Type: EventStoreFailed, Message: "nothing can be saved, so nothing is changed: " + faults.Or(reconcile.FaultStore, err).Text})
		select {
		case h.ailing <- struct{}{}:
		default:
		}
	case err == nil && before != nil:
		took := m.clock.Since(since)
		m.cfg.Logger.Info("changes can be saved again", "took", took)
		m.events.Emit(Event{Type: EventStoreRecovered, Message: fmt.Sprintf("changes can be saved again, after %s", took.Round(100*time.Millisecond))})
		m.wakeAll()
	}
}

// failure returns why changes cannot be saved now, or nil.
func (h *storeHealth) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// fault returns the same as a value.
func (h *storeHealth) fault() reconcile.Fault { return faults.Or(reconcile.FaultStore, h.failure()) }

// heal tries a store that failed until it works again.
func (h *storeHealth) heal(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.ailing:
		}
		for h.failure() != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(storeRetry):
			}
			_ = h.m.reserveEvents() // the smallest change; noted by save
		}
	}
}

// StoreError returns why changes cannot be saved now, or nil. Meanwhile what
// runs goes on, commands fail, and the store is tried every few seconds.
func (m *Manager) StoreError() error { return m.store.failure() }
