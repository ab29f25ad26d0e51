package act

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/internal/watch"
	"github.com/elastipod/elastipod/cms/reconcile"
	"github.com/elastipod/elastipod/pod"
)

const (
	startTimeout   = 2 * time.Minute
	prepareTimeout = 30 * time.Minute // a large image over a slow line
)

// ForPod returns what does the actions of a pod.
func ForPod(name string) func(reconcile.Action) Action {
	return func(a reconcile.Action) Action {
		switch a := a.(type) {
		case reconcile.Resolve:
			return resolve{a, name}
		case reconcile.Start:
			return start{a, name}
		case reconcile.Stop:
			return stop{a, name}
		case reconcile.SetFront:
			return setFront{a}
		case reconcile.Apply:
			return apply{a}
		case reconcile.RemoveFront:
			return removeFront{a}
		case Action:
			return a
		}
		panic(fmt.Sprintf("act: unknown action %T", a))
	}
}

// runtime returns a host's runtime, or why it cannot be used.
func (p *Ports) runtime(host string) (*watch.Host, pod.Runtime, error) {
	h := p.Host(host)
	if h == nil {
		return nil, nil, fmt.Errorf("host %s is not in the cluster any more", host)
	}
	rt, err := h.Runtime()
	return h, rt, err
}

type resolve struct {
	reconcile.Resolve
	pod string
}

func (a resolve) NeedsSlot() bool { return true }

func (a resolve) Do(ctx context.Context, p *Ports) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.ResolveEnded, Node: a.Node, Host: a.Host, Cause: a.Cause}
	ctx = Below(ctx, a.Cause)
	h, rt, err := p.runtime(a.Host)
	if err == nil {
		r.Digest, err = p.prepare(ctx, h, rt, pod.NodeID{Pod: a.pod, Name: a.Node}, a.Workload, "")
	}
	r.Fault = faults.Of(err)
	return r
}

// prepare fetches what the workload needs, and returns the image's digest.
func (p *Ports) prepare(ctx context.Context, h *watch.Host, rt pod.Runtime, id pod.NodeID, w pod.Workload, digest string) (string, error) {
	preparer := rt.Extras().Preparer
	if err := ctx.Err(); err != nil || preparer == nil { // it may have been given up while it waited for a slot
		return digest, err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	ctx, span := p.Tracing.Begin(ctx, "runtime.prepare", 0, KeyHost.String(h.Name), KeyImage.String(w.Image))
	var told time.Time
	made, err := preparer.Prepare(ctx, w, digest, func(g pod.Progress) {
		if p.Clock.Since(told) < time.Second {
			return
		}
		told = p.Clock.Now()
		text := g.Message
		if g.Total > 0 {
			text = fmt.Sprintf("%s: %d %%", g.Message, 100*g.Done/g.Total)
		}
		p.Pulling(id.Pod, id.Name, h.Name, text)
	})
	span.End(err)
	if err == nil {
		p.Fetched(h)
	}
	return made.Digest, err
}

type start struct {
	reconcile.Start
	pod string
}

func (a start) NeedsSlot() bool { return true }

// Do prepares the host, starts the node and waits until it is ready.
func (a start) Do(ctx context.Context, p *Ports) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.StartEnded, Node: a.Node, Host: a.Host, Cause: a.Cause}
	ctx, span := p.Tracing.Begin(Below(ctx, a.Cause), "node.start", p.Clock.Since(a.Ordered), KeyPod.String(a.pod), KeyNode.String(a.Node), KeyHost.String(a.Host))
	if c := p.Tracing.Cause(ctx); c != "" {
		r.Cause = c
	}
	made, err := a.run(ctx, p)
	span.End(err)
	if r.Fault = faults.Of(err); err == nil {
		r.Made = &made
	}
	return r
}

