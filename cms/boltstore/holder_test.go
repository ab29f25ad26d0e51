package boltstore_test

import (
	"fmt"
	"os"
	"os/exec"
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

// What a process that was killed left says nothing where nobody has the store, and is
// gone once somebody has.
func TestHolderDoesNotNameOneThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	machine, err := os.Hostname()
	require.NoError(t, err)
	killed := exec.Command("true")
	require.NoError(t, killed.Run())
	left := fmt.Sprintf(`{"pid":%d,"machine":%q,"address":"http://old"}`, killed.Process.Pid, machine)
	require.NoError(t, os.WriteFile(file(dir)+".holder", []byte(left), 0o600))
	assert.Empty(t, boltstore.Holder(file(dir)))

	s, err := boltstore.Open(file(dir))
	require.NoError(t, err)
	defer s.Close()
	assert.Equal(t, fmt.Sprintf("process %d", os.Getpid()), boltstore.Holder(file(dir)))
	require.NoError(t, s.Announce("http://new"))
	assert.Equal(t, fmt.Sprintf("process %d, at http://new", os.Getpid()), boltstore.Holder(file(dir)))
}
