//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms"
	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/pod"
)

// smallDisk mounts a file system of that many bytes, and returns it with a
// function that fills what is free of it and one that makes room again.
func smallDisk(t *testing.T, size int) (dir string, fill, free func()) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ep")
	require.NoError(t, err)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(size)), "mount a small file system, as root")
	t.Cleanup(func() {
		assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH))
		assert.NoError(t, os.Remove(dir))
	})
	ballast := filepath.Join(dir, "ballast")
	fill = func() {
		t.Helper()
		f, err := os.OpenFile(ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		defer f.Close()
		for n := 1 << 20; n > 0; {
			if _, err = f.Write(make([]byte, n)); err != nil {
				n /= 2
			}
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	free = func() { require.NoError(t, os.Remove(ballast)) }
	return dir, fill, free
}

func hash(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return sha256.Sum256(data)
}

func record(i, size int) cms.PodRecord {
	return cms.PodRecord{Spec: cms.PodSpec{Spec: pod.Spec{
		Name: "p" + strconv.Itoa(i), Workload: pod.Workload{Command: []string{string(bytes.Repeat([]byte("x"), size))}},
	}}}
}

// The store on a disk that fills up, for real: what was saved is there, what was
// not is not, whether the program lives or begins anew; and there is no trace of
// it once there is room.
func TestFaultDiskFullStore(t *testing.T) {
	row := newFault(t, "disk full, the store's file")
	dir, fill, free := smallDisk(t, 4<<20)
	path := filepath.Join(dir, "elastipod.db")
	fill()
	_, err := boltstore.Open(path)
	require.ErrorIs(t, err, cms.ErrStoreFull, "there is no room for a new store")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "what was begun of a store is gone")
	free()

	s, err := boltstore.Open(path)
	require.NoError(t, err)
	defer func() { s.Close() }()
	for round := range rounds(5, 100) {
		for i := range 3 {
			require.NoError(t, s.Save(t.Context(), cms.Change{PutPods: []cms.PodRecord{record(i, 1000)}}))
		}
		before, err := s.Load(t.Context())
		require.NoError(t, err)
		row.inject(fill)
		failed := 0
		for i := range 40 { // until it no longer fits into pages that were free
			c := cms.Change{PutPods: []cms.PodRecord{record(100+i, 3000)}, EventID: uint64(1000*round + i)}
			if err := s.Save(t.Context(), c); err != nil {
				require.ErrorIs(t, err, cms.ErrStoreFull)
				assert.ErrorContains(t, err, "make room")
				failed++
				continue
			}
			if before, err = s.Load(t.Context()); err != nil {
				require.NoError(t, err)
			}
		}
		require.Greater(t, failed, 5, "the disk was not full")
		same, err := s.Load(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before, same, "what failed left no trace")

		// The program begins anew on the full disk.
		require.NoError(t, s.Close())
		sum := hash(t, path)
		s, err = boltstore.Open(path)
		require.NoError(t, err, "a full disk is no reason not to open what is there")
		same, err = s.Load(t.Context())
		require.NoError(t, err)
		assert.Equal(t, before, same)
		assert.Equal(t, sum, hash(t, path))

		began := time.Now()
		free()
		for i := range 40 {
			require.NoError(t, s.Save(t.Context(), cms.Change{DeletePods: []string{"p" + strconv.Itoa(100+i)}}))
		}
		row.recovered(time.Since(began))
	}
}

// Every page of a store is damaged, in turn and each in several ways; and it is
// cut off after each page and in the middle of each. It opens with what was saved,
// or is refused and not touched.
func TestFaultStoreCorrupt(t *testing.T) {
	row := newFault(t, "store damaged, every page")
	dir := t.TempDir()
	path := filepath.Join(dir, "elastipod.db")
	s, err := boltstore.Open(path)
	require.NoError(t, err)
	for i := range 20 {
		require.NoError(t, s.Save(t.Context(), cms.Change{PutPods: []cms.PodRecord{record(i, 700)}, EventID: uint64(i)}))
	}
	want, err := s.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	refused, accepted := 0, 0
	try := func(what string, at int, data []byte) {
		t.Helper()
		row.inject(func() { require.NoError(t, os.WriteFile(path, data, 0o600)) })
		sum := hash(t, path)
		s, err := boltstore.Open(path)
		if err != nil {
			refused++
			require.ErrorIs(t, err, cms.ErrStoreCorrupt, "%s at %d", what, at)
			require.ErrorContains(t, err, "a copy of it from before", "%s at %d", what, at)
			require.Equal(t, sum, hash(t, path), "%s at %d: the file was changed", what, at)
			return
		}
		accepted++
		got, err := s.Load(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Close())
		for i := range got.Pods { // a record of the transaction before is as good
			require.Contains(t, want.Pods, got.Pods[i], "%s at %d", what, at)
		}
		require.GreaterOrEqual(t, len(got.Pods), len(want.Pods)-1, "%s at %d: records are missing", what, at)
	}
	page := os.Getpagesize()
	rnd := rand.New(rand.NewPCG(7, 7))
	for at := 0; at < len(whole); at += page {
		for range rounds(2, 50) {
			bit := bytes.Clone(whole)
			bit[at+rnd.IntN(page)] ^= 1 << rnd.IntN(8)
			try("bit", at, bit)
		}
		zero := bytes.Clone(whole)
		clear(zero[at : at+page])
		try("zeros", at, zero)
		noise := bytes.Clone(whole)
		for i := range page {
			noise[at+i] = byte(rnd.Uint32())
		}
		try("noise", at, noise)
		other := bytes.Clone(whole)
		copy(other[at:at+page], whole[rnd.IntN(len(whole)/page)*page:])
		try("another page", at, other)
		try("cut", at, whole[:at])
		try("cut in the middle", at, whole[:at+page/2])
	}
	t.Logf("%d damaged files: %d refused, %d opened with what was saved", refused+accepted, refused, accepted)
	assert.Greater(t, refused, accepted/4)
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	s, err = boltstore.Open(path)
	require.NoError(t, err)
	defer s.Close()
	got, err := s.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, got)
}
