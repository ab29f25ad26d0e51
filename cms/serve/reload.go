package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/api"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/internal/difference"
	"github.com/elastipod/elastipod/pod"
)

// How long taking back a reload that failed half-way may take, and where nobody
// waits for it any more. What takes longer goes on by itself.
const (
	undoLimit   = 30 * time.Second
	undoHurried = 3 * time.Second
)

// liveFields are those parts of the configuration that a running server takes
// over whole. Hosts and pods have rules of their own; everything else needs a
// restart.
func liveFields() []string {
	return []string{
		"log", "tls", "tokens", "allowed_hosts", "allowed_origins", "insecure", "stop_nodes", "stop_timeout", "take_over", "default_pods", "webhooks", "audit",
	}
}

// reloadFunc is what the API offers; nil where nothing was read that could be
// read anew.
func (sv *server) reloadFunc() api.ReloadFunc {
	if sv.again == nil {
		return nil
	}
	return sv.reload
}

// reloadOnHangup reloads at each signal until ctx ends.
func (sv *server) reloadOnHangup(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-sv.hangups:
			began := time.Now()
			out, err := sv.reload(ctx, false)
			if err == nil && len(out.NeedsRestart) > 0 {
				err = restartError(out.NeedsRestart)
			}
			if err != nil {
				sv.log.Error("the configuration stays as it was", "error", err)
				sv.audit.auditReload(began, nil, err)
			}
		}
	}
}

func restartError(changes []wire.ReloadChange) error {
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = fmt.Sprintf("%s (%s → %s)", c.Path, c.From, c.To)
	}
	return fmt.Errorf("a restart is needed for %s; restart the server, or take these changes back and reload", strings.Join(texts, ", "))
}

// reload is an [api.ReloadFunc]. One runs at a time.
func (sv *server) reload(ctx context.Context, dryRun bool) (wire.Reload, error) {
	select {
	case sv.reloading <- struct{}{}:
		defer func() { <-sv.reloading }()
	case <-ctx.Done():
		return wire.Reload{}, ctx.Err()
	}
	began := time.Now()
	if !dryRun {
		sv.notify.reloading()
		defer func() { sv.notify.ready(sv.statusLine()) }()
	}
	current := sv.current.Load()
	next, err := current.again()
	if err != nil {
		return wire.Reload{}, asFaults(err)
	}
	if err := next.checkReach(sv.listener.Addr()); err != nil {
		return wire.Reload{}, &cms.Refusal{Kind: cms.ErrConflict, Text: "nothing was changed: " + err.Error()}
	}
	plan := sv.plan(current, &next)
	plan.out.DryRun = dryRun
	if dryRun || len(plan.out.NeedsRestart) > 0 {
		return plan.out, nil
	}
	if err := sv.apply(ctx, &next, plan); err != nil {
		return wire.Reload{}, refusal(err)
	}
	for _, c := range plan.out.Changed {
		sv.log.Info("configuration changed", "path", c.Path, "from", c.From, "to", c.To, "applied", c.Applied)
	}
	sv.audit.auditReload(began, plan.out.Changed, nil)
	sv.log.Info("configuration reloaded", "changed", len(plan.out.Changed), "took", time.Since(began))
	return plan.out, nil
}

// errHalf says that a part of a reload that failed is still in force.
var errHalf = errors.New("a part of the reload could not be taken back")

// refusal says to who asked for a reload why it failed. What the answer leaves
// out is in the log.
func refusal(err error) error {
	var faults cms.Faults
	var refused *cms.Refusal
	switch {
	case errors.Is(err, errHalf):
		return &cms.Refusal{Kind: errHalf, Text: "the reload failed, and a part of it could not be taken back; the log says which: remove that, then reload again"}
	case errors.As(err, &faults):
		return faults
	case errors.As(err, &refused):
		return &cms.Refusal{Kind: refused.Kind, Text: "nothing was changed: " + refused.Text}
	}
	return err
}

