package haproxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// A worker takes so many connections on its sockets at a time, and somebody who
// forgets to close his keeps everybody out. One connection is therefore opened
// before it is needed and kept: over it the others are ended.

// pingEvery is how often the kept connection is used; HAProxy closes one that
// was idle for 30 s.
const pingEvery = 5 * time.Second

// evictPause is the time that HAProxy has to end connections, and to take those
// that waited for their places.
const evictPause = 5 * time.Millisecond

// keepReserve opens a connection to the newest worker in place of the one that
// was kept.
func (b *Balancer) keepReserve(ctx context.Context) {
	b.dropReserve()
	s, err := b.cfg.openSession(ctx)
	if err != nil {
		b.log.DebugContext(ctx, "haproxy: no connection is kept to it", "error", err)
		return
	}
	b.reserve, b.pinged = s, time.Now()
}

func (b *Balancer) dropReserve() {
	if b.reserve != nil {
		b.reserve.close()
	}
	b.reserve = nil
}

// pingReserve uses the kept connection, or opens another.
func (b *Balancer) pingReserve(ctx context.Context) {
	if time.Since(b.pinged) < pingEvery || !b.master().alive() {
		return
	}
	b.pinged = time.Now()
	if b.reserve != nil {
		if _, err := b.reserve.run(ctx, "show version"); err == nil {
			return
		}
	}
	b.keepReserve(ctx)
}

// evict ends the connections of others to the sockets of the worker, over the
// one that was kept, until none is left and it answers; there may be hundreds
// that wait to be taken. It says whether it does.
func (b *Balancer) evict(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.timing.ask)
	defer cancel()
	ended := 0
	for b.reserve != nil {
		idle, err := b.idlers(ctx)
		if err != nil {
			b.dropReserve()
			return false
		}
		switch {
		case len(idle) == 0 && ended == 0:
			return false // nobody is in the way
		case len(idle) == 0 && b.answersSoon(ctx):
			b.log.WarnContext(ctx, "haproxy: connections to its sockets were ended, which kept others out", "connections", ended)
			b.happened("HAProxy ran, but could not be asked: %d connections to its sockets kept others out; they were ended", ended)
			b.keepReserve(ctx)
			return true
		}
		for _, id := range idle {
			var no *refusal
			if err := b.reserve.command(ctx, "shutdown session "+id); err == nil {
				ended++
			} else if !errors.As(err, &no) { // it has ended
				break
			}
		}
		select {
		case <-time.After(evictPause):
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// idlers returns the sessions of all who could give commands and give none. Ours
// is not among them: it is answered at that moment.
func (b *Balancer) idlers(ctx context.Context) (ids []string, err error) {
	out, err := b.reserve.run(ctx, "show sess")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if id, idle, ok := parseCommander(line); ok && idle {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (b *Balancer) answersSoon(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.timing.ask/8)
	defer cancel()
	_, err := b.cfg.showInfo(ctx)
	return err == nil
}

// parseCommander reads a line of "show sess": the id of a session, and whether
// it is one of somebody who may give commands and is waited for to do so, as what
// is left of a time-out tells.
func parseCommander(line string) (id string, idle, ok bool) {
	id, rest, ok := strings.Cut(strings.TrimSpace(line), ": ")
	if !ok || !strings.HasPrefix(id, "0x") {
		return "", false, false
	}
	fields := strings.Fields(rest)
	return id, slices.Contains(fields, "fe=GLOBAL") && slices.ContainsFunc(fields, func(f string) bool {
		left, ok := strings.CutPrefix(f, "exp=")
		return ok && left != ""
	}), true
}
