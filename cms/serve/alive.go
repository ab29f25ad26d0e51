package serve

import (
	"cmp"
	"fmt"
	"time"

	"github.com/elastipod/elastipod/cms"
)

// progress tells a manager that works from one that hangs: every pod's loop and
// the balancer's poller must get further. It goes by what it sees move, not by
// times that others wrote, so that a clock that is set means nothing. Hosts do not
// count: one that is slow holds up its own poller only, and a restart would not
// mend it. One goroutine uses it.
type progress struct {
	patience time.Duration // for a loop to get further
	pods     map[string]mark
	balancer mark
}

// mark is how far something was, and since when.
type mark struct {
	at    uint64
	since time.Time
}

func (m mark) moved(at uint64, now time.Time) mark {
	if m.since.IsZero() || m.at != at {
		return mark{at, now}
	}
	return m
}

// newProgress gives loops time for a few turns, and for what may hold one up: a
// store on a busy disk, or a machine that is out of breath.
func newProgress(watchdog, tick time.Duration) *progress {
	return &progress{patience: max(watchdog/2, 5*cmp.Or(tick, cms.DefaultTick)), pods: map[string]mark{}}
}

// check returns what hangs, or nil.
func (p *progress) check(now time.Time, pods []cms.PodStatus, balancer cms.BalancerStatus) error {
	seen := make(map[string]mark, len(pods))
	for _, s := range pods {
		seen[s.Spec.Name] = p.pods[s.Spec.Name].moved(s.LastTick.Seq, now)
	}
	p.pods = seen // those that are gone are forgotten
	for name, m := range seen {
		if still := now.Sub(m.since); still > p.patience {
			return fmt.Errorf("the loop of pod %s has stood still for %s", name, still.Round(time.Millisecond))
		}
	}
	if !balancer.Fault.OK() {
		p.balancer = mark{} // it is asked, and says no
		return nil
	}
	p.balancer = p.balancer.moved(uint64(balancer.At.UnixNano()), now)
	// An answer of the balancer may take its time.
	if still := now.Sub(p.balancer.since); still > p.patience+balancerPatience {
		return fmt.Errorf("the balancer has not been observed for %s", still.Round(time.Millisecond))
	}
	return nil
}

// balancerPatience is longer than the manager waits for the balancer.
const balancerPatience = 15 * time.Second
