package cms

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
)

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
	if err := l.commit(func(r *PodRecord) error {
		r.revise(spec, l.revision, reason, l.m.clock.wall().UTC())
		return nil
	}); err != nil {
		return err
	}
	l.setFrontsAgain()
	l.revised()
	return nil
}

// setFrontsAgain makes the balancer be told how the fronts are checked now.
func (l *loop) setFrontsAgain() {
	for _, f := range l.rec.Spec.Fronts {
		l.unset[f.Name] = true
	}
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

// frontsNow returns the fronts as the balancer should have them. While a rollout
// changes the path at which they are checked there is none that nodes of both
// revisions answer, so that only the port is checked until it is over.
func (r *PodRecord) frontsNow() []Front {
	if r.Rollout == nil || r.Rollout.State.Over() {
		return r.Spec.Fronts
	}
	before := r.revision(r.Rollout.From)
	if before == nil {
		return r.Spec.Fronts
	}
	return unchecked(r.Spec.Fronts, r.Spec.with(*before).Fronts)
}

// unchecked returns fronts, without the check path of those that have another
// one in others.
func unchecked(fronts, others []Front) []Front {
	out := slices.Clone(fronts)
	for i := range out {
		for _, o := range others {
			if o.Name == out[i].Name && o.CheckPath != out[i].CheckPath {
				out[i].CheckPath = ""
			}
		}
	}
	return out
}

// revise changes the spec, and begins a rollout where that changes what runs.
// before is the revision until now, a time of the wall clock.
func (r *PodRecord) revise(spec PodSpec, before, reason string, now time.Time) {
	r.Spec = spec
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
	id := r.current()
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

// current returns the id of what the spec runs. A revision that is known keeps
// the id that it was given, by whatever version: the text that ids follow from
// grows with the fields of a workload, and nodes must not be replaced because a
// field was added that they do not use.
func (r *PodRecord) current() string {
	id := revisionOf(r.Spec.Spec)
	for i := len(r.Revisions) - 1; i >= 0; i-- {
		v := &r.Revisions[i]
		if v.ID == id || revisionOf(pod.Spec{Workload: v.Workload, Limits: v.Limits}) == id {
			return v.ID
		}
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
func (l *loop) revised() {
	clear(l.tries) // what failed may be mended
	l.vacant = nil
	l.stepReady = time.Time{}
	delete(l.problems, "rollout")
	r := l.rec.Rollout
	if r == nil {
		return
	}
	e := Event{Type: EventRolloutStarted, Pod: l.name,
		Message: fmt.Sprintf("pod %s changes from revision %s to %s", l.name, l.numberOf(r.From), l.numberOf(r.To))}
	if r.State == RolloutRolledBack {
		l.setFrontsAgain() // nothing is checked as during the rollout any more
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

// revisionOf identifies what a spec runs: its workload and limits, with defaults.
func revisionOf(s pod.Spec) string {
	s = s.WithDefaults()
	// A map marshals with sorted keys, so equal specs have equal bytes.
	text, err := json.Marshal(struct {
		W pod.Workload
		L pod.Limits
	}{s.Workload, s.Limits})
	if err != nil {
		panic(err) // strings, numbers and maps of them always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// withDigest adds a short image digest to a spec's revision.
func withDigest(revision, digest string) string {
	if digest == "" {
		return revision
	}
	_, sum, ok := strings.Cut(digest, ":")
	if !ok {
		sum = digest
	}
	return revision + "-" + sum[:min(len(sum), 12)]
}

// specRevision is the part of a node's revision that its spec decides.
func specRevision(revision string) string {
	spec, _, _ := strings.Cut(revision, "-")
	return spec
}
