package boltstore_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

// The store of the current version, what it holds, and the fields that the
// version has. They are written anew with -update for as long as the version has
// not been released.
const (
	fixture       = "testdata/v3.db"
	fixtureState  = "testdata/v3.json"
	fixtureFields = "testdata/v3.fields"
)

// copyOf returns the path of a store that may be changed.
func copyOf(t *testing.T, fixture string) string {
	data, err := os.ReadFile(fixture)
	require.NoError(t, err)
	path := file(t.TempDir())
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func TestReadsWhatTheVersionWrote(t *testing.T) {
	if *update {
		writeFixture(t)
	}
	s, err := boltstore.Open(copyOf(t, fixture))
	require.NoError(t, err)
	defer s.Close()
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	text, err := os.ReadFile(fixtureState)
	require.NoError(t, err)
	var want state.State
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&want))
	assert.JSONEq(t, string(indented(t, want)), string(indented(t, got)))
	assert.Len(t, got.Pods, 2)
	assert.Len(t, got.Hosts, 2)

	// It can be changed, and what wasn't is still there.
	require.NoError(t, s.Save(t.Context(), state.Change{DeletePods: []string{got.Pods[0].Spec.Name}}))
	after, err := s.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, got.Pods[1:], after.Pods)
}

// An older program would lose a field that it doesn't know with its next write,
// so one that is added or renamed makes a new version.
func TestFieldsAreThoseOfTheVersion(t *testing.T) {
	lines := slices.Concat(fieldsOf("pod", reflect.TypeFor[state.Pod]()), fieldsOf("host", reflect.TypeFor[state.Host]()))
	now := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(fixtureFields, []byte(now), 0o644))
	}
	want, err := os.ReadFile(fixtureFields)
	require.NoError(t, err)
	assert.Equal(t, string(want), now, "the records have other fields than the version. While it has not been released: "+
		"go test ./cms/boltstore -update. Once it has: raise schema, and add a fixture of the new version")
}

// fieldsOf lists the fields of a record, as they are named in JSON, with their
// kinds.
func fieldsOf(at string, t reflect.Type) (out []string) {
	switch {
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[json.RawMessage]():
		return []string{at + " " + t.String()}
	case t.Kind() == reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case name == "-":
				continue
			case name == "" && !f.Anonymous:
				name = f.Name
			}
			out = append(out, fieldsOf(strings.TrimSuffix(at+"."+name, "."), f.Type)...)
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

func writeFixture(t *testing.T) {
	require.NoError(t, os.RemoveAll(fixture))
	s, err := boltstore.Open(fixture)
	require.NoError(t, err)
	full, host := cmstest.FullPod(), cmstest.FullHost()
	full.Spec.Name, host.Host.Name = "full", "full"
	require.NoError(t, s.Save(t.Context(), state.Change{
		ClusterID: "FIXTUREFIXTUREFIXTUREFIXTU", EventID: 512,
		PutPods:  []state.Pod{full, {Spec: state.PodSpec{Spec: pod.Spec{Name: "bare"}}}},
		PutHosts: []state.Host{host, {Host: pod.Host{Name: "bare", Runtime: "process"}}},
	}))
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, os.Chmod(fixture, 0o644))
	require.NoError(t, os.WriteFile(fixtureState, indented(t, got), 0o644))
}

func indented(t *testing.T, v any) []byte {
	text, err := json.MarshalIndent(v, "", " ")
	require.NoError(t, err)
	return append(text, '\n')
}

// Another version is refused with what to do, and its bytes stay.
func TestAnotherVersionSaysWhatToDo(t *testing.T) {
	for version, words := range map[int][]string{
		99: {"newer program", "backup", "another data directory"},
		2:  {"older program", "cloud get", "cloud apply"},
		1:  {"older program", "cloud get", "cloud apply"},
	} {
		path := copyOf(t, fixture)
		edit(t, path, func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte(strconv.Itoa(version)))
		})
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = boltstore.Open(path)
		require.ErrorIs(t, err, state.ErrStoreVersion)
		for _, word := range append(words, path, "version "+strconv.Itoa(version)+",", "left as it is") {
			assert.ErrorContains(t, err, word)
		}
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(before, after), "%s was changed", path)

		s, err := boltstore.Open(file(t.TempDir()))
		require.NoError(t, err)
		_, err = s.ReadBackup(t.Context(), bytes.NewReader(before))
		assert.ErrorIs(t, err, state.ErrStoreVersion)
		require.NoError(t, s.Close())
	}
}
