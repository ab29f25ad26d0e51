package webhook

import (
	"context"
	"time"

	"github.com/elastipod/elastipod/cms"
)

// Subscription is what SetSubscribe's function returns.
type Subscription interface {
	Next(ctx context.Context) (cms.Event, error)
	Close()
}

// SetSubscribe replaces the manager's stream of events.
func (s *Sender) SetSubscribe(f func(after uint64, buffer int) Subscription) {
	s.subscribe = func(after uint64, buffer int) subscription { return f(after, buffer) }
}

// Wants says whether a target with default values gets an event.
func (t Target) Wants(e cms.Event) bool { return t.withDefaults().wants(e) }

// RetryAfter reads the header of that name.
func RetryAfter(text string, now time.Time) time.Duration { return retryAfter(text, now) }
