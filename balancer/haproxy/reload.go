package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/internal/crashpoint"
)

// deploy brings a configuration with these fronts to run and makes them those
// of the balancer. On an error everything is as it was. Once HAProxy was told,
// the context no longer matters: half a reload helps nobody.
func (b *Balancer) deploy(ctx context.Context, fronts map[string]*front) error {
	cond, err := b.check(ctx)
	if err != nil {
		return err
	}
	return b.bring(ctx, cond, fronts)
}

// bring is deploy for an HAProxy that is known to be in that condition.
func (b *Balancer) bring(ctx context.Context, cond condition, fronts map[string]*front) error {
	for name, fr := range fronts {
		numbered := *fr
		numbered.servers = number(fr.Algorithm, fr.servers)
		fronts[name] = &numbered
	}
	st := b.state()
	next := revision{Number: st.Current.Number + 1, Fronts: frontList(fronts), Respelled: st.Current.Respelled != (cond == mute)}
	if st.Next != nil {
		next.Number = max(next.Number, st.Next.Number+1)
	}
	st.Next = &next
	if cond == dead && len(fronts) == 0 {
		b.arrived(st, fronts) // nothing to run
		return nil
	}
	if err := b.setState(st); err != nil {
		return err
	}
	crashpoint.Here("reload/noted")
	before, err := b.yieldFile()
	if err == nil {
		err = b.commit(b.cfg.render(st.ID, next, fronts))
	}
	if err != nil {
		return errors.Join(err, b.abandon(st))
	}
	crashpoint.Here("reload/written")
	b.setProblem(problemFile, "")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	var downs []string
	if cond == dead {
		st.Master, err = b.revived(ctx, st.Master, next, fronts)
		st.Sockets = b.cfg.SocketDir
	} else {
		downs, err = b.reload(ctx, next, cond == mute)
	}
	if err != nil {
		return errors.Join(err, b.cfg.restoreFile(before), b.abandon(st))
	}
	if cond == mute {
		b.happened("HAProxy ran, but could not be asked; it was reloaded and listens again")
	}
	b.arrived(st, fronts)
	crashpoint.Here("reload/kept")
	b.cfg.removeRelays(next.Fronts)
	b.keepListeners(ctx)
	b.settle(ctx, fronts, downs)
	return nil
}

// revived starts HAProxy and tells of it where that is not the first time.
func (b *Balancer) revived(ctx context.Context, before process, next revision, fronts map[string]*front) (process, error) {
	begun, why := time.Now(), b.whyEnded()
	p, err := b.start(ctx, next)
	if err == nil && before.PID != 0 && b.isWanted() {
		servers := 0
		for _, fr := range fronts {
			servers += len(fr.servers)
		}
		b.happened("HAProxy (process %d) had ended: %s; it was started again in %d ms with %d fronts and %d servers, and the connections that it had were cut",
			before.PID, why, time.Since(begun).Milliseconds(), len(fronts), servers)
	}
	return p, err
}

// asItIs starts HAProxy with the configuration that is there, because another
// one cannot be written, and brings its servers to it.
func (b *Balancer) asItIs(ctx context.Context, why error) bool {
	text, err := os.ReadFile(b.cfg.path(configFile))
	st := b.state()
	if err != nil || !isOwn(text) || !strings.Contains(string(text), strconv.Quote(description(st.ID, st.Current.Number))) {
		return false
	}
	fronts := b.snapshot()
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	b.log.WarnContext(ctx, "haproxy: starting it with the configuration that it had", "error", why)
	if st.Master, err = b.revived(sctx, st.Master, st.Current, fronts); err != nil {
		return false
	}
	next := st.Current
	st.Next = &next
	b.arrived(st, fronts)
	b.keepListeners(sctx)
	for name, fr := range fronts {
		want := make(map[string]balancer.Server, len(fr.servers))
		for _, s := range fr.servers {
			want[s.Name] = s.Server
		}
		if err := b.member(sctx, name, want); err != nil {
			b.log.WarnContext(ctx, "haproxy: bring the servers back", "front", name, "error", err)
		}
	}
	return true
}

