package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// completeTimeout is how long a person who presses the tab key waits at most.
const completeTimeout = time.Second

// lister returns the names that may stand at a place. It sees the arguments
// before it, and after it where they are known.
type lister func(ctx context.Context, c *client.Client, args []string) ([]string, error)

func nothing(context.Context, *client.Client, []string) ([]string, error) { return nil, nil }

func podNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	pods, err := c.Pods(ctx)
	return namesOf(pods, func(p wire.Pod) string { return p.Name }), err
}

// nodeNames lists the nodes of the pod that is the argument before.
func nodeNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	nodes, err := c.Nodes(ctx, args[len(args)-1])
	return namesOf(nodes, func(n wire.Node) string { return n.Name }), err
}

// anyNodeNames lists the nodes of all pods.
func anyNodeNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	pods, err := podNames(ctx, c, nil)
	var all []string
	for _, p := range pods {
		nodes, err := nodeNames(ctx, c, []string{p})
		if err != nil {
			return nil, err
		}
		all = append(all, nodes...)
	}
	return all, err
}

func hostNames(ctx context.Context, c *client.Client, _ []string) ([]string, error) {
	hosts, err := c.Hosts(ctx)
	return namesOf(hosts, func(h wire.Host) string { return h.Name }), err
}

func namesOf[T any](items []T, name func(T) string) []string {
	out := make([]string, len(items))
	for i, x := range items {
		out[i] = name(x)
	}
	return out
}

// complete makes a completion of one lister for each argument. Without a server
// that answers soon it offers nothing, silently.
func (a *app) complete(listers ...lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(listers) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completeTimeout)
		defer cancel()
		c, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := listers[len(args)](ctx, c, args)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag makes a completion of a flag's value.
func (a *app) completeFlag(l lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, given string) ([]string, cobra.ShellCompDirective) {
		return a.complete(l)(cmd, nil, given)
	}
}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script of a shell",
		Long: `Print a script that makes the tab key complete commands, flags, and the names of pods, nodes and hosts,
which it asks the server for.`,
		Example: `  source <(cloud completion bash)
  cloud completion zsh > "${fpath[1]}/_cloud"
  cloud completion fish > ~/.config/fish/completions/cloud.fish`,
		Args:      names("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(cmd.ValidArgs, args[0]) {
				return usagef("%q is not a shell that is known; use bash, zsh, fish or powershell", args[0])
			}
			a.running = true
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.out)
		},
	}
}
