package docker

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// With cgroup v1 an engine may learn of a death before it learns that memory was
// the reason: the event says it, whether it comes before the death or after.
func TestOutOfMemoryIsKnownFromItsEvent(t *testing.T) {
	for name, c := range map[string]struct {
		before, after bool // when the event comes
		code          int
		want          string
	}{
		"before":             {true, false, 137, "out of memory (killed at its memory limit)"},
		"after":              {false, true, 137, "out of memory (killed at its memory limit)"},
		"long after":         {false, false, 137, "killed by signal 9"},
		"none":               {false, false, 137, "killed by signal 9"},
		"of another process": {true, false, 1, "exit code 1"},
		"of its life before": {true, false, 137, "killed by signal 9"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine()
				e.events = make(chan events.Message)
				r := e.open(t)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- r.Watch(ctx, func(pod.Event) {}) }()
				n, err := r.Start(t.Context(), startRequest())
				require.NoError(t, err)
				told := func(a events.Action) events.Message {
					attributes := maps.Clone(e.containers[n.Handle].config.Labels)
					attributes["name"] = e.containers[n.Handle].name
					return events.Message{Action: a, Actor: events.Actor{ID: n.Handle, Attributes: attributes}}
				}
				oom := func() {
					e.events <- told(events.ActionOOM)
					synctest.Wait()
				}
				if c.before {
					oom()
				}
				if name == "of its life before" {
					time.Sleep(time.Second)
					require.NoError(t, e.ContainerStart(t.Context(), n.Handle, container.StartOptions{}))
					r.tell(told(events.ActionStart), func(pod.Event) {})
					_, err := r.Observe(t.Context())
					require.NoError(t, err)
				}
				e.mu.Lock()
				e.exit(e.containers[n.Handle], c.code)
				e.mu.Unlock()
				if c.after {
					go func() {
						time.Sleep(10 * time.Millisecond)
						oom()
					}()
				}
				s, err := r.Observe(t.Context())
				require.NoError(t, err)
				require.NotNil(t, s.Nodes[0].Exit)
				assert.Equal(t, c.want, s.Nodes[0].Exit.Reason())
				if name == "long after" {
					time.Sleep(time.Minute)
					oom()
					s, err = r.Observe(t.Context())
					require.NoError(t, err)
					assert.Equal(t, "out of memory (killed at its memory limit)", s.Nodes[0].Exit.Reason())
				}
				cancel()
				<-ended
			})
		})
	}
}
