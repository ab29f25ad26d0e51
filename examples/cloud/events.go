package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) eventsCommand() *cobra.Command {
	var follow, ticks bool
	var pod, kind string
	var limit int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Print what happened in the cluster",
		Long: `Print the last events of the cluster, oldest first: pods and hosts that came, changed and went, nodes
that started, failed and ended, and every change of a pod's number of nodes with its reason. With -f it
goes on with what happens from then on, until you interrupt it; a connection that breaks is made again
without losing an event. With -o json each line is one event.`,
		Example: `  cloud events
  cloud events -f --pod light
  cloud events --type node.failed --limit 5
  cloud events -f -o json`,
		Args: names(),
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	f.StringVar(&pod, "pod", "", "print those of this pod only")
	f.StringVar(&kind, "type", "", `print those of this type only, such as "pod.scaled", or "node" for every node.…`)
	f.BoolVar(&ticks, "ticks", false, "with -f: also print every decision, also those that change nothing")
	f.IntVar(&limit, "limit", 50, "print this many past events at most; 0 is all that are kept")
	must(cmd.RegisterFlagCompletionFunc("pod", a.completeFlag(podNames)))
	must(cmd.RegisterFlagCompletionFunc("type", fixed(eventTypes()...)))
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, _ []string) error {
		if limit < 0 {
			return usagef("--limit %d: use 0 or more", limit)
		}
		if ticks && !follow {
			return usagef("--ticks: decisions that change nothing are not kept; use it with -f, or see \"cloud why POD --all\"")
		}
		o := client.EventOptions{Pod: pod, Past: true, Ticks: true, Retry: func(err error, next time.Duration) {
			fmt.Fprintf(a.err, "cloud: %s; trying again in %s\n", oneLine(err.Error()), took(next))
		}}
		if kind != "" {
			o.Types = []string{kind}
		}
		wanted := func(e wire.Event) bool { return e.Type != wire.EventTick || ticks || kind == wire.EventTick }
		return a.printEvents(ctx, c, o, follow, limit, wanted)
	})
	return cmd
}

// eventTypes are the types of events, and the families of them.
func eventTypes() []cobra.Completion {
	var all []cobra.Completion
	for _, t := range cms.EventTypes() {
		all = append(all, string(t))
	}
	for _, family := range []string{"pod", "node", "rollout", "image", "host", "store", "balancer"} {
		all = append(all, cobra.CompletionWithDesc(family, "every "+family+".…"))
	}
	return all
}

// printEvents prints the past and then, with follow, what comes. The stream does
// not say where the past ends: it has ended when a tick comes, which is never of
// the past, or when nothing more does, for several times what an answer takes.
func (a *app) printEvents(ctx context.Context, c *client.Client, o client.EventOptions, follow bool, limit int, wanted func(wire.Event) bool) error {
	asked := time.Now()
	if _, err := c.Cluster(ctx); err != nil {
		return err
	}
	quiet := 300*time.Millisecond + 3*time.Since(asked)

	reading, stop := context.WithCancel(ctx)
	defer stop()
	events, ended := make(chan wire.Event), make(chan error, 1)
	go func() {
		defer close(events)
		ended <- c.Events(reading, o, func(e wire.Event) error {
			select {
			case events <- e:
				return nil
			case <-reading.Done():
				return reading.Err()
			}
		})
	}()
	defer func() {
		stop()
		for range events { // until the reader has ended
		}
	}()

	var past []wire.Event
	inPast := true
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		var e wire.Event
		more := true
		select {
		case e, more = <-events:
			timer.Reset(quiet)
		case <-timer.C:
			if !inPast {
				continue
			}
		}
		if !more {
			if ctx.Err() != nil && follow {
				return nil // that is how one ends it
			}
			return <-ended
		}
		if inPast && e.ID == 0 { // a tick, or the time is over
			inPast = false
			for _, x := range last(past, limit) {
				if err := a.printEvent(x); err != nil {
					return err
				}
			}
			if err := a.checkPodOfEvents(ctx, c, o.Pod, follow, len(past)); err != nil {
				return err
			}
			if !follow {
				return nil
			}
		}
		switch {
		case e.Type == "" || !wanted(e):
		case inPast:
			past = append(past, e)
		default:
			if err := a.printEvent(e); err != nil {
				return err
			}
		}
	}
}

// checkPodOfEvents says that there is no such pod, where that is why there is nothing
// to print: events of pods that were deleted are kept, and pods may be still to come.
func (a *app) checkPodOfEvents(ctx context.Context, c *client.Client, name string, follow bool, printed int) error {
	if name == "" || printed > 0 {
		return nil
	}
	_, err := c.Pod(ctx, name)
	if !client.NotFound(err) {
		return nil
	}
	if !follow {
		return err
	}
	_, err = fmt.Fprintf(a.err, "cloud: %s; waiting for it\n", oneLine(a.explain(err)))
	return err
}

// last returns the last n, or all where n is 0.
func last[T any](all []T, n int) []T {
	if n == 0 || len(all) <= n {
		return all
	}
	return all[len(all)-n:]
}

func (a *app) printEvent(e wire.Event) error {
	if a.json() {
		return json.NewEncoder(a.out).Encode(e)
	}
	message := e.Message
	if message == "" && e.Tick != nil {
		message = e.Tick.Reason
	}
	about := e.Pod
	switch {
	case e.Node != "":
		about += "/" + e.Node
	case e.Host != "":
		about = e.Host
	}
	paint := plain
	switch {
	case strings.HasSuffix(e.Type, "failed"), strings.HasSuffix(e.Type, "problem"), strings.HasSuffix(e.Type, "unreachable"):
		paint = red
	case e.Type == wire.EventScaled:
		paint = green
	}
	kind := a.out.paint(paint, fmt.Sprintf("%-16s", e.Type))
	text := fmt.Sprintf("%s  %s  %-20s  ", a.out.paint(dim, a.clock(e.At)), kind, about)
	_, err := fmt.Fprintf(a.out, "%s%s\n", text, printable(message))
	return err
}

// copyText copies what a node wrote as it comes. On a terminal, what would steer
// it is left out.
func (a *app) copyText(r io.Reader) error {
	if !a.out.terminal {
		_, err := io.Copy(a.out, r)
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			clean := strings.Map(func(r rune) rune {
				if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
					return -1
				}
				return r
			}, string(buf[:n]))
			if _, err := io.WriteString(a.out, clean); err != nil {
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
