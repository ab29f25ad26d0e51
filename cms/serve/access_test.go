package serve_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
	"github.com/elastipod/elastipod/examples/server/dashboard"
)

// TestAccess serves with TLS and tokens, and renews the certificate.
func TestAccess(t *testing.T) {
	dir := dataDir(t)
	cert, key, tokens := filepath.Join(dir, "s.pem"), filepath.Join(dir, "s.key"), filepath.Join(dir, "tokens")
	pool := writeCertificate(t, cert, key)
	require.NoError(t, os.WriteFile(tokens, []byte("# name role secret\nops operator 0123456789abcdef\nlook viewer env:LOOK\n"), 0o600))
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		p := serve.Program{Page: dashboard.New, Stdout: in, Stderr: os.Stderr, Environ: []string{"LOOK=fedcba9876543210", "HOME=" + dir}}
		ended <- p.Run(ctx, []string{"--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--tls-cert", cert, "--tls-key", key, "--token-file", tokens})
		in.Close()
	}()
	text := make([]byte, 4096)
	n, err := out.Read(text)
	require.NoError(t, err)
	go io.Copy(io.Discard, out) //nolint:errcheck // until it is closed
	require.Contains(t, string(text[:n]), "cluster elastipod on the embedded stack")
	url := regexpURL.FindString(string(text[:n]))
	require.NotEmpty(t, url)

	client := func() *http.Client {
		return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	}
	get := func(method, path, token string, header ...string) (int, http.Header, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		r, err := client().Do(req)
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, r.Header, string(body)
	}

	code, _, _ := get("GET", "/v1/pods", "")
	assert.Equal(t, 401, code)
	code, _, _ = get("GET", "/v1/pods", "fedcba9876543210")
	assert.Equal(t, 200, code)
	code, _, _ = get("POST", "/v1/cluster/init", "fedcba9876543210")
	assert.Equal(t, 403, code)
	code, _, _ = get("GET", "/v1/cluster", "0123456789abcdef")
	assert.Equal(t, 200, code)
	code, _, body := get("GET", "/metrics", "0123456789abcdef")
	assert.Equal(t, 200, code)
	for _, m := range []string{"elastipod_build_info", `elastipod_host_reachable{host="local"} 1`} {
		assert.True(t, strings.Contains(body, m), m)
	}

	code, header, body := get("GET", "/", "")
	assert.Equal(t, 200, code)
	assert.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
	assert.Contains(t, body, url+"/docs")
	assert.Contains(t, body, "cloud --server "+url+" pod ls")
	code, header, body = get("GET", "/", "", "Accept", "text/html,application/xhtml+xml")
	assert.Equal(t, 200, code)
	assert.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	assert.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	assert.Contains(t, body, `<a href="/docs">`)
	assert.Contains(t, body, "CLOUD_TOKEN")
	code, _, _ = get("GET", "/nothing", "0123456789abcdef")
	assert.Equal(t, 404, code)

	// A renewed certificate is used at once; one that cannot be read is not.
	old := pool
	pool = writeCertificate(t, cert, key)
	require.NoError(t, os.Chtimes(cert, time.Now(), time.Now().Add(time.Minute)))
	code, _, _ = get("GET", "/healthz", "")
	assert.Equal(t, 200, code)
	require.NoError(t, os.WriteFile(cert, []byte("broken"), 0o600))
	code, _, _ = get("GET", "/healthz", "")
	assert.Equal(t, 200, code)
	renewed := pool
	pool = old
	_, err = client().Get(url + "/healthz")
	require.Error(t, err, "the old certificate is still used")
	pool = renewed

	// Guesses are slowed down, each over a connection of its own; a token that was
	// right here before still is.
	guesses, begun := 0, time.Now()
	for code = 401; code == 401 && guesses < 100; guesses++ {
		code, header, _ = get("GET", "/v1/pods", fmt.Sprintf("a-guess-of-a-token-%d", guesses))
	}
	assert.Equal(t, 429, code)
	assert.NotEmpty(t, header.Get("Retry-After"))
	assert.GreaterOrEqual(t, guesses, 11)
	assert.LessOrEqual(t, guesses, 11+int(time.Since(begun)/(5*time.Second))+1)
	code, _, _ = get("GET", "/v1/pods", "0123456789abcdef")
	assert.Equal(t, 200, code)

	cancel()
	assert.Zero(t, <-ended)
}
