// Package claims says whose the names and addresses of fronts are.
package claims

import (
	"fmt"
	"slices"
	"sync"

	"github.com/elastipod/elastipod/balancer"
)

// Table says which pod has which name of a front, and which address. It may be
// used by several goroutines.
type Table struct {
	mu   sync.Mutex
	pods map[string]*owner
	ids  uint64
}

// owner is what one pod has claimed.
type owner struct {
	held   []balancer.Front            // what its loop says that it has
	wanted map[uint64][]balancer.Front // what commands to it are about to set
}

// New returns an empty table.
func New() *Table { return &Table{pods: map[string]*owner{}} }

// Want claims fronts for a command to a pod, all or none, until release is called.
// The error says whose a name or an address is.
func (t *Table) Want(pod string, fronts []balancer.Front) (release func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range fronts {
		if err := t.check(pod, f); err != nil {
			return nil, err
		}
	}
	t.ids++
	id, o := t.ids, t.owner(pod)
	o.wanted[id] = fronts
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(o.wanted, id)
		t.tidy(pod)
	}, nil
}

// check says whose a front's name or address is, where it is not the pod's.
func (t *Table) check(pod string, f balancer.Front) error {
	for name, o := range t.pods {
		for _, has := range o.all() {
			switch {
			case name == "" && has.Name == f.Name:
				return fmt.Errorf("a front named %q, which no pod has any more, is being removed; try again in a moment", f.Name)
			case name != pod && has.Name == f.Name:
				return fmt.Errorf("pod %s has a front named %q already; choose another name", name, f.Name)
			case f.Listen == "" || has.Listen != f.Listen:
			case name != pod:
				return fmt.Errorf("pod %s has a front on %s already; choose another address", name, f.Listen)
			case has.Name != f.Name:
				// A new front is made before an old one goes.
				return fmt.Errorf("front %s of pod %s listens on %s until the change is done; give front %s another address, or remove %s in a change of its own first",
					has.Name, pod, f.Listen, f.Name, has.Name)
			}
		}
	}
	return nil
}

func (o *owner) all() []balancer.Front {
	out := o.held
	for _, w := range o.wanted {
		out = append(out[:len(out):len(out)], w...)
	}
	return out
}

// Set makes what a pod holds be these fronts.
func (t *Table) Set(pod string, fronts []balancer.Front) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owner(pod).held = fronts
	t.tidy(pod)
}

// Add makes a pod hold these fronts beside those that it holds.
func (t *Table) Add(pod string, fronts []balancer.Front) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.owner(pod)
	o.held = slices.Concat(o.held, fronts)
	t.tidy(pod)
}

// Unclaimed returns those of the names that no front of a pod has.
func (t *Table) Unclaimed(names []string) (free []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	claimed := map[string]bool{}
	for _, o := range t.pods {
		for _, f := range o.all() {
			claimed[f.Name] = true
		}
	}
	for _, name := range names {
		if !claimed[name] {
			free = append(free, name)
		}
	}
	return free
}

func (t *Table) owner(pod string) *owner {
	o := t.pods[pod]
	if o == nil {
		o = &owner{wanted: map[uint64][]balancer.Front{}}
		t.pods[pod] = o
	}
	return o
}

func (t *Table) tidy(pod string) {
	if o := t.pods[pod]; o != nil && len(o.held)+len(o.wanted) == 0 {
		delete(t.pods, pod)
	}
}
