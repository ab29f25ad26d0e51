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

// evictions is how often the connections of others are ended before that is
// given up: those that waited for theirs take the places.
const evictions = 10

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
// one that was kept, until it answers. It says whether it does.
func (b *Balancer) evict(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.timing.ask)
	defer cancel()
	ended := 0
	for i := 0; i < evictions && b.reserve != nil; i++ {
		out, err := b.reserve.run(ctx, "show sess")
		if err != nil {
			b.dropReserve()
			return false
		}
		var others []string
		for line := range strings.Lines(out) {
			if id, fe, ok := parseCommander(line); ok && fe {
				others = append(others, id)
			}
		}
		// The oldest is most likely ours. Where it is not, ours ends amid the
		// others, and is opened again.
		slices.Reverse(others)
		if len(others) < 2 {
			return false // nobody is in the way
		}
		for _, id := range others[:len(others)-1] {
			var no *refusal
			if err := b.reserve.command(ctx, "shutdown session "+id); err == nil {
				ended++
			} else if !errors.As(err, &no) { // it has ended
				break
			}
		}
		asked, stop := context.WithTimeout(ctx, b.cfg.timing.ask/8)
		_, err = b.cfg.showInfo(asked)
		stop()
		if err == nil {
			b.log.WarnContext(ctx, "haproxy: connections to its sockets were ended, which kept others out", "connections", ended)
			b.happened("HAProxy ran, but could not be asked: %d connections to its sockets kept others out; they were ended", ended)
			b.keepReserve(ctx)
			return true
		}
	}
	return false
}

// parseCommander reads a line of "show sess": the id of a session, and whether
// it is one of somebody who gives commands.
func parseCommander(line string) (id string, commands, ok bool) {
	id, rest, ok := strings.Cut(strings.TrimSpace(line), ": ")
	if !ok || !strings.HasPrefix(id, "0x") {
		return "", false, false
	}
	return id, slices.Contains(strings.Fields(rest), "fe=GLOBAL"), true
}
