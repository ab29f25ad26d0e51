package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/elastipod/elastipod/cms/client"
)

func (a *app) getCommand() *cobra.Command {
	return withYAML(&cobra.Command{
		Use:   "get [KIND] [NAME]...",
		Short: "Print the settings of pods, hosts and elasticity",
		Long: `Print what was set, without what was measured: all of it, or the pods, hosts or elasticity of these
names. With -o yaml, or -o json, "cloud apply -f" takes it back unchanged. KIND is pods, hosts or
elasticity; for elasticity a NAME is that of the pod.`,
		Example: `  cloud get
  cloud get -o yaml > cluster.yaml
  cloud get pods web light -o yaml
  cloud get elasticity web -o json`,
		Args:              func(_ *cobra.Command, args []string) error { _, err := kindOf(args); return err },
		ValidArgsFunction: a.completeGet(),
		RunE: a.does(func(ctx context.Context, c *client.Client, args []string) error {
			kind, err := kindOf(args)
			if err != nil {
				return err
			}
			found, err := current(ctx, c)
			if err != nil {
				return err
			}
			wanted, err := choose(found, kind, args)
			if err != nil {
				return err
			}
			return a.printManifests(wanted)
		}),
	})
}

// kindOf returns the kind that the first argument names; "" means every kind.
func kindOf(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	kind := strings.TrimSuffix(strings.ToLower(args[0]), "s")
	if kind == "all" && len(args) == 1 {
		return "", nil
	}
	if slices.Contains(kinds[:], kind) {
		return kind, nil
	}
	return "", unknown(fmt.Sprintf("there is no kind %q", args[0]), args[0], []string{"pods", "hosts", "elasticity"})
}

func (a *app) completeGet() cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, given string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return []cobra.Completion{"pods", "hosts", "elasticity"}, cobra.ShellCompDirectiveNoFileComp
		}
		l := lister(podNames)
		if kind, err := kindOf(args); err != nil {
			l = nothing
		} else if kind == "host" {
			l = hostNames
		}
		found, directive := a.complete(l)(cmd, nil, given)
		return without(found, args[1:]), directive
	}
}

// without returns completions whose names are not among given.
func without(all []cobra.Completion, given []string) []cobra.Completion {
	return slices.DeleteFunc(all, func(c cobra.Completion) bool { return slices.Contains(given, bare([]string{c})[0]) })
}

// current returns everything that is set, hosts first, then each pod and its
// elasticity. What is being removed is no longer set.
func current(ctx context.Context, c *client.Client) ([]manifest, error) {
	hosts, err := c.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	pods, err := c.Pods(ctx)
	if err != nil {
		return nil, err
	}
	var all []manifest
	for _, h := range hosts {
		if hostStatus(h).Draining {
			continue
		}
		h.Status = nil
		all = append(all, manifest{Host: &h})
	}
	for _, p := range pods {
		s := status(p)
		if s.State == "deleting" {
			continue
		}
		p.Status = nil
		s.Elasticity.Status = nil
		all = append(all, manifest{Pod: &p}, manifest{Elasticity: &elasticityOf{p.Name, s.Elasticity}})
	}
	return all, nil
}

// choose returns those that the arguments of get name.
func choose(all []manifest, kind string, args []string) ([]manifest, error) {
	if kind == "" {
		return all, nil
	}
	all = slices.DeleteFunc(all, func(m manifest) bool { return m.kind() != kind })
	if len(args) < 2 {
		return all, nil
	}
	var wanted []manifest
	for _, name := range args[1:] {
		i := slices.IndexFunc(all, func(m manifest) bool { return m.name() == name })
		if i < 0 {
			what := kind
			if kind == "elasticity" {
				what = "pod"
			}
			return nil, noSuch(what, name, namesOf(all, manifest.name), "")
		}
		wanted = append(wanted, all[i])
	}
	return wanted, nil
}

func (a *app) printManifests(all []manifest) error {
	switch a.output {
	case "json":
		return a.printJSON(map[string]any{"items": notNil(all)})
	case "yaml":
		text, err := manifestYAML(all)
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	}
	if len(all) == 0 {
		return a.line("Nothing is set.")
	}
	t := newTable(left("KIND"), left("NAME"), left("SETTINGS"))
	for _, m := range all {
		t.row(m.kind(), m.name(), settingsText(m))
	}
	return t.print(a.out)
}

func notNil[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// settingsText says in short what is set.
func settingsText(m manifest) string {
	switch {
	case m.Host != nil:
		text := m.Host.Runtime
		if m.Host.Address != "" {
			text += " at " + m.Host.Address
		}
		if m.Host.Cordoned {
			text += ", cordoned"
		}
		return text
	case m.Pod != nil:
		p := m.Pod
		text := p.Workload.Image
		if text == "" {
			text = strings.Join(p.Workload.Command, " ")
		}
		text += fmt.Sprintf(", at most %d nodes of %s CPU, %s", p.MaxNodes, short2(float64(p.Limits.CPU)), p.Limits.Memory)
		if fronts := frontsText(p.Fronts); fronts != "" {
			text += ", " + fronts
		}
		return text
	}
	return elasticText(m.Elasticity.Elasticity) + policySuffix(m.Elasticity.Elasticity)
}

// manifestYAML renders a document for each, which [readManifests] reads back equal.
func manifestYAML(all []manifest) ([]byte, error) {
	var out bytes.Buffer
	for i, m := range all {
		if i > 0 {
			out.WriteString("---\n")
		}
		text, err := asYAML(m)
		if err != nil {
			return nil, fmt.Errorf("write %s as YAML: %w", m, err)
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// asYAML renders a value with the names and the order of its JSON.
func asYAML(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(data)
}
