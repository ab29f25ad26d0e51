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
	var out balancer.Stats
	err := b.call(ctx, b.reading, "observe", func(ctx context.Context) error {
		// Fronts first, and then what HAProxy says: a front or server that comes in
		// between is left out, and none gets the figures of another.
		fronts := b.snapshot()
		if len(fronts) == 0 {
			return nil
		}
		workers, err := b.collect(ctx)
		if err != nil {
			if errors.Is(err, errStats) {
				err = fmt.Errorf("%w: %w", balancer.ErrUnavailable, err)
			}
			if ctx.Err() == nil {
				b.suspected.Store(true)
				b.poke()
			}
			if p := b.problem(problemProcess); p != "" {
				err = fmt.Errorf("%s: %w", p, err)
			}
			return err
		}
		b.totals.keepOnly(fronts)
		for _, name := range slices.Sorted(maps.Keys(fronts)) {
			out.Fronts = append(out.Fronts, b.frontStats(fronts[name], workers))
		}
		return nil
	})
	if err == nil {
		b.tell(&out)
	}
	return out, err
}

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

// notice notes what there is of workers, and when each began. It returns the
// fronts, and what those workers said last that are gone and did not end by
// themselves: they died, or their time was over.
func (b *Balancer) notice(master int, workers []worker) (fronts map[string]*front, cut []worker) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range workers {
		workers[i].began = b.note(w.pid).began
	}
	for pid, n := range b.notes {
		if slices.ContainsFunc(workers, func(w worker) bool { return w.pid == pid }) {
			continue
		}
		// It was old for a moment when that was noticed.
		late := min(time.Second, b.cfg.HardStopAfter/4)
		over := !n.retired.IsZero() && now.Sub(n.retired) >= b.cfg.HardStopAfter-late
		if n.last != nil && (over || n.master != master) {
			cut = append(cut, *n.last)
		}
		if n.held != nil {
			n.held.close()
		}
		delete(b.notes, pid)
	}
	for _, w := range workers {
		n := b.note(w.pid)
		if w.old && n.retired.IsZero() {
			n.retired = now
		}
		// Once its time is over, a worker says that it has nothing: it is what it
		// had before that is cut.
		if !w.old || now.Sub(n.retired) < b.cfg.HardStopAfter {
			n.last, n.master = &w, master
		}
	}
	maps.DeleteFunc(b.workers, func(_ int, p process) bool { return !p.alive() })
	for _, w := range cut {
		if n := w.requests(b.fronts); n > 0 {
			b.happen("HAProxy's worker %d ended with about %d requests, which were cut", w.pid, n)
		}
	}
	return maps.Clone(b.fronts), cut
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
