package boltstore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/cms/cmstest"
)

// The store of the current version, what it holds, and the fields that the
// version has. They are written anew with -update for as long as the version has
// not been released.
const (
	fixture2       = "testdata/v2.db"
	fixture2State  = "testdata/v2.json"
	fixture2Fields = "testdata/v2.fields"
)

func TestReadsWhatVersion2Wrote(t *testing.T) {
	if *update {
		writeFixture2(t)
	}
	s, err := boltstore.Open(copyOf(t, fixture2))
	require.NoError(t, err)
	defer s.Close()
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	text, err := os.ReadFile(fixture2State)
	require.NoError(t, err)
	var want cms.State
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&want))
	assert.JSONEq(t, string(indented(t, want)), string(indented(t, got)))
	assert.Len(t, got.Pods, 2)
	assert.Len(t, got.Hosts, 2)

	// It can be changed, and what wasn't is still there.
	require.NoError(t, s.Save(t.Context(), cms.Change{DeletePods: []string{got.Pods[0].Spec.Name}}))
	after, err := s.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, got.Pods[1:], after.Pods)
}

// An older program would lose a field that it doesn't know with its next write,
// so one that is added or renamed makes a new version.
func TestFieldsAreThoseOfTheVersion(t *testing.T) {
	lines := slices.Concat(fieldsOf("pod", reflect.TypeFor[cms.PodRecord]()), fieldsOf("host", reflect.TypeFor[cms.HostRecord]()))
	now := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(fixture2Fields, []byte(now), 0o644))
	}
	want, err := os.ReadFile(fixture2Fields)
	require.NoError(t, err)
	assert.Equal(t, string(want), now, "the records have other fields than version 2. While that version has not been released: "+
		"go test ./cms/boltstore -update. Once it has: raise schema, add a migration, and a fixture of the new version")
}

// fieldsOf lists the fields of a record with their kinds.
func fieldsOf(at string, t reflect.Type) (out []string) {
	switch {
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[json.RawMessage]():
		return []string{at + " " + t.String()}
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			out = append(out, fieldsOf(at+"."+f.Name, f.Type)...)
		}
		return out
	case t.Kind() == reflect.Pointer:
		return fieldsOf(at, t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return fieldsOf(at+"[]", t.Elem())
	case t.Kind() == reflect.Map:
		return fieldsOf(at+"{"+t.Key().Kind().String()+"}", t.Elem())
	}
	return []string{at + " " + t.Kind().String()}
}

func writeFixture2(t *testing.T) {
	require.NoError(t, os.RemoveAll(fixture2))
	s, err := boltstore.Open(fixture2)
	require.NoError(t, err)
	state := fixtureState()
	full, host := cmstest.FullPod(), cmstest.FullHost()
	full.Spec.Name, host.Host.Name = "full", "full"
	require.NoError(t, s.Save(t.Context(), cms.Change{
		ClusterID: fixtureID, EventID: 512, PutPods: []cms.PodRecord{full, state.Pods[1]}, PutHosts: []cms.HostRecord{host, state.Hosts[0]},
	}))
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, os.Chmod(fixture2, 0o644))
	require.NoError(t, os.WriteFile(fixture2State, indented(t, got), 0o644))
}

func indented(t *testing.T, v any) []byte {
	text, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return append(text, '\n')
}

// A migration that cannot be done leaves the store as it was, and so does one
// for whose copy there is no room.
func TestAMigrationIsMadeWholeOrNotAtAll(t *testing.T) {
	t.Run("a record that cannot be read", func(t *testing.T) {
		path := copyOf(t, fixture1)
		edit(t, path, func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("pods")).Put([]byte("web"), []byte(`{"Spec":{"Name":"web"},"Strange":1}`))
		})
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		for range 2 {
			_, err = boltstore.Open(path)
			require.ErrorIs(t, err, cms.ErrStoreCorrupt)
			assert.ErrorContains(t, err, "web")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(before, after), "the file was changed")
		}
	})
	t.Run("no copy can be made", func(t *testing.T) {
		path := copyOf(t, fixture1)
		require.NoError(t, os.MkdirAll(path+".v1.new/x", 0o700))
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = boltstore.Open(path)
		require.ErrorContains(t, err, "copy")
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(before, after), "the file was changed")
	})
}

// A newer version is refused with what to do, and its bytes stay.
func TestNewerVersionSaysWhatToDo(t *testing.T) {
	path := copyOf(t, fixture2)
	edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("99")) })
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = boltstore.Open(path)
	require.ErrorIs(t, err, cms.ErrStoreVersion)
	for _, word := range []string{path, "99", "newer program", "backup", "another data directory"} {
		assert.ErrorContains(t, err, word)
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(before, after), fmt.Sprintf("%s was changed", path))
}
