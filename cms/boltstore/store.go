package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"syscall"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/internal/crashpoint"
)

// Store is a [state.Store] in a file. Open one with [Open].
type Store struct {
	path string
	db   *bolt.DB

	closing sync.Once
	closed  error
}

var _ state.Store = (*Store)(nil)

// Open opens the store in the file at path, whose directory must exist, and
// makes it, readable by its owner only, where it is not there yet. It reads and
// checks all of it before it opens it for writing.
//
// [state.ErrStoreLocked] says that another process uses it, [state.ErrStoreVersion]
// that another version of the program wrote it, [state.ErrStoreCorrupt] that it cannot be read;
// in each case the file is left as it is. The messages say what to do.
func Open(path string) (*Store, error) {
	db, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, plain(err))
	}
	s := &Store{path: path, db: db}
	_ = s.Announce("") // for a person; the store can be used without
	return s, nil
}

// Path returns the file that Open was given.
func (s *Store) Path() string { return s.path }

// Load implements [state.Store].
func (s *Store) Load(ctx context.Context) (state.State, error) {
	if err := ctx.Err(); err != nil {
		return state.State{}, fmt.Errorf("load store %s: %w", s.path, err)
	}
	var all state.State
	err := s.db.View(func(tx *bolt.Tx) (err error) {
		all, err = read(tx)
		return err
	})
	if err != nil {
		return state.State{}, fmt.Errorf("load store %s: %w", s.path, plain(err))
	}
	return all, nil
}

// Save implements [state.Store].
func (s *Store) Save(ctx context.Context, c state.Change) error {
	hosts, pods, err := encodeChange(c)
	if err == nil {
		err = s.db.Update(func(tx *bolt.Tx) error {
			if err := ctx.Err(); err != nil { // after the wait for other changes
				return err
			}
			crashpoint.Here("store/begun")
			if err := write(tx.Bucket(hostsBucket), c.DeleteHosts, hosts); err != nil {
				return err
			}
			if err := write(tx.Bucket(podsBucket), c.DeletePods, pods); err != nil {
				return err
			}
			meta := tx.Bucket(metaBucket)
			if c.ClusterID != "" {
				if err := meta.Put(clusterKey, seal(clusterKey, []byte(c.ClusterID))); err != nil {
					return err
				}
			}
			err := raiseEventID(meta, c.EventID)
			crashpoint.Here("store/written")
			return err
		})
		crashpoint.Here("store/committed")
	}
	if err != nil {
		return fmt.Errorf("save to store %s: %w", s.path, plain(err))
	}
	return nil
}

// Close implements [state.Store]. It waits for calls that are under way.
func (s *Store) Close() error {
	s.closing.Do(func() {
		_ = removeFile(s.path + holderSuffix) // it is not believed of one that is gone
		if err := s.db.Close(); err != nil {
			s.closed = fmt.Errorf("close store %s: %w", s.path, err)
		}
	})
	return s.closed
}

func write(b *bolt.Bucket, remove []string, put []entry) error {
	for _, name := range remove {
		if err := b.Delete([]byte(name)); err != nil {
			return fmt.Errorf("delete %q: %w", name, err)
		}
	}
	for _, e := range put {
		if err := b.Put([]byte(e.name), e.data); err != nil {
			return fmt.Errorf("put %q: %w", e.name, err)
		}
	}
	return nil
}

func raiseEventID(meta *bolt.Bucket, id uint64) error {
	if id == 0 {
		return nil
	}
	old, err := eventID(meta)
	if err != nil || id <= old {
		return err
	}
	return meta.Put(eventKey, seal(eventKey, strconv.AppendUint(nil, id, 10)))
}

// plain turns the library's word for a closed store into the standard one, and
// tells a full disk.
func plain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w; nothing was changed: make room on its disk", state.ErrStoreFull, err)
	}
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return fs.ErrClosed
	}
	return err
}
