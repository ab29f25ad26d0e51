package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) balancerCommand() *cobra.Command {
	var front string
	cmd := &cobra.Command{
		Use:   "balancer",
		Short: "Show every front and server of the balancer",
		Long: `Show every front of the balancer and its servers, as the balancer sees them: requests so far, in flight
and waiting, errors, and response times of about the last ten seconds.`,
		Example: `  cloud balancer
  cloud balancer --front light
  cloud balancer -o json`,
		Args: names(),
	}
	cmd.Flags().StringVar(&front, "front", "", "show this front only")
	must(cmd.RegisterFlagCompletionFunc("front", a.completeFlag(frontNames)))
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, _ []string) error {
		b, err := c.Balancer(ctx)
		if err != nil {
			return err
		}
		if front != "" {
			if b.Fronts, err = only(b.Fronts, front); err != nil {
				return err
			}
		}
		if a.json() {
			return a.printJSON(b)
		}
		return a.printBalancer(b)
	})
	return cmd
}

func only(fronts []wire.FrontStats, name string) ([]wire.FrontStats, error) {
	var all []string
	for _, f := range fronts {
		if f.Name == name {
			return []wire.FrontStats{f}, nil
		}
		all = append(all, f.Name)
	}
	return nil, noSuch("front", name, all, "")
}

func (a *app) printBalancer(b wire.Balancer) error {
	if b.Error != "" {
		fmt.Fprintln(a.out, a.out.paint(red, printable("These figures are old: "+b.Error)))
	}
	for _, p := range b.Problems {
		fmt.Fprintln(a.out, a.out.paint(red, printable("Problem: "+p)))
	}
	if len(b.Fronts) == 0 {
		return a.line("No fronts: no pod takes requests.")
	}
	t := newTable(left("FRONT"), left("SERVER"), left("ADDRESS").whenWide(), left("STATE").whenWide(), right("IN FLIGHT"), right("WAITING").whenWide(), right("REQUESTS"), right("ERRORS").whenWide(), right("P50").whenWide(), right("P95").whenWide(), right("P99").whenWide())
	for _, f := range b.Fronts {
		var p50, p95, p99 string
		if l := f.Latency; l != nil && l.Count > 0 {
			p50, p95, p99 = quantile(l.P50), quantile(l.P95), quantile(l.P99)
		}
		t.row(cell{f.Name, bold}, plural(len(f.Servers), "server"), f.Listen, " ", f.InFlight, f.Waiting, f.Requests, f.Errors, p50, p95, p99)
		for _, s := range f.Servers {
			state := s.State
			if !s.Up {
				state = "down"
			}
			t.row(" ", s.Name, s.Addr, stateCell(state), s.InFlight, " ", s.Requests, s.Errors, " ", " ", " ")
		}
	}
	return t.print(a.out)
}

func quantile(s wire.Seconds) string { return took(s.Std().Round(time.Microsecond)) }
