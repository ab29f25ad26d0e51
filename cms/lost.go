package cms

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/elastipod/elastipod/pod"
)

// lost says that the node's host has not answered for so long that others run
// in its place. It stays where it is, and in the balancer while it answers; when
// the host is back there is one node too many, and one is drained.
func (l *loop) lost(n *NodeRecord) bool {
	h := l.m.host(n.Host)
	return h != nil && n.State.Live() && h.away(l.m.cfg.HostTimeout)
}

// followLost tells of lost nodes, and gives up starts among them, as they may
// hang for minutes. On a host that does not answer it gives them up at once where
// there is room on another: nobody uses them yet.
func (l *loop) followLost(now time.Time) {
	on := map[string]int{}
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		lost := l.lost(rec)
		if lost {
			on[rec.Host]++
		}
		if run := l.nodes[rec.Name]; rec.State == pod.StateStarting && run.cancel != nil && (lost || l.betterElsewhere(rec, now)) {
			run.cancel()
		}
	}
	delete(l.problems, "lost")
	var parts []string
	for _, h := range slices.Sorted(maps.Keys(on)) {
		parts = append(parts, fmt.Sprintf("host %s has not answered for more than %s, so others run in place of %d nodes there", h, l.m.cfg.HostTimeout, on[h]))
	}
	if len(parts) > 0 {
		l.problems["lost"] = strings.Join(parts, "; ")
	}
}

// betterElsewhere says that the host on which a node is being started does not
// answer, and that there is room for it on one that does.
func (l *loop) betterElsewhere(rec *NodeRecord, now time.Time) bool {
	h := l.m.host(rec.Host)
	if h == nil || h.unreachable() == nil {
		return false
	}
	hosts, _ := l.hostsFor(now)
	n, _ := l.m.placer.room(l.specOf(rec.Revision).Limits, hosts, 1)
	return n > 0
}
