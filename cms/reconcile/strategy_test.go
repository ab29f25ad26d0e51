package reconcile

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/cms/state"
)

// drawRule returns any rule of a pod that wants a node.
func drawRule(t *rapid.T) Rule {
	r := Rule{
		Want: rapid.IntRange(1, 5).Draw(t, "want"),
		Update: state.Update{
			Strategy:       rapid.SampledFrom([]state.UpdateStrategy{state.Rolling, state.Canary, state.BlueGreen}).Draw(t, "strategy"),
			MaxSurge:       rapid.SampledFrom([]int{-1, 1, 2, 5}).Draw(t, "surge"),
			MaxUnavailable: rapid.IntRange(0, 3).Draw(t, "unavailable"),
		},
		Rolling: rapid.Bool().Draw(t, "rolling"),
		Step:    rapid.IntRange(0, 1).Draw(t, "step"),
		Room:    rapid.Bool().Draw(t, "room"), Swap: rapid.Bool().Draw(t, "swap"), Stuck: rapid.Bool().Draw(t, "stuck"),
	}
	r.Share.Fresh = rapid.IntRange(0, 4).Draw(t, "share")
	r.Share.Live = r.Share.Fresh + rapid.IntRange(0, 4).Draw(t, "of more")
	r.MaxNodes = r.Want + rapid.IntRange(0, 3).Draw(t, "more")
	r.Paused = r.Rolling && rapid.Bool().Draw(t, "paused")
	if r.Update.MaxSurge < 0 && r.Update.MaxUnavailable == 0 { // refused by Update.Validate
		r.Update.MaxUnavailable = 1
	}
	if r.Update.Strategy == state.Canary {
		r.Update.Steps = []state.CanaryStep{{Weight: rapid.IntRange(1, 99).Draw(t, "weight")}}
	}
	return r
}

// censuses calls f with every census of up to 4 new and 4 old nodes.
func censuses(f func(Census)) {
	for fresh := range 5 {
		for ready := range fresh + 1 {
			for starting := range fresh - ready + 1 {
				for old := range 5 {
					for online := range old + 1 {
						for oldReady := range online + 1 {
							for others := range 4 {
								f(Census{
									Fresh: fresh, FreshReady: ready, Old: old, OldOnline: online, OldReady: oldReady,
									Starting: starting + old - online, Overdue: others % 2, Draining: others / 2,
								})
							}
						}
					}
				}
			}
		}
	}
}

// drained returns how many ready nodes are left of the new and of the old ones.
// Those that start go first, then those that do not answer or are not proven.
func drained(r Rule, c Census, m Moves) (fresh, old int) {
	fresh, old = c.FreshReady, c.OldReady
	online := c.OldOnline
	if m.GiveWay {
		online--
		if !r.SwapHung {
			old--
		}
	}
	old = min(old, max(online-max(m.DrainOld-(c.Old-c.OldOnline), 0), 0))
	return min(fresh, c.Fresh-m.DrainFresh), old
}

// anyMoves checks the moves of any rule in any situation.
func anyMoves(t *testing.T, check func(r Rule, c Census, m Moves) string) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRule(t)
		censuses(func(c Census) {
			r.SwapHung = c.OldReady < c.OldOnline
			m := r.Moves(c)
			if why := check(r, c, m); why != "" {
				t.Fatalf("%s\n%+v\n%+v\n%+v", why, r, c, m)
			}
		})
	})
}

func TestMovesNeverExceedMaxNodes(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		if more := m.StartFresh + m.StartOld; more > 0 && c.Launched()+more > r.MaxNodes {
			return "more than max_nodes"
		}
		return ""
	})
}

func TestMovesDrainWhatIsThere(t *testing.T) {
	anyMoves(t, func(_ Rule, c Census, m Moves) string {
		switch {
		case min(m.StartFresh, m.StartOld, m.DrainFresh, m.DrainOld) < 0:
			return "less than none"
		case m.DrainFresh > c.Fresh || m.DrainOld > c.Old:
			return "more are drained than there are"
		case m.StartFresh > 0 && m.DrainFresh > 0, m.StartOld > 0 && m.DrainOld > 0:
			return "a node is started for one that is drained"
		}
		return ""
	})
}

