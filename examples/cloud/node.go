package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) nodeCommand() *cobra.Command {
	ls := a.onPod(&cobra.Command{
		Use:     "ls POD",
		Aliases: []string{"list"},
		Short:   "List the nodes of a pod",
		Long: `List the nodes of a pod, oldest first, with their state, host and address, what they use, and why they
are in that state. CPU is a fraction of the node's own limit.`,
		Example: `  cloud node ls light
  cloud node ls light -o json`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		nodes, err := c.Nodes(ctx, args[0])
		if err != nil {
			return err
		}
		if a.json() {
			return a.printJSON(list(nodes))
		}
		if len(nodes) == 0 {
			return a.line(`Pod %s has no nodes. Register one with "cloud register NODE %s", or enable elasticity.`, args[0], args[0])
		}
		return a.printNodes(nodes)
	})
	return group("node", "List the nodes of a pod",
		`A node is one running copy of a pod's workload. See also "cloud register", "cloud launch",
"cloud rm" and "cloud logs".`,
		"  cloud node ls light", ls)
}

func (a *app) printNodes(nodes []wire.Node) error {
	t := newTable(left("NODE"), left("STATE"), left("HOST"), left("ADDRESS").whenWide(), right("IN FLIGHT").whenWide(), right("CPU").whenWide(), right("MEMORY").whenWide(), right("AGE"), right("REVISION").whenWide(), left("IMAGE").whenSet().whenWide(), left("REASON").whenSet())
	for _, n := range nodes {
		memory := ""
		if n.Memory != nil {
			memory = bytesText(*n.Memory)
		}
		began := n.StartedAt
		if began.IsZero() {
			began = n.CreatedAt
		}
		t.row(n.Name, stateCell(n.State), n.Host, endpointsText(n.Endpoints), number(n.InFlight), percent(n.CPU), memory, a.age(began), revisionText(n.Revision), digestText(n.Digest), n.Reason)
	}
	return t.print(a.out)
}

// revisionText is empty for a node that runs nothing yet.
func revisionText(number uint64) string {
	if number == 0 {
		return ""
	}
	return strconv.FormatUint(number, 10)
}

// digestText is short for the content of an image.
func digestText(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

func endpointsText(endpoints map[string]string) string {
	if e, ok := endpoints["http"]; ok {
		return e
	}
	for _, name := range sortedKeys(endpoints) {
		return endpoints[name]
	}
	return ""
}

func (a *app) registerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "register NODE POD",
		Short: "Register a new node of a pod",
		Long: `Register a node: it belongs to the pod from then on, in state new, and is started by "cloud launch",
or by elasticity when that is enabled. A name is used once and never again.`,
		Example: `  cloud register light-1 light
  cloud launch light`,
		Args:              names("NODE", "POD"),
		ValidArgsFunction: a.complete(nothing, podNames),
		RunE: a.does(func(ctx context.Context, c *client.Client, args []string) error {
			n, err := c.RegisterNode(ctx, args[1], args[0])
			if err != nil {
				return err
			}
			return a.tell(n, `Node %s of pod %s is registered. Start it with "cloud launch %s".`, n.Name, n.Pod, n.Pod)
		}),
	}
}

func (a *app) launchCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:   "launch POD",
		Short: "Start the oldest new node of a pod",
		Long: `Start the oldest node in state new, and wait until it is ready and takes requests. It is refused while
elasticity is enabled: then the pod starts and stops its nodes by itself.`,
		Example: `  cloud launch light
  cloud launch light --no-wait`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		began := a.now()
		n, err := c.LaunchNode(ctx, args[0], a.first())
		if err != nil {
			return err
		}
		err = a.await(ctx, "launching node "+n.Name, func(ctx context.Context) (step, error) {
			now, err := c.Node(ctx, n.Pod, n.Name)
			if client.NotFound(err) {
				return step{}, fmt.Errorf("node %s was removed while it was being started; see \"cloud events\"", n.Name)
			}
			if err != nil {
				return step{}, err
			}
			n = now
			if n.State == "failed" {
				return step{}, fmt.Errorf("node %s of pod %s failed: %s; %s", n.Name, n.Pod, n.Reason, mendNode(ctx, c, n))
			}
			return step{done: n.State == "online", note: n.Reason}, nil
		})
		if err != nil {
			return err
		}
		if n.State == "online" {
			return a.tell(n, "Node %s of pod %s is online on host %s, after %s.", n.Name, n.Pod, n.Host, took(a.now().Sub(began)))
		}
		return a.tell(n, "Node %s of pod %s is %s.", n.Name, n.Pod, n.State)
	})
}

