package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/difference"
)

func (a *app) applyCommand() *cobra.Command {
	return a.fileCommand(&cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make the cluster be as files say",
		Long: `Create and change pods, hosts and elasticity until they are as YAML files say, in documents such as
"cloud get -o yaml" writes: each with one of the keys host, pod and elasticity. What has to be done is
printed first, then what happens until every pod has converged; when one does not, it says why and exits
with 1, at once where an image is missing. Fields that are left out get their defaults. Where nothing
differs nothing is done, so it does no harm to do it twice.

What no file names stays as it is. With --prune, pods that no file names are deleted, before anything else
is done. Hosts never are: see "cloud host rm --drain".`,
		Example: `  cloud get -o yaml > cluster.yaml
  cloud apply -f cluster.yaml
  cloud apply -f pods/ -f hosts.yaml --timeout 10m
  cloud apply -f cluster.yaml --prune
  cloud get pods web -o yaml --server http://127.0.0.1:3000 | cloud apply -f - --server http://127.0.0.1:3001`,
	}, a.apply)
}

func (a *app) diffCommand() *cobra.Command {
	return a.fileCommand(&cobra.Command{
		Use:   "diff -f FILE",
		Short: "Say what apply would change",
		Long: `Print what "cloud apply" would create and change, field by field, and change nothing. It exits with 0
where nothing differs, and with 1 where something does.`,
		Example: `  cloud diff -f cluster.yaml
  cloud diff -f cluster.yaml --prune
  cloud diff -f pods/ -o json`,
	}, func(_ context.Context, _ *client.Client, plan []change, flags string) error {
		if err := a.printPlan(plan); err != nil {
			return err
		}
		if n := len(toDo(plan)); n > 0 {
			differ := "differ"
			if n == 1 {
				differ = "differs"
			}
			return fmt.Errorf("%s %s; carry it out with \"cloud apply %s\"", plural(n, "thing"), differ, flags)
		}
		return nil
	})
}

// fileCommand makes a command of what is done with the plan that files ask for. Do
// also gets the flags that make the same plan again.
func (a *app) fileCommand(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, plan []change, flags string) error) *cobra.Command {
	var paths []string
	var prune bool
	cmd.Args = names()
	cmd.Flags().StringArrayVarP(&paths, "file", "f", nil, "YAML or JSON file, or folder of them; - is the standard input; repeat it")
	cmd.Flags().BoolVar(&prune, "prune", false, "delete pods that no file names")
	must(cmd.MarkFlagFilename("file", "yaml", "yml", "json"))
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, _ []string) error {
		if len(paths) == 0 {
			return usagef("-f is missing; give the file that says how things should be")
		}
		wanted, err := readManifests(paths, a.in)
		if err != nil {
			return err
		}
		plan, err := makePlan(ctx, c, wanted, prune)
		if err != nil {
			return err
		}
		flags := "-f " + strings.Join(paths, " -f ")
		if prune {
			flags += " --prune"
		}
		return do(ctx, c, plan, flags)
	})
	return cmd
}

