package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// strategyFlags are the settings of a pod's updates.
type strategyFlags struct {
	strategy       string
	maxSurge       int
	maxUnavailable int
	minReady       time.Duration
	failures       int
	maxErrors      float64
	steps          []string
}

func (a *app) rolloutStrategyCommand() *cobra.Command {
	var f strategyFlags
	cmd := withYAML(&cobra.Command{
		Use:   "strategy POD",
		Short: "Show or set how the nodes of a pod are replaced",
		Long: `Show how the nodes of a pod are replaced when what they run changes, or set it with flags; what has
no flag stays as it is. It also holds for a rollout that is under way.

A canary gives new nodes --step PERCENT=PAUSE of the requests, one step after another, before the other
nodes are rolled. Its new nodes may fail --max-errors of their requests.`,
		Example: `  cloud rollout strategy web
  cloud rollout strategy web --strategy rolling --max-surge 2 --min-ready 10s
  cloud rollout strategy web --strategy canary --step 10=1m --step 50=5m --max-errors 0.01`,
	})
	flags := cmd.Flags()
	flags.StringVar(&f.strategy, "strategy", "", `"rolling", "blue-green" or "canary"`)
	flags.IntVar(&f.maxSurge, "max-surge", 0, "how many nodes more than wanted there may be meanwhile (default 1)")
	flags.IntVar(&f.maxUnavailable, "max-unavailable", 0, "how many nodes fewer than wanted may be ready meanwhile (default 0)")
	flags.DurationVar(&f.minReady, "min-ready", 0, "how long a new node must be online before an old one goes (default 0s)")
	flags.IntVar(&f.failures, "failures", 0, "how many new nodes may fail before the pod goes back; 0: it never does (default 3)")
	flags.Float64Var(&f.maxErrors, "max-errors", 0, "fraction of requests to new nodes that may fail before the pod goes back (default 0.05 for a canary, else 1)")
	flags.StringArrayVar(&f.steps, "step", nil, "PERCENT=PAUSE of a canary, such as 10=1m; repeat it (default 10=30s and 50=30s)")
	must(cmd.RegisterFlagCompletionFunc("strategy", fixed("rolling", "blue-green", "canary")))
	return a.onPod(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		patch, err := f.patch(cmd.Flags().Changed)
		if err != nil {
			return err
		}
		var p wire.Pod
		if len(patch) == 0 {
			p, err = c.Pod(ctx, args[0])
		} else {
			p, err = c.PatchPod(ctx, args[0], client.Patch{"update": patch}, 0)
		}
		if err != nil {
			return err
		}
		return a.printStrategy(p)
	})
}

// patch returns what the flags set. Faults are of usage.
func (f strategyFlags) patch(changed func(string) bool) (map[string]any, error) {
	patch := map[string]any{}
	for flag, x := range map[string]struct {
		field string
		value any
	}{
		"strategy": {"strategy", f.strategy}, "max-surge": {"max_surge", f.maxSurge}, "max-unavailable": {"max_unavailable", f.maxUnavailable},
		"min-ready": {"min_ready", wire.Duration(f.minReady)}, "failures": {"failures", f.failures}, "max-errors": {"max_errors", f.maxErrors},
	} {
		if changed(flag) {
			patch[x.field] = x.value
		}
	}
	if f.minReady == 0 && changed("min-ready") {
		patch["min_ready"] = nil
	}
	if changed("strategy") {
		known := []string{"rolling", "blue-green", "canary"}
		if !slices.Contains(known, f.strategy) {
			return nil, unknown(fmt.Sprintf("--strategy %q is unknown", f.strategy), f.strategy, known)
		}
	}
	var steps []wire.CanaryStep
	for _, s := range f.steps {
		weight, pause, timed := strings.Cut(s, "=")
		var step wire.CanaryStep
		var err error
		step.Weight, err = strconv.Atoi(strings.TrimSuffix(weight, "%"))
		if err == nil && timed {
			step.Pause, err = wire.ParseDuration(pause)
		}
		if err != nil {
			return nil, usagef("--step %q is not PERCENT=PAUSE, such as 10=1m", s)
		}
		steps = append(steps, step)
	}
	if len(steps) > 0 {
		patch["steps"] = steps
	}
	return patch, nil
}

func (a *app) printStrategy(p wire.Pod) error {
	if a.output != "table" {
		return a.printValue(p.Update)
	}
	return a.line("Pod %s: %s.", p.Name, strategyText(p.Update))
}

// strategyText says how nodes are replaced.
func strategyText(u wire.Update) string {
	number := func(n *int, otherwise int) int {
		if n == nil {
			return otherwise
		}
		return *n
	}
	texts := []string{
		cmp.Or(u.Strategy, "rolling"),
		fmt.Sprintf("at most %d more and %d fewer nodes than wanted", number(u.MaxSurge, 1), u.MaxUnavailable),
	}
	for _, s := range u.Steps {
		texts = append(texts, fmt.Sprintf("%d %% for %s", s.Weight, s.Pause))
	}
	if u.MinReady > 0 {
		texts = append(texts, "a new node must be online for "+u.MinReady.String())
	}
	if n := number(u.Failures, 3); n > 0 {
		texts = append(texts, "back after "+plural(n, "new node")+" that failed")
	} else {
		texts = append(texts, "never back by itself for nodes that fail")
	}
	if u.MaxErrors > 0 && u.MaxErrors < 1 {
		texts = append(texts, fmt.Sprintf("or %s %% of failed requests", strconv.FormatFloat(u.MaxErrors*100, 'g', 3, 64)))
	}
	return strings.Join(texts, ", ")
}
