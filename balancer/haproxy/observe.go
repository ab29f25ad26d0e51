package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/elastipod/elastipod/balancer"
)

// Observe returns the statistics of every front and server; see
// [balancer.Balancer]. It asks the worker and, after a reload, old ones that
// still have requests. Counters go on over reloads and restarts of HAProxy, as
// far as they were observed before it died. It returns
// balancer.ErrUnavailable when HAProxy does not run.
func (b *Balancer) Observe(ctx context.Context) (balancer.Stats, error) {
	ctx, done, err := b.begin(ctx, b.reading)
	if err != nil {
		return balancer.Stats{}, refuse("observe", "", err)
	}
	defer done()
	// Fronts first, and then what HAProxy says: a front or server that comes in
	// between is left out, and none gets the figures of another.
	fronts := b.snapshot()
	var out balancer.Stats
	if len(fronts) == 0 {
		b.tell(&out)
		return out, nil
	}
	workers, err := b.collect(ctx)
	if err != nil {
		if errors.Is(err, errStats) {
			err = fmt.Errorf("%w: %w", balancer.ErrUnavailable, err)
		}
		if ctx.Err() == nil {
			b.suspect()
		}
		if p := b.problem(problemProcess); p != "" {
			err = fmt.Errorf("%s: %w", p, err)
		}
		return balancer.Stats{}, fail(ctx, "observe", "", err)
	}
	b.totals.keepOnly(fronts)
	for _, name := range slices.Sorted(maps.Keys(fronts)) {
		out.Fronts = append(out.Fronts, b.frontStats(fronts[name], workers))
	}
	b.tell(&out)
	return out, nil
}

// worker is what one worker says of its fronts.
type worker struct {
	pid   int
	began int // the configuration that it began with; -1: from before our time
	old   bool
	rows  map[rowKey]row
}

type rowKey struct{ kind, proxy, name string }

func (w worker) frontend(name string) row { return w.rows[rowKey{kindFrontend, name, ""}] }
func (w worker) backend(name string) row  { return w.rows[rowKey{kindBackend, name, ""}] }

// knows says whether what the worker counts under a name is of this
// incarnation, and not of an earlier one.
func (w worker) knows(i incarnation) bool { return w.began < 0 || w.began >= i.born }

// collect asks all workers, adds up what they counted and lets go of old
// workers that are done. The caller holds reading.
func (b *Balancer) collect(ctx context.Context) ([]worker, error) {
	newest, procs, err := b.askNewest(ctx)
	if err != nil {
		return nil, err
	}
	workers := []worker{newest}
	for _, pid := range append(procs.workers, procs.old...) {
		if pid == newest.pid {
			continue
		}
		w, err := b.askWorker(ctx, pid)
		if err != nil {
			return nil, err
		}
		w.old = slices.Contains(procs.old, pid)
		workers = append(workers, w)
	}
	fronts, cut := b.notice(procs.master, workers)
	b.totals.add(fronts, workers)
	for _, w := range cut {
		b.totals.cut(fronts, w)
	}
	for _, w := range workers[1:] {
		b.release(w)
	}
	return workers, nil
}

// askNewest asks the newest worker and its master. A worker may answer whose
// master was killed, and then the master of the next HAProxy: they are asked
// once more.
func (b *Balancer) askNewest(ctx context.Context) (newest worker, procs processes, err error) {
	for range 3 {
		out, err := ask(ctx, b.cfg.socket(statsSocket), "show info; show stat")
		if err != nil {
			return newest, procs, err
		}
		if newest, err = parseWorker(parseInfo(out).pid, out); err != nil {
			return newest, procs, err
		}
		if procs, err = b.cfg.showProc(ctx); err != nil {
			return newest, procs, err
		}
		if slices.Contains(append(procs.workers, procs.old...), newest.pid) {
			return newest, procs, nil
		}
	}
	return newest, procs, fmt.Errorf("%w: worker %d is not one of master %d", errNoAnswer, newest.pid, procs.master)
}

