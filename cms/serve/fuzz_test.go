package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/elastic"
)

// Whatever stands in the file, the server reads it or says where it is wrong; it
// does neither for long.
func FuzzConfig(f *testing.F) {
	examples, err := filepath.Glob("../../examples/server/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, examples)
	for _, path := range examples {
		text, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(text)
	}
	for _, text := range []string{
		"", "a: &a [*a]", "listen: [", "- x", "tick: 1e999s", "log: {level: \"\\x00\"}", "pods: [{name: web, workload: {command: [x], ports: {http: 99999999999999999999}}}]",
		"tokens: [{name: a, role: viewer, secret: 0123456789abcdef}]", "hosts: [{name: a, runtime: docker, address: \"tcp://[::1\"}]",
		"default_pods: [{}]", "webhooks: [{name: a, url: \"http://\"}]", "keep_images: 0", "? {a: b}\n: c", "x: !!binary aGk=", "---\n---\n",
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		file := filepath.Join(dir, "server.yaml")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		flags, err := parseFlags([]string{"--config", file, "--data", "/data"}, false)
		require.NoError(t, err)
		none := func(string) string { return "" }
		began := time.Now()
		first, err := load(flags, none, elastic.NewRegistry())
		assert.Less(t, time.Since(began), 10*time.Second)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				assert.NotEmpty(t, strings.TrimSpace(line))
			}
			return
		}
		again, err := load(flags, none, elastic.NewRegistry())
		require.NoError(t, err)
		assert.Empty(t, differ(first.effective, again.effective), "the same file says the same")
	})
}
