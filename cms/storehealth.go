package cms

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// storeRetry is how long a store that cannot be written is left alone before it
// is tried whether it can.
const storeRetry = 2 * time.Second

// storeHealth is whether changes can be saved.
type storeHealth struct {
	mu    sync.Mutex
	err   error     // of the last change; nil when it was saved
	since time.Time // when err began
}

// save writes a change, bounded in time, also while the manager is ending.
func (m *Manager) save(c Change) error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	err := m.cfg.Store.Save(ctx, c)
	m.noteSave(err)
	return err
}

// noteSave tells when saving begins to fail, and when it works again.
func (m *Manager) noteSave(err error) {
	h := &m.stored
	h.mu.Lock()
	before, since := h.err, h.since
	h.err = err
	if err != nil && before == nil {
		h.since = m.clock.now()
	}
	h.mu.Unlock()
	switch {
	case err != nil && before == nil:
		m.cfg.Logger.Error("nothing can be saved; what runs goes on, and nothing is changed", "error", err)
		m.events.emit(Event{Type: EventStoreFailed, Message: fmt.Sprintf("nothing can be saved, so nothing is changed: %v", err)})
		select {
		case m.ailing <- struct{}{}:
		default:
		}
	case err == nil && before != nil:
		m.cfg.Logger.Info("changes can be saved again", "took", m.clock.since(since))
		m.events.emit(Event{Type: EventStoreRecovered, Message: fmt.Sprintf("changes can be saved again, after %s", m.clock.since(since).Round(100*time.Millisecond))})
		m.wakeAll()
	}
}

// StoreError returns why changes cannot be saved now, or nil. Meanwhile what
// runs goes on, commands fail, and the store is tried every few seconds.
func (m *Manager) StoreError() error {
	m.stored.mu.Lock()
	defer m.stored.mu.Unlock()
	return m.stored.err
}

// tryStore tries a store that failed until it works again.
func (m *Manager) tryStore(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.ailing:
		}
		for m.StoreError() != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(storeRetry):
			}
			_ = m.reserveEvents() // the smallest change; noted by save
		}
	}
}
