package boltstore_test

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/cms/cmstest"
	"github.com/elastipod/elastipod/cms/state"
	"github.com/elastipod/elastipod/pod"
)

var update = flag.Bool("update", false, "write the fixture of the current version anew")

// holdEnv makes this test binary open the store that it names, say so, and hold
// it until its standard input ends.
const holdEnv = "BOLTSTORE_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		if _, err := boltstore.Open(path); err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString("open")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0) // without Close, as a program that was killed
	}
	goleak.VerifyTestMain(m)
}

func file(dir string) string { return filepath.Join(dir, "elastipod.db") }

func content(t testing.TB, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(file(dir))
	require.NoError(t, err)
	return data
}

// edit changes a closed store behind the package's back.
func edit(t testing.TB, path string, f func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, db.Update(f))
	require.NoError(t, db.Close())
}

func TestStore(t *testing.T) {
	cmstest.RunStore(t, cmstest.Harness{
		Open: func(dir string) (state.Store, error) {
			s, err := boltstore.Open(file(dir))
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Newer: func(t testing.TB, dir string) {
			edit(t, file(dir), func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("4")) })
		},
		Damage: func(t testing.TB, dir string) {
			edit(t, file(dir), func(tx *bolt.Tx) error {
				return tx.Bucket([]byte("pods")).Put([]byte("broken"), boltstore.Seal("broken", `{"Spec":{"Name":`))
			})
		},
		Content: content,
	})
}

func TestDamagedFilesAreRefusedAndLeftAlone(t *testing.T) {
	whole := func(t *testing.T) []byte {
		dir := t.TempDir()
		s, err := boltstore.Open(file(dir))
		require.NoError(t, err)
		for i := range 50 {
			p := state.Pod{Spec: state.PodSpec{Spec: pod.Spec{Name: "p-" + strconv.Itoa(i), Hosts: make([]string, 100)}}}
			require.NoError(t, s.Save(t.Context(), state.Change{PutPods: []state.Pod{p}}))
		}
		require.NoError(t, s.Close())
		return content(t, dir)
	}(t)
	for name, data := range map[string][]byte{
		"empty":          {},
		"a few bytes":    []byte("hello"),
		"text":           bytes.Repeat([]byte("this is no database\n"), 5000),
		"zeros":          make([]byte, len(whole)),
		"half":           whole[:len(whole)/2],
		"first page":     whole[:os.Getpagesize()],
		"both metas":     whole[:2*os.Getpagesize()],
		"odd length":     whole[:len(whole)/2+17],
		"zeroed data":    append(bytes.Clone(whole[:2*os.Getpagesize()]), make([]byte, len(whole)-2*os.Getpagesize())...),
		"flipped data":   append(bytes.Clone(whole[:2*os.Getpagesize()]), flip(whole[2*os.Getpagesize():])...),
		"no elastipod's": otherDatabase(t),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(file(dir), data, 0o600))
			for range 2 { // the first refusal must not hold a lock
				_, err := boltstore.Open(file(dir))
				require.ErrorIs(t, err, state.ErrStoreCorrupt)
				assert.ErrorContains(t, err, file(dir))
				assert.ErrorContains(t, err, "left as it is")
			}
			assert.True(t, bytes.Equal(data, content(t, dir)), "the file was changed")
		})
	}
}

// TestRandomDamage overwrites random parts of the file: it opens, or is refused
// as corrupt and left alone, and nothing ever panics.
func TestRandomDamage(t *testing.T) {
	dir := t.TempDir()
	s, err := boltstore.Open(file(dir))
	require.NoError(t, err)
	for i := range 30 {
		p := state.Pod{Spec: state.PodSpec{Spec: pod.Spec{Name: "p-" + strconv.Itoa(i), Hosts: make([]string, 200)}}}
		require.NoError(t, s.Save(t.Context(), state.Change{PutPods: []state.Pod{p}}))
	}
	require.NoError(t, s.Close())
	whole := content(t, dir)
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 200 {
		data := bytes.Clone(whole)
		for range 1 + rnd.IntN(3) {
			at := rnd.IntN(len(data) - 16)
			for i := range 1 + rnd.IntN(16) {
				data[at+i] = byte(rnd.Uint32())
			}
		}
		require.NoError(t, os.WriteFile(file(dir), data, 0o600))
		s, err := boltstore.Open(file(dir))
		if err == nil {
			require.NoError(t, s.Close())
			continue
		}
		refused++
		require.ErrorIs(t, err, state.ErrStoreCorrupt)
		require.True(t, bytes.Equal(data, content(t, dir)), "the file was changed")
	}
	assert.Greater(t, refused, 20, "the damage was not seen")
}