// unusable says that what a field names cannot be used.
func unusable(path string, err error) error {
	var f cms.Faults
	f.Add(path, "mend it, or name another", "%s", err)
	return f.Err()
}

// asFaults makes of what is wrong with a configuration what the API shows.
func asFaults(err error) error {
	var wrong ConfigError
	if !errors.As(err, &wrong) {
		return err
	}
	var out cms.Faults
	for _, p := range wrong {
		problem := p.Problem
		if p.where != "" {
			problem = p.where + ": " + problem
		}
		out.Add(p.Path, p.Allowed, "%s", problem)
	}
	return out.Err()
}

// plan is what a reload does.
type plan struct {
	out   wire.Reload
	hosts []pod.Host    // to add
	pods  []podSettings // to create
}

// plan sorts the differences by what can be done about them.
func (sv *server) plan(current, next *settings) plan {
	var p plan
	for _, c := range differ(current.effective, next.effective) {
		field, name := splitPath(c.Path)
		var live bool
		switch field {
		case "hosts":
			live = sv.planHost(&c, name, next, &p)
		case "pods":
			sv.planPod(&c, name, next, &p)
			live = true
		case "tls":
			live = current.tlsCert != "" && next.tlsCert != ""
			c.Applied = live
		default:
			live = slices.Contains(liveFields(), field)
			c.Applied = live
		}
		if live {
			p.out.Changed = append(p.out.Changed, c)
		} else {
			p.out.NeedsRestart = append(p.out.NeedsRestart, c)
		}
	}
	return p
}

// splitPath returns the first field of a path, and the name of the entry in it
// where it is a list.
func splitPath(path string) (field, entry string) {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		field = path[:i]
		if path[i] == '[' {
			entry, _, _ = strings.Cut(path[i+1:], "]")
		}
		return field, entry
	}
	return path, ""
}

// planHost adds hosts that are new. Others are in use: what changes about them
// is told, not done.
func (sv *server) planHost(c *wire.ReloadChange, name string, next *settings, p *plan) bool {
	if c.To != isNew {
		if c.To == noValue && c.From == isSet {
			c.Note = "restart the server without it, then remove it: DELETE /v1/hosts/" + name
		}
		return false
	}
	spec := next.hosts[slices.IndexFunc(next.hosts, func(h pod.Host) bool { return h.Name == name })]
	if there, err := sv.manager.Host(name); err == nil {
		if !sameHost(spec, there.Host) {
			c.Note = "a host of this name with other settings was added through the API: remove that one first, or restart the server to use these settings"
			return false
		}
	} else {
		p.hosts = append(p.hosts, spec)
	}
	c.Applied = true
	return true
}

// sameHost compares the settings of hosts. A cordon belongs to whoever set it.
func sameHost(a, b pod.Host) bool {
	a.Cordoned, b.Cordoned = false, false
	x, errX := difference.Tree(api.HostSettings(a.WithDefaults()))
	y, errY := difference.Tree(api.HostSettings(b.WithDefaults()))
	return errX == nil && errY == nil && len(difference.Between(x, y)) == 0
}

// planPod creates pods that are not there. Those that are may have been changed
// by people since they were created, and stay as they are.
func (sv *server) planPod(c *wire.ReloadChange, name string, next *settings, p *plan) {
	_, err := sv.manager.Pod(name)
	missing := errors.Is(err, cms.ErrNotFound)
	i := slices.IndexFunc(next.pods, func(s podSettings) bool { return s.spec.Name == name })
	switch {
	case i < 0 && missing:
		c.Note = "pod " + name + " is not there any more"
		c.Applied = true
	case i < 0:
		c.Note = "pod " + name + " stays; remove it with: cloud pod rm " + name
	case missing:
		c.Applied = true
		if !slices.ContainsFunc(p.pods, func(s podSettings) bool { return s.spec.Name == name }) {
			p.pods = append(p.pods, next.pods[i])
		}
	case c.To == isNew:
		c.Note = "pod " + name + " is there already and stays as it is; change it with: cloud apply"
	default:
		c.Note = "pod " + name + " stays as it is, since it may have been changed since; change it with: cloud apply"
	}
}