// There are never fewer ready nodes than the update allows, however many are
// wanted, whether a rollout is under way or not.
func TestMovesLeaveAsManyReadyAsTheUpdateAllows(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		fresh, old := drained(r, c, m)
		least := r.Want - r.Update.MaxUnavailable
		if r.most() == r.Want || m.GiveWay { // no room for a surge: one goes first
			least = min(least, r.Want-1)
		}
		if fresh+old < min(c.FreshReady+c.OldReady, least) {
			return "too few ready nodes are left"
		}
		return ""
	})
}

// The last ready node stays while another one is on its way, or could be, and in
// any case where none may be unavailable.
func TestMovesLeaveTheLastReadyNode(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		fresh, old := drained(r, c, m)
		beside := r.Room && (r.most() > r.Want || c.Live() < r.Want && c.Launched() < r.MaxNodes)
		if c.FreshReady+c.OldReady > 0 && fresh+old == 0 && (r.Update.MaxUnavailable == 0 || c.Fresh > 0 || beside) {
			return "the last ready node goes"
		}
		return ""
	})
}

// A paused rollout moves nothing over, in neither direction: it follows the wanted
// number in the proportion that it has, or had before nodes died.
func TestMovesOfAPausedRollout(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		if !r.Paused || r.Update.Strategy == state.BlueGreen && r.Step == 0 {
			return ""
		}
		drains, starts := m.DrainFresh+m.DrainOld, m.StartFresh+m.StartOld
		fresh, live := c.Fresh+m.StartFresh-m.DrainFresh, c.Live()+starts-drains
		share := r.Want * c.Fresh / max(c.Live(), 1)
		kept := min(r.Want*r.Share.Fresh/max(r.Share.Live, 1), r.Want-1)
		switch {
		case m.GiveWay || m.Waits:
			return "a node is replaced"
		case drains > 0 && starts > 0:
			return "some are started for others"
		case drains > 0 && live < r.Want, starts > 0 && live > r.Want:
			return "not the wanted number"
		case m.StartFresh > 0 && fresh > kept:
			return "the share of new nodes grows"
		case starts > 0 && c.Old > 0 && fresh < kept && (m.StartOld > 0 || live < r.Want) && c.Launched()+starts < r.MaxNodes:
			return "the share of new nodes falls"
		case drains > 0 && live == r.Want && fresh != share:
			return "not in proportion"
		}
		if drains > 0 && live > r.Want { // where more went too few would be ready
			freshReady, oldReady := drained(r, c, m)
			if freshReady+oldReady > max(r.Want-r.Update.MaxUnavailable, 1) {
				return "more could go"
			}
		}
		return ""
	})
}

// A canary does not take a second old node before its first new one is proven.
func TestMovesOfACanaryTakeOneNodeFirst(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		canary := r.Rolling && !r.Paused && r.Update.Strategy == state.Canary && r.Step < len(r.Update.Steps)
		gone := m.DrainOld
		if m.GiveWay {
			gone++
		}
		if canary && c.FreshReady == 0 && c.Old-gone < min(c.Old, r.Want-1) {
			return "a second old node"
		}
		return ""
	})
}

// Before a blue-green rollout changes over, the old nodes are not drained for the
// new ones, which take no requests yet; but for the first one, where hosts are full.
func TestMovesOfBlueGreenKeepTheOldOnesServing(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		before := r.Rolling && r.Update.Strategy == state.BlueGreen && r.Step == 0 && c.Old < r.MaxNodes
		before = before && (c.Fresh > 0 || !r.full(c))
		if before && c.Old > 0 && c.Old-m.DrainOld < min(c.Old, r.Want) {
			return "an old node goes"
		}
		return ""
	})
}

