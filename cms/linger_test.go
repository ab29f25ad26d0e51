package cms_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/pod"
)

// A node that ended gets no new requests at once, and is removed from the
// balancer once the requests that it had are tried elsewhere: to remove it with
// them would cut them.
func TestRequestsOfADeadNodeAreNotCut(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"online":   func(w *world) { w.kill("n1") },
		"draining": func(w *world) { _, _ = w.RemoveNode(w.t.Context(), "web", "n1"); time.Sleep(time.Second); w.kill("n1") },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
				w.pod(3)
				time.Sleep(time.Second)
				w.balancer.SetInFlight("web", "n1", 4)
				end(w)
				time.Sleep(10 * time.Millisecond)
				assert.Equal(t, []string{"n1"}, w.servers(balancer.Drain), "no new requests at once")
				assert.NotContains(t, w.servers(balancer.Ready), "n1")
				time.Sleep(200 * time.Millisecond) // HAProxy tries them on another server
				w.balancer.SetInFlight("web", "n1", 0)
				time.Sleep(200 * time.Millisecond)
				assert.Empty(t, w.servers(balancer.Drain))
				assert.Zero(t, w.balancer.Cut())
				s := w.converge()
				assert.NotContains(t, names(s, pod.StateOnline), "n1")
				w.assertConsistent()
			})
		})
	}
}

// What nobody answers for is cut in the end.
func TestDeadNodeIsForgottenByTheBalancer(t *testing.T) {
	inWorld(t, []string{"a"}, func(t *testing.T, w *world) {
		w.pod(2)
		time.Sleep(time.Second)
		w.balancer.SetInFlight("web", "n1", 1)
		w.kill("n1")
		time.Sleep(900 * time.Millisecond)
		assert.Equal(t, []string{"n1"}, w.servers(balancer.Drain))
		time.Sleep(200 * time.Millisecond)
		assert.Empty(t, w.servers(balancer.Drain))
		w.wait("converged", func(s cms.PodStatus) bool { return s.Converged })
		w.assertConsistent()
	})
}
