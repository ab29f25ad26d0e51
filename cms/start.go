package cms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/elastipod/elastipod/pod"
)

const (
	startTimeout   = 2 * time.Minute
	prepareTimeout = 30 * time.Minute // a large image over a slow line
)

// resumeStarts begins to start every node that is recorded as starting and is
// not being started: a new one, or one whose start an earlier manager left.
func (l *loop) resumeStarts(ctx context.Context) {
	for i := range l.rec.Nodes {
		rec := l.rec.Nodes[i]
		run := l.nodes[rec.Name]
		if rec.State != pod.StateStarting || run.busy || !run.startTry.ready(l.m.clock.now()) {
			continue
		}
		nctx, cancel := context.WithCancel(ctx)
		run.busy, run.cancel = true, cancel
		if !run.start.on() {
			_, run.start = l.begin(ctx, "node.start", rec.Name, rec.Host)
			if run.start.recording() {
				run.start.s.SetAttributes(keyResumed.Bool(true))
			}
		}
		nctx = run.start.in(nctx)
		spec := l.specOf(rec.Revision).Clone()
		settings := l.carried(rec.Revision)
		l.action(func() func() {
			defer cancel()
			select {
			case l.starts <- struct{}{}:
			case <-nctx.Done():
				return func() { l.started(ctx, rec.Name, NodeRecord{}, nctx.Err()) }
			}
			defer func() { <-l.starts }()
			made, err := l.start(nctx, rec, spec, settings)
			return func() { l.started(ctx, rec.Name, made, err) }
		})
	}
}

// start prepares the host, starts the node and waits until it is ready. It runs
// beside the loop.
func (l *loop) start(ctx context.Context, rec NodeRecord, spec pod.Spec, settings string) (NodeRecord, error) {
	h := l.m.host(rec.Host)
	if h == nil {
		return rec, fmt.Errorf("host %s: %w", rec.Host, ErrNotFound)
	}
	rt, err := h.get()
	if err != nil {
		return rec, err
	}
	if err := l.prepare(ctx, h.name, rt, spec.Workload, &rec); err != nil {
		return rec, err
	}
	secrets, err := readSecrets(spec.Workload.Secrets)
	if err != nil {
		return rec, err
	}
	sctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	id := l.id(rec.Name)
	n, err := rt.Start(sctx, pod.StartRequest{ID: id, Revision: rec.Revision, Workload: spec.Workload, Limits: spec.Limits, Secrets: secrets, Settings: settings})
	if err != nil {
		return rec, fmt.Errorf("start on host %s: %w", h.name, err)
	}
	settled := l.m.clock.now()
	rec.Handle, rec.StartedAt, rec.Endpoints = n.Handle, n.StartedAt, n.Endpoints
	h.kick()
	try, err := prober(spec.Workload.Probe, n.Endpoints, func() (pod.Health, bool) {
		seen, found, _ := h.lookup(id, settled)
		return seen.Health, found
	})
	if err != nil {
		return rec, err
	}
	ctx, probing := l.m.trace.begin(ctx, "node.probe", about{pod: l.name, node: rec.Name, host: h.name})
	err = awaitReady(ctx, spec.Workload.Probe, try, func() error {
		seen, found, known := h.lookup(id, settled)
		switch {
		case !known, found && seen.Phase != pod.PhaseExited:
			return nil
		case found && seen.Exit != nil:
			return fmt.Errorf("%w: %s", pod.ErrExited, seen.Exit.Reason())
		}
		return fmt.Errorf("%w: it is not on host %s any more", pod.ErrExited, h.name)
	})
	probing.end(err)
	return rec, err
}

