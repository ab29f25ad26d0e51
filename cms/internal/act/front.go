package act

import (
	"context"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms/internal/faults"
	"github.com/elastipod/elastipod/cms/reconcile"
)

const applyTimeout = 30 * time.Second

type setFront struct{ reconcile.SetFront }

func (a setFront) Do(ctx context.Context, p *Ports) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.FrontEnded, Front: &a.Front, Cause: a.Cause}
	ctx, cancel := context.WithTimeout(Below(ctx, a.Cause), applyTimeout)
	defer cancel()
	sctx, span := p.Tracing.Begin(ctx, "balancer.set_front", 0, KeyFront.String(a.Front.Name))
	err := p.Balancer.SetFront(sctx, a.Front.Front)
	span.End(err)
	if err != nil {
		r.Fault = faults.Or(reconcile.FaultBalancer, err)
		return r
	}
	r.Step = reconcile.StepSet
	if a.SetFront.Apply {
		serve(ctx, p, &r, a.Front.Name, a.Servers)
	}
	return r
}

type apply struct{ reconcile.Apply }

func (a apply) Do(ctx context.Context, p *Ports) reconcile.Result {
	r := reconcile.Result{Key: a.Key(), Kind: reconcile.FrontEnded, Cause: a.Cause}
	ctx, cancel := context.WithTimeout(Below(ctx, a.Cause), applyTimeout)
	defer cancel()
	serve(ctx, p, &r, a.Front, a.Servers)
	return r
}

// serve sets the servers of a front.
func serve(ctx context.Context, p *Ports, r *reconcile.Result, front string, servers []balancer.Server) {
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

type removeFront struct{ reconcile.RemoveFront }

func (a removeFront) Do(ctx context.Context, p *Ports) reconcile.Result {
	err := RemoveFront(Below(ctx, a.Cause), p, a.Front)
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
