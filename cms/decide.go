package cms

import (
	"context"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/pod"
)

// checkpointTicks is every how many ticks the policy's memory is kept.
const checkpointTicks = 30

// tick observes, decides and records; acting follows each tick and whatever
// else wakes the loop. The span that it returns is open.
func (l *loop) tick(ctx context.Context) span {
	now := l.m.clock.now()
	_, turn := l.begin(ctx, "tick", "", "")
	if _, failed := l.problems["store"]; failed {
		_ = l.commit(func(*PodRecord) error { return nil }) // clears or renews the problem
	}
	observing := l.m.trace.part(turn, "observe")
	o, err := l.observe(now)
	observing.end(err)
	deciding := l.m.trace.part(turn, "decide")
	d := l.decide(o, err)
	t := Tick{At: l.m.clock.wall(), Observation: o, Decision: d, Before: l.rec.Want}
	if err != nil {
		t.Err = err.Error()
	}
	var saveErr error
	if d.Want != l.rec.Want {
		memory := l.policyMemory()
		if saveErr = l.commit(func(r *PodRecord) error {
			r.Want = d.Want
			r.PolicyMemory, r.PolicyAt = memory, o.At
			return nil
		}); saveErr != nil {
			l.log.Error("the wanted number stays, as it cannot be saved", "want", d.Want, "error", saveErr)
			t.Err = saveErr.Error()
		}
	} else if l.tickSeq%checkpointTicks == 0 {
		l.checkpoint(false)
	}
	deciding.end(saveErr)
	l.record(&t, now)
	t.describe(turn, l.rec.Want)
	return turn
}

// decide returns the wanted number and how it came about. The policy proposes;
// bounds and room have the last word.
func (l *loop) decide(o elastic.Observation, err error) elastic.Decision {
	want := l.rec.Want
	e := l.rec.Elasticity
	switch {
	case l.rec.Paused:
		return elastic.Hold(want, elastic.RulePaused, "")
	case !e.Enabled || l.rec.Deleting || l.m.halting.Load():
		return elastic.Hold(want, elastic.RuleManual, "")
	case l.policy == nil:
		return note(want, elastic.RuleUnobserved, l.problems["policy"])
	case err != nil:
		return note(want, elastic.RuleUnobserved, err.Error())
	}
	d := l.ask(o)
	d.Clamp(e.Min, e.Max)
	l.limitToRoom(&d)
	if e.Mode == ModeDryRun && d.Want != want {
		d.Add(elastic.Step{Rule: elastic.RuleDryRun, From: d.Want, To: want})
	}
	return d
}

// ask calls the policy, which may be anybody's code, and survives its panics.
func (l *loop) ask(o elastic.Observation) (d elastic.Decision) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("the policy panicked", "panic", p)
			d = note(o.Want, elastic.RuleUnobserved, fmt.Sprintf("the policy panicked: %v", p))
		}
	}()
	return l.policy.Decide(o)
}

func note(want int, rule elastic.Rule, text string) elastic.Decision {
	d := elastic.Decision{}
	d.Add(elastic.Step{Rule: rule, From: want, To: want, Note: text})
	return d
}

// limitToRoom keeps the wish to grow within what the hosts can take.
func (l *loop) limitToRoom(d *elastic.Decision) {
	if d.Want <= l.rec.Want {
		return
	}
	live := l.count(l.m.clock.now()).live
	n, why := l.m.placer.room(l.rec.Spec.Limits, l.m.candidates(l.rec.Spec.Spec), d.Want-live)
	if got := max(live+n, l.rec.Want); got < d.Want {
		d.Add(elastic.Step{Rule: elastic.RuleCapacity, From: d.Want, To: got, Bound: float64(got), Note: why})
	}
}

// record keeps the tick and tells subscribers.
func (l *loop) record(t *Tick, now time.Time) {
	l.tickSeq++
	t.Seq = l.tickSeq
	t.Sample = t.Observation.Sample()
	t.Sample.At, t.Sample.Want = t.At, l.rec.Want
	t.Sample.Nodes.New = l.rec.count(pod.StateNew)
	t.Sample.Nodes.Standby = l.rec.count(pod.StateStandby)
	t.Sample.Nodes.Failed = l.rec.count(pod.StateFailed)
	t.Took = l.m.clock.since(now)
	l.sample = t.Sample
	l.series.Add(t.Sample)
	l.lastTick = t
	l.ticks.add(t)
	if t.Before != l.rec.Want {
		l.scaled(t)
	}
	l.m.events.emit(Event{At: t.At, Type: EventTick, Pod: l.name, Tick: t})
}

// scaled tells that the wanted number changed.
func (l *loop) scaled(t *Tick) {
	l.lastMove = t
	reason := t.Decision.Reason()
	l.log.Info("scale", "tick", t.Seq, "from", t.Before, "to", t.Decision.Want, "reason", reason)
	l.m.events.emit(Event{At: t.At, Type: EventScaled, Pod: l.name, Message: reason, Tick: t})
}