// Who waits for room does nothing else, and is right: the only ready node would
// have to go first.
func TestMovesWaitOnlyForTheLastReadyNode(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		switch {
		case !m.Waits:
		case m.GiveWay || m.DrainFresh > 0 || m.DrainOld > c.Old-c.OldOnline:
			return "it drains"
		case c.FreshReady > 0 || c.OldReady > 1:
			return "others are ready"
		case r.Update.MaxUnavailable > 0 && c.Fresh == 0 && c.OldReady > 0:
			return "it may be unavailable"
		}
		return ""
	})
}

// A pod that is as it should be is left alone; one that wants nothing ends.
func TestMovesAtRest(t *testing.T) {
	anyMoves(t, func(r Rule, c Census, m Moves) string {
		blueGreen := r.Paused && r.Update.Strategy == state.BlueGreen && r.Step == 0 // it wants its old nodes back
		if c.Old == 0 && c.Fresh == r.Want && m != (Moves{}) && !blueGreen && !r.keepsOld(c) {
			return "it is as it should be"
		}
		r.Want = 0
		if m := r.Moves(c); m != (Moves{DrainFresh: c.Fresh + c.Overdue, DrainOld: c.Old}) {
			return fmt.Sprintf("none is wanted: %+v", m)
		}
		return ""
	})
}

