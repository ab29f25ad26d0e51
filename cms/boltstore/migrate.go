package boltstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms"
)

// schema is the version of what is written. A program that adds a field, or
// gives one another meaning, raises it and adds a migration: an older program
// would lose the field with its next write and must not try. A test compares the
// fields with those of the version and fails when this was forgotten.
const schema = 2

// migrations returns what makes each version out of the one before, the first of
// them version 2 out of version 1. They are never changed once released: each
// works on the records as text, not through types that go on changing.
func migrations() []func(*bolt.Tx) error {
	return []func(*bolt.Tx) error{addRevisionsAndSeals}
}

// versionOf returns the version of a store, or an error that wraps
// ErrStoreVersion or ErrStoreCorrupt.
func versionOf(tx *bolt.Tx) (int, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, fmt.Errorf("%w: it is a database, but not one of elastipod", cms.ErrStoreCorrupt)
	}
	text := string(meta.Get(schemaKey))
	version, err := strconv.Atoi(text)
	switch {
	case err != nil || version < 1:
		return 0, fmt.Errorf("%w: its version is %.40q", cms.ErrStoreCorrupt, text)
	case version > schema:
		return version, fmt.Errorf("%w: its version is %d, this program knows up to %d; it was left as it is: "+
			"use the newer program again, put a backup from before it in its place, or use another data directory", cms.ErrStoreVersion, version, schema)
	}
	return version, nil
}

// migrate brings an older store to this program's version, in one transaction: a
// crash leaves the one or the other. The file as it was stays beside it, so that
// one can go back to the older program.
func migrate(db *bolt.DB, path string) error {
	var version int
	if err := db.View(func(tx *bolt.Tx) (err error) {
		if version, err = versionOf(tx); err != nil || version == schema {
			return err
		}
		return keep(tx, fmt.Sprintf("%s.v%d", path, version))
	}); err != nil || version == schema {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		for i, step := range migrations()[version-1:] {
			if err := step(tx); err != nil {
				return fmt.Errorf("%w: from version %d to %d: %w", cms.ErrStoreCorrupt, version+i, version+i+1, err)
			}
		}
		if err := tx.Bucket(metaBucket).Put(schemaKey, strconv.AppendInt(nil, schema, 10)); err != nil {
			return err
		}
		_, err := read(tx) // what cannot be read is not committed
		return err
	})
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

// addRevisionsAndSeals makes version 2, which keeps what a pod ran, and
// checksums.
func addRevisionsAndSeals(tx *bolt.Tx) error {
	for _, name := range [][]byte{metaBucket, hostsBucket, podsBucket} {
		b := tx.Bucket(name)
		if b == nil {
			return errors.New("a part of it is missing")
		}
		changed := map[string][]byte{}
		err := each(b, string(name), func(key string, data []byte) (err error) {
			if string(name) == string(podsBucket) {
				if data, err = withRevisions(data); err != nil {
					return err
				}
			}
			if key != string(schemaKey) {
				changed[key] = seal([]byte(key), data)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for key, data := range changed {
			if err := b.Put([]byte(key), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// withRevisions returns the record of a pod with what it runs as its only
// revision. Its id is the one that version 1 gave the nodes: with another, all of
// them would be replaced.
func withRevisions(data []byte) ([]byte, error) {
	var rec, spec map[string]json.RawMessage
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, err
	}
	if rec["Revisions"] != nil {
		return data, nil
	}
	if err := json.Unmarshal(rec["Spec"], &spec); err != nil {
		return nil, err
	}
	type revision struct {
		ID               string
		Number           int
		At               json.RawMessage
		Workload, Limits json.RawMessage
		Reason           string
	}
	revisions, err := plainJSON([]revision{{
		ID: revisionOfVersion1(spec["Workload"], spec["Limits"]), Number: 1, At: rec["CreatedAt"],
		Workload: spec["Workload"], Limits: spec["Limits"], Reason: "created",
	}})
	if err != nil {
		return nil, err
	}
	rec["Revisions"] = revisions
	return plainJSON(rec)
}

// revisionOfVersion1 is how version 1 named what a pod runs: by the JSON of its
// workload and limits, as that version wrote them.
func revisionOfVersion1(workload, limits json.RawMessage) string {
	var text bytes.Buffer
	json.HTMLEscape(&text, fmt.Appendf(nil, `{"W":%s,"L":%s}`, workload, limits))
	sum := sha256.Sum256(text.Bytes())
	return hex.EncodeToString(sum[:4])
}

// plainJSON marshals without escaping what only matters in HTML.
func plainJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}
