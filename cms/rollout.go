package cms

import (
	"context"
	"fmt"
	"time"
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

// RolloutStatus is how far the last rollout of a pod is.
type RolloutStatus struct {
	RolloutRecord
	Strategy UpdateStrategy // of the pod
	Steps    int            // of a canary
	// Weight is the percentage of requests that the canary's step gives to new
	// nodes; 0 where there is none.
	Weight int
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

// rolloutStatus returns how far the last rollout is, or nil.
func (l *loop) rolloutStatus(now time.Time) *RolloutStatus {
	if l.rec.Rollout == nil {
		return nil
	}
	c := l.count(now)
	s := &RolloutStatus{RolloutRecord: *l.rec.Rollout, Strategy: l.rec.Spec.Update.Strategy, Steps: len(l.rec.Spec.Update.Steps),
		Fresh: c.fresh, Ready: c.freshReady, Old: c.old}
	if u := l.rec.Spec.Update; u.Strategy == Canary && !s.State.Over() && s.Step < len(u.Steps) {
		s.Weight = u.Steps[s.Step].Weight
	}
	return s
}
