package cms

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// vacancy is the place of a node that died or hung young. The one that takes it
// waits the longer, the more of them did so in a row; other nodes of the pod do
// not wait for it.
type vacancy struct {
	deaths int       // in a row
	due    time.Time // when a node may take it
	host   string    // where the last one was
	why    string    // how the last one ended
}

// vacate notes that a node died or hung. Nodes that had worked for a while, and
// the first one that had not, are replaced at once.
func (l *loop) vacate(rec *NodeRecord, now time.Time, why string) {
	run := l.nodes[rec.Name]
	if !l.diedYoung(run, now) {
		return
	}
	v := vacancy{deaths: run.deaths + 1, due: now, host: rec.Host, why: fmt.Sprintf("node %s %s", rec.Name, why)}
	if v.deaths > 1 {
		v.due = now.Add(pauseAfter(v.deaths - 1))
	}
	l.vacant = append(l.vacant, v)
}

// vacancies returns the places that n nodes would take, the ones that are due
// first, and how many of them nobody may take yet.
func (l *loop) vacancies(now time.Time, n int) (due []vacancy, waiting int) {
	// Where fewer are wanted than there are, those that failed least are forgotten.
	slices.SortStableFunc(l.vacant, func(a, b vacancy) int { return cmp.Compare(b.deaths, a.deaths) })
	l.vacant = l.vacant[:min(n, len(l.vacant))]
	delete(l.problems, "deaths")
	var next vacancy
	for _, v := range l.vacant {
		if !v.due.After(now) {
			due = append(due, v)
			continue
		}
		waiting++
		if waiting == 1 || v.due.Before(next.due) {
			next = v
		}
	}
	if waiting > 0 {
		l.problems["deaths"] = fmt.Sprintf("nodes end or hang within %s of being ready, so others are started ever more seldom; the next try is in %s; the last, of %d in a row: %s",
			l.young(), next.due.Sub(now).Round(100*time.Millisecond), next.deaths, next.why)
	}
	return due, waiting
}

// take makes a node that is started be the one in the place of those that died.
func (l *loop) take(v vacancy, node string) {
	if i := slices.Index(l.vacant, v); i >= 0 {
		l.vacant = slices.Delete(l.vacant, i, i+1)
	}
	l.nodes[node].deaths = v.deaths
}

// failedOn notes that a start on a host failed: it is tried there ever more
// seldom, one node at a time, while the others take what they can.
func (l *loop) failedOn(host string, now time.Time) *retry {
	r := l.tries[host]
	if r == nil {
		r = &retry{}
		l.tries[host] = r
	}
	r.failed(now)
	return r
}

// hostsFor returns the hosts on which a node may be started now, and the others
// with why not. held says that there are some on which starts failed.
func (l *loop) hostsFor(now time.Time) (hosts []candidate, held bool) {
	hosts = l.m.candidates(l.rec.Spec.Spec)
	for i := range hosts {
		h := &hosts[i]
		r := l.tries[h.name]
		if r == nil || h.refused != "" {
			continue
		}
		switch {
		case !r.ready(now):
			h.refused = fmt.Sprintf("could not start the last one; the next try is in %s", r.next.Sub(now).Round(100*time.Millisecond))
		case slices.ContainsFunc(l.rec.Nodes, func(n NodeRecord) bool { return n.State == pod.StateStarting && n.Host == h.name }):
			h.refused = "is being tried with one node, as it could not start the last one"
		default:
			continue
		}
		held = true
	}
	return hosts, held
}

// usable says whether one of the hosts takes nodes at all.
func usable(hosts []candidate) bool {
	return slices.ContainsFunc(hosts, func(h candidate) bool { return h.refused == "" })
}

// avoiding returns the hosts without one, if a node fits on another.
func (l *loop) avoiding(name string, limits pod.Limits, hosts []candidate) []candidate {
	others := slices.DeleteFunc(slices.Clone(hosts), func(h candidate) bool { return h.name == name })
	if n, _ := l.m.placer.room(limits, others, 1); n == 0 {
		return hosts
	}
	return others
}

// stuck says that what is started now could not take anybody's place.
func (l *loop) stuck(now time.Time) bool {
	if slices.ContainsFunc(l.vacant, func(v vacancy) bool { return v.due.After(now) }) {
		return true
	}
	hosts, held := l.hostsFor(now)
	if !held {
		return false
	}
	n, _ := l.m.placer.room(l.rec.Spec.Limits, hosts, 1)
	return n == 0
}
