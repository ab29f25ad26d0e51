package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

func (a *app) hostCommand() *cobra.Command {
	return group("host", "List, add, cordon and remove hosts",
		`A host is a machine on which nodes run, reached through Docker or running plain processes. Nodes are
placed by free CPU and memory.`,
		`  cloud host ls
  cloud host add rack2 --runtime docker --address ssh://root@10.0.0.5 --bind 10.0.0.5
  cloud host cordon rack2
  cloud host rm rack2 --drain`,
		a.hostListCommand(), a.hostAddCommand(), a.cordonCommand(true), a.cordonCommand(false), a.hostRemoveCommand())
}

func (a *app) hostListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the hosts",
		Long: `List the hosts with their capacity, what nodes of this cluster reserve of it, and what everything on
the host uses. A memory reservation is hard; CPU may be reserved more than once.`,
		Example: `  cloud host ls
  cloud host ls -o json`,
		Args: names(),
		RunE: a.does(func(ctx context.Context, c *client.Client, _ []string) error {
			hosts, err := c.Hosts(ctx)
			if err != nil {
				return err
			}
			if a.json() {
				return a.printJSON(list(hosts))
			}
			if len(hosts) == 0 {
				return a.line(`No hosts. Add one with "cloud host add".`)
			}
			return a.printHosts(hosts)
		}),
	}
}

func (a *app) printHosts(hosts []wire.Host) error {
	t := newTable(left("HOST"), left("RUNTIME").whenWide(), left("STATE"), right("NODES"), right("CPU RESERVED").whenWide(), right("CPU USED").whenWide(), right("MEMORY RESERVED").whenWide(), right("MEMORY USED").whenWide(), left("ENGINE").whenWide(), left("PROBLEM").whenSet())
	for _, h := range hosts {
		s := hostStatus(h)
		var cpu, memory string
		if s.Used.CPU != nil {
			cpu = short2(*s.Used.CPU)
		}
		if s.Used.Memory != nil {
			memory = bytesText(float64(*s.Used.Memory))
		}
		t.row(h.Name, h.Runtime, stateCell(hostState(h)), s.Nodes,
			short2(s.Reserved.CPU)+" of "+short2(s.Capacity.CPU), cpu,
			bytesText(float64(s.Reserved.Memory))+" of "+bytesText(float64(s.Capacity.Memory)), memory,
			s.Engine, cell{s.Error, red})
	}
	return t.print(a.out)
}

func hostState(h wire.Host) string {
	s := hostStatus(h)
	switch {
	case !s.Reachable:
		return "unreachable"
	case s.Draining:
		return "draining"
	case h.Cordoned:
		return "cordoned"
	}
	return "reachable"
}

func hostStatus(h wire.Host) wire.HostStatus {
	if h.Status == nil {
		return wire.HostStatus{}
	}
	return *h.Status
}

// hostFlags are the settings of a host that have a flag. A file knows all.
type hostFlags struct {
	file, runtime, address, ca, cert, key, cpu, memory, mode, bind, advertise string
	overcommit                                                                float64
	labels                                                                    []string
	cordoned                                                                  bool
}

