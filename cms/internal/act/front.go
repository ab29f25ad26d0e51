package act

import (
	"context"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
)

const applyTimeout = 30 * time.Second

func (p *Ports) setFront(ctx context.Context, a reconcile.SetFront) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.FrontEnded, Front: &a.Front, Cause: a.Cause}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	sctx, span := p.Tracing.Begin(ctx, "balancer.set_front", 0, KeyFront.String(a.Front.Name))
	err := p.Balancer.SetFront(sctx, a.Front.Front)
	span.End(err)
	if err != nil {
		r.Fault = faults.Or(reconcile.FaultBalancer, err)
		return r
	}
	r.Step = reconcile.StepSet
	if a.Apply {
		p.serve(ctx, &r, a.Front.Name, a.Servers)
	}
	return r
}

func (p *Ports) apply(ctx context.Context, a reconcile.Apply) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.FrontEnded, Cause: a.Cause}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	p.serve(ctx, &r, a.Front, a.Servers)
	return r
}

// serve sets the servers of a front.
func (p *Ports) serve(ctx context.Context, r *reconcile.Result, front string, servers []balancer.Server) {
	ctx, span := p.Tracing.Begin(ctx, "balancer.apply", 0, KeyFront.String(front))
	if span.Recording() {
		ready := 0
		for _, s := range servers {
			if s.State != balancer.Drain {
				ready++
			}
		}
		span.Set(KeyServers.Int(len(servers)), KeyReady.Int(ready))
	}
	err := p.Balancer.Apply(ctx, front, servers)
	span.End(err)
	if r.Fault = faults.Or(reconcile.FaultBalancer, err); err == nil {
		r.Step, r.Served = reconcile.StepApplied, servers
	}
}

func (p *Ports) removeFront(ctx context.Context, a reconcile.RemoveFront) reconcile.Result {
	err := RemoveFront(ctx, p, a.Front)
	return reconcile.Result{Key: a.Key(), Kind: reconcile.RemoveEnded, Fault: faults.Or(reconcile.FaultBalancer, err), Cause: a.Cause}
}

// RemoveFront removes a front from the balancer.
func RemoveFront(ctx context.Context, p *Ports, name string) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	ctx, span := p.Tracing.Begin(ctx, "balancer.remove_front", 0, KeyFront.String(name))
	err := p.Balancer.RemoveFront(ctx, name)
	span.End(err)
	return err
}
