package docker

import (
	"cmp"
	"context"
	"strings"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/elastipod/elastipod/pod"
)

// Watch implements [pod.Watcher], over the engine's stream of events.
func (r *Runtime) Watch(ctx context.Context, f func(pod.Event)) error {
	_, err := call(ctx, r, "watch nodes", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.watch(ctx, f)
	})
	return err
}

func (r *Runtime) watch(ctx context.Context, f func(pod.Event)) error {
	stream, cancel := context.WithCancel(ctx)
	messages, errs := r.api.Events(stream, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("event", string(events.ActionStart)),
		filters.Arg("event", string(events.ActionDie)),
		filters.Arg("event", string(events.ActionOOM)),
		filters.Arg("event", string(events.ActionHealthStatus)),
		filters.Arg("event", string(events.ActionPause)),
		filters.Arg("event", string(events.ActionUnPause)),
		filters.Arg("label", LabelClusterID+"="+r.cluster.ID),
	)})
	// The client's goroutine ends when it has closed errs.
	defer func() {
		cancel()
		for range errs {
		}
	}()
	for {
		select {
		case m := <-messages:
			r.tell(m, f)
		case err := <-errs:
			return cmp.Or(ctx.Err(), err)
		}
	}
}

// tell passes an event on. The container is inspected anew at the next
// observation, as it may have ended and started in between.
func (r *Runtime) tell(m events.Message, f func(pod.Event)) {
	labels := m.Actor.Attributes
	if !r.isNode(labels, labels["name"]) || labels[LabelClusterID] != r.cluster.ID {
		return
	}
	e := pod.Event{Node: nodeID(labels), Kind: pod.EventStarted}
	switch {
	case m.Action == events.ActionDie:
		e.Kind = pod.EventEnded
	case m.Action == events.ActionPause:
		e.Kind = pod.EventFrozen
	case m.Action == events.ActionUnPause:
		e.Kind = pod.EventThawed
	case m.Action == events.ActionOOM:
		r.mu.Lock()
		k := r.entry(m.Actor.ID)
		k.oom = true
		if k.exit != nil && k.exit.Code == killed { // it was seen before its reason was known
			exit := *k.exit
			exit.OOMKilled = true
			k.exit = &exit
		}
		r.mu.Unlock()
		return // if it ends by it, another event says so
	case strings.HasPrefix(string(m.Action), string(events.ActionHealthStatus)):
		e.Kind = pod.EventHealth
		f(e)
		return
	}
	r.mu.Lock()
	if k := r.known[m.Actor.ID]; k != nil {
		k.state = ""
	}
	r.mu.Unlock()
	f(e)
}
