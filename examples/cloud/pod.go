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

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Create the default pods light, medium and heavy",
		Long: `Create the default pods that the server knows: light (0.3 CPU, 100 MiB, at most 20 nodes),
medium (0.5 CPU, 300 MiB, 15) and heavy (0.8 CPU, 500 MiB, 10), unless it is configured otherwise.
Pods that are there already are left as they are, so it does no harm to do it twice.`,
		Example: `  cloud init
  cloud pod ls`,
		Args: names(),
		RunE: a.does(func(ctx context.Context, c *client.Client, _ []string) error {
			pods, err := c.Init(ctx)
			if err != nil {
				return err
			}
			return a.printPods(pods)
		}),
	}
}

func (a *app) podCommand() *cobra.Command {
	return group("pod", "Create, list, show and delete pods",
		`A pod is a group of identical nodes: one workload, limits, and fronts, the addresses on which
the load balancer takes requests for it.`,
		`  cloud pod register web --image nginx:1.27 --port http=80 --front 127.0.0.1:5100
  cloud pod ls
  cloud pod rm web`,
		a.podRegisterCommand(), a.podListCommand(), a.podShowCommand(), a.podRemoveCommand())
}

func (a *app) podListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the pods",
		Long: `List the pods with how many of their nodes are online of those wanted, whether they are elastic,
and what was measured last. PROBLEM says what is wrong now.`,
		Example: `  cloud pod ls
  cloud pod ls -o json`,
		Args: names(),
		RunE: a.does(func(ctx context.Context, c *client.Client, _ []string) error {
			pods, err := c.Pods(ctx)
			if err != nil {
				return err
			}
			return a.printPods(pods)
		}),
	}
}

func (a *app) printPods(pods []wire.Pod) error {
	if a.json() {
		return a.printJSON(list(pods))
	}
	if len(pods) == 0 {
		return a.line(`No pods yet. Create the default ones with "cloud init", or your own with "cloud pod register".`)
	}
	t := newTable(left("POD"), left("STATE"), right("NODES"), right("WANT"), left("ELASTIC"), left("FRONT").whenWide(), right("CPU").whenWide(), right("IN FLIGHT").whenWide(), right("REQ/S").whenWide(), right("AGE").whenWide(), left("PROBLEM").whenSet())
	for _, p := range pods {
		s := status(p)
		sample := s.Sample
		if sample == nil {
			sample = &wire.Sample{}
		}
		t.row(p.Name, stateCell(s.State), s.Nodes.Online, s.Want, elasticText(s.Elasticity), frontsText(p.Fronts),
			percent(sample.CPU), number(sample.InFlight), number(sample.Rate), a.age(s.CreatedAt),
			cell{strings.Join(texts(s.Problems), "; "), red})
	}
	return t.print(a.out)
}

func (a *app) podShowCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:   "show POD",
		Short: "Show a pod: its settings, its state and its nodes",
		Long: `Show one pod: what it runs, its limits and fronts, its elasticity, what was measured last, and what
is wrong with it now. With -o json it prints the whole pod, which "cloud pod register -f" takes back.`,
		Example: `  cloud pod show web
  cloud pod show web -o json > web.json`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		p, err := c.Pod(ctx, args[0])
		if err != nil {
			return err
		}
		if a.json() {
			return a.printJSON(p)
		}
		nodes, err := c.Nodes(ctx, args[0])
		if err != nil {
			return err
		}
		if err := a.describePod(p); err != nil || len(nodes) == 0 {
			return err
		}
		fmt.Fprintln(a.out)
		return a.printNodes(nodes)
	})
}

