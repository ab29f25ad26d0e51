package state

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// Revision is what a pod ran once. The same workload may be several revisions:
// after a restart, or where the tag of its image moved.
type Revision struct {
	Number   uint64       // counts from 1 in the pod
	At       time.Time    // when it was first wanted
	Workload pod.Workload // complete
	Limits   pod.Limits   // complete
	// Digest pins the content of the image on every host; see [pod.Prepared].
	// Resolved says that a host was asked for it: where Digest is empty then,
	// there is nothing to pin.
	Digest   string `json:",omitempty"`
	Resolved bool   `json:",omitempty"`
	// Reason says how it came about, for a person.
	Reason string `json:",omitempty"`
}

// KeptRevisions is how many revisions of a pod are remembered, beside those that
// nodes run.
const KeptRevisions = 10

// RevisionOf returns the revision of that number, or nil.
func (p *Pod) RevisionOf(number uint64) *Revision {
	for i := range p.Revisions {
		if p.Revisions[i].Number == number {
			return &p.Revisions[i]
		}
	}
	return nil
}

// SpecOf returns the spec with what nodes of a revision run.
func (p *Pod) SpecOf(number uint64) pod.Spec {
	s := p.Spec.Spec
	if number != p.Revision {
		if v := p.RevisionOf(number); v != nil {
			s.Workload, s.Limits = v.Workload, v.Limits
		}
	}
	return s
}

// Pin records the content that every node of a revision runs.
func (r *Revision) Pin(digest string) { r.Digest, r.Resolved = digest, true }

// Revise changes the spec at a time of the wall clock, and begins a rollout where
// that changes what runs. Going back to what an unfinished rollout replaces ends
// that rollout.
func (p *Pod) Revise(spec PodSpec, reason string, now time.Time) {
	before, fronts := p.Revision, p.Spec.Fronts
	p.Spec = spec
	if v := p.RevisionOf(before); v != nil && v.runs(spec.Spec) {
		return
	}
	if p.Rollout != nil && !p.Rollout.State.Over() {
		if from := p.RevisionOf(p.Rollout.From); from != nil && from.runs(spec.Spec) {
			p.Revision = from.Number
			p.roll(before, fronts, reason, now)
			return
		}
	}
	p.addRevision(reason, now)
	p.roll(before, fronts, reason, now)
}

// Restart makes a new revision of the same spec, whose image is resolved anew.
func (p *Pod) Restart(reason string, now time.Time) {
	before := p.Revision
	p.addRevision(reason, now)
	p.roll(before, p.Spec.Fronts, reason, now)
}

// GoTo makes the pod run a revision that it ran before, with the content that
// this had.
func (p *Pod) GoTo(target uint64, reason string, now time.Time) {
	before, fronts := p.Revision, p.Spec.Fronts
	v := p.RevisionOf(target)
	p.Spec = p.Spec.With(*v)
	p.Revision = target
	p.roll(before, fronts, reason, now)
}

// adopt makes the pod be as a node of it says, and run a revision that was found.
func (p *Pod) adopt(s NodeSettings, number uint64) {
	v := *p.RevisionOf(number)
	p.setFound(s)
	p.Spec = s.Spec
	p.Spec.Workload, p.Spec.Limits = v.Workload.Clone(), v.Limits
	p.Spec = p.Spec.WithDefaults()
	p.Revision = number
}

// Complete fills in what a record of an earlier program does not have.
func (p *Pod) Complete() {
	p.Spec = p.Spec.WithDefaults()
	p.completeElasticity()
}

// salvageRevision remembers what a node runs.
func (p *Pod) salvageRevision(number uint64, n Found, s NodeSettings) {
	if p.RevisionOf(number) != nil {
		return
	}
	p.Revisions = append(p.Revisions, Revision{
		Number: number, At: n.Node.StartedAt.UTC(), Workload: s.Spec.Workload.Clone(), Limits: s.Spec.Limits,
		Digest: s.Digest, Resolved: true, Reason: "found on a node",
	})
	slices.SortFunc(p.Revisions, func(a, b Revision) int { return int(a.Number) - int(b.Number) })
}

// addRevision adds the revision of the spec as the current one, and forgets old
// ones that nothing needs.
func (p *Pod) addRevision(reason string, now time.Time) {
	number := uint64(1)
	for i := range p.Revisions {
		number = max(number, p.Revisions[i].Number+1)
	}
	p.Revision = number
	p.Revisions = append(p.Revisions, Revision{
		Number: number, At: now, Workload: p.Spec.Workload.Clone(), Limits: p.Spec.Limits, Reason: reason,
		Resolved: p.Spec.Workload.Image == "",
	})
	for i := 0; len(p.Revisions) > KeptRevisions && i < len(p.Revisions)-1; {
		if p.needs(p.Revisions[i].Number) {
			i++
			continue
		}
		p.Revisions = slices.Delete(p.Revisions, i, i+1)
	}
}

// needs says whether a revision is run by a node or part of the rollout.
func (p *Pod) needs(number uint64) bool {
	if p.Rollout != nil && (p.Rollout.From == number || p.Rollout.To == number) {
		return true
	}
	return slices.ContainsFunc(p.Nodes, func(n Node) bool { return n.Revision == number })
}

// runs says whether the revision is what a complete spec runs.
func (r *Revision) runs(s pod.Spec) bool {
	return runText(r.Workload, r.Limits) == runText(s.Workload, s.Limits)
}

// runText tells apart what nodes run.
func runText(w pod.Workload, l pod.Limits) string {
	s := pod.Spec{Workload: w, Limits: l}.WithDefaults()
	// A map marshals with sorted keys, so equal specs have equal bytes.
	text, err := json.Marshal(struct {
		W pod.Workload
		L pod.Limits
	}{s.Workload, s.Limits})
	if err != nil {
		panic(err) // strings, numbers and maps of them always marshal
	}
	return string(text)
}

// SameRun says whether nodes of two complete specs run the same.
func SameRun(a, b pod.Spec) bool {
	return runText(a.Workload, a.Limits) == runText(b.Workload, b.Limits)
}

// With returns the spec with what a revision ran. Fronts that were checked at
// the path of the probe go on being.
func (s PodSpec) With(target Revision) PodSpec {
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

// FrontsNow returns the fronts as the balancer should have them. While a rollout
// changes the path at which they are checked there is none that nodes of both
// revisions answer, so that only the port is checked until it is over.
func (p *Pod) FrontsNow() []Front {
	if p.Rollout == nil || p.Rollout.State.Over() {
		return p.Spec.Fronts
	}
	out := slices.Clone(p.Spec.Fronts)
	for i := range out {
		if slices.Contains(p.Rollout.Unchecked, out[i].Name) {
			out[i].CheckPath = ""
		}
	}
	return out
}

// repathed names the fronts that are in both lists with different check paths.
func repathed(before, after []Front) (names []string) {
	for _, f := range after {
		if slices.ContainsFunc(before, func(b Front) bool { return b.Name == f.Name && b.CheckPath != f.CheckPath }) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Unchecked returns fronts, without the check path of those that have another
// one in others.
func Unchecked(fronts, others []Front) []Front {
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
