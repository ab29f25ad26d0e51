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
	ready   chan struct{}
	running sync.WaitGroup

	mu    sync.RWMutex
	state started
}

// started is what is known once a manager was started.
type started struct {
	ctx     context.Context // ends when the manager does; nil before the start
	epoch   time.Time       // ticks are multiples of the tick after it
	wall    time.Time       // the wall clock at the epoch
	loops   bool            // every stored pod has its loop: what no pod has is nobody's
	closing bool            // nothing is spawned any more
}

// over says that no command is taken: the manager has not started, or is ending.
func (s started) over() bool { return s.ctx == nil || s.ctx.Err() != nil }

var errStarted = errors.New("cms: the manager was started before")

// now returns what is known now.
func (l *life) now() started {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.state
}

// begin notes that the manager starts, once.
func (l *life) begin(ctx context.Context, epoch, wall time.Time) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.ctx != nil {
		return nil, nil, errStarted
	}
	// A span around this call is none of what happens in it.
	ctx, cancel := context.WithCancel(trace.ContextWithSpanContext(ctx, trace.SpanContext{}))
	l.state = started{ctx: ctx, epoch: epoch, wall: wall}
	return ctx, cancel, nil
}

// close makes nothing be spawned any more.
func (l *life) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.closing = true
}

// adopt notes that the loops of all stored pods are there.
func (l *life) adopt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.loops = true
}

// spawn runs f with a context that ends with the manager, which waits for it. It
// says whether it did: nothing is begun once the manager is ending.
func (l *life) spawn(f func(ctx context.Context)) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.state.closing || l.state.ctx == nil {
		return false
	}
	ctx := l.state.ctx
	l.running.Go(func() { f(ctx) })
	return true
}