func TestMoves(t *testing.T) {
	rolling := func(want, most, surge, unavailable int) Rule {
		return Rule{Want: want, MaxNodes: most, Rolling: true, Room: true, Update: state.Update{Strategy: state.Rolling, MaxSurge: surge, MaxUnavailable: unavailable}}
	}
	with := func(r Rule, change func(*Rule)) Rule { change(&r); return r }
	paused := func(r *Rule) { r.Paused = true }
	of := func(fresh, live int) func(*Rule) {
		return func(r *Rule) { r.Paused, r.Share = true, Share{fresh, live} }
	}
	full := func(r *Rule) { r.Room, r.Swap = false, true }
	stuck := func(r *Rule) { r.Stuck = true }
	canary := func(want, most, weight int) Rule {
		r := rolling(want, most, 1, 0)
		r.Update.Strategy, r.Update.Steps = state.Canary, []state.CanaryStep{{Weight: weight}}
		return r
	}
	blueGreen := func(want, most, step int) Rule {
		r := rolling(want, most, 1, 0)
		r.Update.Strategy, r.Step = state.BlueGreen, step
		return r
	}
	ready := func(fresh, old int) Census {
		return Census{Fresh: fresh, FreshReady: fresh, Old: old, OldOnline: old, OldReady: old}
	}
	unproven := func(fresh, old int) Census { c := ready(fresh, old); c.FreshReady = 0; return c }
	starting := func(fresh, old int) Census { c := unproven(fresh, old); c.Starting = fresh; return c }
	for _, c := range []struct {
		name string
		rule Rule
		now  Census
		want Moves
	}{
		{"grows", rolling(3, 10, 1, 0), ready(1, 0), Moves{StartFresh: 2}},
		{"grows within max_nodes", rolling(3, 3, 1, 0), Census{Fresh: 1, FreshReady: 1, Overdue: 1}, Moves{StartFresh: 1}},
		{"shrinks", rolling(3, 10, 1, 0), ready(5, 0), Moves{DrainFresh: 2}},

		{"the new one first", rolling(3, 10, 1, 0), ready(0, 3), Moves{StartFresh: 1}},
		{"as many as the surge", rolling(3, 10, 5, 0), ready(0, 3), Moves{StartFresh: 3}},
		{"as many as max_nodes", rolling(3, 4, 5, 0), ready(0, 3), Moves{StartFresh: 1}},
		{"it waits until it is proven", rolling(3, 10, 1, 0), unproven(1, 3), Moves{}},
		{"then an old one goes, and the next comes", rolling(3, 10, 1, 0), ready(1, 3), Moves{DrainOld: 1, StartFresh: 1}},
		{"one that starts does not wait", rolling(1, 10, -1, 2), Census{Old: 1, Starting: 1}, Moves{DrainOld: 1, StartFresh: 1}},
		{"the old one first", rolling(3, 10, -1, 1), ready(0, 3), Moves{DrainOld: 1, StartFresh: 1}},
		{"as many as may be unavailable", rolling(3, 10, -1, 2), ready(0, 3), Moves{DrainOld: 2, StartFresh: 2}},
		{"all of them, where no other may come beside them", rolling(2, 10, -1, 2), ready(0, 2), Moves{DrainOld: 2, StartFresh: 2}},
		{"all of them, but one while others come", rolling(3, 10, 1, 3), ready(0, 3), Moves{DrainOld: 2, StartFresh: 3}},
		{"max_nodes leaves no room: one goes first", rolling(3, 3, 1, 0), ready(0, 3), Moves{DrainOld: 1}},
		{"and then one comes", rolling(3, 3, 1, 0), Census{Old: 2, OldOnline: 2, OldReady: 2, Draining: 1}, Moves{StartFresh: 1}},
		{"the only one stays", rolling(1, 1, 1, 0), ready(0, 1), Moves{Waits: true}},
		{"the only one goes where it may", rolling(1, 1, 1, 1), ready(0, 1), Moves{DrainOld: 1}},
		{"the last one stays while another may come beside it", rolling(2, 2, 1, 2), ready(0, 1), Moves{StartFresh: 1}},
		{"the last one goes where none may come beside it", with(rolling(2, 2, 1, 2), full), ready(0, 1), Moves{DrainOld: 1, StartFresh: 1}},
		{"old ones that start go at once", rolling(3, 10, 1, 0), Census{Old: 3, OldOnline: 1, OldReady: 1, Starting: 2}, Moves{DrainOld: 2, StartFresh: 3}},
		{"one that hangs goes before those that answer", rolling(3, 10, 1, 0), Census{Fresh: 1, FreshReady: 1, Old: 3, OldOnline: 3, OldReady: 2}, Moves{DrainOld: 1, StartFresh: 1}},
		{"scaled in between", rolling(2, 10, 1, 0), unproven(1, 3), Moves{DrainOld: 1, StartFresh: 0}},
		{"scaled in, and what is not proven goes", rolling(1, 10, 1, 0), unproven(2, 1), Moves{DrainFresh: 1}},
		{"scaled in with max_unavailable", rolling(1, 10, 1, 1), unproven(1, 3), Moves{DrainOld: 2}},
		{"nothing could take their place", with(rolling(3, 10, 1, 2), stuck), ready(0, 3), Moves{StartFresh: 1}},

		{"no room: one gives way", with(rolling(2, 10, 1, 0), full), ready(0, 2), Moves{GiveWay: true}},
		{"no room: the last one waits", with(rolling(1, 10, 1, 0), full), ready(0, 1), Moves{Waits: true}},
		{"no room: the last one goes where it may", with(rolling(1, 10, 1, 1), full), ready(0, 1), Moves{GiveWay: true}},
		{"no room: a new one starts", with(rolling(2, 10, 1, 0), full), starting(1, 1), Moves{StartFresh: 1}},
		{"no room: the new one is not proven", with(rolling(2, 10, 1, 0), full), unproven(1, 1), Moves{}},
		{"no room: neither where one may be unavailable", with(rolling(2, 10, 1, 1), full), unproven(1, 1), Moves{}},
		{"no room: nor with more that are ready", with(rolling(3, 10, 1, 0), full), unproven(1, 2), Moves{}},
		{"no room: the new one is proven", with(rolling(2, 10, 1, 0), full), ready(1, 1), Moves{GiveWay: true}},
		{"no room: one drains", with(rolling(2, 10, 1, 0), full), Census{Old: 2, OldOnline: 2, OldReady: 2, Draining: 1}, Moves{StartFresh: 1}},
		{"no room, not even in its place", with(rolling(2, 10, 1, 0), func(r *Rule) { r.Room = false }), ready(0, 2), Moves{StartFresh: 1}},
		{"no room: the one that hangs gives way", with(rolling(2, 10, 1, 0), func(r *Rule) { full(r); r.SwapHung = true }), Census{Old: 2, OldOnline: 2, OldReady: 1}, Moves{GiveWay: true}},
		{"no room: the last ready one does not", with(rolling(2, 10, 1, 0), full), Census{Old: 2, OldOnline: 2, OldReady: 1}, Moves{Waits: true}},

		{"an overdue start takes the room beside the last one", rolling(2, 2, -1, 2), Census{Old: 1, OldOnline: 1, OldReady: 1, Overdue: 1}, Moves{DrainOld: 1}},
		{"the only one hangs", rolling(1, 1, 1, 0), Census{Old: 1, OldOnline: 1}, Moves{DrainOld: 1}},
		{"no room: enough are new", with(rolling(1, 3, 2, 0), full), ready(1, 1), Moves{DrainOld: 1}},
		{"no room: as many as there may be", with(rolling(1, 2, 1, 0), full), ready(0, 2), Moves{DrainOld: 1}},
		{"nothing could take their place, and there are more", with(rolling(1, 2, 1, 0), stuck), Census{Old: 2, OldOnline: 2}, Moves{DrainOld: 1}},
		{"too many, of which the new one is not proven", with(rolling(2, 2, -1, 1), stuck), Census{Fresh: 1, Old: 2, OldOnline: 2}, Moves{DrainOld: 1}},

		{"paused", with(rolling(5, 10, 1, 0), paused), ready(2, 3), Moves{}},
		{"paused, one is missing", with(rolling(5, 10, 1, 0), paused), ready(2, 2), Moves{StartOld: 1}},
		{"paused with its surge", with(rolling(4, 10, 1, 0), paused), ready(2, 3), Moves{}},
		{"paused with its surge, and max_nodes is lower", with(rolling(4, 4, 1, 0), paused), ready(2, 3), Moves{DrainFresh: 1}},
		{"paused, 4 → 1", with(rolling(1, 10, 1, 0), paused), ready(2, 3), Moves{DrainFresh: 2, DrainOld: 2}},
		{"paused, 5 → 3", with(rolling(3, 10, 1, 0), paused), ready(2, 3), Moves{DrainFresh: 1, DrainOld: 1}},
		{"paused, 5 → 3, not proven", with(rolling(3, 10, -1, 1), paused), unproven(2, 3), Moves{DrainFresh: 1, DrainOld: 1}},
		{"paused, 5 → 3, not proven and none unavailable", with(rolling(3, 10, 1, 0), paused), unproven(2, 3), Moves{DrainFresh: 1}},
		{"paused, 5 → 10", with(rolling(10, 10, 1, 0), of(2, 5)), ready(2, 3), Moves{StartFresh: 2, StartOld: 3}},
		{"paused, 5 → 6", with(rolling(6, 10, 1, 0), paused), ready(2, 3), Moves{StartOld: 1}},
		{"paused, and max_nodes is lower", with(rolling(10, 8, 1, 0), paused), ready(2, 3), Moves{StartOld: 3}},
		{"paused, an old one died", with(rolling(4, 10, 1, 0), paused), ready(2, 1), Moves{StartOld: 1}},
		{"paused, the only old one died", with(rolling(2, 10, 1, 0), paused), ready(1, 0), Moves{StartOld: 1}},
		{"paused, all died", with(rolling(2, 10, 1, 0), paused), Census{}, Moves{StartOld: 2}},
		{"paused, the new one died", with(rolling(3, 10, 1, 0), of(1, 3)), ready(0, 2), Moves{StartFresh: 1}},
		{"paused, three old ones died", with(rolling(4, 10, 1, 0), of(1, 4)), ready(1, 0), Moves{StartOld: 3}},
		{"paused, two old ones died, and nobody remembers", with(rolling(4, 10, 1, 0), paused), ready(2, 0), Moves{StartOld: 2}},
		{"paused when it was nearly done", with(rolling(2, 10, 1, 0), paused), ready(4, 0), Moves{DrainFresh: 2}},
		{"paused, the only ready one is new", with(rolling(1, 10, -1, 0), paused), Census{Fresh: 1, FreshReady: 1, Old: 2, Starting: 2}, Moves{DrainOld: 1}},

		{"a canary's first", canary(10, 20, 10), ready(0, 10), Moves{StartFresh: 1}},
		{"is not proven", canary(10, 20, 10), unproven(1, 10), Moves{}},
		{"is proven", canary(10, 20, 10), ready(1, 10), Moves{DrainOld: 1}},
		{"and stays", canary(10, 20, 10), ready(1, 9), Moves{}},
		{"the next step", canary(10, 20, 50), ready(1, 9), Moves{StartFresh: 4}},
		{"the next step, within max_nodes", canary(10, 12, 50), ready(1, 9), Moves{StartFresh: 2}},
		{"an old one died", canary(10, 20, 10), ready(1, 8), Moves{StartOld: 1}},
		{"all old ones died", canary(4, 10, 25), ready(1, 0), Moves{StartOld: 3}},
		{"the only old one died", canary(1, 2, 10), ready(1, 0), Moves{StartOld: 1}},
		{"the only old one gave way", with(canary(1, 2, 10), full), ready(1, 0), Moves{}},
		{"full hosts: the only old one gave way before that", with(canary(1, 2, 10), full), Census{}, Moves{StartFresh: 1}},
		{"all are new", canary(4, 10, 25), ready(4, 0), Moves{}},
		{"fewer are wanted before it is ready", canary(2, 10, 25), ready(0, 4), Moves{StartFresh: 1, DrainOld: 2}},
		{"old ones died before it is ready", canary(4, 10, 25), ready(0, 2), Moves{StartFresh: 1, StartOld: 1}},
		{"full hosts: fewer are wanted before it is proven", with(canary(3, 10, 10), full), unproven(1, 4), Moves{DrainOld: 1}},
		{"full hosts: one after the other", with(canary(3, 10, 50), full), unproven(1, 2), Moves{}},
		{"full hosts: none fits in place of one", with(canary(3, 10, 50), func(r *Rule) { r.Room = false }), ready(1, 3), Moves{DrainOld: 1}},
		{"no room: one goes first", canary(3, 3, 10), ready(0, 3), Moves{DrainOld: 1}},
		{"no room: only one", canary(3, 3, 10), starting(0, 2), Moves{StartFresh: 1}},
		{"too many new ones, too few old ones, and max_nodes", canary(4, 6, 10), ready(4, 2), Moves{DrainFresh: 2}},
		{"no room: the start is overdue", canary(3, 3, 10), Census{Old: 2, OldOnline: 2, OldReady: 2, Overdue: 1}, Moves{}},
		{"no room: the last one waits", canary(1, 1, 10), ready(0, 1), Moves{Waits: true}},
		{"full hosts, and max_nodes: one goes first", with(canary(1, 1, 40), func(r *Rule) { full(r); r.Update.MaxUnavailable = 1 }), ready(0, 1), Moves{DrainOld: 1}},
		{"full hosts: it is there", with(canary(1, 3, 40), full), ready(1, 1), Moves{}},
		{"full hosts: one gives way", with(canary(1, 2, 40), func(r *Rule) { full(r); r.Update.MaxUnavailable = 1 }), ready(0, 1), Moves{GiveWay: true}},
		{"more new ones than it has, and fewer than wanted", canary(4, 4, 10), Census{Fresh: 2, FreshReady: 2, Old: 1, OldOnline: 1, OldReady: 1, Overdue: 1}, Moves{}},
		{"more new ones than it has", canary(1, 1, 40), Census{Fresh: 2, Old: 1, OldOnline: 1}, Moves{DrainFresh: 1}},
		{"fewer are wanted", canary(2, 10, 10), unproven(1, 4), Moves{DrainOld: 2}},
		{"fewer are wanted, of the new ones", canary(4, 10, 10), ready(3, 3), Moves{DrainFresh: 2}},
		{"but none that is needed", canary(2, 3, 10), Census{Fresh: 2, FreshReady: 2, Old: 1, Starting: 1}, Moves{}},

		{"blue-green", blueGreen(3, 10, 0), ready(0, 3), Moves{StartFresh: 3}},
		{"blue-green, within max_nodes", blueGreen(3, 5, 0), ready(0, 3), Moves{StartFresh: 2, Short: 2}},
		{"blue-green, no room at all", blueGreen(3, 3, 0), ready(0, 3), Moves{DrainOld: 1}},
		{"blue-green, as much as max_nodes", blueGreen(1, 2, 0), Census{Old: 1, OldOnline: 1}, Moves{StartFresh: 1}},
		{"blue-green, full hosts: the only one waits", with(blueGreen(1, 10, 0), full), ready(0, 1), Moves{Waits: true}},
		{"blue-green, as many new ones as wanted", blueGreen(1, 3, 0), Census{Fresh: 1, Old: 2, OldOnline: 2}, Moves{DrainOld: 1}},
		{"blue-green, fewer are wanted, and none can be started", with(blueGreen(2, 10, 0), stuck), ready(1, 4), Moves{StartFresh: 1, DrainOld: 2}},
		{"blue-green, full hosts: as many as fit", with(blueGreen(3, 10, 0), full), ready(1, 3), Moves{}},
		{"blue-green, all are there", blueGreen(3, 10, 0), ready(3, 3), Moves{}},
		{"blue-green, fewer are wanted", blueGreen(2, 10, 0), ready(3, 3), Moves{DrainOld: 1, DrainFresh: 1}},
		{"blue-green, changed over", blueGreen(3, 10, 1), ready(3, 3), Moves{DrainOld: 3}},
		{"blue-green, paused", with(blueGreen(3, 10, 0), paused), ready(1, 2), Moves{StartOld: 1}},
		{"blue-green, paused, fewer are wanted", with(blueGreen(1, 10, 0), paused), ready(3, 3), Moves{DrainOld: 2, DrainFresh: 2}},
		{"blue-green, paused after it changed over", with(blueGreen(3, 10, 1), paused), ready(3, 1), Moves{}},
	} {
		assert.Equal(t, c.want, c.rule.Moves(c.now), c.name)
	}
}

