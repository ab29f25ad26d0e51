package haproxy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"
)

// condition is how HAProxy is.
type condition int

const (
	dead    condition = iota // no process that does anything
	mute                     // it runs, and its sockets are gone, or taken by others
	stale                    // it runs another configuration than the current
	current                  // it runs the current configuration
)

// check finds out how HAProxy is. What is left of one that does nothing any more
// is ended; one that only cannot be asked goes on.
func (b *Balancer) check(ctx context.Context) (condition, error) {
	st := b.state()
	if !st.Master.alive() {
		b.endOrphans(ctx)
		return dead, ctx.Err()
	}
	var info info
	var procs processes
	var last error
	begun := time.Now()
	err := poll(ctx, func() (bool, error) {
		asked, cancel := context.WithTimeout(ctx, b.cfg.timing.ask)
		defer cancel()
		var statsErr error
		info, statsErr = b.cfg.showInfo(asked)
		// The master too must answer: when it was killed just now, its worker
		// still does for a moment.
		out, err := ask(asked, b.cfg.socket(masterSocket), "show proc;quit")
		procs = parseProc(out)
		last = cmp.Or(err, statsErr)
		if last != nil && asked.Err() != nil {
			last = fmt.Errorf("%w within %s", errNoAnswer, b.cfg.timing.ask)
		}
		patience := b.cfg.timing.await
		if statsErr != nil && !nobodyListens(statsErr) && !b.atHalt(st.Master) {
			// Others have taken all places: HAProxy closes what is idle. A worker that
			// is full does not hand its listening sockets on in a reload.
			patience += b.cfg.timing.idle
		}
		return last == nil || !st.Master.alive() || time.Since(begun) > patience, nil
	})
	switch {
	case err != nil:
		return dead, err
	case !st.Master.alive():
		b.endOrphans(ctx)
		return dead, nil
	case last != nil && b.atHalt(st.Master):
		b.log.WarnContext(ctx, "haproxy: no worker runs; ending the master", "pid", st.Master.PID, "error", last)
		return dead, b.terminate(ctx, st.Master)
	case last != nil:
		b.log.WarnContext(ctx, "haproxy: it runs, but cannot be asked", "pid", st.Master.PID, "error", last)
		return mute, nil
	case procs.master != st.Master.PID:
		return dead, fmt.Errorf("the HAProxy on %s is not ours, but that of process %d: %.100q", b.cfg.socket(masterSocket), procs.master, info.description)
	case info.number != st.Current.Number || info.id != st.ID:
		return stale, nil
	}
	return current, nil
}

// atHalt says whether the newest worker is gone, or was stopped by a signal.
func (b *Balancer) atHalt(master process) bool {
	var newest process
	for _, p := range master.children() {
		if p.Start >= newest.Start {
			newest = p
		}
	}
	return newest.PID == 0 || newest.stopped()
}

// endOrphans ends workers whose master is gone. They end by themselves, unless
// they were stopped.
func (b *Balancer) endOrphans(ctx context.Context) {
	b.mu.Lock()
	workers := slices.Collect(maps.Values(b.workers))
	clear(b.workers)
	b.mu.Unlock()
	for _, w := range workers {
		if err := w.signal(syscall.SIGKILL); err != nil {
			b.log.WarnContext(ctx, "haproxy: end a worker without a master", "error", err)
		}
	}
}

// ensureRunning starts HAProxy, or makes it take up the current configuration,
// where need be.
func (b *Balancer) ensureRunning(ctx context.Context) error {
	cond, err := b.check(ctx)
	if err == nil && cond != current {
		b.log.WarnContext(ctx, "haproxy: "+map[condition]string{
			dead: "not running; starting it again", mute: "cannot be asked; making it listen again", stale: "it runs another configuration",
		}[cond])
		if err = b.bring(ctx, cond, b.snapshot()); err != nil && cond == dead && b.asItIs(ctx, err) {
			err = nil
		}
	}
	if err != nil && cond == dead {
		b.dropListeners() // nobody takes what comes on them
	}
	switch {
	case err == nil:
		b.setProblem(problemProcess, "")
	case ctx.Err() != nil: // nobody waits for the answer
	case b.setProblem(problemProcess, troubles[cond]+": "+err.Error()):
		b.log.ErrorContext(ctx, "haproxy: "+troubles[cond], "error", err)
		b.happened("%s: %v", troubles[cond], err)
	}
	return err
}

// troubles say what is wrong when HAProxy in that condition cannot be helped.
var troubles = map[condition]string{
	dead:    "HAProxy does not run and cannot be started",
	mute:    "HAProxy runs, but cannot be asked",
	stale:   "HAProxy runs another configuration than it should",
	current: "HAProxy does not take its servers",
}