func (a *app) rmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm NODE POD",
		Short: "Remove a node of a pod",
		Long: `Remove a node: it gets no new requests, finishes those that it has, and is stopped. It waits until
nothing is left of the node, unless --no-wait is given. It is refused while elasticity is enabled.
To remove a whole pod, see "cloud pod rm".`,
		Example:           `  cloud rm light-1 light`,
		Args:              names("NODE", "POD"),
		ValidArgsFunction: a.complete(anyNodeNames, podNames),
		RunE: a.does(func(ctx context.Context, c *client.Client, args []string) error {
			n, err := c.RemoveNode(ctx, args[1], args[0], a.first())
			if err != nil {
				return err
			}
			if n.State != "gone" {
				var gone bool
				gone, err = a.awaitGone(ctx, "removing node "+n.Name, func(ctx context.Context) (string, error) {
					now, err := c.Node(ctx, n.Pod, n.Name)
					if err == nil {
						n = now
					}
					return n.State + " " + n.Reason, err
				})
				if gone {
					n.State = "gone"
				}
			}
			if err != nil {
				return err
			}
			if n.State == "gone" {
				return a.tell(n, "Node %s of pod %s is gone.", n.Name, n.Pod)
			}
			return a.tell(n, "Node %s of pod %s is %s.", n.Name, n.Pod, n.State)
		}),
	}
}

func (a *app) pauseCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:   "pause POD",
		Short: "Take a pod out of the balancer",
		Long: `Take all servers of a pod out of the balancer: its fronts answer 503, its nodes run on, and requests
that they have are finished. Elasticity keeps the number of nodes as it is until "cloud resume".`,
		Example: `  cloud pause light
  cloud resume light`,
	}, a.switching("pausing", "paused", (*client.Client).PausePod))
}

func (a *app) resumeCommand() *cobra.Command {
	return a.onPod(&cobra.Command{
		Use:   "resume POD",
		Short: "Put a paused pod back into the balancer",
		Long: `Put the servers of a paused pod back into the balancer, so that its fronts take requests again, and
let its elasticity go on.`,
		Example: `  cloud resume light`,
	}, a.switching("resuming", "active", (*client.Client).ResumePod))
}

// switching makes a command that brings a pod into a state and waits for it.
func (a *app) switching(doing, state string, do func(*client.Client, context.Context, string, client.Wait) (wire.Pod, error)) runner {
	return func(ctx context.Context, c *client.Client, args []string) error {
		p, err := do(c, ctx, args[0], a.first())
		if err != nil {
			return err
		}
		p, err = a.awaitPod(ctx, c, p, doing+" pod "+p.Name, nil, func(s wire.PodStatus) bool { return s.State == state && s.Converged })
		if err != nil {
			return err
		}
		return a.tell(p, "Pod %s is %s: %s.", p.Name, status(p).State, countsText(status(p)))
	}
}

// awaitPod waits until done says so of the pod's status, or, with a watch, until it
// sees that this cannot be, and returns the pod.
func (a *app) awaitPod(ctx context.Context, c *client.Client, p wire.Pod, what string, watch *starts, done func(wire.PodStatus) bool) (wire.Pod, error) {
	err := a.await(ctx, what, func(ctx context.Context) (step, error) {
		now, err := c.Pod(ctx, p.Name)
		if err != nil {
			return step{}, err
		}
		p = now
		s := status(p)
		if done(s) {
			return step{done: true}, nil
		}
		if watch != nil {
			if err := watch.failed(ctx, p); err != nil {
				return step{}, err
			}
		}
		note := countsText(s)
		if len(s.Problems) > 0 {
			note += "; " + s.Problems[0].Text
		}
		return step{note: note}, nil
	})
	return p, err
}

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use:   "logs POD [NODE]",
		Short: "Print the output of a pod or a node",
		Long: `Print what a node wrote to its standard output and error, or what all nodes of a pod did, each line with
its node's name. With -f it goes on until the node or the pod is gone or you interrupt it, with the nodes
that are started meanwhile. With -o json each line is an object with node and line.`,
		Example: `  cloud logs -f light
  cloud logs light light-1
  cloud logs -f --tail 20 light light-1`,
		Args:              names("POD", "[NODE]"),
		ValidArgsFunction: a.complete(podNames, nodeNames),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	cmd.Flags().IntVar(&tail, "tail", 0, "print this many lines of a node at most; 0 is all that is kept")
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		if tail < 0 {
			return usagef("--tail %d: use 1 or more", tail)
		}
		o := client.LogOptions{Tail: tail, Follow: follow}
		if len(args) == 1 {
			return a.printPodLogs(ctx, c, args[0], o)
		}
		logs, err := c.Logs(ctx, args[0], args[1], o)
		if err != nil {
			return err
		}
		defer logs.Close()
		if a.json() {
			err = (&podLogs{a: a}).copyLines(args[1], logs)
		} else {
			err = a.copyText(logs)
		}
		if follow && errors.Is(err, context.Canceled) {
			return nil // that is how one ends it
		}
		return err
	})
	return cmd
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
