package events

import (
	"slices"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
)

const (
	keptTicks = 300 // the last ticks of a pod
	keptMoves = 300 // and, for longer, those that changed the wanted number
)

// Ticks keeps the last ticks of a pod, and for longer those that changed
// something.
type Ticks struct {
	mu    sync.RWMutex
	ticks ring
	moves ring
}

// NewTicks returns an empty log.
func NewTicks() *Ticks { return &Ticks{} }

// Add keeps a tick.
func (l *Ticks) Add(t *reconcile.Tick) {
	k := keep(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks.add(k, keptTicks)
	if t.Before != t.Decision.Want {
		l.moves.add(k, keptMoves)
	}
}

// Last returns up to limit ticks, newest first: all of the last ones, and
// before these those that changed something.
func (l *Ticks) Last(limit int) []reconcile.Tick {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var out []reconcile.Tick
	oldest := uint64(1<<64 - 1)
	for k := range l.ticks.newest() {
		if len(out) == limit {
			return out
		}
		out = append(out, k.tick())
		oldest = k.seq
	}
	for k := range l.moves.newest() {
		if len(out) == limit {
			break
		}
		if k.seq < oldest {
			out = append(out, k.tick())
		}
	}
	return out
}

// ring keeps the last of what is added.
type ring struct {
	list []*kept
	next int // where the next one goes once the ring is full
}

func (r *ring) add(k *kept, most int) {
	if len(r.list) < most {
		r.list = append(r.list, k)
		return
	}
	r.list[r.next] = k
	r.next = (r.next + 1) % most
}

func (r *ring) newest() func(yield func(*kept) bool) {
	return func(yield func(*kept) bool) {
		for _, part := range [][]*kept{r.list[:r.next], r.list[r.next:]} {
			for _, k := range slices.Backward(part) {
				if !yield(k) {
					return
				}
			}
		}
	}
}

// kept is a tick without the room for steps that it does not have, and without
// what of its sample follows from its observation.
type kept struct {
	seq         uint64
	at          time.Time
	observation elastic.Observation
	steps       []elastic.Step
	want        int // what the decision wanted
	before      int
	err         string
	took        time.Duration
	after       int           // the wanted number after it
	nodes       metrics.Nodes // of the sample
}

func keep(t *reconcile.Tick) *kept {
	return &kept{
		seq: t.Seq, at: t.At, observation: t.Observation, steps: slices.Clone(t.Decision.Steps[:t.Decision.N]), want: t.Decision.Want,
		before: t.Before, err: t.Err, took: t.Took, after: t.Sample.Want, nodes: t.Sample.Nodes,
	}
}

func (k *kept) tick() reconcile.Tick {
	t := reconcile.Tick{Seq: k.seq, At: k.at, Observation: k.observation, Before: k.before, Err: k.err, Took: k.took}
	for _, s := range k.steps {
		t.Decision.Add(s)
	}
	t.Decision.Want = k.want
	t.Sample = k.observation.Sample()
	t.Sample.At, t.Sample.Want, t.Sample.Nodes = k.at, k.after, k.nodes
	return t
}
