package docker_test

import (
	"context"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever looks into a node with "docker commit" and "docker run" makes a
// container with the labels of the node.
func TestContainerOfACommittedNodeIsNoNode(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	n := b.start(request("n1", "sleep"))
	committed, err := b.api.ContainerCommit(t.Context(), n.Handle, container.CommitOptions{})
	require.NoError(t, err)
	made, err := b.api.ContainerCreate(t.Context(), &container.Config{Image: committed.ID}, nil, nil, nil, "")
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		assert.NoError(t, b.api.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true}))
		_, err := b.api.ImageRemove(ctx, committed.ID, image.RemoveOptions{})
		assert.NoError(t, err)
	})
	require.NoError(t, b.api.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	c, err := b.api.ContainerInspect(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, b.inspect(n).Config.Labels, c.Config.Labels)

	snap, err := b.rt.Observe(t.Context())
	require.NoError(t, err)
	require.Len(t, snap.Nodes, 1)
	assert.Equal(t, n.Handle, snap.Nodes[0].Handle)
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, 0)))
	_, err = b.api.ContainerInspect(t.Context(), made.ID)
	require.NoError(t, err, "it is left alone")
}
