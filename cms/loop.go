package cms

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/metrics"
	"github.com/elastipod/elastipod/pod"
)

// loop runs one pod. Its goroutine is the only one that touches the fields
// below "owned by run"; everybody else sends a function to calls or reads the
// published status.
type loop struct {
	m    *Manager
	name string
	log  *slog.Logger

	calls   chan func() // commands; taken until the loop ends
	results chan result // of actions; taken until the last has ended
	wakes   chan struct{}
	status  atomic.Pointer[PodStatus]
	series  *metrics.Series
	ticks   *tickLog
	acted   chan struct{} // closed when the loop has compared what it knows with the world once
	done    chan struct{} // closed when the loop is over, and its pod gone or kept for the next manager
	// editing is a token: who holds it may change the spec in several steps.
	editing chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when status changes

	// Owned by run.
	ctx      context.Context   // of the actions
	cause    trace.SpanContext // of what the loop begins now: a tick, a command, an action
	rec      PodRecord
	revision string // of the spec in rec
	nodes    map[string]*nodeRun
	builder  *elastic.Builder
	policy   elastic.Policy
	// policyAhead is by how much the policy's time is ahead of ours, or behind.
	policyAhead time.Duration
	boots       []time.Duration   // the last starts, decision to first answer
	tries       map[string]*retry // after failed starts, by host
	vacant      []vacancy
	// stepReady is since when the nodes of the rollout's step are ready; zero
	// while they are not.
	stepReady time.Time
	crowded   time.Time // until when no host is asked for room again
	applied   map[string][]balancer.Server
	applying  bool
	unset     map[string]bool     // fronts that the balancer may not have as they are here
	surplus   map[string]Front    // fronts that should be gone from the balancer
	emptying  map[string]emptying // of these, the ones that finish what they have
	frontTry  retry               // of removing these
	servedAt  time.Time           // when the balancer answered last
	serveTry  retry
	endTry    retry             // of removing the last of the pod
	problems  map[string]string // kind → sentence
	sample    metrics.Sample
	lastTick  *Tick
	lastMove  *Tick
	tickSeq   uint64
	removed   time.Time // when a node was removed from the record last
	orphans   map[pod.NodeID]*orphan
	leaving   int // nodes that the balancer poller was told are draining
	finished  bool
	alarm     *time.Timer // wakes the loop for a retry or a deadline

	actions sync.WaitGroup
	starts  chan struct{} // one slot for each node that may be starting at a time
}

// nodeRun is what the loop knows of a node beside its record.
type nodeRun struct {
	busy     bool               // a start or a stop is under way
	cancel   context.CancelFunc // of the start, or nil
	ordered  time.Time          // when it was decided to start it
	settled  time.Time          // what a host observed after this is true of it
	ready    time.Time          // since when it is known to be online
	adopted  bool               // an earlier manager started it
	drainBy  time.Time          // when it is stopped at the latest, once it drains
	drained  time.Time          // when the balancer had confirmed that it drains; zero before
	idle     bool               // nothing is in flight, or the deadline is over
	cleaned  bool               // nothing is left of a failed node
	startTry retry              // after a start whose outcome could not be saved
	stopTry  retry
	stopErr  error     // why it could not be stopped
	lingers  bool      // it has ended, and the balancer still tries its requests on others
	lingerBy time.Time // until when, at most
	away     bool      // its host did not answer when it should have been stopped
	memory   metrics.Value
	live     liveness
	hung     bool // and it was told
	deaths   int  // of those before it in its place that died young, in a row
	start    span // while it is being started
	leave    span // from the order to drain until it is gone
	drain    span // the part of leave until it is idle
}

// result is what an action has to say inside the loop, and what began it.
type result struct {
	then  func()
	cause trace.SpanContext
}

