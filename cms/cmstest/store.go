package cmstest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/elastipod/elastipod/cms/state"
)

// Store is a [state.Store] in memory. What is saved is kept as JSON, so that it
// shares nothing with what callers hold, as in a store on disk. Its zero value
// is not usable; see [NewStore].
type Store struct {
	disk   *disk
	mu     sync.Mutex
	closed bool
	saves  int
	onSave func(context.Context, state.Change) error
	onLoad func(context.Context) error
	onKeep func() error
	kept   map[string]string // copies by their label
}

// disk is what outlives one Store.
type disk struct {
	mu          sync.Mutex
	open        bool
	clusterID   string
	eventID     uint64
	hosts, pods map[string][]byte // JSON by name
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{disk: &disk{open: true, clusterID: rand.Text()}} }

// Reopen returns a store with what this one keeps and without its hooks, as a
// manager that starts again finds it. [state.ErrStoreLocked] unless this one was
// closed.
func (s *Store) Reopen() (*Store, error) {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open {
		return nil, fmt.Errorf("open the store in memory: %w", state.ErrStoreLocked)
	}
	d.open = true
	return &Store{disk: d}, nil
}

// OnSave makes every later Save call f first, with no lock held, so that f may
// block, also in a synctest bubble. Where f returns an error, Save returns it
// and changes nothing. A nil f takes the hook away.
func (s *Store) OnSave(f func(context.Context, state.Change) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onSave = f
}

// OnLoad makes every later Load call f first, as [Store.OnSave] does for Save.
func (s *Store) OnLoad(f func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onLoad = f
}

// Saves returns how many changes this store has made.
func (s *Store) Saves() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// State returns what is kept now, without hooks and also when closed.
func (s *Store) State() state.State {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	return state.State{ClusterID: d.clusterID, EventID: d.eventID, Hosts: decoded[state.Host](d.hosts), Pods: decoded[state.Pod](d.pods)}
}

// Load implements [state.Store].
func (s *Store) Load(ctx context.Context) (state.State, error) {
	s.mu.Lock()
	hook := s.onLoad
	s.mu.Unlock()
	if err := s.enter(ctx, hook); err != nil {
		return state.State{}, fmt.Errorf("load from memory: %w", err)
	}
	return s.State(), nil
}

// Save implements [state.Store].
func (s *Store) Save(ctx context.Context, c state.Change) error {
	s.mu.Lock()
	hook := s.onSave
	s.mu.Unlock()
	if err := s.enter(ctx, func(ctx context.Context) error {
		if hook == nil {
			return nil
		}
		return hook(ctx, c)
	}); err != nil {
		return fmt.Errorf("save to memory: %w", err)
	}
	if err := s.disk.save(c); err != nil {
		return fmt.Errorf("save to memory: %w", err)
	}
	s.mu.Lock()
	s.saves++
	s.mu.Unlock()
	return nil
}

// Close implements [state.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.disk.open = false
	return nil
}

// enter calls the hook, which may be nil, and says whether the store can be used.
func (s *Store) enter(ctx context.Context, hook func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fs.ErrClosed
	}
	return ctx.Err()
}

func (d *disk) save(c state.Change) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	hosts, err := changed(d.hosts, c.DeleteHosts, c.PutHosts, func(r state.Host) string { return r.Host.Name })
	if err != nil {
		return err
	}
	pods, err := changed(d.pods, c.DeletePods, c.PutPods, func(r state.Pod) string { return r.Spec.Name })
	if err != nil {
		return err
	}
	d.hosts, d.pods = hosts, pods
	d.eventID = max(d.eventID, c.EventID)
	d.clusterID = cmp.Or(c.ClusterID, d.clusterID)
	return nil
}

// changed returns records after a change. What could not be read back is an error.
func changed[R any](all map[string][]byte, gone []string, put []R, name func(R) string) (map[string][]byte, error) {
	out := map[string][]byte{}
	maps.Copy(out, all)
	for _, name := range gone {
		delete(out, name)
	}
	for _, r := range put {
		data, err := json.Marshal(r)
		if name(r) == "" {
			err = errors.New("it has no name")
		}
		if err == nil {
			err = json.Unmarshal(data, new(R))
		}
		if err != nil {
			return nil, fmt.Errorf("record %q: %w", name(r), err)
		}
		out[name(r)] = data
	}
	return out, nil
}

// decoded returns records, sorted by name.
func decoded[R any](all map[string][]byte) (out []R) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var r R
		if err := json.Unmarshal(all[name], &r); err != nil {
			panic(err) // it was read when it was saved
		}
		out = append(out, r)
	}
	return out
}
