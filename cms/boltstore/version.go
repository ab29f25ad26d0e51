package boltstore

import (
	"fmt"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms/state"
)

// schema is the version of what is written. A program that adds a field, or
// gives one another meaning, raises it: an older program would lose the field
// with its next write and must not try. A test compares the fields with those of
// the version and fails when this was forgotten.
const schema = 3

// otherVersion says that a store is of another version than this program's. It
// is [state.ErrStoreVersion].
type otherVersion int

func (v otherVersion) Error() string {
	if v > schema {
		return fmt.Sprintf("it is of version %d, and this program knows version %d; it was left as it is: "+
			"use the newer program again, put a backup from before it in its place, or use another data directory", int(v), schema)
	}
	return fmt.Sprintf("it is of version %d, and this program reads version %d only; it was left as it is: "+
		"start the older program again, save what is set with \"cloud get -o yaml\", and stop it together with its nodes; "+
		"then move the store away, start this program, and use \"cloud apply -f\"", int(v), schema)
}

// Unwrap returns the kind.
func (v otherVersion) Unwrap() error { return state.ErrStoreVersion }

// checkVersion returns an error that wraps ErrStoreVersion or ErrStoreCorrupt
// unless the store is of this program's version.
func checkVersion(tx *bolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return fmt.Errorf("%w: it is a database, but not one of elastipod", state.ErrStoreCorrupt)
	}
	text := string(meta.Get(schemaKey))
	switch version, err := strconv.Atoi(text); {
	case err != nil || version < 1:
		return fmt.Errorf("%w: its version is %.40q", state.ErrStoreCorrupt, text)
	case version != schema:
		return otherVersion(version)
	}
	return nil
}
