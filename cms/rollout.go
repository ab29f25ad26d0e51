package cms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/pod"
)

// RolloutState is how far a rollout is.
type RolloutState string

// The states of a rollout.
const (
	RolloutProgressing RolloutState = "progressing"
	RolloutPaused      RolloutState = "paused" // by a person
	RolloutDone        RolloutState = "done"
	RolloutRolledBack  RolloutState = "rolled-back" // the pod runs From again, or is about to
)

// Over says that nothing more will come of the rollout.
func (s RolloutState) Over() bool { return s == RolloutDone || s == RolloutRolledBack }

// RolloutRecord is what a store keeps of the last rollout of a pod.
type RolloutRecord struct {
	From, To  string       // ids of revisions
	State     RolloutState // how far it is
	Reason    string       `json:",omitempty"` // of the state, for a person
	Step      int          `json:",omitempty"` // of a canary, from 0; of blue-green, 1 once changed over
	Failures  int          `json:",omitempty"` // new nodes that failed
	StartedAt time.Time    `json:",omitzero"`  // when the workload changed
	EndedAt   time.Time    `json:",omitzero"`  // when it was over; zero before
}

// RevisionRecord is what a pod ran once.
type RevisionRecord struct {
	ID       string       // follows from Workload and Limits
	Number   uint64       // counts from 1 in the pod
	At       time.Time    // when it was first wanted
	Workload pod.Workload // complete
	Limits   pod.Limits   // complete
	// Reason says how it came about, for a person.
	Reason string `json:",omitempty"`
}

// keptRevisions is how many revisions of a pod are remembered, beside those that
// nodes run.
const keptRevisions = 10

// RolloutStatus is how far the last rollout of a pod is.
type RolloutStatus struct {
	RolloutRecord
	Strategy UpdateStrategy // of the pod
	Steps    int            // of a canary
	// Fresh counts the launched nodes that run To, Ready those of them that are
	// online for long enough, Old the launched nodes that run something else.
	Fresh, Ready, Old int
}

// PauseRollout halts a rollout where it is. The pod keeps its number of nodes
// and goes on growing and shrinking; nodes that it starts meanwhile run what
// the pod ran before. It is idempotent, and returns [ErrNotFound], or
// [ErrConflict] when there is no rollout under way.
func (m *Manager) PauseRollout(ctx context.Context, name string) (PodStatus, error) {
	return m.setRollout(ctx, name, RolloutPaused, EventRolloutPaused, "the rollout of pod %s was paused")
}

// ResumeRollout lets a paused rollout go on. It is idempotent, and returns like
// [Manager.PauseRollout].
func (m *Manager) ResumeRollout(ctx context.Context, name string) (PodStatus, error) {
	return m.setRollout(ctx, name, RolloutProgressing, EventRolloutResumed, "the rollout of pod %s goes on")
}

func (m *Manager) setRollout(ctx context.Context, name string, state RolloutState, event EventType, text string) (PodStatus, error) {
	return m.command(ctx, name, func(l *loop) error {
		r := l.rec.Rollout
		switch {
		case l.rec.Deleting:
			return fmt.Errorf("%w: pod %s is being deleted", ErrConflict, name)
		case r == nil || r.State.Over():
			return fmt.Errorf("%w: pod %s has no rollout under way", ErrConflict, name)
		case r.State == state:
			return nil
		}
		if err := l.commit(func(r *PodRecord) error { r.Rollout.State = state; return nil }); err != nil {
			return err
		}
		l.stepReady = time.Time{}
		m.events.emit(Event{Type: event, Pod: name, Message: fmt.Sprintf(text, name)})
		return nil
	})
}

// UndoRollout makes the pod run an earlier revision again: the one whose number
// is given, or with 0 the one that it ran before the last rollout. It returns
// [ErrNotFound], or [ErrConflict] when there is no such revision or the pod's
// fronts do not go with it.
func (m *Manager) UndoRollout(ctx context.Context, name string, number uint64) (PodStatus, error) {
	return m.command(ctx, name, func(l *loop) error {
		if l.rec.Deleting {
			return fmt.Errorf("%w: pod %s is being deleted", ErrConflict, name)
		}
		target := l.undoTarget(number)
		if target == nil && number > 0 {
			return fmt.Errorf("%w: revision %d of pod %s is not kept", ErrConflict, number, name)
		}
		if target == nil {
			return fmt.Errorf("%w: pod %s has run nothing else before", ErrConflict, name)
		}
		if target.ID == l.revision {
			return fmt.Errorf("%w: pod %s runs revision %d already", ErrConflict, name, target.Number)
		}
		return l.goTo(*target, fmt.Sprintf("back to revision %d, by hand", target.Number))
	})
}

