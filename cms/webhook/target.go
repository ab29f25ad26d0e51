package webhook

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
)

// The states of a target, as they are on the wire.
const (
	stateActive   = "active"
	stateRetrying = "retrying"
	stateDisabled = "disabled"
)

// target is a queue and what is sent from it, one message at a time.
type target struct {
	s       *Sender
	wake    chan struct{} // something was queued
	kick    chan struct{} // the settings changed: do not wait for the next attempt
	testing chan struct{} // held by a test
	pause   *backoff.ExponentialBackOff
	cancel  context.CancelFunc // ends its goroutine; nil: none runs

	mu       sync.Mutex
	cfg      Target
	queue    []cms.Event // oldest first
	sending  bool        // one more
	disabled bool
	full     bool   // dropping was told of
	troubled string // the error that was told of
	missed   uint64 // events that it did not get since the last one that it got

	delivered, failed, dropped, attempts uint64
	last, errorAt                        time.Time
	lastError                            string
}

func (s *Sender) newTarget(cfg Target) *target {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.Multiplier, b.RandomizationFactor, b.MaxInterval = time.Second, 2, 0.5, time.Minute
	b.Reset()
	return &target{
		s: s, cfg: cfg, pause: b,
		wake: make(chan struct{}, 1), kick: make(chan struct{}, 1), testing: make(chan struct{}, 1),
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *target) settings() Target {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg
}

// change gives it other settings, also one that was disabled.
func (t *target) change(cfg Target) {
	t.mu.Lock()
	t.cfg, t.disabled = cfg, false
	t.mu.Unlock()
	signal(t.kick)
}

// offer queues an event that it wants. It never waits.
func (t *target) offer(e cms.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.cfg.wants(e) {
		return
	}
	if t.disabled {
		t.dropped++
		t.missed++
		return
	}
	if over := len(t.queue) + 1 - t.cfg.Queue; over > 0 {
		t.queue = slices.Delete(t.queue, 0, over)
		t.dropped += uint64(over)
		t.missed += uint64(over)
		if !t.full {
			t.full = true
			t.s.cfg.Logger.Warn("webhook: the queue is full, the oldest events are dropped", "target", t.cfg, "queue", t.cfg.Queue)
		}
	}
	t.queue = append(t.queue, e)
	signal(t.wake)
}

// run sends what is queued, until ctx ends, or the queue is empty after closing.
func (t *target) run(ctx context.Context, closing <-chan struct{}) {
	for ctx.Err() == nil {
		if e, missed, ok := t.take(); ok {
			t.deliver(ctx, closing, e, missed)
			continue
		}
		select {
		case <-t.wake:
		case <-closing:
			select {
			case <-t.wake: // queued just before
			default:
				return
			}
		case <-ctx.Done():
		}
	}
}

func (t *target) take() (e cms.Event, missed uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.full = false
		return e, 0, false
	}
	e = t.queue[0]
	t.queue = slices.Delete(t.queue, 0, 1)
	t.sending = true
	return e, t.missed, true
}

// deliver sends one event until it is taken, refused or given up.
func (t *target) deliver(ctx context.Context, closing <-chan struct{}, e cms.Event, missed uint64) {
	select {
	case <-t.kick: // is for an event that was sent before
	default:
	}
	cfg := t.settings()
	id := t.s.messageID(cfg.Name, e)
	body, err := json.Marshal(t.s.message(e, missed))
	if err != nil {
		t.end(outcome{err: err.Error()}, missed)
		return
	}
	began := time.Now()
	for {
		out := t.s.attempt(ctx, cfg, id, body)
		if out.left = out.err != "" && ctx.Err() != nil; !out.left {
			t.note(out)
		}
		left := cfg.GiveUp - time.Since(began)
		if out.err == "" || !out.retry || out.left || left <= 0 {
			t.end(out, missed)
			return
		}
		// What it asks for goes before what we would do, and the last attempt is at
		// the end of the time.
		pause := min(max(t.pause.NextBackOff(), out.after), left)
		if closing = t.rest(ctx, closing, pause); ctx.Err() != nil {
			out.left = true
			t.end(out, missed)
			return
		}
		cfg = t.settings()
	}
}

// rest waits before the next attempt. It does not where the settings changed or
// the end has come, and returns nil for the latter: it comes but once.
func (t *target) rest(ctx context.Context, closing <-chan struct{}, d time.Duration) <-chan struct{} {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.kick:
	case <-closing:
		return nil
	case <-ctx.Done():
	}
	return closing
}

// note counts an attempt and tells when a target begins to fail or recovers.
func (t *target) note(out outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	log := t.s.cfg.Logger
	t.attempts++
	if out.err == "" {
		t.last, t.lastError, t.errorAt = time.Now(), "", time.Time{}
		if t.troubled != "" {
			log.Info("webhook: events are taken again", "target", t.cfg, "queued", len(t.queue))
		}
		t.troubled = ""
		t.pause.Reset()
		return
	}
	t.lastError, t.errorAt = out.err, time.Now()
	if t.troubled != out.err {
		t.troubled = out.err
		log.Warn("webhook: an event was not taken", "target", t.cfg, "error", out.err, "retried", out.retry)
	}
}

// end counts an event that is done with.
func (t *target) end(out outcome, missed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sending = false
	switch {
	case out.err == "":
		t.delivered++
		t.missed -= missed
		return
	case out.left:
		t.dropped++
	case out.gone:
		t.failed++
		t.disabled = true
		t.s.cfg.Logger.Warn("webhook: the target is gone and gets no more events; change it in the configuration, or test it once it is back",
			"target", t.cfg, "dropped", len(t.queue))
		t.dropLocked()
	default:
		t.failed++
	}
	t.missed++
}

// dropLocked drops everything that is queued.
func (t *target) dropLocked() int {
	n := len(t.queue)
	t.queue = nil
	t.dropped += uint64(n)
	t.missed += uint64(n)
	return n
}

// finish drops what is left at the end.
func (t *target) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.dropLocked(); n > 0 {
		t.s.cfg.Logger.Warn("webhook: events were left at the end", "target", t.cfg, "dropped", n)
	}
}

// status is how it is doing.
func (t *target) status() wire.Webhook {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := wire.Webhook{
		Name: t.cfg.Name, Origin: t.cfg.origin(), Types: slices.Clone(t.cfg.Types), Pods: slices.Clone(t.cfg.Pods), State: stateActive, Queued: len(t.queue),
		Delivered: t.delivered, Failed: t.failed, Dropped: t.dropped, Attempts: t.attempts, Last: t.last, Error: t.lastError, ErrorAt: t.errorAt,
	}
	if t.sending {
		out.Queued++
		if t.lastError != "" {
			out.State = stateRetrying
		}
	}
	if t.disabled {
		out.State = stateDisabled
	}
	return out
}

// messageID is the same whenever the event is sent to the target, also by a
// server that was started anew: the store's id keeps clusters apart.
func (s *Sender) messageID(name string, e cms.Event) string {
	id := s.clusterID + "-" + strconv.FormatUint(e.ID, 10) + "-" + name
	if e.Type == cms.EventReset { // has the number of an event
		id += "-reset"
	}
	return id
}

func (s *Sender) message(e cms.Event, missed uint64) wire.WebhookMessage {
	return wire.WebhookMessage{Type: string(e.Type), Timestamp: e.At.UTC(), Cluster: s.cluster, Missed: missed, Data: api.Event(e)}
}
