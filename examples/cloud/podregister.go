package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// podFlags are the settings of a pod that have a flag. A file knows all.
type podFlags struct {
	file     string
	image    string
	command  []string
	ports    []string
	env      []string
	cpu      string
	memory   string
	maxNodes int
	fronts   []string
	hosts    []string
	probe    string
	security string
	drain    string
}

func (a *app) podRegisterCommand() *cobra.Command {
	var f podFlags
	cmd := &cobra.Command{
		Use:     "register NAME | register -f FILE",
		Aliases: []string{"create"},
		Short:   "Create a pod",
		Long: `Create a pod, from flags or from a YAML or JSON file with the fields of the API. It has no nodes
then: register and launch some, or enable elasticity.

On Docker hosts give an --image; on process hosts give the program and its arguments after "--", or
with --command for each. A --port is NAME=NUMBER (a number alone is named http); the workload finds
it as PORT in its environment. A --front is ADDRESS:PORT, or NAME=ADDRESS:PORT where there are more.`,
		Example: `  cloud pod register web --image nginx:1.27 --port 80 --front 127.0.0.1:5100 --cpu 0.5 --memory 300MiB
  cloud pod register worker --max-nodes 4 -- /usr/local/bin/worker --queue mail
  cloud pod register -f web.yaml
  cloud pod show web -o json | cloud pod register -f -`,
		Args: func(cmd *cobra.Command, args []string) error {
			head := args
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				head = args[:at]
				if len(args) > at && len(f.command) > 0 {
					return usagef(`--command and "--": give one of them`)
				}
				f.command = append(f.command, args[at:]...)
			}
			if f.file != "" {
				return names("[NAME]")(cmd, head)
			}
			return names("NAME")(cmd, head)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "YAML or JSON file of the pod; - is the standard input")
	flags.StringVar(&f.image, "image", "", "OCI image, for Docker hosts")
	flags.StringArrayVar(&f.command, "command", nil, "an argument of the command; repeat it")
	flags.StringArrayVar(&f.ports, "port", nil, "NAME=NUMBER of a port on which the workload listens; repeat it")
	flags.StringArrayVar(&f.env, "env", nil, "NAME=VALUE for the environment; repeat it")
	flags.StringVar(&f.cpu, "cpu", "", "cores that a node may use (default 1)")
	flags.StringVar(&f.memory, "memory", "", "memory that a node may use, such as 300MiB (default 256MiB)")
	flags.IntVar(&f.maxNodes, "max-nodes", 0, "the most nodes that the pod may have (default 10)")
	flags.StringArrayVar(&f.fronts, "front", nil, "[NAME=]ADDRESS:PORT on which requests are taken; repeat it")
	flags.StringArrayVar(&f.hosts, "host", nil, "a host on which nodes may run; repeat it (default: every host)")
	flags.StringVar(&f.probe, "probe", "", `when a node is ready: a path such as /healthz, "tcp" or "none"`)
	flags.StringVar(&f.security, "security", "", `"default" or "strict"`)
	flags.StringVar(&f.drain, "drain", "", "how long a node that leaves may finish what it does (default 30s)")
	must(cmd.RegisterFlagCompletionFunc("host", a.completeFlag(hostNames)))
	must(cmd.RegisterFlagCompletionFunc("security", fixed("default", "strict")))
	must(cmd.RegisterFlagCompletionFunc("probe", fixed("tcp", "none", "/healthz")))
	must(cmd.MarkFlagFilename("file", "yaml", "yml", "json"))
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		if at := cmd.ArgsLenAtDash(); at >= 0 {
			args = args[:at]
		}
		p, err := f.pod(args, a.in, cmd.Flags().Changed)
		if err != nil {
			return err
		}
		if p, err = c.CreatePod(ctx, p, 0); err != nil {
			return err
		}
		s := fmt.Sprintf("Pod %s is there", p.Name)
		if fronts := frontsText(p.Fronts); fronts != "" {
			s += ", and takes requests on " + fronts
		}
		if p.Kind == "job" {
			return a.tell(p, "%s.", s)
		}
		return a.tell(p, `%s. Next: "cloud elasticity enable %s 1 %d", or "cloud register %s-1 %s" and "cloud launch %s".`,
			s, p.Name, p.MaxNodes, p.Name, p.Name, p.Name)
	})
	return cmd
}

// pod makes the pod of the file and the flags. Faults are of usage.
func (f podFlags) pod(args []string, stdin io.Reader, changed func(string) bool) (wire.Pod, error) {
	var p wire.Pod
	if f.file != "" {
		if err := readFile(f.file, stdin, &p); err != nil {
			return p, err
		}
		p.Status = nil
	}
	if len(args) > 0 {
		p.Name = args[0]
	}
	var errs []error
	bad := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	var err error
	w := &p.Workload
	if f.image != "" {
		w.Image = f.image
	}
	if len(f.command) > 0 {
		w.Command = f.command
	}
	for _, s := range f.ports {
		name, number, ok := strings.Cut(s, "=")
		if !ok {
			name, number = "http", s
		}
		n, err := strconv.Atoi(number)
		if err != nil || name == "" || n < 1 || n > 65535 {
			bad("port", fmt.Errorf("%q is not NAME=NUMBER, such as http=8080", s))
			continue
		}
		put(&w.Ports, name, n)
	}
	for _, s := range f.env {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			bad("env", fmt.Errorf("%q is not NAME=VALUE", s))
			continue
		}
		put(&w.Env, name, value)
	}
	if changed("cpu") {
		p.Limits.CPU, err = wire.ParseCores(f.cpu)
		bad("cpu", err)
	}
	if changed("memory") {
		p.Limits.Memory, err = wire.ParseBytes(f.memory)
		bad("memory", err)
	}
	if changed("max-nodes") {
		p.MaxNodes, err = wire.ParseCount(strconv.Itoa(f.maxNodes))
		bad("max-nodes", err)
	}
	if changed("drain") {
		p.Drain, err = wire.ParseDuration(f.drain)
		bad("drain", err)
	}
	for _, s := range f.fronts {
		name, listen, ok := strings.Cut(s, "=")
		if !ok {
			name, listen = "", s
		}
		if _, port, ok := cutLast(listen, ":"); !ok || port == "" {
			bad("front", fmt.Errorf("%q is not [NAME=]ADDRESS:PORT, such as 127.0.0.1:5100", s))
		}
		p.Fronts = append(p.Fronts, wire.Front{Name: name, Listen: listen})
	}
	p.Hosts = append(p.Hosts, f.hosts...)
	switch {
	case !changed("probe"):
	case f.probe == "tcp":
		w.Probe.TCP = true
	case f.probe == "none":
		w.Probe.None = true
	case strings.HasPrefix(f.probe, "/"):
		w.Probe.HTTP = f.probe
	default:
		bad("probe", fmt.Errorf(`%q is unknown; use a path such as /healthz, "tcp" or "none"`, f.probe))
	}
	if f.security != "" {
		p.Security = f.security
	}
	if len(errs) > 0 {
		return p, usageError{errors.Join(errs...)}
	}
	return p, nil
}

// readFile decodes a YAML or JSON file, strictly: what is unknown is an error
// with its line and column.
func readFile(path string, stdin io.Reader, v any) error {
	var data []byte
	var err error
	if path == "-" {
		data, err = io.ReadAll(stdin)
	} else {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return usageError{err}
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return usagef("%s is empty", path)
	}
	if err := yaml.UnmarshalWithOptions(data, v, yaml.Strict()); err != nil {
		first, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
		return usagef("%s: %s", path, first)
	}
	return nil
}

// put sets a key of a map that may be nil.
func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
