package cms

import "time"

// linger is how long the balancer may know a node that has ended. It gets no new
// requests; those that it had are tried on others by the balancer, which takes
// its time-out of a connection. To remove the server at once would cut them.
const linger = time.Second

// beginLinger notes that a node that may have requests has ended.
func (l *loop) beginLinger(node string, now time.Time) {
	if run := l.nodes[node]; run.lingerBy.IsZero() && l.serving(node) {
		run.lingers, run.lingerBy, run.drained = true, now.Add(linger), time.Time{}
	}
}

// endLinger lets go of the nodes that ended and have nothing left.
func (l *loop) endLinger(now time.Time) {
	for i := range l.rec.Nodes {
		rec := &l.rec.Nodes[i]
		run := l.nodes[rec.Name]
		if !run.lingers {
			continue
		}
		if !l.serving(rec.Name) || !now.Before(run.lingerBy) {
			run.lingers, run.idle = false, true
			continue
		}
		if run.drained.IsZero() && l.draining(rec.Name) {
			run.drained = now
			l.m.balancer.kick() // only what it sees from now on counts
		}
		if n, ok := l.inFlight(rec.Name, run.drained).Get(); ok && n == 0 && !run.drained.IsZero() {
			run.lingers, run.idle = false, true
		}
	}
}
