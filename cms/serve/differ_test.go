package serve

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/elastipod/elastipod/cms/wire"
	"github.com/elastipod/elastipod/elastic"
	"github.com/elastipod/elastipod/internal/difference"
)

// loaded reads a configuration as the server does.
func loaded(t *testing.T, yaml string, environ ...string) settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	f, err := parseFlags([]string{"--config", file, "--data", "/data"}, false)
	require.NoError(t, err)
	s, err := load(f, func(name string) string {
		for i := 0; i < len(environ); i += 2 {
			if environ[i] == name {
				return environ[i+1]
			}
		}
		return ""
	}, elastic.NewRegistry())
	require.NoError(t, err)
	return s
}

func lines(changes []wire.ReloadChange) []string {
	var out []string
	for _, c := range changes {
		out = append(out, c.Path+": "+c.From+" → "+c.To)
	}
	return out
}

func TestDiffer(t *testing.T) {
	const geheim, other = "geheim-0123456789", "anders-0123456789"
	before := loaded(t, `
log: {level: info}
tokens: [{name: ops, role: operator, env: OPS}, {name: old, role: viewer, env: OLD}]
allowed_hosts: [a.example.com]
hosts:
- {name: local, runtime: process}
- {name: b, runtime: docker, address: "ssh://me@b", bind: 10.0.0.2}
- {name: gone, runtime: docker, address: "ssh://me@gone", bind: 10.0.0.3}
pods:
- name: web
  workload: {command: [x], env: {KEY: geheim-0123456789, SAME: s}, ports: {http: 80}}
  limits: {cpu: 0.5}
  fronts: [{listen: "127.0.0.1:5100"}]
  elasticity: {enabled: true, max: 3}
`, "OPS", geheim, "OLD", "old-0123456789-0123")
	assert.Empty(t, differ(before.effective, before.effective))

	after := loaded(t, `
log: {format: json, level: debug}
tokens: [{name: ops, role: viewer, env: OPS}, {name: new, role: viewer, env: NEW}]
allowed_hosts: [a.example.com, b.example.com]
tick: 2s
haproxy: {max_conn: 100}
hosts:
- {name: local, runtime: process}
- {name: b, runtime: docker, address: "ssh://you@b", bind: 10.0.0.2}
- {name: c, runtime: docker, address: "ssh://me@c", bind: 10.0.0.4}
pods:
- name: web
  workload: {command: [x, y], env: {KEY: anders-0123456789, SAME: s}, ports: {http: 80}}
  limits: {cpu: 0.7}
  fronts: [{listen: "127.0.0.1:5101"}]
  elasticity: {enabled: true, max: 4}
- name: api
  workload: {command: [x]}
`, "OPS", other, "NEW", "new-0123456789-0123")
	changes := differ(before.effective, after.effective)
	assert.Equal(t, []string{
		`allowed_hosts: ["a.example.com"] → ["a.example.com","b.example.com"]`,
		"haproxy.max_conn: (none) → 100",
		"hosts[b].address: ssh://me@b → ssh://you@b",
		"hosts[c]: (none) → (new)",
		"hosts[gone]: (set) → (none)",
		"log.format: text → json",
		"log.level: info → debug",
		"pods[api]: (none) → (new)",
		"pods[web].elasticity.max: 3 → 4",
		"pods[web].fronts[web].listen: 127.0.0.1:5100 → 127.0.0.1:5101",
		"pods[web].limits.cpu: 0.5 → 0.7",
		`pods[web].workload.command: ["x"] → ["x","y"]`,
		"pods[web].workload.env.KEY: (secret) → (secret)",
		"tick: 1s → 2s",
		"tokens[new]: (none) → (new)",
		"tokens[old]: (set) → (none)",
		"tokens[ops].role: operator → viewer",
		"tokens[ops].secret: (secret) → (secret)",
	}, lines(changes))
	for _, line := range lines(changes) {
		assert.NotContains(t, line, geheim)
		assert.NotContains(t, line, other)
	}
	assert.Len(t, differ(after.effective, before.effective), len(changes), "and back")
}

// A default that is written out, and an order that means nothing, are no
// difference.
func TestDefaultsAreNoDifference(t *testing.T) {
	plain := loaded(t, "pods: [{name: a, workload: {command: [x]}}, {name: b, workload: {command: [x]}}]\n")
	written := loaded(t, `
listen: 127.0.0.1:3000
stack: embedded
log: {format: text, level: info}
tick: 1s
history: 3600
start_parallel: 10
stop_timeout: 1m
stop_nodes: false
hosts: [{name: local, runtime: process}]
pods:
- {name: b, workload: {command: [x]}, max_nodes: 10, kind: service}
- {name: a, workload: {command: [x]}, drain: 30s}
`)
	assert.Empty(t, lines(differ(plain.effective, written.effective)))
}

// Every field of the file is compared: one that is added to it later cannot be
// changed unnoticed.
func TestEveryFieldIsCompared(t *testing.T) {
	var c fileConfig
	fill(reflect.ValueOf(&c).Elem())
	tree, err := difference.Tree(c)
	require.NoError(t, err)
	paths := map[string]bool{}
	for _, x := range difference.Between(nil, tree) {
		field, _ := splitPath(x.Path)
		paths[field] = true
	}
	for _, name := range fieldNames(reflect.TypeFor[fileConfig]()) {
		assert.True(t, paths[name], "%s is not compared", name)
	}
}

// fill gives every field a value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8: // of JSON
		v.SetUint('1')
	case reflect.Float64:
		v.SetFloat(1)
	}
}

func TestShowable(t *testing.T) {
	for _, c := range [][3]string{
		{"webhooks[x].url", "https://hooks.example.com/services/T0/B0/geheim", "https://hooks.example.com/(secret)"},
		{"webhooks[x].url", "https://me:geheim@hooks.example.com", "https://hooks.example.com/(secret)"},
		{"allowed_origins", "https://ops.example.com", "https://ops.example.com"},
		{"webhooks[x].secret", "geheim", "(secret)"},
		{"webhooks[x].secret_file", "/etc/secret", "/etc/secret"},
		{"webhooks[x].secret_env", "HOOK", "HOOK"},
		{"tracing.headers.Authorization", "geheim", "(secret)"},
		{"hosts[b].registries.r.password_env", "PASSWORD", "PASSWORD"},
		{"data", strings.Repeat("ä", 300), strings.Repeat("ä", 200) + "…"},
	} {
		assert.Equal(t, c[2], showable(c[0], c[1]), c[0])
	}
}