func (a *app) hostAddCommand() *cobra.Command {
	var f hostFlags
	cmd := &cobra.Command{
		Use:   "add NAME | add -f FILE",
		Short: "Add a host",
		Long: `Add a host, from flags or from a YAML or JSON file with the fields of the API. It must answer, or it
is not added. Paths of PEM files are those of the server's machine. A remote host needs --bind, the
address of that host on which ports of nodes are published, unless --address-mode is container.`,
		Example: `  cloud host add rack2 --runtime docker --address tcp://10.0.0.5:2376 --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem --bind 10.0.0.5
  cloud host add rack3 --runtime docker --address ssh://root@10.0.0.6 --bind 10.0.0.6
  cloud host add -f rack4.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.file != "" {
				return names("[NAME]")(cmd, args)
			}
			return names("NAME")(cmd, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "YAML or JSON file of the host; - is the standard input")
	flags.StringVar(&f.runtime, "runtime", "docker", `"docker" or "process"`)
	flags.StringVar(&f.address, "address", "", "unix:///path, tcp://host:port or ssh://user@host (default: the server's machine)")
	flags.StringVar(&f.ca, "tls-ca", "", "PEM file of the authority that signed the engine's certificate")
	flags.StringVar(&f.cert, "tls-cert", "", "PEM file of the client's certificate")
	flags.StringVar(&f.key, "tls-key", "", "PEM file of the client's key")
	flags.StringVar(&f.cpu, "cpu", "", "cores that it offers (default: what the engine says)")
	flags.StringVar(&f.memory, "memory", "", "memory that it offers, such as 8GiB (default: what the engine says)")
	flags.Float64Var(&f.overcommit, "cpu-overcommit", 0, "by how much CPU reservations may exceed the capacity (default 8)")
	flags.StringVar(&f.mode, "address-mode", "", `which address of a node is dialled: "auto", "container" or "published"`)
	flags.StringVar(&f.bind, "bind", "", "IP address on the host to which ports are published")
	flags.StringVar(&f.advertise, "advertise", "", "address at which published ports are dialled (default: that of --bind)")
	flags.StringArrayVar(&f.labels, "label", nil, "KEY=VALUE for people; repeat it")
	flags.BoolVar(&f.cordoned, "cordoned", false, "let it take no nodes yet")
	must(cmd.RegisterFlagCompletionFunc("runtime", fixed("docker", "process")))
	must(cmd.RegisterFlagCompletionFunc("address-mode", fixed("auto", "container", "published")))
	must(cmd.MarkFlagFilename("file", "yaml", "yml", "json"))
	for _, flag := range []string{"tls-ca", "tls-cert", "tls-key"} {
		must(cmd.MarkFlagFilename(flag, "pem", "crt", "key"))
	}
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		h, err := f.host(args, a.in, cmd.Flags().Changed)
		if err != nil {
			return err
		}
		if h, err = c.AddHost(ctx, h); err != nil {
			return err
		}
		s := hostStatus(h)
		return a.tell(h, "Host %s is there: %s, %s CPUs, %s memory.", h.Name, s.Engine, short2(s.Capacity.CPU), bytesText(float64(s.Capacity.Memory)))
	})
	return cmd
}

func (f hostFlags) host(args []string, stdin io.Reader, changed func(string) bool) (wire.Host, error) {
	var h wire.Host
	if f.file != "" {
		if err := readFile(f.file, stdin, &h); err != nil {
			return h, err
		}
		h.Status = nil
	}
	if len(args) > 0 {
		h.Name = args[0]
	}
	if h.Runtime == "" || changed("runtime") {
		h.Runtime = f.runtime
	}
	for flag, field := range map[string]*string{
		"address": &h.Address, "tls-ca": &h.TLS.CA, "tls-cert": &h.TLS.Cert, "tls-key": &h.TLS.Key,
		"address-mode": &h.AddressMode, "bind": &h.Bind, "advertise": &h.Advertise,
	} {
		if changed(flag) {
			*field = map[string]string{
				"address": f.address, "tls-ca": f.ca, "tls-cert": f.cert, "tls-key": f.key,
				"address-mode": f.mode, "bind": f.bind, "advertise": f.advertise,
			}[flag]
		}
	}
	var errs []error
	var err error
	if changed("cpu") {
		if h.Capacity.CPU, err = wire.ParseCores(f.cpu); err != nil {
			errs = append(errs, fmt.Errorf("--cpu: %w", err))
		}
	}
	if changed("memory") {
		if h.Capacity.Memory, err = wire.ParseBytes(f.memory); err != nil {
			errs = append(errs, fmt.Errorf("--memory: %w", err))
		}
	}
	if changed("cpu-overcommit") {
		h.CPUOvercommit = f.overcommit
	}
	if changed("cordoned") {
		h.Cordoned = f.cordoned
	}
	for _, s := range f.labels {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			errs = append(errs, fmt.Errorf("--label: %q is not KEY=VALUE", s))
			continue
		}
		put(&h.Labels, key, value)
	}
	if len(errs) > 0 {
		return h, usageError{errors.Join(errs...)}
	}
	return h, nil
}

func (a *app) cordonCommand(cordoned bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cordon HOST",
		Short: "Let a host take no new nodes",
		Long: `Let a host take no new nodes, while those that it has run on: before maintenance, for example. To also
move its nodes and forget the host, see "cloud host rm --drain".`,
		Example: `  cloud host cordon rack2`,
	}
	if !cordoned {
		cmd = &cobra.Command{
			Use:     "uncordon HOST",
			Short:   "Let a host take nodes again",
			Long:    `Let a host that was cordoned take new nodes again. Nodes that run elsewhere stay there.`,
			Example: `  cloud host uncordon rack2`,
		}
	}
	cmd.Args = names("HOST")
	cmd.ValidArgsFunction = a.complete(hostNames)
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		h, err := c.CordonHost(ctx, args[0], cordoned)
		if err != nil {
			return err
		}
		if a.json() {
			return a.printJSON(h)
		}
		if cordoned {
			return a.line("Host %s takes no new nodes; it has %s.", h.Name, plural(hostStatus(h).Nodes, "node"))
		}
		return a.line("Host %s takes nodes again.", h.Name)
	})
	return cmd
}

func (a *app) hostRemoveCommand() *cobra.Command {
	var drain bool
	cmd := &cobra.Command{
		Use:     "rm HOST",
		Aliases: []string{"remove", "delete"},
		Short:   "Remove a host",
		Long: `Remove a host from the cluster. While it has nodes that is refused; with --drain they are replaced on
other hosts first, one by one and without losing a request, and it waits for that unless --no-wait is
given.`,
		Example: `  cloud host rm rack2
  cloud host rm rack2 --drain`,
		Args:              names("HOST"),
		ValidArgsFunction: a.complete(hostNames),
	}
	cmd.Flags().BoolVar(&drain, "drain", false, "move its nodes to other hosts first")
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		h, err := c.RemoveHost(ctx, args[0], drain, a.first())
		if err != nil {
			return err
		}
		gone, err := a.awaitGone(ctx, "removing host "+h.Name, func(ctx context.Context) (string, error) {
			now, err := c.Host(ctx, h.Name)
			if err == nil {
				h = now
			}
			return plural(hostStatus(h).Nodes, "node") + " left", err
		})
		if err != nil {
			return err
		}
		if gone {
			return a.tell(h, "Host %s is gone.", h.Name)
		}
		return a.tell(h, "Host %s is being drained: %s left.", h.Name, plural(hostStatus(h).Nodes, "node"))
	})
	return cmd
}