func flip(data []byte) []byte {
	out := bytes.Clone(data)
	for i := range out {
		out[i] ^= 0xff
	}
	return out
}

func otherDatabase(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "other.db")
	edit(t, path, func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("photos"))
		return err
	})
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func TestUnknownContentIsRefused(t *testing.T) {
	for name, change := range map[string]func(tx *bolt.Tx) error{
		"field of a later program": func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("pods")).Put([]byte("web"), boltstore.Seal("web", `{"Spec":{"Name":"web"},"Later":1}`))
		},
		"record under another name": func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("pods")).Put([]byte("web"), boltstore.Seal("web", `{"Spec":{"Name":"api"}}`))
		},
		"unknown state": func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("pods")).Put([]byte("web"), boltstore.Seal("web", `{"Spec":{"Name":"web"},"Nodes":[{"Name":"a","State":"dreaming"}]}`))
		},
		"two records in one": func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("hosts")).Put([]byte("a"), boltstore.Seal("a", `{"Host":{"Name":"a"}}{}`))
		},
		"not what was sealed": func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("pods")).Put([]byte("web"), boltstore.Seal("api", `{"Spec":{"Name":"web"}}`))
		},
		"too short to be sealed": func(tx *bolt.Tx) error { return tx.Bucket([]byte("hosts")).Put([]byte("a"), []byte("{}")) },
		"no cluster id":          func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("cluster_id")) },
		"event id": func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("event_id"), boltstore.Seal("event_id", "-1"))
		},
		"no version": func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("schema")) },
		"no pods":    func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("pods")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := boltstore.Open(file(dir))
			require.NoError(t, err)
			require.NoError(t, s.Close())
			edit(t, file(dir), change)
			before := content(t, dir)
			_, err = boltstore.Open(file(dir))
			require.ErrorIs(t, err, state.ErrStoreCorrupt)
			assert.Equal(t, before, content(t, dir))
		})
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	s, err := boltstore.Open(file(dir))
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, file(dir), s.Path())
	info, err := os.Stat(file(dir))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, names, 2, "making the store leaves nothing else behind, but who has it")

	_, err = boltstore.Open(filepath.Join(dir, "no", "such", "dir.db"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = boltstore.Open(dir)
	assert.ErrorContains(t, err, "not a file")
}

func TestClosedStoreSaysSo(t *testing.T) {
	s, err := boltstore.Open(file(t.TempDir()))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.Save(t.Context(), state.Change{EventID: 1}), fs.ErrClosed)
	_, err = s.Load(t.Context())
	assert.ErrorIs(t, err, fs.ErrClosed)
}

func TestStartingTogetherAgreesOnOneID(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			s, err := boltstore.Open(file(dir))
			for errors.Is(err, state.ErrStoreLocked) {
				s, err = boltstore.Open(file(dir))
			}
			if !assert.NoError(t, err) {
				return
			}
			all, err := s.Load(t.Context())
			assert.NoError(t, err)
			assert.NoError(t, s.Close())
			mu.Lock()
			ids[all.ClusterID] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	assert.Len(t, ids, 1)
}

// A process that is killed while it makes the store leaves a file, which the
// next one clears away.
func TestWhatAKilledMakerLeftIsCleared(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".elastipod.db.new-1", ".elastipod.db.new-2"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		s, err := boltstore.Open(file(dir))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, entries, 1)
	}
}

// TestAnotherProcess holds the store in a second process, and kills that.
func TestAnotherProcess(t *testing.T) {
	path := file(t.TempDir())
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	_, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := make([]byte, 4)
	_, err = out.Read(said)
	require.NoError(t, err)
	require.Equal(t, "open", string(said))

	began := time.Now()
	_, err = boltstore.Open(path)
	require.ErrorIs(t, err, state.ErrStoreLocked)
	assert.Less(t, time.Since(began), 2*time.Second)
	assert.ErrorContains(t, err, "(process "+strconv.Itoa(cmd.Process.Pid)+")")
	assert.ErrorContains(t, err, "another data directory")

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	s, err := boltstore.Open(path)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
