package api

import (
	"sync"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/wire"
)

// keptTexts is more than the events on their way to clients at any time.
const keptTexts = 256

// eventTexts keeps the last events as they are sent, so that an event is written
// once, however many clients follow. Its zero value is ready. The texts must not
// be changed.
type eventTexts struct {
	mu   sync.Mutex
	kept map[eventKey][]byte
	ring [keptTexts]eventKey
	next int
}

// eventKey is what tells events apart: ticks have no id, but are made once.
type eventKey struct {
	id    uint64
	kind  cms.EventType
	tick  *cms.Tick
	brief bool
}

// of returns the text of an event; of a tick in brief without what was seen and
// decided.
func (t *eventTexts) of(e cms.Event, brief bool) []byte {
	if e.ID == 0 && e.Tick == nil {
		return eventText(Event(e))
	}
	key := eventKey{e.ID, e.Type, e.Tick, brief && e.Type == cms.EventTick}
	t.mu.Lock()
	defer t.mu.Unlock()
	text, ok := t.kept[key]
	if !ok {
		if t.kept == nil {
			t.kept = make(map[eventKey][]byte, keptTexts)
		}
		x := Event(e)
		if key.brief && x.Tick != nil {
			x.Tick.Observation, x.Tick.Decision = wire.Observation{}, wire.Decision{}
		}
		text = eventText(x)
		delete(t.kept, t.ring[t.next])
		t.ring[t.next], t.kept[key] = key, text
		t.next = (t.next + 1) % keptTexts
	}
	return text
}
