package cmstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/state"
)

func testArchive(t *testing.T, h Harness) {
	s := open(t, h, t.TempDir())
	a, ok := s.(state.Archiver)
	if !ok {
		t.Log("this store is no Archiver")
		return
	}
	save(t, s, state.Change{PutPods: []state.Pod{FullPod()}, PutHosts: []state.Host{FullHost()}, EventID: 7})
	want := load(t, s)
	var backup bytes.Buffer
	var changing sync.WaitGroup
	stop := make(chan struct{})
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, s.Save(context.Background(), state.Change{PutPods: []state.Pod{named(fmt.Sprintf("p%d", i%9))}, EventID: uint64(8 + i)}))
			}
		}
	})
	for range 20 {
		backup.Reset()
		require.NoError(t, a.Backup(t.Context(), &backup))
		got, err := a.ReadBackup(t.Context(), bytes.NewReader(backup.Bytes()))
		require.NoError(t, err)
		assert.Equal(t, want.ClusterID, got.ClusterID)
		assert.Equal(t, want.Hosts, got.Hosts)
		assert.Contains(t, got.Pods, want.Pods[0])
	}
	close(stop)
	changing.Wait()

	now := load(t, s)
	for name, data := range map[string][]byte{"empty": {}, "text": []byte("hello"), "half": backup.Bytes()[:backup.Len()/2]} {
		_, err := a.ReadBackup(t.Context(), bytes.NewReader(data))
		assert.ErrorIs(t, err, state.ErrStoreCorrupt, name)
	}
	_, err := a.ReadBackup(t.Context(), io.MultiReader(bytes.NewReader(backup.Bytes()[:9]), iotest.ErrReader(errors.New("gone"))))
	assert.Error(t, err)
	assert.ErrorContains(t, a.Backup(t.Context(), &failingWriter{}), "no more")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, a.Backup(ctx, io.Discard), context.Canceled)
	_, err = a.Keep(ctx, "x")
	assert.ErrorIs(t, err, context.Canceled)
	for range 2 { // the second one replaces the first
		name, err := a.Keep(t.Context(), "before-1")
		require.NoError(t, err)
		assert.Contains(t, name, "before-1")
	}
	assert.Equal(t, now, load(t, s), "none of that changed the store")
}

// failingWriter takes nothing.
type failingWriter struct{}

func (*failingWriter) Write([]byte) (int, error) { return 0, errors.New("no more") }
