package haproxy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

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

// note is what is remembered of a worker.
type note struct {
	began   int       // the configuration that it began with; -1: from before our time
	held    *session  // keeps an old worker until its last figures were read
	last    *worker   // what it said last
	master  int       // whose worker it was then
	retired time.Time // since when it is old
	silent  time.Time // until when it is not asked, since it did not answer
}

// note returns what is remembered of a worker. The caller holds mu.
func (b *Balancer) note(pid int) *note {
	if b.notes[pid] == nil {
		b.notes[pid] = &note{began: -1}
	}
	return b.notes[pid]
}

// requests returns how many requests the worker has.
func (w worker) requests(fronts map[string]*front) (n int) {
	for name := range fronts {
		n += w.backend(name).scur
	}
	return n
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

// askWorker asks an old worker, on the connection that holds it or else
// through the master. One that has just ended says nothing. One whose sockets
// are taken is seldom asked; what it said last stands for it, so that no drain
// ends too early.
func (b *Balancer) askWorker(ctx context.Context, pid int) (worker, error) {
	b.mu.Lock()
	n := *b.note(pid)
	b.mu.Unlock()
	if n.held != nil {
		if out, err := n.held.run(ctx, "show stat"); err == nil {
			return parseWorker(pid, out)
		}
		b.letGo(pid)
	}
	if time.Now().Before(n.silent) {
		return *n.last, nil
	}
	asked, cancel := context.WithTimeout(ctx, b.cfg.timing.old)
	defer cancel()
	out, err := b.cfg.worker(asked, pid, "show stat")
	if err != nil && asked.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: worker %d within %s", errNoAnswer, pid, b.cfg.timing.old)
	}
	var w worker
	if err == nil {
		w, err = parseWorker(pid, out)
	}
	if err == nil || ctx.Err() != nil {
		return w, err
	}
	procs, perr := b.cfg.showProc(ctx)
	switch {
	case perr == nil && !slices.Contains(append(procs.workers, procs.old...), pid):
		return worker{pid: pid}, nil
	case perr != nil, n.last == nil:
		return w, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(pid).silent = time.Now().Add(silence)
	return *n.last, nil
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
	b.letGo(w.pid)
}

// letGo hangs up on a worker that was held.
func (b *Balancer) letGo(pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.note(pid); n.held != nil {
		n.held.close()
		n.held = nil
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