// undoTarget returns the revision of that number; for 0 the one before the last
// rollout; nil when there is none.
func (l *loop) undoTarget(number uint64) *RevisionRecord {
	if number == 0 {
		if l.rec.Rollout == nil {
			return nil
		}
		back := l.rec.Rollout.From
		if back == l.revision {
			back = l.rec.Rollout.To
		}
		return l.rec.revision(back)
	}
	for i := range l.rec.Revisions {
		if l.rec.Revisions[i].Number == number {
			return &l.rec.Revisions[i]
		}
	}
	return nil
}

// goTo makes the pod run a revision that it ran before.
func (l *loop) goTo(target RevisionRecord, reason string) error {
	spec := l.rec.Spec.with(target)
	if err := spec.Validate(); err != nil {
		return fmt.Errorf("%w: revision %d does not go with the pod's fronts: %w", ErrConflict, target.Number, err)
	}
	before := l.rec.Spec
	if err := l.commit(func(r *PodRecord) error {
		r.revise(spec, l.revision, reason)
		return nil
	}); err != nil {
		return err
	}
	l.revised(before)
	return nil
}

// with returns the spec with what a revision ran. Fronts that were checked at
// the path of the probe go on being.
func (s PodSpec) with(target RevisionRecord) PodSpec {
	out := s.Clone()
	for i := range out.Fronts {
		f := &out.Fronts[i]
		if p := s.Workload.Probe; p.Kind == pod.ProbeHTTP && f.Port == p.Port && f.CheckPath == p.Path {
			f.CheckPath = ""
		}
	}
	out.Workload, out.Limits = target.Workload.Clone(), target.Limits
	return out.WithDefaults()
}

// revise changes the spec, and begins a rollout where that changes what runs.
// before is the revision until now.
func (r *PodRecord) revise(spec PodSpec, before, reason string) {
	r.Spec = spec
	now := time.Now().UTC()
	to := r.remember(reason, now)
	if to == before {
		return
	}
	from := before
	if r.Rollout != nil && !r.Rollout.State.Over() {
		from = r.Rollout.From // what ran before has not been proven yet
	}
	next := RolloutRecord{From: from, To: to, State: RolloutProgressing, Reason: reason, StartedAt: now}
	if from == to {
		// Back to where the unfinished rollout began.
		next = *r.Rollout
		next.State, next.Reason, next.EndedAt = RolloutRolledBack, reason, now
	}
	r.Rollout = &next
}

// remember adds the revision of the spec to those that are known, as the newest,
// and returns its id.
func (r *PodRecord) remember(reason string, now time.Time) string {
	id := revisionOf(r.Spec.Spec)
	number := uint64(1)
	for i := range r.Revisions {
		number = max(number, r.Revisions[i].Number+1)
	}
	if n := len(r.Revisions); n > 0 && r.Revisions[n-1].ID == id {
		return id
	}
	r.Revisions = slices.DeleteFunc(r.Revisions, func(v RevisionRecord) bool { return v.ID == id })
	r.Revisions = append(r.Revisions, RevisionRecord{
		ID: id, Number: number, At: now, Workload: r.Spec.Workload.Clone(), Limits: r.Spec.Limits, Reason: reason,
	})
	for i := 0; len(r.Revisions) > keptRevisions && i < len(r.Revisions)-1; {
		if r.needs(r.Revisions[i].ID) {
			i++
			continue
		}
		r.Revisions = slices.Delete(r.Revisions, i, i+1)
	}
	return id
}

// needs says whether a revision is run by a node or part of the rollout.
func (r *PodRecord) needs(id string) bool {
	if r.Rollout != nil && (r.Rollout.From == id || r.Rollout.To == id) {
		return true
	}
	return slices.ContainsFunc(r.Nodes, func(n NodeRecord) bool { return specRevision(n.Revision) == id })
}

// revision returns the revision of that id, or nil.
func (r *PodRecord) revision(id string) *RevisionRecord {
	for i := range r.Revisions {
		if r.Revisions[i].ID == id {
			return &r.Revisions[i]
		}
	}
	return nil
}

// specOf returns the spec with what nodes of a revision run.
func (l *loop) specOf(revision string) pod.Spec {
	s := l.rec.Spec.Spec
	if id := specRevision(revision); id != l.revision {
		if v := l.rec.revision(id); v != nil {
			s.Workload, s.Limits = v.Workload, v.Limits
		}
	}
	return s
}

