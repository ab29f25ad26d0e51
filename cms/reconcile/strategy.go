package reconcile

import "github.com/elastipod/elastipod/cms/state"

// Rule is what the numbers of a pod's nodes follow, beside the numbers
// themselves.
type Rule struct {
	Want, MaxNodes int          // how many nodes there should be, and may be at most
	Update         state.Update // how nodes are replaced
	Rolling        bool         // a rollout is under way
	Paused         bool         // by a person
	Share          Share        // of new nodes, which a paused rollout keeps; zero where it is not known
	Step           int          // of the rollout
	Room           bool         // a host has room for one more node
	Swap           bool         // a node fits where an old one is, once that is gone
	SwapHung       bool         // and that one does not answer
	Stuck          bool         // what is started now could not take anybody's place
}

// Moves is what to do about the numbers: how many nodes to start and to drain.
type Moves struct {
	StartFresh, StartOld int  // StartOld run what the rollout replaces
	DrainFresh, DrainOld int  // how many nodes to drain of each kind
	GiveWay              bool // drain one old node whose replacement only fits in its place
	Waits                bool // the only ready node would have to go first, and must not
	Short                int  // how many new nodes max_nodes leaves room for, where that is fewer than wanted; else 0
}

// Moves returns what brings the nodes closer to the rule.
func (r Rule) Moves(c Census) Moves {
	steps := r.Update.Steps
	switch {
	case r.Want == 0:
		return Moves{DrainFresh: c.Fresh + c.Overdue, DrainOld: c.Old}
	case r.Rolling && r.Paused:
		return r.hold(c)
	case r.keepsOld(c), c.Old > 0 && r.atStep():
		return r.canary(c, steps[r.Step].Weight)
	case c.Old == 0:
		return r.settle(c)
	case r.Rolling && r.Update.Strategy == state.BlueGreen && r.Step == 0 && r.MaxNodes > c.Old && (c.Fresh > 0 || !r.full(c)):
		return r.blueGreen(c)
	}
	return r.roll(c)
}

// atStep says that a canary is at one of its steps.
func (r Rule) atStep() bool {
	return r.Rolling && r.Update.Strategy == state.Canary && r.Step < len(r.Update.Steps)
}

// keepsOld says that old nodes should be there beside the new ones of a canary's
// step, also where all of them died.
func (r Rule) keepsOld(c Census) bool {
	if r.Want == 0 || !r.atStep() {
		return false
	}
	fresh, old := canaryShare(r.Update.Steps[r.Step].Weight, r.Want, r.MaxNodes)
	return old > 0 && c.Fresh <= fresh
}

// settle brings nodes that are all alike to the wanted number.
func (r Rule) settle(c Census) Moves {
	if c.Fresh > r.Want {
		return Moves{DrainFresh: c.Fresh - r.Want}
	}
	return Moves{StartFresh: r.upTo(r.Want-c.Fresh, c)}
}

// upTo bounds a number of nodes to start by the pod's limit.
func (r Rule) upTo(n int, c Census) int { return max(min(n, r.MaxNodes-c.Launched()), 0) }

// keepsOne says that the last ready node must stay until a new one is proven:
// there is one on its way, or could be, or nodes may never be fewer than wanted.
// most is how many nodes there may be.
func (r Rule) keepsOne(c Census, most int) bool {
	beside := most > r.Want || c.Live() < most && c.Launched() < r.MaxNodes
	return c.Fresh > 0 || beside && r.Room || r.Update.MaxUnavailable == 0
}

// mayGiveWay says whether an old node may go before its replacement is there: one
// ready node less than wanted is enough, or as many less as the update allows.
func (r Rule) mayGiveWay(c Census, most int) bool {
	if r.SwapHung {
		return true
	}
	ready := c.FreshReady + c.OldReady - 1
	return ready >= r.Want-max(r.Update.MaxUnavailable, 1) && spareOld(1, c, r.keepsOne(c, most)) > 0
}

