package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/difference"
)

// completeRevisions offers the revisions of the pod that is the first argument,
// newest first.
func (a *app) completeRevisions() cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, given string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, directive := a.complete(func(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
			r, err := c.Rollouts(ctx, args[0])
			slices.Reverse(r.Revisions)
			return namesOf(r.Revisions, func(x wire.RevisionRecord) string {
				return cobra.CompletionWithDesc(strconv.FormatUint(x.Number, 10), a.age(x.At)+" ago: "+x.Reason)
			}), err
		})(cmd, nil, given)
		return found, directive | cobra.ShellCompDirectiveKeepOrder
	}
}

// revisionOf is a revision and what changed with it.
type revisionOf struct {
	wire.RevisionRecord
	// Changes are against the revision before; absent of the first that is kept.
	Changes []difference.Change `json:"changes,omitempty"`
}

func (a *app) rolloutHistoryCommand() *cobra.Command {
	var number uint64
	cmd := withYAML(&cobra.Command{
		Use:   "history POD",
		Short: "List what a pod ran, and what changed each time",
		Long: `List the revisions of a pod, oldest first: when each was set and why, and what changed against the one
before it. With --revision it prints one of them with all that nodes of it run with.`,
		Example: `  cloud rollout history web
  cloud rollout history web --revision 3
  cloud rollout history web -o json`,
	})
	cmd.Flags().Uint64Var(&number, "revision", 0, "only the revision of that number, in full")
	must(cmd.RegisterFlagCompletionFunc("revision", a.completeRevisions()))
	return a.onPod(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		r, err := c.Rollouts(ctx, args[0])
		if err != nil {
			return err
		}
		all, err := withChanges(r.Revisions)
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("revision") {
			return a.printHistory(all)
		}
		i := slices.IndexFunc(all, func(x revisionOf) bool { return x.Number == number })
		if i < 0 {
			return fmt.Errorf("revision %d of pod %s is not kept; there are %s", number, args[0],
				strings.Join(namesOf(all, func(x revisionOf) string { return strconv.FormatUint(x.Number, 10) }), ", "))
		}
		return a.printRevision(all[i])
	})
}

func withChanges(revisions []wire.RevisionRecord) ([]revisionOf, error) {
	var out []revisionOf
	for i, r := range revisions {
		x := revisionOf{RevisionRecord: r}
		if i > 0 {
			from, err := settingsOf(revisions[i-1])
			if err != nil {
				return nil, err
			}
			to, err := settingsOf(r)
			if err != nil {
				return nil, err
			}
			x.Changes = difference.Between(from, to)
		}
		out = append(out, x)
	}
	return out, nil
}

// settingsOf returns what nodes of a revision run with, field by field.
func settingsOf(r wire.RevisionRecord) (map[string]any, error) {
	return difference.Tree(map[string]any{"workload": r.Workload, "limits": r.Limits})
}

func (a *app) printHistory(all []revisionOf) error {
	if a.output != "table" {
		return a.printValue(list(all))
	}
	t := newTable(right("REVISION"), left("IMAGE").whenSet().whenWide(), right("AGE"), left("CURRENT"), left("CHANGES"), left("REASON"))
	for i, r := range all {
		current := ""
		if r.Current {
			current = "yes"
		}
		text := changesText(r.Changes)
		if i == 0 {
			text = cmp.Or(r.Workload.Image, strings.Join(r.Workload.Command, " "))
		}
		t.row(r.Number, digestText(r.Digest), a.age(r.At), current, text, r.Reason)
	}
	return t.print(a.out)
}

// changesText says in short what changed: paths without the part that all have.
func changesText(changes []difference.Change) string {
	texts := make([]string, len(changes))
	for i, f := range changes {
		texts[i] = strings.TrimPrefix(f.Path, "workload.") + ": " + valueText(f.From) + " → " + valueText(f.To)
	}
	return strings.Join(texts, ", ")
}

func (a *app) printRevision(r revisionOf) error {
	if a.output != "table" {
		return a.printValue(r)
	}
	current := ""
	if r.Current {
		current = ", current"
	}
	if err := a.line("Revision %d, %s ago%s: %s", r.Number, a.age(r.At), current, r.Reason); err != nil {
		return err
	}
	if r.Digest != "" {
		if err := a.line("  image %s", r.Digest); err != nil {
			return err
		}
	}
	for _, f := range r.Changes {
		if err := a.line("  changed %s: %s → %s", f.Path, valueText(f.From), valueText(f.To)); err != nil {
			return err
		}
	}
	settings, err := settingsOf(r.RevisionRecord)
	if err != nil {
		return err
	}
	for _, f := range difference.Between(nil, settings) {
		if err := a.line("  %s: %s", f.Path, valueText(f.To)); err != nil {
			return err
		}
	}
	return nil
}
