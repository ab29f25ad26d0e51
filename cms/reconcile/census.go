package reconcile

import (
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// Census counts the launched nodes of a pod, without those that are lost. Fresh
// ones are as they should be, old ones should be replaced.
type Census struct {
	Fresh, FreshReady int // FreshReady are online and proven
	Old               int // those that should be replaced
	OldOnline         int // of these, the ones that are online
	OldReady          int // online and proven, and they do not hang
	Starting          int // of both
	Overdue           int // wanted ones whose start takes too long; counted nowhere else
	Draining          int // nodes that are ending
}

// Live is how many nodes count as launched.
func (c Census) Live() int { return c.Fresh + c.Old }

// Launched is how many nodes there are against the pod's limit.
func (c Census) Launched() int { return c.Live() + c.Overdue }

// heldOld says that a node runs what a rollout that is held replaces, so that it is
// started on purpose.
func (t *turn) heldOld(n *state.Node) bool {
	r, u := t.pod.Rolling(), t.pod.Spec.Update
	return r != nil && n.Revision == r.From && (r.State == state.RolloutPaused || u.Strategy == state.Canary && r.Step < len(u.Steps))
}

func (t *turn) census() Census {
	return t.censusOf(t.stale, func(n *state.Node) bool { return t.overdue(n) && (!t.stale(n) || t.heldOld(n)) })
}

// censusUnfit counts, for a rollout that is held where it is, the nodes that must
// go all the same as old and all others as fresh. Those that take no requests yet
// are not counted on.
func (t *turn) censusUnfit() Census {
	return t.censusOf(t.unfitHeld, func(n *state.Node) bool { return !t.unfitHeld(n) && (t.overdue(n) || t.withheld(n)) })
}

// unfitHeld says that a node must go though the rollout is held where it is. What a
// canary shows is up to its step.
func (t *turn) unfitHeld(n *state.Node) bool {
	r := t.pod.Rolling()
	return t.unfit(n) != "" && (r.State == state.RolloutPaused || n.Revision != r.To)
}

// censusOf counts nodes: which ones are old, and which ones are on their way but
// not to be waited for.
func (t *turn) censusOf(isOld, aside func(*state.Node) bool) (c Census) {
	for i := range t.pod.Nodes {
		n := &t.pod.Nodes[i]
		if n.State == pod.StateDraining {
			c.Draining++
		}
		if !n.Live() || t.lost(n) {
			continue
		}
		if aside(n) {
			c.Overdue++
			continue
		}
		if n.State == pod.StateStarting {
			c.Starting++
		}
		if !isOld(n) {
			c.Fresh++
			if t.proven(n) {
				c.FreshReady++
			}
			continue
		}
		c.Old++
		if n.State == pod.StateOnline {
			c.OldOnline++
			if t.hung(n) == "" && t.proven(n) {
				c.OldReady++
			}
		}
	}
	return c
}