func TestCanaryShare(t *testing.T) {
	for _, c := range []struct{ weight, want, max, fresh, old int }{
		{10, 10, 20, 1, 9},
		{11, 10, 20, 2, 8}, // rounded up
		{50, 10, 20, 5, 5},
		{99, 10, 20, 9, 1}, // one old one is kept
		{50, 1, 20, 1, 1},  // one of each, where there may be two
		{50, 1, 2, 1, 1},
		{50, 1, 1, 1, 0},
		{50, 2, 2, 1, 1},
		{1, 3, 3, 1, 2},
		{100, 3, 3, 2, 1},
	} {
		fresh, old := canaryShare(c.weight, c.want, c.max)
		assert.Equal(t, [2]int{c.fresh, c.old}, [2]int{fresh, old}, "%d %% of %d, at most %d", c.weight, c.want, c.max)
	}
}

// A rollout is held where it is while it is paused, or at a step of a canary.
func TestHeldRollouts(t *testing.T) {
	canary := state.Update{Strategy: state.Canary, Steps: []state.CanaryStep{{Weight: 10}}}
	for _, c := range []struct {
		rule Rule
		want bool
	}{
		{Rule{Want: 1, Rolling: true, Paused: true}, true},
		{Rule{Want: 0, Rolling: true, Paused: true}, false},
		{Rule{Want: 1, Paused: true}, false},
		{Rule{Want: 1, Rolling: true}, false},
		{Rule{Want: 1, Rolling: true, Update: canary}, true},
		{Rule{Want: 1, Rolling: true, Update: canary, Step: 1}, false},
		{Rule{Want: 1, Update: canary}, false},
	} {
		assert.Equal(t, c.want, c.rule.held(), "%+v", c.rule)
	}
}
