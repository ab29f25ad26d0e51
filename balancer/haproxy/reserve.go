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

// evictFor bounds how long the connections of others are ended, answerFor how
// long HAProxy has to answer once there are none.
const (
	evictFor  = 4 * time.Second
	answerFor = 500 * time.Millisecond
)

// evictPause is the time that HAProxy has to end connections, and to take those
// that waited for their places.
const evictPause = 5 * time.Millisecond

// keepReserve opens a connection to the newest worker in place of the one that
// was kept.
func (b *Balancer) keepReserve(ctx context.Context) {
	b.dropReserve()
	var err error
	for range 5 {
		if b.reserve, b.reserveID, err = b.cfg.openKnown(ctx); err == nil {
			b.pinged = time.Now()
			return
		}
	}
	b.log.DebugContext(ctx, "haproxy: no connection is kept to it", "error", err)
}

// openKnown opens a connection of which it is known which session it is: the one
// that another connection does not see before, and that is there afterwards.
func (c Config) openKnown(ctx context.Context) (*session, string, error) {
	witness, err := c.openSession(ctx)
	if err != nil {
		return nil, "", err
	}
	defer witness.close()
	before, err := witness.commanders(ctx)
	if err != nil {
		return nil, "", err
	}
	s, err := c.openSession(ctx)
	if err != nil {
		return nil, "", err
	}
	after, err := s.commanders(ctx)
	if err == nil {
		after = slices.DeleteFunc(after, func(id string) bool { return slices.Contains(before, id) })
		if len(after) == 1 {
			return s, after[0], nil
		}
		err = errors.New("several connections were opened at a time")
	}
	s.close()
	return nil, "", err
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
	ctx, cancel := context.WithTimeout(ctx, evictFor)
	defer cancel()
	ended := 0
	for b.reserve != nil {
		others, err := b.reserve.commanders(ctx)
		if err != nil {
			b.dropReserve()
			return false
		}
		others = slices.DeleteFunc(others, func(id string) bool { return id == b.reserveID })
		switch {
		case len(others) == 0 && ended == 0:
			return false // nobody is in the way
		case len(others) == 0 && b.answersSoon(ctx):
			b.log.WarnContext(ctx, "haproxy: connections to its sockets were ended, which kept others out", "connections", ended)
			b.happened("HAProxy ran, but could not be asked: %d connections to its sockets kept others out; they were ended", ended)
			b.keepReserve(ctx)
			return true
		}
		for _, id := range others {
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

// commanders returns the sessions of all who may give commands.
func (s *session) commanders(ctx context.Context) (ids []string, err error) {
	out, err := s.run(ctx, "show sess")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		if id, commands, ok := parseCommander(line); ok && commands {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (b *Balancer) answersSoon(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	_, err := b.cfg.showInfo(ctx)
	return err == nil
}

// parseCommander reads a line of "show sess": the id of a session, and whether
// it is one of somebody who may give commands.
func parseCommander(line string) (id string, commands, ok bool) {
	id, rest, ok := cutSession(line)
	if !ok {
		return "", false, false
	}
	return id, slices.Contains(strings.Fields(rest), "fe=GLOBAL"), true
}