func (b *Balancer) setState(st state) error {
	b.mu.Lock()
	b.st = st
	b.mu.Unlock()
	err := b.cfg.saveState(st)
	b.unsaved = err != nil
	if err == nil {
		b.setProblem(problemState, "")
	} else if b.setProblem(problemState, err.Error()) {
		b.log.Warn("haproxy: the state cannot be saved", "error", err)
	}
	return err
}

// abandon notes that a configuration did not come to run. Its number stays
// used.
func (b *Balancer) abandon(st state) error {
	now := b.state()
	st.Current, st.Master = now.Current, now.Master
	return b.setState(st)
}

// arrived notes that the next configuration runs. That it does is in no doubt
// where this cannot be saved: what was saved before names both, HAProxy says
// which it runs, and the keeper saves it later.
func (b *Balancer) arrived(st state, fronts map[string]*front) {
	st.Current, st.Next = *st.Next, nil
	b.mu.Lock()
	b.fronts = fronts
	b.wanted = st.Master.PID != 0
	b.mu.Unlock()
	_ = b.setState(st) // it is told as a problem
	b.poke()           // another one is to be watched
}

// start starts HAProxy and waits until it takes connections.
func (b *Balancer) start(ctx context.Context, next revision) (process, error) {
	if err := b.awaitAddresses(ctx, next.Fronts); err != nil {
		return process{}, err
	}
	mark := b.cfg.outputMark()
	b.launched = mark
	stop, err := b.cfg.give(b.kept)
	if err != nil {
		return process{}, err
	}
	defer stop()
	p, err := b.cfg.launch(len(b.kept) > 0)
	if err != nil {
		b.dropListeners()
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
		b.dropListeners() // nobody would take what comes on them
		return process{}, errors.Join(fmt.Errorf("start HAProxy: %w", err), b.terminate(ctx, p))
	}
	crashpoint.Here("haproxy-start/answered")
	b.log.InfoContext(ctx, "haproxy: started", "pid", p.PID, "version", b.version, "configuration", next.Number)
	return p, nil
}

// awaitAddresses checks that nobody listens where the fronts will. What is left
// of an HAProxy whose master was killed may, for a moment.
func (b *Balancer) awaitAddresses(ctx context.Context, fronts []balancer.Front) error {
	hadOne := b.master().PID != 0
	ctx, cancel := context.WithTimeout(ctx, b.cfg.timing.await)
	defer cancel()
	for _, f := range fronts {
		if b.kept[canonical(f.Listen)] != 0 {
			continue
		}
		var last error
		err := poll(ctx, func() (bool, error) {
			last = probe(f.Listen, false)
			return last == nil || !hadOne || !errors.Is(last, balancer.ErrAddressInUse), nil
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
func (b *Balancer) reload(ctx context.Context, next revision, bySignal bool) (downs []string, err error) {
	var before processes
	mark := b.cfg.outputMark()
	if bySignal {
		// A worker that does not get the listening sockets makes new ones, and
		// nobody would take what comes on those that are kept.
		b.dropListeners()
		if err := b.master().signal(syscall.SIGUSR2); err != nil {
			return nil, err
		}
	} else {
		if before, err = b.cfg.showProc(ctx); err != nil {
			return nil, err
		}
		if downs, err = b.holdWorker(ctx); err != nil {
			return nil, err
		}
		crashpoint.Here("reload/held")
		said, err := ask(ctx, b.cfg.socket(masterSocket), "reload")
		if err != nil && !errors.Is(err, errNoAnswer) {
			return nil, err // 2.6 breaks off without an answer
		}
		crashpoint.Here("reload/asked")
		if strings.Contains(said, "Success=0") {
			return nil, fmt.Errorf("reload failed, the old configuration still runs: %s", b.cfg.outputSince(mark))
		}
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
	p := processOf(i.pid)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(i.pid).began = i.number
	b.workers[i.pid] = p
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
	b.letGo(info.pid)
	b.mu.Lock()
	n := b.note(info.pid)
	n.held, n.retired = s, time.Now()
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
