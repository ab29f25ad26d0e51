// Package events numbers what happens in a cluster, keeps the last of it, and
// hands it to subscribers.
package events

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/reconcile"
)

// ErrLagged says that a subscriber read too slowly and was dropped. It may
// subscribe again after the last event that it saw.
var ErrLagged = errors.New("cms: subscriber too slow")

const (
	// Kept is how many events are kept.
	Kept = 4096

	eventIDBlock = 1000 // ids that are reserved in the store at a time
)

// Log numbers events, keeps the last of them and hands them to
// subscribers, for none of which it ever waits.
type Log struct {
	wall     func() time.Time
	mu       sync.Mutex
	kept     []*reconcile.Event // oldest first; never changed once here
	nextID   uint64
	reserved uint64 // ids up to this one may be used
	subs     map[*Subscription]struct{}
	closed   bool
	low      chan struct{} // signalled when few reserved ids are left
	ended    error
}

// New returns a log of events without a time of their own, which get that of wall.
// Subscribers get the error ended once the log is closed.
func New(wall func() time.Time, ended error) *Log {
	return &Log{wall: wall, nextID: 1, reserved: eventIDBlock, subs: map[*Subscription]struct{}{}, low: make(chan struct{}, 1), ended: ended}
}

// Low is signalled when few ids are left that the store has recorded.
func (l *Log) Low() <-chan struct{} { return l.low }

// Resume continues after the ids that an earlier manager may have used.
func (l *Log) Resume(lastID uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextID = lastID + 1
	l.reserved = lastID
}

// Reserve allows ids up to and including id, which the store has recorded.
func (l *Log) Reserve(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved = max(l.reserved, id)
}

// Wanted returns the id up to which ids should be reserved now.
func (l *Log) Wanted() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nextID + 2*eventIDBlock
}

// Emit gives the event an id and hands it on. Ticks get none and are not kept.
func (l *Log) Emit(e reconcile.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.At.IsZero() {
		e.At = l.wall()
	}
	shared := &e // by all subscribers: what waits for one of them is small
	if e.Type != reconcile.EventTick {
		e.ID = l.nextID
		l.nextID++
		if l.reserved < l.nextID+eventIDBlock {
			select {
			case l.low <- struct{}{}:
			default:
			}
		}
		if len(l.kept) == Kept {
			l.kept = append(l.kept[:0], l.kept[Kept/4:]...)
		}
		l.kept = append(l.kept, shared)
	}
	for s := range l.subs {
		select {
		case s.events <- shared:
		default:
			delete(l.subs, s)
			s.end = ErrLagged
			close(s.events)
		}
	}
}

// After returns the kept events with a larger id, oldest first, and the id that
// the next event will have. When events in between are not kept any more, the
// first one is an [reconcile.EventReset].
func (l *Log) After(id uint64) ([]reconcile.Event, uint64) {
	l.mu.Lock()
	past, next := l.pastLocked(id), l.nextID
	l.mu.Unlock()
	var out []reconcile.Event
	for _, e := range past {
		out = append(out, *e)
	}
	return out, next
}

// NextID returns the id that the next event will have.
func (l *Log) NextID() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nextID
}

func (l *Log) pastLocked(id uint64) []*reconcile.Event {
	var out []*reconcile.Event
	oldest := l.nextID
	if len(l.kept) > 0 {
		oldest = l.kept[0].ID
	}
	if id != 0 && id+1 < oldest || id >= l.nextID {
		out = append(out, &reconcile.Event{ID: oldest - 1, At: l.wall(), Type: reconcile.EventReset, Message: "earlier events are not kept any more; read the state anew"})
		id = 0
	}
	for _, e := range l.kept {
		if e.ID > id {
			out = append(out, e)
		}
	}
	return out
}

// Subscription is a stream of events.
type Subscription struct {
	log    *Log
	past   []*reconcile.Event
	events chan *reconcile.Event
	end    error // set before events is closed
}

// Subscribe returns past events with an id larger than after, then live ones.
func (l *Log) Subscribe(after uint64, buffer int) *Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Subscription{log: l, past: l.pastLocked(after), events: make(chan *reconcile.Event, max(buffer, 1))}
	if l.closed {
		s.end = l.ended
		close(s.events)
		return s
	}
	l.subs[s] = struct{}{}
	return s
}

// Next blocks for the next event. It returns [ErrLagged] when this subscriber
// was too slow, the error for the end when the manager stopped, or ctx's error. One
// goroutine may call it at a time.
func (s *Subscription) Next(ctx context.Context) (reconcile.Event, error) {
	if len(s.past) > 0 {
		e := s.past[0]
		s.past = s.past[1:]
		return *e, nil
	}
	select {
	case e, ok := <-s.events:
		if !ok {
			return reconcile.Event{}, s.end
		}
		return *e, nil
	case <-ctx.Done():
		return reconcile.Event{}, ctx.Err()
	}
}

// Close ends the subscription. It is safe to call twice.
func (s *Subscription) Close() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if _, ok := s.log.subs[s]; ok {
		delete(s.log.subs, s)
		s.end = s.log.ended
		close(s.events)
	}
}

// Close ends every subscription.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for s := range l.subs {
		delete(l.subs, s)
		s.end = l.ended
		close(s.events)
	}
}
