package serve_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/serve"
)

// TestShippedConfigs checks the files that lie beside the server.
func TestShippedConfigs(t *testing.T) {
	files, err := filepath.Glob("../../examples/server/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 3)
	dir := t.TempDir()
	writeCertificate(t, filepath.Join(dir, "tls/server.pem"), filepath.Join(dir, "tls/server.key"))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tokens"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokens/ops"), []byte("0123456789abcdef\n"), 0o600))
	for file, want := range map[string]string{
		"embedded.yaml":   "cluster playground, stack embedded, hosts 1, pods 1, API on 127.0.0.1:3000",
		"docker.yaml":     "cluster shop, stack docker, hosts 1, pods 1, API on 127.0.0.1:3000",
		"production.yaml": "cluster prod, stack docker, hosts 3, pods 1, API on 0.0.0.0:3000",
	} {
		data, err := os.ReadFile(filepath.Join("../../examples/server", file))
		require.NoError(t, err)
		copied := filepath.Join(dir, file)
		require.NoError(t, os.WriteFile(copied, data, 0o600))
		var out, errs bytes.Buffer
		p := serve.Program{Environ: []string{"HOME=/home/x", "ELASTIPOD_GRAFANA_TOKEN=abcdef0123456789"}, Stdout: &out, Stderr: &errs}
		assert.Equal(t, serve.ExitOK, p.Run(t.Context(), []string{"--check", "--config", copied}), "%s: %s", file, errs.String())
		assert.Contains(t, out.String(), want)
	}
}

func TestGoodConfigs(t *testing.T) {
	for name, yaml := range map[string]string{
		"comments only":     "# nothing is set\n",
		"nulls":             "pods:\nlisten:\nlog:\n",
		"anchors and merge": "default_pods:\n- &a {name: a, workload: {command: [x]}}\n- {<<: *a, name: b}\n",
		"merged variables":  "pods:\n- {name: a, workload: {command: [x], env: &e {A: \"1\"}}}\n- {name: b, workload: {command: [x], env: {<<: *e, B: \"2\"}}}\n",
		"what was read":     "pods:\n- name: web\n  workload: {command: [x]}\n  status: {state: active, created_at: 2026-01-02T03:04:05Z, want: 1, revision: 1, converged: true, nodes: {}, problems: [], elasticity: {enabled: false}}\n",
		"quoted numbers":    "pods:\n- name: web\n  workload: {command: [x, \"1\"], env: {A: \"1\"}}\n",
		"insecure":          "listen: 0.0.0.0:3000\ninsecure: true\n",
		"retries of 0":      "pods:\n- name: web\n  workload: {command: [x], ports: {http: 80}}\n  fronts: [{listen: 127.0.0.1:80, retries: 0}]\n",
		"policies nest":     "pods:\n- name: web\n  workload: {command: [x]}\n  elasticity: {enabled: true, policy: {kind: cooldown, down: 1m, policy: {kind: threshold, lower: 0.3, upper: 0.7}}}\n",
		"short thresholds":  "pods:\n- name: web\n  workload: {command: [x]}\n  elasticity: {enabled: true, lower_threshold: 0.2, upper_threshold: 0.6}\n",
	} {
		code, stdout, stderr := check(t, yaml)
		assert.Equal(t, serve.ExitOK, code, "%s: %s", name, stderr)
		assert.Contains(t, stdout, "the configuration is good", name)
	}
}

func TestFlagsGoBeforeTheFile(t *testing.T) {
	code, stdout, stderr := check(t, "listen: nonsense\nstack: nonsense\n", "--listen", "127.0.0.1:4000", "--stack", "docker")
	assert.Equal(t, serve.ExitOK, code, stderr)
	assert.Contains(t, stdout, "stack docker, hosts 1, pods 0, API on 127.0.0.1:4000")
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"--version"}} {
		var out bytes.Buffer
		assert.Zero(t, serve.Program{Stdout: &out, Stderr: &out}.Run(t.Context(), args))
		assert.Contains(t, out.String(), map[bool]string{true: "elastipod ", false: "usage: server [flags]"}[args[0] == "--version"])
	}
}

// writeCertificate makes a certificate of its own for 127.0.0.1.
func writeCertificate(t *testing.T, cert, key string) *x509.CertPool {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(cert), 0o700))
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, NotAfter: time.Now().Add(time.Hour), IPAddresses: loopback(),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return pool
}
