package docker_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
	"github.com/elastipod/elastipod/pod/docker"
)

// registry serves one repository, "shop/web", to one user.
type registry struct {
	blobs          map[string][]byte // by digest; manifests too
	tags           map[string]string
	user, password string

	mu    sync.Mutex
	asked []string // manifests that were asked for, by tag or digest
	fail  int      // the status of every answer about a manifest; 0: as it should be
}

// setFail makes the registry answer with a status when it is asked for a manifest.
func (r *registry) setFail(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = status
}

// manifests returns which manifests were asked for since the last time.
func (r *registry) manifests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// add stores an image of one layer that holds the files, and tags it.
func (r *registry) add(t *testing.T, tag string, files map[string][]byte) string {
	t.Helper()
	var layer, packed bytes.Buffer
	w := tar.NewWriter(&layer)
	for name, content := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	require.NoError(t, err)
	_, err = z.Write(layer.Bytes())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	blob := func(b []byte) string {
		r.blobs[digest(b)] = b
		return digest(b)
	}
	document := func(v any) []byte {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return b
	}
	type object = map[string]any
	config := document(object{
		"architecture": runtime.GOARCH, "os": "linux", "config": object{"Entrypoint": []string{"/app"}},
		"rootfs": object{"type": "layers", "diff_ids": []string{digest(layer.Bytes())}},
	})
	manifest := document(object{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": object{"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": blob(config)},
		"layers": []object{{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": packed.Len(), "digest": blob(packed.Bytes())}},
	})
	r.tags[tag] = blob(manifest)
	return r.tags[tag]
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if user, password, _ := q.BasicAuth(); user != r.user || password != r.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return
	}
	kind, name, ok := strings.Cut(strings.TrimPrefix(q.URL.Path, "/v2/shop/web/"), "/")
	if q.URL.Path == "/v2/" || !ok {
		return
	}
	if kind == "manifests" {
		r.mu.Lock()
		r.asked = append(r.asked, name)
		status := r.fail
		r.mu.Unlock()
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		if at, ok := r.tags[name]; ok {
			name = at
		}
		w.Header().Set("Content-Type", manifestType)
	}
	content, ok := r.blobs[name]
	if !ok {
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Docker-Content-Digest", name)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if q.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

func TestPullWithCredentialsAndProgress(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(probe)
	require.NoError(t, err)
	padding := make([]byte, 8<<20)
	_, _ = rand.Read(padding)
	reg := &registry{blobs: map[string][]byte{}, tags: map[string]string{}, user: "robot", password: "hunter2"}
	first := reg.add(t, "1", map[string][]byte{"app": binary, "padding": padding})
	server := httptest.NewServer(reg)
	t.Cleanup(server.Close)
	domain := strings.TrimPrefix(server.URL, "http://")
	ref := domain + "/shop/web:1"
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("wrong\n"), 0o600))
	b := open(t, shared, func(c *docker.Config) {
		c.Host.Registries = map[string]pod.RegistryAuth{domain: {Username: "robot", PasswordFile: password}}
	})
	w := request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = ref }).Workload

	_, err = b.rt.Prepare(t.Context(), w, "", nil)
	require.ErrorIs(t, err, pod.ErrImageDenied)
	require.NotErrorIs(t, err, pod.ErrImage)
	assert.NotContains(t, err.Error(), "wrong", "the password is not in the error")

	// The password is read when it is needed: mending the file is enough.
	require.NoError(t, os.WriteFile(password, []byte("hunter2\n"), 0o600))
	var steps []pod.Progress
	p, err := b.rt.Prepare(t.Context(), w, "", func(p pod.Progress) { steps = append(steps, p) })
	require.NoError(t, err)
	assert.Equal(t, first, p.Digest, "the registry's digest")
	require.GreaterOrEqual(t, len(steps), 2)
	last := steps[len(steps)-1]
	assert.Equal(t, "pulling "+ref, last.Message)
	assert.Equal(t, last.Total, last.Done)
	assert.Greater(t, last.Total, int64(8<<20), "the sum of the layers")
	for i := range steps[1:] {
		assert.GreaterOrEqual(t, steps[i+1].Done, steps[i].Done, "progress only grows")
	}
	n := b.start(request("n1", "sleep", func(r *pod.StartRequest) { r.Workload.Image = ref }))
	assert.Equal(t, pod.PhaseRunning, n.Phase)

	// The tag moves: only a policy of always sees it.
	second := reg.add(t, "1", map[string][]byte{"app": binary, "moved": nil})
	p, err = b.rt.Prepare(t.Context(), w, "", nil)
	require.NoError(t, err)
	assert.Equal(t, first, p.Digest)
	w.Pull = pod.PullAlways
	p, err = b.rt.Prepare(t.Context(), w, "", nil)
	require.NoError(t, err)
	assert.Equal(t, second, p.Digest)

	w.Image = domain + "/shop/web:no-such-tag"
	_, err = b.rt.Prepare(t.Context(), w, "", nil)
	require.ErrorIs(t, err, pod.ErrImage)
	assert.ErrorContains(t, err, "no-such-tag cannot be pulled")

	// A start pulls what is missing by itself.
	require.NoError(t, stopError(b.rt.Stop(t.Context(), n.ID, 0)))
	removeImages(t, b, domain)
	n = b.start(request("n2", "sleep", func(r *pod.StartRequest) { r.Workload.Image = ref }))
	assert.Equal(t, pod.PhaseRunning, n.Phase)
}

func removeImages(t *testing.T, b *bench, domain string) {
	t.Helper()
	list, err := b.api.ImageList(t.Context(), image.ListOptions{})
	require.NoError(t, err)
	for _, i := range list {
		if strings.HasPrefix(strings.Join(append(i.RepoTags, i.RepoDigests...), " "), domain) {
			_, err := b.api.ImageRemove(t.Context(), i.ID, image.RemoveOptions{Force: true})
			require.NoError(t, err)
		}
	}
}