func (a *app) describePod(p wire.Pod) error {
	s := status(p)
	w := p.Workload
	rows := [][2]string{
		{"Pod", p.Name + " (" + p.Kind + ", " + s.State + ", made " + a.age(s.CreatedAt) + " ago)"},
		{"Image", w.Image},
		{"Command", strings.Join(append(slices.Clone(w.Entrypoint), w.Command...), " ")},
		{"Ports", portsText(w.Ports)},
		{"Limits", fmt.Sprintf("%s CPU, %s memory a node; at most %s", short2(float64(p.Limits.CPU)), bytesText(float64(p.Limits.Memory)), plural(int(p.MaxNodes), "node"))},
		{"Hosts", strings.Join(p.Hosts, ", ")},
		{"Nodes", countsText(s)},
		{"Elasticity", elasticText(s.Elasticity) + policySuffix(s.Elasticity)},
		{"Decision", s.Reason},
	}
	for _, f := range p.Fronts {
		rows = append(rows, [2]string{"Front", fmt.Sprintf("%s on %s → port %s, %s", f.Name, f.Listen, f.Port, f.Algorithm)})
	}
	if m := s.Sample; m != nil {
		rows = append(rows, [2]string{"Measured", measured(*m)})
	}
	if !over(s.Rollout) {
		rows = append(rows, [2]string{"Rollout", progressText(rolloutOf{Want: s.Want, Rollout: s.Rollout})})
	}
	if s.Cut > 0 {
		rows = append(rows, [2]string{"Cut", strconv.FormatUint(s.Cut, 10) + " requests and connections" + " at the deadline of a node's drain"})
	}
	for _, problem := range texts(s.Problems) {
		rows = append(rows, [2]string{"Problem", problem})
	}
	return a.describe(rows)
}

// describe prints what is known of a thing, a row for each fact that there is.
func (a *app) describe(rows [][2]string) error {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0])+1)
	}
	for _, r := range rows {
		paint := plain
		switch r[0] {
		case "Problem":
			paint = red
		case "Rollout":
			paint = stateColours[r[1]]
		}
		if r[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(a.out, "%s %s\n", a.out.paint(bold, fmt.Sprintf("%-*s", width, r[0]+":")), a.out.paint(paint, printable(r[1]))); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) podRemoveCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:     "rm POD",
		Aliases: []string{"remove", "delete"},
		Short:   "Delete a pod and all of its nodes",
		Long: `Delete a pod: its nodes finish the requests that they have and are stopped, then its fronts are
closed. It waits until nothing is left of the pod, unless --no-wait is given.`,
		Example: `  cloud pod rm web
  cloud pod rm web --no-wait`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		p, err := c.DeletePod(ctx, args[0], a.first())
		if err != nil {
			return err
		}
		p, gone, err := a.awaitPodGone(ctx, c, p)
		if err != nil {
			return err
		}
		if gone {
			return a.tell(p, "Pod %s is gone.", p.Name)
		}
		return a.tell(p, "Pod %s is being deleted.", p.Name)
	})
}

// awaitPodGone waits until a pod that is being deleted is gone, and returns how it
// was seen last.
func (a *app) awaitPodGone(ctx context.Context, c *client.Client, p wire.Pod) (last wire.Pod, gone bool, err error) {
	gone, err = a.awaitGone(ctx, "deleting pod "+p.Name, func(ctx context.Context) (string, error) {
		now, err := c.Pod(ctx, p.Name)
		if err == nil {
			p = now
		}
		return countsText(status(p)), err
	})
	if gone && p.Status != nil {
		p.Status.State = "gone"
	}
	return p, gone, err
}

// list makes a list as the API has it.
func list[T any](items []T) wire.List[T] {
	if items == nil {
		items = []T{}
	}
	return wire.List[T]{Items: items}
}

// onPod makes a command about the pod that is its argument.
func (a *app) onPod(cmd *cobra.Command, do runner) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction, cmd.RunE = names("POD"), a.complete(podNames), a.does(do)
	return cmd
}

// status is the status of a pod that came from the server.
func status(p wire.Pod) wire.PodStatus {
	if p.Status == nil {
		return wire.PodStatus{}
	}
	return *p.Status
}
