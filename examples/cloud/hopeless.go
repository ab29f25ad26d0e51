package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/elastipod/elastipod/cms/client"
	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/pod"
)

// hopeless says whether a node could not be started for a reason that trying again
// does not mend: its image or program is missing or denied, or its host cannot do what it asks.
func hopeless(reason string) bool {
	return strings.Contains(reason, pod.ErrImage.Error()) || strings.Contains(reason, pod.ErrImageDenied.Error()) || strings.Contains(reason, pod.ErrUnsupported.Error())
}

// mend says what to do about a pod whose nodes cannot start.
func mend(pod string) string {
	return fmt.Sprintf("correct its workload (\"cloud get pods %s -o yaml\", then \"cloud apply -f\"), or give its hosts what it asks for", pod)
}

// starts watches how the nodes of a pod start, to give up a wait that is in vain.
type starts struct {
	c *client.Client
	// seen holds problems that were there before: they say nothing of what was
	// changed since.
	seen  map[string]bool
	tries int
}

// watchStarts returns a watch over a pod that had those problems before.
func watchStarts(c *client.Client, before []string) *starts {
	w := &starts{c: c, seen: map[string]bool{}}
	for _, problem := range before {
		w.seen[problem] = true
	}
	return w
}

// failed returns an error once as many nodes in vain as the pod has hosts were
// started: another host may have what the first one lacks.
func (w *starts) failed(ctx context.Context, p wire.Pod) error {
	for _, problem := range status(p).Problems {
		if w.seen[problem] || !hopeless(problem) {
			continue
		}
		w.seen[problem] = true
		w.tries++
		hosts, err := w.c.Hosts(ctx)
		if err != nil {
			return err
		}
		if w.tries >= usableHosts(p, hosts) {
			problem, _, _ = strings.Cut(problem, "; the next try") // it is long over when somebody has read this
			return fmt.Errorf("pod %s: %s; %s: the server goes on trying", p.Name, problem, mend(p.Name))
		}
	}
	return nil
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
