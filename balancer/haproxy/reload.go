package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/internal/crashpoint"
)

// awaitWorker bounds how long a worker that does not answer may need to end or
// to come back.
const awaitWorker = 2 * time.Second

// condition is how HAProxy is.
type condition int

const (
	dead    condition = iota // no process
	stale                    // it runs another configuration than the current
	current                  // it runs the current configuration
)

// check finds out how HAProxy is. One whose master lives without a worker that
// answers is ended.
func (b *Balancer) check(ctx context.Context) (condition, error) {
	b.mu.Lock()
	st := b.st
	b.mu.Unlock()
	if !st.Master.alive() {
		return dead, ctx.Err()
	}
	var info info
	patient, cancel := context.WithTimeout(ctx, awaitWorker)
	defer cancel()
	err := poll(patient, func() (bool, error) {
		// The master too must answer: when it was killed just now, its worker
		// still does for a moment.
		_, err := ask(patient, b.cfg.socket(masterSocket), "show proc;quit")
		if err == nil {
			info, err = b.cfg.showInfo(patient)
		}
		return err == nil || !st.Master.alive(), nil
	})
	switch {
	case ctx.Err() != nil:
		return dead, ctx.Err()
	case err != nil:
		b.log.WarnContext(ctx, "haproxy: no worker answers; ending the master", "pid", st.Master.PID)
		return dead, b.terminate(ctx, st.Master)
	case !st.Master.alive():
		return dead, nil
	case info.id != st.ID:
		return dead, fmt.Errorf("the HAProxy on %s is not ours: %.100q", b.cfg.socket(statsSocket), info.description)
	case info.number != st.Current.Number:
		return stale, nil
	}
	return current, nil
}

// ensureRunning starts HAProxy, or makes it take up the current configuration,
// where need be.
func (b *Balancer) ensureRunning(ctx context.Context) error {
	cond, err := b.check(ctx)
	if err != nil || cond == current {
		return err
	}
	if cond == dead {
		b.log.WarnContext(ctx, "haproxy: not running; starting it again")
	}
	return b.deploy(ctx, b.snapshot())
}

// deploy brings a configuration with these fronts to run and makes them those
// of the balancer. On an error everything is as it was. Once HAProxy was told,
// the context no longer matters: half a reload helps nobody.
func (b *Balancer) deploy(ctx context.Context, fronts map[string]*front) error {
	cond, err := b.check(ctx)
	if err != nil {
		return err
	}
	for name, fr := range fronts {
		numbered := *fr
		numbered.servers = number(fr.Algorithm, fr.servers)
		fronts[name] = &numbered
	}
	b.mu.Lock()
	st := b.st
	b.mu.Unlock()
	next := revision{Number: st.Current.Number + 1, Fronts: frontList(fronts)}
	if st.Next != nil {
		next.Number = max(next.Number, st.Next.Number+1)
	}
	st.Next = &next
	if cond == dead && len(fronts) == 0 {
		return b.arrived(st, fronts) // nothing to run
	}
	if err := b.setState(st); err != nil {
		return err
	}
	crashpoint.Here("reload/noted")
	before, err := b.conf.text()
	if err == nil {
		err = b.conf.commit(b.cfg.render(st.ID, next.Number, fronts))
	}
	if err != nil {
		return errors.Join(err, b.abandon(st))
	}
	crashpoint.Here("reload/written")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.StartTimeout)
	defer cancel()
	var downs []string
	if cond == dead {
		st.Master, err = b.start(ctx, next)
		st.Sockets = b.cfg.SocketDir
	} else {
		downs, err = b.reload(ctx, next)
	}
	if err != nil {
		return errors.Join(err, b.conf.commit(before), b.abandon(st))
	}
	err = b.arrived(st, fronts)
	crashpoint.Here("reload/kept")
	b.cfg.removeRelays(next.Fronts)
	b.settle(ctx, fronts, downs)
	return err
}

func (b *Balancer) setState(st state) error {
	b.mu.Lock()
	b.st = st
	b.mu.Unlock()
	return b.cfg.saveState(st)
}

// abandon notes that a configuration did not come to run. Its number stays
// used.
func (b *Balancer) abandon(st state) error {
	b.mu.Lock()
	st.Current = b.st.Current
	st.Master = b.st.Master
	b.mu.Unlock()
	return b.setState(st)
}

// arrived notes that the next configuration runs.
func (b *Balancer) arrived(st state, fronts map[string]*front) error {
	st.Current, st.Next = *st.Next, nil
	b.mu.Lock()
	b.fronts = fronts
	b.mu.Unlock()
	return b.setState(st)
}

// start starts HAProxy and waits until it takes connections.
func (b *Balancer) start(ctx context.Context, next revision) (process, error) {
	if err := b.awaitAddresses(ctx, next.Fronts); err != nil {
		return process{}, err
	}
	mark := b.cfg.outputMark()
	p, err := b.cfg.launch()
	if err != nil {
		return process{}, err
	}
	crashpoint.Here("haproxy-start/launched")
	err = poll(ctx, func() (bool, error) {
		if !p.alive() {
			return false, fmt.Errorf("it ended at once: %s", b.cfg.outputSince(mark))
		}
		info, err := b.cfg.showInfo(ctx)
		if err == nil && info.number == next.Number {
			b.noteWorker(info)
			return true, nil
		}
		return false, nil
	})
	if err != nil {
		return process{}, errors.Join(fmt.Errorf("start HAProxy: %w", err), b.terminate(ctx, p))
	}
	crashpoint.Here("haproxy-start/answered")
	b.log.InfoContext(ctx, "haproxy: started", "pid", p.PID, "version", b.version, "configuration", next.Number)
	return p, nil
}

