package cmstest

import (
	"bytes"
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
	mu        sync.Mutex
	open      bool
	clusterID string
	eventID   uint64
	hosts     map[string][]byte
	pods      map[string][]byte
}

// NewStore returns an empty store.
func NewStore() *Store {
	return &Store{disk: &disk{open: true, hosts: map[string][]byte{}, pods: map[string][]byte{}}}
}

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
	all, err := s.disk.load()
	if err != nil { // what was encoded here can be decoded
		panic(err)
	}
	return all
}

// Load implements [state.Store].
func (s *Store) Load(ctx context.Context) (state.State, error) {
	s.mu.Lock()
	hook := s.onLoad
	s.mu.Unlock()
	if err := s.enter(ctx, func() error {
		if hook == nil {
			return nil
		}
		return hook(ctx)
	}); err != nil {
		return state.State{}, fmt.Errorf("load from memory: %w", err)
	}
	return s.disk.load()
}

// Save implements [state.Store].
func (s *Store) Save(ctx context.Context, c state.Change) error {
	s.mu.Lock()
	hook := s.onSave
	s.mu.Unlock()
	if err := s.enter(ctx, func() error {
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

func (s *Store) enter(ctx context.Context, hook func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := hook(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fs.ErrClosed
	}
	return ctx.Err()
}

func (d *disk) load() (state.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clusterID == "" {
		d.clusterID = rand.Text()
	}
	all := state.State{ClusterID: d.clusterID, EventID: d.eventID}
	for _, name := range slices.Sorted(maps.Keys(d.hosts)) {
		var r state.Host
		if err := decode(d.hosts[name], &r); err != nil {
			return state.State{}, err
		}
		all.Hosts = append(all.Hosts, r)
	}
	for _, name := range slices.Sorted(maps.Keys(d.pods)) {
		var r state.Pod
		if err := decode(d.pods[name], &r); err != nil {
			return state.State{}, err
		}
		all.Pods = append(all.Pods, r)
	}
	return all, nil
}

func (d *disk) save(c state.Change) error {
	hosts, pods := map[string][]byte{}, map[string][]byte{}
	for _, r := range c.PutHosts {
		data, err := encode(r.Host.Name, r, new(state.Host))
		if err != nil {
			return fmt.Errorf("host %q: %w", r.Host.Name, err)
		}
		hosts[r.Host.Name] = data
	}
	for _, r := range c.PutPods {
		data, err := encode(r.Spec.Name, r, new(state.Pod))
		if err != nil {
			return fmt.Errorf("pod %q: %w", r.Spec.Name, err)
		}
		pods[r.Spec.Name] = data
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range c.DeleteHosts {
		delete(d.hosts, name)
	}
	for _, name := range c.DeletePods {
		delete(d.pods, name)
	}
	maps.Copy(d.hosts, hosts)
	maps.Copy(d.pods, pods)
	d.eventID = max(d.eventID, c.EventID)
	if c.ClusterID != "" {
		d.clusterID = c.ClusterID
	}
	return nil
}

// encode returns the JSON of a record that can be read back.
func encode(name string, record, back any) ([]byte, error) {
	if name == "" {
		return nil, errors.New("it has no name")
	}
	data, err := json.Marshal(record)
	if err != nil {
		return nil, err
	}
	return data, decode(data, back)
}

// decode reads a record. A policy that was not set comes back so, and not as
// the "null" that JSON makes of it.
func decode(data []byte, record any) error {
	if err := json.Unmarshal(data, record); err != nil {
		return err
	}
	if p, ok := record.(*state.Pod); ok && bytes.Equal(p.Elasticity.PolicyJSON, []byte("null")) {
		p.Elasticity.PolicyJSON = nil
	}
	return nil
}