// revised follows a change of what the pod runs.
func (l *loop) revised(before PodSpec) {
	for i, f := range l.rec.Spec.Fronts {
		if i < len(before.Fronts) && before.Fronts[i] != f {
			l.unset[f.Name] = true
		}
	}
	l.retry.reset() // what failed may be mended
	l.stepReady = time.Time{}
	delete(l.problems, "rollout")
	r := l.rec.Rollout
	if r == nil {
		return
	}
	e := Event{Type: EventRolloutStarted, Pod: l.name,
		Message: fmt.Sprintf("pod %s changes from revision %s to %s", l.name, l.numberOf(r.From), l.numberOf(r.To))}
	if r.State == RolloutRolledBack {
		e.Type = EventRolloutRolledBack
		e.Message = fmt.Sprintf("pod %s goes back to revision %s: %s", l.name, l.numberOf(r.From), r.Reason)
		l.log.Warn("rollout rolled back", "from", r.To, "to", r.From, "reason", r.Reason)
	} else {
		l.log.Info("rollout", "from", r.From, "to", r.To)
	}
	l.m.events.emit(e)
}

// numberOf names a revision for a person.
func (l *loop) numberOf(id string) string {
	if v := l.rec.revision(id); v != nil {
		return fmt.Sprintf("%d (%s)", v.Number, id)
	}
	return id
}

// rolling returns the rollout that is under way, or nil.
func (l *loop) rolling() *RolloutRecord {
	if r := l.rec.Rollout; r != nil && !r.State.Over() && r.To == l.revision {
		return r
	}
	return nil
}

// nodeFailed counts a node that failed against the rollout that brought it, and
// goes back when that is too much. It is called after the failure is recorded.
func (l *loop) nodeFailed(rec NodeRecord, reason string, hopeless bool) {
	r := l.rolling()
	if r == nil || specRevision(rec.Revision) != r.To || l.rec.Spec.Update.Failures < 0 {
		return
	}
	failures := r.Failures + 1
	if hopeless || failures >= l.rec.Spec.Update.Failures {
		l.rollBack(fmt.Sprintf("%d of its nodes failed, the last, %s, with: %s", failures, rec.Name, reason))
		return
	}
	if err := l.commit(func(r *PodRecord) error { r.Rollout.Failures = failures; return nil }); err != nil {
		l.log.Error("record a failure of the rollout", "error", err)
	}
}

// rollBack makes the pod run what it ran before the rollout.
func (l *loop) rollBack(reason string) {
	target := l.rec.revision(l.rec.Rollout.From)
	if target == nil || l.rec.Deleting {
		return
	}
	if err := l.goTo(*target, reason); err != nil {
		l.log.Error("roll back", "error", err)
		l.problems["rollout"] = fmt.Sprintf("the rollout failed (%s), and the pod cannot go back: %v", reason, err)
	}
}

// followRollout moves the rollout on: to the next step, back, or to its end.
func (l *loop) followRollout(now time.Time) {
	r := l.rolling()
	if r == nil || l.rec.Deleting || l.m.halting.Load() {
		return
	}
	if why := l.gate(r); why != "" {
		l.rollBack(why)
		return
	}
	if r.State == RolloutPaused {
		return
	}
	c := l.count(now)
	want := l.want()
	switch {
	case c.old == 0 && c.freshReady >= want:
		l.endRollout(now)
	case l.rec.Spec.Update.Strategy == Canary && r.Step < len(l.rec.Spec.Update.Steps):
		l.followCanary(r, c, want, now)
	case l.rec.Spec.Update.Strategy == BlueGreen && r.Step == 0 && c.fresh > 0 && c.freshReady >= min(want, max(l.rec.Spec.MaxNodes-c.old, 1)):
		l.nextStep(1, fmt.Sprintf("pod %s changes over to %d new nodes", l.name, c.freshReady))
	}
}

// followCanary ends a step once its nodes have been ready for its pause.
func (l *loop) followCanary(r *RolloutRecord, c census, want int, now time.Time) {
	step := l.rec.Spec.Update.Steps[r.Step]
	if fresh, _ := canaryShare(step.Weight, want, l.rec.Spec.MaxNodes); c.freshReady < fresh {
		l.stepReady = time.Time{}
		return
	}
	if l.stepReady.IsZero() {
		l.stepReady = now
	}
	if now.Sub(l.stepReady) < step.Pause {
		return
	}
	text := fmt.Sprintf("pod %s rolls all other nodes: its canary passed", l.name)
	if r.Step+1 < len(l.rec.Spec.Update.Steps) {
		text = fmt.Sprintf("pod %s gives new nodes %d %% of the requests", l.name, l.rec.Spec.Update.Steps[r.Step+1].Weight)
	}
	l.nextStep(r.Step+1, text)
}

