package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

func drawUpdate(t *rapid.T) state.Update {
	u := state.Update{
		Strategy:       rapid.SampledFrom([]state.UpdateStrategy{state.Rolling, state.Canary, state.BlueGreen}).Draw(t, "strategy"),
		MaxSurge:       rapid.SampledFrom([]int{-1, 1, 2, 5}).Draw(t, "surge"),
		MaxUnavailable: rapid.IntRange(0, 2).Draw(t, "unavailable"),
		MinReady:       rapid.SampledFrom([]time.Duration{0, 0, 5 * time.Second, 30 * time.Second}).Draw(t, "min ready"),
		Failures:       -1,
	}
	if u.MaxSurge < 0 && u.MaxUnavailable == 0 {
		u.MaxUnavailable = 1
	}
	if u.Strategy == state.Canary {
		u.Steps = []state.CanaryStep{{Weight: rapid.IntRange(1, 60).Draw(t, "weight"), Pause: 10 * time.Second}, {Weight: 70, Pause: 5 * time.Second}}
	}
	return u
}

// watchRollout makes each plan be checked: it never has more nodes than it may,
// and drains no ready node that the update does not allow to go.
func (s *sim) watchRollout() {
	s.check = func(before state.Pod, p Plan) {
		live, ready, gone, gaveWay := 0, 0, 0, false
		for i := range p.Pod.Nodes {
			n := &p.Pod.Nodes[i]
			m := p.Memory.Nodes[n.Name]
			was := before.Node(n.Name)
			h := s.hosts[n.Host]
			proven := !h.fault.OK() || s.probes[n.Name].Failures < 3 && h.nodes[n.Name].Phase == pod.PhaseRunning // of a host that is away nobody knows better
			if r := p.Pod.Rolling(); r != nil && n.Revision == r.To && s.now.Sub(m.Ready) < p.Pod.Spec.Update.MinReady {
				proven = false
			}
			switch {
			case s.lost(n.Host):
			case n.Live():
				live++
				if n.State == pod.StateOnline && proven {
					ready++
				}
			case n.State == pod.StateDraining && m.Drain.Told.Equal(s.now) && was != nil && was.State == pod.StateOnline && proven:
				gone++
				gaveWay = gaveWay || strings.HasPrefix(n.Reason, "gives way")
			}
		}
		started := false
		for i := range p.Pod.Nodes {
			n := &p.Pod.Nodes[i]
			started = started || n.State == pod.StateStarting && before.Node(n.Name) == nil
		}
		if started {
			assert.LessOrEqual(s.t, live, p.Pod.Spec.MaxNodes, "more than max_nodes")
		}
		u, want := p.Pod.Spec.Update, p.Pod.Want
		least := want - u.MaxUnavailable
		if gaveWay || min(want+max(u.MaxSurge, 0), p.Pod.Spec.MaxNodes) <= want {
			least = min(least, want-1)
		}
		assert.GreaterOrEqual(s.t, ready, min(ready+gone, least), "%d ready nodes drained, %d left of %d wanted: %+v", gone, ready, want, u)
		if gone > 0 && u.MaxUnavailable == 0 && want > 0 {
			assert.Positive(s.t, ready, "the last ready node was drained")
		}
	}
}

// lost says that a host has been away for so long that others run in place of its
// nodes.
func (s *sim) lost(host string) bool {
	h := s.hosts[host]
	return !h.fault.OK() && s.now.Sub(h.since) >= 30*time.Second
}

// waits says that the rollout waits for room, as documented: its only ready node
// would have to go first.
func (s *sim) waits() bool { return slices.Contains(codes(s.plan), ProblemWaits) }