// newLoop makes the loop of a pod; of its fronts those in unset are not as they
// should be.
func newLoop(m *Manager, rec PodRecord, unset map[string]bool) *loop {
	l := &loop{
		m:        m,
		name:     rec.Spec.Name,
		log:      m.cfg.Logger.With("pod", rec.Spec.Name),
		calls:    make(chan func()),
		results:  make(chan result),
		wakes:    make(chan struct{}, 1),
		series:   metrics.NewSeries(m.cfg.History),
		ticks:    newTickLog(),
		acted:    make(chan struct{}),
		done:     make(chan struct{}),
		editing:  make(chan struct{}, 1),
		changed:  make(chan struct{}),
		rec:      rec,
		nodes:    map[string]*nodeRun{},
		builder:  elastic.NewBuilder(),
		applied:  map[string][]balancer.Server{},
		problems: map[string]string{},
		orphans:  map[pod.NodeID]*orphan{},
		tries:    map[string]*retry{},
		unset:    map[string]bool{},
		surplus:  map[string]Front{},
		emptying: map[string]emptying{},
		starts:   make(chan struct{}, m.cfg.StartParallel),
	}
	l.rec.Spec = rec.Spec.WithDefaults() // of fields that an earlier version did not have
	l.revision = l.rec.current()
	now := m.clock.now()
	for i := range l.rec.Nodes {
		n := &l.rec.Nodes[i]
		l.nodes[n.Name] = &nodeRun{ordered: now, ready: now, adopted: true, drainBy: now.Add(rec.Spec.Drain)}
		if n.State == pod.StateDraining {
			n.DrainBy = m.clock.wall().Add(rec.Spec.Drain) // nobody can tell how much of it has passed
		}
		if n.State.Live() || n.State == pod.StateFailed && n.Host != "" {
			m.placer.hold(l.id(n.Name), n.Host, l.specOf(n.Revision).Limits)
		}
	}
	if len(l.rec.Revisions) == 0 { // of a version that kept none
		l.rec.remember("", rec.CreatedAt)
	}
	for _, f := range rec.Spec.Fronts {
		if unset[f.Name] {
			l.unset[f.Name] = true
		}
	}
	if !rec.PolicyAt.IsZero() {
		l.policyAhead = rec.PolicyAt.Sub(now)
	}
	l.setPolicy()
	l.publish()
	return l
}

func (l *loop) id(node string) pod.NodeID { return pod.NodeID{Pod: l.name, Name: node} }

// setPolicy makes the policy that the record names, with the memory that the
// record holds.
func (l *loop) setPolicy() {
	delete(l.problems, "policy")
	policy, err := l.m.cfg.Policies.Parse(l.rec.Elasticity.For(l.rec.Spec.Spec).Policy)
	l.policy = policy
	if err != nil { // a policy of a kind that this program does not have any more
		l.problems["policy"] = fmt.Sprintf("the policy cannot be used, so the number of nodes is kept: %v", err)
	}
	if m, ok := policy.(interface{ UnmarshalBinary([]byte) error }); ok && len(l.rec.PolicyMemory) > 0 {
		if err := m.UnmarshalBinary(l.rec.PolicyMemory); err != nil {
			l.log.Warn("policy starts without its memory", "error", err)
		}
	}
}

// run is the loop. It returns when ctx ends or the pod is gone, after its
// actions have ended.
func (l *loop) run(ctx context.Context) {
	// Actions may end in order where the manager does.
	actx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		l.endActions(cancel)
		l.endSpans()
	}()
	l.alarm = time.NewTimer(time.Hour)
	defer l.alarm.Stop()
	timer := time.NewTimer(l.untilTick())
	defer timer.Stop()
	l.ctx = actx
	l.act(actx)
	l.publish()
	close(l.acted)
	for !l.finished {
		var tick span
		select {
		case <-ctx.Done():
			l.checkpoint(true)
			return
		case f := <-l.calls:
			f()
		case r := <-l.results:
			r.run(l)
		case <-l.wakes:
		case <-l.alarm.C:
		case <-timer.C:
			tick = l.tick(actx)
			timer.Reset(l.untilTick())
		}
		l.turn(actx, tick)
	}
}