// notice notes what there is of workers, and when each began. It returns the
// fronts, and what those workers said last that are gone and did not end by
// themselves: they died, or their time was over.
func (b *Balancer) notice(master int, workers []worker) (fronts map[string]*front, cut []worker) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range workers {
		began, ok := b.began[w.pid]
		if !ok {
			began = -1
		}
		workers[i].began = began
	}
	gone := func(pid int) bool {
		return !slices.ContainsFunc(workers, func(w worker) bool { return w.pid == pid })
	}
	for pid, last := range b.last {
		if !gone(pid) {
			continue
		}
		retired, old := b.retired[pid]
		// It was old for a moment when that was noticed.
		late := min(time.Second, b.cfg.HardStopAfter/4)
		if over := old && now.Sub(retired) >= b.cfg.HardStopAfter-late; over || last.master != master {
			cut = append(cut, last.worker)
		}
		delete(b.last, pid)
		delete(b.retired, pid)
	}
	for _, w := range workers {
		// Once its time is over, a worker says that it has nothing: it is what it
		// had before that is cut.
		if retired, old := b.retired[w.pid]; !old || !w.old || now.Sub(retired) < b.cfg.HardStopAfter {
			b.last[w.pid] = lastSaid{w, master}
		}
		if _, known := b.retired[w.pid]; w.old && !known {
			b.retired[w.pid] = now
		}
	}
	maps.DeleteFunc(b.began, func(pid, _ int) bool { return gone(pid) })
	maps.DeleteFunc(b.silent, func(pid int, _ time.Time) bool { return gone(pid) })
	maps.DeleteFunc(b.workers, func(_ int, p process) bool { return !p.alive() })
	for _, w := range cut {
		if n := w.requests(b.fronts); n > 0 {
			b.happen("HAProxy's worker %d ended with about %d requests, which were cut", w.pid, n)
		}
	}
	return maps.Clone(b.fronts), cut
}

// lastSaid is what a worker said last, and whose worker it was.
type lastSaid struct {
	worker
	master int
}

// requests returns how many requests the worker has.
func (w worker) requests(fronts map[string]*front) (n int) {
	for name := range fronts {
		n += w.backend(name).scur
	}
	return n
}

