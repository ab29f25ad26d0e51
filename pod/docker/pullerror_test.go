package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/pod"
)

// What engines say, those with the containerd image store included.
func TestPullErrors(t *testing.T) {
	kinds := []error{pod.ErrImage, pod.ErrImageDenied, pod.ErrRegistry, pod.ErrUnreachable}
	for _, c := range []struct {
		ref, says string
		want      error // nil: none of them
	}{
		// No such image.
		{"r.example/web:7", `manifest for r.example/web:7 not found: manifest unknown: manifest unknown`, pod.ErrImage},
		{"r.example/web:503", `manifest for r.example/web:503 not found: manifest unknown: manifest unknown`, pod.ErrImage},
		{"r.example/timeout:1", `repository r.example/timeout not found: name unknown: repository name not known to registry`, pod.ErrImage},
		{"nginx:nope", `failed to resolve reference "docker.io/library/nginx:nope": docker.io/library/nginx:nope: not found`, pod.ErrImage},
		{"r.example/web:7", `no matching manifest for linux/arm64/v8 in the manifest list entries`, pod.ErrImage},
		{"r.example/web:7", `no match for platform in manifest: not found`, pod.ErrImage},
		{"r.example/web:7", `error pulling image configuration: image config not found`, pod.ErrImage},
		{"r.example/web:7", `invalid reference format: repository name must be lowercase`, pod.ErrImage},

		// Access denied. Docker Hub says the same of what does not exist.
		{"no/such", `pull access denied for no/such, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`, pod.ErrImageDenied},
		{"no/such", `failed to resolve reference "docker.io/no/such:latest": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, pod.ErrImageDenied},
		{"r.example/web:7", `Get "https://r.example/v2/web/manifests/7": no basic auth credentials`, pod.ErrImageDenied},
		{"r.example/web:7", `Head "https://r.example/v2/web/manifests/7": unauthorized: authentication required`, pod.ErrImageDenied},
		{"r.example/web:7", `unauthorized`, pod.ErrImageDenied},
		{"ghcr.io/a/b:1", `Head "https://ghcr.io/v2/a/b/manifests/1": denied`, pod.ErrImageDenied},
		{"r.example/web:7", `failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://r.example/token: 401 Unauthorized`, pod.ErrImageDenied},
		{"r.example/web:7", `unexpected status from HEAD request to https://r.example/v2/web/manifests/7: 403 Forbidden`, pod.ErrImageDenied},

		// What may pass.
		{"nginx", `toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit`, pod.ErrRegistry},
		{"nginx", `failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/nginx/manifests/sha256:aa: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit`, pod.ErrRegistry},
		{"r.example/web:7", `received unexpected HTTP status: 500 Internal Server Error`, pod.ErrRegistry},
		{"r.example/web:7", `received unexpected HTTP status: 502 Bad Gateway`, pod.ErrRegistry},
		{"r.example/web:7", `received unexpected HTTP status: 503 Service Unavailable`, pod.ErrRegistry},
		{"r.example/web:7", `unexpected status from HEAD request to https://r.example/v2/web/manifests/7: 504 Gateway Timeout`, pod.ErrRegistry},
		{"r.example/web:7", `error parsing HTTP 429 response body: unexpected end of JSON input: ""`, pod.ErrRegistry},
		{"r.example/web:7", `failed to fetch oauth token: unexpected status from GET request to https://r.example/token: 503 Service Unavailable`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": dial tcp: lookup r.example on 10.0.0.1:53: no such host`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": dial tcp: lookup r.example: Temporary failure in name resolution`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": dial tcp 10.0.0.9:443: connect: connection refused`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": dial tcp 10.0.0.9:443: i/o timeout`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": net/http: TLS handshake timeout`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": context deadline exceeded`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": EOF`, pod.ErrRegistry},
		{"r.example/web:7", `unexpected EOF`, pod.ErrRegistry},
		{"r.example/web:7", `read tcp 10.0.0.5:4711->10.0.0.9:443: read: connection reset by peer`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": remote error: tls: internal error`, pod.ErrRegistry},
		{"r.example/web:7", `Get "https://r.example/v2/": x509: certificate has expired or is not yet valid`, pod.ErrRegistry},
		{"r.example/web:7", `download failed after attempts=6: dial tcp 10.0.0.9:443: connect: network is unreachable`, pod.ErrRegistry},
		{"r.example/web:7", `filesystem layer verification failed for digest sha256:aa`, pod.ErrRegistry},

		// What is neither the image's fault nor the registry's.
		{"r.example/web:7", `failed to register layer: Error processing tar file(exit status 1): write /app: no space left on device`, nil},
		{"r.example/web:7", `download failed after attempts=6: write /var/lib/docker/tmp/GetImageBlob1: no space left on device`, nil},
		{"r.example/denied:1", `failed to register layer of r.example/denied:1: device or resource busy`, nil},
		{"r.example/web:7", `the engine does not say why`, nil},
	} {
		named, err := reference.ParseNormalizedNamed(c.ref)
		require.NoError(t, err)
		for _, said := range []error{errors.New(c.says), fmt.Errorf("Error response from daemon: %s", c.says)} {
			got := pullError(named, c.ref, said)
			assert.ErrorContains(t, got, c.ref+" cannot be pulled")
			assert.ErrorContains(t, got, c.says, "nothing that was said is lost")
			for _, kind := range kinds {
				assert.Equal(t, kind == c.want, errors.Is(got, kind), "%s: %v", c.says, kind)
			}
		}
	}
}

// The types of the engine's errors count where its words say nothing.
func TestPullErrorsByType(t *testing.T) {
	named, err := reference.ParseNormalizedNamed("web:7")
	require.NoError(t, err)
	for want, said := range map[error]error{
		pod.ErrImage:       fmt.Errorf("gone: %w", errdefs.ErrNotFound),
		pod.ErrImageDenied: fmt.Errorf("go away: %w", errdefs.ErrPermissionDenied),
		pod.ErrRegistry:    fmt.Errorf("received unexpected HTTP status: 503 Service Unavailable: %w", errdefs.ErrUnavailable),
	} {
		got := pullError(named, "web:7", said)
		assert.ErrorIs(t, got, want)
		assert.False(t, unanswered(got), "the engine did answer: %v", got)
	}
	for _, said := range []error{
		&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")},
		io.ErrUnexpectedEOF,
		fmt.Errorf("shutting down: %w", errdefs.ErrUnavailable),
	} {
		assert.True(t, unanswered(pullError(named, "web:7", said)), "it is the engine that is away: %v", said)
	}
}

// A registry that lets an engine wait until the caller's time is over says nothing
// of the engine.
func TestPullThatIsNotDoneInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		e.pull = func(string, image.PullOptions) (io.ReadCloser, error) { return nil, nil }
		e.before = func(ctx context.Context, call string) error {
			if call == "pull" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := e.open(t).Prepare(ctx, imageWorkload("slow:1"), "", nil)
		require.ErrorIs(t, err, pod.ErrRegistry)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, pod.ErrUnreachable)
		assert.ErrorContains(t, err, "slow:1 was not pulled in time")
	})
}