func (l *loop) nextStep(step int, text string) {
	if err := l.commit(func(r *PodRecord) error { r.Rollout.Step = step; return nil }); err != nil {
		l.log.Error("record the rollout's step", "error", err)
		return
	}
	l.stepReady = time.Time{}
	l.m.events.emit(Event{Type: EventRolloutStep, Pod: l.name, Message: text})
}

func (l *loop) endRollout(now time.Time) {
	if err := l.commit(func(r *PodRecord) error {
		r.Rollout.State, r.Rollout.EndedAt = RolloutDone, now.UTC()
		return nil
	}); err != nil {
		l.log.Error("record the rollout's end", "error", err)
		return
	}
	l.log.Info("rollout done", "revision", l.revision)
	l.m.events.emit(Event{Type: EventRolloutDone, Pod: l.name, Message: fmt.Sprintf("pod %s runs revision %s", l.name, l.numberOf(l.revision))})
}

// gate says why the new nodes fail too many requests; empty when they do not.
func (l *loop) gate(r *RolloutRecord) string {
	most := l.rec.Spec.Update.MaxErrors
	v := l.m.balancer.view.Load()
	if most >= 1 || v == nil || v.err != nil {
		return ""
	}
	var requests, failed uint64
	for i := range l.rec.Spec.Fronts {
		f, _ := v.stats.Front(l.rec.Spec.Fronts[i].Name)
		for j := range f.Servers {
			if n := l.rec.node(f.Servers[j].Name); n != nil && specRevision(n.Revision) == r.To {
				requests += f.Servers[j].Requests
				failed += f.Servers[j].Errors
			}
		}
	}
	if share := float64(failed) / float64(max(requests, 1)); requests >= GateRequests && share > most {
		return fmt.Sprintf("its nodes failed %d of %d requests, %.1f %%, and %.3g %% are allowed", failed, requests, 100*share, 100*most)
	}
	return ""
}

// canaryShare returns how many new and old nodes a step has: as many as wanted
// together, and at least one of each, where the pod may have two.
func canaryShare(weight, want, maxNodes int) (fresh, old int) {
	fresh = max(min((weight*want+99)/100, want-1), 1)
	old = max(want-fresh, 1)
	if fresh+old > maxNodes {
		old = 0
	}
	return fresh, old
}

// withheld says whether an online node gets no requests yet: it is one of the
// new ones of a change that happens all at once.
func (l *loop) withheld(rec *NodeRecord) bool {
	r := l.rolling()
	if r == nil || l.rec.Spec.Update.Strategy != BlueGreen || r.Step > 0 || specRevision(rec.Revision) != r.To {
		return false
	}
	return slices.ContainsFunc(l.rec.Nodes, func(n NodeRecord) bool {
		return n.State == pod.StateOnline && specRevision(n.Revision) != r.To
	})
}

// weights returns the balancer's weights of new and of old nodes, so that a
// canary gets its share of the requests.
func (l *loop) weights() (fresh, old int) {
	r := l.rolling()
	u := l.rec.Spec.Update
	if r == nil || u.Strategy != Canary || r.Step >= len(u.Steps) {
		return balancer.DefaultWeight, balancer.DefaultWeight
	}
	var nFresh, nOld float64
	for i := range l.rec.Nodes {
		if n := &l.rec.Nodes[i]; n.State == pod.StateOnline {
			if specRevision(n.Revision) == r.To {
				nFresh++
			} else {
				nOld++
			}
		}
	}
	if nFresh == 0 || nOld == 0 {
		return balancer.DefaultWeight, balancer.DefaultWeight
	}
	share := float64(u.Steps[r.Step].Weight) / 100
	ratio := share / (1 - share) * nOld / nFresh // of the weights
	scale := float64(balancer.DefaultWeight)
	if ratio > 1 {
		scale = balancer.MaxWeight / ratio
	}
	clamp := func(w float64) int { return min(max(int(w+0.5), 1), balancer.MaxWeight) }
	return clamp(scale * ratio), clamp(scale)
}

// rolloutStatus returns how far the last rollout is, or nil.
func (l *loop) rolloutStatus(now time.Time) *RolloutStatus {
	if l.rec.Rollout == nil {
		return nil
	}
	c := l.count(now)
	s := &RolloutStatus{RolloutRecord: *l.rec.Rollout, Strategy: l.rec.Spec.Update.Strategy, Steps: len(l.rec.Spec.Update.Steps),
		Fresh: c.fresh, Ready: c.freshReady, Old: c.old}
	return s
}

// hopeless says that starting the same again will not help.
func hopeless(err error) bool {
	return errors.Is(err, pod.ErrImage) || errors.Is(err, pod.ErrUnsupported)
}
