package cms

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/elastipod/elastipod/cms/internal/act"
	"github.com/elastipod/elastipod/cms/internal/events"
	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/internal/ledger"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/metrics"
)

// endGrace is how long actions may go on when the manager ends; then they are
// broken off, and the next manager takes them up.
const endGrace = time.Second

// saveAlone is for how long a plan is saved before the loop looks again at what the
// balancer needs meanwhile.
const saveAlone = 50 * time.Millisecond

// loop runs one pod: it looks, reconciles, commits once and acts. Its goroutine is
// the only one that changes rec, mem and results.
type loop struct {
	m       *Manager
	name    string
	log     *slog.Logger
	box     *mailbox
	board   *board
	exec    *act.Executor
	live    *watch.Liveness
	decider *decider
	series  *metrics.Series
	ticks   *events.Ticks
	waiting atomic.Int64  // nodes and fronts whose requests are being waited for
	done    chan struct{} // closed when the loop is over, and its pod gone or kept for the next manager

	rec     PodRecord
	mem     reconcile.Memory
	results []reconcile.Result // taken while a plan was being saved, and put back
}

// newLoop makes the loop of a pod. A zero record is that of a pod that is being
// created.
func newLoop(ctx context.Context, m *Manager, name string, rec PodRecord) *loop {
	l := &loop{
		m: m, name: name, log: m.cfg.Logger.With("pod", name), box: newMailbox(), board: newBoard(),
		series: metrics.NewSeries(m.cfg.History), ticks: events.NewTicks(), done: make(chan struct{}), rec: rec,
	}
	l.exec = act.New(ctx, name, &m.ports, act.ForPod(name), m.cfg.StartParallel, l.wake)
	l.live = watch.NewLiveness(m.clock, l.wake)
	l.decider = newDecider(m.cfg.Policies, l.log, rec, m.clock.Now())
	if len(rec.Nodes) > 0 {
		l.hold(rec)
	}
	return l
}

// hold reserves what the nodes of a stored record use, before others place theirs.
func (l *loop) hold(rec PodRecord) {
	p := reconcile.Reconcile(reconcile.World{Name: l.name, Pod: rec, Mode: reconcile.Ending, Store: reconcile.Fault{Code: reconcile.FaultStore}})
	l.m.ledger.Set(l.name, holds(p.Holds))
}

func (l *loop) wake() { l.box.wake() }

// run is the loop. It returns when ctx ends or the pod is gone, after its actions
// have ended.
func (l *loop) run(ctx context.Context) {
	defer close(l.done) // those who wait find the pod gone
	defer l.board.settle()
	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()
	probed := make(chan struct{})
	go func() {
		defer close(probed)
		l.live.Run(probing)
	}()
	gone := l.turns(ctx)
	stopProbing()
	<-probed
	l.exec.Close(endGrace)
	if gone {
		l.m.forget(l)
		return
	}
	l.turn(reconcile.Ending, nil)
}

// turns makes turns until ctx ends, or the pod is gone.
func (l *loop) turns(ctx context.Context) (gone bool) {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	tick := time.NewTimer(l.untilTick())
	defer tick.Stop()
	for {
		deciding := false
		select {
		case <-ctx.Done():
			return false
		case <-l.box.wakes:
		case <-alarm.C:
		case <-tick.C:
			deciding = true
			tick.Reset(l.untilTick())
		}
		p := l.turnIn(ctx, deciding)
		if p.Gone {
			return true
		}
		alarm.Reset(max(p.Wake.Sub(l.m.clock.Now()), 0))
	}
}

// turnIn makes a turn, in a span where it decides.
func (l *loop) turnIn(ctx context.Context, deciding bool) reconcile.Plan {
	mode := reconcile.Managing
	if l.m.halting.Load() {
		mode = reconcile.Halting
	}
	if !deciding || l.board.status() == nil {
		return l.turn(mode, nil)
	}
	ctx, span := l.m.trace.Begin(ctx, "tick", 0, l.about()...)
	defer span.End(nil)
	return l.turn(mode, &ticking{ctx, span})
}

// ticking is what a turn that decides is traced by.
type ticking struct {
	ctx  context.Context
	span act.Span
}