// prepare fetches what the workload needs, and puts the image's digest into the
// node's revision.
func (l *loop) prepare(ctx context.Context, host string, rt pod.Runtime, w pod.Workload, rec *NodeRecord) error {
	p := rt.Extras().Preparer
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	var told time.Time
	made, err := p.Prepare(ctx, w, func(p pod.Progress) {
		if l.m.clock.since(told) < time.Second {
			return
		}
		told = l.m.clock.now()
		text := p.Message
		if p.Total > 0 {
			text = fmt.Sprintf("%s: %d %%", p.Message, 100*p.Done/p.Total)
		}
		l.m.events.emit(Event{Type: EventImagePulling, Pod: l.name, Node: rec.Name, Host: host, Message: text})
	})
	if err != nil {
		return fmt.Errorf("prepare host %s: %w", host, err)
	}
	rec.Revision = withDigest(specRevision(rec.Revision), made.Digest)
	if c, h := rt.Extras().Collector, l.m.host(host); c != nil && h != nil && len(c.Fetched()) > 0 {
		l.m.spawn(func(context.Context) { l.m.noteFetched(h, c) }) // a slow store delays no start
	}
	return nil
}

// started records how a start ended.
func (l *loop) started(ctx context.Context, name string, made NodeRecord, startErr error) {
	run, rec := l.nodes[name], l.rec.node(name)
	now := l.m.clock.now()
	run.busy, run.cancel, run.settled = false, nil, now
	if h := l.m.host(rec.Host); errors.Is(startErr, context.Canceled) && h != nil && h.unreachable() != nil {
		startErr = fmt.Errorf("given up: %w", h.unreachable())
	}
	var err error
	if starting := run.start; starting.on() {
		run.start, l.cause = span{}, starting.context()
		defer func() { starting.end(cmp.Or(startErr, err)) }()
	}
	switch {
	case rec.State != pod.StateStarting:
		return // it was told to drain meanwhile; retire stops it
	case ctx.Err() != nil:
		return // we are ending: the next manager resumes the start
	case startErr != nil:
		next := l.failedOn(rec.Host, now).next
		l.problems["start"] = fmt.Sprintf("node %s could not be started: %s; the next try is in %s",
			name, startErr, next.Sub(now).Round(100*time.Millisecond))
		failed := *rec
		if !l.fail(name, startErr.Error()) {
			run.startTry.failed(now)
			return
		}
		if run.deaths > 0 { // the place is vacant again; how long it is, the host's retry says
			l.vacant = append(l.vacant, vacancy{deaths: run.deaths, due: now, host: failed.Host, why: "node " + name + " could not be started"})
		}
		if !errors.Is(startErr, pod.ErrUnreachable) { // that says nothing of what it runs
			l.nodeFailed(failed, startErr.Error(), hopeless(startErr))
		}
		return
	}
	err = l.commit(func(r *PodRecord) error {
		n := r.node(name)
		n.Handle, n.StartedAt, n.Endpoints, n.Revision = made.Handle, made.StartedAt, made.Endpoints, made.Revision
		n.ReadyAt = l.m.clock.wall()
		return n.become(pod.StateOnline, "")
	})
	if err != nil {
		run.startTry.failed(now)
		return // still starting, and resumed: starting is idempotent
	}
	run.ready, run.adopted = now, false
	delete(l.tries, rec.Host)
	took := now.Sub(run.ordered)
	l.booted(took)
	l.log.Info("node online", "node", name, "host", rec.Host, "took", took)
	l.m.events.emit(Event{Type: EventNodeOnline, Pod: l.name, Node: name, Host: rec.Host,
		Message: fmt.Sprintf("node %s is online after %s", name, took.Round(time.Millisecond))})
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
				return nil, fmt.Errorf("read secret %s: %w", s.Name, err)
			}
			values[s.Name] = data
			continue
		}
		value, ok := os.LookupEnv(s.FromEnv)
		if !ok {
			return nil, fmt.Errorf("read secret %s: %w", s.Name, errors.New("variable "+s.FromEnv+" is not set"))
		}
		values[s.Name] = pod.SecretValue(value)
	}
	return values, nil
}
