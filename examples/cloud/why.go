package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// everyTick asks for as many ticks as a server keeps of a pod.
const everyTick = 100_000

// mostTicks is how many may be printed.
const mostTicks = 1000

func (a *app) whyCommand() *cobra.Command {
	var all bool
	var limit int
	cmd := &cobra.Command{
		Use:   "why POD",
		Short: "Say why a pod has the number of nodes that it has",
		Long: `Print the current decision of a pod, and the last ones that changed its number of nodes, newest first:
when, from how many to how many nodes, why, and each step of the reasoning, from the raw number that
the policy wanted to the bounds and cooldowns that changed it. --all also prints the decisions that
changed nothing.`,
		Example: `  cloud why light
  cloud why light --limit 3
  cloud why light --all --limit 60 -o json`,
	}
	cmd.Flags().BoolVar(&all, "all", false, "also print decisions that changed nothing")
	cmd.Flags().IntVar(&limit, "limit", 10, "print this many at most, besides the current one")
	return a.onPod(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		if limit < 1 || limit > mostTicks {
			return usagef("--limit %d: use 1 to %d", limit, mostTicks)
		}
		p, err := c.Pod(ctx, args[0])
		if err != nil {
			return err
		}
		ask := everyTick
		if all {
			ask = limit + 1
		}
		ticks, err := c.Decisions(ctx, args[0], ask)
		if err != nil {
			return err
		}
		var past []wire.Tick
		for i, t := range ticks {
			if len(past) < limit && (t.Before != t.Want || all && i > 0) {
				past = append(past, t)
			}
		}
		if a.json() {
			w := why{Pod: p.Name, Changes: past}
			if len(ticks) > 0 {
				w.Current = &ticks[0]
			}
			if w.Changes == nil {
				w.Changes = []wire.Tick{}
			}
			return a.printJSON(w)
		}
		return a.printWhy(p, ticks, past, all)
	})
}

// why is what "cloud why" prints as JSON.
type why struct {
	Pod     string      `json:"pod"`
	Current *wire.Tick  `json:"current"`
	Changes []wire.Tick `json:"changes"`
}

func (a *app) printWhy(p wire.Pod, ticks, past []wire.Tick, all bool) error {
	s := status(p)
	elasticity := "elasticity is off"
	if s.Elasticity.Enabled {
		elasticity = "elastic from " + elasticText(s.Elasticity) + policySuffix(s.Elasticity)
	}
	fmt.Fprintf(a.out, "%s: %s; %s\n", a.out.paint(bold, p.Name), countsText(s), printable(elasticity))
	for _, problem := range texts(s.Problems) {
		fmt.Fprintf(a.out, "  %s\n", a.out.paint(red, printable(problem)))
	}
	if len(ticks) == 0 {
		return a.line("No decision has been made yet.")
	}
	fmt.Fprintln(a.out)
	a.printTick("now", ticks[0])
	fmt.Fprintln(a.out)
	if len(past) == 0 {
		if s.Want > 0 { // by hand, which is no decision
			return a.line("No decision has changed the number of nodes; \"cloud events --pod %s\" has what was done by hand.", p.Name)
		}
		return a.line("Nothing has changed the number of nodes yet.")
	}
	title := "The last changes"
	if all {
		title = "The decisions before"
	}
	fmt.Fprintf(a.out, "%s, newest first:\n", title)
	for _, t := range past {
		a.printTick(a.clock(t.At)+" ("+a.age(t.At)+" ago)", t)
	}
	return nil
}

// printTick prints one decision: its reason, and its steps where they say more.
func (a *app) printTick(when string, t wire.Tick) {
	move := strconv.Itoa(t.Want)
	paint := plain
	switch {
	case t.Want > t.Before:
		move, paint = fmt.Sprintf("%d → %d", t.Before, t.Want), green
	case t.Want < t.Before:
		move, paint = fmt.Sprintf("%d → %d", t.Before, t.Want), cyan
	}
	fmt.Fprintf(a.out, "%s  %s  %s\n", a.out.paint(dim, when), a.out.paint(paint, move), printable(t.Reason))
	if t.Error != "" {
		fmt.Fprintf(a.out, "    %s\n", a.out.paint(red, "not observed: "+printable(t.Error)))
	}
	if len(t.Decision.Steps) == 1 && t.Decision.Steps[0].Text == t.Reason {
		return
	}
	for i, s := range t.Decision.Steps {
		fmt.Fprintf(a.out, "    %d. %s\n", i+1, printable(s.Text))
	}
}
