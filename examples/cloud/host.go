package main

import (
	"cmp"
	"context"

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

func (a *app) hostAddCommand() *cobra.Command {
	var h wire.Host
	var file, cpu, memory string
	var labels []string
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
			return nameOrFile(cmd, args, file)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "YAML or JSON file of the host, in place of other flags; - is the standard input")
	flags.StringVar(&h.Runtime, "runtime", "docker", `"docker" or "process"`)
	flags.StringVar(&h.Address, "address", "", "unix:///path, tcp://host:port or ssh://user@host (default: the server's machine)")
	flags.StringVar(&h.TLS.CA, "tls-ca", "", "PEM file of the authority that signed the engine's certificate")
	flags.StringVar(&h.TLS.Cert, "tls-cert", "", "PEM file of the client's certificate")
	flags.StringVar(&h.TLS.Key, "tls-key", "", "PEM file of the client's key")
	flags.StringVar(&cpu, "cpu", "", "cores that it offers (default: what the engine says)")
	flags.StringVar(&memory, "memory", "", "memory that it offers, such as 8GiB (default: what the engine says)")
	flags.Float64Var(&h.CPUOvercommit, "cpu-overcommit", 0, "by how much CPU reservations may exceed the capacity (default 8)")
	flags.StringVar(&h.AddressMode, "address-mode", "", `which address of a node is dialled: "auto", "container" or "published"`)
	flags.StringVar(&h.Bind, "bind", "", "IP address on the host to which ports are published")
	flags.StringVar(&h.Advertise, "advertise", "", "address at which published ports are dialled (default: that of --bind)")
	flags.StringArrayVar(&labels, "label", nil, "NAME=VALUE for people; repeat it")
	flags.BoolVar(&h.Cordoned, "cordoned", false, "let it take no nodes yet")
	must(cmd.RegisterFlagCompletionFunc("runtime", fixed("docker", "process")))
	must(cmd.RegisterFlagCompletionFunc("address-mode", fixed("auto", "container", "published")))
	must(cmd.MarkFlagFilename("file", "yaml", "yml", "json"))
	for _, flag := range []string{"tls-ca", "tls-cert", "tls-key"} {
		must(cmd.MarkFlagFilename(flag, "pem", "crt", "key"))
	}
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		var bad flagErrors
		h.Labels = bad.pairs("label", labels)
		h.Capacity.CPU = parseFlag(&bad, "cpu", cpu, wire.ParseCores)
		h.Capacity.Memory = parseFlag(&bad, "memory", memory, wire.ParseBytes)
		if err := bad.err(); err != nil {
			return err
		}
		if file != "" {
			h = wire.Host{}
			if err := readFile(file, a.in, &h); err != nil {
				return err
			}
			h.Status = nil
			h.Runtime = cmp.Or(h.Runtime, "docker")
		}
		if len(args) > 0 {
			h.Name = args[0]
		}
		h, err := c.AddHost(ctx, h)
		if err != nil {
			return err
		}
		s := hostStatus(h)
		return a.tell(h, "Host %s is there: %s, %s CPUs, %s memory.", h.Name, s.Engine, short2(s.Capacity.CPU), bytesText(float64(s.Capacity.Memory)))
	})
	return cmd
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
