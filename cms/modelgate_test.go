package cms_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/pod"
)

// gate stands between one manager and the world. It makes hosts hang, and it
// makes the manager die: from then on nothing that it does has an effect, while
// what it had begun goes on without it.
type gate struct {
	dead chan struct{}
	end  context.Context // of the world: what the dead have begun ends then, if not before
	mu   sync.Mutex
	hung map[string]chan struct{} // by host; closed when it goes on
}

var errDead = errors.New("the manager is dead")

func newGate(end context.Context) *gate {
	return &gate{dead: make(chan struct{}), end: end, hung: map[string]chan struct{}{}}
}

// hang makes a host not answer, neither well nor ill, or answer again.
func (g *gate) hang(host string, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch stuck := g.hung[host]; {
	case on && stuck == nil:
		g.hung[host] = make(chan struct{})
	case !on && stuck != nil:
		close(stuck)
		delete(g.hung, host)
	}
}

// through makes a call to host, which is empty for the balancer.
func through[T any](ctx context.Context, g *gate, host string, f func(context.Context) (T, error)) (T, error) {
	var none T
	g.mu.Lock()
	stuck := g.hung[host]
	g.mu.Unlock()
	if stuck != nil {
		select {
		case <-stuck:
		case <-g.dead:
		case <-ctx.Done():
			return none, fmt.Errorf("%w: %w", pod.ErrUnreachable, ctx.Err())
		}
	}
	select {
	case <-g.dead:
		return none, errDead
	default:
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-g.dead: // who would have cancelled it is not there any more
		default:
			cancel()
		}
	})
	go func() {
		defer cancel()
		defer context.AfterFunc(g.end, cancel)()
		value, err := f(inner)
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		stop()
		return r.value, r.err
	case <-g.dead:
		stop()
		if host == "" {
			cancel() // an engine goes on by itself, a balancer is changed by the manager's own hands
		}
		return none, errDead
	}
}

type gatedRuntime struct {
	pod.Runtime
	gate *gate
	host string
}

func (r gatedRuntime) Observe(ctx context.Context) (pod.Snapshot, error) {
	return through(ctx, r.gate, r.host, r.Runtime.Observe)
}

func (r gatedRuntime) Start(ctx context.Context, q pod.StartRequest) (pod.Node, error) {
	return through(ctx, r.gate, r.host, func(ctx context.Context) (pod.Node, error) { return r.Runtime.Start(ctx, q) })
}

func (r gatedRuntime) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	return through(ctx, r.gate, r.host, func(ctx context.Context) ([]string, error) { return r.Runtime.Stop(ctx, id, grace) })
}

type gatedBalancer struct {
	balancer.Balancer
	gate *gate
}

func (b gatedBalancer) do(ctx context.Context, f func(context.Context) error) error {
	_, err := through(ctx, b.gate, "", func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

func (b gatedBalancer) SetFront(ctx context.Context, f balancer.Front) error {
	return b.do(ctx, func(ctx context.Context) error { return b.Balancer.SetFront(ctx, f) })
}

func (b gatedBalancer) RemoveFront(ctx context.Context, name string) error {
	return b.do(ctx, func(ctx context.Context) error { return b.Balancer.RemoveFront(ctx, name) })
}

func (b gatedBalancer) Apply(ctx context.Context, front string, want []balancer.Server) error {
	return b.do(ctx, func(ctx context.Context) error { return b.Balancer.Apply(ctx, front, want) })
}
