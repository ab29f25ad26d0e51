package boltstore_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/boltstore"
	"github.com/elastipod/elastipod/cms/state"
)

func TestAnnounceTellsWhoHasTheStore(t *testing.T) {
	dir := t.TempDir()
	s, err := boltstore.Open(file(dir))
	require.NoError(t, err)
	require.NoError(t, s.Announce("http://127.0.0.1:3000"))
	_, err = boltstore.Open(file(dir))
	require.ErrorIs(t, err, state.ErrStoreLocked)
	assert.ErrorContains(t, err, "at http://127.0.0.1:3000")
	require.NoError(t, s.Close())
	assert.Empty(t, boltstore.Holder(file(dir)))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing but the store is left")

	// What another process that was killed left is not believed.
	require.NoError(t, os.WriteFile(file(dir)+".holder", []byte(`{"pid":1,"machine":"elsewhere","address":"http://old"}`), 0o600))
	s, err = boltstore.Open(file(dir))
	require.NoError(t, err)
	defer s.Close()
	_, err = boltstore.Open(file(dir))
	require.ErrorIs(t, err, state.ErrStoreLocked)
	assert.NotContains(t, err.Error(), "http://old")
}
