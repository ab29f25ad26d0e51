package process

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// calls are all methods that take a context.
func calls(r *Runtime) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Observe": func(ctx context.Context) error { _, err := r.Observe(ctx); return err },
		"Start":   func(ctx context.Context) error { _, err := r.Start(ctx, request("n2", serving())); return err },
		"Stop":    func(ctx context.Context) error { return stopError(r.Stop(ctx, id("n1"), time.Second)) },
		"Prepare": func(ctx context.Context) error { _, err := r.Prepare(ctx, serving(), "", nil); return err },
		"Logs":    func(ctx context.Context) error { _, err := r.Logs(ctx, id("n1"), pod.LogOptions{}); return err },
		"Watch":   func(ctx context.Context) error { return r.Watch(ctx, func(pod.Event) {}) },
		"Salvage": func(ctx context.Context) error { _, err := r.Salvage(ctx); return err },
	}
}

func TestEndedContextChangesNothing(t *testing.T) {
	r := open(t, t.TempDir())
	n := start(t, r, "n1", serving())
	await(t, n)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(r) {
		assert.ErrorIs(t, call(ended), context.Canceled, name)
	}
	_, err := get(n, "/")
	require.NoError(t, err)
	assert.NoDirExists(t, r.nodeDir(id("n2")))
}

func TestClosedRuntimeLeavesNodesAlone(t *testing.T) {
	r := open(t, t.TempDir())
	n := start(t, r, "n1", serving())
	await(t, n)
	require.NoError(t, r.Close())
	require.NoError(t, r.Close(), "twice")
	for name, call := range calls(r) {
		assert.ErrorIs(t, call(t.Context()), errClosed, name)
	}
	_, err := get(n, "/")
	require.NoError(t, err)
}

// A directory that cannot be used must not look like one without nodes.
func TestDirectoryThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	r, err := New(config(dir, testCluster))
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, os.WriteFile(filepath.Join(dir, testCluster.Name), nil, 0o600))
	for _, name := range []string{"Observe", "Start", "Salvage"} {
		assert.ErrorContains(t, calls(r)[name](t.Context()), "not a directory", name)
	}
	_, err = New(config(filepath.Join(dir, testCluster.Name, "x"), testCluster))
	assert.ErrorContains(t, err, "process runtime: ")
}
