package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/difference"
)

// change is what has to be done about one manifest.
type change struct {
	Kind   string              `json:"kind"`
	Name   string              `json:"name"`
	Action string              `json:"action"` // "create", "change", "delete" or "none"
	Fields []difference.Change `json:"fields,omitempty"`

	manifest manifest
	early    bool // before the pods: it makes room for a lower max_nodes
}

// makePlan compares what files ask for with what is set. Fields that are left out
// of a file mean their defaults. Faults that can be found without the server's help
// are told all at once, each with its place in the file. With prune, pods that no
// file names are deleted.
func makePlan(ctx context.Context, c *client.Client, wanted []manifest, prune bool) ([]change, error) {
	found, err := current(ctx, c)
	if err != nil {
		return nil, err
	}
	plan := make([]change, 0, len(wanted))
	var errs []error
	pods := map[string]wire.Pod{} // as they will be
	for _, m := range found {
		if m.Pod != nil {
			pods[m.Pod.Name] = *m.Pod
		}
	}
	for _, m := range wanted {
		var ch change
		var err error
		now := slices.IndexFunc(found, func(x manifest) bool { return x.kind() == m.kind() && x.name() == m.name() })
		switch {
		case m.Host != nil:
			ch, err = planHost(m, found, now)
		case m.Pod != nil:
			if ch, err = planPod(m, found, now); err == nil {
				pods[m.Pod.Name] = *ch.manifest.Pod
			}
		default:
			ch, err = planElasticity(m, found, now, pods)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		plan = append(plan, ch)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if prune {
		if plan, err = pruned(plan, found); err != nil {
			return nil, err
		}
	}
	makeRoom(plan, found)
	return plan, nil
}

// pruned adds the pods that are to be deleted.
func pruned(plan []change, found []manifest) ([]change, error) {
	named := func(pod string) bool {
		return slices.ContainsFunc(plan, func(c change) bool { return c.Kind != "host" && c.Name == pod })
	}
	if !slices.ContainsFunc(plan, func(c change) bool { return c.Kind == "pod" }) {
		return nil, errors.New(`--prune: no file names a pod, so every pod would be deleted; leave it out, or delete them with "cloud pod rm"`)
	}
	for _, m := range found {
		if m.Pod != nil && !named(m.Pod.Name) {
			plan = append(plan, change{Kind: "pod", Name: m.Pod.Name, Action: "delete", manifest: m})
		}
	}
	return plan, nil
}

// makeRoom marks elasticities that have to be lowered before their pods are.
func makeRoom(plan []change, found []manifest) {
	for i, ch := range plan {
		if ch.Kind != "elasticity" || ch.Action != "change" {
			continue
		}
		for _, p := range plan {
			if p.Kind != "pod" || p.Name != ch.Name || p.Action != "change" {
				continue
			}
			for _, now := range found {
				if now.Elasticity != nil && now.name() == ch.Name {
					plan[i].early = p.manifest.Pod.MaxNodes < now.Elasticity.Max
				}
			}
		}
	}
	slices.SortStableFunc(plan, func(x, y change) int { return cmp.Compare(x.order(), y.order()) })
}

// order puts deletions first, as they free addresses and room, then hosts, and then
// pods before their elasticity.
func (c change) order() int {
	switch {
	case c.Action == "delete":
		return -1
	case c.early:
		return 1
	}
	return 2 * slices.Index(kinds[:], c.Kind)
}

// newChange compares what is there, nil for nothing, with what is wanted.
func newChange(m manifest, from, to any) (change, error) {
	ch := change{Kind: m.kind(), Name: m.name(), Action: "create", manifest: m}
	x, err := difference.Tree(from)
	if err != nil {
		return ch, err
	}
	y, err := difference.Tree(to)
	if err != nil {
		return ch, err
	}
	ch.Fields = difference.Between(x, y)
	switch {
	case from != nil && len(ch.Fields) == 0:
		ch.Action = "none"
	case from != nil:
		ch.Action = "change"
	}
	return ch, nil
}

func planHost(m manifest, found []manifest, now int) (change, error) {
	spec, err := api.HostSpec(*m.Host)
	if err != nil {
		return change{}, m.faults(err)
	}
	h := api.HostSettings(spec.WithDefaults())
	m.Host = &h
	if now < 0 {
		return newChange(m, nil, h)
	}
	before := *found[now].Host
	if spec, err := api.HostSpec(before); err == nil {
		before = api.HostSettings(spec.WithDefaults())
	}
	ch, err := newChange(m, before, h)
	if err != nil {
		return ch, err
	}
	for _, f := range ch.Fields {
		if f.Path != "cordoned" {
			return ch, fmt.Errorf("%s: %s of host %s differs (%s, not %s), and only cordoned can be changed; remove the host with \"cloud host rm %s --drain\" and apply again",
				m.at("host."+f.Path), f.Path, h.Name, valueText(f.From), valueText(f.To), h.Name)
		}
	}
	return ch, nil
}

func planPod(m manifest, found []manifest, now int) (change, error) {
	spec, err := api.PodSpec(*m.Pod)
	if err != nil {
		return change{}, m.faults(err)
	}
	p := api.PodSettings(spec.WithDefaults())
	m.Pod = &p
	if now < 0 {
		return newChange(m, nil, p)
	}
	before := *found[now].Pod
	// Both go through the same rules, also where the server's are older.
	if spec, err := api.PodSpec(before); err == nil {
		before = api.PodSettings(spec.WithDefaults())
	}
	return newChange(m, before, p)
}

func planElasticity(m manifest, found []manifest, now int, pods map[string]wire.Pod) (change, error) {
	p, ok := pods[m.name()]
	if !ok {
		return change{}, fmt.Errorf("%s: %w", m.at("elasticity.pod"), noSuch("pod", m.name(), sortedKeys(pods), ""))
	}
	for field, short := range map[string]*float64{"lower": m.Elasticity.LowerThreshold, "upper": m.Elasticity.UpperThreshold} {
		if short != nil {
			path := field + "_threshold"
			return change{}, fmt.Errorf("%s: in a file, write %s into the policy: {kind: threshold, %s: %s}", m.at("elasticity."+path), path, field, short2(*short))
		}
	}
	e := fillElasticity(m.Elasticity.Elasticity, p)
	m.Elasticity = &elasticityOf{p.Name, e}
	if now < 0 { // of a pod that is to be created
		return newChange(m, nil, *m.Elasticity)
	}
	before := fillElasticity(found[now].Elasticity.Elasticity, p)
	return newChange(m, elasticityOf{p.Name, before}, *m.Elasticity)
}

// fillElasticity fills in what the server would.
func fillElasticity(e wire.Elasticity, p wire.Pod) wire.Elasticity {
	if e.Min == 0 && p.Kind != "job" {
		e.Min = 1
	}
	if e.Max == 0 {
		e.Max = p.MaxNodes
	}
	e.Mode = cmp.Or(e.Mode, string(cms.ModeAct))
	if len(e.Policy) == 0 {
		e.Policy = wire.Policy(cms.DefaultPolicy)
	}
	return e
}

// faults gives each fault its place in the file.
func (m manifest) faults(err error) error {
	var faults cms.Faults
	if !errors.As(err, &faults) {
		return fmt.Errorf("%s: %w", m.at(m.kind()), err)
	}
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = m.fault(wire.Fault{Path: f.Path, Problem: f.Problem, Allowed: f.Allowed})
	}
	return errors.Join(errs...)
}

func (m manifest) fault(f wire.Fault) error {
	return fmt.Errorf("%s: %s", m.at(m.kind()+"."+f.Path), faultText(f))
}

// refused gives what the server refused its places in the file.
func (m manifest) refused(err error) error {
	var e *client.Error
	if !errors.As(err, &e) {
		return err
	}
	if len(e.Problem.Errors) == 0 {
		return fmt.Errorf("%s: %s: %w", m.at(m.kind()), m, err)
	}
	errs := make([]error, len(e.Problem.Errors))
	for i, f := range e.Problem.Errors {
		errs[i] = m.fault(f)
	}
	return errors.Join(errs...)
}
