package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms"
)

var _ cms.Archiver = (*Store)(nil)

// Backup implements [cms.Archiver]. What it writes is a store of its own, which
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

// ReadBackup implements [cms.Archiver]. The backup may be of an earlier version.
// It is written to a file beside the store meanwhile, which is gone afterwards.
func (s *Store) ReadBackup(ctx context.Context, r io.Reader) (_ cms.State, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read a backup: %w", plain(err))
		}
	}()
	dir, err := os.MkdirTemp(filepath.Dir(s.path), ".backup-*")
	if err != nil {
		return cms.State{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "backup.db")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return cms.State{}, err
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return cms.State{}, err
	}
	return readFile(path)
}

// readFile returns what is in a store that nobody else uses, and may change it.
func readFile(path string) (state cms.State, err error) {
	deadline := time.Now().Add(time.Second)
	if err := verify(path, deadline); err != nil {
		return state, err
	}
	var file *os.File
	db, err := openFile(path, deadline, bolt.Options{}, &file)
	if err != nil {
		return state, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := migrate(db, path); err != nil {
		return state, err
	}
	err = db.View(func(tx *bolt.Tx) (err error) {
		state, err = read(tx)
		return err
	})
	return state, err
}

// Keep implements [cms.Archiver]: the copy is a file beside the store.
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
