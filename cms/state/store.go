package state

import (
	"context"
	"errors"
	"io"
)

// Store keeps what must not be lost: hosts, pods, nodes, wanted counts and
// settings. One manager uses it at a time. Its methods may be called by several
// goroutines; two changes of the same pod are never made at the same time.
type Store interface {
	// Load returns everything. The first call on an empty store makes the
	// cluster's id and keeps it. [ErrStoreVersion] when the data are of a
	// version that this program doesn't know; they are left as they are.
	Load(ctx context.Context) (State, error)

	// Save makes the change, all of it or nothing; when it returns nil the
	// change is durable. It blocks for milliseconds. On an error the store is
	// as it was, and later calls may succeed: [ErrStoreFull] says that its disk
	// is full, and goes by itself once there is room.
	Save(ctx context.Context, c Change) error

	// Close releases the store. It is safe to call twice.
	Close() error
}

// Archiver is what a [Store] may also be: one that can be copied while it is
// used. Its methods may be called beside all others.
type Archiver interface {
	// Backup writes a consistent copy of everything, as of a moment during the
	// call. On an error w may hold a part of it.
	Backup(ctx context.Context, w io.Writer) error
	// ReadBackup returns what is in a copy that Backup wrote, also of an earlier
	// version, after checking all of it; the store itself stays as it is. It
	// returns [ErrStoreCorrupt], [ErrStoreVersion] or [ErrStoreFull].
	ReadBackup(ctx context.Context, r io.Reader) (State, error)
	// Keep makes a copy that stays beside the store, and returns its name for a
	// person. The label is made of letters, digits, dots and dashes; an earlier
	// copy of that label is replaced.
	Keep(ctx context.Context, label string) (string, error)
}

// Errors of a [Store].
var (
	// ErrStoreVersion says that the data were written by a newer version.
	ErrStoreVersion = errors.New("cms: store written by a newer version")
	// ErrStoreLocked says that another process uses the store.
	ErrStoreLocked = errors.New("cms: store in use by another process")
	// ErrStoreFull says that there is no room for a change. Nothing was changed.
	ErrStoreFull = errors.New("cms: no room for the store")
	// ErrStoreCorrupt says that the data cannot be read; they are left as they are.
	ErrStoreCorrupt = errors.New("cms: store corrupt")
)

// State is everything that a store keeps. Pods and hosts are sorted by name.
type State struct {
	ClusterID string // made by the store, once
	Hosts     []Host // sorted by name
	Pods      []Pod  // sorted by name
	// EventID is below every event id that will be used from now on.
	EventID uint64
}

// Change is a set of changes that are made together. A zero field changes
// nothing.
type Change struct {
	PutHosts    []Host   // added, or replaced by name
	DeleteHosts []string // names; one that is not there is no error
	PutPods     []Pod    // added, or replaced by name
	DeletePods  []string // names; one that is not there is no error
	EventID     uint64   // replaces that of the [State]
	// ClusterID replaces that of the State: a manager that begins where another
	// ended whose store was lost takes its id over.
	ClusterID string
	// Term is that of the manager that saves, where several may take turns; 0
	// while there is only one.
	Term uint64
}
