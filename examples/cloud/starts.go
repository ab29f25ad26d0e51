package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
)

// mend says what to do about a pod whose nodes cannot start.
func mend(pod string) string {
	return fmt.Sprintf("correct its workload (\"cloud get pods %s -o yaml\", then \"cloud apply -f\"), or give its hosts what it asks for", pod)
}

// attempt is one start of a node that failed.
type attempt struct {
	code, node, host string
	again            int64 // when the next one is
}

func attemptOf(p wire.Problem) attempt {
	return attempt{p.Code, p.Node, p.Host, p.Again.UnixNano()}
}

// starts watches how the nodes of a pod start, to give up a wait that is in vain.
type starts struct {
	c *client.Client
	// seen holds attempts that were there before: they say nothing of what was
	// changed since.
	seen  map[attempt]bool
	tries int
}

// watchStarts returns a watch over a pod that had those problems before.
func watchStarts(c *client.Client, before []wire.Problem) *starts {
	w := &starts{c: c, seen: map[attempt]bool{}}
	for _, p := range before {
		w.seen[attemptOf(p)] = true
	}
	return w
}

// failed returns an error once as many nodes in vain as the pod has hosts were
// started: another host may have what the first one lacks.
func (w *starts) failed(ctx context.Context, p wire.Pod) error {
	for _, problem := range status(p).Problems {
		if w.seen[attemptOf(problem)] || !problem.Hopeless() {
			continue
		}
		w.seen[attemptOf(problem)] = true
		w.tries++
		hosts, err := w.c.Hosts(ctx)
		if err != nil {
			return err
		}
		if w.tries >= usableHosts(p, hosts) {
			return fmt.Errorf("pod %s: %s; %s: the server goes on trying", p.Name, problem.What(), mend(p.Name))
		}
	}
	return nil
}

// mendNode says what to do about a node that failed.
func mendNode(ctx context.Context, c *client.Client, n wire.Node) string {
	p, err := c.Pod(ctx, n.Pod)
	if err == nil && slices.ContainsFunc(status(p).Problems, func(x wire.Problem) bool { return x.Node == n.Name && x.Hopeless() }) {
		return mend(n.Pod)
	}
	return fmt.Sprintf("see \"cloud logs %s %s\"", n.Pod, n.Name)
}

// texts returns the texts of problems.
func texts(problems []wire.Problem) []string {
	return namesOf(problems, func(p wire.Problem) string { return p.Text })
}

// usableHosts is on how many hosts nodes of a pod may be placed now.
func usableHosts(p wire.Pod, hosts []wire.Host) int {
	n := 0
	for _, h := range hosts {
		s := hostStatus(h)
		if s.Reachable && !s.Draining && !h.Cordoned && (len(p.Hosts) == 0 || slices.Contains(p.Hosts, h.Name)) {
			n++
		}
	}
	return n
}