// packed says that hosts have no room for a new node, and that nothing under way
// changes that.
func (r Rule) packed(c Census) bool {
	return !r.Room && !r.Stuck && c.Live() >= r.Want && c.Starting == 0 && c.Draining == 0
}

// full says that hosts have room for a new node only where an old one is.
func (r Rule) full(c Census) bool { return r.packed(c) && r.Swap }

// replaceInPlace has an old node make room for its replacement, where hosts are
// full.
func (r Rule) replaceInPlace(c Census, most int) (m Moves) {
	m.GiveWay = r.mayGiveWay(c, most)
	m.Waits = !m.GiveWay && c.Fresh == c.FreshReady
	return m
}

// spareOld bounds a number of old online nodes to drain, so that one ready node
// stays where it must.
func spareOld(n int, c Census, keepOne bool) int {
	if keepOne && c.FreshReady == 0 && c.OldReady > 0 {
		n = min(n, c.OldOnline-1)
	}
	return max(min(n, c.OldOnline), 0)
}

// most is how many nodes there may be while some are replaced.
func (r Rule) most() int { return max(min(r.Want+max(r.Update.MaxSurge, 0), r.MaxNodes), r.Want) }

// roll replaces old nodes a few at a time.
func (r Rule) roll(c Census) (m Moves) {
	most := r.most()
	surge := most > r.Want
	keepOne := r.keepsOne(c, most)
	least := r.Want - r.Update.MaxUnavailable
	if !surge {
		least = min(least, r.Want-1) // one goes first
	}
	if surge && r.full(c) && c.Fresh < r.Want && c.Live() < most {
		return r.replaceInPlace(c, most)
	}
	ready := c.FreshReady + c.OldOnline
	spare := max(ready-least, 0)
	if r.Stuck {
		spare = min(spare, max(ready-r.Want, 0)) // nothing could take their place now
	}
	gone := spareOld(spare, c, keepOne)
	m.Waits = !surge && gone == 0 && spare > 0 && c.Fresh == 0 && c.OldReady > 0 && c.Live() >= most
	ready -= gone
	live := c.Live() - (c.Old - c.OldOnline) - gone // old ones that are not online go in any case
	m.DrainOld = c.Old - c.OldOnline + gone
	if excess := live - most; excess > 0 {
		more := min(excess, max(ready-max(least, 1), 0), spareOld(c.OldOnline, c, true)-gone)
		m.DrainOld += more
		m.DrainFresh = min(excess-more, c.Fresh)
		return m
	}
	m.StartFresh = r.upTo(min(r.Want-c.Fresh, most-live), c)
	return m
}

// hold keeps a paused rollout where it is: old and new nodes follow the wanted
// number in the proportion that they have, and nothing moves over.
func (r Rule) hold(c Census) (m Moves) {
	if r.Update.Strategy == state.BlueGreen && r.Step == 0 { // the new ones take no requests yet
		m.StartOld = r.upTo(r.Want-c.Old, c)
		m.DrainOld, m.DrainFresh = max(c.Old-r.Want, 0), max(c.Fresh-r.Want, 0)
		return m
	}
	live := c.Live()
	if live >= r.Want && live <= r.most() {
		return m
	}
	if live > r.Want {
		fresh := r.Want * c.Fresh / live
		m.DrainFresh, m.DrainOld = c.Fresh-fresh, c.Old-(r.Want-fresh)
		return r.sparing(m, c)
	}
	fresh := max(r.Want*r.Share.Fresh/max(r.Share.Live, 1), c.Fresh)
	fresh = min(fresh, r.Want-1) // at least one old: it is proven
	missing := r.upTo(r.Want-live, c)
	m.StartOld = min(max(r.Want-fresh-c.Old, 0), missing)
	m.StartFresh = min(fresh-c.Fresh, missing-m.StartOld)
	return m
}

// held says that a rollout is kept where it is: it is paused, or at a step of a
// canary.
func (r Rule) held() bool {
	return r.Want > 0 && r.Rolling && (r.Paused || r.atStep())
}

