package cms

import (
	"slices"
	"sync"
)

const (
	keptTicks = 300 // the last ticks of a pod
	keptMoves = 300 // and, for longer, those that changed the wanted number
)

// tickLog keeps the last ticks of a pod, and for longer those that changed
// something. Ticks in it are immutable.
type tickLog struct {
	mu    sync.RWMutex
	ticks []*Tick
	moves []*Tick
}

func newTickLog() *tickLog { return &tickLog{} }

func (l *tickLog) add(t *Tick) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks = appendBounded(l.ticks, t, keptTicks)
	if t.Before != t.Decision.Want {
		l.moves = appendBounded(l.moves, t, keptMoves)
	}
}

// last returns up to limit ticks, newest first: all of the last ones, and
// before these those that changed something.
func (l *tickLog) last(limit int) []Tick {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var out []Tick
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

func appendBounded(list []*Tick, t *Tick, most int) []*Tick {
	if len(list) >= 2*most {
		list = append(list[:0], list[len(list)-most+1:]...)
	}
	return append(list, t)
}
