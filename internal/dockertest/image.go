package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/pkg/jsonmessage"
)

// BuildScratch makes an image that holds one static binary and nothing else,
// and runs it. It fails the test when that is not possible.
func (e *Engine) BuildScratch(t testing.TB, tag, binaryPath string) {
	t.Helper()
	if err := e.BuildScratchImage(t.Context(), tag, binaryPath); err != nil {
		t.Fatal(err)
	}
}

// scratch holds the images that were built from scratch, by their tag and
// program, as engines save them: each engine gets the same one, with the same id.
var scratch struct {
	sync.Mutex
	saved map[string][]byte
}

// BuildScratchImage is [Engine.BuildScratch] for programs.
func (e *Engine) BuildScratchImage(ctx context.Context, tag, binaryPath string) error {
	scratch.Lock()
	defer scratch.Unlock()
	key := tag + " " + binaryPath
	if saved := scratch.saved[key]; saved != nil {
		return e.load(ctx, saved)
	}
	binary, err := os.ReadFile(binaryPath)
	if err != nil {
		return fmt.Errorf("dockertest: build %s: %w", tag, err)
	}
	if err := e.Build(ctx, tag, "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n", map[string][]byte{"app": binary}); err != nil {
		return err
	}
	saved, err := e.save(ctx, tag)
	if err != nil {
		return err
	}
	if scratch.saved == nil {
		scratch.saved = map[string][]byte{}
	}
	scratch.saved[key] = saved
	return nil
}

// save returns an image as an archive.
func (e *Engine) save(ctx context.Context, tag string) ([]byte, error) {
	c, err := e.Client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	archive, err := c.ImageSave(ctx, []string{tag})
	if err != nil {
		return nil, fmt.Errorf("dockertest: save %s: %w", tag, err)
	}
	defer archive.Close()
	return io.ReadAll(archive)
}

// load takes an image from an archive.
func (e *Engine) load(ctx context.Context, archive []byte) error {
	c, err := e.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.ImageLoad(ctx, bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("dockertest: load an image: %w", err)
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// Build makes an image from a Dockerfile and the files beside it, all of them
// executable.
func (e *Engine) Build(ctx context.Context, tag, dockerfile string, files map[string][]byte) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	files = maps.Clone(files)
	if files == nil {
		files = map[string][]byte{}
	}
	files["Dockerfile"] = []byte(dockerfile)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return err
		}
		if _, err := w.Write(files[name]); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	c, err := e.Client()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.ImageBuild(ctx, &archive, build.ImageBuildOptions{Tags: []string{tag}, Remove: true, ForceRemove: true})
	if err != nil {
		return fmt.Errorf("dockertest: build %s: %w", tag, err)
	}
	defer answer.Body.Close()
	if err := jsonmessage.DisplayJSONMessagesStream(answer.Body, io.Discard, 0, false, nil); err != nil {
		return fmt.Errorf("dockertest: build %s: %w", tag, err)
	}
	return nil
}

// GoBinary compiles a Go package, such as "./testdata/app", to a static binary
// that runs in an image from scratch, and returns its path. It fails the test
// when that is not possible.
func GoBinary(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	if err := BuildGoBinary(t.Context(), pkg, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// BuildGoBinary is [GoBinary] for programs; it writes the binary to path.
func BuildGoBinary(ctx context.Context, pkg, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("dockertest: go build %s: %w: %s", pkg, err, out)
	}
	return nil
}