// apply puts the settings in force, all of them or none.
func (sv *server) apply(ctx context.Context, next *settings, p plan) (err error) {
	commits, err := sv.prepare(next)
	if err != nil {
		return err
	}
	var undo []func(context.Context) error
	defer func() {
		if err == nil {
			return
		}
		limit := undoLimit
		if ctx.Err() != nil {
			limit = undoHurried
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		for _, back := range slices.Backward(undo) {
			if failed := back(ctx); failed != nil {
				sv.log.Error("take back a part of a reload", "error", failed)
				err = fmt.Errorf("%w; %w: %w", err, errHalf, failed)
			}
		}
	}()
	for _, h := range p.hosts {
		if _, err := sv.manager.AddHost(ctx, h); err != nil {
			return err
		}
		undo = append(undo, func(ctx context.Context) error { return sv.removeHost(ctx, h.Name) })
	}
	for _, s := range p.pods {
		made, err := sv.createPod(ctx, s)
		if made {
			undo = append(undo, func(ctx context.Context) error { return sv.removePod(ctx, s.spec.Name) })
		}
		if err != nil {
			return fmt.Errorf("pod %s: %w", s.spec.Name, err)
		}
	}
	useFile, err := sv.audit.change(next.auditFile) // leaves a file open, so it comes late
	if err != nil {
		return unusable("audit", err)
	}
	if err := sv.api.SetAccess(next.access()); err != nil { // it was checked
		return err
	}
	useFile()
	for _, commit := range commits {
		commit()
	}
	sv.current.Store(next)
	return nil
}

func (s *settings) access() api.Access {
	return api.Access{Tokens: s.tokens, AllowedHosts: s.allowedHosts, AllowedOrigins: s.allowedOrigins}
}

// prepare makes what can be made without changing anything. What it returns
// cannot fail.
func (sv *server) prepare(next *settings) (commits []func(), err error) {
	page, err := sv.newPage(*next)
	if err != nil {
		return nil, err
	}
	commits = append(commits, func() { sv.page.set(page) })
	if sv.tls != nil {
		use, err := sv.tls.change(next.tlsCert, next.tlsKey)
		if err != nil {
			return nil, unusable("tls", err)
		}
		commits = append(commits, use)
	}
	if sv.logs != nil {
		commits = append(commits, func() { sv.logs.set(next.logJSON, next.logLevel) })
	}
	commits = append(commits, func() {
		if err := sv.hooks.SetTargets(next.webhooks); err != nil { // they were checked
			sv.log.Error("webhooks stay as they were", "error", err)
		}
	})
	defaults := sv.stack.defaults(*next)
	for _, p := range defaults {
		if err := p.Validate(); err != nil {
			return nil, err
		}
	}
	return append(commits, func() { sv.manager.SetDefaultPods(defaults) }), nil
}

// removePod takes back a pod that a reload made, and waits until it is gone.
func (sv *server) removePod(ctx context.Context, name string) error {
	if _, err := sv.manager.DeletePod(ctx, name); err != nil {
		return notThere(err)
	}
	_, err := sv.manager.WaitPod(ctx, name, func(cms.PodStatus) bool { return false })
	return notThere(err)
}

// removeHost takes back a host that a reload added, and waits until it is gone.
// A node may have been placed there meanwhile, which is moved.
func (sv *server) removeHost(ctx context.Context, name string) error {
	if _, err := sv.manager.RemoveHost(ctx, name, true); err != nil {
		return notThere(err)
	}
	for {
		if _, err := sv.manager.Host(name); err != nil {
			return notThere(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("host %s is still being removed: %w", name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func notThere(err error) error {
	if errors.Is(err, cms.ErrNotFound) {
		return nil
	}
	return err
}
