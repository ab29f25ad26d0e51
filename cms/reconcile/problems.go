package reconcile

import (
	"maps"
	"slices"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// problems returns all that is wrong with the pod now, made anew each time.
func (t *turn) problems() []Problem {
	var out []Problem
	add := func(p Problem) { out = append(out, p) }
	if !t.w.Policy.OK() && t.pod.Elasticity.SamePolicy(t.w.Pod.Elasticity) {
		add(Problem{Code: ProblemPolicy, Fault: t.w.Policy})
	}
	t.startProblems(add)
	t.roomProblems(add)
	if f := t.mem.Rollout.Stuck; !f.OK() {
		add(Problem{Code: ProblemRollback, Fault: f})
	}
	t.lostProblems(add)
	t.frontProblems(add)
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if try := t.mem.Nodes[n.Name].Stop.Try; !try.Fault.OK() && !t.mem.Nodes[n.Name].Stop.Done {
			add(Problem{Code: ProblemStop, Node: n.Name, Host: n.Host, Fault: try.Fault, Again: try.Next})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.mem.Orphans)) {
		if o := t.mem.Orphans[key]; !o.Try.Fault.OK() {
			add(Problem{Code: ProblemOrphan, Node: o.Node, Host: o.Host, Fault: o.Try.Fault, Again: o.Try.Next})
		}
	}
	if !t.mem.Settings.OK() {
		add(Problem{Code: ProblemSettings, Fault: t.mem.Settings})
	}
	if !t.w.Store.OK() {
		add(Problem{Code: ProblemStore, Fault: t.w.Store})
	}
	if b := t.w.Balancer; !b.Fault.OK() && !b.Asked.IsZero() && len(t.pod.Spec.Fronts) > 0 {
		add(Problem{Code: ProblemBalancer, Fault: b.Fault})
	}
	for i := range out {
		out[i].Pod = t.w.Name
	}
	return out
}

// startProblems adds why nodes that are wanted are not there yet.
func (t *turn) startProblems(add func(Problem)) {
	c := t.census()
	if c.Live() < t.want() || c.Starting > 0 || t.notes.starts {
		for _, host := range slices.Sorted(maps.Keys(t.mem.Starts)) {
			r := t.mem.Starts[host]
			p := Problem{Code: ProblemStart, Node: r.Node, Host: host, Fault: r.Fault, Again: r.Next}
			switch r.Fault.Code {
			case FaultImage:
				p.Code = ProblemImage
			case FaultDenied:
				p.Code = ProblemDenied
			}
			add(p)
		}
		if next, waiting := t.nextVacancy(); waiting {
			add(Problem{Code: ProblemDeaths, Node: next.Node, Host: next.Host, Count: next.Deaths, Lasts: t.young().String(), Fault: Fault{Code: FaultExited, Text: next.Why}, Again: next.Due})
		}
	}
	for i := range t.pod.Nodes {
		if n := &t.pod.Nodes[i]; t.overdue(n) {
			add(Problem{Code: ProblemOverdue, Node: n.Name, Host: n.Host, Lasts: t.patience(n.Revision).String()})
		}
	}
}

// nextVacancy returns the place of a node that died young that may be taken next,
// where nobody may take it yet.
func (t *turn) nextVacancy() (next Vacancy, waiting bool) {
	for _, v := range t.mem.Vacant {
		if v.Due.After(t.w.Now) && (!waiting || v.Due.Before(next.Due)) {
			next, waiting = v, true
		}
	}
	return next, waiting
}

func (t *turn) roomProblems(add func(Problem)) {
	if why := t.mem.Room.Why; why != "" {
		add(Problem{Code: ProblemRoom, Fault: Fault{Code: FaultOther, Text: why}})
	}
	if t.notes.surge != nil {
		add(*t.notes.surge)
	}
	if t.notes.waits != nil {
		add(*t.notes.waits)
	}
}

func (t *turn) lostProblems(add func(Problem)) {
	on := map[string]int{}
	for i := range t.pod.Nodes {
		if n := &t.pod.Nodes[i]; t.lost(n) {
			on[n.Host]++
		}
	}
	for _, host := range slices.Sorted(maps.Keys(on)) {
		add(Problem{Code: ProblemLost, Host: host, Count: on[host], Lasts: t.w.Settings.HostTimeout.String(), Fault: t.unreachable(host)})
	}
}

func (t *turn) frontProblems(add func(Problem)) {
	for _, name := range slices.Sorted(maps.Keys(t.mem.Fronts)) {
		m := t.mem.Fronts[name]
		switch {
		case m.Leave != nil:
			if !m.Leave.Try.Fault.OK() {
				add(Problem{Code: ProblemLeftFront, Front: name, Fault: m.Leave.Try.Fault, Again: m.Leave.Try.Next})
			}
		case m.Try.Fault.OK():
		case m.Set == nil:
			add(Problem{Code: ProblemFront, Front: name, Fault: m.Try.Fault, Again: m.Try.Next})
		default:
			add(Problem{Code: ProblemServers, Front: name, Fault: m.Try.Fault, Again: m.Try.Next})
		}
	}
}

// status returns what others are shown beside the record.
func (t *turn) status() Status {
	c := t.census()
	return Status{Converged: t.converged(c), Fresh: c.Fresh, Ready: c.FreshReady, Old: c.Old}
}

// converged says that what runs and takes requests is what should.
func (t *turn) converged(c Census) bool {
	if t.pod.Rolling() != nil || c.Live() != t.want() || c.Overdue > 0 || len(t.mem.Fronts) != len(t.pod.Spec.Fronts) {
		return false
	}
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		switch {
		case t.lost(n):
		case n.State == pod.StateStarting, n.State == pod.StateDraining, n.State == pod.StateOnline && (t.stale(n) || !t.w.Hosts[n.Host].Known):
			return false
		}
	}
	return !slices.ContainsFunc(t.pod.FrontsNow(), func(f state.Front) bool { return !t.frontServes(f) })
}

// frontServes says that the balancer has a front, and its servers, as they should
// be.
func (t *turn) frontServes(f state.Front) bool {
	m := t.mem.Fronts[f.Name]
	return m != nil && m.Set != nil && m.Set.Equal(f) && m.Trusted && !t.running(FrontKey(f.Name)) && m.Leave == nil &&
		slices.Equal(m.Applied, t.servers(f, m))
}