// applied is what apply and diff print as JSON.
type applied struct {
	Changes []change `json:"changes"`
	// Converged is null where nobody looked.
	Converged *bool  `json:"converged,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

func toDo(plan []change) []change {
	return slices.DeleteFunc(slices.Clone(plan), func(c change) bool { return c.Action == "none" })
}

func (a *app) apply(ctx context.Context, c *client.Client, plan []change, _ string) error {
	if !a.json() {
		if err := a.printPlan(plan); err != nil {
			return err
		}
	}
	before, err := c.Pods(ctx)
	if err == nil {
		err = a.carryOut(ctx, c, toDo(plan))
	}
	if err == nil {
		err = a.awaitPlan(ctx, c, plan, before)
	}
	if !a.json() {
		return err
	}
	result := applied{Changes: plan}
	if a.wait || err != nil {
		converged := err == nil
		result.Converged = &converged
	}
	if err != nil {
		result.Reason = oneLine(a.explain(err))
	}
	return errors.Join(a.printJSON(result), err)
}

// carryOut writes what differs, in the order of the plan.
func (a *app) carryOut(ctx context.Context, c *client.Client, plan []change) error {
	for i, ch := range plan {
		var err error
		if ch.Action == "delete" {
			err = a.deletePod(ctx, c, ch.Name)
		} else if err = write(ctx, c, ch, a.first()); err != nil {
			err = ch.manifest.refused(err)
		}
		if err != nil {
			if i > 0 {
				err = fmt.Errorf("%w (%s before it was carried out)", err, plural(i, "change"))
			}
			return err
		}
		if a.json() {
			continue
		}
		done := map[string]string{"create": "created", "change": "changed", "delete": "deleted"}[ch.Action]
		if ch.Action == "delete" && !a.wait {
			done = "being deleted"
		}
		if err := a.line("%s: %s", ch.manifest, done); err != nil {
			return err
		}
	}
	return nil
}

// deletePod deletes a pod and waits until it is gone.
func (a *app) deletePod(ctx context.Context, c *client.Client, name string) error {
	p, err := c.DeletePod(ctx, name, a.first())
	if err == nil {
		_, _, err = a.awaitPodGone(ctx, c, p)
	}
	return err
}

func write(ctx context.Context, c *client.Client, ch change, first client.Wait) error {
	m := ch.manifest
	var err error
	switch {
	case m.Host != nil && ch.Action == "create":
		_, err = c.AddHost(ctx, *m.Host)
	case m.Host != nil:
		_, err = c.CordonHost(ctx, m.Host.Name, m.Host.Cordoned)
	case m.Pod != nil && ch.Action == "create":
		_, err = c.CreatePod(ctx, *m.Pod, 0)
	case m.Pod != nil:
		_, err = c.ReplacePod(ctx, *m.Pod, 0)
	case ch.early: // the pod can be lowered once it has shrunk
		_, err = c.SetElasticity(ctx, m.Elasticity.Pod, m.Elasticity.Elasticity, first)
	default:
		_, err = c.SetElasticity(ctx, m.Elasticity.Pod, m.Elasticity.Elasticity, 0)
	}
	return err
}

// awaitPlan waits until each pod of the plan has converged, also where nothing had
// to be done about it, and says so. Before holds the pods as they were.
func (a *app) awaitPlan(ctx context.Context, c *client.Client, plan []change, before []wire.Pod) error {
	pods := map[string]int{}
	changed := map[string]bool{}
	for _, ch := range plan {
		if ch.Kind == "host" || ch.Action == "delete" {
			continue
		}
		pods[ch.Name] = max(pods[ch.Name], 0)
		changed[ch.Name] = changed[ch.Name] || ch.Action != "none"
		if e := ch.manifest.Elasticity; e != nil && e.Enabled && e.Mode != "dry-run" {
			pods[ch.Name] = int(e.Min)
		}
	}
	if !a.wait {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		said := ""
		var old []wire.Problem // those that a change may have mended
		for _, p := range before {
			if p.Name == name && changed[name] {
				old = status(p).Problems
			}
		}
		p, err := a.awaitPod(ctx, c, wire.Pod{Name: name}, "waiting for pod "+name, watchStarts(c, old), func(s wire.PodStatus) bool {
			// A terminal shows the same in place.
			if now := countsText(s); now != said && !s.Converged && !a.json() && !a.err.terminal {
				said = now
				_ = a.line("pod %s: %s", name, now) // the last line tells
			}
			return s.Converged && (s.Nodes.Online >= pods[name] || s.State == "paused")
		})
		if err != nil {
			return fmt.Errorf("pod %s has not converged: %w", name, err)
		}
		if err := undone(plan, p); err != nil {
			return err
		}
		if a.json() {
			continue
		}
		if err := a.line("pod %s: converged, %s", name, countsText(status(p))); err != nil {
			return err
		}
	}
	return nil
}

// undone is an error where the pod went back from what the plan made of it.
func undone(plan []change, p wire.Pod) error {
	err := wentBack(p)
	if err == nil {
		return nil
	}
	for _, ch := range plan {
		if ch.Kind != "pod" || ch.Name != p.Name || ch.Action != "change" {
			continue
		}
		if now, cerr := planPod(ch.manifest, []manifest{{Pod: &p}}, 0); cerr == nil && slices.ContainsFunc(now.Fields, ofRevision) {
			return err
		}
	}
	return nil
}

// ofRevision says whether a field belongs to what nodes run.
func ofRevision(f difference.Change) bool {
	return strings.HasPrefix(f.Path, "workload") || strings.HasPrefix(f.Path, "limits")
}

func (a *app) printPlan(plan []change) error {
	if a.json() {
		return a.printJSON(applied{Changes: plan})
	}
	n := map[string]int{}
	for _, ch := range plan {
		n[ch.Action]++
		sign, paint := "~", yellow
		switch ch.Action {
		case "create":
			sign, paint = "+", green
		case "delete":
			sign, paint = "-", red
		case "none":
			continue
		}
		if _, err := fmt.Fprintf(a.out, "%s %s\n", a.out.paint(paint, sign), printable(ch.manifest.String())); err != nil {
			return err
		}
		for _, f := range ch.Fields {
			text := f.Path + ": " + valueText(f.To)
			if ch.Action == "change" {
				text = f.Path + ": " + valueText(f.From) + " → " + valueText(f.To)
			}
			if ch.Action == "create" && f.To == any(ch.Name) {
				continue
			}
			if err := a.line("    %s", text); err != nil {
				return err
			}
		}
	}
	if len(toDo(plan)) == 0 {
		return a.line("No changes: %s as the files say.", areIs(n["none"], "thing"))
	}
	gone := ""
	if n["delete"] > 0 {
		gone = fmt.Sprintf("%d to delete, ", n["delete"])
	}
	return a.line("Plan: %d to create, %d to change, %s%d as they should be.", n["create"], n["change"], gone, n["none"])
}

// valueText renders a value of a field.
func valueText(v any) string {
	if v == nil {
		return "(default)"
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