func (a start) run(ctx context.Context, p *Ports) (made pod.Node, err error) {
	h, rt, err := p.runtime(a.Host)
	if err != nil {
		return made, err
	}
	id := pod.NodeID{Pod: a.pod, Name: a.Node}
	if _, err := p.prepare(ctx, h, rt, id, a.Spec.Workload, a.Digest); err != nil {
		return made, err
	}
	secrets, err := readSecrets(a.Spec.Workload.Secrets)
	if err != nil {
		return made, err
	}
	sctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	sctx, span := p.Tracing.Begin(sctx, "runtime.start", 0, KeyPod.String(a.pod), KeyNode.String(a.Node), KeyHost.String(a.Host))
	made, err = rt.Start(sctx, pod.StartRequest{
		ID: id, Revision: reconcile.RevisionName(a.Revision), Kind: pod.NodeService, Workload: a.Spec.Workload, Digest: a.Digest,
		Limits: a.Spec.Limits, Secrets: secrets, Settings: a.Settings,
	})
	span.End(err)
	if err != nil {
		return made, err
	}
	settled := p.Clock.Now()
	h.Kick()
	ctx, probing := p.Tracing.Begin(ctx, "node.probe", 0, KeyPod.String(a.pod), KeyNode.String(a.Node), KeyHost.String(a.Host))
	err = awaitReady(ctx, a.Host, a.Spec.Workload.Probe, made.Endpoints, func() (pod.Node, bool, bool) { return h.View().Lookup(id, settled) })
	probing.End(err)
	return made, err
}

// awaitReady waits until a node passes its probe, or its host says that it ended.
func awaitReady(ctx context.Context, host string, probe pod.Probe, endpoints map[string]string, look func() (n pod.Node, found, known bool)) error {
	try, err := watch.Prober(probe, endpoints, func() (pod.Health, bool) {
		seen, found, _ := look()
		return seen.Health, found
	})
	if err != nil {
		return err
	}
	return watch.AwaitReady(ctx, probe, try, func() error {
		seen, found, known := look()
		switch {
		case !known, found && seen.Phase != pod.PhaseExited:
			return nil
		case found && seen.Exit != nil:
			return fmt.Errorf("%w: %s", pod.ErrExited, seen.Exit.Reason())
		}
		return fmt.Errorf("%w: it is not on host %s any more", pod.ErrExited, host)
	})
}

// readSecrets reads the secrets of a workload from where they come from. Their
// content appears in no error.
func readSecrets(secrets []pod.Secret) (map[string]pod.SecretValue, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	values := make(map[string]pod.SecretValue, len(secrets))
	for _, s := range secrets {
		if s.FromFile != "" {
			data, err := os.ReadFile(s.FromFile)
			if err != nil {
				return nil, fmt.Errorf("%w: secret %s: %w", faults.ErrSecret, s.Name, err)
			}
			values[s.Name] = data
			continue
		}
		value, ok := os.LookupEnv(s.FromEnv)
		if !ok {
			return nil, fmt.Errorf("%w: secret %s: %w", faults.ErrSecret, s.Name, errors.New("variable "+s.FromEnv+" is not set"))
		}
		values[s.Name] = pod.SecretValue(value)
	}
	return values, nil
}

type stop struct {
	reconcile.Stop
	pod string
}

func (a stop) Do(ctx context.Context, p *Ports) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.StopEnded, Node: a.Node, Host: a.Host, Cause: a.Cause}
	ctx = Below(ctx, a.Cause)
	var whole Span
	if !a.Told.IsZero() && p.Tracing.On() {
		ctx, whole = p.Tracing.Begin(ctx, "node.remove", p.Clock.Since(a.Told), KeyPod.String(a.pod), KeyNode.String(a.Node), KeyHost.String(a.Host), KeyReason.String(a.Why))
		_, drain := p.Tracing.Begin(ctx, "node.drain", p.Clock.Since(a.Told))
		drain.EndAgo(p.Clock.Since(a.Idle))
	}
	if a.Orphan {
		p.Log.Warn("stop a node that no record knows", "pod", a.pod, "node", a.Node, "host", a.Host)
	}
	var err error
	r.Tail, err = StopNode(ctx, p, pod.NodeID{Pod: a.pod, Name: a.Node}, a.Host, a.Grace)
	whole.End(err)
	r.Fault = faults.Of(err)
	return r
}

// StopNode stops a node on its host, and makes the host be observed anew.
func StopNode(ctx context.Context, p *Ports, id pod.NodeID, host string, grace time.Duration) (tail []string, err error) {
	h := p.Host(host)
	if h == nil {
		return nil, nil // the host was removed, and its nodes with it
	}
	if v := h.View(); v != nil && v.Err != nil {
		return nil, v.Err
	}
	rt, err := h.Runtime()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, grace+startTimeout)
	defer cancel()
	ctx, span := p.Tracing.Begin(ctx, "runtime.stop", 0, KeyPod.String(id.Pod), KeyNode.String(id.Name), KeyHost.String(host))
	tail, err = rt.Stop(ctx, id, grace)
	span.End(err)
	if err == nil {
		h.Kick()
	}
	return tail, err
}
