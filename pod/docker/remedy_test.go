package docker

import (
	"context"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// An engine that does not answer is told with what to do about it.
func TestRemedies(t *testing.T) {
	nothing := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	r, err := New(Config{Cluster: pod.Cluster{Name: "c", ID: "1"}, Host: pod.Host{Name: "local", Runtime: "docker", Address: nothing}})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.Close()) }()
	_, err = r.Observe(t.Context())
	require.ErrorIs(t, err, pod.ErrUnreachable)
	assert.ErrorContains(t, err, nothing)
	assert.ErrorContains(t, err, "(start the engine, or correct the host's address)")

	denied := fmt.Errorf("dial: %w", &fs.PathError{Op: "connect", Path: "x", Err: fs.ErrPermission})
	assert.ErrorContains(t, r.remedy(denied), "add it to the group docker")
	assert.Equal(t, context.DeadlineExceeded, r.remedy(context.DeadlineExceeded), "it runs, and is slow")
	r.host.Address = ""
	assert.ErrorContains(t, r.remedy(exec.ErrNotFound), "set one, or start the engine")
	r.host.Address = "ssh://me@b"
	assert.Equal(t, exec.ErrNotFound, r.remedy(exec.ErrNotFound), "ssh says enough")
}
