package act

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/clock"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/cms/reconcile"
)

// Ports are what actions are done with.
type Ports struct {
	Balancer balancer.Balancer
	Host     func(name string) *watch.Host // nil where there is none of that name
	Clock    clock.Clock
	Tracing  Tracing
	Log      *slog.Logger
	// Pulling is told, about once a second, how far the fetching of an image is.
	Pulling func(pod, node, host, message string)
	// Fetched is told that a host may have fetched an image.
	Fetched func(h *watch.Host)
}

// Action is something to do. It brings its own Do, which returns soon after ctx
// ends and is idempotent.
type Action interface {
	Key() reconcile.Key
	Do(ctx context.Context, p *Ports) reconcile.Result
}

// slotted is an action of which only so many run at a time.
type slotted interface{ NeedsSlot() bool }

// Executor does the actions of one pod, at most one of a key at a time.
type Executor struct {
	pod   string
	ports *Ports
	of    func(reconcile.Action) Action
	wake  func()
	ctx   context.Context
	stop  context.CancelFunc
	slots chan struct{} // one for each slotted action that may run at a time

	mu      sync.Mutex
	running map[reconcile.Key]*run
	results []reconcile.Result // that nobody took yet, oldest first
	acting  sync.WaitGroup
}

// run is an action that has not ended.
type run struct {
	since   time.Time // zero while it waits for a slot
	cancel  context.CancelFunc
	release func() // gives its slot up, once; nil while it has had none
}

// New returns the executor of a pod. of turns the actions of plans into what is
// done, wake is called when a result is there, and slots bounds how many nodes are
// started at a time. The actions do not end with ctx, but with Close.
func New(ctx context.Context, pod string, ports *Ports, of func(reconcile.Action) Action, slots int, wake func()) *Executor {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &Executor{pod: pod, ports: ports, of: of, wake: wake, ctx: ctx, stop: stop, slots: make(chan struct{}, slots), running: map[reconcile.Key]*run{}}
}

// Do begins actions. One whose key has not ended yet is left out: the next plan
// says whether it is still to be done.
func (x *Executor) Do(actions ...reconcile.Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case reconcile.Cancel:
			x.cancel(a.Of)
		case reconcile.Release:
			x.release(a.Of)
		default:
			x.begin(x.of(a))
		}
	}
}

func (x *Executor) cancel(k reconcile.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.running[k]; r != nil {
		r.cancel()
	}
}

// release lets the next action have the slot of one that runs.
func (x *Executor) release(k reconcile.Key) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.running[k]; r != nil && r.release != nil {
		r.release()
	}
}

func (x *Executor) begin(a Action) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.running[a.Key()] != nil {
		return
	}
	ctx, cancel := context.WithCancel(x.ctx)
	r := &run{cancel: cancel}
	s, ok := a.(slotted)
	wait := ok && s.NeedsSlot()
	if !wait {
		r.since = x.ports.Clock.Now()
	}
	x.running[a.Key()] = r
	x.acting.Go(func() {
		defer cancel()
		if wait {
			var release func()
			select {
			case x.slots <- struct{}{}:
				release = sync.OnceFunc(func() { <-x.slots })
				defer release()
			case <-ctx.Done(): // what cannot begin says so itself
			}
			x.mu.Lock()
			r.since, r.release = x.ports.Clock.Now(), release
			x.mu.Unlock()
		}
		result := a.Do(ctx, x.ports)
		x.log(result)
		x.mu.Lock()
		delete(x.running, a.Key())
		x.results = append(x.results, result)
		x.mu.Unlock()
		x.wake()
	})
}

// log tells of a failure. Those of starts are told with the node that failed.
func (x *Executor) log(r reconcile.Result) {
	front := strings.TrimPrefix(string(r.Key), string(reconcile.FrontKey("")))
	switch {
	case r.Fault.OK() || r.Fault.Code == reconcile.FaultCanceled:
	case r.Kind == reconcile.StopEnded:
		x.ports.Log.Warn("stop a node", "pod", x.pod, "node", r.Node, "host", r.Host, "error", r.Fault.Text)
	case r.Kind == reconcile.FrontEnded:
		x.ports.Log.Warn("set a front or its servers", "pod", x.pod, "front", front, "error", r.Fault.Text)
	case r.Kind == reconcile.RemoveEnded:
		x.ports.Log.Warn("remove a front", "pod", x.pod, "front", front, "error", r.Fault.Text)
	}
}

// Take returns, as of one moment, which actions have not ended and since when they
// run, and the results that nobody took before.
func (x *Executor) Take() (running map[reconcile.Key]time.Time, results []reconcile.Result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	results, x.results = x.results, nil
	if len(x.running) > 0 {
		running = make(map[reconcile.Key]time.Time, len(x.running))
	}
	for k, r := range x.running {
		running[k] = r.since
	}
	return running, results
}

// Close lets actions go on for a while, breaks off those that have not ended then,
// and waits for them. Their results can still be taken.
func (x *Executor) Close(grace time.Duration) {
	defer x.stop()
	defer time.AfterFunc(grace, x.stop).Stop()
	x.acting.Wait()
}
