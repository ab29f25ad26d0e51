package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) topCommand() *cobra.Command {
	var sortBy, filter string
	var reverse bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch pods and hosts live, and steer them",
		Long: `Show every pod with its nodes, demand and last decision, and every host, as it changes. Keys: arrows or
j and k choose a pod, s sorts by the next column and S the other way round, / filters by name, p pauses
and r resumes the pod, l launches its oldest new node, enter or w says why it has the nodes that it has,
? lists the keys, q quits. A connection that breaks is made again, and it says how old what you see is.
Where the output is no terminal, or with -o json, it prints how things are now and ends.`,
		Example: `  cloud top
  cloud top --sort cpu --filter web
  cloud top -o json`,
		Args: names(),
	}
	cmd.Flags().StringVar(&sortBy, "sort", "name", "name, state, nodes, cpu, inflight, rate or p95; all but the first two from the top")
	cmd.Flags().BoolVar(&reverse, "reverse", false, "sort the other way round")
	cmd.Flags().StringVar(&filter, "filter", "", "only pods whose name contains this")
	must(cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(topSorts(), cobra.ShellCompDirectiveNoFileComp)))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		by := slices.Index(topSorts(), sortBy)
		if by < 0 {
			return unknown(fmt.Sprintf("--sort %q is unknown", sortBy), sortBy, topSorts())
		}
		return a.does(func(ctx context.Context, c *client.Client, _ []string) error {
			state, err := lookAround(ctx, c)
			if err != nil {
				return err
			}
			m := newTopModel(a, state, by, reverse, filter)
			in, ok := a.in.(*os.File)
			if !ok || !a.out.terminal || !term.IsTerminal(int(in.Fd())) || a.json() {
				return a.printSnapshot(m)
			}
			return a.runTop(ctx, c, m, in)
		})(cmd, args)
	}
	return cmd
}

// topState is what top shows, as it was at a moment.
type topState struct {
	Cluster wire.Cluster `json:"cluster"`
	Pods    []wire.Pod   `json:"pods"`
	Hosts   []wire.Host  `json:"hosts"`
}

func lookAround(ctx context.Context, c *client.Client) (topState, error) {
	var s topState
	var err error
	if s.Cluster, err = c.Cluster(ctx); err != nil {
		return s, err
	}
	if s.Pods, err = c.Pods(ctx); err != nil {
		return s, err
	}
	s.Hosts, err = c.Hosts(ctx)
	return s, err
}

func (a *app) printSnapshot(m *topModel) error {
	m.state.Pods = m.shown()
	if a.json() {
		return a.printJSON(m.state)
	}
	if err := a.line("%s", m.summary()); err != nil {
		return err
	}
	for _, p := range m.state.Cluster.Problems {
		if err := a.line("! %s", p); err != nil {
			return err
		}
	}
	if err := a.line(""); err != nil {
		return err
	}
	if len(m.state.Pods) == 0 && m.filter != "" {
		if err := a.line("No pod's name contains %q.", m.filter); err != nil {
			return err
		}
	} else if err := a.printPods(m.state.Pods); err != nil {
		return err
	}
	if err := a.line(""); err != nil {
		return err
	}
	return a.printHosts(m.state.Hosts)
}

// runTop shows m until the person leaves or ctx ends.
func (a *app) runTop(ctx context.Context, c *client.Client, m *topModel, in *os.File) error {
	f := &topFeed{c: c, requests: m.requests, stale: make(chan struct{}, 1)}
	p := tea.NewProgram(m, tea.WithInput(in), tea.WithOutput(a.out.Writer), tea.WithoutSignalHandler())
	feeding, stop := context.WithCancel(ctx)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		f.run(feeding, p.Send)
	}()
	// Not tea.WithContext: that kills the program, which then closes the terminal
	// under its own reader.
	defer context.AfterFunc(ctx, p.Quit)()
	_, err := p.Run()
	stop()
	<-fed
	return err
}

// What the feed tells the model.
type (
	stateMsg  struct{ state topState }                               // how everything is now
	eventMsg  wire.Event                                             // what happened
	brokenMsg struct{ err error }                                    // the server does not answer
	doneMsg   struct{ text string }                                  // what was asked for has begun
	failedMsg struct{ err error }                                    // it was refused
	whyMsg    struct{ ticks []wire.Tick }                            // the decisions that were asked for
	secondMsg time.Time                                              // another second is over
	topAction func(context.Context, *client.Client) (tea.Msg, error) // what a key asks for
)

// topFeed does everything that takes time, so that the screen never waits.
type topFeed struct {
	c        *client.Client
	requests chan topAction
	stale    chan struct{} // capacity 1: something changed that no event holds
}

const (
	topSettle  = 150 * time.Millisecond // events come in bursts
	topRefresh = 5                      // seconds between two looks without a reason
	topPatient = 10 * time.Second       // for one answer
	topRetry   = 2 * time.Second        // after the stream of events was refused
)

// run feeds send until ctx ends.
func (f *topFeed) run(ctx context.Context, send func(tea.Msg)) {
	events := make(chan struct{})
	go func() {
		defer close(events)
		f.follow(ctx, send)
	}()
	defer func() { <-events }()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 1; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-second.C:
			send(secondMsg(now))
			if n++; n%topRefresh == 0 {
				f.changed()
			}
		case <-f.stale:
			select {
			case <-ctx.Done():
				return
			case <-time.After(topSettle):
			}
			asking, cancel := context.WithTimeout(ctx, topPatient)
			s, err := lookAround(asking, f.c)
			cancel()
			if err != nil {
				send(brokenMsg{err})
				continue
			}
			send(stateMsg{s})
		case do := <-f.requests:
			asking, cancel := context.WithTimeout(ctx, topPatient)
			msg, err := do(asking, f.c)
			cancel()
			if err != nil {
				msg = failedMsg{err}
			}
			send(msg)
			f.changed()
		}
	}
}

// follow reads the stream of events, also over breaks and refusals.
func (f *topFeed) follow(ctx context.Context, send func(tea.Msg)) {
	o := client.EventOptions{Ticks: true, Retry: func(err error, _ time.Duration) { send(brokenMsg{err}) }}
	for {
		err := f.c.Events(ctx, o, func(e wire.Event) error {
			send(eventMsg(e))
			if e.Type != wire.EventTick {
				f.changed()
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		send(brokenMsg{err})
		select {
		case <-ctx.Done():
			return
		case <-time.After(topRetry):
		}
	}
}

// changed asks for a look at everything.
func (f *topFeed) changed() {
	select {
	case f.stale <- struct{}{}:
	default: // it is asked for already
	}
}
