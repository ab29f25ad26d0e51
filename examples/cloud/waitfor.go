package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// conditions are what a pod may be waited for to be, besides "online=…".
var conditions = [...]string{"converged", "active", "paused", "gone"}

func (a *app) waitCommand() *cobra.Command {
	var condition string
	cmd := &cobra.Command{
		Use:   "wait POD --for CONDITION",
		Short: "Wait until a pod is as it should be",
		Long: `Wait until a pod has so many nodes online, has converged (what runs and takes requests is what should),
is paused or active, or is gone; at most for --timeout. It exits with 1 and says how far the pod has got
when that is over. online=3 is three nodes or more, online=..3 three at most, online=2..3 two or three.`,
		Example: `  cloud wait web --for online=3
  cloud wait web --for online=..1 --timeout 10m
  cloud wait web --for converged -o json
  cloud wait web --for gone`,
	}
	cmd.Flags().StringVar(&condition, "for", "converged", "online=N, online=N..M, converged, active, paused or gone")
	must(cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(append([]string{"online="}, conditions[:]...), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)))
	return a.onPod(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		if !a.wait {
			return usagef("--no-wait: that is not for a command that waits; use --timeout")
		}
		holds, err := parseCondition(condition)
		if err != nil {
			return err
		}
		p, err := a.awaitCondition(ctx, c, args[0], condition, holds)
		if err != nil {
			return err
		}
		if status(p).State == "gone" {
			return a.tell(p, "Pod %s is gone.", p.Name)
		}
		return a.tell(p, "Pod %s is %s: %s.", p.Name, status(p).State, countsText(status(p)))
	})
}

// awaitCondition waits until what is asked for holds. A pod that is not there is
// gone, and never anything else.
func (a *app) awaitCondition(ctx context.Context, c *client.Client, name, condition string, holds func(wire.PodStatus) bool) (wire.Pod, error) {
	p := wire.Pod{Name: name}
	err := a.await(ctx, "waiting for pod "+name+" to be "+condition, func(ctx context.Context) (step, error) {
		now, err := c.Pod(ctx, name)
		switch {
		case client.NotFound(err) && condition == "gone":
			p.Status = &wire.PodStatus{State: "gone", Problems: []wire.Problem{}}
			return step{done: true}, nil
		case err != nil:
			return step{}, err
		}
		p = now
		s := status(p)
		if s.State == "deleting" && condition != "gone" {
			return step{}, fmt.Errorf("pod %s is being deleted, so it will never be %s", name, condition)
		}
		note := s.State + ", " + countsText(s)
		if len(s.Problems) > 0 {
			note += "; " + s.Problems[0].Text
		}
		return step{done: holds(s), note: note}, nil
	})
	return p, err
}

// parseCondition returns a function that says whether a pod's status is so.
func parseCondition(text string) (func(wire.PodStatus) bool, error) {
	switch text {
	case "converged":
		return func(s wire.PodStatus) bool { return s.Converged }, nil
	case "active", "paused":
		return func(s wire.PodStatus) bool { return s.State == text && s.Converged }, nil
	case "gone":
		return func(wire.PodStatus) bool { return false }, nil
	}
	value, ok := strings.CutPrefix(text, "online=")
	if !ok {
		if near := nearest(text, slices.Concat(conditions[:], []string{"online=1"})); near != "" {
			return nil, usagef("--for %q is unknown; did you mean %q?", text, near)
		}
		return nil, usagef("--for %q is unknown; use online=N, converged, active, paused or gone", text)
	}
	from, to, isRange := strings.Cut(value, "..")
	least, most := 0, int(^uint(0)>>1)
	var err1, err2 error
	if from != "" {
		least, err1 = strconv.Atoi(from)
	}
	if to != "" {
		most, err2 = strconv.Atoi(to)
	}
	if err1 != nil || err2 != nil || least < 0 || most < least || from == "" && !isRange || from == "" && to == "" {
		return nil, usagef("--for %q is not a number of nodes; use online=3 for three or more, online=..3 for three at most", text)
	}
	if value == "0" { // or more would hold always
		most = 0
	}
	return func(s wire.PodStatus) bool { return s.Nodes.Online >= least && s.Nodes.Online <= most }, nil
}
