package cms

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// life is how far a manager is between its start and its end, and waits for all
// that it started.
type life struct {
	ready chan struct{}
	ended chan struct{}

	mu      *sync.RWMutex
	started *started
	running *sync.WaitGroup
}

// started is what is known once a manager was started.
type started struct {
	ctx     context.Context // ends when the manager does
	epoch   time.Time       // ticks are multiples of the tick after it
	wall    time.Time       // the wall clock at the epoch
	loops   bool            // the loops of all stored pods are there
	closing bool            // nothing is spawned any more
	// poll starts the poller of a host; first, which may be nil, is closed after its
	// first observation.
	poll func(h *host, first chan<- struct{})
}

var errStarted = errors.New("cms: the manager was started before")

func newLife() life {
	return life{ready: make(chan struct{}), ended: make(chan struct{}), mu: &sync.RWMutex{}, started: &started{}, running: &sync.WaitGroup{}}
}

// begin notes that the manager starts, once.
func (l *life) begin(ctx context.Context, epoch, wall time.Time) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.started.ctx != nil {
		return nil, nil, errStarted
	}
	// A span around this call is none of what happens in it.
	ctx, cancel := context.WithCancel(trace.ContextWithSpanContext(ctx, trace.SpanContext{}))
	*l.started = started{ctx: ctx, epoch: epoch, wall: wall}
	return ctx, cancel, nil
}

// close makes nothing be spawned any more.
func (l *life) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started.closing = true
}

// spawn runs f with a context that ends with the manager, which waits for it. It
// says whether it did: nothing is begun once the manager is ending.
func (l *life) spawn(f func(ctx context.Context)) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.started.closing || l.started.ctx == nil {
		return false
	}
	ctx := l.started.ctx
	l.running.Go(func() { f(ctx) })
	return true
}

func (l *life) stopping() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.started.ctx == nil || l.started.ctx.Err() != nil
}

func (l *life) epoch() time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.started.epoch
}

func (l *life) begun() time.Time {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.started.wall
}

// adopt notes that the loops of all stored pods are there.
func (l *life) adopt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started.loops = true
}

// adopted says whether every stored pod has its loop, so that what no pod has is
// nobody's.
func (l *life) adopted() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.started.loops
}

func (l *life) closing() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.started.closing
}

// context returns what ends with the manager.
func (l *life) context() context.Context {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.started.ctx
}
