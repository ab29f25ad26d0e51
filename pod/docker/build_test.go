package docker_test

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

// contextOf writes a Dockerfile, and the probe as "app" beside it.
func contextOf(t *testing.T, dockerfile string) func(io.Writer) error {
	t.Helper()
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	return func(w io.Writer) error {
		out := tar.NewWriter(w)
		for name, content := range map[string][]byte{"Dockerfile": []byte(dockerfile), "app": binary} {
			if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
				return err
			}
			if _, err := out.Write(content); err != nil {
				return err
			}
		}
		return out.Close()
	}
}

func TestBuildImage(t *testing.T) {
	t.Parallel()
	b := open(t, shared)
	h := pod.Host{Name: "bench", Runtime: "docker", Address: shared.Address()}
	const ref, alias = "built-by-test:1", "built-by-test:latest"
	// The label makes it another image than the probe's, which is not removed with it.
	dockerfile := "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\nLABEL by=test\n"
	require.NoError(t, docker.BuildImage(t.Context(), h, ref, contextOf(t, dockerfile), alias))
	defer removeImages(t, b, "built-by-test")
	n := b.start(request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = alias }))
	assert.Equal(t, pod.PhaseRunning, n.Phase)
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, 0)))

	used := func(io.Writer) error { return errors.New("the content was read") }
	require.NoError(t, docker.BuildImage(t.Context(), h, ref, used), "it is there")

	for name, c := range map[string]struct {
		content func(io.Writer) error
		says    string
	}{
		"a step that fails":         {contextOf(t, "FROM scratch\nCOPY missing /app\n"), "missing"},
		"no Dockerfile":             {func(w io.Writer) error { return tar.NewWriter(w).Close() }, "Dockerfile"},
		"content that breaks off":   {func(io.Writer) error { return errors.New("disk read error") }, "disk read error"},
		"a Dockerfile that is none": {contextOf(t, "FORM scratch\n"), "FORM"},
	} {
		err := docker.BuildImage(t.Context(), h, "never-built:1", c.content)
		require.NotErrorIs(t, err, pod.ErrUnreachable, name)
		assert.ErrorContains(t, err, "build image never-built:1 on host bench", name)
		assert.ErrorContains(t, err, c.says, name)
	}
	list, err := b.api.ImageList(t.Context(), image.ListOptions{})
	require.NoError(t, err)
	for _, i := range list {
		assert.NotContains(t, i.RepoTags, "never-built:1")
	}

	h.Address = "unix:///nowhere/docker.sock"
	require.ErrorIs(t, docker.BuildImage(t.Context(), h, ref, used), pod.ErrUnreachable)
}
