package cms

import (
	"context"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/pod"
)

// ports returns the config with spans around what its balancer and its runtimes
// do, other than being observed.
func (t tracing) ports(c Config) Config {
	if !t.on() {
		return c
	}
	open := c.OpenRuntime
	c.Balancer = tracedBalancer{c.Balancer, t}
	c.OpenRuntime = func(ctx context.Context, h pod.Host, cl pod.Cluster) (pod.Runtime, error) {
		rt, err := open(ctx, h, cl)
		if err != nil {
			return nil, err
		}
		return tracedRuntime{rt, t, h.Name}, nil
	}
	return c
}

type tracedBalancer struct {
	balancer.Balancer
	trace tracing
}

func (b tracedBalancer) SetFront(ctx context.Context, f balancer.Front) error {
	ctx, s := b.trace.begin(ctx, "balancer.set_front", about{front: f.Name})
	err := b.Balancer.SetFront(ctx, f)
	s.end(err)
	return err
}

func (b tracedBalancer) RemoveFront(ctx context.Context, name string) error {
	ctx, s := b.trace.begin(ctx, "balancer.remove_front", about{front: name})
	err := b.Balancer.RemoveFront(ctx, name)
	s.end(err)
	return err
}

func (b tracedBalancer) Apply(ctx context.Context, front string, want []balancer.Server) error {
	ctx, s := b.trace.begin(ctx, "balancer.apply", about{front: front})
	if s.recording() {
		ready := 0
		for _, w := range want {
			if w.State != balancer.Drain {
				ready++
			}
		}
		s.s.SetAttributes(keyServers.Int(len(want)), keyReady.Int(ready))
	}
	err := b.Balancer.Apply(ctx, front, want)
	s.end(err)
	return err
}

type tracedRuntime struct {
	pod.Runtime
	trace tracing
	host  string
}

func (r tracedRuntime) about(id pod.NodeID) about {
	return about{pod: id.Pod, node: id.Name, host: r.host}
}

func (r tracedRuntime) Start(ctx context.Context, req pod.StartRequest) (pod.Node, error) {
	ctx, s := r.trace.begin(ctx, "runtime.start", r.about(req.ID))
	n, err := r.Runtime.Start(ctx, req)
	s.end(err)
	return n, err
}

func (r tracedRuntime) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	ctx, s := r.trace.begin(ctx, "runtime.stop", r.about(id))
	tail, err := r.Runtime.Stop(ctx, id, grace)
	s.end(err)
	return tail, err
}

func (r tracedRuntime) Extras() pod.Extras {
	e := r.Runtime.Extras()
	if e.Preparer != nil {
		e.Preparer = tracedPreparer{e.Preparer, r.trace, r.host}
	}
	return e
}

type tracedPreparer struct {
	pod.Preparer
	trace tracing
	host  string
}

func (p tracedPreparer) Prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	ctx, s := p.trace.begin(ctx, "runtime.prepare", about{host: p.host})
	if s.recording() && w.Image != "" {
		s.s.SetAttributes(keyImage.String(w.Image))
	}
	made, err := p.Preparer.Prepare(ctx, w, digest, progress)
	s.end(err)
	return made, err
}
