package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/internal/crashpoint"
)

// Apply makes the servers of the front be want, over the runtime socket; see
// [balancer.Balancer]. If HAProxy died, it is started again first, with the
// servers that all fronts had.
func (b *Balancer) Apply(ctx context.Context, name string, want []balancer.Server) error {
	byName := make(map[string]balancer.Server, len(want))
	for _, s := range want {
		byName[s.Name] = s.WithDefaults()
	}
	return b.call(ctx, b.writing, fmt.Sprintf("apply servers of front %.60q", name), func(ctx context.Context) error {
		if err := balancer.ValidateServers(want); err != nil {
			return err
		}
		if b.snapshot()[name] == nil {
			return balancer.ErrNoFront
		}
		err := b.apply(ctx, name, byName)
		if errors.Is(err, errNoAnswer) {
			// HAProxy died just now: once more, with a new one.
			err = b.apply(ctx, name, byName)
		}
		return err
	})
}

func (b *Balancer) apply(ctx context.Context, name string, want map[string]balancer.Server) error {
	if err := b.ensureRunning(ctx); err != nil {
		return err
	}
	return b.member(ctx, name, want)
}

// member makes the servers of a front be want in the HAProxy that runs.
func (b *Balancer) member(ctx context.Context, name string, want map[string]balancer.Server) error {
	s, err := b.cfg.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	actual, err := readServers(ctx, s, name)
	if err != nil {
		return err
	}
	m := member{b: b, s: s, front: name, have: actual[name]}
	if err := m.change(ctx, want); !errors.Is(err, errNoNumber) {
		return err
	}
	// A new configuration has room between the numbers.
	b.log.InfoContext(ctx, "haproxy: reload to put servers in order", "front", name)
	if err := b.deploy(ctx, b.snapshot()); err != nil {
		return err
	}
	return b.apply(ctx, name, want)
}

// member changes the servers of one front.
type member struct {
	b     *Balancer
	s     *session
	front string
	have  map[string]running
}

// change adds before it lets drain, and that before it removes, so that there is
// no moment without a server unless one is to be replaced under its own name.
func (m *member) change(ctx context.Context, want map[string]balancer.Server) error {
	var replaced, gone []string
	for _, state := range []balancer.ServerState{balancer.Ready, balancer.Drain} {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			w := want[name]
			if w.State != state {
				continue
			}
			have, ok := m.have[name]
			switch {
			case ok && have.addr != canonical(w.Addr):
				replaced = append(replaced, name)
			case ok:
				if err := m.adjust(ctx, have, w); err != nil {
					return err
				}
			default:
				if err := m.add(ctx, w); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.have)) {
		if _, ok := want[name]; !ok {
			gone = append(gone, name)
		}
	}
	if err := m.remove(ctx, append(replaced, gone...)); err != nil {
		return err
	}
	for _, name := range replaced {
		if err := m.add(ctx, want[name]); err != nil {
			return err
		}
	}
	return nil
}

// add makes a server. It begins in maintenance, so that it gets nothing before
// its checks are on and it may have requests. "enabled" must not be used: the
// count of active servers goes wrong with it.
func (m *member) add(ctx context.Context, w balancer.Server) error {
	fr := m.b.snapshot()[m.front]
	inc := m.b.incarnate(0)
	s := server{Server: w, incarnation: inc}
	var ok bool
	if s.id, ok = nextID(fr.Algorithm, fr.servers, w.Name); !ok {
		return fmt.Errorf("add server %s: %w", w.Name, errNoNumber)
	}
	at := m.front + "/" + w.Name
	err := m.s.command(ctx,
		fmt.Sprintf("add server %s %s %s", at, canonical(w.Addr), serverOptions(fr.Front, s, false)),
		"enable health "+at,
		fmt.Sprintf("set server %s state %s", at, w.State))
	if err != nil {
		return fmt.Errorf("add server %s: %w", w.Name, err)
	}
	crashpoint.Here("servers/added")
	m.b.remember(m.front, s)
	return nil
}

