//go:build crashpoint

package serve

import (
	"context"
	"sync"
	"time"

	"github.com/elastipod/elastipod/balancer"
	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/internal/crashpoint"
	"github.com/elastipod/elastipod/pod"
)

// killPorts wraps the ports through which the manager changes anything outside
// of its memory, so that a test can kill it before and after each call, and can
// make the calls that clean up do nothing.
func killPorts(c cms.Config) cms.Config {
	s := &killStore{archivedStore: c.Store.(archivedStore), nodes: map[string]map[string]bool{}}
	open := c.OpenRuntime
	c.Store, c.Balancer = s, killBalancer{c.Balancer}
	c.OpenRuntime = func(ctx context.Context, h pod.Host, cl pod.Cluster) (pod.Runtime, error) {
		rt, err := open(ctx, h, cl)
		if err != nil {
			return nil, err
		}
		return killRuntime{rt, s}, nil
	}
	return c
}

type archivedStore interface {
	cms.Store
	cms.Archiver
}

// killStore also knows the nodes of the records as last loaded or saved.
type killStore struct {
	archivedStore
	mu    sync.Mutex
	nodes map[string]map[string]bool // by pod and name
}

// Load implements [cms.Store].
func (s *killStore) Load(ctx context.Context) (cms.State, error) {
	crashpoint.Here("store-load/before")
	st, err := s.archivedStore.Load(ctx)
	crashpoint.Here("store-load/after")
	if err == nil {
		s.know(st.Pods, nil)
	}
	return st, err
}

// Save implements [cms.Store].
func (s *killStore) Save(ctx context.Context, c cms.Change) error {
	crashpoint.Here("store-save/before")
	err := s.archivedStore.Save(ctx, c)
	crashpoint.Here("store-save/after")
	if err == nil {
		s.know(c.PutPods, c.DeletePods)
	}
	return err
}

func (s *killStore) know(put []cms.PodRecord, deleted []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range put {
		names := map[string]bool{}
		for _, n := range r.Nodes {
			names[n.Name] = true
		}
		s.nodes[r.Spec.Name] = names
	}
	for _, name := range deleted {
		delete(s.nodes, name)
	}
}

func (s *killStore) orphan(id pod.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.nodes[id.Pod][id.Name]
}

type killRuntime struct {
	pod.Runtime
	store *killStore
}

// Start implements [pod.Runtime].
func (r killRuntime) Start(ctx context.Context, q pod.StartRequest) (pod.Node, error) {
	crashpoint.Here("runtime-start/before")
	n, err := r.Runtime.Start(ctx, q)
	crashpoint.Here("runtime-start/after")
	return n, err
}

// Stop implements [pod.Runtime].
func (r killRuntime) Stop(ctx context.Context, id pod.NodeID, grace time.Duration) ([]string, error) {
	if crashpoint.Without(crashpoint.StopOrphan) && r.store.orphan(id) {
		return nil, nil
	}
	crashpoint.Here("runtime-stop/before")
	tail, err := r.Runtime.Stop(ctx, id, grace)
	crashpoint.Here("runtime-stop/after")
	return tail, err
}

// Extras implements [pod.Runtime].
func (r killRuntime) Extras() pod.Extras {
	e := r.Runtime.Extras()
	if e.Preparer != nil {
		e.Preparer = killPreparer{e.Preparer}
	}
	return e
}

type killPreparer struct{ pod.Preparer }

// Prepare implements [pod.Preparer].
func (p killPreparer) Prepare(ctx context.Context, w pod.Workload, digest string, progress func(pod.Progress)) (pod.Prepared, error) {
	crashpoint.Here("runtime-prepare/before")
	done, err := p.Preparer.Prepare(ctx, w, digest, progress)
	crashpoint.Here("runtime-prepare/after")
	return done, err
}

type killBalancer struct{ balancer.Balancer }

// SetFront implements [balancer.Balancer].
func (b killBalancer) SetFront(ctx context.Context, f balancer.Front) error {
	crashpoint.Here("balancer-set-front/before")
	err := b.Balancer.SetFront(ctx, f)
	crashpoint.Here("balancer-set-front/after")
	return err
}

// RemoveFront implements [balancer.Balancer].
func (b killBalancer) RemoveFront(ctx context.Context, name string) error {
	if crashpoint.Without(crashpoint.RemoveFront) {
		return nil
	}
	crashpoint.Here("balancer-remove-front/before")
	err := b.Balancer.RemoveFront(ctx, name)
	crashpoint.Here("balancer-remove-front/after")
	return err
}

// Apply implements [balancer.Balancer].
func (b killBalancer) Apply(ctx context.Context, front string, want []balancer.Server) error {
	crashpoint.Here("balancer-apply/before")
	err := b.Balancer.Apply(ctx, front, want)
	crashpoint.Here("balancer-apply/after")
	return err
}
