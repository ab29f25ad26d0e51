package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A machine that lost its power may leave a state that is empty.
func TestStateThatIsDamaged(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut off": `{"id":{"Pod":"web"`} {
		t.Run(name, func(t *testing.T) {
			r := open(t, t.TempDir())
			start(t, r, "n1", serving())
			dir := r.nodeDir(id("n2"))
			damage := func() {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, secretDir), 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600))
			}
			damage()
			snap, err := r.Observe(t.Context())
			require.NoError(t, err)
			require.Len(t, snap.Nodes, 1)
			assert.Equal(t, id("n1"), snap.Nodes[0].ID)
			assert.NoDirExists(t, dir, "nothing of it is left")

			damage()
			require.NoError(t, stopError(r.Stop(t.Context(), id("n2"), 0)))
			assert.NoDirExists(t, dir)

			damage()
			await(t, start(t, r, "n2", serving()))
		})
	}
}

// As long as a supervisor lives nothing is removed under it.
func TestStateThatIsDamagedUnderASupervisor(t *testing.T) {
	r := open(t, t.TempDir())
	n := start(t, r, "n1", serving())
	await(t, n)
	path := filepath.Join(r.nodeDir(n.ID), stateFile)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = r.Observe(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, stopError(r.Stop(t.Context(), n.ID, 0)), path)
	_, err = r.Start(t.Context(), request("n1", serving()))
	require.ErrorContains(t, err, path)
	_, err = get(n, "/")
	require.NoError(t, err, "it still serves")
	require.NoError(t, os.WriteFile(path, good, 0o600))
	require.NoError(t, stopError(r.Stop(t.Context(), n.ID, 0)))
}

// A state that holds no mark, or one that is none, stands for no process.
func TestStateWithoutAMarkEndsNobody(t *testing.T) {
	r, other := open(t, t.TempDir()), open(t, t.TempDir())
	n := start(t, other, "n1", serving())
	await(t, n)
	mark := state(t, other, "n1").Mark
	for _, m := range []string{"", mark[:1], mark[:15], mark + "0", "*"} {
		dir := r.nodeDir(id("n1"))
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, writeState(dir, nodeState{ID: id("n1"), Mark: m, Boot: r.boot, Supervisor: procRef{PID: 1 << 22, Start: 1}}))
		assert.Equal(t, 137, exited(t, r, "n1").Code, "its supervisor is gone")
		require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), 0)))
		assert.NoDirExists(t, dir)
		_, err := get(n, "/")
		require.NoError(t, err, "the node of another cluster lives: %q", m)
	}
}

func TestSecretsElsewhereAreNotRemoved(t *testing.T) {
	r := open(t, t.TempDir())
	kept := t.TempDir()
	for _, path := range []string{kept, kept + "/", "/dev/shm/../" + kept, kept + "/elastipod-secrets-1/../", filepath.Dir(r.nodeDir(id("n1")))} {
		assert.False(t, ownSecrets(r.nodeDir(id("n1")), path), path)
		dir := r.nodeDir(id("n1"))
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, removeNode(dir, nodeState{Secrets: path}))
		assert.DirExists(t, kept)
		assert.NoDirExists(t, dir)
	}
	mine := filepath.Join(kept, secretPrefix+"1")
	require.NoError(t, os.Mkdir(mine, 0o700))
	require.NoError(t, removeNode(r.nodeDir(id("n1")), nodeState{Secrets: mine}))
	assert.NoDirExists(t, mine)
}
