package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms/state"
)

var _ state.Archiver = (*Store)(nil)

// Backup implements [state.Archiver]. What it writes is a store of its own, which
// [Open] opens. It takes as much memory as the store is long, so that a slow
// reader holds up no change.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	var buf bytes.Buffer
	err := ctx.Err()
	if err == nil {
		err = s.db.View(func(tx *bolt.Tx) error {
			buf.Grow(int(tx.Size()))
			_, err := tx.WriteTo(&buf)
			return err
		})
	}
	if err == nil {
		_, err = buf.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("back up store %s: %w", s.path, plain(err))
	}
	return nil
}

// ReadBackup implements [state.Archiver]. The backup is of this version. It is
// written to a file beside the store meanwhile, which is gone afterwards.
func (s *Store) ReadBackup(ctx context.Context, r io.Reader) (_ state.State, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read a backup: %w", plain(err))
		}
	}()
	dir, err := os.MkdirTemp(filepath.Dir(s.path), ".backup-*")
	if err != nil {
		return state.State{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "backup.db")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return state.State{}, err
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return state.State{}, err
	}
	return readFile(path)
}

// readFile returns what is in a store that nobody else uses.
func readFile(path string) (all state.State, err error) {
	deadline := time.Now().Add(time.Second)
	if err := verify(path, deadline); err != nil {
		return all, err
	}
	var file *os.File
	db, err := openFile(path, deadline, bolt.Options{ReadOnly: true}, &file)
	if err != nil {
		return all, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(func(tx *bolt.Tx) (err error) {
		all, err = read(tx)
		return err
	})
	return all, err
}

// Keep implements [state.Archiver]: the copy is a file beside the store.
func (s *Store) Keep(ctx context.Context, label string) (string, error) {
	path := s.path + "." + label
	err := ctx.Err()
	if err == nil {
		err = s.db.View(func(tx *bolt.Tx) error { return keep(tx, path) })
	}
	if err != nil {
		return "", fmt.Errorf("keep a copy of store %s: %w", s.path, plain(err))
	}
	return path, nil
}

// keep writes a copy of the store to path, whole or not at all.
func keep(tx *bolt.Tx, path string) (err error) {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep a copy of it: %w", errors.Join(err, removeFile(next)))
		}
	}()
	f, err := os.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = tx.WriteTo(f)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
