package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) rolloutCommand() *cobra.Command {
	return group("rollout", "Follow, halt and undo changes of what a pod runs",
		`A rollout replaces the nodes of a pod when what they run changes: image, command, environment, limits,
mounts or probe, such as by "cloud apply -f". How it goes is the pod's update strategy, the field update:
rolling (a few nodes at a time), blue-green (all at once, when all are ready) or canary (step by step).
Where new nodes fail it goes back by itself.`,
		`  cloud rollout status web --watch
  cloud rollout history web
  cloud rollout undo web`,
		a.rolloutStatusCommand(), a.rolloutHistoryCommand(), a.rolloutPauseCommand(), a.rolloutResumeCommand(),
		a.rolloutUndoCommand())
}

// rolloutOf is the last rollout of a pod, as it is printed.
type rolloutOf struct {
	Pod     string        `json:"pod"`
	Want    int           `json:"want"`
	Rollout *wire.Rollout `json:"rollout"`
	// Problems are those of the pod.
	Problems []wire.Problem `json:"problems"`
}

func rolloutIn(p wire.Pod) rolloutOf {
	s := status(p)
	return rolloutOf{p.Name, s.Want, s.Rollout, notNil(s.Problems)}
}

func over(r *wire.Rollout) bool { return r == nil || r.State == "done" || r.State == "rolled-back" }