// awaitAddresses checks that nobody listens where the fronts will. What is left
// of an HAProxy whose master was killed may, for a moment.
func (b *Balancer) awaitAddresses(ctx context.Context, fronts []balancer.Front) error {
	b.mu.Lock()
	hadOne := b.st.Master.PID != 0
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, awaitWorker)
	defer cancel()
	for _, f := range fronts {
		var last error
		err := poll(ctx, func() (bool, error) {
			last = probe(f.Listen, false)
			return last == nil || !hadOne || !errors.Is(last, balancer.ErrAddressInUse), last
		})
		if last != nil {
			return fmt.Errorf("front %s: %w", f.Name, last)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reload makes a new worker take up the configuration and waits until it
// answers. It returns the servers that the old worker found down.
func (b *Balancer) reload(ctx context.Context, next revision) (downs []string, err error) {
	before, err := b.cfg.showProc(ctx)
	if err != nil {
		return nil, err
	}
	downs, err = b.holdWorker(ctx)
	if err != nil {
		return nil, err
	}
	crashpoint.Here("reload/held")
	mark := b.cfg.outputMark()
	said, err := ask(ctx, b.cfg.socket(masterSocket), "reload")
	if err != nil && !errors.Is(err, errNoAnswer) {
		return nil, err // 2.6 breaks off without an answer
	}
	crashpoint.Here("reload/asked")
	if strings.Contains(said, "Success=0") {
		return nil, fmt.Errorf("reload failed, the old configuration still runs: %s", b.cfg.outputSince(mark))
	}
	err = poll(ctx, func() (bool, error) {
		if info, err := b.cfg.showInfo(ctx); err == nil && info.number == next.Number {
			b.noteWorker(info)
			return true, nil
		}
		now, err := b.cfg.showProc(ctx)
		if err != nil {
			return false, nil
		}
		if now.failed > 0 && (now.failed != before.failed || now.reloads != before.reloads) {
			return false, fmt.Errorf("the old configuration still runs: %s", b.cfg.outputSince(mark))
		}
		return false, nil
	})
	if err == nil {
		crashpoint.Here("reload/answered")
	}
	// In any case: an old worker must not be held for longer than needed.
	b.releaseWorkers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reload failed: %w", err)
	}
	b.log.InfoContext(ctx, "haproxy: reloaded", "configuration", next.Number)
	return downs, nil
}

func (b *Balancer) noteWorker(i info) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.began[i.pid] = i.number
}

// holdWorker opens a connection to the worker that is about to become an old
// one: while it is open, the worker stays, so that its last figures are not
// lost. It returns the servers that it found down.
func (b *Balancer) holdWorker(ctx context.Context) (downs []string, err error) {
	s, err := b.cfg.openSession(ctx)
	if err != nil {
		return nil, err
	}
	out, err := s.run(ctx, "show info")
	if err != nil {
		s.close()
		return nil, err
	}
	servers, err := readServers(ctx, s, "")
	if err != nil {
		s.close()
		return nil, err
	}
	for be, all := range servers {
		for name, r := range all {
			if r.down && !r.maint {
				downs = append(downs, be+"/"+name)
			}
		}
	}
	info := parseInfo(out)
	b.mu.Lock()
	if b.held[info.pid] != nil {
		b.held[info.pid].close()
	}
	b.held[info.pid] = s
	b.mu.Unlock()
	return downs, nil
}

// releaseWorkers reads the figures of old workers once more and lets go of those
// that are done.
func (b *Balancer) releaseWorkers(ctx context.Context) {
	ctx, done, err := b.begin(ctx, b.reading)
	if err != nil {
		return
	}
	defer done()
	if _, err := b.collect(ctx); err != nil {
		b.log.DebugContext(ctx, "haproxy: figures after the reload", "error", err)
	}
}

// settle says over the socket what a configuration cannot: that servers drain,
// and which the old worker had found down. What fails here is mended by the
// next Apply, or by HAProxy's checks.
func (b *Balancer) settle(ctx context.Context, fronts map[string]*front, downs []string) {
	var commands []string
	for _, name := range slices.Sorted(maps.Keys(fronts)) {
		for _, srv := range slices.Sorted(maps.Keys(fronts[name].servers)) {
			s, at := fronts[name].servers[srv], name+"/"+srv
			switch {
			case s.State == balancer.Drain:
				commands = append(commands, "set server "+at+" state drain", fmt.Sprintf("set server %s weight %d", at, s.Weight))
			case slices.Contains(downs, at):
				commands = append(commands, fmt.Sprintf("set server %s health down", at))
			}
		}
	}
	if len(commands) == 0 {
		return
	}
	s, err := b.cfg.openSession(ctx)
	if err != nil {
		b.log.WarnContext(ctx, "haproxy: settle servers", "error", err)
		return
	}
	defer s.close()
	for _, c := range commands {
		if err := s.command(ctx, c); err != nil {
			b.log.WarnContext(ctx, "haproxy: settle servers", "error", err)
		}
	}
}
