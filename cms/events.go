package cms

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrLagged says that a subscriber read too slowly and was dropped. It may
// subscribe again after the last event that it saw.
var ErrLagged = errors.New("cms: subscriber too slow")

const (
	keptEvents   = 4096
	eventIDBlock = 1000 // ids that are reserved in the store at a time
)

// eventLog numbers events, keeps the last of them and hands them to
// subscribers, for none of which it ever waits.
type eventLog struct {
	wall     func() time.Time
	mu       sync.Mutex
	kept     []*Event // oldest first; never changed once here
	nextID   uint64
	reserved uint64 // ids up to this one may be used
	subs     map[*Subscription]struct{}
	closed   bool
	low      chan struct{} // signalled when few reserved ids are left
}

func newEventLog(wall func() time.Time) *eventLog {
	return &eventLog{wall: wall, nextID: 1, reserved: eventIDBlock, subs: map[*Subscription]struct{}{}, low: make(chan struct{}, 1)}
}

// resume continues after the ids that an earlier manager may have used.
func (l *eventLog) resume(lastID uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nextID = lastID + 1
	l.reserved = lastID
}

// reserve allows ids up to and including id, which the store has recorded.
func (l *eventLog) reserve(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved = max(l.reserved, id)
}

// wanted returns the id up to which ids should be reserved now.
func (l *eventLog) wanted() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nextID + 2*eventIDBlock
}

// emit gives the event an id and hands it on. Ticks get none and are not kept.
func (l *eventLog) emit(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.At.IsZero() {
		e.At = l.wall()
	}
	shared := &e // by all subscribers: what waits for one of them is small
	if e.Type != EventTick {
		e.ID = l.nextID
		l.nextID++
		if l.reserved < l.nextID+eventIDBlock {
			select {
			case l.low <- struct{}{}:
			default:
			}
		}
		if len(l.kept) == keptEvents {
			l.kept = append(l.kept[:0], l.kept[keptEvents/4:]...)
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

// after returns the kept events with a larger id, oldest first, and the id that
// the next event will have. When events in between are not kept any more, the
// first one is an [EventReset].
func (l *eventLog) after(id uint64) ([]Event, uint64) {
	l.mu.Lock()
	past, next := l.pastLocked(id), l.nextID
	l.mu.Unlock()
	var out []Event
	for _, e := range past {
		out = append(out, *e)
	}
	return out, next
}

// next returns the id that the next event will have.
func (l *eventLog) next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nextID
}

func (l *eventLog) pastLocked(id uint64) []*Event {
	var out []*Event
	oldest := l.nextID
	if len(l.kept) > 0 {
		oldest = l.kept[0].ID
	}
	if id != 0 && id+1 < oldest || id >= l.nextID {
		out = append(out, &Event{ID: oldest - 1, At: l.wall(), Type: EventReset, Message: "earlier events are not kept any more; read the state anew"})
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
	log    *eventLog
	past   []*Event
	events chan *Event
	end    error // set before events is closed
}

// subscribe returns past events with an id larger than after, then live ones.
func (l *eventLog) subscribe(after uint64, buffer int) *Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Subscription{log: l, past: l.pastLocked(after), events: make(chan *Event, max(buffer, 1))}
	if l.closed {
		s.end = ErrNotRunning
		close(s.events)
		return s
	}
	l.subs[s] = struct{}{}
	return s
}

// Next blocks for the next event. It returns [ErrLagged] when this subscriber
// was too slow, [ErrNotRunning] when the manager stopped, or ctx's error. One
// goroutine may call it at a time.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	if len(s.past) > 0 {
		e := s.past[0]
		s.past = s.past[1:]
		return *e, nil
	}
	select {
	case e, ok := <-s.events:
		if !ok {
			return Event{}, s.end
		}
		return *e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// Close ends the subscription. It is safe to call twice.
func (s *Subscription) Close() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if _, ok := s.log.subs[s]; ok {
		delete(s.log.subs, s)
		s.end = ErrNotRunning
		close(s.events)
	}
}

// close ends every subscription.
func (l *eventLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for s := range l.subs {
		delete(l.subs, s)
		s.end = ErrNotRunning
		close(s.events)
	}
}
