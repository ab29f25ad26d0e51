package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) elasticityCommand() *cobra.Command {
	return group("elasticity", "Let a pod grow and shrink by itself",
		`Elasticity lets a pod grow and shrink with demand, between two bounds, as its policy says. The classic
policy is "threshold": above the upper threshold of CPU a node is added, below the lower one removed.
While it is enabled nodes cannot be registered, launched or removed by hand.`,
		`  cloud elasticity enable light 1 6
  cloud elasticity upper_threshold light 0.6
  cloud elasticity show light
  cloud why light`,
		a.elasticityEnableCommand(), a.elasticityDisableCommand(),
		a.thresholdCommand("lower_threshold", "below", "removed", "lower-threshold", "0.3"),
		a.thresholdCommand("upper_threshold", "above", "added", "upper-threshold", "0.7"),
		a.elasticityShowCommand())
}

func (a *app) elasticityEnableCommand() *cobra.Command {
	var dryRun bool
	var policy string
	cmd := &cobra.Command{
		Use:   "enable POD MIN MAX",
		Short: "Let a pod have MIN to MAX nodes, by demand",
		Long: `Enable elasticity of a pod: it is brought inside the bounds at once, and then grows and shrinks by its
policy. It waits until MIN nodes are online, unless --no-wait is given, and gives up when an image or
a program is missing. Registered nodes are launched before others are made. With --dry-run decisions are
only recorded, for "cloud why".`,
		Example: `  cloud elasticity enable light 1 6
  cloud elasticity enable light 2 20 --policy 'target metric=cpu value=0.6'
  cloud elasticity enable light 2 20 --policy '{"kind":"target","metric":"cpu","value":0.6}'
  cloud elasticity enable light 1 6 --dry-run`,
		Args:              names("POD", "MIN", "MAX"),
		ValidArgsFunction: a.complete(podNames),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "record decisions, and carry none out")
	cmd.Flags().StringVar(&policy, "policy", "", "policy, as JSON or as a kind and its settings (default: the one that it has)")
	must(cmd.RegisterFlagCompletionFunc("policy", a.completeFlag(policyKinds)))
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		var bounds [2]wire.Count
		for i, name := range []string{"MIN", "MAX"} {
			n, err := wire.ParseCount(args[i+1])
			if err != nil {
				return usagef("%s: %w", name, err)
			}
			bounds[i] = n
		}
		if bounds[1] < bounds[0] {
			return usagef("MAX %d is below MIN %d", bounds[1], bounds[0])
		}
		patch := client.Patch{"enabled": true, "min": bounds[0], "max": bounds[1], "mode": "act"}
		if dryRun {
			patch["mode"] = "dry-run"
		}
		if policy != "" {
			parsed, err := parsePolicy(policy)
			if err != nil {
				return err
			}
			patch["policy"] = parsed
		}
		p, err := c.Pod(ctx, args[0])
		if err != nil {
			return err
		}
		e, err := c.PatchElasticity(ctx, args[0], patch, 0)
		if err != nil {
			return err
		}
		if !dryRun {
			watch := watchStarts(c, status(p).Problems)
			if _, err := a.awaitPod(ctx, c, p, "bringing pod "+p.Name+" inside its bounds", watch, func(s wire.PodStatus) bool {
				return s.State == "paused" || s.Nodes.Online >= int(bounds[0])
			}); err != nil {
				return err
			}
		}
		return a.printElasticity(args[0], e)
	})
	return cmd
}

func (a *app) elasticityDisableCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:   "disable POD",
		Short: "Let a pod keep the number of nodes that it has",
		Long: `Disable elasticity of a pod: it keeps the nodes that it has, and they are registered, launched and
removed by hand again. Its bounds and policy are kept for the next time.`,
		Example: `  cloud elasticity disable light`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		e, err := c.PatchElasticity(ctx, args[0], client.Patch{"enabled": false}, 0)
		if err != nil {
			return err
		}
		return a.printElasticity(args[0], e)
	})
}

func (a *app) thresholdCommand(name, side, verb, alias, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " POD VALUE",
		Aliases: []string{alias},
		Short:   "Set the CPU " + side + " which a node is " + verb,
		Long: `Set the fraction of a node's CPU limit, from 0 to 1, ` + side + ` which a node is ` + verb + `. It makes the
pod's policy "threshold" if it is another one. The two thresholds are at least 0.1 apart.`,
		Example:           "  cloud elasticity " + name + " light " + example,
		Args:              names("POD", "VALUE"),
		ValidArgsFunction: a.complete(podNames),
	}
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		x, err := strconv.ParseFloat(args[1], 64)
		if err != nil || !(x >= 0 && x <= 1) {
			return usagef("VALUE %q is not a fraction of a node's CPU limit; use 0 to 1, such as 0.7", args[1])
		}
		e, err := c.PatchElasticity(ctx, args[0], client.Patch{name: x}, 0)
		if err != nil {
			return err
		}
		return a.printElasticity(args[0], e)
	})
	return cmd
}

func (a *app) elasticityShowCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:   "show POD",
		Short: "Show the elasticity of a pod",
		Long: `Show whether a pod is elastic, its bounds and its policy, and what the last decision was. For how it
came about, see "cloud why".`,
		Example: `  cloud elasticity show light`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		e, err := c.Elasticity(ctx, args[0])
		if err != nil {
			return err
		}
		return a.printElasticity(args[0], e)
	})
}

func (a *app) printElasticity(pod string, e wire.Elasticity) error {
	if a.json() {
		return a.printJSON(e)
	}
	text := fmt.Sprintf("Elasticity of pod %s is off (bounds %d to %d%s).", pod, e.Min, e.Max, policySuffix(e))
	if e.Enabled {
		text = fmt.Sprintf("Elasticity of pod %s is on: %s nodes%s.", pod, elasticText(e), policySuffix(e))
	}
	if s := e.Status; s != nil && s.Reason != "" {
		text += " Last decision: " + s.Reason + "."
	}
	return a.line("%s", text)
}
