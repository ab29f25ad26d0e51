package dockertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// apiPort is where an engine with TLS listens.
const apiPort = 2376

// cuts are the rules of the packet filter in the namespace of a remote engine
// that lose what goes and comes. The last stands before the one above it, and
// loses nothing more: it counts.
func cuts() [][]string {
	return [][]string{
		{"mangle", "POSTROUTING", "-o", "eth0"},
		{"raw", "PREROUTING", "-i", "eth0"},
		{"raw", "PREROUTING", "-i", "eth0", "-p", "tcp", "--dport", strconv.Itoa(apiPort), "--syn"},
	}
}

// Unplug takes a remote engine's machine off the network, as where its cable is
// pulled or its power fails: what is sent to the engine and its containers, and
// what they send, is lost from now on, and nobody is told. All of them go on.
// The unix socket goes on, too. It is an error for a local engine, and does
// nothing where it is unplugged already.
func (e *Engine) Unplug(ctx context.Context) error {
	return e.plugged(ctx, true, "-I")
}

// Plug undoes [Engine.Unplug]. Connections that both sides still have go on.
func (e *Engine) Plug(ctx context.Context) error {
	return e.plugged(ctx, false, "-D")
}

func (e *Engine) plugged(ctx context.Context, out bool, action string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.opts.Remote {
		return errors.New("dockertest: a local engine cannot be unplugged: start it with Options.Remote")
	}
	if e.unplugged == out {
		return nil
	}
	for _, c := range cuts() {
		if _, err := e.filter(ctx, append([]string{"-t", c[0], action, c[1]}, append(c[2:], "-j", "DROP")...)...); err != nil {
			return fmt.Errorf("dockertest: cut the engine's network: %w", err)
		}
	}
	e.unplugged = out
	return nil
}

// Knocks returns how often somebody has tried to connect to the API of an engine
// since it was unplugged, the repetitions of TCP counted. It is an error where
// the engine is not unplugged.
func (e *Engine) Knocks(ctx context.Context) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.unplugged {
		return 0, errors.New("dockertest: the engine is not unplugged")
	}
	list, err := e.filter(ctx, "-t", "raw", "-L", "PREROUTING", "-n", "-v", "-x")
	if err != nil {
		return 0, fmt.Errorf("dockertest: count connections: %w", err)
	}
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 0 && strings.Contains(line, "dpt:"+strconv.Itoa(apiPort)) {
			return strconv.Atoi(fields[0])
		}
	}
	return 0, fmt.Errorf("dockertest: no rule counts connections: %s", list)
}

// filter runs iptables in the engine's namespace.
func (e *Engine) filter(ctx context.Context, args ...string) (string, error) {
	return run(ctx, append([]string{"ip", "netns", "exec", e.net.name(), "iptables", "-w"}, args...)...)
}
