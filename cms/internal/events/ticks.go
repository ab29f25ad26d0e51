package events

import (
	"slices"
	"sync"

	"github.com/elastipod/elastipod/cms/reconcile"
)

const (
	keptTicks = 300 // the last ticks of a pod
	keptMoves = 300 // and, for longer, those that changed the wanted number
)

// Ticks keeps the last ticks of a pod, and for longer those that changed
// something. Ticks in it are immutable.
type Ticks struct {
	mu    sync.RWMutex
	ticks []*reconcile.Tick
	moves []*reconcile.Tick
}

func NewTicks() *Ticks { return &Ticks{} }

// Add keeps a tick, which is not changed any more.
func (l *Ticks) Add(t *reconcile.Tick) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks = appendBounded(l.ticks, t, keptTicks)
	if t.Before != t.Decision.Want {
		l.moves = appendBounded(l.moves, t, keptMoves)
	}
}

// Last returns up to limit ticks, newest first: all of the last ones, and
// before these those that changed something.
func (l *Ticks) Last(limit int) []reconcile.Tick {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var out []reconcile.Tick
	oldest := uint64(1<<64 - 1)
	for _, t := range slices.Backward(l.ticks) {
		if len(out) == limit {
			return out
		}
		out = append(out, *t)
		oldest = t.Seq
	}
	for _, t := range slices.Backward(l.moves) {
		if len(out) == limit {
			break
		}
		if t.Seq < oldest {
			out = append(out, *t)
		}
	}
	return out
}

func appendBounded(list []*reconcile.Tick, t *reconcile.Tick, most int) []*reconcile.Tick {
	if len(list) >= 2*most {
		list = append(list[:0], list[len(list)-most+1:]...)
	}
	return append(list, t)
}
