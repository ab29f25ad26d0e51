package haproxy

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/balancer/balancertest"
)

// One set of servers takes over from another one in a single change, as in a
// blue-green rollout: there is no moment in which none takes requests.
func TestHandOverInOneChange(t *testing.T) {
	b := openBalancer(t)
	f := balancer.Front{Name: "web", Listen: balancertest.FreeAddr(t)}
	setFront(t, b, f)
	n := newNode(t, "n")
	set := func(first string, state balancer.ServerState) (out []balancer.Server) {
		for i := range 40 {
			out = append(out, balancer.Server{Name: fmt.Sprintf("%s%d", first, i), Addr: n.addr, State: state})
		}
		return out
	}
	apply(t, b, "web", set("a", balancer.Ready)...)
	l := startLoad(t, f.Listen, 300, "GET", "POST")
	// The old set is the first by name, and then the last.
	for old, fresh := "a", "z"; l.sent.Load() < 900; old, fresh = fresh, old {
		apply(t, b, "web", append(set(old, balancer.Drain), set(fresh, balancer.Ready)...)...)
		require.Eventually(t, func() bool {
			for _, s := range observe(t, b, "web").Servers {
				if s.State == balancer.Drain && s.InFlight > 0 {
					return false
				}
			}
			return true
		}, 10*time.Second, 5*time.Millisecond, "the old ones finish what they have")
		apply(t, b, "web", set(fresh, balancer.Ready)...)
	}
	l.end(t)
}