// Whatever happened before, and at whatever moment, a rollout ends once nothing
// fails any more; meanwhile as many nodes are ready as its update asks for.
func TestRolloutsEnd(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		hosts := []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(r, "hosts")]
		room := rapid.IntRange(1, 6).Draw(r, "room")
		s := newSim(r, room, hosts...)
		room *= len(hosts)
		s.boot = time.Duration(rapid.IntRange(1, 8).Draw(r, "boot")) * time.Second
		want := rapid.IntRange(1, min(4, room)).Draw(r, "want")
		s.pod.Spec.MaxNodes = min(want+rapid.IntRange(0, 4).Draw(r, "more"), room)
		s.pod.SetWant(want)
		s.pass(time.Minute)
		s.watchRollout()
		s.revise("2", drawUpdate(r))
		s.turn()
		for range rapid.IntRange(0, 6).Draw(r, "events") {
			s.disturb(r, hosts)
			s.pass(time.Duration(rapid.IntRange(0, 20).Draw(r, "pause")) * time.Second)
		}
		s.mend()
		s.pass(10 * time.Minute)
		if s.waits() {
			return
		}
		require.Equal(r, state.RolloutDone, s.pod.Rollout.State, "%v\n%v\n%+v", s.pod.Nodes, s.sentences(), s.pod.Spec.Update)
		require.Equal(r, s.pod.Want, s.live(s.pod.Revision), "%v", s.sentences())
		require.Zero(r, len(s.pod.Nodes)-s.online()-s.pod.Count(pod.StateFailed), "%v", s.pod.Nodes)
		require.True(r, s.plan.Status.Converged, "%v", s.sentences())
	})
}

// disturb has something happen to the pod or to its nodes.
func (s *sim) disturb(r *rapid.T, hosts []string) {
	var online []string
	for i := range s.pod.Nodes {
		if s.pod.Nodes[i].State == pod.StateOnline {
			online = append(online, s.pod.Nodes[i].Name)
		}
	}
	switch what := rapid.SampledFrom([]string{"want", "want", "pause", "resume", "exit", "hang", "frozen", "away", "back", "slow", "restart", "remove host", "keep host"}).Draw(r, "event"); what {
	case "want":
		s.pod.SetWant(rapid.IntRange(1, s.pod.Spec.MaxNodes).Draw(r, "want"))
	case "pause", "resume":
		if s.pod.Rolling() != nil {
			s.pause(what == "pause")
		}
	case "exit":
		if len(online) > 0 {
			s.exit(rapid.SampledFrom(online).Draw(r, "node"), 1)
		}
	case "hang":
		if len(online) > 0 {
			s.probes[rapid.SampledFrom(online).Draw(r, "node")] = Probed{Failures: 3, Text: "connection refused"}
		}
	case "frozen":
		for _, h := range s.hosts {
			for name, n := range h.nodes {
				if n.Phase == pod.PhaseRunning && len(online) > 0 && name == online[0] {
					n.Phase = pod.PhaseFrozen
					h.nodes[name] = n
				}
			}
		}
	case "away":
		s.away(rapid.SampledFrom(hosts).Draw(r, "host"), true)
	case "back":
		for name, h := range s.hosts {
			if !h.fault.OK() {
				s.away(name, false)
			}
		}
	case "remove host", "keep host":
		s.hosts[rapid.SampledFrom(hosts).Draw(r, "host")].draining = what == "remove host"
	case "slow":
		s.boot = time.Duration(rapid.IntRange(1, 60).Draw(r, "boot")) * time.Second
	case "restart":
		s.mem = Memory{}
	}
	s.turn()
}

// mend ends every fault.
func (s *sim) mend() {
	for name, h := range s.hosts {
		h.draining = false
		if !h.fault.OK() {
			s.away(name, false)
		}
		for node, n := range h.nodes {
			if n.Phase == pod.PhaseFrozen {
				n.Phase = pod.PhaseRunning
				h.nodes[node] = n
			}
		}
	}
	clear(s.probes)
	s.boot = time.Second
	if s.pod.Rolling() != nil {
		s.pause(false)
	}
	s.turn()
}
