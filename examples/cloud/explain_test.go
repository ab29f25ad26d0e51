package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fails runs a command that must fail, and returns its error.
func fails(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	require.Equal(t, exitFailed, run(t.Context(), args, strings.NewReader(""), &out, &errs), "cloud %v: %s", args, &out)
	return strings.TrimSuffix(errs.String(), "\n")
}

// Whatever answers in a server's place, the error says what to do next.
func TestErrorsOfForeignServers(t *testing.T) {
	page := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	problem := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, x := range map[string]struct {
		handler http.HandlerFunc
		want    []string
	}{
		"another program, not found": {page(404, "<html>nothing here"), []string{"the server answered 404 Not Found; is it an elastipod server?", "Name another with --server or CLOUD_SERVER"}},
		"another program, a page":    {page(200, "<html>hello"), []string{"is not understood", "is it an elastipod server of this version?", "Name another with --server"}},
		"a proxy":                    {page(502, "<html>bad gateway"), []string{"the server answered 502 Bad Gateway; is it an elastipod server?", "Name another with --server"}},
		"a redirect":                 {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, []string{"answered 302 Found; is it an elastipod server?"}},
		"an older server":            {problem(404, `{"status":404,"detail":"there is nothing at \"/v1/pods\"; see /docs for what there is"}`), []string{"does not know GET /v1/pods; it may be older than this command: see \"cloud version\""}},
		"one that is starting":       {problem(503, `{"status":503,"detail":"the manager is still starting; try again in a moment"}`), []string{"the manager is still starting; try again in a moment"}},
		"one that breaks off":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{"broke the connection off: EOF; see that it is an elastipod server and runs, then try again"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(x.handler)
			defer s.Close()
			text := fails(t, "pod", "ls", "--server", s.URL)
			for _, want := range x.want {
				assert.Contains(t, text, want)
			}
			assert.NotContains(t, text, "\n")
		})
	}
}

func TestErrorOfAServerThatDoesNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() // it takes connections, and nothing else
	began := time.Now()
	text := fails(t, "pod", "ls", "--server", l.Addr().String(), "--timeout", "1ms")
	assert.Contains(t, text, "http://"+l.Addr().String()+" does not answer: ")
	assert.Contains(t, text, "; see that it runs and is reached from here, or name another with --server or CLOUD_SERVER")
	assert.Less(t, time.Since(began), 30*time.Second)
}

// secureServer serves with a certificate of its own, and returns the file of it.
func secureServer(t *testing.T, name string, until time.Time) (server, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return s.URL, ca
}

func TestErrorsOfTLS(t *testing.T) {
	server, ca := secureServer(t, "cluster.example", time.Now().Add(time.Hour))
	assert.Regexp(t, `the certificate of https://127\.0\.0\.1:\d+ is for another name: .*; use a name that it holds in --server`, fails(t, "pod", "ls", "--server", server, "--ca", ca))
	assert.Contains(t, fails(t, "pod", "ls", "--server", strings.Replace(server, "https", "http", 1)), "it may speak TLS: try --server "+server)

	server, ca = secureServer(t, "127.0.0.1", time.Now().Add(-time.Hour))
	assert.Contains(t, fails(t, "pod", "ls", "--server", server, "--ca", ca), "renew it, and see that this machine's clock is right")

	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	assert.Contains(t, fails(t, "pod", "ls", "--server", strings.Replace(plain.URL, "http", "https", 1)), "does not speak TLS; use --server "+plain.URL)
}
