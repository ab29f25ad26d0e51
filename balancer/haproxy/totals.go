package haproxy

import (
	"maps"
	"slices"
)

// totals adds up the counters of all workers that there were. It belongs to
// whoever holds Balancer.reading.
type totals struct {
	living map[int]map[uint64]counts // by pid and incarnation, as last seen
	gone   map[uint64]counts         // of workers that ended
	told   map[uint64]counts         // as last returned
}

// counts are counters of a front or server. Those of requests that an old worker
// handed on to the new one are kept apart: they rise a moment after the others,
// and a difference that is taken in between must not stay.
type counts struct{ requests, errors, relayed, relayedErrors uint64 }

func (c counts) plus(d counts) counts {
	return counts{c.requests + d.requests, c.errors + d.errors, c.relayed + d.relayed, c.relayedErrors + d.relayedErrors}
}

func (c counts) atLeast(d counts) counts {
	return counts{
		max(c.requests, d.requests), max(c.errors, d.errors),
		max(c.relayed, d.relayed), max(c.relayedErrors, d.relayedErrors),
	}
}

func newTotals() *totals {
	return &totals{living: map[int]map[uint64]counts{}, gone: map[uint64]counts{}, told: map[uint64]counts{}}
}

// add notes what the workers say. Those that are not among them have ended: what
// they said last counts for ever.
func (t *totals) add(fronts map[string]*front, workers []worker) {
	for pid, last := range t.living {
		if !slices.ContainsFunc(workers, func(w worker) bool { return w.pid == pid }) {
			for inc, c := range last {
				t.gone[inc] = t.gone[inc].plus(c)
			}
			delete(t.living, pid)
		}
	}
	for _, w := range workers {
		if t.living[w.pid] == nil {
			t.living[w.pid] = map[uint64]counts{}
		}
		w.each(fronts, func(inc uint64, c counts, _ int) {
			t.living[w.pid][inc] = c.atLeast(t.living[w.pid][inc])
		})
	}
}

// cut counts what a worker had that is gone: nobody answers it.
func (t *totals) cut(fronts map[string]*front, w worker) {
	w.each(fronts, func(inc uint64, _ counts, inFlight int) {
		t.gone[inc] = t.gone[inc].plus(counts{errors: uint64(inFlight)})
	})
}

// each calls f for every front and server that the worker knows, with what it
// counted and how many requests it has.
func (w worker) each(fronts map[string]*front, f func(inc uint64, c counts, inFlight int)) {
	for _, fr := range fronts {
		if !w.knows(fr.incarnation) {
			continue
		}
		f(fr.inc, w.frontCounts(fr.Name), w.backend(fr.Name).scur)
		for name, s := range fr.servers {
			r, ok := w.rows[rowKey{kindServer, fr.Name, name}]
			if ok && w.knows(s.incarnation) && canonical(r.addr) == canonical(s.Addr) {
				f(s.inc, counts{requests: r.stot, errors: r.hrsp5xx + r.eresp + r.srvAbrt}, r.scur)
			}
		}
	}
}

func (w worker) frontCounts(name string) counts {
	fe, be, relay := w.frontend(name), w.backend(name), w.backend(name+relaySuffix)
	return counts{requests: fe.reqTot, errors: fe.hrsp5xx + be.srvAbrt, relayed: relay.reqTot, relayedErrors: relay.hrsp5xx}
}

// of returns the sum over all workers, less what was handed on and so counted
// twice. It never falls.
func (t *totals) of(inc uint64) counts {
	sum := t.gone[inc]
	for _, w := range t.living {
		sum = sum.plus(w[inc])
	}
	t.told[inc] = counts{
		requests: sum.requests - min(sum.requests, sum.relayed),
		errors:   sum.errors - min(sum.errors, sum.relayedErrors),
	}.atLeast(t.told[inc])
	return t.told[inc]
}

// keepOnly forgets incarnations that are no more.
func (t *totals) keepOnly(fronts map[string]*front) {
	keep := map[uint64]bool{}
	for _, fr := range fronts {
		keep[fr.inc] = true
		for _, s := range fr.servers {
			keep[s.inc] = true
		}
	}
	lost := func(inc uint64, _ counts) bool { return !keep[inc] }
	maps.DeleteFunc(t.gone, lost)
	maps.DeleteFunc(t.told, lost)
	for _, w := range t.living {
		maps.DeleteFunc(w, lost)
	}
}
