package reconcile

import (
	"cmp"
	"slices"

	"github.com/elastipod/elastipod/cms/state"
)

// vacate notes that a node died or hung. Nodes that had worked for a while, and
// the first one that had not, are replaced at once.
func (t *turn) vacate(n *state.Node, why string) {
	m := t.mem.Nodes[n.Name]
	if m.Adopted || t.w.Now.Sub(m.Ready) >= t.young() {
		return
	}
	v := Vacancy{Deaths: m.Deaths + 1, Due: t.w.Now, Host: n.Host, Node: n.Name, Why: why}
	if v.Deaths > 1 {
		v.Due = t.w.Now.Add(t.jitter.pause(v.Deaths - 1))
	}
	t.mem.Vacant = append(t.mem.Vacant, v)
}

// forgetVacant forgets the places of nodes that died: all that are wanted are there.
func (t *turn) forgetVacant() { t.mem.Vacant = nil }

// vacateAgain gives back the place of a node that could not be started; how long
// it stays vacant, the host's retry says.
func (t *turn) vacateAgain(n *state.Node) {
	if deaths := t.mem.Nodes[n.Name].Deaths; deaths > 0 {
		t.mem.Vacant = append(t.mem.Vacant, Vacancy{Deaths: deaths, Due: t.w.Now, Host: n.Host, Node: n.Name, Why: "could not be started"})
	}
}

// vacancies returns the places that n nodes would take, the ones that are due
// first, and how many of them nobody may take yet.
func (t *turn) vacancies(n int) (due []Vacancy, waiting int) {
	// Where fewer are wanted than there are, those that failed least are forgotten.
	slices.SortStableFunc(t.mem.Vacant, func(a, b Vacancy) int { return cmp.Compare(b.Deaths, a.Deaths) })
	t.mem.Vacant = t.mem.Vacant[:min(n, len(t.mem.Vacant))]
	for _, v := range t.mem.Vacant {
		if v.Due.After(t.w.Now) {
			waiting++
			continue
		}
		due = append(due, v)
	}
	return due, waiting
}

// take makes a node that is started be the one in the place of those that died.
func (t *turn) take(v Vacancy, node string) {
	if i := slices.Index(t.mem.Vacant, v); i >= 0 {
		t.mem.Vacant = slices.Delete(t.mem.Vacant, i, i+1)
	}
	t.mem.Nodes[node].Deaths = v.Deaths
}
