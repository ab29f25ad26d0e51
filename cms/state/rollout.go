package state

import "time"

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

// Rollout is what a store keeps of the last rollout of a pod.
type Rollout struct {
	From, To  uint64       // numbers of revisions
	State     RolloutState // how far it is
	Reason    string       `json:",omitempty"` // of the state, for a person
	Step      int          `json:",omitempty"` // of a canary, from 0; of blue-green, 1 once changed over
	Failures  int          `json:",omitempty"` // new nodes that failed
	StartedAt time.Time    `json:",omitzero"`  // when the workload changed
	EndedAt   time.Time    `json:",omitzero"`  // when it was over; zero before
	// Unchecked names the fronts whose check path changed: meanwhile there is none
	// that nodes of both revisions answer.
	Unchecked []string `json:",omitempty"`
}

// Rolling returns the rollout that is under way, or nil.
func (p *Pod) Rolling() *Rollout {
	if r := p.Rollout; r != nil && !r.State.Over() && r.To == p.Revision {
		return r
	}
	return nil
}

// Hold pauses the rollout, or lets it go on.
func (r *Rollout) Hold(paused bool) {
	r.State = RolloutProgressing
	if paused {
		r.State = RolloutPaused
	}
}

// Next goes on to a step.
func (r *Rollout) Next(step int) { r.Step = step }

// Failed counts a new node that failed.
func (r *Rollout) Failed() { r.Failures++ }

// End records that all nodes run the new revision, at a time of the wall clock.
func (r *Rollout) End(now time.Time) { r.State, r.EndedAt = RolloutDone, now }

// roll begins a rollout of the current revision, of a pod that had these fronts
// before. One that leads back to where an
// unfinished rollout began ends that one.
func (p *Pod) roll(before uint64, fronts []Front, reason string, now time.Time) {
	from, unchecked := before, repathed(fronts, p.Spec.Fronts)
	if p.Rollout != nil && !p.Rollout.State.Over() {
		from = p.Rollout.From // what ran before has not been proven yet
		unchecked = append(unchecked, p.Rollout.Unchecked...)
	}
	next := Rollout{From: from, To: p.Revision, State: RolloutProgressing, Reason: reason, StartedAt: now, Unchecked: unchecked}
	if from == p.Revision {
		next = *p.Rollout
		next.State, next.Reason, next.EndedAt = RolloutRolledBack, reason, now
	}
	p.Rollout = &next
}
