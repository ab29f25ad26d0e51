package process

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// rescan is how often Watch looks for nodes that another manager started. What
// this runtime starts it sees at once, and the end of any node too.
const rescan = time.Second

// Watch implements [pod.Watcher].
func (r *Runtime) Watch(ctx context.Context, f func(pod.Event)) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return fmt.Errorf("watch processes: %w", errClosed)
	}
	r.wg.Add(1)
	wake := make(chan struct{}, 1)
	r.watchers[wake] = struct{}{}
	r.mu.Unlock()
	defer r.wg.Done()
	defer func() {
		r.mu.Lock()
		delete(r.watchers, wake)
		r.mu.Unlock()
	}()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.ctx, cancel)
	defer stop()
	w := &watch{r: r, f: f, running: map[pod.NodeID]string{}, ends: make(chan run)}
	defer w.wg.Wait()
	defer cancel()
	w.scan(ctx, false)
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if r.ctx.Err() != nil {
				return fmt.Errorf("watch processes: %w", errClosed)
			}
			return fmt.Errorf("watch processes: %w", ctx.Err())
		case <-wake:
			w.scan(ctx, true)
		case <-tick.C:
			w.scan(ctx, true)
		case e := <-w.ends:
			if w.running[e.id] == e.mark {
				delete(w.running, e.id)
			}
			f(pod.Event{Node: e.id, Kind: pod.EventEnded})
		}
	}
}

// run is one run of a node.
type run struct {
	id   pod.NodeID
	mark string
}

type watch struct {
	r       *Runtime
	f       func(pod.Event)
	wg      sync.WaitGroup // one goroutine for each running node
	running map[pod.NodeID]string
	ends    chan run
}

// scan looks for runs that are not watched yet.
func (w *watch) scan(ctx context.Context, tell bool) {
	nodes, _, err := w.r.entries(w.r.cfg.Cluster.ID)
	if err != nil {
		return
	}
	for _, id := range nodes {
		s, err := readState(w.r.nodeDir(id))
		if err != nil || !w.r.runs(s) || w.running[id] == s.Mark {
			continue
		}
		p, err := openProc(s.Supervisor)
		if err != nil {
			continue
		}
		w.running[id] = s.Mark
		w.wg.Go(func() {
			defer p.close()
			if p.wait(ctx) != nil {
				return
			}
			select {
			case w.ends <- run{id, s.Mark}:
			case <-ctx.Done():
			}
		})
		if tell {
			w.f(pod.Event{Node: id, Kind: pod.EventStarted})
		}
	}
}