func (a *app) rolloutStatusCommand() *cobra.Command {
	var watch bool
	cmd := withYAML(a.onPod(&cobra.Command{
		Use:   "status POD",
		Short: "Show how far the rollout of a pod is",
		Long: `Show how far the last rollout of a pod is: from which revision to which, how many nodes are new and
ready, and the step of a canary. With --watch it prints a line whenever that changes, until the rollout
is over, at most for --timeout; it exits with 1 where the pod went back.`,
		Example: `  cloud rollout status web
  cloud rollout status web --watch --timeout 10m`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		p, err := c.Pod(ctx, args[0])
		if err != nil {
			return err
		}
		if watch && !over(status(p).Rollout) {
			said := ""
			p, err = a.awaitRollout(ctx, c, p, "watching the rollout of pod "+p.Name, func(p wire.Pod) error {
				if now := progressText(rolloutIn(p)); now != said && a.output == "table" {
					said = now
					return a.line("%s", now)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := a.printRollout(rolloutIn(p)); err != nil {
			return err
		}
		if watch {
			return wentBack(p)
		}
		return nil
	}))
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until the rollout is over")
	return cmd
}

// awaitRollout waits until a pod's rollout is over and all nodes are as they should
// be, and returns the pod.
func (a *app) awaitRollout(ctx context.Context, c *client.Client, p wire.Pod, what string, told func(wire.Pod) error) (wire.Pod, error) {
	err := a.await(ctx, what, func(ctx context.Context) (step, error) {
		now, err := c.Pod(ctx, p.Name)
		if err != nil {
			return step{}, err
		}
		p = now
		if told != nil {
			if err := told(p); err != nil {
				return step{}, err
			}
		}
		s := status(p)
		if s.State == "deleting" {
			return step{}, fmt.Errorf("pod %s is being deleted", p.Name)
		}
		return step{done: over(s.Rollout) && s.Converged, note: progressText(rolloutIn(p))}, nil
	})
	return p, err
}

// wentBack is an error where the last rollout of the pod did not get through.
func wentBack(p wire.Pod) error {
	r := status(p).Rollout
	if r == nil || r.State != "rolled-back" {
		return nil
	}
	return fmt.Errorf("pod %s went back to revision %d: %s", p.Name, r.From, r.Reason)
}

// freshText says what the nodes are that are as they should be.
func freshText(r *wire.Rollout) string {
	if r.State == "rolled-back" {
		return fmt.Sprintf("of revision %d", r.From)
	}
	return "new"
}

// progressText says in a line how far a rollout is.
func progressText(r rolloutOf) string {
	if r.Rollout == nil {
		return "pod " + r.Pod + " never ran anything else"
	}
	text := fmt.Sprintf("%s: %d of %d nodes %s, %d ready, %d old", r.Rollout.State, r.Rollout.New, r.Want, freshText(r.Rollout), r.Rollout.Ready, r.Rollout.Old)
	if step := stepText(*r.Rollout); step != "" && !over(r.Rollout) {
		text += "; " + step
	}
	if n := r.Rollout.Failures; n > 0 {
		text += "; " + plural(n, "new node") + " failed"
	}
	if len(r.Problems) > 0 && !over(r.Rollout) {
		text += "; " + r.Problems[0].What()
	}
	return text
}

// stepText says which step a canary or a blue-green rollout is at.
func stepText(r wire.Rollout) string {
	switch {
	case r.Strategy == "canary" && r.Step < r.Steps:
		text := fmt.Sprintf("step %d of %d", r.Step+1, r.Steps)
		if r.Weight > 0 {
			text += fmt.Sprintf(", %d %% of the requests to new nodes", r.Weight)
		}
		return text
	case r.Strategy == "canary":
		return "all steps passed, the other nodes are rolled"
	case r.Strategy == "blue-green" && r.Step == 0:
		return "new nodes get no requests yet"
	case r.Strategy == "blue-green":
		return "changed over, old nodes are removed"
	}
	return ""
}

func (a *app) printRollout(r rolloutOf) error {
	switch {
	case a.output != "table":
		return a.printValue(r)
	case r.Rollout == nil:
		return a.line("Pod %s has had no rollout: it never ran anything else.", r.Pod)
	}
	x := *r.Rollout
	text := a.age(x.StartedAt) + " ago"
	if x.EndedAt != nil {
		text += fmt.Sprintf(", took %s", took(x.EndedAt.Sub(x.StartedAt)))
	}
	rows := [][2]string{
		{"Pod", r.Pod},
		{"Rollout", x.State},
		{"Strategy", x.Strategy},
		{"Step", ""},
		{"From", revisionText(x.From)},
		{"To", revisionText(x.To)},
		{"Nodes", fmt.Sprintf("%d of %d %s, %d ready, %d old", x.New, r.Want, freshText(&x), x.Ready, x.Old)},
		{"Began", text},
		{"Reason", x.Reason},
	}
	if !over(&x) {
		rows[3][1] = stepText(x)
	}
	if x.Failures > 0 {
		rows = append(rows, [2]string{"Failed", plural(x.Failures, "new node")})
	}
	for _, p := range texts(r.Problems) {
		rows = append(rows, [2]string{"Problem", p})
	}
	return a.describe(rows)
}

// printValue prints a value as JSON or as YAML with the same names.
func (a *app) printValue(v any) error {
	if a.json() {
		return a.printJSON(v)
	}
	text, err := asYAML(v)
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

func (a *app) rolloutPauseCommand() *cobra.Command {
	return withYAML(a.onPod(&cobra.Command{
		Use:   "pause POD",
		Short: "Halt a rollout where it is",
		Long: `Halt the rollout of a pod where it is: old and new nodes take requests side by side. The pod goes on
growing and shrinking; old and new nodes keep their shares.`,
		Example: `  cloud rollout pause web
  cloud rollout resume web`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		p, err := c.PauseRollout(ctx, args[0])
		if err != nil {
			return err
		}
		return a.tell(rolloutIn(p), "The rollout of pod %s is %s.", p.Name, progressText(rolloutIn(p)))
	}))
}

func (a *app) rolloutResumeCommand() *cobra.Command {
	return withYAML(a.onPod(&cobra.Command{
		Use:   "resume POD",
		Short: "Let a paused rollout go on",
		Long: `Let a paused rollout go on, and wait until it is over, unless --no-wait is given. It exits with 1 where
the pod went back to what it ran before.`,
		Example: `  cloud rollout resume web
  cloud rollout resume web --no-wait`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		p, err := c.ResumeRollout(ctx, args[0], a.first())
		if err != nil {
			return err
		}
		return a.followRollout(ctx, c, p)
	}))
}

// followRollout waits for the end of what was begun, unless told not to, and tells
// of it.
func (a *app) followRollout(ctx context.Context, c *client.Client, p wire.Pod) error {
	target := status(p).Revision
	p, err := a.awaitRollout(ctx, c, p, "rolling out pod "+p.Name, nil)
	if err != nil {
		return err
	}
	r := rolloutIn(p)
	err = a.tell(r, "The rollout of pod %s is %s.", p.Name, progressText(r))
	if err != nil || status(p).Revision == target {
		return err
	}
	return wentBack(p)
}

func (a *app) rolloutUndoCommand() *cobra.Command {
	var revision uint64
	cmd := withYAML(&cobra.Command{
		Use:   "undo POD",
		Short: "Go back to what a pod ran before",
		Long: `Make a pod run an earlier revision again, and wait until all of its nodes do, unless --no-wait is given:
what it ran before its last rollout, or the revision of a number that "cloud rollout history" tells. A
rollout that is under way is ended. Fronts, bounds and all else stay as they are.`,
		Example: `  cloud rollout undo web
  cloud rollout undo web --revision 3`,
	})
	cmd.Flags().Uint64Var(&revision, "revision", 0, "number of the revision to go back to (default: what ran before the last rollout)")
	must(cmd.RegisterFlagCompletionFunc("revision", a.completeRevisions()))
	return a.onPod(cmd, func(ctx context.Context, c *client.Client, args []string) error {
		if revision == 0 && cmd.Flags().Changed("revision") {
			return usagef("--revision 0: revisions count from 1; see \"cloud rollout history POD\"")
		}
		p, err := c.UndoRollout(ctx, args[0], revision, a.first())
		if err != nil {
			return err
		}
		return a.followRollout(ctx, c, p)
	})
}