// replace replaces nodes that must go though the rollout is held, by ones of what
// is proven. Here those that must go are the old ones.
func (r Rule) replace(c Census) Moves {
	r.MaxNodes, c.Overdue = r.MaxNodes-c.Overdue, 0 // which are not replaced
	m := r.roll(c)
	return Moves{StartOld: m.StartFresh, DrainOld: m.DrainOld, GiveWay: m.GiveWay, Waits: m.Waits}
}

// sparing drains fewer nodes where too few ready ones would be left. Those that
// are not ready go first.
func (r Rule) sparing(m Moves, c Census) Moves {
	ready := c.FreshReady + c.OldReady
	least := min(max(r.Want-r.Update.MaxUnavailable, 1), ready)
	fresh, old := max(m.DrainFresh-(c.Fresh-c.FreshReady), 0), max(m.DrainOld-(c.Old-c.OldReady), 0)
	short := max(least-(ready-fresh-old), 0)
	spared := min(short, fresh)
	m.DrainFresh -= spared
	m.DrainOld -= min(short-spared, old)
	return m
}

// canary keeps the share of new nodes that a step has.
func (r Rule) canary(c Census, weight int) (m Moves) {
	fresh, old := canaryShare(weight, r.Want, r.MaxNodes)
	switch {
	case c.Fresh < fresh && c.FreshReady < c.Fresh && r.packed(c): // one after the other
	case c.Fresh < fresh && c.Launched() < r.MaxNodes && r.full(c):
		return r.replaceInPlace(c, r.MaxNodes)
	case c.Fresh < fresh && r.packed(c) && c.FreshReady+c.OldReady > r.Want:
		m.DrainOld = spareOld(1, c, true)
	case c.Fresh < fresh && c.Launched() < r.MaxNodes:
		m.StartFresh = r.upTo(fresh-c.Fresh, c)
		m.StartOld = max(min(old-c.Old, r.upTo(r.Want-c.Live(), c)-m.StartFresh), 0)
		m.DrainOld = max(c.Old-r.Want, 0) // fewer are wanted than when it began
	case c.Fresh < fresh: // no room for a surge: one goes first
		if c.Starting == 0 && c.Overdue == 0 && c.Draining == 0 && c.FreshReady == c.Fresh {
			m.DrainOld = spareOld(1, c, r.Update.MaxUnavailable == 0)
			m.Waits = m.DrainOld == 0
		}
	case c.FreshReady >= fresh && c.Old > old:
		m.DrainOld = c.Old - old
	case c.Old > r.Want: // fewer are wanted than when it began
		m.DrainOld = c.Old - r.Want
	case c.Old < old && c.Launched() < r.MaxNodes && (r.Room || c.Live() < r.Want):
		m.StartOld = r.upTo(old-c.Old, c)
	case c.Fresh > fresh && c.Live() > fresh+old:
		// Of the new ones: an old one would have to be started again.
		m.DrainFresh = min(c.Fresh-fresh, c.Live()-fresh-old)
		return r.sparing(m, c)
	}
	return m
}

// canaryShare returns how many new and old nodes a step has: as many as wanted
// together, and at least one of each, where the pod may have two.
func canaryShare(weight, want, maxNodes int) (fresh, old int) {
	fresh = max(min((weight*want+99)/100, want-1), 1)
	old = max(want-fresh, 1)
	if fresh+old > maxNodes {
		old = 0
	}
	return fresh, old
}

// blueGreen starts a whole set of new nodes beside the old ones, or as many as
// hosts have room for. While only the old ones take requests, they are not drained
// for the new ones.
func (r Rule) blueGreen(c Census) (m Moves) {
	room := r.MaxNodes - c.Old
	if room < r.Want {
		m.Short = room
	}
	m.DrainOld, m.DrainFresh = max(c.Old-r.Want, 0), max(c.Fresh-r.Want, 0)
	if goal := min(r.Want, room); c.Fresh < goal && !r.full(c) {
		m.StartFresh = r.upTo(goal-c.Fresh, c)
	}
	return m
}
