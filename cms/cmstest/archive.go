package cmstest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"

	"github.com/elastipod/elastipod/cms/state"
)

var _ state.Archiver = (*Store)(nil)

// Backup implements [state.Archiver].
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.enter(ctx, nil); err != nil {
		return fmt.Errorf("back up memory: %w", err)
	}
	return json.NewEncoder(w).Encode(s.State())
}

// ReadBackup implements [state.Archiver].
func (s *Store) ReadBackup(ctx context.Context, r io.Reader) (state.State, error) {
	if err := s.enter(ctx, nil); err != nil {
		return state.State{}, fmt.Errorf("read a backup: %w", err)
	}
	var all state.State
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return state.State{}, fmt.Errorf("read a backup: %w: %w", state.ErrStoreCorrupt, err)
	}
	return all, nil
}

// Keep implements [state.Archiver]; see [Store.Kept].
func (s *Store) Keep(ctx context.Context, label string) (string, error) {
	s.mu.Lock()
	hook := s.onKeep
	s.mu.Unlock()
	if err := s.enter(ctx, func(context.Context) error {
		if hook == nil {
			return nil
		}
		return hook()
	}); err != nil {
		return "", fmt.Errorf("keep a copy of memory: %w", err)
	}
	text, err := json.Marshal(s.State())
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]string{}
	}
	s.kept["memory."+label] = string(text)
	return "memory." + label, nil
}

// OnKeep makes every later Keep call f first, as [Store.OnSave] does for Save.
func (s *Store) OnKeep(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onKeep = f
}

// Kept returns the copies that Keep made, by their names.
func (s *Store) Kept() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.kept)
}
