package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// leftover makes the directory of a node of a cluster as a manager or a machine
// leaves it that ends at a bad moment, with secrets elsewhere, and returns both.
func leftover(t *testing.T, dir, clusterID, name, stateText string) (node, secrets string) {
	t.Helper()
	node = filepath.Join(dir, testCluster.Name, clusterID, "web."+name)
	require.NoError(t, os.MkdirAll(node, 0o700))
	secrets = filepath.Join(t.TempDir(), secretPrefix+"1")
	require.NoError(t, os.Mkdir(secrets, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(secrets, "key"), []byte("sesame"), 0o400))
	require.NoError(t, os.Symlink(secrets, filepath.Join(node, secretDir)))
	if stateText != "none" {
		require.NoError(t, os.WriteFile(filepath.Join(node, stateFile), []byte(stateText), 0o600))
	}
	return node, secrets
}

func TestWhatIsLeftOfNodesIsClearedAway(t *testing.T) {
	for _, c := range []struct {
		name, state string
		clear       func(*testing.T, *Runtime)
	}{
		{"of a start or a removal, by an observation", "none", func(t *testing.T, r *Runtime) { assert.Nil(t, find(t, r, "n1")) }},
		{"of a machine without power, by an observation", "", func(t *testing.T, r *Runtime) { assert.Nil(t, find(t, r, "n1")) }},
		{"half a state, by an observation", `{"id":{"Pod":"we`, func(t *testing.T, r *Runtime) { assert.Nil(t, find(t, r, "n1")) }},
		{"of a start or a removal, by a stop", "none", func(t *testing.T, r *Runtime) { require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), 0))) }},
		{"of a machine without power, by a stop", "", func(t *testing.T, r *Runtime) { require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), 0))) }},
		{"of a machine without power, by a start", "", func(t *testing.T, r *Runtime) {
			start(t, r, "n1", shell("sleep 1000"))
			require.NoError(t, stopError(r.Stop(t.Context(), id("n1"), 0)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, dir)
			node, secrets := leftover(t, dir, testCluster.ID, "n1", c.state)
			c.clear(t, r)
			assert.NoDirExists(t, node)
			assert.NoDirExists(t, secrets)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Empty(t, left)
		})
	}
}

// What may be needed stays: of a node that runs, of one that has ended and whose
// reason is to be read, and what this version does not understand.
func TestWhatSomebodyNeedsIsKept(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	running := start(t, r, "n1", shell("sleep 1000"))
	w, tell := late(t, "echo why; exit 3")
	start(t, r, "n2", w)
	tell()
	exited(t, r, "n2")
	newer, secrets := leftover(t, dir, testCluster.ID, "n3", `{"id":"web/n3"}`)

	well := state(t, r, "n1")
	file := filepath.Join(r.nodeDir(id("n1")), stateFile)
	require.NoError(t, os.WriteFile(file, nil, 0o600)) // its supervisor lives
	for range 3 {
		_, err := r.Observe(t.Context())
		require.NoError(t, err)
	}
	require.NoError(t, writeState(r.nodeDir(id("n1")), well))
	assert.Equal(t, running.Handle, find(t, r, "n1").Handle)
	assert.Equal(t, pod.PhaseRunning, find(t, r, "n1").Phase)
	assert.Equal(t, 3, exited(t, r, "n2").Code)
	assert.Equal(t, []string{"why"}, exited(t, r, "n2").LastLog)
	assert.FileExists(t, filepath.Join(newer, stateFile))
	assert.FileExists(t, filepath.Join(secrets, "key"))
}

// What another cluster of our name left of nodes that do not run is not ours to
// clear away; nor is it a manager that could be taken over.
func TestWhatAnotherClusterLeftIsNotInTheWay(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	var left []string
	for name, text := range map[string]string{"n1": "none", "n2": ""} {
		node, secrets := leftover(t, dir, "another", name, text)
		left = append(left, node, secrets)
	}
	found, err := r.Salvage(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found)
	start(t, r, "n1", shell("sleep 1000"))
	assert.NotNil(t, find(t, r, "n1"))
	for _, path := range left {
		assert.DirExists(t, path)
	}

	leftover(t, dir, "another", "n3", `{"id":{}}`)
	_, err = r.Observe(t.Context())
	require.ErrorIs(t, err, pod.ErrForeign)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, testCluster.Name, "another", "web.n3")))
}
