package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// podFlags are the settings of a pod that have a flag and need to be parsed.
type podFlags struct {
	ports, env, fronts                  []string
	cpu, memory, maxNodes, probe, drain string
}

func (a *app) podRegisterCommand() *cobra.Command {
	var p wire.Pod
	var f podFlags
	var file string
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
				if len(args) > at && len(p.Workload.Command) > 0 {
					return usagef(`--command and "--": give one of them`)
				}
				p.Workload.Command = append(p.Workload.Command, args[at:]...)
			}
			return nameOrFile(cmd, head, file)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "YAML or JSON file of the pod, in place of other flags; - is the standard input")
	flags.StringVar(&p.Workload.Image, "image", "", "OCI image, for Docker hosts")
	flags.StringArrayVar(&p.Workload.Command, "command", nil, "an argument of the command; repeat it")
	flags.StringArrayVar(&f.ports, "port", nil, "NAME=NUMBER of a port on which the workload listens; repeat it")
	flags.StringArrayVar(&f.env, "env", nil, "NAME=VALUE for the environment; repeat it")
	flags.StringVar(&f.cpu, "cpu", "", "cores that a node may use (default 1)")
	flags.StringVar(&f.memory, "memory", "", "memory that a node may use, such as 300MiB (default 256MiB)")
	flags.StringVar(&f.maxNodes, "max-nodes", "", "the most nodes that the pod may have (default 10)")
	flags.StringArrayVar(&f.fronts, "front", nil, "[NAME=]ADDRESS:PORT on which requests are taken; repeat it")
	flags.StringArrayVar(&p.Hosts, "host", nil, "a host on which nodes may run; repeat it (default: every host)")
	flags.StringVar(&f.probe, "probe", "", `when a node is ready: a path such as /healthz, "tcp" or "none"`)
	flags.StringVar(&p.Security, "security", "", `"default" or "strict"`)
	flags.StringVar(&f.drain, "drain", "", "how long a node that leaves may finish what it does (default 30s)")
	must(cmd.RegisterFlagCompletionFunc("host", a.completeFlag(hostNames)))
	must(cmd.RegisterFlagCompletionFunc("security", fixed("default", "strict")))
	must(cmd.RegisterFlagCompletionFunc("probe", fixed("tcp", "none", "/healthz")))
	must(cmd.MarkFlagFilename("file", "yaml", "yml", "json"))
	cmd.RunE = a.does(func(ctx context.Context, c *client.Client, args []string) error {
		if at := cmd.ArgsLenAtDash(); at >= 0 {
			args = args[:at]
		}
		if err := f.into(&p); err != nil {
			return err
		}
		if file != "" {
			p = wire.Pod{}
			if err := readFile(file, a.in, &p); err != nil {
				return err
			}
			p.Status = nil
		}
		if len(args) > 0 {
			p.Name = args[0]
		}
		p, err := c.CreatePod(ctx, p, 0)
		if err != nil {
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

// into parses the flags into a pod. Faults are of usage.
func (f podFlags) into(p *wire.Pod) error {
	var bad flagErrors
	w := &p.Workload
	for _, s := range f.ports {
		name, number, ok := strings.Cut(s, "=")
		if !ok {
			name, number = "http", s
		}
		n, err := strconv.Atoi(number)
		if err != nil || name == "" || n < 1 || n > 65535 {
			bad.add("port", "%q is not NAME=NUMBER, such as http=8080", s)
			continue
		}
		put(&w.Ports, name, n)
	}
	w.Env = bad.pairs("env", f.env)
	p.Limits.CPU = parseFlag(&bad, "cpu", f.cpu, wire.ParseCores)
	p.Limits.Memory = parseFlag(&bad, "memory", f.memory, wire.ParseBytes)
	p.MaxNodes = parseFlag(&bad, "max-nodes", f.maxNodes, wire.ParseCount)
	p.Drain = parseFlag(&bad, "drain", f.drain, wire.ParseDuration)
	for _, s := range f.fronts {
		name, listen, ok := strings.Cut(s, "=")
		if !ok {
			name, listen = "", s
		}
		if i := strings.LastIndex(listen, ":"); i < 0 || i == len(listen)-1 {
			bad.add("front", "%q is not [NAME=]ADDRESS:PORT, such as 127.0.0.1:5100", s)
		}
		p.Fronts = append(p.Fronts, wire.Front{Name: name, Listen: listen})
	}
	switch {
	case f.probe == "":
	case f.probe == "tcp":
		w.Probe.TCP = true
	case f.probe == "none":
		w.Probe.None = true
	case strings.HasPrefix(f.probe, "/"):
		w.Probe.HTTP = f.probe
	default:
		bad.add("probe", `%q is unknown; use a path such as /healthz, "tcp" or "none"`, f.probe)
	}
	return bad.err()
}

// nameOrFile checks that there is a name, or a file and no flag beside it. A name
// goes before the one in the file.
func nameOrFile(cmd *cobra.Command, args []string, file string) error {
	if file == "" {
		return names("NAME")(cmd, args)
	}
	var err error
	cmd.LocalNonPersistentFlags().VisitAll(func(x *pflag.Flag) {
		if x.Changed && x.Name != "file" {
			err = usagef("--file and --%s: give one of them", x.Name)
		}
	})
	return cmp.Or(err, names("[NAME]")(cmd, args))
}

// flagErrors is what is wrong with flags, to be told all at once.
type flagErrors []error

func (e *flagErrors) add(flag, format string, args ...any) {
	*e = append(*e, fmt.Errorf("--"+flag+": "+format, args...))
}

func (e flagErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	return usageError{errors.Join(e...)}
}

// pairs reads NAME=VALUE of a flag that is repeated.
func (e *flagErrors) pairs(flag string, all []string) (out map[string]string) {
	for _, s := range all {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			e.add(flag, "%q is not NAME=VALUE", s)
			continue
		}
		put(&out, name, value)
	}
	return out
}

// parseFlag reads the text of a flag; where it was not given, that is nothing.
func parseFlag[T any](e *flagErrors, flag, text string, parse func(string) (T, error)) (v T) {
	if text == "" {
		return v
	}
	v, err := parse(text)
	if err != nil {
		e.add(flag, "%w", err)
	}
	return v
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