// turn acts on what is new and tells of it. What it begins is traced below what
// made it new: a tick, whose span it ends, a command or an action.
func (l *loop) turn(ctx context.Context, tick span) {
	acting := l.m.trace.part(tick, "act")
	switch {
	case acting.on():
		l.cause = acting.context()
	case tick.on():
		l.cause = tick.context()
	}
	l.act(ctx)
	l.publish()
	acting.end(nil)
	tick.end(nil)
	l.cause = trace.SpanContext{}
}

// untilTick returns the time until the loop's next tick. Ticks come a moment
// after those of the pollers, so that they see fresh values.
func (l *loop) untilTick() time.Duration {
	lag := min(l.m.cfg.Tick/10, 30*time.Millisecond)
	return l.m.clock.untilTick(l.m.epoch.Add(lag), l.m.cfg.Tick)
}

// endGrace is how long actions may go on when the manager ends; then they are
// broken off, and the next manager takes them up.
const endGrace = time.Second

// endActions waits for the actions to end, and lets them say so. Commands are
// not taken any more: they would begin actions for which nobody waits.
func (l *loop) endActions(breakOff context.CancelFunc) {
	defer breakOff()
	defer time.AfterFunc(endGrace, breakOff).Stop()
	ended := make(chan struct{})
	go func() {
		l.actions.Wait()
		close(ended)
	}()
	for {
		select {
		case r := <-l.results:
			r.run(l)
		case <-ended:
			return
		}
	}
}

// action runs f beside the loop, and then the function that f returns inside of it.
func (l *loop) action(f func() func()) {
	cause := l.cause
	l.actions.Go(func() {
		if then := f(); then != nil {
			l.results <- result{then, cause}
		}
	})
}

func (r result) run(l *loop) {
	l.cause = r.cause
	r.then()
}

// wake makes the loop look at the world now.
func (l *loop) wake() {
	select {
	case l.wakes <- struct{}{}:
	default:
	}
}

// over says why the loop has ended.
func (l *loop) over() error {
	if l.m.stopping() {
		return ErrNotRunning
	}
	return fmt.Errorf("pod %q: %w", l.name, ErrNotFound)
}

// do runs f inside the loop and returns its error.
func (l *loop) do(ctx context.Context, f func() error) error {
	answer := make(chan error, 1)
	select {
	case l.calls <- func() {
		if l.m.trace.on() {
			l.cause = trace.SpanContextFromContext(ctx)
		}
		err := f()
		l.publish()
		answer <- err
	}:
		return <-answer
	case <-l.done:
		return l.over()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commit stores the change that edit makes, then makes it here. On an error
// nothing has changed.
func (l *loop) commit(edit func(r *PodRecord) error) error {
	next := l.rec.clone()
	if err := edit(&next); err != nil {
		return err
	}
	if err := l.m.save(Change{PutPods: []PodRecord{next}}); err != nil {
		l.problems["store"] = fmt.Sprintf("cannot save: %v", err)
		return fmt.Errorf("save pod %s: %w", l.name, err)
	}
	delete(l.problems, "store")
	l.rec = next
	l.revision = next.current()
	return nil
}

// checkpoint keeps what the policy remembers, where that is new; at the end also
// at what time of its own.
func (l *loop) checkpoint(end bool) {
	memory := l.policyMemory()
	if slices.Equal(memory, l.rec.PolicyMemory) && (!end || len(memory) == 0) {
		return
	}
	at := l.policyTime(l.m.clock.now())
	if err := l.commit(func(r *PodRecord) error { r.PolicyMemory, r.PolicyAt = memory, at; return nil }); err != nil {
		l.log.Warn("keep the policy's memory", "error", err)
	}
}

// policyTime is the time that the policy sees. It stands still while no manager
// runs, as nobody can tell how long that was: the wall clock may have been set.
func (l *loop) policyTime(now time.Time) time.Time { return now.Add(l.policyAhead) }

func (l *loop) policyMemory() []byte {
	m, ok := l.policy.(interface{ MarshalBinary() ([]byte, error) })
	if !ok {
		return nil
	}
	memory, err := m.MarshalBinary()
	if err != nil {
		l.log.Warn("marshal the policy's memory", "error", err)
		return l.rec.PolicyMemory
	}
	return memory
}