// turn looks, reconciles, commits and acts once. It decides where there is a tick.
func (l *loop) turn(mode reconcile.Mode, tick *ticking) reconcile.Plan {
	w := l.look(mode)
	if mode == reconcile.Ending {
		w.Checkpoint = l.decider.checkpoint(w.Now)
	}
	var span act.Span
	if tick != nil {
		span = tick.span
		w.Tick = l.decider.tick(&w, span, l.m.trace)
		w.Tick.Took = l.m.clock.Since(w.Now)
		w.Cause = l.m.trace.Cause(tick.ctx)
	}
	p := l.plan(w)
	for !l.m.ledger.Reserve(l.name, holds(p.Reserve), l.m.capacities(p.Reserve)) {
		w.Room = l.m.room() // another pod was quicker
		p = l.plan(w)
	}
	if len(p.Before) > 0 { // what is set in the balancer is claimed before that
		l.m.claims.Add(l.name, balancerFronts(p.Claims))
	}
	l.exec.Do(p.Before...)
	var failure error
	if p.Changed || p.Gone {
		if failure = l.commit(&p, mode); failure != nil {
			w = w.Failing(p, faults.Or(reconcile.FaultStore, failure))
			p = l.plan(w)
			l.exec.Do(p.Before...)
		}
	}
	l.keep(p)
	l.exec.Do(p.After...)
	l.publish(&w, &p, span)
	if failure == nil {
		failure = l.m.store.failure() // of a turn before, where an answer waited since
	}
	l.box.answer(p.Answers, l.board.status(), p.Gone, failure)
	return p
}

// plan reconciles, and tells tests.
func (l *loop) plan(w reconcile.World) reconcile.Plan {
	p := reconcile.Reconcile(w)
	if l.m.turned != nil {
		l.m.turned(w, p)
	}
	return p
}

// keep makes a plan's record and memory be the loop's, once it is saved.
func (l *loop) keep(p reconcile.Plan) {
	l.rec, l.mem = p.Pod, p.Memory
	l.m.ledger.Set(l.name, holds(p.Holds))
	l.m.claims.Set(l.name, balancerFronts(p.Claims))
	l.m.balancer.Await(p.Look.Waiting - int(l.waiting.Swap(int64(p.Look.Waiting))))
	if p.Look.Balancer {
		l.m.balancer.Kick()
	}
	l.live.Set(l.targets())
}

// commit saves a plan. While that takes long, the balancer goes on getting what it
// needs: a store that hangs keeps no dead server.
func (l *loop) commit(p *reconcile.Plan, mode reconcile.Mode) error {
	change := Change{PutPods: []PodRecord{p.Pod}}
	if p.Gone {
		if l.board.status() == nil {
			return nil // it was never saved
		}
		change = Change{DeletePods: []string{l.name}}
	}
	saved := make(chan error, 1)
	go func() { saved <- l.m.store.save(change) }()
	alone := time.NewTimer(saveAlone)
	defer alone.Stop()
	if mode == reconcile.Ending {
		return <-saved // nothing is begun any more
	}
	for {
		select {
		case err := <-saved:
			return err
		case <-alone.C:
		}
		wake := l.serve(p)
		alone.Reset(min(max(wake.Sub(l.m.clock.Now()), saveAlone), 4*saveAlone))
	}
}

// serve gives the balancer what it needs while a plan is being saved.
func (l *loop) serve(p *reconcile.Plan) (wake time.Time) {
	w := l.look(reconcile.Managing)
	w.Pod, w.Memory = p.Pod, p.Memory
	l.putBack(slices.DeleteFunc(slices.Clone(w.Results), reconcile.Result.OfFront))
	q := reconcile.Serve(w)
	p.Memory.KeepFronts(q.Memory)
	l.exec.Do(q.Before...)
	return q.Wake
}

// untilTick returns the time until the loop's next tick. Ticks come a moment
// after those of the pollers, so that they see fresh values.
func (l *loop) untilTick() time.Duration {
	lag := min(l.m.cfg.Tick/10, 30*time.Millisecond)
	return l.m.clock.UntilTick(l.m.life.now().epoch.Add(lag), l.m.cfg.Tick)
}

func holds(list []reconcile.Hold) []ledger.Hold {
	out := make([]ledger.Hold, len(list))
	for i, h := range list {
		out[i] = ledger.Hold{Host: h.Host, Res: h.Limits}
	}
	return out
}
