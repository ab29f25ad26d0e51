package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/elastipod/elastipod/cms/client"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// app is one run of the command.
type app struct {
	in  io.Reader
	out screen
	err screen
	now func() time.Time

	server    string
	context   string
	token     string
	tokenFile string
	ca        string
	insecure  bool
	output    string
	wait      bool
	noWait    bool
	timeout   time.Duration

	resolved bool          // server is the one that is meant
	from     serverContext // the context that it is of

	running bool      // the arguments were right
	began   time.Time // since then
}

// run executes the command line and returns the exit code. It returns soon
// after ctx ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: newScreen(stdout), err: newScreen(stderr), now: time.Now}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitDone
	case !a.running || errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "%s: %s; see \"%s --help\"\n", root.Name(), oneLine(joined(err)), cmd.CommandPath())
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "%s: interrupted\n", root.Name())
	default:
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), oneLine(a.explain(err)))
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cloud",
		Short: "Run elastic pods on an elastipod server",
		Long: `cloud talks to an elastipod server: it creates pods (groups of identical nodes behind
a load balancer), launches nodes by hand or lets pods grow and shrink with demand, sends
load, and says why a pod has the number of nodes that it has.

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  cloud init
  cloud register web-1 light
  cloud launch light
  cloud request light
  cloud elasticity enable light 1 6
  cloud request light --rate 200 --for 1m
  cloud why light`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          showHelp,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "URL of the server (environment: CLOUD_SERVER; default: the context in use, or "+client.DefaultServer+")")
	f.StringVar(&a.context, "context", "", "context to use (environment: CLOUD_CONTEXT; see \"cloud context\")")
	f.StringVar(&a.token, "token", "", "token for the server (environment: CLOUD_TOKEN, which other users of the machine cannot see)")
	f.StringVar(&a.tokenFile, "token-file", "", "file that holds the token")
	f.StringVar(&a.ca, "ca", "", "PEM file of the authority that signed the server's certificate (default: those of this machine)")
	f.BoolVar(&a.insecure, "insecure", false, "send the token to another machine without TLS, too")
	f.StringVarP(&a.output, "output", "o", "table", `how to print: "table" or "json", and "yaml" for get`)
	f.BoolVar(&a.wait, "wait", true, "wait until what was asked for has happened")
	f.BoolVar(&a.noWait, "no-wait", false, "return as soon as the server has taken it on")
	f.DurationVar(&a.timeout, "timeout", 5*time.Minute, "how long to wait")
	must(root.RegisterFlagCompletionFunc("output", func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return formats(cmd), cobra.ShellCompDirectiveNoFileComp
	}))
	must(root.RegisterFlagCompletionFunc("context", func(cmd *cobra.Command, _ []string, given string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return completeContexts(cmd, nil, given)
	}))
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.checkFlags(cmd) }
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{nearFlag(cmd, err)} })

	root.AddCommand(
		a.initCommand(), a.podCommand(), a.nodeCommand(),
		a.getCommand(), a.applyCommand(), a.diffCommand(), a.waitCommand(),
		a.registerCommand(), a.rmCommand(),
		a.launchCommand(), a.pauseCommand(), a.resumeCommand(),
		a.rolloutCommand(),
		a.elasticityCommand(), a.requestCommand(), a.whyCommand(), a.topCommand(), a.doctorCommand(),
		a.eventsCommand(), a.logsCommand(), a.hostCommand(), a.balancerCommand(),
		a.reloadCommand(), a.whoamiCommand(), a.backupCommand(), a.restoreCommand(),
		a.contextCommand(), a.completionCommand(), a.versionCommand(), a.docsCommand(),
	)
	noFiles(root)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Example = "  cloud help pod register"
		help.Run = nil
		help.RunE = func(_ *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if err := knownCommand(about, rest); err != nil {
				return err
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		}
	}
	return root
}

// checkFlags looks at the flags that every command has.
func (a *app) checkFlags(cmd *cobra.Command) error {
	if !slices.Contains(formats(cmd), a.output) {
		return unknown(fmt.Sprintf("-o %q is unknown", a.output), a.output, formats(cmd))
	}
	flags := cmd.Flags()
	var empty error // maybe of a variable that is not set
	flags.Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" && f.Name != "data" {
			empty = usagef("--%s is empty; give it a value, or leave it out", f.Name)
		}
	})
	if empty != nil {
		return empty
	}
	if flags.Changed("server") {
		c, err := client.New(client.Config{Server: a.server})
		if err != nil {
			return usagef("--server %q is not a server's address; use one such as %s", a.server, client.DefaultServer)
		}
		a.server = c.Server()
	}
	if a.server != "" && a.context != "" {
		return usagef("--server and --context: give one of them")
	}
	if flags.Changed("token") && flags.Changed("token-file") {
		return usagef("--token and --token-file: give one of them")
	}
	if flags.Changed("wait") && flags.Changed("no-wait") && a.wait == a.noWait {
		return usagef("--wait and --no-wait: give one of them")
	}
	if a.noWait {
		a.wait = false
	}
	if a.timeout <= 0 {
		return usagef("--timeout %s: use a duration above 0", a.timeout)
	}
	return nil
}

// takesYAML annotates commands that can print YAML too.
const takesYAML = "yaml"

// formats are what a command can print.
func formats(cmd *cobra.Command) []string {
	if _, yaml := cmd.Annotations[takesYAML]; yaml {
		return []string{"table", "json", "yaml"}
	}
	return []string{"table", "json"}
}

func withYAML(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{takesYAML: ""}
	return cmd
}

func (a *app) json() bool { return a.output == "json" }

// client returns the client of the server.
func (a *app) client() (*client.Client, error) {
	if err := a.resolve(); err != nil {
		return nil, err
	}
	token, err := a.secret()
	if err != nil {
		return nil, err
	}
	return a.connect(token)
}

// runner is what a command does, once its arguments are right.
type runner func(ctx context.Context, c *client.Client, args []string) error

// does makes a cobra function of a runner.
func (a *app) does(f runner) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.running, a.began = true, time.Now()
		c, err := a.client()
		if err != nil {
			return err
		}
		defer c.Close()
		return f(cmd.Context(), c, args)
	}
}

// group returns a command that only holds others.
func group(name, short, long, example string, subs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use: name, Short: short, Long: long, Example: example,
		DisableFlagsInUseLine: true,
		Args:                  knownCommand,
		RunE:                  showHelp,
	}
	g.AddCommand(subs...)
	return g
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// knownCommand refuses what is not a command of cmd, and names one like it.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			known = append(known, c.Name())
		}
	}
	return unknown(fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0]), args[0], known)
}

// nearFlag says which flag may have been meant, or what one may be.
func nearFlag(cmd *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		what := map[string]string{
			"duration": "a duration; use one such as 30s, 5m or 1h30m",
			"int":      "a whole number; use one such as 3", "float64": "a number; use one such as 0.5",
			"uint64": "a whole number; use one such as 3",
			"bool":   `true or false; use "true" or "false"`,
		}[bad.GetFlag().Value.Type()]
		if what != "" {
			return fmt.Errorf("--%s %q is not %s", bad.GetFlag().Name, bad.GetValue(), what)
		}
	}
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("%w; did you mean --%s?", err, near)
	}
	return err
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// must is for what only a slip in this program can make fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
