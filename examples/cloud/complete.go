package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// completeTimeout is how long a person who presses the tab key waits at most.
const completeTimeout = time.Second

// lister returns what may stand at a place, each with a few words about it. It
// sees the arguments before it.
type lister func(ctx context.Context, c *client.Client, args []string) ([]cobra.Completion, error)

func nothing(context.Context, *client.Client, []string) ([]cobra.Completion, error) { return nil, nil }

func podNames(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
	pods, err := c.Pods(ctx)
	return namesOf(pods, func(p wire.Pod) string {
		s := status(p)
		return cobra.CompletionWithDesc(p.Name, s.State+", "+countsText(s))
	}), err
}

// nodeNames lists the nodes of the pod that is the argument before.
func nodeNames(ctx context.Context, c *client.Client, args []string) ([]cobra.Completion, error) {
	nodes, err := c.Nodes(ctx, args[len(args)-1])
	return namesOf(nodes, func(n wire.Node) string { return cobra.CompletionWithDesc(n.Name, n.State+" in pod "+n.Pod) }), err
}

// anyNodeNames lists the nodes of all pods.
func anyNodeNames(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
	pods, err := c.Pods(ctx)
	var all []cobra.Completion
	for _, p := range pods {
		nodes, err := nodeNames(ctx, c, []string{p.Name})
		if err != nil {
			return nil, err
		}
		all = append(all, nodes...)
	}
	return all, err
}

// frontNames lists the fronts of all pods.
func frontNames(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
	pods, err := c.Pods(ctx)
	var all []cobra.Completion
	for _, p := range pods {
		all = append(all, frontsOf(p)...)
	}
	return all, err
}

func frontsOf(p wire.Pod) []cobra.Completion {
	return namesOf(p.Fronts, func(f wire.Front) string { return cobra.CompletionWithDesc(f.Name, f.Listen+", pod "+p.Name) })
}

// bare takes what is said about them off completions.
func bare(all []cobra.Completion) []string {
	return namesOf(all, func(c cobra.Completion) string {
		name, _, _ := strings.Cut(c, "\t")
		return name
	})
}

func hostNames(ctx context.Context, c *client.Client, _ []string) ([]cobra.Completion, error) {
	hosts, err := c.Hosts(ctx)
	return namesOf(hosts, func(h wire.Host) string {
		return cobra.CompletionWithDesc(h.Name, hostState(h)+", "+plural(hostStatus(h).Nodes, "node"))
	}), err
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
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
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

// noFiles keeps the shell from offering files for flags that take none.
func noFiles(cmd *cobra.Command) {
	offer := func(f *pflag.Flag) {
		_, isFile := f.Annotations[cobra.BashCompFilenameExt]
		if _, has := cmd.GetFlagCompletionFunc(f.Name); !has && !isFile && !strings.Contains(f.Usage, "file") {
			must(cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions))
		}
	}
	cmd.PersistentFlags().VisitAll(offer)
	cmd.LocalNonPersistentFlags().VisitAll(offer)
	for _, sub := range cmd.Commands() {
		noFiles(sub)
	}
}

// fixed makes a completion of words that are always the same.
func fixed(words ...cobra.Completion) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeFlag makes a completion of a flag's value.
func (a *app) completeFlag(l lister) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, given string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.complete(l)(cmd, nil, given)
	}
}

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print the completion script of a shell",
		Long: `Print a script that makes the tab key complete commands, flags, and the names of pods, nodes, hosts, fronts,
kinds of policies and contexts. It asks the server for them, for a second at most.`,
		Example: `  source <(cloud completion bash)
  cloud completion zsh > "${fpath[1]}/_cloud"
  cloud completion fish > ~/.config/fish/completions/cloud.fish`,
		Args:      names("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(cmd.ValidArgs, args[0]) {
				return unknown(args[0]+" is no shell that is known", args[0], cmd.ValidArgs)
			}
			a.running = true
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return bashCompletion(root, a.out)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.out)
		},
	}
}
