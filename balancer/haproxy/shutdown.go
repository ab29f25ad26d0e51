package haproxy

import (
	"context"
	"fmt"
	"syscall"
)

// shutdown ends HAProxy once it has nothing more to do, or the context ends.
func (b *Balancer) shutdown(ctx context.Context) error {
	b.mu.Lock()
	st := b.st
	b.wanted = false
	b.mu.Unlock()
	b.dropListeners() // or connections would wait for nobody
	if st.Master.alive() {
		b.log.InfoContext(ctx, "haproxy: shutting down", "pid", st.Master.PID)
		_ = poll(ctx, func() (bool, error) {
			// Idle connections of clients are not waited for.
			open, idle := b.atWork(ctx)
			if open {
				// Again and again: a master that was just started loses signals.
				if err := st.Master.signal(syscall.SIGUSR1); err != nil {
					return false, err
				}
			}
			return !st.Master.alive() || (idle && !open), nil
		})
		if err := b.terminate(context.WithoutCancel(ctx), st.Master); err != nil {
			return err
		}
	}
	st.Master = process{}
	return b.setState(st)
}

// atWork says whether a worker takes connections, and whether none has a
// request.
func (b *Balancer) atWork(ctx context.Context) (open, idle bool) {
	procs, err := b.cfg.showProc(ctx)
	if err != nil {
		return true, false // not known
	}
	idle = true
	for _, pid := range append(procs.old, procs.workers...) {
		out, err := b.cfg.worker(ctx, pid, "show stat")
		if err != nil {
			return true, false
		}
		rows, err := parseStats(out)
		if err != nil {
			continue // it has just ended
		}
		for _, r := range rows {
			switch {
			case r.kind == kindBackend && r.scur > 0:
				idle = false
			case r.kind == kindFrontend && r.status == "OPEN":
				open = true
			}
		}
	}
	return open, idle
}

// terminate ends HAProxy at once, its workers too.
func (b *Balancer) terminate(ctx context.Context, p process) error {
	workers := p.children()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		patient, cancel := context.WithTimeout(ctx, b.cfg.timing.await)
		err := poll(patient, func() (bool, error) { return !p.alive(), p.signal(sig) })
		cancel()
		if err != nil {
			continue
		}
		for _, w := range workers { // one that was stopped does not see that its master is gone
			if err := w.signal(syscall.SIGKILL); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("process %d does not end", p.PID)
}