// adjust sets state and weight where they differ.
func (m *member) adjust(ctx context.Context, have running, w balancer.Server) error {
	at := m.front + "/" + w.Name
	var commands []string
	if have.weight != w.Weight {
		commands = append(commands, fmt.Sprintf("set server %s weight %d", at, w.Weight))
	}
	if have.maint {
		commands = append(commands, "enable health "+at)
	}
	if have.maint || have.drain != (w.State == balancer.Drain) {
		commands = append(commands, fmt.Sprintf("set server %s state %s", at, w.State))
	}
	if len(commands) > 0 {
		if err := m.s.command(ctx, commands...); err != nil {
			return fmt.Errorf("change server %s: %w", w.Name, err)
		}
		crashpoint.Here("servers/changed")
	}
	known, ok := m.b.snapshot()[m.front].servers[w.Name]
	if !ok {
		known = server{incarnation: m.b.incarnate(0)}
	}
	if known.Server != w || known.id != have.id {
		known.Server, known.id = w, have.id
		m.b.remember(m.front, known)
	}
	return nil
}

// remove cuts what the servers do and deletes them. HAProxy needs a moment to
// let go of their connections.
func (m *member) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		at := m.front + "/" + name
		if err := m.s.command(ctx, "set server "+at+" state maint", "shutdown sessions server "+at); err != nil {
			return fmt.Errorf("remove server %s: %w", name, err)
		}
	}
	crashpoint.Here("servers/stopped")
	if err := m.b.cutOld(ctx, func(backend, srv string) bool {
		return backend == m.front && slices.Contains(names, srv)
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	for _, name := range names {
		if err := m.delete(ctx, name); err != nil {
			return fmt.Errorf("remove server %s: %w", name, err)
		}
		crashpoint.Here("servers/removed")
		m.b.forget(m.front, name)
	}
	return nil
}

func (m *member) delete(ctx context.Context, name string) error {
	at := m.front + "/" + name
	var last error
	err := poll(ctx, func() (bool, error) {
		var no *refusal
		last = m.s.command(ctx, "del server "+at)
		if errors.As(last, &no) && strings.Contains(no.said, "still has connections") {
			// A request may have been on its way to it when it was stopped.
			return false, m.s.command(ctx, "shutdown sessions server "+at)
		}
		return true, last
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// remember notes a server as it is in HAProxy now.
func (b *Balancer) remember(front string, s server) {
	b.edit(front, func(servers map[string]server) { servers[s.Name] = s })
}

func (b *Balancer) forget(front, name string) {
	b.edit(front, func(servers map[string]server) { delete(servers, name) })
}

func (b *Balancer) edit(name string, change func(map[string]server)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fr := *b.fronts[name]
	fr.servers = maps.Clone(fr.servers)
	change(fr.servers)
	b.fronts[name] = &fr
}

// cutOld ends what old workers do of the servers that match, through the
// master: their own commands for servers do not work once they stop. A request
// that may be retried begins anew when it is cut, so that it takes as many cuts
// as the front allows retries.
func (b *Balancer) cutOld(ctx context.Context, match func(backend, server string) bool) error {
	procs, err := b.cfg.showProc(ctx)
	if err != nil || len(procs.old) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, socketTimeout)
	defer cancel()
	for _, pid := range procs.old {
		err := poll(ctx, func() (bool, error) {
			out, err := b.cfg.worker(ctx, pid, "show sess")
			if err != nil {
				return false, err
			}
			idle := true
			for l := range strings.Lines(out) {
				id, be, srv, ok := parseSession(l)
				if !ok || !match(be, srv) {
					continue
				}
				idle = false
				if _, err := b.cfg.worker(ctx, pid, "shutdown session "+id); err != nil {
					return false, err
				}
			}
			return idle, nil
		})
		if err != nil {
			return fmt.Errorf("cut requests of old worker %d: %w", pid, err)
		}
	}
	return nil
}

// parseSession reads a line of "show sess", such as
// "0x7f47700386d0: proto=tcpv4 src=127.0.0.1:48216 fe=web be=web srv=n.2 …".
// The id is a number in hexadecimal, and so can be put into a command.
func parseSession(line string) (id, backend, srv string, ok bool) {
	id, rest, ok := strings.Cut(strings.TrimSpace(line), ": ")
	digits, hex := strings.CutPrefix(id, "0x")
	if _, err := strconv.ParseUint(digits, 16, 64); !ok || !hex || err != nil {
		return "", "", "", false
	}
	for _, f := range strings.Fields(rest) {
		switch k, v, _ := strings.Cut(f, "="); k {
		case "be":
			backend = v
		case "srv":
			srv = v
		}
	}
	return id, backend, srv, true
}