// askWorker asks an old worker, on the connection that holds it or else
// through the master. One that has just ended says nothing. One whose sockets
// are taken is seldom asked; what it said last stands for it, so that no drain
// ends too early.
func (b *Balancer) askWorker(ctx context.Context, pid int) (worker, error) {
	b.mu.Lock()
	held, silent, last := b.held[pid], b.silent[pid], b.last[pid]
	b.mu.Unlock()
	if held != nil {
		if out, err := held.run(ctx, "show stat"); err == nil {
			return parseWorker(pid, out)
		}
		b.drop(pid)
	}
	if time.Now().Before(silent) {
		return last.worker, nil
	}
	asked, cancel := context.WithTimeout(ctx, b.cfg.timing.old)
	defer cancel()
	out, err := b.cfg.worker(asked, pid, "show stat")
	var w worker
	if err == nil {
		w, err = parseWorker(pid, out)
	}
	if err == nil || ctx.Err() != nil {
		b.mu.Lock()
		delete(b.silent, pid)
		b.mu.Unlock()
		return w, err
	}
	procs, perr := b.cfg.showProc(ctx)
	switch {
	case perr != nil:
		return w, err
	case !slices.Contains(append(procs.workers, procs.old...), pid):
		return worker{pid: pid}, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	last, known := b.last[pid]
	if !known {
		return w, err
	}
	b.silent[pid] = time.Now().Add(silence)
	return last.worker, nil
}

// silence is for how long an old worker that did not answer is not asked again.
const silence = 10 * time.Second

// release lets an old worker end when no client is connected to it any more.
func (b *Balancer) release(w worker) {
	for k, r := range w.rows {
		if k.kind == kindFrontend && (r.scur > 0 || r.status == "OPEN") {
			return
		}
	}
	b.drop(w.pid)
}

func (b *Balancer) drop(pid int) {
	b.mu.Lock()
	s := b.held[pid]
	delete(b.held, pid)
	b.mu.Unlock()
	if s != nil {
		s.close()
	}
}

func parseWorker(pid int, out string) (worker, error) {
	rows, err := parseStats(out)
	if err != nil {
		return worker{}, err
	}
	w := worker{pid: pid, rows: make(map[rowKey]row, len(rows))}
	for _, r := range rows {
		k := rowKey{r.kind, r.proxy, ""}
		if r.kind == kindServer {
			k.name = r.name
		}
		w.rows[k] = r
	}
	return w, nil
}

func (b *Balancer) frontStats(fr *front, workers []worker) balancer.FrontStats {
	total := b.totals.of(fr.inc)
	st := balancer.FrontStats{
		Name: fr.Name, Listen: fr.Listen,
		Requests: total.requests, Errors: total.errors,
		Latency: b.lat.of(fr.Name),
	}
	stillWaiting := 0 // in old workers, which may yet give them to any server they know
	for _, w := range workers {
		if !w.knows(fr.incarnation) {
			continue
		}
		st.InFlight += w.backend(fr.Name).scur
		waiting := w.backend(fr.Name).qcur
		for k, r := range w.rows {
			if k.kind == kindServer && k.proxy == fr.Name {
				waiting += r.qcur
			}
		}
		st.Waiting += waiting
		if w.old {
			stillWaiting += waiting
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fr.servers)) {
		s := fr.servers[name]
		total := b.totals.of(s.inc)
		out := balancer.ServerStats{
			Name: name, Addr: s.Addr, State: s.State, Weight: s.Weight,
			Requests: total.requests, Errors: total.errors,
		}
		for _, w := range workers {
			// By address, and not by incarnation: whatever reaches the address
			// counts, so that a drain never ends too early.
			r, ok := w.rows[rowKey{kindServer, fr.Name, name}]
			if !ok || canonical(r.addr) != canonical(s.Addr) {
				continue
			}
			out.InFlight += r.scur
			if w.old && s.State == balancer.Drain {
				out.InFlight += stillWaiting
			}
			if !w.old {
				out.Up = r.up()
			}
		}
		st.Servers = append(st.Servers, out)
	}
	return st
}

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
		for _, fr := range fronts {
			if !w.knows(fr.incarnation) {
				continue
			}
			t.note(w.pid, fr.inc, w.frontCounts(fr.Name))
			for name, s := range fr.servers {
				r, ok := w.rows[rowKey{kindServer, fr.Name, name}]
				if ok && w.knows(s.incarnation) && canonical(r.addr) == canonical(s.Addr) {
					t.note(w.pid, s.inc, counts{requests: r.stot, errors: r.hrsp5xx + r.eresp + r.srvAbrt})
				}
			}
		}
	}
}

// cut counts what a worker had that is gone: nobody answers it.
func (t *totals) cut(fronts map[string]*front, w worker) {
	for _, fr := range fronts {
		if !w.knows(fr.incarnation) {
			continue
		}
		t.gone[fr.inc] = t.gone[fr.inc].plus(counts{errors: uint64(w.backend(fr.Name).scur)})
		for name, s := range fr.servers {
			if r, ok := w.rows[rowKey{kindServer, fr.Name, name}]; ok && w.knows(s.incarnation) && canonical(r.addr) == canonical(s.Addr) {
				t.gone[s.inc] = t.gone[s.inc].plus(counts{errors: uint64(r.scur)})
			}
		}
	}
}

func (w worker) frontCounts(name string) counts {
	fe, be, relay := w.frontend(name), w.backend(name), w.backend(name+relaySuffix)
	return counts{requests: fe.reqTot, errors: fe.hrsp5xx + be.srvAbrt, relayed: relay.reqTot, relayedErrors: relay.hrsp5xx}
}

func (t *totals) note(pid int, inc uint64, c counts) {
	t.living[pid][inc] = c.atLeast(t.living[pid][inc])
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
