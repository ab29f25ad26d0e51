package main

import (
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"
)

func (a *app) contextCommand() *cobra.Command {
	return group("context", "Keep the addresses of several clusters, and choose one",
		`A context is a name for a server and its token. Commands go to the one that is in use, unless --context,
--server, CLOUD_CONTEXT or CLOUD_SERVER names another. Contexts are kept in elastipod/cloud.yaml below the
user's configuration folder, or in the file CLOUD_CONFIG, readable by its owner only.`,
		`  cloud context add prod --server https://cluster.example --token-file ~/.prod-token
  cloud context use prod
  cloud context ls
  cloud pod ls --context prod`,
		a.contextAddCommand(), a.contextUseCommand(), a.contextListCommand(), a.contextRemoveCommand())
}

var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (a *app) contextAddCommand() *cobra.Command {
	var tokenEnv string
	cmd := &cobra.Command{
		Use:   "add NAME --server URL",
		Short: "Keep the address of a cluster",
		Long: `Keep a server and where its token comes from: a file (--token-file), a variable of the environment
(--token-env), or the token itself (--token), which then lies in the file of contexts. What --ca and
--insecure say is kept, too. The first context that is added is in use at once.`,
		Example: `  cloud context add prod --server https://cluster.example --token-file ~/.prod-token
  cloud context add test --server http://127.0.0.1:3001 --token-env TEST_TOKEN`,
		Args:              names("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&tokenEnv, "token-env", "", "variable of the environment that holds the token")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		switch {
		case !contextName.MatchString(args[0]):
			return usagef("%q is not a name for a context; use letters, digits, ., _ and -", args[0])
		case a.server == "":
			return usagef("--server is missing; give the URL of the cluster's server")
		case tokenEnv != "" && a.token+a.tokenFile != "":
			return usagef("--token-env, --token and --token-file: give one of them")
		}
		a.running = true
		added := serverContext{Server: a.server, TokenEnv: tokenEnv, Token: a.token, Insecure: a.insecure}
		for path, kept := range map[string]*string{a.tokenFile: &added.TokenFile, a.ca: &added.CA} {
			if path == "" {
				continue
			}
			var err error
			if *kept, err = filepath.Abs(path); err != nil {
				return err
			}
		}
		known, err := readContexts()
		if err != nil {
			return err
		}
		if _, exists := known.Contexts[args[0]]; exists {
			return usagef("context %q exists; remove it first with \"cloud context rm %s\"", args[0], args[0])
		}
		put(&known.Contexts, args[0], added)
		if known.Current == "" {
			known.Current = args[0]
		}
		if err := known.write(); err != nil {
			return err
		}
		if added.Token != "" {
			if _, err := a.err.Write([]byte("cloud: the token lies in " + known.path + " in the clear; --token-file and --token-env keep it out\n")); err != nil {
				return err
			}
		}
		return a.printContext(known, args[0], "is kept")
	}
	return cmd
}

// onContext makes a command about a context that is known.
func (a *app) onContext(cmd *cobra.Command, do func(known *contexts, name string) error) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = names("NAME"), completeContexts
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		a.running = true
		known, err := readContexts()
		if err != nil {
			return err
		}
		if _, err := known.find(args[0]); err != nil {
			return err
		}
		return do(&known, args[0])
	}
	return cmd
}

func (a *app) contextUseCommand() *cobra.Command {
	return a.onContext(&cobra.Command{
		Use:   "use NAME",
		Short: "Send commands to another cluster from now on",
		Long: `Make a context the one to which commands go from now on, in every terminal. CLOUD_CONTEXT does the same
for one terminal, and --context for one command.`,
		Example: `  cloud context use prod`,
	}, func(known *contexts, name string) error {
		known.Current = name
		if err := known.write(); err != nil {
			return err
		}
		return a.printContext(*known, name, "is in use")
	})
}

func (a *app) contextRemoveCommand() *cobra.Command {
	return a.onContext(&cobra.Command{
		Use:     "rm NAME",
		Aliases: []string{"remove", "delete"},
		Short:   "Forget a cluster",
		Long: `Forget a context. Nothing happens to the cluster. If it was the one in use none is, and commands go to
the server on this machine.`,
		Example: `  cloud context rm test`,
	}, func(known *contexts, name string) error {
		gone := known.Contexts[name]
		delete(known.Contexts, name)
		if known.Current == name {
			known.Current = ""
		}
		if err := known.write(); err != nil {
			return err
		}
		return a.tell(shownContext{Name: name, Server: gone.Server, Token: gone.secretSource()}, "Context %s is forgotten.", name)
	})
}

// shownContext is what is printed of a context: never its token.
type shownContext struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	Server  string `json:"server"`
	Token   string `json:"token,omitempty"` // where it comes from
}

func (a *app) contextListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the clusters that are known",
		Long: `List the contexts: which one is in use (*), their servers, and where their tokens come from. Tokens are
never printed.`,
		Example: `  cloud context ls
  cloud context ls -o json`,
		Args: names(),
		RunE: func(*cobra.Command, []string) error {
			a.running = true
			known, err := readContexts()
			if err != nil {
				return err
			}
			var all []shownContext
			for _, name := range sortedKeys(known.Contexts) {
				c := known.Contexts[name]
				all = append(all, shownContext{name, name == known.Current, c.Server, c.secretSource()})
			}
			if a.json() {
				return a.printJSON(list(all))
			}
			if len(all) == 0 {
				return a.line(`No contexts. Add one with "cloud context add".`)
			}
			t := newTable(left(""), left("CONTEXT"), left("SERVER"), left("TOKEN"))
			for _, c := range all {
				mark := cell{text: " "}
				if c.Current {
					mark = cell{"*", green}
				}
				t.row(mark, c.Name, c.Server, c.Token)
			}
			return t.print(a.out)
		},
	}
}

func (a *app) printContext(known contexts, name, what string) error {
	c := known.Contexts[name]
	text := "Context " + name + " " + what + ": " + c.Server
	if os.Getenv("CLOUD_SERVER") != "" {
		text += "; CLOUD_SERVER is set and goes before it"
	}
	return a.tell(shownContext{name, name == known.Current, c.Server, c.secretSource()}, "%s.", text)
}

// completeContexts offers the names of contexts; no server is asked.
func completeContexts(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	known, err := readContexts()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []cobra.Completion
	for _, name := range sortedKeys(known.Contexts) {
		all = append(all, cobra.CompletionWithDesc(name, known.Contexts[name].Server))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
