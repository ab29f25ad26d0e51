package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// nodePoll is how often a pod that is followed is asked for new nodes.
const nodePoll = 500 * time.Millisecond

// podLogs prints what all nodes of a pod write, line by line, each with its node's
// name. It may be told of nodes by one goroutine only; lines come from many.
type podLogs struct {
	a     *app
	c     *client.Client
	pod   string
	o     client.LogOptions
	known map[string]bool // nodes whose output is or was read, by start
	width int             // of the longest name so far

	reading sync.WaitGroup
	mu      sync.Mutex // held while a line is written
	err     error      // the first one that was neither the end nor a node's end
}

// logLine is what is printed as JSON.
type logLine struct {
	Node string `json:"node"`
	Line string `json:"line"`
}

// printPodLogs prints the output of all nodes of a pod, one after the other, or
// interleaved as it comes when it is followed: also that of nodes to come.
func (a *app) printPodLogs(ctx context.Context, c *client.Client, pod string, o client.LogOptions) error {
	l := &podLogs{a: a, c: c, pod: pod, o: o, known: map[string]bool{}}
	reading, stop := context.WithCancel(ctx)
	defer l.reading.Wait()
	defer stop()
	for first := true; ; first = false {
		nodes, err := c.Nodes(ctx, pod)
		switch {
		case ctx.Err() != nil && o.Follow:
			return nil // that is how one ends it
		case client.NotFound(err) && !first:
			l.reading.Wait() // the last words
			return l.err
		case err != nil && (first || client.StatusOf(err) > 0 && client.StatusOf(err) < 500): // a server that starts again answers 503
			return err
		}
		l.attach(reading, nodes)
		if !o.Follow {
			if first && len(nodes) == 0 {
				_, err := fmt.Fprintf(a.err, "cloud: pod %s has no nodes, so it has no output\n", pod)
				return err
			}
			return l.err
		}
		l.o.Tail = 0 // nodes to come are printed from their beginning
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(nodePoll):
		}
	}
}

// attach begins to read the nodes that are new, and those that started again.
func (l *podLogs) attach(ctx context.Context, nodes []wire.Node) {
	l.mu.Lock()
	for _, n := range nodes {
		l.width = max(l.width, len(n.Name))
	}
	l.mu.Unlock()
	for _, n := range nodes {
		start := n.Name + " " + n.StartedAt.String()
		if n.StartedAt.IsZero() || l.known[start] {
			continue
		}
		l.known[start] = true
		o := l.o
		if !o.Follow {
			l.read(ctx, n.Name, o)
			continue
		}
		l.reading.Go(func() { l.read(ctx, n.Name, o) })
	}
}

// read prints a node's output until it ends.
func (l *podLogs) read(ctx context.Context, node string, o client.LogOptions) {
	body, err := l.c.Logs(ctx, l.pod, node, o)
	if err == nil {
		err = l.copyLines(node, body)
		_ = body.Close() // it was only read
	}
	// A node that went away meanwhile, or was never started, has no output.
	if err == nil || ctx.Err() != nil || client.NotFound(err) || client.Conflict(err) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("node %s: %w", node, err)
	}
	if o.Follow {
		fmt.Fprintf(l.a.err, "cloud: the output of node %s broke off: %s\n", node, oneLine(err.Error()))
	}
}

func (l *podLogs) copyLines(node string, r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			if err := l.line(node, strings.TrimRight(text, "\r\n")); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// nameColours tell nodes apart; none of them means a state.
var nameColours = [...]colour{cyan, "34", "35", "36;1", "34;1", "35;1"}

func (l *podLogs) line(node, text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.a.json() {
		return json.NewEncoder(l.a.out).Encode(logLine{node, text})
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(node)) // never fails
	paint := nameColours[h.Sum32()%uint32(len(nameColours))]
	if l.a.out.terminal {
		text = printable(text)
	}
	_, err := fmt.Fprintf(l.a.out, "%s %s\n", l.a.out.paint(paint, fmt.Sprintf("%-*s |", l.width, node)), text)
	return err
}
