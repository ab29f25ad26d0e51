package boltstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/internal/crashpoint"
)

const (
	fileMode = 0o600
	// lockTimeout is how long another process may take to let go of the file: enough
	// for one that is just ending, short for a person who waits.
	lockTimeout = 300 * time.Millisecond
)

func open(path string) (*bolt.DB, error) {
	deadline := time.Now().Add(lockTimeout)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, err
		}
	}
	if len(drafts(path)) > 0 {
		if err := clearDrafts(path); err != nil {
			return nil, err
		}
	}
	// Reading first, without write access: a file that cannot be understood is
	// not touched.
	if err := verify(path, deadline); err != nil {
		return nil, advise(err)
	}
	var file *os.File
	return openFile(path, deadline, bolt.Options{}, &file)
}

// advise says what to do with a store that cannot be read.
func advise(err error) error {
	if !errors.Is(err, state.ErrStoreCorrupt) {
		return err
	}
	return fmt.Errorf("%w; it was left as it is: put a copy of it from before in its place, "+
		"or move it away to begin with an empty one", err)
}

// create makes an empty store at path in one step, so that a crash never leaves
// half of one, and two that start together agree on one cluster id.
func create(path string) error {
	dir := filepath.Dir(path)
	release, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.CreateTemp(dir, draftPrefix(path)+"*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(f.Name(), fileMode, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{hostsBucket, podsBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return errors.Join(
			meta.Put(schemaKey, strconv.AppendInt(nil, schema, 10)),
			meta.Put(clusterKey, seal(clusterKey, []byte(rand.Text()))),
		)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	crashpoint.Here("store-new/written")
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	crashpoint.Here("store-new/linked")
	return syncDir(dir)
}

// draftPrefix begins the names of files that become the store.
func draftPrefix(path string) string { return "." + filepath.Base(path) + ".new-" }

// drafts returns those that are there: one is being made, or its maker was
// killed.
func drafts(path string) (found []string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // what cannot be read is told soon
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), draftPrefix(path)) {
			found = append(found, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return found
}

// clearDrafts removes what makers that were killed left.
func clearDrafts(path string) error {
	release, err := lockDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer release()
	var errs []error
	for _, draft := range drafts(path) {
		errs = append(errs, os.Remove(draft))
	}
	return errors.Join(errs...)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// verify reads all of the file. A damaged one can make the library panic, and
// reads outside of the mapped file fault; both are turned into errors here, and
// the mapping is then given up.
func verify(path string, deadline time.Time) (err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a file")
	case info.Size() == 0:
		return corrupt(errors.New("it is empty"))
	}
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if file != nil {
				_ = unlock(file) // the mapping would keep the lock
				file.Close()
			}
			err = corrupt(fmt.Errorf("%v", r))
		}
	}()
	db, err := openFile(path, deadline, bolt.Options{ReadOnly: true, PreLoadFreelist: true}, &file)
	if err != nil {
		return err
	}
	err = db.View(func(tx *bolt.Tx) error {
		info, err := file.Stat() // again: now nobody writes
		if err != nil {
			return err
		}
		if size := tx.Size(); info.Size() < size {
			return corrupt(fmt.Errorf("it is cut off: %d of %d bytes are there", info.Size(), size))
		}
		if _, err := read(tx); err != nil {
			return err
		}
		return checkPages(tx)
	})
	return errors.Join(err, db.Close())
}

// openFile opens the database and stores its file in *file as soon as there is
// one.
func openFile(path string, deadline time.Time, o bolt.Options, file **os.File) (*bolt.DB, error) {
	o.Timeout = max(time.Until(deadline), time.Millisecond)
	o.OpenFile = func(name string, flag int, _ os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag&^os.O_CREATE, fileMode)
		*file = f
		return f, err
	}
	db, err := bolt.Open(path, fileMode, &o)
	var pathErr *fs.PathError
	var errno syscall.Errno
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%w%s; use that one, stop it, or use another data directory", state.ErrStoreLocked, describe(path))
	case errors.As(err, &pathErr), errors.As(err, &errno):
		return nil, err
	}
	return nil, corrupt(err)
}

func corrupt(err error) error { return fmt.Errorf("%w: %w", state.ErrStoreCorrupt, err) }
