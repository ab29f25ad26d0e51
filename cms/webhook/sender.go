package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

// ErrNotFound says that there is no target of a name.
var ErrNotFound = errors.New("webhook: no such target")

// manager is what a Sender needs of a [cms.Manager].
type manager interface {
	Ready() <-chan struct{}
	Cluster() cms.ClusterStatus
	Subscribe(after uint64, buffer int) *cms.Subscription
}

// subscription is what a Sender needs of a [cms.Subscription].
type subscription interface {
	Next(ctx context.Context) (cms.Event, error)
	Close()
}

// eventBuffer is how many events the sender may be behind; it only sorts them
// into queues.
const eventBuffer = 1024

// Sender sends a manager's events to targets.
//
// While it runs a target gets each event that it wants at least once and in
// order, unless it refuses the event, fails for longer than it is given, answers
// 410, or has more events waiting than its queue holds. Repeats have the same
// webhook-id. Queues are in memory: what is in them when the process dies is
// lost, and so is what is left of them when the end has waited for
// [Config.Flush]. Each message says how many the target missed before it, as far
// as this sender knows.
type Sender struct {
	cfg       Config
	client    *http.Client
	subscribe func(after uint64, buffer int) subscription

	cluster, clusterID string // set before the first target runs

	mu      sync.Mutex
	targets map[string]*target
	begun   bool
	start   func(*target) // nil: not running
	workers sync.WaitGroup
}

// New returns a Sender. It starts nothing. An error holds every fault as
// [cms.Faults].
func New(c Config) (*Sender, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	s := &Sender{cfg: c, targets: map[string]*target{}}
	s.client = &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.subscribe = func(after uint64, buffer int) subscription { return c.Manager.Subscribe(after, buffer) }
	return s, s.SetTargets(c.Targets)
}

// SetTargets replaces the targets, also while the sender runs. A target that
// keeps its name keeps its queue and figures and uses its new settings from the
// next attempt on, at once where it waits for one; one that is disabled is
// enabled. What is queued for others is dropped. An error holds every fault as
// [cms.Faults], and then nothing has changed.
func (s *Sender) SetTargets(all []Target) error {
	if err := checkTargets(all).Err(); err != nil {
		return wrap(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := map[string]bool{}
	for _, cfg := range all {
		cfg = cfg.withDefaults()
		names[cfg.Name] = true
		if t := s.targets[cfg.Name]; t != nil {
			t.change(cfg)
			continue
		}
		t := s.newTarget(cfg)
		s.targets[cfg.Name] = t
		if s.start != nil {
			s.start(t)
		}
	}
	for name, t := range s.targets {
		if !names[name] {
			delete(s.targets, name)
			if t.cancel != nil {
				t.cancel()
			}
			t.finish()
		}
	}
	return nil
}

// Run sends events until ctx ends or the manager stops, then what is queued, for
// no longer than Config.Flush, and returns. It begins with the first event since
// the manager started. It may be called once.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	begun := s.begun
	s.begun = true
	s.mu.Unlock()
	if begun {
		return errors.New("webhook: Run was called before")
	}
	defer s.client.CloseIdleConnections()
	select {
	case <-s.cfg.Manager.Ready():
	case <-ctx.Done():
		return nil
	}
	c := s.cfg.Manager.Cluster()
	s.cluster, s.clusterID = c.Name, cmp.Or(c.ID, c.Name)

	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	closing := make(chan struct{})
	s.begin(sending, closing)
	s.follow(ctx)

	s.mu.Lock()
	s.start = nil // no target is added from here on
	s.mu.Unlock()
	close(closing)
	flush := time.AfterFunc(s.cfg.Flush, cancel)
	defer flush.Stop()
	s.workers.Wait()
	for _, t := range s.sorted() {
		t.finish()
	}
	return nil
}

// begin starts the targets that there are, and makes SetTargets start others.
func (s *Sender) begin(ctx context.Context, closing <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start = func(t *target) {
		var own context.Context
		own, t.cancel = context.WithCancel(ctx)
		s.workers.Go(func() {
			defer t.cancel()
			t.run(own, closing)
		})
	}
	for _, t := range s.targets {
		s.start(t)
	}
}

// readOn is for how long events are read after the end: those that happened before
// it are not left behind.
const readOn = 100 * time.Millisecond

// follow puts events into queues until ctx ends or the manager stops.
func (s *Sender) follow(ctx context.Context) {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(readOn, stop) })()
	var position uint64
	for {
		sub := s.subscribe(position, eventBuffer)
		var err error
		for err == nil {
			var e cms.Event
			if e, err = sub.Next(reading); err == nil {
				position = max(position, e.ID)
				s.offer(e)
			}
		}
		sub.Close()
		if !errors.Is(err, cms.ErrLagged) {
			return
		}
	}
}

func (s *Sender) offer(e cms.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		t.offer(e)
	}
}

func (s *Sender) sorted() []*target {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*target
	for _, t := range s.targets {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *target) int { return strings.Compare(a.settings().Name, b.settings().Name) })
	return all
}

// Targets returns how each target is doing, by name.
func (s *Sender) Targets() []wire.Webhook {
	out := []wire.Webhook{}
	for _, t := range s.sorted() {
		out = append(out, t.status())
	}
	return out
}

// Test sends an event of type "webhook.test" to a target at once, past its queue,
// and once. A target that was disabled and takes it is enabled. An error is
// [ErrNotFound], or that of ctx while another test of the target runs.
func (s *Sender) Test(ctx context.Context, name string) (wire.WebhookTest, error) {
	s.mu.Lock()
	t := s.targets[name]
	s.mu.Unlock()
	if t == nil {
		return wire.WebhookTest{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	select {
	case t.testing <- struct{}{}:
		defer func() { <-t.testing }()
	case <-ctx.Done():
		return wire.WebhookTest{}, ctx.Err()
	}
	c := s.cfg.Manager.Cluster()
	now := time.Now().UTC()
	body, err := json.Marshal(wire.WebhookMessage{
		Type: wire.EventWebhookTest, Timestamp: now, Cluster: c.Name,
		Data: wire.Event{At: now, Type: wire.EventWebhookTest, Message: "this is a test of the webhook " + name},
	})
	if err != nil {
		return wire.WebhookTest{}, err
	}
	out := s.attempt(ctx, t.settings(), cmp.Or(c.ID, c.Name)+"-test-"+rand.Text()+"-"+name, body)
	if out.err == "" {
		t.enable()
	}
	return wire.WebhookTest{Delivered: out.err == "", Status: out.status, Error: out.err, Seconds: out.took.Seconds()}, nil
}

// enable makes a target that was disabled get events again.
func (t *target) enable() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.disabled {
		t.disabled, t.lastError, t.errorAt = false, "", time.Time{}
	}
}
